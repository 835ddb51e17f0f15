"""Persistence, climatology and regression: values by hand, gaps, what is refused, real years."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from made_series import DAY, MONDAY, WEEK, made, past, wavy
from numpy.testing import assert_allclose, assert_array_equal

import exawatt as ew
from exawatt.forecast import Forecast, climatology, persistence, regression


def test_persistence_takes_the_latest_day_that_has_passed() -> None:
    forecast = persistence(made(np.arange(3.0 * DAY)))
    assert forecast.start == MONDAY + pd.Timedelta(days=1)
    # Issued at the beginning of half-hour 48: itself as half-hour 0, half-hour 95 as 47, and
    # half-hour 96, a day later, as 0 again.
    assert_array_equal(forecast.gco2_per_kwh[0, [0, 47, 48, 95]], [0, 47, 0, 47])
    assert_array_equal(forecast.gco2_per_kwh[1, [0, 46, 47, 48]], [1, 47, 48, 1])


def test_persistence_over_a_gap_takes_the_day_before() -> None:
    # Half-hour 60 is unknown; a week later it is 999, which the rule for accounts would copy.
    values = np.arange(10.0 * DAY)
    values[60], values[60 + WEEK] = np.nan, 999.0
    for series in (made(values), made(values).fill_gaps("week")):
        issued = persistence(series).gco2_per_kwh
        assert issued[61 - 48, 108 - 61] == 12  # the next day's, a lead of 47 half-hours
        assert issued[108 - 48, 0] == 12
        assert issued[109 - 48, 47] == 108


def test_persistence_needs_a_first_day() -> None:
    with pytest.raises(ValueError, match="unknown at 2023-01-02 01:30"):
        persistence(made([1, 1, 1, np.nan, *range(200)]))
    with pytest.raises(ValueError, match="48 half-hours; pass over a day"):
        persistence(made(np.ones(48)))
    with pytest.raises(ValueError, match=r"horizon_h\(=0"):
        persistence(made(np.ones(100)), horizon_h=0)


def by_kind_of_day(n_weeks: int, start: pd.Timestamp, timezone: str) -> ew.Intensity:
    """Half-hour of the local day, plus 100 at weekends."""
    local = pd.date_range(start, periods=n_weeks * WEEK, freq="30min").tz_convert(timezone)
    values = 2.0 * local.hour + local.minute / 30 + 100.0 * (local.day_of_week >= 5)
    return made(np.asarray(values), start, timezone)


def test_climatology_is_the_usual_of_the_local_hour_and_kind_of_day() -> None:
    # London's clocks go forward on 2023-03-26 between the history and the series.
    before = by_kind_of_day(6, pd.Timestamp("2023-01-02", tz="UTC"), "Europe/London")
    after = by_kind_of_day(2, pd.Timestamp("2023-03-20", tz="UTC"), "Europe/London")
    forecast = climatology(before, after)
    assert len(forecast) == len(after)
    for issue in (0, 100, 300, len(after) - DAY):
        assert_allclose(forecast.gco2_per_kwh[issue, :DAY], after.gco2_per_kwh[issue:][:DAY])


def test_climatology_leaves_out_what_was_filled() -> None:
    history = by_kind_of_day(6, MONDAY - pd.Timedelta(weeks=6), "UTC")
    values = history.gco2_per_kwh.copy()
    values[0] = np.nan
    values[WEEK] = 1000.0  # copied into the gap it would count twice
    filled = made(values, history.start).fill_gaps("week")
    forecast = climatology(filled, wavy(WEEK))
    # Of 30 workday midnights, 29 are known: 28 of 0 and one of 1000.
    assert forecast.gco2_per_kwh[0, 0] == pytest.approx(1000 / 29)


def test_spread_of_climatology_is_that_of_parts_left_out() -> None:
    # Ten parts of constant level 0, 10 … 90: each is off the mean of the other nine.
    history = made(np.repeat(np.arange(0.0, 100, 10), WEEK), MONDAY - pd.Timedelta(weeks=10))
    forecast = climatology(history, wavy(WEEK))
    assert_allclose(forecast.gco2_per_kwh, 45.0)
    errors = np.concatenate([forecast.quantile(level)[0, :1] - 45 for level in (0.025, 0.975)])
    assert_allclose(errors, [-45, 50])  # not below 0 g


@pytest.mark.parametrize("forecaster", [climatology, regression])
def test_learning_from_the_future_is_refused(forecaster: Callable[..., Forecast]) -> None:
    with pytest.raises(ValueError, match="pass a history that ended before"):
        forecaster(wavy(10 * WEEK), wavy(10 * WEEK))
    with pytest.raises(ValueError, match="pass a history that ended before"):
        persistence(wavy(WEEK), history=wavy(WEEK))


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(ValueError, match=r"7\.0 weeks; pass 8"):
        regression(past(7), wavy(WEEK))
    with pytest.raises(ValueError, match="several weeks"):
        climatology(wavy(5 * DAY, start=MONDAY - pd.Timedelta(weeks=1)), wavy(WEEK))
    with pytest.raises(ValueError, match="longer history"):
        day = made(np.ones(2 * DAY), MONDAY - pd.Timedelta(days=2))
        persistence(wavy(WEEK), history=day)


def test_regression_finds_how_fast_a_series_returns_to_the_usual() -> None:
    # An anomaly that keeps 0.98 of itself each half-hour: at lead k the best forecast is
    # 0.98 ** (k + 1) of the last one, and the deviation of what comes about it is
    # 8 * sqrt((1 - 0.98 ** (2k + 2)) / (1 - 0.98 ** 2)).
    series, history = wavy(20 * WEEK, seed=1), past(50)
    forecast = regression(history, series)
    daily = 200 + 40 * np.sin(np.arange(len(series)) * 2 * np.pi / DAY)
    last = (series.gco2_per_kwh - daily)[WEEK - 1 : -DAY]
    for lead in (0, 5, 23):
        best = daily[WEEK + lead :][: last.size] + 0.98 ** (lead + 1) * last
        issued = forecast.gco2_per_kwh[WEEK:-DAY][1:, lead][: last.size]
        came = series.gco2_per_kwh[WEEK + 1 + lead :][: issued.size]
        deviation = 8 * np.sqrt((1 - 0.98 ** (2 * lead + 2)) / (1 - 0.98**2))
        ideal = np.sqrt(np.mean((best[1 : came.size + 1] - came[: best.size - 1]) ** 2))
        assert np.sqrt(np.mean((issued - came) ** 2)) < 1.1 * ideal
        width = forecast.quantile(0.95)[:, lead] - forecast.quantile(0.05)[:, lead]
        assert np.median(width) == pytest.approx(2 * 1.645 * deviation, rel=0.15)


def test_regression_begins_with_the_series_and_bridges_its_gaps() -> None:
    values = wavy(4 * WEEK).gco2_per_kwh.copy()
    values[:30], values[500:600] = np.nan, np.nan
    forecast = regression(past(), made(values))
    assert forecast.start == MONDAY
    assert len(forecast) == 4 * WEEK


def test_the_quantiles_of_a_forecast_grow_with_their_level() -> None:
    forecast = regression(past(), wavy(2 * WEEK))
    quantiles = [forecast.quantile(level) for level in (0.025, 0.25, 0.5, 0.75, 0.975)]
    assert (np.diff(quantiles, axis=0) >= 0).all()
    with pytest.raises(ValueError, match=r"level\(=0.99\) must be one of"):
        forecast.quantile(0.99)
    with pytest.raises(ValueError, match="no spread; pass a history"):
        persistence(wavy(WEEK)).quantile(0.5)
    with pytest.raises(ValueError, match="spread has 96 leads, gco2_per_kwh 2"):
        Forecast(MONDAY, np.ones((3, 2)), spread=forecast.spread)


def test_quantiles_follow_the_level_of_the_forecast() -> None:
    # Low forecasts are exact, middling ones 10 g and high ones 20 g too low.
    level = np.repeat([100.0, 200.0, 300.0], 200)
    issued = np.stack([level, level], axis=1)
    spread = ew.forecast.Spread.of(issued, (issued - 100) / 10)
    forecast = Forecast(MONDAY, np.array([[100.0, 300.0], [200.0, 100.0]]), spread=spread)
    assert_allclose(forecast.quantile(0.5), [[100, 320], [210, 100]])


@pytest.fixture(scope="module")
def real_years(real_data: object) -> tuple[ew.Intensity, ew.Intensity]:
    return ew.load_intensity("GB-2022"), ew.load_intensity("GB-2023")


def test_the_usual_of_2022_tells_workdays_from_weekends(
    real_years: tuple[ew.Intensity, ew.Intensity],
) -> None:
    # What the notes of climatology say, with each month left out in turn.
    history, _ = real_years
    local = history.times.tz_convert("Europe/London")
    hour = np.asarray(2 * local.hour + local.minute // 30)
    weekday, month = np.asarray(local.day_of_week), np.asarray(local.month)
    keys = {
        54.5: np.zeros(len(history)),
        53.5: hour,
        51.3: hour + 48 * (weekday >= 5),
        51.4: hour + 48 * weekday,
        55.4: hour + 48 * (month % 12 // 3),
    }
    for expected, key in keys.items():
        off = []
        for left_out in range(1, 11):
            there = month == left_out
            rest = pd.Series(history.gco2_per_kwh[~there])
            means = rest.groupby(key[~there]).mean().reindex(key[there])
            means = means.fillna(means.mean())
            off.append(np.abs(means.to_numpy() - history.gco2_per_kwh[there]).mean())
        assert np.mean(off) == pytest.approx(expected, abs=0.06)
