"""Figures of forecasts: what they draw is what was scored, and nothing of the future is used."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

import exawatt as ew
from exawatt.figures import chapter, forecasts
from exawatt.forecast import Forecast
from exawatt.intensity import WEEK_HALF_HOURS as WEEK

NAMES = ["climatology", "persistence", "regression"]


@pytest.fixture(scope="module")
def past_and_present() -> tuple[ew.Intensity, ew.Intensity]:
    """Return a noisy ten weeks to learn from, and nearly nine that follow."""
    rng = np.random.default_rng(1)
    noise = np.zeros(19 * WEEK)
    for i in range(1, noise.size):
        noise[i] = 0.98 * noise[i - 1] + 8 * rng.standard_normal()
    values = np.maximum(200 + 40 * np.sin(np.arange(noise.size) * 2 * np.pi / 48) + noise, 20)
    start = pd.Timestamp("2023-01-02", tz="UTC")
    series = ew.Intensity(start, values, timezone="UTC")
    return forecasts.part(series, 0, 10 * WEEK), forecasts.part(series, 10 * WEEK, 19 * WEEK - 48)


@pytest.fixture(scope="module")
def issued(past_and_present: tuple[ew.Intensity, ew.Intensity]) -> dict[str, Forecast]:
    return forecasts.forecasters(*past_and_present, horizon_h=30)


@pytest.fixture(scope="module")
def table(
    issued: dict[str, Forecast], past_and_present: tuple[ew.Intensity, ew.Intensity]
) -> pd.DataFrame:
    return forecasts.scores(issued, past_and_present[1])


def lines(figure: Figure, panel: int = 0) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata()) for line in figure.axes[panel].lines]


def drawn(figure: Figure, values: pd.Series, panel: int = 0) -> bool:
    return any(np.array_equal(line, values) for line in lines(figure, panel))


def test_a_part_of_a_series_keeps_its_hours() -> None:
    series = ew.load_intensity("tiny")
    part = forecasts.part(series, 100, 140)
    assert len(part) == 40
    assert part.start == series.times[100]
    assert part.gco2_per_kwh.tolist() == series.gco2_per_kwh[100:140].tolist()
    assert part.fill == series.fill


def test_a_test_learns_from_the_first_half_of_the_tiny_series() -> None:
    history, series = forecasts.past_and_present("test")
    assert (history.tier, series.tier) == ("tiny", "tiny")
    assert history.start + pd.Timedelta(minutes=30 * len(history)) == series.start
    assert len(history) == len(series) == 26 * WEEK


def test_a_build_learns_from_the_year_before(real_data: object) -> None:
    names = [each.name for each in forecasts.past_and_present("full")]
    assert names == ["GB-2022", "GB-2023"]


def test_the_usual_day_is_what_the_others_are_compared_with(table: pd.DataFrame) -> None:
    assert list(table["forecast"].unique()) == NAMES
    assert (table.loc[table["forecast"] == "climatology", "skill"] == 0).all()
    assert (table.loc[table["forecast"] == "regression", "skill"].iloc[:10] > 0.3).all()


def test_months_are_scored_apart(
    issued: dict[str, Forecast],
    past_and_present: tuple[ew.Intensity, ew.Intensity],
    table: pd.DataFrame,
) -> None:
    # From 13 March to 14 May: the last month has thirteen days.
    months = forecasts.monthly(issued, past_and_present[1])
    assert list(months["month"].unique()) == ["2023-03", "2023-04"]
    assert (months.groupby("month")["n"].max() == [18 * 48, 30 * 48]).all()
    april = past_and_present[1].times.month == 4
    known = {name: each for name, each in issued.items() if name == "climatology"}
    first = known["climatology"].gco2_per_kwh[: len(past_and_present[1]), 0]
    off = np.abs(first - past_and_present[1].gco2_per_kwh)[april].mean()
    row = months.query("forecast == 'climatology' and month == '2023-04'").iloc[0]
    assert row["mae"] == pytest.approx(off)


def test_errors_are_drawn_with_their_months(
    issued: dict[str, Forecast],
    past_and_present: tuple[ew.Intensity, ew.Intensity],
    table: pd.DataFrame,
) -> None:
    months = forecasts.monthly(issued, past_and_present[1])
    figure = forecasts.error_by_lead(table, months)
    assert [axis.get_title() for axis in figure.axes] == NAMES
    for panel, name in enumerate(NAMES):
        axis = figure.axes[panel]
        for other in NAMES:  # each panel shows all, the others thin
            assert drawn(figure, table.loc[table["forecast"] == other, "mae"], panel)
        (band,) = axis.collections
        assert isinstance(band, FillBetweenPolyCollection)
        heights = band.get_paths()[0].vertices[:, 1]
        own = months.loc[months["forecast"] == name, "mae"]
        assert (heights.min(), heights.max()) == pytest.approx((own.min(), own.max()))
        assert any(np.array_equal(line, [9.9, 9.9]) for line in lines(figure, panel))


def test_skill_and_coverage_are_drawn_by_lead(table: pd.DataFrame) -> None:
    skill, coverage = forecasts.skill_by_lead(table), forecasts.coverage(table)
    for name in NAMES:
        rows = table[table["forecast"] == name]
        assert drawn(skill, rows["skill"]) == (name != "climatology")
        assert drawn(coverage, rows["cover_50"], 0)
        assert drawn(coverage, rows["cover_90"], 1)
    assert [axis.get_title() for axis in coverage.axes] == ["central 50 %", "central 90 %"]
    assert [text.get_text() for text in coverage.legends[0].get_texts()] == NAMES


def test_the_liveliest_week_begins_at_midnight_after_another_week() -> None:
    values = np.full(8 * WEEK, 100.0)
    values[50:200] = 300.0  # the liveliest half-hours have no week before them
    values[5 * WEEK + 20 : 5 * WEEK + 188] = 200.0
    start = pd.Timestamp("2022-12-31 23:30", tz="UTC")
    series = ew.Intensity(start, values)
    first = forecasts.liveliest(series)
    assert first >= WEEK
    assert series.times[first].strftime("%H:%M") == "00:00"
    assert 5 * WEEK + 188 - WEEK <= first <= 5 * WEEK + 20


def test_fans_know_nothing_of_their_week(
    past_and_present: tuple[ew.Intensity, ew.Intensity], monkeypatch: pytest.MonkeyPatch
) -> None:
    history, series = past_and_present
    first = 3 * WEEK
    changed = series.gco2_per_kwh.copy()
    changed[first:] += 100
    other = replace(series, gco2_per_kwh=changed)
    figures = [forecasts.fans(history, each, first) for each in (series, other)]
    for panel in range(3):
        forecast, came = lines(figures[0], panel)
        same, later = lines(figures[1], panel)
        assert forecast.tolist() == same.tolist()
        assert (later - came).tolist() == pytest.approx([100] * WEEK)
        assert came.tolist() == series.gco2_per_kwh[first : first + WEEK].tolist()


def test_synthetic_days_are_those_of_the_published_months() -> None:
    days = forecasts.synthetic_days(chapter.thesis_intensity("test"), "test")
    assert days.shape == (1, 122)  # March to June
    assert days.mean() == pytest.approx(25.7, abs=1e-3)
    figure = forecasts.synthetic_histogram(days)
    assert sum(patch.get_height() for patch in figure.axes[0].patches[1:]) == pytest.approx(122)


def test_other_years_have_no_published_months() -> None:
    series = ew.Intensity(pd.Timestamp("2022-01-01", tz="UTC"), np.full(400 * 48, 200.0))
    with pytest.raises(ValueError, match="must have March to June 2023; pass GB-2023"):
        forecasts.synthetic_days(series)
