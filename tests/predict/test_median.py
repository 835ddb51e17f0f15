"""The boosted median: scikit-learn's own checks, what it learns, and bad input."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.estimator_checks import parametrize_with_checks

import exawatt as ew
from exawatt.predict import features
from exawatt.predict.median import BoostedMedian


@pytest.mark.slow
@parametrize_with_checks([BoostedMedian()])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_it_learns_the_median_of_each_group_and_not_its_mean() -> None:
    X = np.repeat([[0.0], [1.0]], 300, axis=0)
    # A third of either group takes a hundred times as long.
    y = np.where(np.arange(600) % 3 == 0, 100.0, 1.0) * np.repeat([10.0, 1000.0], 300)
    fitted = BoostedMedian(n_trees=200, max_features=1.0).fit(X, y)
    assert_allclose(fitted.predict([[0.0], [1.0]]), [10.0, 1000.0], rtol=1e-3)
    spread = fitted.predict_distribution([[0.0]])
    assert_allclose(spread.quantile(0.9), [1000.0], rtol=1e-3)


def test_it_knows_more_of_a_schedule_than_one_median(schedule: ew.Schedule) -> None:
    table, runtime_s = features(schedule), schedule.runtime_s
    fitted = BoostedMedian().fit(table, runtime_s)
    assert table.isna().all().any()  # there is no queue number, and trees refuse such columns
    error = np.abs(np.log(fitted.predict(table) / runtime_s)).mean()
    assert error < 0.8 * np.abs(np.log(np.median(runtime_s) / runtime_s)).mean()


def test_the_same_seed_gives_the_same_trees(schedule: ew.Schedule) -> None:
    table, runtime_s = features(schedule), schedule.runtime_s
    one, two, other = (
        BoostedMedian(random_state=seed).fit(table, runtime_s).predict(table) for seed in (0, 0, 1)
    )
    assert_array_equal(one, two)
    assert (one != other).any()


def test_without_features_or_with_one_row_it_predicts_what_it_saw() -> None:
    unknown = np.full((3, 2), np.nan)
    assert_allclose(BoostedMedian().fit(unknown, [5.0, 7.0, 90.0]).predict(unknown), 7.0)
    assert_allclose(BoostedMedian().fit([[1.0]], [0.0]).predict([[2.0]]), 1.0)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_targets_that_are_no_runtime_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"y\[1\]\(=-1\) must not be negative|Input y contains"):
        BoostedMedian().fit([[1.0], [2.0]], [1.0, bad])


def test_an_infinite_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="Input X contains infinity"):
        BoostedMedian().fit([[1.0], [np.inf]], [1.0, 2.0])
