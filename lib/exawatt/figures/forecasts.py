"""Figures of forecasts: how far off, how much better than the usual, and how rightly unsure."""

from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.figures.chapter import THESIS_INTENSITY, effort_of, thesis_intensity
from exawatt.figures.replay import dates
from exawatt.forecast import Forecast, climatology, perfect, persistence, regression, score
from exawatt.forecast.simulated import DELIVERY_MAE, PUBLISHED_IN, PUBLISHED_MAE, synthetic
from exawatt.intensity import WEEK_HALF_HOURS, Intensity
from exawatt.readers.catalog import load_intensity
from exawatt.stats import Floats

HISTORY = "GB-2022"
DAY_HALF_HOURS = 48
#: Least and greatest mean absolute error of the service's forecasts on a single day, March to
#: June 2023 [gCO2/kWh].
PUBLISHED_DAYS = (11.0, 55.0)
#: Seeds of the synthetic forecasts whose days are counted.
SEEDS = {"full": 10, "quick": 3, "test": 1}


def past_and_present(effort: str = "") -> tuple[Intensity, Intensity]:
    """Series to learn from, and the later one to forecast; the tiny one's halves in a test."""
    series = thesis_intensity(effort)
    if effort_of(effort) == "test":
        half = len(series) // 2
        return part(series, 0, half), part(series, half, len(series))
    return load_intensity(HISTORY), series


def part(series: Intensity, first: int, last: int) -> Intensity:
    """Half-hours `first` to `last` of a series, the last one excluded."""
    return replace(
        series,
        start=series.times[first],
        gco2_per_kwh=series.gco2_per_kwh[first:last],
        filled=series.filled[first:last],
    )


def forecasters(
    history: Intensity, series: Intensity, horizon_h: float = 48.0
) -> dict[str, Forecast]:
    """Forecasts that anyone could have issued, by name; the usual day is the first."""
    return {
        "climatology": climatology(history, series, horizon_h),
        "persistence": persistence(series, horizon_h, history),
        "regression": regression(history, series, horizon_h),
    }


def scores(forecasts: dict[str, Forecast], series: Intensity) -> pd.DataFrame:
    """Scores by lead as :func:`exawatt.forecast.score` has them, with short names."""
    return score([replace(each, name=name) for name, each in forecasts.items()], series)


def monthly(forecasts: dict[str, Forecast], series: Intensity) -> pd.DataFrame:
    """Scores by lead in each calendar month, of the months with a fortnight and more.

    Half-hours of the next month do not count: the longest leads of a month's last issues.
    """
    local = series.times.tz_convert(series.timezone)
    months = (local.year * 12 + local.month).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(months)) + 1), len(series)]
    tables = [
        scores(forecasts, part(series, first, last)).assign(month=f"{local[first]:%Y-%m}")
        for first, last in pairwise(edges)
        if last - first >= 2 * WEEK_HALF_HOURS
    ]
    return pd.concat(tables, ignore_index=True)


def error_by_lead(table: pd.DataFrame, by_month: pd.DataFrame) -> Figure:
    """Mean absolute error by lead; a band from the best month to the worst.

    A lead is counted from the issue to the end of the half-hour. The dashed line is the error of
    the service's own last forecasts of 2023, whatever series is scored.

    Parameters
    ----------
    table : DataFrame
        What :func:`scores` returns.
    by_month : DataFrame
        What :func:`monthly` returns.
    """
    of_months = by_month.groupby(["forecast", "lead_h"], sort=False)["mae"].agg(["min", "max"])
    names = list(table["forecast"].unique())
    figure, axes = plt.subplots(1, len(names), figsize=(7.2, 3.2), sharey=True)
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        band = of_months.loc[name]
        low, high = band["min"].to_numpy(), band["max"].to_numpy()
        axis.fill_between(band.index, low, high, color=f"C{i}", alpha=0.2, linewidth=0)
        for other, rows in table.groupby("forecast", sort=False):
            own = {"color": f"C{i}", "zorder": 3} if other == name else {"color": "0.7"}
            axis.plot(rows["lead_h"], rows["mae"], linewidth=1.8 if other == name else 0.8, **own)
        axis.axhline(DELIVERY_MAE, color="0.3", linewidth=0.9, linestyle="--")
        axis.set_title(name, color=f"C{i}")
        _leads(axis, table, every_h=12)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("mean absolute error [gCO₂/kWh]")
    note = f"the service,\njust before delivery: {DELIVERY_MAE:g} g"
    place = {"xytext": (-2, 2), "textcoords": "offset points", "ha": "right", "va": "bottom"}
    axes[0].annotate(note, (table["lead_h"].max(), DELIVERY_MAE), **place, fontsize=8, color="0.3")
    return figure


