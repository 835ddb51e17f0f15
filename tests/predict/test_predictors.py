"""Predictors: scikit-learn's own checks, what baselines guess, calibration, and bad input."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import exawatt as ew
from exawatt.predict import (
    LEVELS,
    BoostedQuantiles,
    Conformal,
    LastRuntimes,
    Prediction,
    Predictor,
    Request,
    features,
    score,
)
from exawatt.predict.conformal import _ranked

SMALL = BoostedQuantiles(levels=(0.1, 0.5, 0.9), n_trees=30)
QUICK = BoostedQuantiles(levels=(0.1, 0.5, 0.9), n_trees=3)
PREDICTORS: list[Predictor] = [Request(), LastRuntimes(2), QUICK, Conformal(QUICK)]
everyone = pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda each: type(each).__name__)


# Baselines read features by name, which scikit-learn's checks do not have.
@pytest.mark.slow
@parametrize_with_checks([SMALL, Conformal(SMALL)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def rows(**columns: list[float]) -> pd.DataFrame:
    """Return features of which all but these are unknown."""
    n = len(next(iter(columns.values())))
    names = ["request_ln_s", *(f"user_last{i}_ln_s" for i in range(1, 6))]
    seconds = {name: columns.get(name, [np.nan] * n) for name in names}
    return pd.DataFrame({name: np.log(values) for name, values in seconds.items()})


def test_the_request_is_the_guess_and_without_one_the_median_of_such_jobs() -> None:
    known = rows(request_ln_s=[100.0, 1000.0, np.nan, np.nan, np.nan])
    fitted = Request().fit(known, [50.0, 50.0, 7.0, 8.0, 90.0])
    assert_allclose(fitted.predict(rows(request_ln_s=[300.0, np.nan])), [300.0, 8.0])


def test_where_all_jobs_had_requests_one_without_gets_the_median_of_all() -> None:
    fitted = Request().fit(rows(request_ln_s=[100.0] * 3), [10.0, 20.0, 90.0])
    assert_allclose(fitted.predict(rows(request_ln_s=[np.nan])), [20.0])


def test_last_runtimes_are_a_mean_at_most_the_request() -> None:
    table = rows(
        request_ln_s=[1000.0, 150.0, 1000.0, np.nan, np.nan],
        user_last1_ln_s=[100.0, 100.0, 100.0, 100.0, np.nan],
        user_last2_ln_s=[300.0, 300.0, np.nan, 300.0, np.nan],
    )
    y = [1.0, 1.0, 1.0, 1.0, 40.0]
    # The last has neither: the geometric mean of 1 and 40, median of those without requests.
    guesses = [200.0, 150.0, 1000.0, 200.0, 40**0.5]
    assert_allclose(LastRuntimes(2).fit(table, y).predict(table), guesses)
    assert_allclose(LastRuntimes(1).fit(table, y).predict(table)[:4], [100, 100, 100, 100])


def test_errors_of_a_baseline_are_those_it_made() -> None:
    # Runtimes are spread evenly over a tenth to one request.
    share = np.linspace(0.1, 1.0, 1001)
    table = rows(request_ln_s=[1000.0] * 1001)
    predicted = Request().fit(table, 1000 * share).predict_distribution(table.iloc[:1])
    assert_allclose(predicted.median, [550.0], rtol=1e-3)
    assert_allclose(predicted.quantile(0.9), [910.0], rtol=1e-3)


def test_guesses_from_elsewhere_have_errors_of_their_own() -> None:
    n = 40
    last = [50.0] * n + [np.nan] * n
    table = rows(request_ln_s=[1000.0] * 2 * n, user_last1_ln_s=last)
    predicted = LastRuntimes(1).fit(table, [50.0] * n + [500.0] * n).predict_distribution(table)
    assert_allclose(predicted.median, [50.0] * n + [500.0] * n)


@pytest.fixture(scope="session")
def learnt(schedule: ew.Schedule) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features and runtimes of random jobs, half of them ten times as long."""
    table = features(schedule)
    return table, schedule.runtime_s * np.where(table["procs_ln"] > 1, 10.0, 1.0)


