"""Half-hourly carbon intensity as data: shape, gaps, and the rule that fills them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import exawatt as ew

Make = Callable[..., ew.Intensity]
WEEK = 7 * 48
GAP = None


def test_a_series_knows_its_values_and_when_they_begin(make_intensity: Make) -> None:
    series = make_intensity("2023-06-14 00:00", [100.0, 120.5, 80.0])
    assert series.start == pd.Timestamp("2023-06-14 00:00", tz="UTC")
    assert_array_equal(series.gco2_per_kwh, [100.0, 120.5, 80.0])
    assert_array_equal(series.filled, [False, False, False])
    assert series.fill is None


def test_gaps_stay_gaps_unless_a_rule_is_named(make_intensity: Make) -> None:
    series = make_intensity("2023-06-14 00:00", [100.0, GAP, 80.0])
    assert_array_equal(series.gco2_per_kwh, [100.0, np.nan, 80.0])
    assert not series.filled.any()


def test_week_fills_with_the_mean_of_the_weeks_before_and_after(make_intensity: Make) -> None:
    # The same half-hour was 110 in the week before and is 300 in the week after.
    values: list[float | None] = [100.0] * WEEK + [200.0] * WEEK + [300.0] * WEEK
    gap = WEEK + 17
    values[gap] = GAP
    values[gap - WEEK] = 110.0
    series = make_intensity("2023-01-02 00:00", values).fill_gaps("week")
    assert series.gco2_per_kwh[gap] == pytest.approx((110 + 300) / 2)
    assert_array_equal(np.flatnonzero(series.filled), [gap])
    assert series.fill == "week"


@pytest.mark.parametrize(("gap", "source"), [(5, 5 + WEEK), (2 * WEEK + 5, WEEK + 5)])
def test_week_at_an_end_takes_the_one_week_there_is(
    make_intensity: Make, gap: int, source: int
) -> None:
    values: list[float | None] = [float(100 + i % 97) for i in range(3 * WEEK)]
    values[gap] = GAP
    series = make_intensity("2023-01-02 00:00", values, fill="week")
    assert series.gco2_per_kwh[gap] == values[source]
    assert series.filled[gap]


def test_filling_leaves_known_values_and_the_unfilled_series_alone(make_intensity: Make) -> None:
    values: list[float | None] = [float(50 + i % 31) for i in range(2 * WEEK)]
    values[40:60] = [GAP] * 20
    series = make_intensity("2023-01-02 00:00", values)
    filled = series.fill_gaps("week")
    assert np.isnan(series.gco2_per_kwh).sum() == 20
    assert not np.isnan(filled.gco2_per_kwh).any()
    assert_array_equal(np.flatnonzero(filled.filled), np.arange(40, 60))
    assert_array_equal(filled.gco2_per_kwh[~filled.filled], series.gco2_per_kwh[~filled.filled])


def test_what_no_other_week_knows_stays_a_gap(make_intensity: Make) -> None:
    series = make_intensity("2023-06-14 00:00", [100.0, GAP, 80.0], fill="week")
    assert_array_equal(series.gco2_per_kwh, [100.0, np.nan, 80.0])
    assert not series.filled.any()


def test_an_unknown_rule_is_refused(make_intensity: Make) -> None:
    with pytest.raises(ValueError, match="guess"):
        make_intensity("2023-06-14 00:00", [100.0]).fill_gaps("guess")


def test_a_series_is_frozen(make_intensity: Make) -> None:
    series = make_intensity("2023-06-14 00:00", [100.0])
    with pytest.raises((AttributeError, TypeError)):
        series.name = "other"
