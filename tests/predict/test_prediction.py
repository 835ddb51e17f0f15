"""Predictions: quantiles, tails and scores, against values worked out by hand."""

from math import exp, inf, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from exawatt.predict import LEVELS, Prediction

E = exp(1)


def one(levels: list[float], quantiles: list[float]) -> Prediction:
    return Prediction(levels, [quantiles])


def test_quantiles_between_levels_and_in_the_tails() -> None:
    # Tails: scale 0.25 / 0.5 * 2 = 1.
    prediction = one([0.25, 0.75], [4.0, 6.0])
    assert_allclose(prediction.ln_quantile(0.5), [5.0])
    assert_allclose(prediction.ln_quantile(0.25 / E), [3.0])
    assert_allclose(prediction.ln_quantile(1 - 0.25 / E**2), [8.0])
    assert_allclose(prediction.median, [exp(5)])


def test_each_quantity_may_be_asked_at_its_own_levels() -> None:
    prediction = Prediction([0.1, 0.5, 0.8], [[3.0, 4.0, 9.0], [1.0, 1.0, 2.0]])
    levels = np.array([[0.01, 0.3, 0.99], [0.5, 0.6, 0.8]])
    expected = [[prediction.ln_quantile(level)[row] for level in levels[row]] for row in (0, 1)]
    assert_array_equal(prediction.ln_quantile(levels), expected)
    with pytest.raises(ValueError, match=r"level\(=0\) must lie between 0 and 1"):
        prediction.ln_quantile([[0.5], [0.0]])
    for wrong in ([0.5, 0.5], [[0.5]] * 3):
        with pytest.raises(ValueError, match=r"level needs shape \(2, k\) or none, not \("):
            prediction.ln_quantile(wrong)


def test_the_distribution_function_undoes_the_quantile() -> None:
    prediction = Prediction([0.1, 0.5, 0.8], [[3.0, 4.0, 9.0]])
    for level in (0.01, 0.1, 0.3, 0.5, 0.79, 0.8, 0.99):
        assert_allclose(prediction.cdf(prediction.quantile(level)), [level])
    assert prediction.cdf([0.0]) == 0.0


def test_means() -> None:
    prediction = one([0.25, 0.75], [4.0, 6.0])
    assert_allclose(prediction.mean_ln, [5.0])
    # A quarter each at the ends, and the mean of exp over [4, 6] for the half between.
    expected = 0.25 * exp(4) + 0.25 * exp(6) + 0.5 * (exp(6) - exp(4)) / 2
    assert_allclose(prediction.mean, [expected])
    assert_allclose(one([0.1, 0.9], [2.0, 2.0]).mean, [exp(2)])


def test_crps_by_hand() -> None:
    # F is 1/4 at 4, 3/4 at 6, with tails of scale 1. At 5, by symmetry twice the left side:
    # the tail 1/16 * 1/2, and from 4 to 5 the integral of F^2, (1/16 + 1/8 + 1/4) / 3.
    prediction = one([0.25, 0.75], [4.0, 6.0])
    assert_allclose(prediction.crps([exp(5)]), [2 * (1 / 32 + 7 / 48)])
    # At 8: the left tail 1/32; between 4 and 6 2 * (1/16 + 3/16 + 9/16) / 3; from 6 to 8 the
    # integral of (1 - e^-t / 4)^2; beyond it e^-4 / 32.
    right = 2 - (1 - exp(-2)) / 2 + (1 - exp(-4)) / 32 + exp(-4) / 32
    assert_allclose(prediction.crps([exp(8)]), [1 / 32 + 13 / 24 + right])


def test_crps_of_a_nearly_certain_prediction_is_the_error() -> None:
    # Its tails have a scale of 0.1, not 0.
    prediction = one([0.001, 0.999], [2.0, 2.0])
    for ln in (1.0, 2.0, 4.5):
        assert_allclose(prediction.crps([exp(ln)]), [abs(ln - 2)], atol=3e-4)
    assert_allclose(prediction.crps([0.0]), [2.0], atol=3e-4)  # 0 s count as 1 s


def crps_of_normal(z: float) -> float:
    """Gneiting & Raftery 2007, equation 21, of a standard normal."""
    from scipy.stats import norm

    return z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / sqrt(pi)


@pytest.mark.parametrize("z", [0.0, 0.5, -1.0, 2.0, -3.5])
def test_normal_distributions_score_as_their_formula(z: float) -> None:
    prediction = Prediction.normal([20.0], [2.0])
    assert len(LEVELS) == 45
    assert_allclose(prediction.crps([exp(20 + 2 * z)]), [2 * crps_of_normal(z)], rtol=0.003)


def test_the_density_of_a_normal_distribution_is_kept_in_the_mean() -> None:
    # In single places the steps of the density are off by a third.
    z = np.random.default_rng(0).normal(size=5000)
    prediction = Prediction.normal(np.full(5000, 20.0), np.full(5000, 2.0))
    expected = ((z**2 + log(2 * pi)) / 2 + log(2)).mean()
    assert_allclose(prediction.nlpd(np.exp(20 + 2 * z)).mean(), expected, atol=0.01)


