"""Recalibration: levels of the jobs completed last, and nothing from the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_jobs import schedule_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import exawatt as ew
from exawatt.predict import (
    LEVELS,
    BoostedQuantiles,
    Conformal,
    Prediction,
    Predictor,
    features,
    losses,
)
from exawatt.predict import recalibration as module
from exawatt.predict.recalibration import (
    Recalibrated,
    _even,
    _in_windows,
    _just_held,
    _levels,
    completions,
)

TREES = BoostedQuantiles(n_trees=10)


class Fixed(Predictor):
    """The same for every job: lognormal, with median 1000 s."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Fixed":
        return self

    def predict_distribution(self, X: pd.DataFrame) -> Prediction:
        return Prediction.normal(np.full(len(X), np.log(1000.0)), np.full(len(X), 0.5))


def test_a_job_is_known_from_its_completion_on() -> None:
    # Submission, start and runtime.
    rows = [(0, 0, 50), (0, 40, 30), (5, 5, 10), (30, 30, 1e-20), (50, 50, 9), (70, 70, 1)]
    jobs = [{"submit_s": s, "runtime_s": r, "procs": 1, "user": 1} for s, _, r in rows]
    made = schedule_of(jobs, [start for _, start, _ in rows])
    by_end, completed = completions(made, np.ones(6, bool))
    assert by_end.tolist() == [2, 3, 0, 4, 1, 5]
    # What ends at a submission counts; a job that ends as it starts does not count for itself.
    assert completed.tolist() == [0, 0, 0, 1, 3, 5]
    by_end, completed = completions(made, np.array([True, False, True, True, True, True]))
    assert by_end.tolist() == [2, 3, 0, 4, 5]
    assert completed.tolist() == [0, 0, 0, 1, 3, 4]


def test_completions_of_random_jobs(schedule: ew.Schedule) -> None:
    counted = np.arange(600) % 3 > 0
    by_end, completed = completions(schedule, counted)
    for job in range(600):
        past = np.flatnonzero(counted & (schedule.end_s <= schedule.submit_s[job]))
        assert set(by_end[: completed[job]]) == set(past)


def test_windows_hold_the_last_values_before_each_place() -> None:
    rng = np.random.default_rng(0)
    held, places = rng.random(30) ** 2, np.array([7, 0, 30, 29, 7])
    for n in (1, 6, 50):
        found = _levels(held, places, n)
        used = np.zeros(30, bool)
        for row, place in enumerate(places):
            last = held[max(place - n, 0) : place]
            used[max(place - n, 0) : place] = True
            # The stand-ins that are left, if there are any.
            window = np.sort([0.0, *_even(n)[len(last) :], *last, 1.0])
            content = np.interp(1 - 2 * LEVELS[:22], np.linspace(0, 1, n + 2), window)
            assert_allclose(found[row, :22], 0.5 - content / 2, atol=1e-5)
            assert found[row, 22] == 0.5
            assert_allclose(found[row, 23:], 1 - found[row, 21::-1])
        assert_array_equal(_in_windows(places, n, 30), used)


def test_the_smallest_central_interval_that_holds_a_runtime() -> None:
    levels, quantiles = [0.1, 0.5, 0.9], np.log([10.0, 100.0, 1000.0])
    made = Prediction(levels, np.tile(quantiles, (4, 1)))
    came = np.array([10.0, 100.0, 1000.0, np.sqrt(1e5)])
    assert_allclose(_just_held(made, came), [0.8, 0.0, 0.8, 0.4], atol=1e-9)
    # A step at 1 s, where 0 s are too, holds from 0.1 to 0.7; one at 8 s from 0.7 to 0.95.
    steps = Prediction([0.1, 0.7, 0.75, 0.95], np.tile(np.log([1.0, 1.0, 8.0, 8.0]), (3, 1)))
    assert_allclose(_just_held(steps, np.array([0.0, 1.0, 8.0])), [0.0, 0.0, 0.5], atol=1e-9)


