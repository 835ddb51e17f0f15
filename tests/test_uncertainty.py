"""Uncertainty: how it is written, refused, and how half-hours' errors add up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.halfhours import spread_of
from exawatt.uncertainty import Estimate


@pytest.mark.parametrize(
    ("value", "u", "text"),
    [
        (123_456.7, 6172.8, "123,500 ± 6,200"),
        (0.000952, 0.00011, "0.000952 ± 0.000110"),
        (9.87654, 0.0123, "9.877 ± 0.012"),
        (1000.0, 500.0, "1,000 ± 500"),
        (85.1234, 0.0, "85.1 ± 0.0"),
        (0.0, 0.0, "0 ± 0"),
    ],
)
def test_an_estimate_shows_the_digits_that_are_known(value: float, u: float, text: str) -> None:
    assert str(Estimate(value, u)) == text


def test_sums_in_quadrature_by_hand() -> None:
    # 3 % and 4 % make 5 %; one half-hour of 10 kg with 12 % beside makes 13 %.
    given = ew.Uncertainty(power=0.03, intensity=0.04, half_hour=0.12, embodied=0.2)
    assert given.of_energy(100.0) == pytest.approx(3)
    assert given.of_carbon(10.0, 0.0) == pytest.approx(0.5)
    assert given.of_carbon(10.0, 10.0**2) == pytest.approx(1.3)
    assert given.of_embodied(10.0) == pytest.approx(2)


@given(
    arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 10)),
    st.sampled_from([0.0, 0.5, 0.73, 1.0]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_spread_is_the_sum_over_all_pairs(
    values: np.ndarray, decay: float, n_rows: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).integers(0, n_rows, values.size)
    h = np.arange(values.size)
    correlation = decay ** np.abs(h[:, None] - h)
    of_row = (rows == np.arange(n_rows)[:, None]) * values
    expected = np.einsum("gi,ij,gj->g", of_row, correlation, of_row)
    assert_allclose(spread_of(rows, n_rows, values, decay), expected, rtol=1e-9, atol=1e-9)


def test_errors_that_are_not_correlated_average_out() -> None:
    # 10,000 half-hours of 1 kg: the relative error of their sum is a hundredth of one's.
    rows, ones = np.zeros(10_000, np.int64), np.ones(10_000)
    given = ew.Uncertainty(power=0, intensity=0, half_hour=0.1)
    alone = given.of_carbon(1e4, spread_of(rows, 1, ones, 0.0)[0])
    assert alone / 1e4 == pytest.approx(0.001)
    together = given.of_carbon(1e4, spread_of(rows, 1, ones, 1.0)[0])
    assert together / 1e4 == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["power", "intensity", "half_hour", "autocorrelation", "embodied"])
@pytest.mark.parametrize("value", [-0.1, 5.0, float("nan")])
def test_what_is_no_part_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name}\(={value}\).*0.05 for 5 %"):
        ew.Uncertainty(**{name: value})


def test_the_half_hours_default_is_that_of_the_british_series(real_data: Path) -> None:
    [path] = (real_data / "carbon-gb").glob("neso_api_national_2023_*")
    table = pd.read_csv(path)
    known = table["actual"] > 0
    error = (table["forecast"] - table["actual"]).where(known)
    given = ew.Uncertainty()
    relative = error.std() / table["actual"][known].mean()
    assert relative == pytest.approx(given.half_hour, abs=0.005)  # 0.094
    assert error.corr(error.shift(1)) == pytest.approx(given.autocorrelation, abs=0.01)  # 0.735


def test_the_defaults_are_those_of_the_nomenclature() -> None:
    page = Path(__file__).parents[1] / "docs" / "nomenclature.md"
    rows = page.read_text(encoding="utf-8").splitlines()
    for name, default in vars(ew.Uncertainty()).items():
        [row] = [row for row in rows if row.startswith(f"| `{name}` | $")]
        assert row.split("|")[3].strip() == f"{default:g}"
