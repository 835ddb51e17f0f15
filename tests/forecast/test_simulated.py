"""Forecasts that never existed: exact ones, and ones that err as much as the service's."""

import numpy as np
import pandas as pd
import pytest
from made_series import DAY, MONDAY, WEEK, made, wavy
from numpy.testing import assert_array_equal

import exawatt as ew
from exawatt.forecast import perfect, synthetic


def test_perfect_is_what_came() -> None:
    forecast = perfect(made(np.arange(10.0)), horizon_h=1.5)
    assert len(forecast) == 8
    assert_array_equal(forecast.gco2_per_kwh[7], [7, 8, 9])


def test_perfect_goes_on_as_52_weeks_earlier() -> None:
    # 53 weeks: what follows the end is the second week's beginning, as an account takes it.
    values = np.arange(53.0 * WEEK)
    forecast = perfect(made(values))
    assert len(forecast) == 53 * WEEK
    assert_array_equal(forecast.gco2_per_kwh[-1, :3], [53 * WEEK - 1, WEEK, WEEK + 1])


def test_gaps_and_short_series_are_refused() -> None:
    with pytest.raises(ValueError, match="fill the gaps"):
        perfect(made([1.0, np.nan, 3.0]), 1.0)
    with pytest.raises(ValueError, match="fill the gaps"):
        synthetic(made([1.0, np.nan, 3.0]), horizon_h=1.0)
    with pytest.raises(ValueError, match="3 half-hours; pass 96 or more"):
        perfect(made([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="pass another mae_gco2_per_kwh"):
        synthetic(wavy(4 * WEEK), mae_gco2_per_kwh=500)
    with pytest.raises(ValueError, match="below 0"):
        synthetic(wavy(4 * WEEK), mae_gco2_per_kwh=-1)


def test_synthetic_errs_as_much_as_asked() -> None:
    series = wavy(20 * WEEK)
    for mae in (5.0, 25.7):
        forecast = synthetic(series, mae_gco2_per_kwh=mae)
        off = np.abs(forecast.gco2_per_kwh - perfect(series).gco2_per_kwh)
        assert off.mean() == pytest.approx(mae, abs=1e-3)
        # 9.9 of 25.7 g are left at delivery.
        assert off[:, 0].mean() == pytest.approx(mae * 9.9 / 25.7, abs=1e-3)
    assert "synthetic" in forecast.name
    none = synthetic(series, mae_gco2_per_kwh=0.0).gco2_per_kwh
    assert_array_equal(none, perfect(series).gco2_per_kwh)


def test_synthetic_vintages_are_of_one_piece() -> None:
    series = wavy(52 * WEEK, seed=2)
    forecast = synthetic(series, seed=5, mae_gco2_per_kwh=8.0)  # seldom at its bounds
    error = forecast.gco2_per_kwh - perfect(series).gco2_per_kwh
    deviation = error.std(axis=0)
    # Errors grow with the lead, their variance in proportion.
    assert (np.diff(deviation) > -0.05).all()
    growth = np.diff((deviation**2)[[0, 32, 64, 95]]) / [32, 32, 31]
    assert growth.max() / growth.min() < 1.4
    # One half-hour, foretold one issue later: nearly the same error, and its news is new.
    one_later, before = error[1:, :-1], error[:-1, 1:]
    news = before - one_later
    assert np.corrcoef(one_later[:, 40], before[:, 40])[0, 1] > 0.97
    assert abs(np.corrcoef(news[:, 40], one_later[:, 40])[0, 1]) < 0.05
    assert abs(np.corrcoef(news[1:, 40], news[:-1, 40])[0, 1]) < 0.05
    # What is alike in one issue: half-hours a day apart by exp(-1) = 0.37.
    assert np.corrcoef(news[:, 10], news[:, 10 + DAY])[0, 1] == pytest.approx(0.37, abs=0.05)
    assert np.corrcoef(error[1:, 0], error[:-1, 0])[0, 1] == pytest.approx(0.74, abs=0.05)


def test_synthetic_depends_on_its_seed_alone() -> None:
    series = wavy(4 * WEEK)
    first, again, other = (synthetic(series, seed).gco2_per_kwh for seed in (1, 1, 2))
    assert_array_equal(first, again)
    assert (first != other).any()
    assert first.min() >= series.gco2_per_kwh.min()
    assert first.max() <= series.gco2_per_kwh.max()


def test_synthetic_on_2023_is_calibrated_to_the_published_accuracy(real_data: object) -> None:
    # 25.7 g over all leads and 11 to 55 g on single days, March to June 2023.
    series = ew.load_intensity("GB-2023")
    first = (pd.Timestamp("2023-03-01", tz="UTC") - series.start) // pd.Timedelta("30min")
    days = slice(first, first + 122 * DAY)
    least, most = [], []
    for seed in range(5):
        forecast = synthetic(series, seed)
        off = np.abs(forecast.gco2_per_kwh - perfect(series).gco2_per_kwh)[days]
        assert off.mean() == pytest.approx(25.7, abs=1e-3)
        assert off[:, 0].mean() == pytest.approx(9.9, abs=1e-3)
        by_day = off.reshape(122, -1).mean(axis=1)
        least.append(by_day.min())
        most.append(by_day.max())
    assert np.mean(least) == pytest.approx(11, abs=4)
    assert np.mean(most) == pytest.approx(55, abs=8)
    assert forecast.start == series.start > MONDAY - pd.Timedelta(days=3)
