"""Figures of why a process beats its mean: errors of one user's jobs resemble each other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.figures.predicting import COLOURS, PROCESS, TREES, Trial, over_weeks
from exawatt.predict.neighbours import last_completed, normal_scores
from exawatt.stats import Floats

#: Jobs of the same user that errors are compared with, the one completed last first.
LAGS = 16
#: Hours since the user's last completion that part jobs into groups; the last has none.
EDGES_H = (0.1, 1.0, 6.0, 24.0)
#: Groups of fewer jobs than this are left out.
MIN_JOBS = 20
#: Jobs of one user that are shown.
SHOWN = 120


def correlations(trial: Trial) -> pd.DataFrame:
    """Correlation of a job's normal score with those of its user's jobs completed before.

    Returns
    -------
    DataFrame, shape (LAGS, 2)
        By lag, from 1 for the job completed last when this one was submitted: a column for the
        trees, and one for the process. The score is the standard normal quantile of the level at
        which the runtime lay in the distribution predicted; of a perfect predictor, all
        correlations are 0.
    """
    near = _near(trial)
    table = {}
    for name in (TREES, PROCESS):
        scores = np.full(len(trial.table), np.nan)
        scores[trial.test] = normal_scores(trial.fitted[name].prediction, trial.runtime_s)
        table[name] = [_correlation(scores, trial.test, near[:, lag]) for lag in range(LAGS)]
    return pd.DataFrame(table, index=pd.RangeIndex(1, LAGS + 1, name="lag"))


def gains(trial: Trial) -> pd.DataFrame:
    """Gain of the process over the trees, by the time since the user's last completion.

    Returns
    -------
    DataFrame
        One row a group: its name, the share of the jobs, and the mean gain with the interval over
        whole weeks; jobs of users without a completed job are the last group.
    """
    near = _near(trial)[:, 0]
    ended_s = trial.schedule.end_s[near]
    since_h = (trial.schedule.submit_s[trial.test] - ended_s) / 3600
    group = np.where(near < 0, len(EDGES_H) + 1, np.searchsorted(EDGES_H, since_h, side="right"))
    gain = trial.crps(TREES) - trial.crps(PROCESS)
    submit_s = trial.schedule.submit_s[trial.test]
    rows = []
    for at, name in enumerate(_names()):
        some = group == at
        if np.unique(submit_s[some]).size < MIN_JOBS:
            continue
        found = over_weeks(gain[some], submit_s[some])
        rows.append({"since": name, "jobs": some.mean(), **found._asdict()})
    return pd.DataFrame(rows, columns=["since", "jobs", "mean", "low", "high"])


def why_figure(trial: Trial) -> Figure:
    """Left, correlations by lag; right, gain by the time since the user's last completion."""
    figure, (left, right) = plt.subplots(1, 2, width_ratios=[1, 1.2])
    table = correlations(trial)
    for name in (TREES, PROCESS):
        left.plot(table.index, table[name], COLOURS[name], marker=".", label=name)
    left.axhline(0, color="0.3", linewidth=0.8)
    left.set(xlabel="jobs of the user completed before", ylabel="correlation of scores")
    left.legend()
    found = gains(trial)
    at = np.arange(len(found))
    error = found[["low", "high"]].sub(found["mean"], axis=0).abs().to_numpy().T
    right.errorbar(at, found["mean"], yerr=error, fmt="o", color=COLOURS[PROCESS], capsize=3)
    right.axhline(0, color="0.3", linewidth=0.8)
    labels = [
        f"{name}\n{share:.0%}" for name, share in zip(found["since"], found["jobs"], strict=True)
    ]
    right.set_xticks(at, labels, fontsize=8)
    right.set(xlabel="since the user's last completion; share of jobs", ylabel="CRPS gained")
    right.grid(axis="x", visible=False)
    return figure


def fans_figure(trial: Trial) -> Figure:
    """Successive jobs of the user with most to try on: what came, and bands of 50 and 90 %."""
    users = trial.schedule.workload.jobs["user"].to_numpy()[trial.test]
    user = pd.Series(users).mode().iloc[0]
    rows = np.flatnonzero(users == user)
    rows = rows[len(rows) // 2 :][:SHOWN]
    figure, axes = plt.subplots(2, 1, figsize=(7.2, 4.6), sharex=True, sharey=True)
    came = np.maximum(trial.runtime_s[rows], 1.0)
    at = np.arange(rows.size)
    for axis, name in zip(axes, (TREES, PROCESS), strict=True):
        prediction = trial.fitted[name].prediction
        for percent, shade in ((90, 0.18), (50, 0.32)):
            low, high = (
                np.exp(prediction.ln_quantile(0.5 + side * percent / 200))[rows] for side in (-1, 1)
            )
            axis.fill_between(
                at,
                low,
                high,
                step="mid",
                color=COLOURS[name],
                alpha=shade,
                linewidth=0,
                label=f"{percent} %",
            )
        axis.plot(at, came, "k.", markersize=4, label="what came")
        axis.set(yscale="log", ylabel="runtime [s]", title=name)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes[-1].set_xlabel("jobs of one user, in order of submission")
    return figure


def facts(trial: Trial) -> dict[str, str]:
    """What the prose tells of dependence."""
    table = correlations(trial)
    return {
        "trees_correlation": f"{table[TREES].iloc[0]:.2f}",
        "gp_correlation": f"{table[PROCESS].iloc[0]:.2f}",
    }


def _near(trial: Trial) -> np.ndarray:
    """Jobs that each job's user had completed last, for those to try on."""
    known = np.ones(len(trial.table), bool)
    return last_completed(trial.schedule, known, LAGS)[trial.test]


def _correlation(scores: Floats, rows: np.ndarray, others: np.ndarray) -> float:
    """Correlation of jobs' scores with those of others, where both are known."""
    own, other = scores[rows], np.where(others < 0, np.nan, scores[others])
    both = np.isfinite(own) & np.isfinite(other)
    return float(np.corrcoef(own[both], other[both])[0, 1]) if both.sum() > 2 else float("nan")


def _names() -> list[str]:
    """Names of the groups."""
    edges = ["6 min", "1 h", "6 h", "a day"]
    between = [f"< {edge}" for edge in edges]
    return [*between, "longer", "none yet"]
