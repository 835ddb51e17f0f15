"""Figures of runtime prediction: what is known of a job, and who predicts best from it."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from exawatt.figures.chapter import effort_of
from exawatt.predict import (
    BoostedQuantiles,
    Interval,
    LastRuntimes,
    NeighbourGP,
    Prediction,
    Predictor,
    Recalibrated,
    Request,
    bootstrap,
    features,
    score,
    split,
)
from exawatt.predict.features import FEATURES, HISTORIES, OWN
from exawatt.predict.history import QUEUE
from exawatt.predict.scores import WEEK_S
from exawatt.predict.values import log_target
from exawatt.readers.catalog import catalog, load
from exawatt.replay import Schedule, replay
from exawatt.stats import Floats
from exawatt.workload import Workload

#: The log that most of the chapter is about, as it was recorded: users, and no cleaning.
LOG = "KTH-SP2-raw"
#: Names in tables.
TREES, PROCESS, RECALIBRATED = "boosted trees", "GP on boosted trees", "the same, recalibrated"
COLOURS = {
    "request": "0.6",
    "LAST2": "C2",
    "mean of the last 5": "C4",
    TREES: "C0",
    PROCESS: "C1",
}
#: The gain of a first row.
NOTHING = Interval(np.nan, np.nan, np.nan)


def _family(name: str) -> str:
    """Family of a feature by its column's name."""
    if name in OWN:
        return "own"
    if name in QUEUE:
        return "queue"
    return next(kind for kind in HISTORIES if name.startswith(f"{kind}_"))


#: What a predictor may look at, each with all before it; the last is everything.
FAMILIES = {
    "the job itself": [name for name in FEATURES if _family(name) == "own"],
    "and the user's history": [name for name in FEATURES if _family(name) in ("own", "user")],
    "and that of jobs alike": [name for name in FEATURES if _family(name) != "queue"],
    "and the queue": [*FEATURES],
}


class Settings(NamedTuple):
    """How much is learnt, by effort: training rows at most, trees, passes of the process."""

    rows: int
    trees: int
    epochs: int
    folds: int


SETTINGS = {
    "full": Settings(30_000, 100, 3, 4),
    "quick": Settings(6_000, 25, 2, 2),
    "test": Settings(2_000, 25, 1, 2),
}


class Fitted(NamedTuple):
    """A predictor that has learnt, and what it says of the jobs to try on."""

    predictor: Predictor
    prediction: Prediction
    point_s: Floats
    cpu_s: float


@dataclass(frozen=True, eq=False)
class Trial:
    """Predictors of one log, all with the same jobs to learn from and to try on.

    Parameters
    ----------
    schedule : Schedule
        The replay in which jobs complete.
    table : DataFrame
        Features of all jobs.
    train, test : ndarray of int64
        Rows to learn from and to try on.
    fitted : mapping of str to Fitted
        By name.
    families : mapping of str to Fitted
        Trees that look at some features alone, by name of :data:`FAMILIES`; those that look at
        all are in `fitted`.
    """

    schedule: Schedule
    table: pd.DataFrame
    train: np.ndarray
    test: np.ndarray
    fitted: Mapping[str, Fitted]
    families: Mapping[str, Fitted]

    @property
    def runtime_s(self) -> Floats:
        """Runtimes of the jobs to try on [s]."""
        return self.schedule.runtime_s[self.test]

    def crps(self, name: str) -> Floats:
        """CRPS of the logarithm, of each job to try on."""
        return self.fitted[name].prediction.crps(self.runtime_s)

    def gain(self, name: str, over: str) -> Interval:
        """How much less CRPS one predictor has than another, over whole weeks."""
        return over_weeks(self.crps(over) - self.crps(name), self.schedule.submit_s[self.test])


def log(trace: str = "", effort: str = "") -> Workload:
    """Log that predictions are tried on: the raw one, or what takes its place."""
    if trace:
        return load(trace, strict=False)
    if effort_of(effort) == "test":
        return load("tiny")
    return load(LOG if catalog("traces")[LOG].find() else LOG.removesuffix("-raw"))


def tried(workload: Workload, effort: str = "", seed: int = 0) -> Trial:
    """Train every predictor of the chapter on the first 70 % of a log."""
    settings = SETTINGS[effort_of(effort)]
    schedule = replay(workload, "easy")
    table, runtime_s = features(schedule), schedule.runtime_s
    train, test = split(schedule)
    train = train[-settings.rows :]
    trees = BoostedQuantiles(n_trees=settings.trees, random_state=seed)
    process = NeighbourGP(
        schedule, trees, n_folds=settings.folds, n_epochs=settings.epochs, random_state=seed
    )
    predictors: dict[str, Predictor] = {
        "request": Request(),
        "LAST2": LastRuntimes(2),
        "mean of the last 5": LastRuntimes(5),
        TREES: trees,
        PROCESS: process,
    }
    parts = {name: table[columns] for name, columns in FAMILIES.items() if columns != [*FEATURES]}
    rows = runtime_s, train, test
    with ThreadPoolExecutor(2) as pool:
        # The process first: it takes longer than all others together.
        begun = {
            name: pool.submit(fit, predictors[name], table, *rows) for name in reversed(predictors)
        }
        some = {name: pool.submit(fit, clone(trees), part, *rows) for name, part in parts.items()}
        fitted = {name: begun[name].result() for name in predictors}
        families = {name: each.result() for name, each in some.items()}
    frozen = FrozenEstimator(fitted[PROCESS].predictor)
    fitted[RECALIBRATED] = fit(Recalibrated(schedule, frozen), table, runtime_s, train, test)
    return Trial(schedule, table, train, test, fitted, families)


