"""The replay against examples worked by hand and against the reference, job by job."""

from math import nan

import numpy as np
import pytest
from builders import JobTuple, make_workload
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from reference import Job, replay
from strategies import as_workload, job_lists

import exawatt as ew
from exawatt.replay import allocate_processors


def starts(jobs: list[JobTuple], machine: int, policy: str | ew.Policy = "easy") -> list[float]:
    return list(ew.replay(make_workload(jobs, machine), policy=policy).jobs["start_s"])


def test_fcfs_lets_nobody_pass_a_blocked_head() -> None:
    # 4 processors. The second job needs all of them and waits for the first to end at 10; the
    # third would fit at 2 but stands behind it until 15.
    jobs = [(0, 3, 10, 10), (1, 4, 5, 5), (2, 1, 1, 1)]
    assert starts(jobs, 4, "fcfs") == [0, 10, 15]
    # EASY: at 2 the third ends at 3 <= shadow 10, so it starts at once.
    assert starts(jobs, 4, "easy") == [0, 10, 2]


def test_easy_backfills_into_the_extra_processors_until_they_are_used() -> None:
    # 10 processors, 6 busy until 100. At 1 the head (8) is blocked: shadow 100, extra 10 - 8 = 2.
    # At 2 two long jobs of 2 arrive: the first takes the extra, for the second none is left
    # although 2 are free. At 4 a job of 2 that ends at exactly the shadow (4 + 96) may start.
    # At 100 the head takes 8, the long backfill still holds 2; the head ends at 150.
    jobs = [(0, 6, 100, 100), (1, 8, 50, 50), (2, 2, 500, 500), (2, 2, 500, 500), (4, 2, 96, 96)]
    assert starts(jobs, 10) == [0, 100, 2, 150, 4]


def test_easy_does_not_backfill_one_second_past_the_shadow() -> None:
    # As above with nothing extra: 3 + 97 = 100 may start, 3 + 98 may not (until the head ends).
    busy_and_head = [(0, 6, 100, 100), (1, 10, 50, 50)]
    assert starts([*busy_and_head, (3, 2, 97, 97)], 10) == [0, 100, 3]
    assert starts([*busy_and_head, (3, 2, 98, 98)], 10) == [0, 100, 150]


def test_easy_shadow_counts_every_job_that_ends_at_that_instant() -> None:
    # 10 processors, two jobs of 4 until 100, head needs 6. The first of the two would suffice
    # (2 + 4), but both end at 100: 10 free, extra 4, so a long job of 2 backfills at 2.
    # Counting one by one gives extra 0 and a start at 100.
    jobs = [(0, 4, 100, 100), (0, 4, 100, 100), (1, 6, 10, 10), (2, 2, 1000, 1000)]
    assert starts(jobs, 10) == [0, 0, 100, 2]


def test_completions_come_before_submissions_of_the_same_instant() -> None:
    # The machine is full until 10; a job that arrives at 10 starts at 10.
    assert starts([(0, 4, 10, 10), (10, 4, 5, 5)], 4, "fcfs") == [0, 10]


def test_ties_start_in_trace_order() -> None:
    assert starts([(5, 2, 10, 10), (5, 2, 10, 10), (5, 2, 10, 10)], 2, "fcfs") == [5, 15, 25]


def test_backfilled_jobs_start_although_the_head_was_submitted_with_them() -> None:
    # All at 0 on 4 processors: 3 starts, 4 is blocked (shadow 10), the small one backfills.
    assert starts([(0, 3, 10, 10), (0, 4, 5, 5), (0, 1, 10, 10)], 4) == [0, 10, 0]


def test_a_job_is_killed_at_its_request() -> None:
    schedule = ew.replay(make_workload([(0, 4, 200, 100), (1, 4, 50, 60)], 4), policy="easy")
    assert list(schedule.jobs["start_s"]) == [0, 100]
    assert list(schedule.jobs["end_s"]) == [100, 150]
    assert list(schedule.jobs["runtime_s"]) == [100, 50]
    assert list(schedule.jobs["state"]) == ["killed", "completed"]


def test_a_runtime_equal_to_the_request_completes() -> None:
    schedule = ew.replay(make_workload([(0, 1, 100, 100)], 1), policy="fcfs")
    assert list(schedule.jobs["state"]) == ["completed"]


