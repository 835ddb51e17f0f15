"""Boosted trees, one model for each quantile."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.estimator import Predictor
from exawatt.predict.values import Prediction, log_target
from exawatt.stats import Floats

#: The median, and both ends of the central 50, 80, 90 and 95 % intervals.
QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)


class BoostedQuantiles(Predictor):
    """Gradient-boosted regression trees on the pinball loss of the logarithm [1]_.

    Parameters
    ----------
    levels : sequence of float
        Levels of the quantiles, ascending; a model is fitted for each.
    n_trees : int
        Trees of each model.
    learning_rate : float
        How much of each tree is taken.
    min_samples_leaf : int
        Jobs in a leaf at least.
    max_features : float
        Part of the features, drawn at random, that each split of a tree looks at.
    random_state : int, optional
        Seed of the features drawn.

    References
    ----------
    .. [1] J. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of
       Statistics 29(5), 2001.
    """

    def __init__(
        self,
        levels: Sequence[float] = QUANTILES,
        n_trees: int = 100,
        learning_rate: float = 0.1,
        min_samples_leaf: int = 20,
        max_features: float = 0.3,
        random_state: int | None = 0,
    ) -> None:
        """Keep the settings."""
        self.levels = levels
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit a model for each level; see :class:`Predictor`."""
        table, target = self._checked(X, y)
        unknown = np.isnan(table)
        same = (table == table[0]) | (unknown & unknown[0])
        # A column that is unknown throughout would stop the trees, and constant ones cost time.
        self.varies_ = ~same.all(axis=0)
        rows, ln = self._varying(table), log_target(target)
        self.models_ = [self._model(level).fit(rows, ln) for level in self.levels]
        return self

    def _model(self, level: float) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            early_stopping=False,
            random_state=self.random_state,
        )

    def predict_distribution(self, X: Any) -> Prediction:
        """Quantiles of each row."""
        check_is_fitted(self)
        rows = self._varying(self._checked_features(X))
        quantiles = np.column_stack([model.predict(rows) for model in self.models_])
        return Prediction(np.asarray(self.levels), quantiles)

    def _varying(self, table: Floats) -> Floats:
        """Columns that varied in training; zeros if there was none, for trees need one."""
        return table[:, self.varies_] if self.varies_.any() else np.zeros((len(table), 1))
