"""Features: the expected values of a few jobs, all of them by a plain count, and no future."""

from dataclasses import replace
from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_jobs import random_workload, schedule_of
from numpy.testing import assert_allclose, assert_array_equal

import exawatt as ew
from exawatt.predict import FEATURES, features
from exawatt.predict.features import HISTORIES


def four_jobs() -> ew.Schedule:
    """One user's: two end before the last is submitted, one runs, none waits."""
    user = {"user": 7, "procs": 2, "requested_s": 1000.0}
    rows = [
        {"submit_s": 0.0, "runtime_s": 100.0} | user,
        {"submit_s": 10.0, "runtime_s": 400.0} | user | {"procs": 4},
        {"submit_s": 50.0, "runtime_s": 900.0} | user,
        {"submit_s": 500.0, "runtime_s": 60.0} | user,
    ]
    return schedule_of(rows, starts=[0.0, 10.0, 60.0, 500.0])


def test_what_is_told_of_the_last_of_four_jobs() -> None:
    last = features(four_jobs()).iloc[3]
    expected = {
        "procs_ln": log(2),
        "request_ln_s": log(1000),
        "request_missing": 0,
        "user_missing": 0,
        "app_missing": 1,
        "jobs_waiting": 0,
        "procs_waiting": 0,
        "procs_busy": 0.2,  # the third job's 2 of 10
        "user_completed": 2,
        "user_last_ln_s": log(400),
        "user_last1_ln_s": log(400),
        "user_last2_ln_s": log(100),
        "user_mean_ln_s": log(200),  # the geometric mean of 100 and 400
        "user_spread_ln_s": log(2),
        "user_recent_ln_s": log(200),
        "user_recent_spread_ln_s": log(2),
        "user_since_end_ln_s": log(90),  # since 410
        "user_since_submit_ln_s": log(450),
        "user_running": 1,
        "user_elapsed_ln_s": log(440),  # since 60
        "user_waiting": 0,
        "user_accuracy_ln": log(0.2),
        "size_completed": 1,
        "size_last_ln_s": log(100),
        "size_running": 1,
        "alike_completed": 1,
        "request_completed": 2,
    }
    assert_allclose(last[list(expected)], list(expected.values()), atol=1e-12)
    assert last[["user_last3_ln_s", "size_spread_ln_s", "app_completed", "hour"]].isna().all()


def test_the_first_job_knows_no_history() -> None:
    first = features(four_jobs()).iloc[0]
    assert first["user_completed"] == first["user_running"] == first["user_waiting"] == 0
    unknown = ["last_ln_s", "mean_ln_s", "since_end_ln_s", "since_submit_ln_s", "elapsed_ln_s"]
    assert first[[f"user_{name}" for name in unknown]].isna().all()


def test_of_the_moment_itself_completions_and_earlier_submissions_count_and_starts_do_not() -> None:
    user = {"user": 1, "procs": 1, "runtime_s": 100.0}
    rows = [user | {"submit_s": at} for at in (0.0, 90.0, 100.0, 100.0)]
    table = features(schedule_of(rows, starts=[0.0, 100.0, 100.0, 100.0]))
    assert table["user_completed"].tolist() == [0, 0, 1, 1]
    assert table["user_running"].tolist() == [0, 1, 0, 0]
    assert table["user_waiting"].tolist() == [0, 0, 1, 2]
    assert table["user_since_end_ln_s"].iloc[2] == 0.0  # 0 s count as 1 s
    assert table["jobs_waiting"].tolist() == [0, 0, 1, 2]


def test_the_hour_is_the_machines_own_also_when_clocks_change() -> None:
    # In London clocks went forward on 29 March 2026 at 01:00 UTC, a Sunday.
    rows = [{"submit_s": at, "runtime_s": 1.0, "procs": 1} for at in (0.0, 13.5 * 3600)]
    start = pd.Timestamp("2026-03-28T12:00Z")
    table = features(schedule_of(rows, [0, 0], start=start, timezone="Europe/London"))
    assert table["hour"].tolist() == [12.0, 2.5]
    assert table["weekday"].tolist() == [5, 6]


def test_what_is_missing_is_flagged() -> None:
    job = {"submit_s": 0.0, "runtime_s": 5.0, "procs": 1}
    rows = [job | {"user": -1, "requested_s": np.nan}, job | {"user": 3, "requested_s": 9.0}]
    table = features(schedule_of(rows, [0, 0]))
    assert table["user_missing"].tolist() == [1, 0]
    assert table["request_missing"].tolist() == [1, 0]
    assert np.isnan(table["request_ln_s"].iloc[0])
    assert table.loc[0, table.columns.str.startswith(("user_c", "alike", "app_c"))].isna().all()
    assert table["user_completed"].iloc[1] == 0


def test_a_queue_that_has_a_name_is_unknown() -> None:
    rows = [{"submit_s": 0.0, "runtime_s": 5.0, "procs": 1, "queue": name} for name in ("a", "b")]
    assert features(schedule_of(rows, [0, 0]))["queue"].isna().all()


