"""The ten windows of RLScheduler: published, repeated, and with a head chosen afresh."""

from dataclasses import replace
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from exawatt.figures.chapter import effort_of, nothing
from exawatt.readers.catalog import catalog, load
from exawatt.replay import Policy, replay
from exawatt.replay.policy import Backfill, Head
from exawatt.replay.windows import (
    RLSCHEDULER_LENGTH,
    RLSCHEDULER_STARTS,
    windows,
)
from exawatt.workload import Workload

#: Mean bounded slowdowns without and with the backfilling of its own, D. Zhang et al.,
#: "RLScheduler: An Automated HPC Batch Job Scheduler Using Reinforcement Learning", SC'20.
RLSCHEDULER = {
    "Lublin-1": {
        "fcfs": (7273.77, 235.82),
        "sjf": (277.35, 73.31),
        "f1": (258.37, 75.07),
        "RL": (254.67, 58.64),
    },
    "SDSC-SP2": {
        "fcfs": (1727.54, 1595.12),
        "sjf": (2680.55, 2167.84),
        "f1": (1232.06, 1098.22),
        "RL": (466.44, 397.82),
    },
    "HPC2N": {
        "fcfs": (297.18, 127.38),
        "sjf": (157.71, 122.04),
        "f1": (118.01, 71.95),
        "RL": (117.01, 86.14),
    },
}
#: Its published cells of WFP3 and UNICEP on Lublin-1, without backfilling.
RLSCHEDULER_MISREAD = {"wfp3": 19754.0, "unicep": 22275.0}
ORDERS = ("fcfs", "sjf", "f1", "f4")
COLUMNS = ["trace", "order", "published", "committed", "fresh"]
COLUMNS += ["published, own backfilling", "fresh, EASY"]


class Setting(NamedTuple):
    """Windows that an effort replays."""

    traces: tuple[str, ...]
    starts: tuple[int, ...]
    length: int


SETTINGS = {
    "full": Setting(tuple(RLSCHEDULER), RLSCHEDULER_STARTS, RLSCHEDULER_LENGTH),
    "quick": Setting(("Lublin-1",), RLSCHEDULER_STARTS, RLSCHEDULER_LENGTH),
    "test": Setting(("tiny",), (0, 100, 300), 256),
}


def protocol_policy(order: str, head: Head = "committed", backfill: Backfill = "none") -> Policy:
    """Policy with the settings of the published tables: jobs run on, and runtimes are known."""
    return Policy(
        order=order,
        head=head,
        backfill=backfill,
        kill_at_request=False,
        missing_request="runtime",
    )


def mean_slowdown(parts: list[Workload], policy: Policy) -> float:
    """Mean over windows of the mean bounded slowdown [-]."""
    return float(np.mean([replay(part, policy).metrics()["avebsld"] for part in parts]))


def found(effort: str = "") -> dict[str, list[Workload]]:
    """Windows of each trace that is on this machine, by the trace's label."""
    setting = SETTINGS[effort_of(effort)]
    here = [load(name) for name in setting.traces if catalog("traces")[name].find()]
    return {trace.label: windows(trace, setting.starts, setting.length) for trace in here}


def compare(parts: dict[str, list[Workload]]) -> pd.DataFrame:
    """One row an order and trace: published, repeated, and with a head chosen afresh."""
    rows: list[dict[str, object]] = []
    for label, pieces in parts.items():
        published = RLSCHEDULER.get(label.split(" ")[0], {})
        for order in ORDERS:
            none, backfilled = published.get(order, (np.nan, np.nan))
            rows.append(
                {
                    "trace": label,
                    "order": order,
                    "published": none,
                    "committed": mean_slowdown(pieces, protocol_policy(order)),
                    "fresh": mean_slowdown(pieces, protocol_policy(order, "fresh")),
                    "published, own backfilling": backfilled,
                    "fresh, EASY": mean_slowdown(pieces, protocol_policy(order, "fresh", "easy")),
                }
            )
        if "RL" in published:
            none, backfilled = published["RL"]
            cells = (label, "learned", none, backfilled)
            columns = ("trace", "order", "published", "published, own backfilling")
            rows.append(dict(zip(columns, cells, strict=True)))
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def repeated(table: pd.DataFrame) -> tuple[int, list[str]]:
    """How many published cells a committed head repeats to two decimals, and what the others are.

    Returns
    -------
    int
    list of str
        Order and trace, and the two values, ours first.
    """
    compared = table.dropna(subset=["published", "committed"])
    same = compared["committed"].astype(float).round(2) == compared["published"]
    others = compared[~same].to_dict("records")
    texts = [
        f"{row['order'].upper()} on {row['trace'].split(' ')[0]}, "
        f"{row['committed']:,.2f} and {row['published']:,.2f}"
        for row in others
    ]
    return int(same.sum()), texts


def one_by_one(window: Workload) -> Workload:
    """Window in which each job is submitted microseconds after the one before, at its own pass."""
    jobs = window.jobs
    moved_s = jobs["submit_s"] + 1e-6 * np.arange(1, len(jobs) + 1)
    return replace(window, jobs=jobs.assign(submit_s=moved_s))


def blocks(starts: tuple[int, ...] = RLSCHEDULER_STARTS, length: int = RLSCHEDULER_LENGTH) -> int:
    """Into how many disjoint blocks the windows fall."""
    ordered = np.sort(starts)
    return 1 + int((np.diff(ordered) >= length).sum())


def heads_figure(table: pd.DataFrame) -> Figure:
    """From a committed head to a fresh one, by order, beside the published learned policy."""
    traces = list(dict.fromkeys(table["trace"]))
    if not traces:
        return nothing("None of its logs is on this machine.")
    figure, axes = plt.subplots(1, len(traces), figsize=(7.2, 3.2), sharey=True, squeeze=False)
    for axis, trace in zip(axes[0], traces, strict=True):
        rows = table[(table["trace"] == trace) & (table["order"] != "learned")]
        places = np.arange(len(rows))[::-1]
        axis.hlines(places, rows["fresh"], rows["committed"], color="0.7", linewidth=2)
        axis.plot(rows["committed"], places, "o", color="C0", label="head committed")
        axis.plot(rows["fresh"], places, "D", color="C2", label="head afresh")
        axis.plot(rows["fresh, EASY"], places, "x", color="C1", label="afresh, EASY")
        learned = table[(table["trace"] == trace) & (table["order"] == "learned")]
        for column, style, name in (
            ("published", "-", "learned"),
            ("published, own backfilling", "--", "learned, backfilling"),
        ):
            for value in learned[column]:
                axis.axvline(value, color="C3", linestyle=style, linewidth=1.2, label=name)
        axis.set(xscale="log", title=trace.split(" ")[0], xlabel="mean bounded slowdown [-]")
        narrow = np.ptp(np.log10(rows[["committed", "fresh, EASY"]])) < 1.5
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set_yticks(places, [order.upper() for order in rows["order"]])
        axis.grid(visible=False, axis="y")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def cell(table: pd.DataFrame, trace: str, order: str, column: str) -> float:
    """One number of :func:`compare`; not a number where that trace is not on this machine."""
    here = table["trace"].astype(str).str.split(" ").str[0] == trace
    found = table.loc[here & (table["order"] == order), column]
    return float(found.iloc[0]) if len(found) else np.nan