def test_places_are_sorted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    held, places = np.random.default_rng(0).random(40), np.arange(41)
    whole = _levels(held, places, 9)
    monkeypatch.setattr(module, "BATCH", 7)
    assert_array_equal(_levels(held, places, 9), whole)


@pytest.mark.parametrize("n", [200, 1000])
def test_without_completions_levels_stay(n: int) -> None:
    assert_allclose(_levels(np.empty(0), np.array([0]), n)[0], LEVELS, atol=1.5 / n)


def test_stand_ins_are_spread_evenly_however_many_are_left() -> None:
    for first in (0, 137, 900):
        counts = np.histogram(_even(1000)[first:], bins=10, range=(0, 1))[0]
        assert_allclose(counts, (1000 - first) / 10, atol=1.5)


@pytest.fixture(scope="module")
def drifting() -> ew.Schedule:
    """Return jobs of which the spread doubles, and then all but goes."""
    rng = np.random.default_rng(4)
    sd = np.repeat([0.5, 1.0, 0.1], 2000)
    jobs = pd.DataFrame(
        {
            "submit_s": np.arange(6000) * 100.0,
            "runtime_s": np.exp(np.log(1000.0) + sd * rng.standard_normal(6000)).round() + 1,
            "procs": 1,
            "user": rng.integers(0, 5, 6000),
        }
    )
    return ew.replay(ew.Workload(jobs, procs=1000, name="drifting"), "fcfs")


@pytest.mark.parametrize("rows", [slice(2600, 4000), slice(4600, 6000)])
def test_coverage_returns_after_a_drift(drifting: ew.Schedule, rows: slice) -> None:
    table, runtime = features(drifting), drifting.runtime_s
    fitted = Recalibrated(drifting, Fixed(), n_recent=500).fit(table[:1000], runtime[:1000])
    after = fitted.predict_distribution(table[rows])
    alone = Fixed().predict_distribution(table[rows])
    new, old = losses(after, runtime[rows]), losses(alone, runtime[rows])
    for percent in (50, 80, 90, 95):
        name = f"cover_{percent}"
        assert new[name].mean() == pytest.approx(percent / 100, abs=0.03)
        assert abs(old[name].mean() - percent / 100) > 0.04
    assert new["crps"].mean() < old["crps"].mean()
    assert new["nlpd"].mean() < old["nlpd"].mean()
    assert_allclose(after.median, 1000.0)


def test_right_predictions_stay_about_as_they_were(drifting: ew.Schedule) -> None:
    table, runtime = features(drifting), drifting.runtime_s
    fitted = Recalibrated(drifting, Fixed()).fit(table[:100], runtime[:100])
    levels = [0.05, 0.25, 0.75, 0.95]
    found = fitted.predict_distribution(table[1500:2000])
    right = Fixed().predict_distribution(table[1500:2000])
    for level in levels:
        assert_allclose(found.ln_quantile(level), right.ln_quantile(level), atol=0.1)


