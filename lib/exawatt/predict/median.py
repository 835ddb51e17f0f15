"""Boosted trees for the median alone: a predictor that is cheap to train again and again."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.estimator import Predictor
from exawatt.predict.values import LEVELS, Prediction, log_target
from exawatt.stats import Floats


class BoostedMedian(Predictor):
    """Gradient-boosted regression trees on the absolute error of the logarithm.

    Its distribution is that of the errors made in training, the same around every median, and so
    too narrow; :class:`~exawatt.predict.conformal.Conformal` corrects that.

    Parameters
    ----------
    n_trees : int
        Trees.
    learning_rate : float
        How much of each tree is taken.
    max_leaf_nodes : int
        Leaves of a tree at most.
    max_bins : int
        Values of a feature that are told apart at most.
    max_features : float
        Part of the features, drawn at random, that each split of a tree looks at.
    random_state : int, optional
        Seed of the features drawn.
    """

    def __init__(
        self,
        n_trees: int = 30,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 15,
        max_bins: int = 63,
        max_features: float = 0.3,
        random_state: int | None = 0,
    ) -> None:
        """Keep the settings."""
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.max_bins = max_bins
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the trees; see :class:`Predictor`."""
        table, target = self._checked(X, y)
        ln = log_target(target)
        # Trees refuse a column that is unknown throughout.
        self.known_ = ~np.isnan(table).all(axis=0)
        self.model_ = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            max_bins=self.max_bins,
            max_features=self.max_features,
            early_stopping=False,
            random_state=self.random_state,
        ).fit(self._rows(table), ln)
        self.errors_ln_ = np.quantile(ln - self.model_.predict(self._rows(table)), LEVELS)
        return self

    def predict(self, X: Any) -> Floats:
        """Median of what will come, in the unit of the target."""
        return np.exp(self._median_ln(X))

    def predict_distribution(self, X: Any) -> Prediction:
        """Medians, with the errors made in training."""
        return Prediction.around(self._median_ln(X), LEVELS, self.errors_ln_)

    def _median_ln(self, X: Any) -> Floats:
        check_is_fitted(self)
        median: Floats = self.model_.predict(self._rows(self._checked_features(X)))
        return median

    def _rows(self, table: Floats) -> Floats:
        """Columns that were known in training; zeros if there was none, for trees need one."""
        return table[:, self.known_] if self.known_.any() else np.zeros((len(table), 1))