@everyone
def test_a_predictor_gives_a_distribution_around_its_median(
    predictor: Predictor, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, runtime = learnt
    fitted = clone(predictor).fit(table[:400], runtime[:400])
    predicted = fitted.predict_distribution(table[400:])
    assert len(predicted) == 200
    assert (np.diff(predicted.ln_quantiles, axis=1) >= 0).all()
    assert np.isfinite(predicted.crps(runtime[400:])).all()
    if isinstance(predictor, BoostedQuantiles | Conformal):
        assert_array_equal(fitted.predict(table[400:]), predicted.median)


def test_boosted_trees_find_what_makes_jobs_long(
    learnt: tuple[pd.DataFrame, np.ndarray],
) -> None:
    table, runtime = learnt
    crps = {}
    for predictor in (Request(), SMALL):
        predicted = (
            clone(predictor).fit(table[:400], runtime[:400]).predict_distribution(table[400:])
        )
        crps[type(predictor)] = score(predicted, runtime[400:]).loc["all", "crps"]
    assert crps[BoostedQuantiles] < 0.8 * crps[Request]


@everyone
def test_unknown_users_and_missing_requests_are_predicted(
    predictor: Predictor, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, runtime = learnt
    unknown = table[:3].copy()
    unknown.loc[:, :] = np.nan
    unknown["procs_ln"] = 0.0
    median = clone(predictor).fit(table, runtime).predict(unknown)
    assert ((median > 1) & (median < 6000)).all()


@everyone
def test_runtimes_of_zero_count_as_a_second(
    predictor: Predictor, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, _ = learnt
    zero = clone(predictor).fit(table, np.zeros(600)).predict_distribution(table)
    one = clone(predictor).fit(table, np.ones(600)).predict_distribution(table)
    assert_array_equal(zero.ln_quantiles, one.ln_quantiles)


@pytest.mark.parametrize("predictor", [Request(), LastRuntimes(1), QUICK])
def test_of_one_job_the_rest_is_thought_to_be_the_same(predictor: Predictor) -> None:
    table = rows(request_ln_s=[100.0, 100.0])
    fitted = clone(predictor).fit(table[:1], [30.0])
    assert_allclose(fitted.predict_distribution(table).median, [30.0, 30.0])


def test_one_job_is_too_few_to_fit_and_to_calibrate() -> None:
    table = rows(request_ln_s=[100.0])
    with pytest.raises(ValueError, match="n_samples=1 is too few: pass 2 or more"):
        Conformal(QUICK).fit(table, [30.0])


def test_where_no_feature_varies_quantiles_are_those_of_the_targets() -> None:
    table = pd.DataFrame({"a": np.ones(99), "b": np.full(99, np.nan)})
    fitted = BoostedQuantiles(levels=(0.25, 0.5, 0.75)).fit(table, np.arange(1.0, 100.0))
    predicted = np.exp(fitted.predict_distribution(table[:1]).ln_quantiles)
    assert_allclose(predicted, [[25.0, 50.0, 75.0]], rtol=0.03)


@everyone
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_targets_that_are_no_quantities_are_refused(
    predictor: Predictor, bad: float, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, runtime = learnt
    y = runtime.copy()
    y[3] = bad
    message = r"y\[3\]\(=-1\) must not be negative" if bad == -1 else "y contains (NaN|infinity)"
    with pytest.raises(ValueError, match=message):
        clone(predictor).fit(table, y)


@everyone
def test_infinite_features_are_refused(
    predictor: Predictor, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, runtime = learnt
    endless = table.assign(request_ln_s=np.inf)
    with pytest.raises(ValueError, match="infinity"):
        clone(predictor).fit(endless, runtime)
    with pytest.raises(ValueError, match="infinity"):
        clone(predictor).fit(table, runtime).predict(endless)


@everyone
def test_nothing_to_learn_from_is_refused(
    predictor: Predictor, learnt: tuple[pd.DataFrame, np.ndarray]
) -> None:
    table, _ = learnt
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        clone(predictor).fit(table[:0], [])


def test_wrong_settings_are_refused(learnt: tuple[pd.DataFrame, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"k\(=6\) must be a whole number from 1 to 5"):
        LastRuntimes(6).fit(*learnt)
    with pytest.raises(ValueError, match=r"share\(=1\) must lie between 0 and 1"):
        Conformal(share=1).fit(*learnt)
    with pytest.raises(ValueError, match="X has no column 'size'"):
        Conformal(QUICK, by="size").fit(*learnt)
    with pytest.raises(ValueError, match=r"X has no column 'request_ln_s'; pass the table"):
        Request().fit(learnt[0].to_numpy(), learnt[1])
    with pytest.raises(ValueError, match=r"y needs shape \(600,\), one value a row, not \(599,\)"):
        Request().fit(learnt[0], learnt[1][1:])


class Fixed(Predictor):
    """Says the same of every job: lognormal around e^5, far too sure."""

    def fit(self, X: Any, y: Any) -> "Fixed":
        self._checked(X, y)
        self.rows_ = len(X)
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        return Prediction.normal(np.full(len(X), 5.0), np.full(len(X), 0.1))


def drawn(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Jobs with errors that grow with their size, from a standard deviation of 1 to one of 3."""
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 4, n)
    spread = 1.0 + (size > 1) * 2.0
    return pd.DataFrame({"size": size.astype(float)}), np.exp(rng.normal(12.0, spread))


def test_calibration_moves_every_quantile_to_its_place() -> None:
    fitted = Conformal(Fixed()).fit(*drawn(8000, seed=1))
    table, runtime = drawn(20_000, seed=2)
    predicted = fitted.predict_distribution(table)
    for level in (0.025, 0.1, 0.5, 0.9, 0.975):
        assert (runtime <= predicted.quantile(level)).mean() == pytest.approx(level, abs=0.015)
    # Of all jobs it is right, of small and large ones not.
    cover = score(predicted, runtime, by=table["size"] > 1)["cover_80"]
    assert cover[False] > 0.9 and cover[True] < 0.75


def test_calibration_in_groups_is_right_for_each() -> None:
    fitted = Conformal(Fixed(), by="size").fit(*drawn(16_000, seed=1))
    table, runtime = drawn(20_000, seed=2)
    predicted = fitted.predict_distribution(table)
    cover = score(predicted, runtime, by=table["size"])["cover_80"]
    assert_allclose(cover, 0.8, atol=0.03)


def test_few_rows_are_calibrated_by_rank() -> None:
    # Nine rows to calibrate on: their (9 + 1) * 0.9th error is the largest, the 0.1 * 10th the
    # least, and the fifth is the median.
    levels = np.array([0.1, 0.5, 0.9])
    error = np.repeat(np.arange(1.0, 10.0)[::-1, None], 3, axis=1)
    assert _ranked(error, levels).tolist() == [1.0, 5.0, 9.0]
    assert _ranked(error, np.array([0.01, 0.55, 0.99])).tolist() == [1.0, 6.0, 9.0]


def test_calibration_uses_the_last_rows_and_fits_to_those_before() -> None:
    table, _ = drawn(1000, seed=1)
    early = np.full(1000, np.exp(9.0))
    early[750:] = np.exp(12.0)
    fitted = Conformal(Fixed(), refit=False).fit(table, early)
    assert fitted.estimator_.rows_ == 750
    assert_allclose(np.log(fitted.predict(table[:1])), [12.0])
    assert Conformal(Fixed()).fit(table, early).estimator_.rows_ == 1000


def test_what_is_calibrated_has_the_levels_of_its_predictor() -> None:
    fitted = Conformal(Fixed()).fit(*drawn(100, seed=1))
    assert_array_equal(fitted.predict_distribution(drawn(5, seed=2)[0]).levels, LEVELS)
