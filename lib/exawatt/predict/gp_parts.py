"""What the Gaussian processes share: inputs, mean functions, seeds and places to compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing

from exawatt.predict.estimator import Predictor
from exawatt.predict.values import Prediction, log_target
from exawatt.stats import Floats

#: Standard deviations beyond which an input counts as that far: a kernel knows nothing out there.
FAR = 6.0


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from a seed within, and leave the caller's random numbers as they were."""
    with torch.random.fork_rng():
        if seed is not None:
            torch.manual_seed(seed)
        yield


class Inputs:
    """Features as a kernel needs them: known, on one scale, and flagged where they were unknown.

    Columns that never vary are left out; unknown values become the mean, and a column of which
    some were unknown in training gets a second one that says where.
    """

    def fit(self, table: Floats) -> Self:
        """Learn means and scales from a table of features with NaN for unknown ones."""
        known = ~np.isnan(table)
        count = np.maximum(known.sum(axis=0), 1)
        self.mean = np.where(known, table, 0.0).sum(axis=0) / count
        off = np.where(known, table - self.mean, 0.0)
        self.scale = np.sqrt((off**2).sum(axis=0) / count)
        # Rounding leaves a constant column a spread in its last digits.
        self.varies = self.scale > 1e-9 * np.maximum(np.abs(self.mean), 1.0)
        self.flagged = known.any(axis=0) & ~known.all(axis=0)
        return self

    def __call__(self, table: Floats) -> Floats:
        """Return inputs, at least one column: of zeros if nothing varies."""
        scaled = (table[:, self.varies] - self.mean[self.varies]) / self.scale[self.varies]
        near = np.clip(np.nan_to_num(scaled), -FAR, FAR)
        inputs = np.hstack([near, np.isnan(table[:, self.flagged])])
        return inputs if inputs.shape[1] else np.zeros((len(table), 1))


def out_of_time(
    estimator: Any, rows: Any, target: Floats, n_folds: int
) -> tuple[np.ndarray, Prediction]:
    """Predictions of training rows, each by a model that was fitted to rows before it.

    Parameters
    ----------
    estimator : Predictor
        A model to be fitted afresh for each fold; one in scikit-learn's ``FrozenEstimator`` was
        fitted to other jobs, and predicts all rows as it is.
    rows : DataFrame or ndarray
        Features, in order of submission.
    target : ndarray, shape (n,)
    n_folds : int
        Parts to predict; there is one more, the first, that is only learnt from.

    Returns
    -------
    which : ndarray of int64
        The rows that were predicted. A single row has none before it, and is predicted from
        itself.
    predicted : Prediction
    """
    n = len(target)
    if isinstance(estimator, FrozenEstimator):
        return np.arange(n), estimator.predict_distribution(rows)
    if n_folds < 1:
        raise ValueError(f"n_folds(={n_folds}) must be 1 or more.")
    if n == 1:
        return np.arange(1), clone(estimator).fit(rows, target).predict_distribution(rows)
    edges = np.linspace(0, n, min(n_folds, n - 1) + 2).astype(int)[1:]
    parts = []
    for first, last in pairwise(edges):
        fitted = clone(estimator).fit(_safe_indexing(rows, slice(first)), target[:first])
        parts.append(fitted.predict_distribution(_safe_indexing(rows, slice(first, last))))
    quantiles = np.vstack([part.ln_quantiles for part in parts])
    return np.arange(edges[0], n), Prediction(parts[0].levels, quantiles)


class MeanFunction:
    """What a Gaussian process is added to: a constant, or the mean that a predictor expects.

    Parameters
    ----------
    estimator : Predictor, optional
    n_folds : int
        As for :func:`out_of_time`: the process must not learn from errors that the predictor
        makes on rows it has seen, for these are too small.
    """

    def __init__(self, estimator: Predictor | None, n_folds: int) -> None:
        """Keep the settings."""
        self.estimator, self.n_folds = estimator, n_folds

    def fit(self, rows: Any, target: Floats) -> tuple[np.ndarray, Floats]:
        """Learn; return the rows to train the process on, and their scaled residuals."""
        which, mean = np.arange(len(target)), np.zeros(len(target))
        self.fitted: Any = self.estimator
        if self.estimator is not None:
            which, predicted = out_of_time(self.estimator, rows, target, self.n_folds)
            mean = predicted.mean_ln
            self.fitted = clone(self.estimator)
            if not isinstance(self.fitted, FrozenEstimator):
                self.fitted.fit(rows, target)
        residual = log_target(target[which]) - mean
        self.shift, self.scale = float(residual.mean()), float(residual.std())
        # Where nothing varies a process has no scale to learn; a little is as good as any.
        self.scale = self.scale if self.scale > 1e-6 else 0.1
        return which, (residual - self.shift) / self.scale

    def around(self, rows: Any, mean: Floats, sd: Floats) -> Prediction:
        """Prediction from the mean and the standard deviation of scaled residuals."""
        prior = 0.0 if self.fitted is None else self.fitted.predict_distribution(rows).mean_ln
        return Prediction.normal(prior + self.shift + self.scale * mean, self.scale * sd)


def as_named(X: Any, table: Floats) -> Any:
    """Features with their names, where they had any, for predictors that go by these."""
    return X if hasattr(X, "columns") else table
