"""Baselines: what the user asked for, and what the user's last jobs took."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.estimator import Predictor, checked_columns, checked_target
from exawatt.predict.history import N_LAST
from exawatt.predict.values import LEVELS, Prediction, log_target
from exawatt.stats import Floats

#: Jobs guessed at from the same source, below which errors are those of all jobs.
MIN_ERRORS = 30
# Where a guess comes from.
OWN, REQUESTED, NOWHERE = range(3)


class _Guess(Predictor):
    """A guess from a few features; its errors are those that it made in training."""

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn errors, and what to guess for jobs without a request.

        Parameters
        ----------
        X : DataFrame
            The table that :func:`~exawatt.predict.features.features` makes, or rows of it.
        y : array_like, shape (n,)
            Runtimes [s].
        """
        table = checked_columns(X, self._columns())
        target = log_target(checked_target(y, len(table)))
        unrequested = np.isnan(table[:, 0])
        alike = unrequested if unrequested.any() else slice(None)
        self.unrequested_ln_s_ = float(np.median(target[alike]))
        guess, source = self._guess(table)
        errors = target - guess
        groups = [errors[source == each] for each in (OWN, REQUESTED, NOWHERE)]
        self.errors_ln_ = np.stack(
            [np.quantile(some if some.size >= MIN_ERRORS else errors, LEVELS) for some in groups]
        )
        return self

    def predict(self, X: Any) -> Floats:
        """Guess of each runtime [s]."""
        return np.exp(self._guess(self._known(X))[0])

    def predict_distribution(self, X: Any) -> Prediction:
        """Guesses, with the errors of guesses from the same source."""
        guess, source = self._guess(self._known(X))
        return Prediction.around(guess, LEVELS, self.errors_ln_[source])

    def _known(self, X: Any) -> Floats:
        check_is_fitted(self)
        return checked_columns(X, self._columns())

    def _columns(self) -> list[str]:
        """Features in use, the request first."""
        return ["request_ln_s"]

    def _guess(self, table: Floats) -> tuple[Floats, np.ndarray]:
        """Logarithm of each guess, and where it comes from."""
        request = table[:, 0]
        missing = np.isnan(request)
        source = np.where(missing, NOWHERE, REQUESTED)
        return np.where(missing, self.unrequested_ln_s_, request), source


class Request(_Guess):
    """The user's request; the median runtime of jobs without a request for those."""


class LastRuntimes(_Guess):
    """Mean of the runtimes of the user's jobs completed last, at most the request.

    Parameters
    ----------
    k : int
        How many, up to 5; a user with fewer completed jobs gets the request. 2 is Tsafrir's
        estimate [1]_.

    References
    ----------
    .. [1] D. Tsafrir, Y. Etsion, D. Feitelson, "Backfilling Using System-Generated Predictions
       Rather than User Runtime Estimates", IEEE TPDS 18(6), 2007.
    """

    def __init__(self, k: int = 2) -> None:
        """Keep how many."""
        self.k = k

    def _columns(self) -> list[str]:
        if self.k not in range(1, N_LAST + 1):
            raise ValueError(f"k(={self.k!r}) must be a whole number from 1 to {N_LAST}.")
        return ["request_ln_s", *(f"user_last{i + 1}_ln_s" for i in range(self.k))]

    def _guess(self, table: Floats) -> tuple[Floats, np.ndarray]:
        request, source = super()._guess(table)
        mean = np.log(np.exp(table[:, 1:]).mean(axis=1))
        known = ~np.isnan(mean)
        return np.where(known, np.fmin(mean, table[:, 0]), request), np.where(known, OWN, source)
