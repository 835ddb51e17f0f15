"""Figures of energy prediction: jobs of a log, and how few runs tell what an application takes."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.figures.chapter import effort_of, nothing
from exawatt.figures.measured import ABSENT
from exawatt.power import J_PER_KWH
from exawatt.predict.applications import (
    LINE,
    MOVED,
    POOLED,
    PROCESS,
    RESIDUAL,
    TWO_TASKS,
    few_shot,
    ratio,
    read_runs,
)
from exawatt.predict.energy import KNOWN, MODEL, POWER, Trial
from exawatt.predict.surrogates import kabre_trial, zeus_files
from exawatt.predict.values import Prediction
from exawatt.readers.catalog import catalog, load
from exawatt.stats import Floats
from exawatt.workload import label

COLOURS = {MOVED: "C4", LINE: "C2", PROCESS: "C1", RESIDUAL: "C5", TWO_TASKS: "C3"}
#: Errors that are named beside the axis.
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
J_PER_WH = J_PER_KWH / 1000
LOG = "Kabre-2024"
#: How the columns of the table are shown.
FORMATS = {
    "MAE [kWh]": ".2f",
    "median error [Wh]": ".1f",
    "median error [factor]": ".1f",
    "CRPS": ".2f",
    "within 90 %": ".3f",
    "its width": ".1f",
    "sum of means [measured]": ".2f",
}
#: Jobs whose intervals are drawn.
N_INTERVALS = 60


class Settings(NamedTuple):
    """How much is learnt, by effort: trees of Kabré's model, and what few-shot learning tries."""

    trees: int
    applications: int
    k: tuple[int, ...]
    methods: tuple[str, ...]


SETTINGS = {
    "full": Settings(50, 15, (5, 10, 20), (POOLED, MOVED, LINE, PROCESS)),
    "quick": Settings(20, 4, (5, 20), (POOLED, MOVED, LINE, PROCESS)),
    "test": Settings(5, 2, (5,), (POOLED, PROCESS)),
}


def logged_trial(effort: str = "", seed: int = 0) -> Trial | None:
    """Surrogate that learnt from Kabré's first jobs with whole nodes; None if it is not here."""
    if catalog("traces")[LOG].find() is None:
        return None
    workload = load(LOG, strict=False)
    return kabre_trial(workload, n_trees=SETTINGS[effort_of(effort)].trees, seed=seed)


def few_shot_errors(effort: str = "", n_draws: int = 1, seed: int = 0) -> pd.DataFrame | None:
    """Errors of few-shot learning on Zeus's runs; None if they are not here.

    With less effort, of fewer applications, spread over all tasks.
    """
    files = zeus_files()
    if not files:
        return None
    settings, runs = SETTINGS[effort_of(effort)], read_runs(files)
    names = sorted(runs["application"].unique())
    places = np.linspace(0, len(names) - 1, min(settings.applications, len(names)))
    return few_shot(
        runs,
        settings.k,
        n_draws,
        settings.methods,
        applications=[names[at] for at in places.round().astype(int)],
        seed=seed,
    )


def energy_table(trial: Trial | None) -> pd.DataFrame:
    """One row a model: errors of its guess, and scores of its distribution; none without data."""
    if trial is None:
        return pd.DataFrame(columns=["model", *FORMATS])
    found = trial.scores()
    return pd.DataFrame(
        {
            "model": found.index,
            "MAE [kWh]": found["mae_j"] / J_PER_KWH,
            "median error [Wh]": found["median_ae_j"] / J_PER_WH,
            "median error [factor]": np.exp(found["median_ae_ln"]),
            "CRPS": found["crps"],
            "within 90 %": found["cover_90"],
            "its width": found["width_90"],
            "sum of means [measured]": found["total"],
        }
    ).reset_index(drop=True)


def few_shot_table(errors: pd.DataFrame) -> pd.DataFrame:
    """One row a method and number of runs known.

    Returns
    -------
    DataFrame
        The median error over applications, and the ratio to the pooled model's: its geometric
        mean, with the 95 % interval over applications.
    """
    rows = []
    for method, k in errors[["method", "k"]].drop_duplicates().itertuples(index=False):
        some = errors[(errors["method"] == method) & (errors["k"] == k)]
        row = {"method": method, "runs known": k, "median error [ln]": _means(some).median()}
        if method != POOLED:
            found = ratio(errors, k, method)
            row |= {"of pooled": found.mean, "from": found.low, "to": found.high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["runs known", "median error [ln]"], ignore_index=True)


def _means(errors: pd.DataFrame) -> pd.Series:
    """Error of each application, as the mean over draws."""
    return errors.groupby("application")["error"].mean()


def few_shot_figure(errors: pd.DataFrame | None) -> Figure:
    """Error by number of runs known; the pooled model's as a line in its middle half."""
    if errors is None:
        return nothing(ABSENT)
    figure, (all_, each) = plt.subplots(
        1, 2, figsize=(7.2, 3.8), width_ratios=[1.25, 1], layout="constrained"
    )
    _pooled_band(all_, errors)
    for method, colour in COLOURS.items():
        some = errors[errors["method"] == method]
        if len(some):
            middle = some.groupby("k")[["application", "error"]].apply(lambda t: _means(t).median())
            all_.plot(middle.index, middle, "o-", color=colour, label=method, markersize=4)
    all_.set(yscale="log", xlabel="runs known", ylabel="median error of ln energy [-]")
    all_.set_xticks(sorted(errors["k"].unique()))
    all_.set_title("median over applications")
    low, high = all_.get_ylim()
    all_.set_yticks([tick for tick in TICKS if low <= tick <= high])
    all_.yaxis.set_major_formatter("{x:g}")
    all_.minorticks_off()
    _pairs(each, errors)
    handles = all_.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncol=4, fontsize="small")
    return figure