OVERRUN = [(0, 3, 200, 100), (1, 4, 10, 10), (150, 1, 5, 5), (160, 1, 1, 1)]


def test_an_overrun_job_is_expected_to_end_in_one_second() -> None:
    # Not killed, the first job runs until 200 on 3 of 4. At 150 its expected end (100) has passed:
    # the head's shadow is 151, so 150 + 5 may not start; at 160 the shadow is 161 and 160 + 1 may.
    # The head starts at 200, the third job when it ends.
    assert starts(OVERRUN, 4, ew.Policy(backfill="easy", kill_at_request=False)) == [
        0,
        200,
        210,
        160,
    ]


def test_the_same_jobs_killed_at_their_request_do_not_overrun() -> None:
    assert starts(OVERRUN, 4, "easy") == [0, 100, 150, 160]


def test_an_expected_end_of_exactly_now_has_passed() -> None:
    # The first job's expected end is 100; at 100 it still runs (until 200), so it is now 101 and
    # a job of 1 s that arrives then may backfill, one of 2 s may not.
    policy = ew.Policy(backfill="easy", kill_at_request=False)
    assert starts([(0, 3, 200, 100), (1, 4, 10, 10), (100, 1, 1, 1)], 4, policy) == [0, 200, 100]
    assert starts([(0, 3, 200, 100), (1, 4, 10, 10), (100, 1, 2, 2)], 4, policy) == [0, 200, 210]


def test_a_missing_request_is_the_quantile_of_those_submitted_strictly_earlier() -> None:
    # Known before 2: {40, 10}. Their 0.9-quantile is 10 + 0.9 * 30 = 37. Shadow of the head: 40.
    # At 2: 2 + 37 <= 40 starts. At 4 the same job could not (4 + 37 = 41) though it needs 5 s.
    # The request of 4000 that comes at the same instant must not count.
    head = [(0, 2, 30, 40), (1, 4, 10, 10)]
    assert starts([*head, (2, 1, 5, nan)], 4) == [0, 30, 2]
    assert starts([*head, (4, 1, 5, nan)], 4) == [0, 30, 40]
    assert starts([*head, (2, 4, 9, 4000), (2, 1, 5, nan)], 4) == [0, 30, 40, 2]


def test_missing_request_runtime_is_clairvoyant() -> None:
    head = [(0, 2, 30, 40), (1, 4, 10, 10)]
    policy = ew.Policy(backfill="easy", missing_request="runtime")
    assert starts([*head, (4, 1, 5, nan)], 4, policy) == [0, 30, 4]


def test_before_any_request_is_known_the_estimate_is_a_day() -> None:
    # The first job is expected to end at 86400, so 100 + 86300 s may backfill, 86301 s may not.
    head = [(0, 3, 50_000, nan), (1, 4, 10, 10)]
    assert starts([*head, (100, 1, 5, 86_300)], 4) == [0, 50_000, 100]
    assert starts([*head, (100, 1, 5, 86_301)], 4) == [0, 50_000, 50_010]


def test_a_job_without_request_is_never_killed() -> None:
    schedule = ew.replay(make_workload([(0, 1, 200_000, nan)], 1), policy="easy")
    assert list(schedule.jobs["end_s"]) == [200_000]
    assert list(schedule.jobs["state"]) == ["completed"]


def test_metrics_of_a_worked_example() -> None:
    # 4 processors, FCFS: starts 0, 10, 15, ends 10, 15, 16, waits 0, 9, 13, runtimes 10, 5, 1.
    # bsld: 1, (9 + 5) / 10 = 1.4, (13 + 1) / 10 = 1.4. Busy: 3*10 + 4*5 + 1*1 = 51 of 4 * 16.
    # p99 of (0, 9, 13), linear: 9 + 0.98 * 4 = 12.92.
    workload = make_workload([(0, 3, 10, 10), (1, 4, 5, 5), (2, 1, 1, 1)], 4)
    metrics = ew.replay(workload, policy="fcfs").metrics()
    assert metrics == pytest.approx(
        {
            "jobs": 3,
            "avebsld": 3.8 / 3,
            "mean_wait_s": 22 / 3,
            "p99_wait_s": 12.92,
            "max_wait_s": 13,
            "mean_turnaround_s": (10 + 14 + 14) / 3,
            "utilisation": 51 / 64,
            "makespan_s": 16,
        }
    )


