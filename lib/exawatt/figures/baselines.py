"""Every baseline policy on every trace: slowdowns, starvation, and the speed of the kernel."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from exawatt.figures.chapter import catalogued, effort_of
from exawatt.replay import Multifactor, Policy, replay
from exawatt.workload import Workload

HOUR_S = 3600.0
#: The raw log of a machine whose cleaned log is among the traces says nothing new.
NOT_TWICE = ("KTH-SP2-raw",)
ORDERS = ("sjf", "saf", "lxf", "wfp3", "unicep", "f1", "f4")
GUARDS_H = (12, 24, 48, 96, 192, 384)


def policies() -> dict[str, Policy]:
    """Baselines by the names that tables give them."""
    easy = Policy.named("easy")
    known = [Policy.named(name) for name in ("fcfs", "sjf", "f4")]
    known += [easy, *(Policy.named(name) for name in ("easy-sjbf", "easy++", "conservative"))]
    known += [Policy.named(f"{order}+easy") for order in ORDERS]
    known.append(Policy(order=Multifactor(), backfill="easy"))
    named = {policy.name: policy for policy in known}
    for policy in (easy, Policy.named("easy-sjbf")):
        named[f"{policy.name}, clairvoyant"] = replace(policy, estimate="actual")
    return named


def traces(workloads: list[Workload], effort: str = "") -> list[Workload]:
    """Traces that the baselines are compared on: those of the chapter; at ``full`` all."""
    if effort_of(effort) != "full":
        return workloads
    left_out = {workload.name for workload in workloads} | set(NOT_TWICE)
    return workloads + [trace for trace in catalogued("full") if trace.name not in left_out]


def compare(workloads: list[Workload]) -> pd.DataFrame:
    """One row a policy and trace: mean bounded slowdown, mean and longest wait."""
    pairs = [(workload, name) for workload in workloads for name in policies()]
    # The kernel releases the interpreter, so that threads share the cores.
    with ThreadPoolExecutor(2) as threads:
        return pd.DataFrame(threads.map(_row, *zip(*pairs, strict=True)))


def _row(workload: Workload, name: str) -> dict[str, object]:
    policy = policies()[name]
    summary = replay(workload, policy).metrics()
    return {
        "trace": workload.name,
        "policy": name,
        "clairvoyant": policy.clairvoyant,
        "slowdown": summary["avebsld"],
        "mean wait [h]": summary["mean_wait_s"] / HOUR_S,
        "longest wait [h]": summary["max_wait_s"] / HOUR_S,
    }


def wide(table: pd.DataFrame, column: str = "slowdown") -> pd.DataFrame:
    """One row a policy, one column a trace, both in the table's order."""
    by_cell = table.pivot_table(index="policy", columns="trace", values=column, sort=False)
    return by_cell.rename_axis(index=None, columns=None)


def ranking(table: pd.DataFrame) -> pd.Series:
    """Geometric mean over traces of the slowdown relative to EASY, best first.

    Clairvoyant policies are left out.
    """
    ratios = wide(table[~table["clairvoyant"]])
    return np.exp(np.log(ratios / ratios.loc["easy"]).mean(axis=1)).sort_values()


def heat_map(table: pd.DataFrame) -> Figure:
    """Slowdown relative to that of EASY by policy and trace, as a power of two in colour."""
    slowdown = wide(table)
    ratio = slowdown.div(slowdown.loc["easy"]).map(np.log2)
    figure, axis = plt.subplots(figsize=(7.2, 5.6))
    sns.heatmap(
        ratio,
        ax=axis,
        cmap="PuOr_r",
        norm=TwoSlopeNorm(0, -3, 3),
        annot=slowdown.map(_short),
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.6,
        cbar_kws={"label": "slowdown relative to EASY", "ticks": range(-3, 4), "extend": "both"},
    )
    bar = axis.collections[0].colorbar
    assert bar is not None
    bar.set_ticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axis.set(xlabel="", ylabel="")
    axis.set_xticks(axis.get_xticks(), ratio.columns, rotation=30, ha="right")
    axis.set_yticks(axis.get_yticks(), ratio.index, rotation=0)
    return figure


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def guarded(workload: Workload, order: str) -> pd.DataFrame:
    """An order with EASY under ever longer limits of the wait, the last one without."""
    base = Policy.named(f"{order}+easy")
    rows = []
    for hours in (*GUARDS_H, None):
        limit = None if hours is None else hours * HOUR_S
        summary = replay(workload, replace(base, max_wait_s=limit)).metrics()
        row = {"limit [h]": hours, "slowdown": summary["avebsld"]}
        rows.append(row | {"longest wait [h]": summary["max_wait_s"] / HOUR_S})
    return pd.DataFrame(rows)