def test_the_training_period_is_predicted_as_before(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = Recalibrated(schedule, TREES).fit(table[:300], runtime[:300])
    assert_array_equal(np.flatnonzero(fitted.telling_), np.arange(300, 600))
    found = fitted.predict_distribution(table[:300])
    alone = fitted.estimator_.predict_distribution(table[:300])
    for level in (0.05, 0.3, 0.5, 0.9):
        assert_allclose(found.ln_quantile(level), alone.ln_quantile(level), atol=0.05)
    # Jobs before the first that was learnt from tell nothing either; one left out does.
    fitted.fit(table.iloc[[*range(100, 200), *range(201, 300)]], runtime[np.r_[100:200, 201:300]])
    assert_array_equal(np.flatnonzero(fitted.telling_), [200, *range(300, 600)])


def recalibrated(schedule: ew.Schedule) -> Recalibrated:
    table, runtime = features(schedule), schedule.runtime_s
    return Recalibrated(schedule, TREES, n_recent=40).fit(table[:300], runtime[:300])


def test_later_completions_change_nothing(schedule: ew.Schedule) -> None:
    table, fitted = features(schedule), recalibrated(schedule)
    # A moment at which many run.
    last = max(range(350, 599), key=lambda i: (schedule.end_s[:i] > schedule.submit_s[i]).sum())
    rows = np.arange(300, last + 1)
    before = fitted.predict_distribution(table.iloc[rows]).ln_quantiles
    later = schedule.end_s > schedule.submit_s[last]
    assert later[last:].all() and later[:last].sum() > 2
    changed = schedule.runtime_s * np.where(later, 7.0, 1.0)
    other = replace(schedule, runtime_s=changed)
    assert_array_equal(features(other).iloc[rows], table.iloc[rows])
    after = recalibrated(other).predict_distribution(features(other).iloc[rows]).ln_quantiles
    assert_array_equal(after, before)
    # The latest completion before it does change it, and what was predicted earlier not.
    by_end, completed = completions(schedule, fitted.telling_)
    latest = by_end[completed[last] - 1]
    earlier = schedule.runtime_s.copy()
    earlier[latest] -= 0.9 * (earlier[latest] - 1)
    shorter = replace(schedule, runtime_s=earlier, start_s=schedule.end_s - earlier)
    moved = fitted.set_params(schedule=shorter).predict_distribution(table.iloc[rows]).ln_quantiles
    assert (moved[-1] != before[-1]).any()
    assert_array_equal(moved[: completed[last] - 40], before[: completed[last] - 40])


def test_order_and_batch_of_rows_change_nothing(schedule: ew.Schedule) -> None:
    table, fitted = features(schedule), recalibrated(schedule)
    whole = fitted.predict_distribution(table[300:]).ln_quantiles
    order = np.random.default_rng(0).permutation(300)
    shuffled = fitted.predict_distribution(table.iloc[300 + order]).ln_quantiles
    assert_array_equal(shuffled, whole[order])
    for row in (300, 377, 599):
        alone = fitted.predict_distribution(table.iloc[[row]]).ln_quantiles
        assert_array_equal(alone[0], whole[row - 300])
    twice = fitted.predict_distribution(table.iloc[[400, 400]]).ln_quantiles
    assert_array_equal(twice, whole[[100, 100]])


def test_it_is_an_estimator(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule)[["procs_ln", "request_ln_s"]], schedule.runtime_s
    made = Recalibrated(schedule, Conformal(TREES, share=0.5), n_recent=50)
    assert made.get_params()["estimator__share"] == 0.5
    twin = clone(made.set_params(n_recent=70))
    assert twin.n_recent == 70
    assert twin.fit(table[:300], runtime[:300]) is twin
    predicted = twin.predict(table[300:])
    assert_allclose(predicted, twin.estimator_.predict(table[300:]))
    with pytest.raises(NotFittedError):
        made.predict(table)


def test_conformal_calibration_is_the_default(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = Recalibrated(schedule).fit(table[:50], runtime[:50])
    assert isinstance(fitted.estimator_, Conformal)
    assert np.isfinite(fitted.predict(table[50:])).all()


def test_one_job_is_enough(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = Recalibrated(schedule, TREES).fit(table[:1], runtime[:1])
    assert np.isfinite(fitted.predict_distribution(table).ln_quantiles).all()


def test_bad_input_is_refused(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    with pytest.raises(ValueError, match=r"n_recent\(=0\) must be 1 or more"):
        Recalibrated(schedule, TREES, n_recent=0).fit(table, runtime)
    with pytest.raises(ValueError, match=r"y\[2\]\(=1e\+06\) is not the runtime of job 2 in the"):
        Recalibrated(schedule, TREES).fit(table, np.where(np.arange(600) == 2, 1e6, runtime))
    for X in (table.set_axis(table.index + 1), table.to_numpy()):
        with pytest.raises(ValueError, match="X must be labelled with numbers of jobs from 0 to"):
            Recalibrated(schedule, TREES).fit(X, runtime)
    with pytest.raises(ValueError, match="X has column 'mood', which features"):
        Recalibrated(schedule, TREES).fit(table.assign(mood=1.0), runtime)
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        Recalibrated(schedule, TREES).fit(table[:0], runtime[:0])