def _pooled_band(axis: Axes, errors: pd.DataFrame) -> None:
    pooled = _means(errors[errors["method"] == POOLED])
    low, middle, high = pooled.quantile([0.25, 0.5, 0.75])
    axis.axhspan(low, high, color="C0", alpha=0.15, linewidth=0)
    axis.axhline(middle, color="C0", label=POOLED)
    axis.axhline(middle / 2, color="C0", linestyle=":", label="half of it")


def _pairs(axis: Axes, errors: pd.DataFrame) -> None:
    """One point an application: the process with most runs, by the pooled model."""
    k = errors["k"].max()
    some = errors[errors["k"] == k]
    points = some.pivot_table("error", "application", "method")
    axis.plot(points[POOLED], points[PROCESS], "o", color="C1", markersize=4, alpha=0.8)
    ends = np.array([points.to_numpy().min() * 0.8, points.to_numpy().max() * 1.25])
    axis.plot(ends, ends, color="0.3", linewidth=0.8)
    axis.plot(ends, ends / 2, ":", color="0.3", label="half")
    axis.set(xscale="log", yscale="log", xlabel=f"error, {POOLED} [-]")
    axis.set(ylabel=f"error, {PROCESS} with {k} runs [-]", title="one point an application")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter("{x:g}")
    axis.legend(loc="upper left", fontsize="small")


def facts(trial: Trial | None, errors: pd.DataFrame | None) -> dict[str, str]:
    """What the prose tells of energies; dashes where the data are not here."""
    entry = catalog("traces")[LOG]
    names = ["energy_crps", "energy_power_crps", "energy_cover", "energy_total"]
    told = dict.fromkeys([*names, "energy_known_factor"], "–")
    told["energy_label"] = label(entry.name, entry.tier, entry.sha256)
    if trial is not None:
        rows = energy_table(trial).set_index("model").to_dict("index")
        told |= {
            "energy_crps": f"{rows[MODEL]['CRPS']:.2f}",
            "energy_power_crps": f"{rows[POWER]['CRPS']:.2f}",
            "energy_cover": f"{rows[MODEL]['within 90 %']:.3f}",
            "energy_total": f"{rows[MODEL]['sum of means [measured]']:.1f}",
            "energy_known_factor": f"{rows[KNOWN]['median error [factor]']:.2f}",
        }
    return told | _few_shot_facts(errors)


def _few_shot_facts(errors: pd.DataFrame | None) -> dict[str, str]:
    """Ratios of the process's error to the pooled model's, with most and with fewest runs."""
    names = ["applications", "k", "ratio", "interval", "least_k", "least_ratio"]
    names += ["moved_ratio", "moved_least_ratio"]
    if errors is None:
        return {f"few_{name}": "–" for name in names}
    most, least = errors["k"].max(), errors["k"].min()
    rows = few_shot_table(errors).set_index(["method", "runs known"]).to_dict("index")
    own = rows[PROCESS, most]
    told = {
        "applications": f"{errors['application'].nunique()}",
        "k": f"{most}",
        "ratio": f"{own['of pooled']:.2f}",
        "interval": f"{own['from']:.2f} to {own['to']:.2f}",
        "least_k": f"{least}",
        "least_ratio": f"{rows[PROCESS, least]['of pooled']:.2f}",
        "moved_ratio": _ratio(rows.get((MOVED, most))),
        "moved_least_ratio": _ratio(rows.get((MOVED, least))),
    }
    return {f"few_{name}": value for name, value in told.items()}


def _ratio(row: Mapping[Hashable, Any] | None) -> str:
    """Ratio to the pooled model's error, where the method was tried."""
    return "–" if row is None else f"{row['of pooled']:.2f}"


def energy_figure(trial: Trial | None, seed: int = 0) -> Figure:
    """Predicted against measured energy: at submission, and if the runtime were known."""
    if trial is None:
        return nothing(ABSENT)
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.6), sharex=True, sharey=True)
    titles = {MODEL: "at submission", KNOWN: "if the runtime were known"}
    measured_wh = trial.energy_j / J_PER_WH
    shown = np.random.default_rng(seed).permutation(len(measured_wh))[:N_INTERVALS]
    for axis, (name, title) in zip(panels, titles.items(), strict=True):
        _panel(axis, trial.predictions[name], measured_wh, shown)
        axis.set(title=title, xlabel="measured energy [Wh]")
    panels[0].set(ylabel="predicted energy [Wh]", xscale="log", yscale="log")
    panels[0].set_xlim(measured_wh.min() / 1.5, measured_wh.max() * 1.5)
    panels[1].legend(loc="upper left", fontsize="small")
    return figure


def _panel(axis: Axes, prediction: Prediction, measured_wh: Floats, shown: np.ndarray) -> None:
    median, low, high = (prediction.quantile(level) / J_PER_WH for level in (0.5, 0.05, 0.95))
    axis.vlines(measured_wh[shown], low[shown], high[shown], color="0.75", linewidth=0.8, zorder=1)
    axis.plot(
        *(measured_wh, median, "."), markersize=2.5, alpha=0.4, rasterized=True, label="median"
    )
    axis.plot([], [], color="0.75", linewidth=0.8, label="90 % intervals of some")
    ends = [measured_wh.min(), measured_wh.max()]
    axis.plot(ends, ends, ":", color="0.3")
    axis.minorticks_off()
