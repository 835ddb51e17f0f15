"""Conformal calibration: quantiles moved to where they should have been on later jobs."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.estimator import Predictor, checked_columns
from exawatt.predict.values import Prediction, log_target
from exawatt.stats import Floats

#: Rows of a group below which it is calibrated with all rows.
MIN_GROUP = 200


class Conformal(MetaEstimatorMixin, Predictor):
    r"""Any predictor, its quantiles calibrated on the latest part of its training rows.

    Parameters
    ----------
    estimator : Predictor, optional
        What to calibrate; :class:`~exawatt.predict.boosting.BoostedQuantiles` if not given.
    share : float
        Part of the rows, the last in order of submission, on which to calibrate.
    by : str, optional
        Feature by whose size rows are calibrated in groups: ``procs_ln`` for small and large
        jobs apart. Rows of which it is unknown go with the largest.
    n_groups : int
        How many groups, of about equal numbers of rows.
    refit : bool
        Whether to fit again to all rows once the corrections are known.

    Notes
    -----
    With :math:`r_i = y_i - q_\tau(x_i)` on the :math:`n` calibration rows, :math:`q_\tau` moves
    by the :math:`\lceil (n + 1) \tau \rceil`-th smallest :math:`r_i` for :math:`\tau` above a
    half, and the :math:`\lfloor (n + 1) \tau \rfloor`-th below: conformalized quantile regression
    with both sides apart [1]_, here for every level. If rows are exchangeable, coverage is then
    at least the nominal. Jobs are not: logs drift, and a model that is fitted again is another
    one. So coverage has to be measured on later jobs.

    References
    ----------
    .. [1] Y. Romano, E. Patterson, E. Candès, "Conformalized Quantile Regression", NeurIPS 2019.
    """

    def __init__(
        self,
        estimator: Predictor | None = None,
        share: float = 0.25,
        by: str | None = None,
        n_groups: int = 4,
        refit: bool = True,
    ) -> None:
        """Keep the settings."""
        self.estimator = estimator
        self.share = share
        self.by = by
        self.n_groups = n_groups
        self.refit = refit

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to the first rows, calibrate on the rest; see :class:`Predictor`."""
        if not 0 < self.share < 1:
            raise ValueError(f"share(={self.share}) must lie between 0 and 1.")
        table, target = self._checked(X, y)
        rows = X if hasattr(X, "columns") else table
        n = len(target)
        first = n - max(1, int(n * self.share))
        if first < 1:
            raise ValueError(f"n_samples={n} is too few: pass 2 or more, to fit and to calibrate.")
        earlier, later = (_safe_indexing(rows, part) for part in (slice(first), slice(first, n)))
        base = BoostedQuantiles() if self.estimator is None else self.estimator
        self.estimator_ = clone(base).fit(earlier, target[:first])
        expected = self.estimator_.predict_distribution(later)
        error = log_target(target[first:])[:, None] - expected.ln_quantiles
        self._find_groups(later)
        self.offsets_ln_ = self._offsets(error, self._group(later), expected.levels)
        if self.refit:
            self.estimator_ = clone(base).fit(rows, target)
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        """Quantiles of the predictor, corrected."""
        check_is_fitted(self)
        rows = self._checked_features(X)
        rows = X if hasattr(X, "columns") else rows
        expected = self.estimator_.predict_distribution(rows)
        offsets = self.offsets_ln_[self._group(rows)]
        return Prediction(expected.levels, expected.ln_quantiles + offsets)

    def _find_groups(self, X: Any) -> None:
        levels = np.arange(1, self.n_groups) / self.n_groups
        # A value that several edges share makes one group.
        self.edges_ = np.unique(np.nanquantile(self._grouping(X), levels))

    def _group(self, X: Any) -> np.ndarray:
        """Group of each row; rows at an edge belong below it."""
        return np.searchsorted(self.edges_, self._grouping(X))

    def _grouping(self, X: Any) -> Floats:
        if self.by is None:
            return np.zeros(len(X))
        return checked_columns(X, [self.by])[:, 0]

    def _offsets(self, error: Floats, group: np.ndarray, levels: Floats) -> Floats:
        """Correction of each level, by group; shape (n_groups, n_levels)."""
        everyone = _ranked(error, levels)
        found = []
        for each in range(self.edges_.size + 1):
            some = error[group == each]
            found.append(_ranked(some, levels) if len(some) >= MIN_GROUP else everyone)
        return np.stack(found)


def _ranked(error: Floats, levels: Floats) -> Floats:
    """Error that each level's quantile has to be moved by."""
    n = len(error)
    # To the last digits: (n + 1) times a level that is meant to be whole is so.
    place = np.round((n + 1) * levels, 9)
    rank = np.where(levels < 0.5, np.floor(place), np.ceil(place))
    rank = np.clip(rank, 1, n).astype(np.intp)
    return np.sort(error, axis=0)[rank - 1, np.arange(levels.size)]
