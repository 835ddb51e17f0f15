"""Figures and tables of what a trace holds."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.stats import Floats
from exawatt.workload import Workload

WEEK_S = 7 * 86400.0


def summary(workloads: list[Workload]) -> pd.DataFrame:
    """One row a trace: size, span, load, and what is missing or unusual."""
    return pd.DataFrame([_summary_row(workload) for workload in workloads])


def _summary_row(workload: Workload) -> dict[str, object]:
    jobs = workload.jobs
    return {
        "trace": workload.name + ("" if workload.tier == "real" else " (generated)"),
        "procs": workload.procs,
        "jobs": len(jobs),
        "days": workload.days,
        "load": workload.offered_load,
        "median runtime [s]": jobs["runtime_s"].median(),
        "no request": jobs["requested_s"].isna().mean(),
        "over request": (jobs["runtime_s"] > jobs["requested_s"]).mean(),
        "users": jobs["user"].nunique() if (jobs["user"] >= 0).any() else np.nan,
    }


def cleaning(workloads: list[Workload]) -> pd.DataFrame:
    """Cleaning reports of several traces, one below the other."""
    reports = [w.cleaning.assign(trace=w.name) for w in workloads if len(w.cleaning)]
    columns = ["trace", "action", "reason", "count"]
    return pd.concat(reports)[columns] if reports else pd.DataFrame(columns=columns)


def distributions(workloads: list[Workload]) -> Figure:
    """Share of jobs up to each runtime, size, and ratio of request to runtime."""
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), sharey=True)
    for workload in workloads:
        jobs = workload.jobs
        ratio = (jobs["requested_s"] / jobs["runtime_s"]).dropna()
        _ecdf(axes[0], jobs["runtime_s"].to_numpy(), workload.name)
        _ecdf(axes[1], (jobs["procs"] / workload.procs).to_numpy(), workload.name)
        if len(ratio):
            _ecdf(axes[2], ratio.to_numpy(), workload.name)
    axes[0].set(xlabel="runtime [s]", ylabel="share of jobs [-]", xscale="log")
    axes[1].set(xlabel="size / machine [-]", xscale="log")
    axes[2].set(xlabel="request / runtime [-]", xscale="log")
    axes[2].axvline(1, color="0.4", linewidth=0.8, linestyle=":")
    axes[1].legend(loc="lower right")
    return figure


def _ecdf(axis: Axes, values: Floats, label: str) -> None:
    """Empirical distribution at a few hundred quantiles: as smooth, and a small file."""
    shares = np.linspace(0, 1, 301)
    axis.plot(np.quantile(values, shares), shares, label=label, drawstyle="steps-post")


def arrival_cycles(workloads: list[Workload]) -> Figure:
    """Share of submissions by local hour and by weekday."""
    figure, (by_hour, by_day) = plt.subplots(1, 2, figsize=(7.2, 2.9))
    for workload in workloads:
        local = local_times(workload, workload.jobs["submit_s"].to_numpy())
        hours = np.bincount(local.hour, minlength=24) / len(local)
        days = np.bincount(local.weekday, minlength=7) / len(local)
        by_hour.step(np.arange(25), np.append(hours, hours[-1]), where="post", label=workload.name)
        by_day.plot(np.arange(7), days, marker="o", label=workload.name)
    by_hour.set(xlabel="local hour of submission", ylabel="share of jobs [-]", xlim=(0, 24))
    by_hour.set_xticks(range(0, 25, 6))
    by_hour.set_ylim(bottom=0)
    by_day.set(xlabel="weekday of submission")
    by_day.set_xticks(range(7), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    by_day.set_ylim(bottom=0)
    by_day.legend()
    return figure


def weekly_load(workloads: list[Workload]) -> Figure:
    """Processor-seconds submitted in each week, per processor-second of the machine."""
    figure, axis = plt.subplots(figsize=(7.2, 2.8))
    for workload in workloads:
        jobs = workload.jobs
        week = ((jobs["submit_s"] - jobs["submit_s"].iloc[0]) // WEEK_S).astype(int)
        work = (jobs["procs"] * jobs["runtime_s"]).groupby(week).sum()
        # The last week of a log is rarely whole.
        load = work.iloc[:-1] / (workload.procs * WEEK_S) if len(work) > 1 else work * 0
        axis.plot(load.index, load.to_numpy(), marker=".", label=workload.name)
    axis.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
    axis.set(xlabel="week of the trace", ylabel="submitted load [-]")
    axis.set_ylim(bottom=0)
    axis.legend()
    return figure


def local_times(workload: Workload, seconds: Floats) -> pd.DatetimeIndex:
    """Moments of a trace on the machine's wall clock; from a Monday when it has no start."""
    moments = _start(workload) + pd.to_timedelta(np.asarray(seconds), unit="s")
    return pd.DatetimeIndex(moments).tz_convert(workload.timezone).tz_localize(None)


def seconds_at(workload: Workload, local: pd.DatetimeIndex) -> Floats:
    """Moments of the machine's wall clock in a trace [s, its own origin].

    Of a time that the clock showed twice, the first; for one that it left out, the next.
    """
    twice = np.ones(len(local), dtype=bool)
    moments = local.tz_localize(workload.timezone, ambiguous=twice, nonexistent="shift_forward")
    return np.asarray((moments - _start(workload)).total_seconds(), dtype=np.float64)


def _start(workload: Workload) -> pd.Timestamp:
    return workload.start or pd.Timestamp("2001-01-01", tz="UTC")
