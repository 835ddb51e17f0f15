"""Figures and tables of schedules."""

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exawatt.figures.traces import local_times, seconds_at
from exawatt.power import common_window_s
from exawatt.replay import Schedule, allocate_processors
from exawatt.stats import Floats, bounded_slowdown, step_mean

DAY_S = 86400.0
#: Longer traces are drawn by the week, whose cycle would hide the rest.
LONG_DAYS = 100
HOUR_S = 3600.0
MINUTE_S = 60.0


def metrics(schedules: list[Schedule]) -> pd.DataFrame:
    """One row a schedule: its summary, waits in hours."""
    return pd.DataFrame([_metrics_row(schedule) for schedule in schedules])


def _metrics_row(schedule: Schedule) -> dict[str, object]:
    summary = schedule.metrics()
    return {
        "trace": schedule.workload.name,
        "policy": schedule.policy.name,
        "mean slowdown": summary["avebsld"],
        "mean wait [h]": summary["mean_wait_s"] / HOUR_S,
        "99 % wait [h]": summary["p99_wait_s"] / HOUR_S,
        "longest wait [h]": summary["max_wait_s"] / HOUR_S,
        "utilisation": summary["utilisation"],
        "makespan [d]": summary["makespan_s"] / DAY_S,
    }


def day_bins_s(schedule: Schedule, window_s: tuple[float, float], days_each: int = 1) -> Floats:
    """Local midnights around a window, every so many days [s, the trace's own origin]."""
    first, last = local_times(schedule.workload, np.array(window_s))
    beyond = last + pd.Timedelta(days=days_each)
    midnights = pd.date_range(first.normalize(), beyond, freq=f"{days_each}D")
    bins = seconds_at(schedule.workload, midnights)
    return bins[: np.searchsorted(bins, window_s[1]) + 1]


def utilisation_and_backlog(schedules: list[Schedule]) -> Figure:
    """Share of processors in use, and work that waits, for schedules of one trace.

    Daily means; weekly ones for a trace of more than 100 days.
    """
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(7.2, 4.4), sharex=True)
    window = common_window_s(schedules)
    longest = 0.0
    for schedule in schedules:
        procs = schedule.platform.procs
        long = window[1] - window[0] > LONG_DAYS * DAY_S
        bins = day_bins_s(schedule, window, 7 if long else 1)
        days = local_times(schedule.workload, bins[:-1])
        busy = step_mean(*schedule.busy_procs(window), bins) / procs
        waiting = step_mean(*schedule.waiting_procs(window), bins) / procs
        upper.plot(days, busy, label=schedule.policy.name, linewidth=1.1)
        lower.plot(days, waiting, label=schedule.policy.name, linewidth=1.1)
        longest = max(longest, waiting.max())
    upper.set(ylabel="utilisation [-]", ylim=(0, 1.02))
    lower.set(ylabel="backlog [machines]")
    if longest > 10:
        lower.set_yscale("symlog", linthresh=1)
    lower.set_ylim(bottom=0)
    if len(schedules) > 1:
        upper.legend(loc="lower left", ncols=len(schedules))
    dates(lower)
    return figure


def dates(axis: Axes) -> None:
    """Concise dates below an axis."""
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))


def busiest_day_s(schedule: Schedule) -> tuple[float, float]:
    """Local day on which the most jobs started [s, the trace's own origin]."""
    bins = day_bins_s(schedule, schedule.window_s)
    day = int(np.histogram(schedule.start_s, bins)[0].argmax())
    return float(bins[day]), float(bins[day + 1])


def gantt(schedule: Schedule, window_s: tuple[float, float]) -> Figure:
    """Which job ran on which processor over a window, coloured by how long it had waited."""
    first, last = window_s
    offsets, ids = allocate_processors(schedule)
    begin, end = schedule.start_s, schedule.end_s
    wait_min = np.maximum((begin - schedule.submit_s) / MINUTE_S, 1.0)
    shapes, colours = [], []
    for job in np.flatnonzero((begin < last) & (end > first)):
        left = (max(begin[job], first) - first) / HOUR_S
        right = (min(end[job], last) - first) / HOUR_S
        for low, high in _runs(ids[offsets[job] : offsets[job + 1]]):
            shapes.append([(left, low), (left, high), (right, high), (right, low)])
            colours.append(wait_min[job])
    figure, axis = plt.subplots(figsize=(7.2, 3.9))
    norm = LogNorm(1, max(wait_min.max(), 10))
    colour_map = sns.color_palette("crest", as_cmap=True)
    axis.add_collection(
        PolyCollection(
            shapes,
            array=np.array(colours),
            norm=norm,
            cmap=colour_map,
            edgecolor="white",
            linewidth=0.3,
        )
    )
    day = local_times(schedule.workload, np.array([first]))[0]
    axis.set(xlim=(0, (last - first) / HOUR_S), ylim=(0, schedule.platform.procs))
    axis.set(xlabel=f"hour of {day:%A %d %B %Y}, local time", ylabel="processor")
    axis.set_xticks(np.arange(0, (last - first) / HOUR_S + 0.5, 4))
    axis.grid(False)
    colours_of = ScalarMappable(norm=norm, cmap=colour_map)
    figure.colorbar(colours_of, ax=axis, label="waited before [min]", pad=0.01)
    return figure


def _runs(ids: np.ndarray) -> list[tuple[int, int]]:
    """Unbroken runs of ascending numbers, as (first, one past last)."""
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(ids, breaks)]


def top_share(schedule: Schedule, share: float) -> float:
    """Part of the sum of bounded slowdowns that the jobs with the largest ones make [-]."""
    wait = schedule.start_s - schedule.submit_s
    slowdown = np.sort(bounded_slowdown(wait, schedule.runtime_s))
    top = max(1, round(share * slowdown.size))
    return float(slowdown[-top:].sum() / slowdown.sum())


def slowdowns(schedules: list[Schedule]) -> Figure:
    """Share of jobs whose bounded slowdown exceeds each value, by trace and policy."""
    traces = list(dict.fromkeys(s.workload.name for s in schedules))
    figure, axes = plt.subplots(1, len(traces), figsize=(7.2, 3.0), sharey=True, squeeze=False)
    for axis, trace in zip(axes[0], traces, strict=True):
        for schedule in schedules:
            if schedule.workload.name == trace:
                wait = schedule.start_s - schedule.submit_s
                slowdown = np.sort(bounded_slowdown(wait, schedule.runtime_s))
                shares = np.logspace(0, -4, 400)
                axis.plot(np.quantile(slowdown, 1 - shares), shares, label=schedule.policy.name)
        axis.set(xscale="log", yscale="log", xlabel="bounded slowdown [-]", title=trace)
        axis.set_ylim(1e-4, 1)
    axes[0, 0].set_ylabel("share of jobs above [-]")
    axes[0, 0].legend()
    return figure
