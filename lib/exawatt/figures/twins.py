"""How well twins resemble what they stand in for: judged on data they were not fitted to."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import ks_2samp

from exawatt.figures.chapter import effort_of
from exawatt.figures.traces import local_times
from exawatt.intensity import Intensity
from exawatt.readers.catalog import catalog, load, load_intensity
from exawatt.readers.twin import intensity_twins, trace_twins
from exawatt.replay import replay
from exawatt.stats import Floats
from exawatt.workload import Workload

#: What a twin is asked to keep to, set before any was fitted.
BOUNDS = {
    "runtime, KS distance": 0.10,
    "size, KS distance": 0.10,
    "gap, KS distance": 0.10,
    "load, relative difference": 0.05,
    "under half the request, difference": 0.10,
    "hour-of-day profile, 1 − correlation": 0.10,
    "half-hour means, largest relative difference": 0.05,
    "lag-1 autocorrelation, difference": 0.02,
}


def here(effort: str = "") -> list[str]:
    """Names of the traces that have a twin, and whose real file is on this machine.

    None at effort ``test``, so that outputs are the same everywhere.
    """
    if effort_of(effort) == "test":
        return []
    return [name for name in trace_twins() if catalog("traces")[name].find()]


def judge(effort: str = "") -> pd.DataFrame:
    """Twins against the second half of the real series, which they were not fitted to.

    Returns
    -------
    DataFrame
        One row a measure: ``twin`` (distance between the twin and the second half), ``first
        half`` (distance between the real halves, which no model of the first can be expected to
        beat), ``bound``, ``holds``. Empty where the real files are not on this machine.
    """
    rows = []
    for name in here(effort):
        rows += _judge_trace(name)
    if here(effort) and all(catalog("intensity")[name].find() for name in ("GB-2022", "GB-2023")):
        rows += _judge_intensity()
    columns = ["series", "measure", "twin", "first half", "bound", "holds"]
    return pd.DataFrame(rows, columns=columns)


def _judge_trace(name: str) -> list[dict[str, Any]]:
    real = load(name)
    middle = len(real) // 2
    first, second = real.jobs.iloc[:middle], real.jobs.iloc[middle:]
    made = trace_twins()[name].generate(name)
    ours = distances(real, second, made, made.jobs)
    theirs = distances(real, second, real, first)
    return [_row(name, measure, ours[measure], theirs[measure]) for measure in ours]


def distances(
    real: Workload, jobs: pd.DataFrame, other: Workload, others: pd.DataFrame
) -> dict[str, float]:
    """Distance of one set of jobs from another, by measure [-]; see :data:`BOUNDS`."""
    hours = np.corrcoef(_hour_profile(real, jobs), _hour_profile(other, others))
    return {
        "runtime, KS distance": _ks(np.log(jobs["runtime_s"]), np.log(others["runtime_s"])),
        "size, KS distance": _ks(jobs["procs"], others["procs"]),
        "gap, KS distance": _ks(_log_gaps(jobs), _log_gaps(others)),
        "load, relative difference": abs(_load(other, others) / _load(real, jobs) - 1),
        "under half the request, difference": abs(_under_half(jobs) - _under_half(others)),
        "hour-of-day profile, 1 − correlation": 1 - float(hours[0, 1]),
    }


def _ks(one: Any, other: Any) -> float:
    return float(ks_2samp(one, other).statistic)


def _log_gaps(jobs: pd.DataFrame) -> Floats:
    return np.asarray(np.log(1 + np.diff(jobs["submit_s"])), dtype=np.float64)


def _load(workload: Workload, jobs: pd.DataFrame) -> float:
    work = float((jobs["procs"] * jobs["runtime_s"]).sum())
    return work / (workload.procs * float(np.ptp(jobs["submit_s"])))


def _under_half(jobs: pd.DataFrame) -> float:
    known = jobs.dropna(subset="requested_s")
    return float((known["runtime_s"] < known["requested_s"] / 2).mean())


def _hour_profile(workload: Workload, jobs: pd.DataFrame) -> Floats:
    hours = local_times(workload, jobs["submit_s"].to_numpy()).hour
    return np.asarray(np.bincount(hours, minlength=24) / len(jobs), dtype=np.float64)


def _judge_intensity() -> list[dict[str, Any]]:
    first, second = load_intensity("GB-2022"), load_intensity("GB-2023")
    made = intensity_twins()["GB-2023"].generate("GB-2023")
    rows = []
    for measure, distance in (
        ("half-hour means, largest relative difference", _off_means),
        ("lag-1 autocorrelation, difference", _off_memory),
    ):
        rows.append(_row("GB-2023", measure, distance(made, second), distance(first, second)))
    return rows


def _off_means(one: Intensity, other: Intensity) -> float:
    return float(np.abs(_day_profile(one) / _day_profile(other) - 1).max())


def _day_profile(series: Intensity) -> Floats:
    local = series.times.tz_convert(series.timezone)
    slot = local.hour * 2 + local.minute // 30
    means = pd.Series(series.gco2_per_kwh).groupby(slot).mean()
    return np.asarray(means, dtype=np.float64)


def _off_memory(one: Intensity, other: Intensity) -> float:
    memories = [
        np.corrcoef(series.gco2_per_kwh[:-1], series.gco2_per_kwh[1:])[0, 1]
        for series in (one, other)
    ]
    return float(abs(memories[0] - memories[1]))


def _row(series: str, measure: str, ours: float, theirs: float) -> dict[str, Any]:
    bound = BOUNDS[measure]
    verdict = "yes" if ours <= bound else "no"
    return {
        "series": series,
        "measure": measure,
        "twin": ours,
        "first half": theirs,
        "bound": bound,
        "holds": verdict,
    }


def queues(effort: str = "") -> pd.DataFrame:
    """Mean bounded slowdown of real traces and of their twins, under FCFS and EASY [-]."""
    rows = []
    for name in here(effort):
        for workload in (load(name), trace_twins()[name].generate(name)):
            row: dict[str, Any] = {"trace": workload.name}
            for policy in ("fcfs", "easy"):
                row[policy] = replay(workload, policy).metrics()["avebsld"]
            rows.append(row)
    return pd.DataFrame(rows, columns=["trace", "fcfs", "easy"])


def verdict(judged: pd.DataFrame) -> str:
    """One paragraph on a judgement, for the prose."""
    if judged.empty:
        return "They are not judged here: the real files are not on the machine that built this."
    kept = int((judged["holds"] == "yes").sum())
    return (
        f"Of {len(judged)} bounds, {kept} hold. The others fail for reasons that the table shows. "
        "Loads and hours of the day drift within the logs themselves. Two gamma curves do not "
        "follow the shoulder in Thunder's runtimes between minutes and hours, if they must give "
        "the right amount of work. And 2023 was a cleaner year than the one before, which nobody "
        "could have fitted to 2022: the twin keeps the memory of the grid, and misses its level."
    )


def beside(names: list[str]) -> Figure:
    """Distributions, daily cycle and gaps of real traces (lines) and their twins (dashed)."""
    if not names:
        figure, axis = plt.subplots(figsize=(7.2, 0.6))
        axis.axis("off")
        axis.text(0.5, 0.5, "The real traces are not on this machine.", ha="center", va="center")
        return figure
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.0))
    for colour, name in enumerate(names):
        pair = (load(name), trace_twins()[name].generate(name))
        for workload, style in zip(pair, ("-", "--"), strict=True):
            options = {"color": f"C{colour}", "linestyle": style, "label": workload.name}
            jobs = workload.jobs
            _shares(axes[0, 0], jobs["runtime_s"].to_numpy(), options)
            _shares(axes[0, 1], (jobs["procs"] / workload.procs).to_numpy(), options)
            _shares(axes[1, 0], 1 + np.diff(jobs["submit_s"]), options)
            axes[1, 1].plot(np.arange(24) + 0.5, _hour_profile(workload, jobs), **options)
    axes[0, 0].set(xlabel="runtime [s]", ylabel="share of jobs [-]", xscale="log")
    axes[0, 1].set(xlabel="size / machine [-]", xscale="log")
    axes[1, 0].set(xlabel="1 s + time between arrivals", ylabel="share of jobs [-]", xscale="log")
    axes[1, 1].set(xlabel="local hour of submission", ylabel="share of jobs [-]")
    axes[1, 1].set_ylim(bottom=0)
    axes[0, 1].legend(loc="lower right")
    return figure


def _shares(axis: Any, values: Floats, options: dict[str, Any]) -> None:
    shares = np.linspace(0, 1, 301)
    axis.plot(np.quantile(values, shares), shares, **options)
