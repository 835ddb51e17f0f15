"""Scores: closed forms, counts by hand, intervals that hold, and the real year."""

import numpy as np
import pandas as pd
import pytest
from made_series import DAY, MONDAY, WEEK, made, past, wavy
from numpy.testing import assert_allclose
from scipy.stats import norm

import exawatt as ew
from exawatt.forecast import (
    LEVELS,
    Forecast,
    climatology,
    crps_of_quantiles,
    perfect,
    persistence,
    regression,
    score,
)

# Gneiting & Raftery (2007), eq. 21: CRPS(N(0, 1), y) = y(2Φ(y) - 1) + 2φ(y) - 1/√π.
GAUSSIAN = [(0.0, 0.23369498), (1.0, 0.60244136), (-2.0, 1.45279182)]


@pytest.mark.parametrize(("actual", "expected"), GAUSSIAN)
def test_crps_of_a_gaussian(actual: float, expected: float) -> None:
    closed = actual * (2 * norm.cdf(actual) - 1) + 2 * norm.pdf(actual) - 1 / np.sqrt(np.pi)
    assert closed == pytest.approx(expected, abs=1e-8)
    fine = np.arange(1, 4000) / 4000
    value = crps_of_quantiles(fine, norm.ppf(fine)[:, None], np.array([actual]))
    assert value[0] == pytest.approx(expected, abs=1e-4)
    value = crps_of_quantiles(LEVELS, norm.ppf(LEVELS)[:, None], np.array([actual]))
    assert value[0] == pytest.approx(expected, rel=0.02)


def test_crps_of_a_point_is_nearly_its_absolute_error() -> None:
    # All mass at 3 g: the trapezoids reach from 1/40 to 39/40 and to zero beyond.
    value = crps_of_quantiles(LEVELS, np.full((39, 1), 3.0), np.array([7.0]))
    assert value[0] == pytest.approx(4.0 * 39 / 40)


def test_scores_by_hand() -> None:
    # Three issues of two leads; the fourth half-hour is unknown.
    actual = made([100, 200, 300, np.nan])
    forecast = Forecast(MONDAY, np.array([[110.0, 180], [200, 310], [330, 400]]), "mine")
    table = score([forecast], actual)
    assert list(table["lead_h"]) == [0.5, 1.0]
    assert list(table["n"]) == [3, 2]
    assert_allclose(table["mae"], [40 / 3, 15])
    assert_allclose(table["bias"], [40 / 3, -5])
    assert_allclose(table["crps"], table["mae"])
    assert_allclose(table["skill"], 0.0)


def test_scores_compare_the_same_issues() -> None:
    # The second begins a day later: only what both have counts, and it is perfect.
    series = wavy(3 * WEEK)
    late = persistence(series)
    table = score([late, perfect(series)], series).set_index("forecast")
    assert (table.loc[late.name, "n"].to_numpy() == table.iloc[96:]["n"].to_numpy()).all()
    assert table["n"].iloc[0] == len(perfect(series)) - DAY
    assert (table["mae"].iloc[96:] == 0).all()
    assert (table["skill"].iloc[96:] == 1).all()


def test_filled_half_hours_do_not_count() -> None:
    values = wavy(2 * WEEK).gco2_per_kwh.copy()
    values[100:110] = np.nan
    series = made(values).fill_gaps("week")
    assert score([perfect(series, 0.5)], series)["n"].iloc[0] == 2 * WEEK - 10


def test_no_common_issue_is_refused() -> None:
    series = wavy(WEEK)
    later = wavy(WEEK, start=MONDAY + pd.Timedelta(weeks=2))
    with pytest.raises(ValueError, match="no issue is common"):
        score([perfect(series, 1.0)], later)


def test_intervals_cover_what_they_promise_and_bounds_hold_the_mean() -> None:
    series, history = wavy(40 * WEEK, seed=3), past(40)
    forecasters = [persistence(series, history=history), climatology(history, series)]
    table = score([*forecasters, regression(history, series)], series)
    for name, half, most in [("cover_50", 0.5, 0.06), ("cover_90", 0.9, 0.05)]:
        assert (np.abs(table[name] - half) < most).all()
    for name in ("mae", "crps", "cover_50", "bias"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    best = table[table["forecast"].str.startswith("regression")]
    assert (best["skill_low"].iloc[:DAY] > 0).all()


def test_bounds_are_those_of_weeks_drawn_anew() -> None:
    # Forty weeks each off by its own 0 … 39 g: the mean of 40 draws has a deviation of
    # sqrt((40² - 1) / 12 / 40) = 1.825 g, so 95 % lie within 3.58 g of 19.5 g.
    actual = made(np.full(40 * WEEK, 100.0))
    issued = 100.0 + np.repeat(np.arange(40.0), WEEK)[:, None]
    row = score([Forecast(MONDAY, issued)], actual).iloc[0]
    assert row["mae"] == pytest.approx(19.5)
    assert row["mae_high"] - row["mae_low"] == pytest.approx(2 * 3.58, rel=0.1)


def test_regression_beats_persistence_and_climatology_on_2023(real_data: object) -> None:
    history, series = ew.load_intensity("GB-2022"), ew.load_intensity("GB-2023")
    forecasts = [persistence(series, history=history), climatology(history, series)]
    model = regression(history, series)
    for rival in forecasts:
        table = score([rival, model], series)
        ours = table[table["forecast"] == model.name]
        assert (ours["skill_low"] > 0).all()
    assert (np.abs(ours["cover_90"] - 0.9) < 0.05).all()
    # Persistence a day ahead: 42.7 g, the figure known of this series.
    day = score(forecasts[:1], series).set_index("lead_h").loc[24.0]
    assert day["mae"] == pytest.approx(42.7, abs=0.2)
