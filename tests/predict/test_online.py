"""Online use: the same as job by job, nothing of the future, and what comes before learning."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from made_jobs import random_workload
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

import exawatt as ew
from exawatt.predict import FEATURES, LastRuntimes, features
from exawatt.predict import online as module
from exawatt.predict.median import BoostedMedian
from exawatt.predict.online import MIN_JOBS, SJBF, Online, replay_online

HOUR_S = 3600.0
TREE = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
# What the scheduler does with a job depends on the runtimes of others, so it must be a busy one.
BUSY = {"procs": 9}


def job_by_job(
    workload: ew.Workload,
    predictor: Any,
    policy: ew.Policy,
    platform: ew.Platform,
    every_s: float,
    window: int | None,
) -> np.ndarray:
    """Predict each job from a replay of the jobs up to it, made anew for each."""
    jobs, predicted = workload.jobs, np.full(len(workload), np.nan)
    submit = jobs["submit_s"].to_numpy()
    period = (submit - submit[0]) // every_s
    model = None
    for row in range(len(jobs)):
        known = jobs.iloc[: row + 1].assign(predicted_s=predicted[: row + 1])
        schedule = ew.replay(
            replace(workload, jobs=known), replace(policy, estimate="predicted_s"), platform
        )
        table = features(schedule)
        if row and period[row] > period[row - 1]:
            ended = np.flatnonzero(schedule.end_s <= submit[row])
            ended = ended[np.argsort(schedule.end_s[ended], kind="stable")]
            ended = ended if window is None else ended[-window:]
            if ended.size >= MIN_JOBS:
                model = clone(predictor).fit(table.iloc[ended], schedule.runtime_s[ended])
        if model is not None:
            predicted[row] = model.predict(table.iloc[[row]])[0]
    return predicted


ONE = ew.Platform(partitions=(ew.Partition(nodes=9, procs=9),))
TWO = ew.Platform(partitions=tuple(ew.Partition(4, 8, number=number) for number in (1, 2)))
SLEEP = replace(SJBF, order="sjf", sleep_after_s=60.0, correction="doubling")


@pytest.mark.parametrize("predictor", [LastRuntimes(2), TREE])
@pytest.mark.parametrize(
    ("seed", "window", "policy", "platform"),
    [(1, None, SJBF, ONE), (2, 40, SJBF, ONE), (3, None, SLEEP, ONE), (4, None, SJBF, TWO)],
)
def test_it_is_the_same_as_job_by_job(
    predictor: Any, seed: int, window: int | None, policy: ew.Policy, platform: ew.Platform
) -> None:
    workload = random_workload(250, seed, **BUSY)
    jobs = workload.jobs.assign(partition=1 + workload.jobs["user"] % 2)
    workload = replace(workload, jobs=jobs)
    rest = (policy, platform, 3 * HOUR_S, window)
    found = replay_online(workload, predictor, *rest)
    assert_array_equal(found.predicted_s, job_by_job(workload, predictor, *rest))
    assert len(found.trained) >= 3
    assert found.passes > len(found.trained)


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_a_block_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = random_workload(400, seed=3, **BUSY)
    found = replay_online(workload, TREE, every_s=HOUR_S)
    monkeypatch.setattr(module, "BLOCK", size)
    again = replay_online(workload, TREE, every_s=HOUR_S)
    assert_array_equal(again.predicted_s, found.predicted_s)
    assert_array_equal(again.schedule.start_s, found.schedule.start_s)
    assert again.passes != found.passes


def rerun(workload: ew.Workload, jobs: pd.DataFrame) -> Online:
    return replay_online(replace(workload, jobs=jobs), TREE, every_s=HOUR_S)


@pytest.mark.parametrize("row", [150, 299])
def test_no_prediction_depends_on_the_future(row: int) -> None:
    workload = random_workload(400, seed=4, **BUSY)
    found = rerun(workload, workload.jobs)
    other = workload.jobs.copy()
    # Of the job itself, too, nobody knows the runtime when it is submitted.
    other.loc[row:, "runtime_s"] = 601.0 - other.loc[row:, "runtime_s"]
    changed, cut = rerun(workload, other), rerun(workload, workload.jobs.head(row + 1))
    for each in (changed, cut):
        assert_array_equal(each.predicted_s[: row + 1], found.predicted_s[: row + 1])
    assert (changed.predicted_s[row + 1 :] != found.predicted_s[row + 1 :]).any()


def test_features_learned_from_are_those_of_the_schedule_that_comes_of_it() -> None:
    learned = []

    class Spy(LinearRegression):
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
            learned.append((X.copy(), y))
            return self

        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.exp(X["user_recent_ln_s"].to_numpy())

    found = replay_online(random_workload(400, seed=5, **BUSY), Spy(), every_s=5 * HOUR_S)
    table, end = features(found.schedule), found.schedule.end_s
    assert list(learned[-1][0].columns) == list(FEATURES)
    assert len(learned) == len(found.trained) >= 3
    for (X, y), (moment_s, row, jobs) in zip(
        learned, found.trained.itertuples(index=False), strict=True
    ):
        assert moment_s == found.schedule.submit_s[row]
        rows = np.flatnonzero(end <= moment_s)
        rows = rows[np.argsort(end[rows], kind="stable")]
        assert rows.size == jobs
        assert_array_equal(X, table.iloc[rows])
        assert_array_equal(y, found.schedule.runtime_s[rows])


def test_before_anything_is_learned_jobs_get_their_request() -> None:
    workload = random_workload(300, seed=6, **BUSY)
    found = replay_online(workload, TREE, every_s=12 * HOUR_S)
    first = found.trained["row"].iloc[0]
    assert found.trained["jobs"].iloc[0] >= MIN_JOBS
    assert np.isnan(found.predicted_s[:first]).all()
    assert np.isfinite(found.predicted_s[first:]).all()
    requested = ew.replay(workload, SJBF)
    before = requested.start_s < found.trained["moment_s"].iloc[0]
    assert 50 < before.sum() < 300
    assert_array_equal(found.schedule.start_s[before], requested.start_s[before])


def test_a_job_that_ends_as_another_is_submitted_counts_and_ties_are_in_order() -> None:
    user = {"user": 1, "procs": 1, "requested_s": 900.0}
    rows = [user | {"submit_s": 0.0, "runtime_s": 100.0}] * (MIN_JOBS - 1)
    rows += [user | {"submit_s": 50.0, "runtime_s": 50.0}, user | {"submit_s": 100.0}]
    workload = ew.Workload(pd.DataFrame(rows).fillna(7.0), procs=MIN_JOBS, name="ties")
    found = replay_online(workload, LastRuntimes(1), every_s=100.0)
    assert found.trained.values.tolist() == [[100.0, MIN_JOBS, MIN_JOBS]]
    assert found.predicted_s[-1] == pytest.approx(50.0)


@pytest.mark.parametrize("missing", ["quantile", "runtime"])
@pytest.mark.parametrize("value", [np.nan, 0.0, -5.0, np.inf, 1e9])
def test_what_is_no_runtime_below_the_request_counts_as_the_request(
    missing: Any, value: float
) -> None:
    class Always(BaseEstimator):
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
            return self

        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.full(len(X), value)

    workload = random_workload(200, seed=7, **BUSY)
    assert workload.jobs["requested_s"].isna().any()
    policy = replace(SJBF, missing_request=missing)
    found = replay_online(workload, Always(), policy, every_s=HOUR_S)
    assert_array_equal(found.schedule.start_s, ew.replay(workload, policy).start_s)


def test_a_policy_may_be_named_and_gets_the_predictions_as_its_estimate() -> None:
    found = replay_online(
        random_workload(200, seed=8, **BUSY), LastRuntimes(2), "easy", every_s=HOUR_S
    )
    assert found.schedule.policy == ew.Policy(backfill="easy", estimate="predicted_s")
    assert_array_equal(found.schedule.workload.jobs["predicted_s"], found.predicted_s)
    again = ew.replay(found.schedule.workload, found.schedule.policy)
    assert_array_equal(again.start_s, found.schedule.start_s)


class Restless(BaseEstimator):
    """Never twice the same."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        self.asked_ = 0
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        self.asked_ += 1
        return np.full(len(X), float(self.asked_))