def test_metrics_use_the_executed_runtime_and_the_first_submission() -> None:
    # First submission at 1000. The first job is cut at 100: the second waits 90 and runs 20,
    # bsld 110 / 20 = 5.5. Busy 2*100 + 2*20 = 240 of 2 * 120.
    schedule = ew.replay(make_workload([(1000, 2, 500, 100), (1010, 2, 20, 30)], 2), policy="easy")
    metrics = schedule.metrics()
    assert metrics["avebsld"] == pytest.approx((1 + 5.5) / 2)
    assert metrics["mean_turnaround_s"] == pytest.approx((100 + 110) / 2)
    assert metrics["makespan_s"] == pytest.approx(120)
    assert metrics["utilisation"] == pytest.approx(1.0)


POLICIES = [
    (backfill, kill, missing)
    for backfill in ("none", "easy")
    for kill in (True, False)
    for missing in ("quantile", "runtime")
]


def assert_equals_reference(
    jobs: list[Job], machine: int, backfill: str, kill: bool, missing: str
) -> None:
    policy = ew.Policy(
        order="fcfs", backfill=backfill, kill_at_request=kill, missing_request=missing
    )
    schedule = ew.replay(as_workload(jobs, machine), policy=policy).jobs
    expected = replay(jobs, machine, backfill, kill, missing)
    assert_array_equal(schedule["start_s"], [run.start_s for run in expected])
    assert_array_equal(schedule["end_s"], [run.end_s for run in expected])
    assert list(schedule["state"]) == [run.state for run in expected]


@settings(max_examples=500)
@given(job_lists(), st.sampled_from(POLICIES))
def test_kernel_equals_the_reference(
    drawn: tuple[list[Job], int], policy: tuple[str, bool, str]
) -> None:
    assert_equals_reference(*drawn, *policy)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_kernel_equals_the_reference_on_long_queues(policy: tuple[str, bool, str]) -> None:
    """Jobs that arrive about twice as fast as the machine works, so that the queue grows."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        machine = int(rng.integers(1, 21))
        count = 60
        procs = np.minimum(1 + rng.geometric(0.3, count), machine)
        runtime = rng.integers(1, 50, count).astype(float)
        gap = runtime.mean() * procs.mean() / machine / 2
        submit = np.floor(np.cumsum(rng.exponential(gap, count)))
        request = np.ceil(runtime * rng.uniform(0.6, 4.0, count))
        request[rng.random(count) < 0.25] = nan
        jobs = [
            Job(*row)
            for row in zip(
                submit.tolist(), procs.tolist(), runtime.tolist(), request.tolist(), strict=True
            )
        ]
        assert_equals_reference(jobs, machine, *policy)


def test_allocation_takes_the_lowest_numbered_free_processors() -> None:
    # 4 processors. At 0 jobs A (2) and B (1) take {0, 1} and {2}; A ends at 10; at 10 C (3) takes
    # {0, 1, 3}; B ends at 20, D (1), waiting since 12, takes {2}.
    jobs = [(0, 2, 10, 10), (0, 1, 20, 20), (10, 3, 50, 50), (12, 1, 5, 5)]
    offsets, ids = allocate_processors(ew.replay(make_workload(jobs, 4), policy="fcfs"))
    assert list(offsets) == [0, 2, 3, 6, 7]
    assert [sorted(part) for part in np.split(np.asarray(ids), offsets[1:-1])] == [
        [0, 1],
        [2],
        [0, 1, 3],
        [2],
    ]


@settings(max_examples=100)
@given(job_lists())
def test_allocation_equals_a_walk_over_the_starts(drawn: tuple[list[Job], int]) -> None:
    jobs, machine = drawn
    schedule = ew.replay(as_workload(jobs, machine), policy="easy")
    offsets, ids = allocate_processors(schedule)
    start, end = schedule.jobs["start_s"].to_numpy(), schedule.jobs["end_s"].to_numpy()
    held: dict[int, set[int]] = {}
    for i in np.argsort(start, kind="stable"):
        held = {j: taken for j, taken in held.items() if end[j] > start[i]}
        free = set(range(machine)) - set().union(*held.values())
        held[int(i)] = set(sorted(free)[: jobs[i].procs])
        assert set(ids[offsets[i] : offsets[i + 1]]) == held[int(i)]
