"""Formulas against literal values."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from exawatt.stats import bounded_slowdown


@pytest.mark.parametrize(
    ("wait_s", "runtime_s", "expected"),
    [
        (0, 100, 1.0),  # (0 + 100) / 100
        (100, 50, 3.0),  # (100 + 50) / 50
        (0, 5, 1.0),  # 5 / 10 is below one
        (15, 5, 2.0),  # (15 + 5) / 10
        (5, 5, 1.0),  # (5 + 5) / 10
        (20, 10, 3.0),  # (20 + 10) / 10
        (3600, 1, 360.1),  # (3600 + 1) / 10
    ],
)
def test_bounded_slowdown(wait_s: float, runtime_s: float, expected: float) -> None:
    assert_allclose(bounded_slowdown(wait_s, runtime_s), expected, rtol=1e-15)


def test_bounded_slowdown_with_another_bound() -> None:
    # Bound 60 s: (90 + 30) / 60 = 2; bound 1 s: (90 + 30) / 30 = 4.
    assert_allclose(bounded_slowdown(90, 30, bound_s=60), 2.0)
    assert_allclose(bounded_slowdown(90, 30, bound_s=1), 4.0)


def test_bounded_slowdown_of_arrays() -> None:
    wait, runtime = np.array([0, 100, 15]), np.array([100, 50, 5])
    assert_allclose(bounded_slowdown(wait, runtime), [1, 3, 2])
