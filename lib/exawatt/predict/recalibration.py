"""Recalibration: intervals corrected by the jobs that were completed lately, for logs drift."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.conformal import Conformal
from exawatt.predict.estimator import Predictor, checked_runtimes, job_numbers
from exawatt.predict.features import FEATURES, features
from exawatt.predict.past import ends_s
from exawatt.predict.values import LEVELS, Prediction, log_target
from exawatt.replay import Schedule
from exawatt.replay.state import Integers
from exawatt.stats import Floats

#: Least level that is asked of a predictor: what lies beyond, a window of jobs cannot tell.
EDGE = 1e-5
#: Windows that are sorted at once.
BATCH = 512
GOLDEN = (5**0.5 - 1) / 2


class Recalibrated(MetaEstimatorMixin, Predictor):
    r"""Any predictor, its intervals recalibrated on the jobs completed before each submission.

    Parameters
    ----------
    schedule : Schedule
        Whose jobs are learnt from and predicted: it says what was completed at each submission.
    estimator : Predictor, optional
        What to recalibrate; :class:`~exawatt.predict.conformal.Conformal` if not given.
    n_recent : int
        How many jobs, those completed last, to recalibrate on. The default was chosen on the
        first 70 % of KTH-SP2, each of its last three fifths predicted from what came before.

    Notes
    -----
    Where predictions :math:`F_i` are right, the levels :math:`F_i(y_i)` of what came are uniform,
    and so are the probabilities :math:`c_i = |2 F_i(y_i) - 1|` of the smallest central intervals
    that hold what came. With :math:`G` the distribution function of the last :math:`n` of these,
    linear between 0, the values in order, and 1, the central interval of probability :math:`c`
    becomes that of probability :math:`G^{-1}(c)`: recalibration [1]_ of both sides together,
    which leaves the median, on a window that moves on as in adaptive conformal inference [2]_.
    Coverage follows a drift with the delay of half a window or so. What came is the number that
    was logged, as where coverage is scored.

    Only jobs that were not learnt from, and are later than the first that was, can tell how good
    predictions are. Until `n_recent` of them are completed, evenly spread values stand in for the
    rest. So jobs of the training period are predicted as the estimator does.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner, S. Ermon, "Accurate Uncertainties for Deep Learning Using
       Calibrated Regression", ICML 2018.
    .. [2] I. Gibbs, E. Candès, "Adaptive Conformal Inference Under Distribution Shift",
       NeurIPS 2021.
    """

    def __init__(
        self, schedule: Schedule, estimator: Predictor | None = None, n_recent: int = 1000
    ) -> None:
        """Keep the settings."""
        self.schedule = schedule
        self.estimator = estimator
        self.n_recent = n_recent

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to jobs of the schedule.

        Parameters
        ----------
        X : DataFrame
            Rows of the features of the schedule, or of some of these columns, in order of
            submission.
        y : array_like, shape (n,)
            Their runtimes in the schedule [s].
        """
        if self.n_recent < 1:
            raise ValueError(f"n_recent(={self.n_recent}) must be 1 or more.")
        jobs = job_numbers(self.schedule, X)
        other = [name for name in X.columns if name not in FEATURES]
        if other:
            raise ValueError(f"X has column {other[0]!r}, which features(schedule) does not make.")
        target = checked_runtimes(self.schedule, jobs, y)
        base = Conformal() if self.estimator is None else self.estimator
        self.estimator_ = clone(base).fit(X, target)
        self.telling_ = np.arange(len(self.schedule.workload)) > jobs.min()
        self.telling_[jobs] = False
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        """Quantiles of each row, given what was completed when it was submitted."""
        check_is_fitted(self)
        jobs = job_numbers(self.schedule, X)
        by_end, completed = completions(self.schedule, self.telling_)
        upto = completed[jobs]
        others = np.setdiff1d(by_end[_in_windows(upto, self.n_recent, by_end.size)], jobs)
        rows = features(self.schedule)[list(X.columns)].iloc[others]
        named = np.concatenate([jobs, others])
        expected = self.estimator_.predict_distribution(pd.concat([X, rows]))
        held = np.full(len(self.telling_), np.nan)
        held[named] = _just_held(expected, self.schedule.runtime_s[named])
        levels = _levels(held[by_end], upto, self.n_recent)
        return Prediction(LEVELS, expected[: len(jobs)].ln_quantile(levels))


def completions(schedule: Schedule, counted: np.ndarray) -> tuple[Integers, Integers]:
    """Jobs in order of completion, and how many were completed at each submission.

    Parameters
    ----------
    schedule : Schedule
    counted : ndarray of bool, shape (n_jobs,)
        Jobs that count.

    Returns
    -------
    by_end : ndarray of int64, shape (n_counted,)
    completed : ndarray of int64, shape (n_jobs,)
        How many of them were completed at or before each submission; never the job itself.
    """
    end_s = ends_s(schedule.start_s, schedule.runtime_s)
    some = np.flatnonzero(counted)
    by_end = some[np.argsort(end_s[some], kind="stable")]
    return by_end, np.searchsorted(end_s[by_end], schedule.submit_s, side="right")


def _in_windows(upto: Integers, n: int, size: int) -> np.ndarray:
    """Which of `size` places lie among the last `n` before any of some."""
    change = np.zeros(size + 1, np.int64)
    np.add.at(change, np.maximum(upto - n, 0), 1)
    np.add.at(change, upto, -1)
    return np.cumsum(change)[:size] > 0


def _just_held(expected: Prediction, runtime_s: Floats) -> Floats:
    """Probability of the smallest central interval that holds each runtime."""
    ln = log_target(runtime_s)
    # Both sides of it, for there may be a step: all intervals that touch one hold it.
    ends = (np.nextafter(ln, -np.inf), ln)
    before, upto = (expected._below_and_above(end)[0] for end in ends)
    return np.maximum(np.maximum(2 * before - 1, 1 - 2 * upto), 0.0)


def _even(n: int) -> Floats:
    """Numbers between 0 and 1 of which any run is spread evenly."""
    return np.arange(1.0, n + 1) * GOLDEN % 1.0


def _levels(held: Floats, upto: Integers, n: int) -> Floats:
    """Levels to take for LEVELS, so that of the `n` before a place the right parts are held."""
    windows = sliding_window_view(np.concatenate([_even(n), held]), n)
    places, row = np.unique(upto, return_inverse=True)
    probability = np.empty((places.size, LEVELS.size))
    for first in range(0, places.size, BATCH):
        some = slice(first, first + BATCH)
        bounded = np.pad(windows[places[some]], ((0, 0), (1, 1)), constant_values=(0.0, 1.0))
        probability[some] = np.quantile(bounded, np.abs(2 * LEVELS - 1), axis=1).T
    wanted = 0.5 + np.sign(LEVELS - 0.5) * probability[row] / 2
    levels: Floats = np.clip(wanted, EDGE, 1 - EDGE)
    return levels
