"""Trial: one predictor on one log, learnt from its first part and scored on the rest."""

import time
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from exawatt.predict.estimator import Predictor
from exawatt.predict.features import features
from exawatt.predict.scores import losses, split
from exawatt.replay import replay
from exawatt.replay.schedule import Schedule
from exawatt.replay.state import Integers
from exawatt.stats import Floats
from exawatt.workload import Workload

#: Jobs that a predictor learns from at most: the latest of the first 70 %.
N_TRAIN = 30_000


@dataclass(frozen=True, eq=False)
class Case:
    """A log under EASY, the features of its jobs, and which to learn from and to try.

    Attributes
    ----------
    schedule : Schedule
    table : DataFrame
        Features of all jobs.
    train, test : ndarray of int64
        Rows of jobs.
    """

    schedule: Schedule
    table: pd.DataFrame
    train: Integers
    test: Integers

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """Replay a log, and split it."""
        schedule = replay(workload, "easy")
        train, test = split(schedule)
        return cls(schedule, features(schedule), train[-N_TRAIN:], test)

    @property
    def submit_s(self) -> Floats:
        """Submission of each job to try [s]."""
        return self.schedule.submit_s[self.test]


def trial(case: Case, predictor: Predictor) -> pd.DataFrame:
    """Losses of each job to try.

    Parameters
    ----------
    case : Case
    predictor : Predictor

    Returns
    -------
    DataFrame
        The columns of :func:`~exawatt.predict.scores.losses`, and ``pit``. Its ``attrs`` hold
        ``cpu_s``, processor time of fit and prediction [s].
    """
    runtime_s = case.schedule.runtime_s
    rows, actual = case.table.iloc[case.test], runtime_s[case.test]
    began_s = time.process_time()
    predictor.fit(case.table.iloc[case.train], runtime_s[case.train])
    predicted = predictor.predict_distribution(rows)
    cpu_s = time.process_time() - began_s
    # Most predict the median, which the distribution has; it need not be worked out twice.
    own = type(predictor).predict is not Predictor.predict
    point = predictor.predict(rows) if own else None
    found = losses(predicted, actual, point).assign(pit=predicted.pit(actual))
    found.attrs["cpu_s"] = cpu_s
    return found


def mean_scores(found: pd.DataFrame, by: Integers | None = None) -> pd.DataFrame:
    """Mean losses of all jobs, or of each group of jobs.

    Parameters
    ----------
    found : DataFrame
        What :func:`trial` returns.
    by : ndarray, shape (n,), optional
        Group of each job.

    Returns
    -------
    DataFrame
        A row for each ``group``, ``all`` without groups: ``n`` jobs, ``mae_min`` and
        ``median_ae_min`` [min], and means of the other losses.
    """
    grouped = found.groupby(np.full(len(found), "all") if by is None else by)
    error = grouped["absolute_error"]
    first = {
        "n": grouped.size(),
        "mae_min": error.mean() / 60,
        "median_ae_min": error.median() / 60,
    }
    rest = grouped.mean().drop(columns=["absolute_error", "pit"])
    return pd.DataFrame(first).join(rest).rename_axis("group").reset_index()