def test_a_runtime_that_is_lost_beside_its_start_still_ends_after_it() -> None:
    job = {"runtime_s": 1e-9, "procs": 1, "user": 1}
    rows = [job | {"submit_s": 1e9}, job | {"submit_s": 1e9}, job | {"submit_s": 2e9}]
    table = features(schedule_of(rows, [1e9, 1e9, 2e9]))
    assert table["user_completed"].tolist() == [0, 0, 2]
    assert table["user_running"].tolist() == [0, 0, 0]


def by_plain_count(schedule: ew.Schedule, row: int) -> dict[str, float]:
    """Histories of one job, found by looking through all others."""
    jobs = schedule.workload.jobs
    job, now = jobs.iloc[row], schedule.submit_s[row]
    found = {}
    for kind, columns in HISTORIES.items():
        if any(job[name] < 0 for name in columns):
            continue
        same = np.logical_and.reduce(
            [
                (jobs[name] == job[name]) | (jobs[name].isna() & np.isnan(job[name]))
                for name in columns
            ]
        )
        same[row:] = False
        done = np.flatnonzero(same & (schedule.end_s <= now))
        runs = np.flatnonzero(same & (schedule.start_s < now) & (schedule.end_s > now))
        ln = np.log(schedule.runtime_s[done[np.argsort(schedule.end_s[done], kind="stable")]])
        found[f"{kind}_completed"] = done.size
        found[f"{kind}_running"] = runs.size
        found[f"{kind}_waiting"] = same.sum() - done.size - runs.size
        if ln.size:
            found[f"{kind}_mean_ln_s"], found[f"{kind}_last_ln_s"] = ln.mean(), ln[-1]
            since = now - schedule.end_s[done].max()
            found[f"{kind}_since_end_ln_s"] = log(max(since, 1.0))
        if ln.size > 1:
            found[f"{kind}_spread_ln_s"] = ln.std()
            # Weights: those of a plain mean while there are four jobs or fewer.
            weights = np.array([max(0.25, 1 / (i + 1)) for i in range(ln.size)])
            weights *= np.cumprod([*(1 - weights[1:]), 1.0][::-1])[::-1]
            recent = weights @ ln
            found[f"{kind}_recent_ln_s"] = recent
            found[f"{kind}_recent_spread_ln_s"] = np.sqrt(weights @ (ln - recent) ** 2)
        if runs.size:
            elapsed = (now - schedule.start_s[runs]).mean()
            found[f"{kind}_elapsed_ln_s"] = log(max(elapsed, 1.0))
    return found


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_histories_are_those_of_a_plain_count(seed: int) -> None:
    schedule = ew.replay(random_workload(60, seed), "easy")
    table = features(schedule)
    for row in range(len(table)):
        expected = by_plain_count(schedule, row)
        assert_allclose(table.loc[row, list(expected)], list(expected.values()), atol=1e-6)


def with_another_future(schedule: ew.Schedule, row: int, seed: int) -> ew.Schedule:
    """Change all that happens after a submission: later jobs, and starts and ends still to come."""
    rng = np.random.default_rng(seed)
    now, later = schedule.submit_s[row], np.arange(row + 1, len(schedule.workload))
    jobs = schedule.workload.jobs.copy()
    shuffled = jobs.iloc[rng.permutation(later)].to_numpy()
    jobs.iloc[later] = shuffled
    jobs.loc[later, "submit_s"] = now + np.sort(rng.integers(0, 5000, later.size)).astype(float)
    start, end = schedule.start_s.copy(), schedule.end_s.copy()
    to_start = start >= now
    submit = jobs["submit_s"].to_numpy()
    start[to_start] = np.maximum(submit, now)[to_start] + rng.integers(0, 900, to_start.sum())
    to_end = to_start | (end > now)
    end[to_end] = np.maximum(start, now)[to_end] + rng.integers(1, 900, to_end.sum())
    workload = replace(schedule.workload, jobs=jobs)
    return replace(schedule, workload=workload, start_s=start, runtime_s=end - start)


@settings(max_examples=50)
@given(row=st.integers(0, 598), seed=st.integers(0, 10_000))
def test_no_feature_knows_what_comes_after_its_job_was_submitted(
    schedule: ew.Schedule, row: int, seed: int
) -> None:
    table, again = features(schedule), features(with_another_future(schedule, row, seed))
    assert_array_equal(table.iloc[: row + 1], again.iloc[: row + 1])


def test_another_future_does_change_later_features(schedule: ew.Schedule) -> None:
    table, again = features(schedule), features(with_another_future(schedule, 300, seed=1))
    changed = (table.iloc[301:].fillna(-1) != again.iloc[301:].fillna(-1)).any()
    constant = {"gpus", "app_missing", "queue"}
    assert set(FEATURES) - set(table.columns[changed]) <= constant | {"weekday"}


@pytest.mark.parametrize("n", [1, 50, 400])
def test_the_first_jobs_alone_have_the_same_features(schedule: ew.Schedule, n: int) -> None:
    # Replayed anew: neither the schedule until then nor the features know of later jobs.
    workload = schedule.workload
    alone = ew.replay(replace(workload, jobs=workload.jobs.iloc[:n]), "easy")
    assert_array_equal(features(alone), features(schedule).iloc[:n])


def test_every_column_is_documented(schedule: ew.Schedule) -> None:
    table = features(schedule)
    assert list(table.columns) == list(FEATURES)
    assert len(set(FEATURES.values())) == len(FEATURES)
