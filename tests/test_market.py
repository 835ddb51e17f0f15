"""Market-based intensity: contracts, what they leave uncovered, and the residual mix."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.market import flat

GRID = ew.Intensity(pd.Timestamp("2023-01-01", tz="UTC"), np.array([100.0, 300.0]), name="grid")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 0]),  # certificates of wind for everything
        ({"contract": 50.0}, [50, 50]),
        ({"covered": 0.0}, [100, 300]),  # nothing covered, no residual mix known: the grid's
        ({"covered": 0.6}, [40, 120]),
        ({"contract": 50.0, "covered": 0.6, "residual": 350.0}, [170, 170]),
        ({"contract": GRID, "covered": 0.5}, [100, 300]),
        ({"covered": 0.5, "residual": flat(GRID, 400.0)}, [200, 200]),
    ],
)
def test_mixes_by_hand(arguments: dict[str, object], expected: list[float]) -> None:
    mixed = ew.market_based(GRID, **arguments)  # type: ignore[arg-type]
    assert_allclose(mixed.gco2_per_kwh, expected, rtol=1e-12)
    assert mixed.start == GRID.start


def test_the_label_says_what_it_is_made_of() -> None:
    assert ew.market_based(GRID, 12.5, covered=0.6).label == "60% at 12.5 gCO2/kWh, 40% at grid"


def test_a_gap_of_the_grid_matters_only_where_the_grid_counts() -> None:
    gap = ew.Intensity(GRID.start, np.array([100.0, np.nan]))
    assert not np.isnan(ew.market_based(gap, 20.0).gco2_per_kwh).any()
    assert np.isnan(ew.market_based(gap, 20.0, covered=0.9).gco2_per_kwh[1])


def test_filled_half_hours_stay_known_as_such() -> None:
    values = np.full(15 * 48, 100.0)
    values[7 * 48] = np.nan
    filled = ew.Intensity(GRID.start, values).fill_gaps("week")
    mixed = ew.market_based(filled, 0.0, covered=0.5)
    assert (mixed.fill, mixed.filled.sum()) == ("week", 1)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"covered": 60.0}, r"covered\(=60.0\).*0.6 for 60 %"),
        ({"contract": -1.0}, r"gco2_per_kwh\(=-1.0\)"),
        ({"contract": float("nan")}, r"gco2_per_kwh\(=nan\)"),
        ({"contract": ew.Intensity(GRID.start, np.ones(3))}, "does not have the half-hours"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        ew.market_based(GRID, **arguments)  # type: ignore[arg-type]


def test_kilograms_are_doubted() -> None:
    with pytest.warns(UserWarning, match=r"gco2_per_kwh\(=0.35\).*gCO2 per kWh"):
        ew.market_based(GRID, 0.35)
