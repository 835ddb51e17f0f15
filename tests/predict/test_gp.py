"""Exact and variational Gaussian processes: known answers, what they share, and bad input."""

import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from exawatt.predict import BoostedQuantiles, Conformal, LastRuntimes, Prediction, Predictor
from exawatt.predict import gp as exact
from exawatt.predict.gp import ExactGP, TwoTaskGP
from exawatt.predict.gp_parts import Inputs, out_of_time
from exawatt.predict.svgp import VariationalGP

QUICK = ExactGP(n_steps=5)
VARIATIONAL = VariationalGP(n_epochs=40, n_inducing=30, learning_rate=0.05)
SETTINGS: list[Predictor] = [
    ExactGP(),
    VARIATIONAL,
    clone(VARIATIONAL).set_params(objective="evidence"),
    clone(VARIATIONAL).set_params(deep=True),
]
everyone = pytest.mark.parametrize("predictor", SETTINGS, ids=["exact", "PPGPR", "SVGP", "deep"])


@pytest.mark.slow
@parametrize_with_checks([QUICK, VariationalGP(n_epochs=100, n_inducing=20, learning_rate=0.05)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def waves(n: int, seed: int, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, of which the second is of no use, medians, and runtimes spread around these."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, (n, 2))
    ln = 5 + np.sin(2 * x[:, 0])
    return x, np.exp(ln), np.exp(ln + noise * rng.standard_normal(n))


@everyone
def test_a_process_finds_the_curve_its_noise_and_what_matters(predictor: Predictor) -> None:
    n = 250 if isinstance(predictor, ExactGP) else 2500
    x, _, runtime = waves(n, seed=1)
    fitted = clone(predictor).fit(x, runtime)
    later, median, came = waves(2000, seed=2)
    predicted = fitted.predict_distribution(later)
    # The curve spreads by 0.7, which is what would be left if nothing were learnt.
    assert np.sqrt(np.mean(np.log(predicted.median / median) ** 2)) < 0.15
    inside = (predicted.quantile(0.05) <= came) & (came <= predicted.quantile(0.95))
    assert inside.mean() == pytest.approx(0.9, abs=0.04)


@everyone
def test_batches_and_seeds_change_nothing(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _, runtime = waves(120, seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fitted = clone(predictor).fit(x, runtime)
    assert_array_equal(torch.rand(3), expected)
    whole = fitted.predict_distribution(x).ln_quantiles
    again = clone(predictor).fit(x, runtime).predict_distribution(x).ln_quantiles
    assert_array_equal(whole, again)
    monkeypatch.setattr(sys.modules[type(predictor).__module__], "BATCH", 7)
    assert_allclose(fitted.predict_distribution(x).ln_quantiles, whole, atol=1e-4)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_covariance_of_what_is_predicted() -> None:
    x, _, runtime = waves(30, seed=1)
    fitted = clone(QUICK).fit(x, runtime)
    before = peak_mib()
    # The covariance of all these rows is 7 GB.
    assert len(fitted.predict(np.repeat(x, 1000, axis=0))) == 30_000
    assert peak_mib() - before < 500


def peak_mib() -> float:
    """Most memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_an_exact_process_is_the_textbooks() -> None:
    x, _, runtime = waves(60, seed=3)
    fitted = ExactGP(n_steps=10).fit(x, runtime)
    new = waves(5, seed=4)[0]
    mean, sd = fitted._moments(fitted._tensor(new))
    process = fitted.process_
    noise = fitted.likelihood_.noise.item()
    with torch.no_grad():
        length = process.matern.lengthscale[0].numpy()
        scale, constant = process.covar_module.outputscale.item(), process.mean_module.constant
    ln = np.log(runtime)
    z = (ln - ln.mean()) / ln.std()

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = np.sqrt(5) * np.linalg.norm((a[:, None] - b) / length, axis=-1)
        return scale * (1 + r + r**2 / 3) * np.exp(-r)

    own, after = fitted.inputs_(x), fitted.inputs_(new)
    weights = np.linalg.solve(kernel(own, own) + noise * np.eye(60), kernel(own, after)).T
    assert_allclose(mean, constant.item() + weights @ (z - constant.item()), atol=1e-8)
    left = scale + noise - (weights * kernel(after, own)).sum(axis=1)
    assert_allclose(sd, np.sqrt(left), atol=1e-8)


def test_unmeasured_energy_is_learnt_from_runtime() -> None:
    x, median, _ = waves(150, seed=1)
    # Energy is 300 W times the runtime, measured of jobs on the left alone.
    both = np.column_stack([median, 300 * median])
    left = x[:, 0] < -1.0
    both[~left, 1] = np.nan
    fitted = TwoTaskGP(n_steps=150).fit(x, both)
    away = x[:, 0] > 0
    error = np.log(fitted.predict(x[away])[:, 1] / (300 * median[away]))
    alone = ExactGP(n_steps=150).fit(x[left], both[left, 1])
    blind = np.log(alone.predict(x[away]) / (300 * median[away]))
    assert np.abs(error).mean() < 0.3 * np.abs(blind).mean()
    assert_array_equal(fitted.predict(x)[:, 1], fitted.predict_distribution(x, task=1).median)


def test_inputs_are_on_one_scale_and_flag_what_is_unknown() -> None:
    table = np.array([[1.0, 5.0, np.nan, np.nan], [3.0, 5.0, 2.0, np.nan], [2.0, 5.0, 4.0, np.nan]])
    inputs = Inputs().fit(table)
    spread = np.sqrt(2 / 3)
    # A column that varies, one that is partly known with its flag; neither constant nor unknown.
    expected = [[-1 / spread, 0.0, 1.0], [1 / spread, -1.0, 0.0], [0.0, 1.0, 0.0]]
    assert_allclose(inputs(table), expected)
    assert_allclose(inputs(np.array([[1e9, 0.0, 3.0, 7.0]])), [[6.0, 0.0, 0.0]])
    assert_array_equal(Inputs().fit(table[:, 1:2])(table[:, 1:2]), np.zeros((3, 1)))


class Memory(Predictor):
    """Says of every job the number of jobs that it was fitted to."""

    def fit(self, X: Any, y: Any) -> "Memory":
        self.last_ = float(np.log(len(y)))
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        return Prediction.normal(np.full(len(X), self.last_), np.ones(len(X)))


def test_training_rows_are_predicted_from_those_before() -> None:
    which, predicted = out_of_time(Memory(), np.zeros((10, 1)), np.ones(10), n_folds=4)
    assert which.tolist() == [*range(2, 10)]
    assert_allclose(predicted.median, [2, 2, 4, 4, 6, 6, 8, 8])
    which, predicted = out_of_time(Memory(), np.zeros((1, 1)), np.ones(1), n_folds=4)
    assert which.tolist() == [0] and len(predicted) == 1


def test_a_fitted_mean_is_kept_as_it_is() -> None:
    x, _, runtime = waves(400, seed=1)
    pooled = BoostedQuantiles(n_trees=20).fit(x, runtime)
    # An application that takes ten times as long, of which four runs are known.
    few = ExactGP(mean=FrozenEstimator(pooled)).fit(x[:4], 10 * runtime[:4])
    later, median, _ = waves(200, seed=2)
    error = {
        each: np.abs(np.log(each.predict(later) / (10 * median))).mean()
        for each in (few, ExactGP().fit(x[:4], 10 * runtime[:4]))
    }
    assert error[few] < 0.5 * error.popitem()[1]
    assert few.mean_.fitted.estimator is not None


def test_a_mean_that_goes_by_names_and_calibration_around_all() -> None:
    rng = np.random.default_rng(1)
    last = rng.normal(6, 1, 300)
    table = pd.DataFrame({"request_ln_s": np.full(300, 9.0), "user_last1_ln_s": last})
    runtime = np.exp(last + 0.1 * rng.standard_normal(300))
    fitted = Conformal(ExactGP(mean=LastRuntimes(1), n_steps=10)).fit(table, runtime)
    assert np.abs(np.log(fitted.predict(table)) - last).mean() < 0.1


@everyone
def test_odd_but_possible_input(predictor: Predictor) -> None:
    short = clone(predictor)
    x, _, runtime = waves(30, seed=1)
    one = short.fit(x[:1], [30.0]).predict(x)
    assert_allclose(one, 30.0, rtol=0.2)
    assert_allclose(clone(predictor).fit(x, np.zeros(30)).predict(x), 1.0, rtol=0.2)
    constant = clone(predictor).fit(np.ones((30, 2)), runtime).predict(np.ones((3, 2)))
    assert_allclose(np.log(constant), np.log(runtime).mean(), atol=0.5)
    unknown = clone(predictor).fit(x, runtime).predict(np.full((1, 2), np.nan))
    assert np.log(runtime).min() - 1 < np.log(unknown[0]) < np.log(runtime).max() + 1


@everyone
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_targets_that_are_no_quantities_are_refused(predictor: Predictor, bad: float) -> None:
    x, _, runtime = waves(10, seed=1)
    runtime[3] = bad
    message = r"y\[3\]\(=-1\) must not be negative" if bad == -1 else "y contains (NaN|infinity)"
    with pytest.raises(ValueError, match=message):
        clone(predictor).fit(x, runtime)


def test_bad_settings_are_refused() -> None:
    x, _, runtime = waves(10, seed=1)
    with pytest.raises(ValueError, match=r"objective\(='mse'\) must be one of \['evidence', "):
        VariationalGP(objective="mse").fit(x, runtime)
    with pytest.raises(ValueError, match=r"n_inducing\(=0\) must be 1 or more"):
        VariationalGP(n_inducing=0).fit(x, runtime)
    with pytest.raises(ValueError, match=r"n_folds\(=0\) must be 1 or more"):
        ExactGP(mean=QUICK, n_folds=0).fit(x, runtime)
    with pytest.raises(ValueError, match=r"2001 targets are too many .* or use VariationalGP"):
        ExactGP().fit(np.zeros((exact.MAX_TARGETS + 1, 1)), np.ones(exact.MAX_TARGETS + 1))


def test_two_tasks_refuse_what_they_cannot_learn() -> None:
    x, _, runtime = waves(10, seed=1)
    both = np.column_stack([runtime, runtime])
    with pytest.raises(ValueError, match=r"y needs shape \(10, 2\), not \(10,\)"):
        TwoTaskGP().fit(x, runtime)
    with pytest.raises(ValueError, match="y contains infinity; pass NaN"):
        TwoTaskGP().fit(x, np.where(both == both[0, 0], np.inf, both))
    with pytest.raises(ValueError, match=r"y\[:, 1\] holds no measurement; use ExactGP"):
        TwoTaskGP().fit(x, both * [1.0, np.nan])
    with pytest.raises(ValueError, match=r"task\(=2\) must be 0 or 1"):
        TwoTaskGP(n_steps=1).fit(x, both).predict_distribution(x, task=2)


def test_the_package_loads_without_torch() -> None:
    code = "import sys, exawatt, exawatt.predict; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