def test_crps_is_the_mean_of_pinball_losses_at_very_many_levels() -> None:
    prediction = Prediction([0.1, 0.4, 0.9], [[5.0, 5.5, 8.0]])
    levels = (np.arange(200_000) + 0.5) / 200_000
    quantiles = np.array([prediction.ln_quantile(level)[0] for level in levels[::200]])
    for ln in (4.0, 5.2, 9.0):
        off = ln - quantiles
        pinball = np.maximum(levels[::200] * off, (levels[::200] - 1) * off)
        assert_allclose(prediction.crps([exp(ln)]), [2 * pinball.mean()], rtol=0.01)


quantiles = st.lists(st.floats(0.0, 12.0), min_size=5, max_size=5)


@given(values=quantiles, ln=st.floats(0.0, 14.0))
def test_scores_are_finite_and_crps_is_not_negative(values: list[float], ln: float) -> None:
    prediction = Prediction([0.05, 0.25, 0.5, 0.75, 0.95], [values])
    score = prediction.crps([exp(ln)])[0]
    assert 0 <= score < 30
    assert prediction.nlpd([exp(ln)])[0] > -inf
    assert 0 <= prediction.cdf([exp(ln)])[0] <= 1


@given(values=quantiles, ln=st.floats(0.0, 14.0))
def test_quantiles_that_cross_are_put_in_order(values: list[float], ln: float) -> None:
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    actual = [exp(ln)]
    ordered = Prediction(levels, [sorted(values)])
    assert Prediction(levels, [values]).crps(actual) == ordered.crps(actual)


def test_nlpd_of_a_step_is_bounded_by_the_second_in_which_it_lies() -> None:
    # 0.8 at 100 s, and what the tails have: the density over 99.5 to 100.5 s.
    certain = one([0.1, 0.9], [log(100)] * 2)
    mass = 0.8 + 0.1 * (1 - 0.995**10) + 0.1 * (1 - 1.005**-10)
    assert_allclose(certain.nlpd([100.0]), [-log(mass / log(100.5 / 99.5))])


def test_nlpd_keeps_its_digits_far_out() -> None:
    # In both tails the density is that of an exponential of scale 0.1, 70 scales out and more.
    certain = one([0.1, 0.9], [log(10_000)] * 2)
    for factor in (1000.0, 1 / 1000):
        expected = -log(0.1 / 0.1) + log(1000) / 0.1
        assert_allclose(certain.nlpd([10_000 * factor]), [expected], rtol=0.01)


def test_pit_is_uniform_where_predictions_are_right_and_not_where_they_are_not() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    drawn = np.round(np.exp(rng.normal(3.0, 1.0, n)))
    right = Prediction.normal(np.full(n, 3.0), np.full(n, 1.0)).pit(drawn, seed=1)
    narrow = Prediction.normal(np.full(n, 3.0), np.full(n, 0.5)).pit(drawn, seed=1)
    steps = np.histogram(right, bins=10, range=(0, 1))[0] / n
    assert_allclose(steps, 0.1, atol=0.015)
    assert (narrow < 0.1).mean() > 0.2
    assert (right != Prediction.normal(np.full(n, 3.0), np.ones(n)).pit(drawn, seed=2)).any()


def test_rows_can_be_taken() -> None:
    prediction = Prediction([0.25, 0.75], [[1.0, 2.0], [3.0, 4.0]])
    assert len(prediction) == 2
    assert_allclose(prediction[np.array([1])].median, [exp(3.5)])
    assert repr(prediction) == "Prediction(2 quantities at 2 levels)"


@pytest.mark.parametrize(
    ("levels", "ln_quantiles", "message"),
    [
        ([0.5], [[1.0]], r"levels\(=\[0.5\]\) must be two or more between 0 and 1"),
        ([0.0, 0.5], [[1.0, 2.0]], "must be two or more between 0 and 1"),
        ([0.5, 0.4], [[1.0, 2.0]], "ascending"),
        ([0.4, 0.5], [[1.0, 2.0, 3.0]], r"needs shape \(n, 2\), a column a level, not \(1, 3\)"),
        ([0.4, 0.5], [[1.0, np.nan]], r"ln_quantiles\[0, 1\]\(=nan\) must be finite"),
        ([0.4, 0.5], [[np.inf, 1.0]], r"ln_quantiles\[0, 0\]\(=inf\) must be finite"),
    ],
)
def test_what_is_no_distribution_is_refused(
    levels: list[float], ln_quantiles: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Prediction(levels, ln_quantiles)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_what_cannot_have_come_is_refused(bad: float) -> None:
    prediction = Prediction([0.25, 0.75], [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"values\[1\].*must be finite and not negative"):
        prediction.crps([1.0, bad])
    with pytest.raises(ValueError, match=r"values need shape \(2,\), one each, not \(3,\)"):
        prediction.crps([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"level\(=1\) must lie between 0 and 1"):
        prediction.ln_quantile(1)