def starvation(table: pd.DataFrame, guards: dict[str, pd.DataFrame], order: str) -> Figure:
    """Longest wait against mean slowdown, one panel a trace; a line for one guarded order.

    Clairvoyant policies, and orders without backfilling, are left out.
    """
    plain = {name for name, policy in policies().items() if policy.backfill == "none"}
    shown = table[~table["policy"].isin(plain) & ~table["clairvoyant"]]
    styles = _markers(list(dict.fromkeys(shown["policy"])))
    figure, axes = plt.subplots(1, len(guards), figsize=(7.2, 5.0), squeeze=False)
    for axis, (trace, guard) in zip(axes[0], guards.items(), strict=True):
        axis.plot(guard["slowdown"], guard["longest wait [h]"], "-", color="0.7", zorder=1)
        limited = guard.dropna()
        x, y = limited["slowdown"], limited["longest wait [h]"]
        axis.plot(x, y, ".", color="0.3", zorder=2, label=f"{order}+easy, guarded")
        axis.margins(0.12)
        for row in shown[shown["trace"] == trace].to_dict("records"):
            style, policy = styles[row["policy"]], row["policy"]
            axis.plot(row["slowdown"], row["longest wait [h]"], linestyle="", label=policy, **style)
        axis.set(xscale="log", yscale="log", title=trace, xlabel="mean bounded slowdown [-]")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7), numticks=20))
            side.set_major_formatter("{x:g}")
            side.set_minor_formatter(NullFormatter())
    axes[0, 0].set_ylabel("longest wait [h]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.draw_without_rendering()  # from here on the panels stay where they are
    for axis, guard in zip(axes[0], guards.values(), strict=True):
        _label_limits(axis, guard)
    return figure


def _markers(names: list[str]) -> dict[str, dict[str, Any]]:
    """Style of each policy: a shape of its own; after six colours the same ones, hollow.

    A hollow marker is larger, so that a full one in the same place is seen through it.
    """
    colours = [sns.color_palette("colorblind")[i] for i in (0, 1, 2, 3, 4, 9)]
    full = {"markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.5, "zorder": 3}
    hollow = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6, "zorder": 4}
    styles: list[dict[str, Any]] = [
        {"marker": mark, "color": colour} | fill
        for marks, fill in (("o^vsPX", full), ("D<>hpd", hollow))
        for mark, colour in zip(marks, colours, strict=True)
    ]
    return dict(zip(names, styles, strict=False))


def _label_limits(axis: Axes, guard: pd.DataFrame) -> None:
    """Write each limit beside its point, on the side farthest from markers, line and labels."""
    to_points = 72 / axis.figure.dpi
    lines = [axis.transData.transform(line.get_xydata()) * to_points for line in axis.lines]
    path = lines[0]
    along = np.linspace(0, len(path) - 1, 20 * len(path))
    between = [np.interp(along, np.arange(len(path)), side) for side in path.T]
    taken = [*np.concatenate(lines), *np.column_stack(between)]
    sides = [(x, y) for y in (0, 8, -8) for x in (14, -14, 0) if x or y]
    for (hours, x, y), point in zip(guard.dropna().to_numpy(), path, strict=False):
        # A label is about twice as wide as high.
        room = [np.hypot(*((np.array(taken) - point - side) / (2, 1)).T).min() for side in sides]
        side = sides[int(np.argmax(np.minimum(room, 8.0)))]
        taken.append(point + side)
        axis.annotate(
            f"{hours:g} h", (x, y), xytext=side, textcoords="offset points", fontsize=7,
            ha="center", va="center",
        )  # fmt: skip


def speed(workloads: list[Workload], runs: int) -> pd.DataFrame:
    """Best of some runs of the kernel on one core [million jobs/s], by trace and policy."""
    names = ("fcfs", "easy", "f4+easy", "wfp3+easy")
    rows = []
    for workload in workloads:
        row: dict[str, object] = {"trace": workload.name, "jobs": len(workload)}
        for name in names:
            best = min(replay(workload, name).replay_seconds for _ in range(runs))
            row[name] = len(workload) / best / 1e6
        rows.append(row)
    return pd.DataFrame(rows)