class Curt(Restless):
    """One prediction, whatever it is asked."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.ones(1)


@pytest.mark.parametrize(
    ("predictor", "settings", "message"),
    [
        (None, {}, r"predictor\(=None\) must have fit, predict and get_params"),
        (LastRuntimes, {}, "predictor.* must have fit"),
        (Restless(), {}, r"predictor Restless\(\) does not predict each row by itself.*row"),
        (Curt(), {}, r"predictor Curt\(\) gives shape \(1,\); it must be \(\d+,\)"),
        (TREE, {"every_s": 0.0}, r"every_s\(=0.0\) must be a positive, finite number"),
        (TREE, {"every_s": np.nan}, r"every_s\(=nan\)"),
        (TREE, {"every_s": np.inf}, r"every_s\(=inf\)"),
        (TREE, {"every_s": "week"}, r"every_s\(='week'\)"),
        (TREE, {"every_s": True}, r"every_s\(=True\)"),
        (TREE, {"window": 29}, r"window\(=29\) must be a whole number from 30, or None"),
        (TREE, {"window": 100.5}, r"window\(=100.5\)"),
        (TREE, {"window": True}, r"window\(=True\)"),
        (TREE, {"policy": "sooner"}, "policy 'sooner' is unknown"),
    ],
)
def test_what_cannot_be_used_is_refused(
    predictor: Any, settings: dict[str, Any], message: str
) -> None:
    workload = random_workload(120, seed=9, **BUSY)
    with pytest.raises(ValueError, match=message):
        replay_online(workload, predictor, **({"every_s": HOUR_S} | settings))


def test_an_empty_trace_is_refused() -> None:
    workload = random_workload(5, seed=1)
    with pytest.raises(ValueError, match="random has no job to replay"):
        replay_online(replace(workload, jobs=workload.jobs.head(0)), TREE)


def test_one_job_is_replayed() -> None:
    found = replay_online(random_workload(1, seed=1), TREE)
    assert np.isnan(found.predicted_s).tolist() == [True]
    assert found.trained.empty
    assert found.schedule.metrics()["avebsld"] == 1.0


@pytest.mark.slow
def test_what_it_buys_on_a_real_log(real_data: Path) -> None:
    policy = replace(SJBF, missing_request="runtime")
    found = replay_online(ew.load("KTH-SP2-raw"), BoostedMedian(), policy, window=5000)
    # The best honest choice among published configurations gives 59.3 (Gaussier et al., SC'15).
    assert found.schedule.metrics()["avebsld"] < 59.3
    assert len(found.trained) == 47
