"""Replayed waits beside those that the log recorded."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from exawatt.figures.chapter import nothing
from exawatt.replay import replay
from exawatt.stats import Floats
from exawatt.workload import Workload

HOUR_S = 3600.0
MINUTE_S = 60.0


def has_waits(workload: Workload) -> bool:
    """Whether a log recorded the wait of most of its jobs."""
    recorded = workload.jobs.get("wait_s")
    return recorded is not None and bool(recorded.notna().mean() > 0.5)


def waits(workload: Workload) -> dict[str, Floats]:
    """Logged and replayed waits of the jobs whose wait was logged [s]."""
    known = workload.jobs["wait_s"].notna().to_numpy()
    found = {"logged": workload.jobs["wait_s"].to_numpy()[known]}
    for policy in ("fcfs", "easy"):
        schedule = replay(workload, policy)
        found[policy] = (schedule.start_s - schedule.submit_s)[known]
    return found


def summary(by_trace: dict[str, dict[str, Floats]]) -> pd.DataFrame:
    """One row a trace: mean waits [h], jobs that started within a minute, rank correlation."""
    rows = []
    for trace, found in by_trace.items():
        row: dict[str, object] = {"trace": trace}
        row |= {f"mean, {name} [h]": wait.mean() / HOUR_S for name, wait in found.items()}
        row |= {
            f"within 1 min, {name}": float((found[name] <= MINUTE_S).mean())
            for name in ("logged", "easy")
        }
        row["rank correlation"] = spearmanr(found["logged"], found["easy"]).statistic
        rows.append(row)
    columns = ["trace", "mean, logged [h]", "mean, fcfs [h]", "mean, easy [h]"]
    columns += ["within 1 min, logged", "within 1 min, easy", "rank correlation"]
    return pd.DataFrame(rows).reindex(columns=columns)


def distributions(by_trace: dict[str, dict[str, Floats]]) -> Figure:
    """Share of jobs that waited longer than each time, one panel a trace; last, one by one."""
    traces = list(by_trace)
    if not traces:
        return nothing("No trace here has logged waits.")
    columns = 3
    rows = -(-(len(traces) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(7.2, 2.5 * rows), squeeze=False)
    styles = {"logged": ("k", "-"), "fcfs": ("C0", "--"), "easy": ("C1", "-")}
    shares = np.linspace(1, 0, 801)[:-1]
    for axis, trace in zip(axes.flat, traces, strict=False):
        for name, wait in by_trace[trace].items():
            colour, line = styles[name]
            label = {"fcfs": "FCFS", "easy": "EASY"}.get(name, name)
            hours = np.maximum(np.quantile(wait, 1 - shares), 1.0) / HOUR_S
            axis.plot(hours, shares, color=colour, linestyle=line, label=label)
        axis.set(xscale="log", title=trace, ylim=(0, 1), xlim=(MINUTE_S / HOUR_S / 2, None))
    for axis in axes[:, 0]:
        axis.set_ylabel("share of jobs above [-]")
    one_by_one = axes.flat[len(traces)]
    found = by_trace[traces[0]]
    x, y = (np.maximum(found[name], 10.0) / HOUR_S for name in ("logged", "easy"))
    one_by_one.hexbin(
        x, y, gridsize=28, xscale="log", yscale="log", norm=LogNorm(), cmap="cividis", mincnt=1
    )
    ends = [10.0 / HOUR_S, max(x.max(), y.max())]
    one_by_one.plot(ends, ends, color="0.3", linewidth=0.8)
    one_by_one.set(title=f"{traces[0]}, job by job", xlabel="logged [h]", ylabel="EASY [h]")
    for axis in axes.flat[len(traces) + 1 :]:
        axis.set_axis_off()
    for axis in axes.flat[: len(traces)]:
        axis.set_xlabel("wait [h]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