def fit(
    predictor: Predictor,
    table: pd.DataFrame,
    runtime_s: Floats,
    train: np.ndarray,
    test: np.ndarray,
) -> Fitted:
    """Learn from some rows, and predict others; processor time is that of this thread alone."""
    began_s = time.thread_time()
    predictor.fit(table.iloc[train], runtime_s[train])
    rows = table.iloc[test]
    prediction = predictor.predict_distribution(rows)
    # What a baseline guesses is not the median of its distribution.
    guesses = isinstance(predictor, Request | LastRuntimes)
    point_s = predictor.predict(rows) if guesses else prediction.median
    return Fitted(predictor, prediction, point_s, time.thread_time() - began_s)


def score_table(trial: Trial) -> pd.DataFrame:
    """One row a predictor: errors of its guess [min], and scores of its distribution."""
    rows = []
    for name, fitted in trial.fitted.items():
        found = score(fitted.prediction, trial.runtime_s, fitted.point_s).loc["all"]
        rows.append(
            {
                "predictor": name,
                "MAE [min]": found["mae"] / 60,
                "median error [min]": found["median_ae"] / 60,
                "CRPS": found["crps"],
                "NLPD": found["nlpd"],
                "within 90 %": found["cover_90"],
                "its width": found["width_90"],
                "CPU [s]": fitted.cpu_s,
            }
        )
    return pd.DataFrame(rows)


def families_table(trial: Trial) -> pd.DataFrame:
    """CRPS of boosted trees that look at more and more of what is known.

    Returns
    -------
    DataFrame
        One row a family of :data:`FAMILIES`: its name, the number of features, the CRPS, and the
        gain over the row before with its 95 % interval.
    """
    rows, before = [], None
    for name, columns in FAMILIES.items():
        found = trial.families.get(name, trial.fitted[TREES])
        crps = found.prediction.crps(trial.runtime_s)
        gain = NOTHING
        if before is not None:
            gain = over_weeks(before - crps, trial.schedule.submit_s[trial.test])
        row = {"what is known": name, "features": len(columns), "CRPS": float(crps.mean())}
        rows.append(row | {"gain": gain.mean, "low": gain.low, "high": gain.high})
        before = crps
    return pd.DataFrame(rows)


def requests_figure(trial: Trial) -> Figure:
    """How much of their request jobs use, and how far off guesses are.

    Left, the distribution of runtime over request; right, that of the factor between a guess and
    what came.
    """
    figure, (left, right) = plt.subplots(1, 2)
    used = _used(trial.schedule)
    left.hist(used, np.linspace(0, 1, 41).tolist(), weights=np.full(used.size, 1 / used.size))
    left.set(xlabel="part of the request that was used", ylabel="jobs")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.xaxis.set_major_formatter(PercentFormatter(1))
    # Recalibration leaves the guess alone.
    for name in COLOURS:
        fitted = trial.fitted[name]
        factor = np.exp(np.abs(log_target(fitted.point_s) - log_target(trial.runtime_s)))
        shares = np.arange(1, factor.size + 1) / factor.size
        right.plot(np.sort(factor), shares, color=COLOURS[name], label=name)
    right.set_xscale("log")
    right.set(xlabel="guess off by a factor below", xlim=(1, 1000), ylim=(0, 1))
    right.yaxis.set_major_formatter(PercentFormatter(1))
    right.legend(fontsize=8)
    return figure


def over_weeks(values: Floats, submit_s: Floats) -> Interval:
    """Mean of jobs' values, with the interval over whole weeks; of short logs, over eighths."""
    span_s = float(np.ptp(submit_s))
    return bootstrap(values, submit_s, min(WEEK_S, span_s / 8) or WEEK_S)


def interval(low: float, high: float) -> str:
    """Interval as tables and the prose have it; a dash where there is none."""
    return "–" if np.isnan(low) else f"{low:+.3f} to {high:+.3f}"


def facts(trial: Trial, families: pd.DataFrame) -> dict[str, str]:
    """What the prose tells of the trial."""
    jobs = trial.schedule.workload.jobs
    used = _used(trial.schedule)
    gain = trial.gain(PROCESS, TREES)
    return {
        "jobs": f"{len(jobs):,}",
        "train_count": f"{trial.train.size:,}",
        "test_count": f"{trial.test.size:,}",
        "features_count": f"{trial.table.shape[1]}",
        "used_median": f"{used.median():.0%}",
        "own_crps": f"{families['CRPS'].iloc[0]:.3f}",
        "history_gain": f"{families['gain'].iloc[1]:.3f}",
        "trees_crps": f"{trial.crps(TREES).mean():.3f}",
        "gp_gain": f"{gain.mean:.3f}",
        "gp_gain_interval": interval(gain.low, gain.high),
    }


def _used(schedule: Schedule) -> "pd.Series[float]":
    """Part of the request that each job with one used."""
    return (schedule.runtime_s / schedule.workload.jobs["requested_s"]).dropna()