def skill_by_lead(table: pd.DataFrame) -> Figure:
    """Part of the first forecast's CRPS that the others save, by lead; 95 % of bootstraps."""
    figure, axis = plt.subplots()
    names = list(table["forecast"].unique())
    for i, name in enumerate(names[1:], start=1):
        rows = table[table["forecast"] == name]
        low, high = rows["skill_low"], rows["skill_high"]
        axis.fill_between(rows["lead_h"], low, high, color=f"C{i}", alpha=0.2, linewidth=0)
        axis.plot(rows["lead_h"], rows["skill"], color=f"C{i}", label=name)
    axis.axhline(0, color="C0", linewidth=1.2, label=names[0])
    axis.set_ylabel(f"CRPS saved against {names[0]} [-]")
    axis.set_ylim(top=1)
    _leads(axis, table)
    axis.legend()
    return figure


def coverage(table: pd.DataFrame) -> Figure:
    """How often what came lay in the central intervals of 50 % and 90 %, by lead."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2))
    for axis, percent in zip(axes, (50, 90), strict=True):
        axis.axhline(percent / 100, color="0.3", linewidth=0.9, linestyle="--")
        for i, (name, rows) in enumerate(table.groupby("forecast", sort=False)):
            low, high = rows[f"cover_{percent}_low"], rows[f"cover_{percent}_high"]
            axis.fill_between(rows["lead_h"], low, high, color=f"C{i}", alpha=0.15, linewidth=0)
            axis.plot(rows["lead_h"], rows[f"cover_{percent}"], color=f"C{i}", label=name)
        axis.set_title(f"central {percent} %")
        _leads(axis, table, every_h=12)
    axes[0].set_ylabel("share of what came within [-]")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _leads(axis: Axes, table: pd.DataFrame, every_h: int = 6) -> None:
    axis.set_xlabel("lead [h]")
    axis.set_xlim(0, table["lead_h"].max())
    axis.set_xticks(np.arange(0, table["lead_h"].max() + 1, every_h))


def liveliest(series: Intensity) -> int:
    """First half-hour, a midnight UTC, of the week in which intensity varied most.

    Of weeks that have one before them, from which forecasts start.
    """
    midnight = -int(series.start.timestamp() // 1800) % DAY_HALF_HOURS
    starts = np.arange(midnight, len(series) - WEEK_HALF_HOURS + 1, DAY_HALF_HOURS)
    starts = starts[starts >= WEEK_HALF_HOURS]
    spread = [np.std(series.gco2_per_kwh[first:][:WEEK_HALF_HOURS]) for first in starts]
    return int(starts[np.argmax(spread)])


def fans(history: Intensity, series: Intensity, first: int) -> Figure:
    """One week as each forecaster saw it at its beginning, and as it came.

    Parameters
    ----------
    history : Intensity
        What forecasters learnt from.
    series : Intensity
        The series that the week is part of; what comes after its beginning is not shown to them.
    first : int
        Half-hour of issue.
    """
    known = part(series, first - WEEK_HALF_HOURS, first + 1)
    times = series.times[first : first + WEEK_HALF_HOURS].tz_localize(None)
    came = series.gco2_per_kwh[first : first + WEEK_HALF_HOURS]
    issued = forecasters(history, known, WEEK_HALF_HOURS / 2)
    figure, axes = plt.subplots(len(issued), 1, figsize=(7.2, 5.6), sharex=True, sharey=True)
    for i, (axis, (name, forecast)) in enumerate(zip(axes, issued.items(), strict=True)):
        for percent, alpha in ((90, 0.15), (50, 0.3)):
            levels = (0.5 - percent / 200, 0.5 + percent / 200)
            low, high = (forecast.quantile(level)[-1] for level in levels)
            label = f"{percent} %"
            axis.fill_between(
                times, low, high, color=f"C{i}", alpha=alpha, linewidth=0, label=label
            )
        axis.plot(times, forecast.gco2_per_kwh[-1], color=f"C{i}", label=name)
        axis.plot(times, came, color="0.15", linewidth=1.0, label="what came")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylabel("intensity [gCO₂/kWh]")
    dates(axes[-1])
    return figure


def synthetic_days(series: Intensity, effort: str = "") -> Floats:
    """Mean absolute error of synthetic forecasts over each day's issues [gCO2/kWh].

    Of the days from March to June 2023, for which it is published; one row a seed.
    """
    half_hour = pd.Timedelta(minutes=30)
    first, last = ((when - series.start) // half_hour for when in PUBLISHED_IN)
    if first < 0 or last > len(series):
        raise ValueError(f"{series.label} must have March to June 2023; pass {THESIS_INTENSITY}.")
    came = perfect(series).gco2_per_kwh[first:last]
    days = []
    for seed in range(SEEDS[effort_of(effort)]):
        off = np.abs(synthetic(series, seed).gco2_per_kwh[first:last] - came)
        days.append(off.reshape(-1, DAY_HALF_HOURS * came.shape[1]).mean(axis=1))
    return np.array(days)


def synthetic_histogram(days: Floats) -> Figure:
    """Daily errors of synthetic forecasts, beside the range that is published.

    Parameters
    ----------
    days : ndarray, shape (n_seeds, n_days)
        What :func:`synthetic_days` returns [gCO2/kWh].
    """
    figure, axis = plt.subplots(figsize=(7.2, 3.0))
    low, high = PUBLISHED_DAYS
    axis.axvspan(low, high, color="C1", alpha=0.18, linewidth=0, label="published, single days")
    axis.axvline(PUBLISHED_MAE, color="C1", label=f"published, mean: {PUBLISHED_MAE:g}")
    edges = np.arange(0, max(high, days.max()) + 4, 2.5).tolist()
    weights = np.full(days.size, 1 / days.shape[0])
    axis.hist(days.ravel(), edges, weights=weights, color="C0", alpha=0.8, label="synthetic")
    axis.set(xlabel="mean absolute error of a day's forecasts [gCO₂/kWh]", ylabel="days")
    axis.set_xlim(0, edges[-1])
    axis.grid(axis="x", visible=False)
    axis.legend()
    return figure


def facts(table: pd.DataFrame, days: Floats) -> dict[str, str]:
    """What the prose tells of scores by lead, and of synthetic days."""
    names = ("climatology", "persistence", "regression")
    mae = table.groupby("forecast")["mae"].mean()
    at_a_day = table[np.isclose(table["lead_h"], 24)].set_index("forecast")
    return {
        **{f"{name}_mae": f"{float(mae[name]):.1f}" for name in names},
        "regression_day_skill": f"{float(at_a_day['skill']['regression']):.0%}",
        "delivery_mae": f"{DELIVERY_MAE:g}",
        "published_mae": f"{PUBLISHED_MAE:g}",
        "synthetic_days": f"{days.min():.0f} to {days.max():.0f}",
    }
