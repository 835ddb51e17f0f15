"""Figures of stored results: every seed and every log, and what predictions buy the scheduler."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.experiment import Result
from exawatt.figures.predicting import PROCESS, RECALIBRATED, TREES, interval
from exawatt.figures.published import GAUSSIER, GAUSSIER_POLICIES

#: Names of the tables, and ours.
NAMES = {
    "request": "request",
    "LAST2": "LAST2",
    "SVGP": "variational GP",
    "PPGPR": "the same, trained on its score",
    "boosted": TREES,
    "boosted, calibrated": f"{TREES}, conformal",
    "NeighbourGP": PROCESS,
    "NeighbourGP, recalibrated": RECALIBRATED,
}
#: Groups of jobs that are drawn, and what they are by.
GROUPINGS = {
    "size": "quarter by size",
    "age": "quarter since training",
    "user": "user's jobs learnt from",
}
GROUPS = {"user": ["0", "1 to 10", "over 10"]}
#: Replays in figures, the policies of the published ones first: estimate and correction.
SETTINGS = [
    ("request", "none"),
    ("LAST2", "none"),
    ("LAST2", "increments"),
    ("LAST2", "doubling"),
    ("LAST2", "request"),
    ("mean of 5", "request"),
    ("boosted median", "request"),
    ("actual", "none"),
]
#: Policy, estimate and correction of each published one.
PUBLISHED = {
    "EASY": ("EASY", "request", "none"),
    "EASY-SJBF": ("EASY-SJBF", "request", "none"),
    "EASY++": ("EASY-SJBF", "LAST2", "increments"),
    "LAST2, then request": ("EASY-SJBF", "LAST2", "request"),
    "clairvoyant EASY-SJBF": ("EASY-SJBF", "actual", "none"),
    "clairvoyant EASY": ("EASY", "actual", "none"),
}
#: Mean bounded slowdowns that a leave-one-log-out choice among the 5,222 published settings has.
CHOSEN = {"KTH-SP2-raw": 59.3, "SDSC-SP2": 75.7}
MARKERS = "osD^"


def score_table(result: Result) -> pd.DataFrame:
    """One row a log and predictor: means over seeds, and the least and greatest of them.

    Returns
    -------
    DataFrame
        The gain is that in CRPS over the trees of the same seed; its interval holds those of all
        seeds. Coverage by size is that of the quarters with least and most, of all seeds.
    """
    by_size = result["scores_by"].query("by == 'size'").set_index(["log", "predictor"])["cover_90"]
    scores = result["scores"].set_index(["log", "predictor"])
    rows = []
    for log in scores.index.unique("log"):
        for key, name in NAMES.items():
            seeds, parts = scores.loc[[(log, key)]], by_size.loc[[(log, key)]]
            gain = interval(seeds["gain_low"].min(), seeds["gain_high"].max())
            rows.append(
                {
                    "log": log,
                    "predictor": name,
                    "CRPS": seeds["crps"].mean(),
                    "seeds": _span(seeds["crps"]) if len(seeds) > 1 else "–",
                    "gain": np.nan if key == "boosted" else seeds["gain"].mean(),
                    "interval": "–" if key == "boosted" else gain,
                    "within 90 %": seeds["cover_90"].mean(),
                    "by size": _span(parts),
                }
            )
    return pd.DataFrame(rows)


def groups_figure(result: Result) -> Figure:
    """Gain of the process over the trees, and its coverage, by size, age of the model, and user."""
    table = result["scores_by"]
    logs = list(table["log"].unique())
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.8), sharey="row")
    for (by, title), above, below in zip(GROUPINGS.items(), axes[0], axes[1], strict=True):
        some = table[table["by"] == by]
        names = GROUPS.get(by) or sorted(some["group"].unique())
        for i, log in enumerate(logs):
            part = some[some["log"] == log].groupby(["predictor", "group"])[["crps", "cover_90"]]
            means = part.mean()
            gain = means.loc["boosted", "crps"] - means.loc["NeighbourGP", "crps"]
            style = {"color": f"C{i}", "marker": MARKERS[i], "markersize": 4, "label": log}
            above.plot(names, gain.reindex(names), **style)
            below.plot(names, means.loc["NeighbourGP", "cover_90"].reindex(names), **style)
        above.axhline(0, color="0.3", linewidth=0.8)
        below.axhspan(0.88, 0.92, color="0.85", linewidth=0)
        below.set_xlabel(title)
    axes[0, 0].set_ylabel("CRPS gained")
    axes[1, 0].set_ylabel("within the central 90 %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def slowdown_figure(result: Result) -> Figure:
    """Mean bounded slowdown by estimate and correction, with the range over moved submissions."""
    table = result["slowdown"]
    logs = list(table["log"].unique())
    figure, [axes] = plt.subplots(1, len(logs), figsize=(7.2, 3.8), sharey=True, squeeze=False)
    labels = [name if how == "none" else f"{name}, then {how}" for name, how in SETTINGS]
    for axis, log in zip(axes, logs, strict=True):
        for i, policy in enumerate(("EASY", "EASY-SJBF")):
            here = table.query("log == @log and policy == @policy")
            _slowdowns(axis, here, f"C{i}", policy, 0.12 - 0.24 * i)
        known = published(log)
        for at, setting in enumerate(SETTINGS):
            for i, policy in enumerate(("EASY", "EASY-SJBF")):
                value = known.get((policy, *setting))
                label = "published" if (at, i) == (0, 0) else None
                if value is not None:
                    axis.plot(value, at + 0.12 - 0.24 * i, "kx", markersize=5, label=label)
        axis.axvline(CHOSEN[log], color="0.4", linestyle="--", linewidth=0.9)
        axis.set(title=log, xscale="log", xlabel="mean bounded slowdown")
        axis.set_xticks([50, 70, 100, 150, 200], ["50", "70", "100", "150", "200"])
        axis.minorticks_off()
    axes[0].set_yticks(range(len(SETTINGS)), labels)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def slowdown_table(result: Result) -> pd.DataFrame:
    """EASY-SJBF with each estimate, beside the published ones."""
    table = result["slowdown"]
    rows = []
    for log in table["log"].unique():
        known = published(log)
        for estimate, correction in SETTINGS:
            some = _draws(table.query("log == @log"), "EASY-SJBF", estimate, correction)
            rows.append(
                {
                    "log": log,
                    "estimate": estimate,
                    "overrun": "–" if correction == "none" else correction,
                    "published": known.get(("EASY-SJBF", estimate, correction), np.nan),
                    "here": some.iloc[0],
                    "moved": some.iloc[1:].mean(),
                    "range": _span(some, ".1f") if len(some) > 1 else "–",
                }
            )
    return pd.DataFrame(rows)


def published(log: str) -> dict[tuple[str, str, str], float]:
    """Slowdowns of Gaussier et al. (SC'15) by policy, estimate and correction."""
    for entry in GAUSSIER:
        if entry.trace == log:
            found = zip(GAUSSIER_POLICIES, entry.avebsld, strict=True)
            return {PUBLISHED[name]: value for name, value in found}
    return {}


def facts(scores: pd.DataFrame, slowdowns: pd.DataFrame) -> dict[str, str]:
    """What the prose tells of stored results."""
    process = scores[scores["predictor"] == PROCESS].set_index("log")
    sure = scores[scores["predictor"] == RECALIBRATED].set_index("log")
    here = {(row.log, row.estimate, row.overrun): row for row in slowdowns.itertuples()}
    told = {}
    for key, log in (("kth", "KTH-SP2-raw"), ("sdsc", "SDSC-SP2")):
        for name, setting in {
            "request": ("request", "–"),
            "last2": ("LAST2", "request"),
            "mean": ("mean of 5", "request"),
            "trees": ("boosted median", "request"),
            "actual": ("actual", "–"),
        }.items():
            row = here[log, *setting]
            told[f"{key}_{name}"] = f"{row.here:.1f}"
            told[f"{key}_{name}_range"] = str(row.range)
        told[f"{key}_chosen"] = f"{CHOSEN[log]:g}"
    return told | {
        "helped_logs": _listed(log for log, row in process.iterrows() if row["gain"] > 0),
        "cover_missed": _listed(process.index[~process["within 90 %"].between(0.88, 0.92)]),
        "sure_least": f"{sure['within 90 %'].min():.3f}",
        "sure_most": f"{sure['within 90 %'].max():.3f}",
        "sure_cost": f"{(sure['CRPS'] / process['CRPS'] - 1).max():.1%}",
        "sure_cost_log": str((sure["CRPS"] / process["CRPS"]).idxmax()),
    }


def _slowdowns(axis: Axes, table: pd.DataFrame, colour: str, policy: str, off: float) -> None:
    """Draw one policy's slowdowns, a row a setting."""
    for at, setting in enumerate(SETTINGS):
        some = _draws(table, policy, *setting)
        axis.plot([some.min(), some.max()], [at + off] * 2, color=colour, alpha=0.5)
        label = policy if at == 0 else None
        axis.plot(some.iloc[0], at + off, "o", color=colour, markersize=4, label=label)


def _draws(table: pd.DataFrame, policy: str, estimate: str, correction: str) -> "pd.Series[float]":
    """Slowdown of each draw, that of the log as it is first."""
    wanted = "policy == @policy and estimate == @estimate and correction == @correction"
    return table.query(wanted).sort_values("draw")["avebsld"]


def _span(values: "pd.Series[float]", form: str = ".3f") -> str:
    return f"{values.min():{form}} to {values.max():{form}}"


def _listed(names: Iterator[object] | pd.Index) -> str:
    return ", ".join(str(name) for name in names) or "none"
