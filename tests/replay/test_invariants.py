"""What must hold of every schedule, whatever the jobs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from reference import Job
from strategies import as_workload, job_lists

import exawatt as ew

Drawn = tuple[list[Job], int]
NAMES = ["fcfs", "easy", "fcfs+easy"]


@settings(max_examples=200)
@given(job_lists(), st.sampled_from(NAMES))
def test_never_more_in_use_than_exists_and_no_start_before_submission(
    drawn: Drawn, name: str
) -> None:
    jobs, machine = drawn
    schedule = ew.replay(as_workload(jobs, machine), policy=name).jobs
    start, end = schedule["start_s"].to_numpy(), schedule["end_s"].to_numpy()
    procs = np.array([job.procs for job in jobs])
    for instant in start:
        assert procs[(start <= instant) & (instant < end)].sum() <= machine
    assert (start >= [job.submit_s for job in jobs]).all()


@settings(max_examples=100)
@given(job_lists(), st.sampled_from(NAMES), st.booleans())
def test_rows_are_the_jobs_in_workload_order(drawn: Drawn, name: str, kill: bool) -> None:
    jobs, machine = drawn
    workload = as_workload(jobs, machine)
    policy = ew.Policy(
        order="fcfs", backfill="none" if name == "fcfs" else "easy", kill_at_request=kill
    )
    schedule = ew.replay(workload, policy=policy)
    table = schedule.jobs
    assert_array_equal(table["job"], workload.jobs["job"])
    executed = [
        min(job.runtime_s, job.requested_s) if kill and job.requested_s > 0 else job.runtime_s
        for job in jobs
    ]
    assert_array_equal(table["runtime_s"], executed)
    assert_array_equal(table["end_s"], table["start_s"] + table["runtime_s"])
    assert_array_equal(table["wait_s"], table["start_s"] - [job.submit_s for job in jobs])
    assert set(table["state"]) <= {"completed", "killed"}
    assert schedule.metrics()["jobs"] == len(jobs)


@settings(max_examples=100)
@given(job_lists())
def test_processor_seconds_are_the_same_under_every_policy(drawn: Drawn) -> None:
    workload = as_workload(*drawn)
    procs = workload.jobs["procs"]
    work = {(ew.replay(workload, policy=name).jobs["runtime_s"] * procs).sum() for name in NAMES}
    assert len(work) == 1


@settings(max_examples=100)
@given(job_lists())
def test_without_backfilling_jobs_start_in_order_of_submission(drawn: Drawn) -> None:
    start = ew.replay(as_workload(*drawn), policy="fcfs").jobs["start_s"].to_numpy()
    assert (np.diff(start) >= 0).all()


def exact_shadow(jobs: list[Job], start: np.ndarray, machine: int, head: int, now: float) -> float:
    """When the head can start if only what runs before any backfill of this pass goes on."""
    runs = [
        (start[i] + job.runtime_s, job.procs)
        for i, job in enumerate(jobs)
        if (start[i] < now or (start[i] == now and i < head)) and start[i] + job.runtime_s > now
    ]
    free = machine - sum(procs for _, procs in runs)
    for end in sorted({end for end, _ in runs}):
        if free + sum(procs for e, procs in runs if e <= end) >= jobs[head].procs:
            return end
    raise AssertionError("the head can never start")


@settings(max_examples=300)
@given(job_lists(exact=True))
def test_backfills_never_delay_the_reserved_head_when_estimates_are_exact(drawn: Drawn) -> None:
    jobs, machine = drawn
    start = ew.replay(as_workload(jobs, machine), policy="easy").jobs["start_s"].to_numpy()
    instants = sorted({job.submit_s for job in jobs} | set(start + [j.runtime_s for j in jobs]))
    for now in instants:
        queue = [i for i, job in enumerate(jobs) if job.submit_s <= now < start[i]]
        if queue:
            head = queue[0]
            assert start[head] == exact_shadow(jobs, start, machine, head, now)


@settings(max_examples=50)
@given(job_lists(), st.sampled_from(NAMES))
def test_two_replays_are_equal(drawn: Drawn, name: str) -> None:
    workload = as_workload(*drawn)
    first, second = (ew.replay(workload, policy=name) for _ in range(2))
    assert_frame_equal(first.jobs, second.jobs)
    assert first.metrics() == second.metrics()


@settings(max_examples=50)
@given(job_lists(whole_seconds=True), st.integers(1, 10**9))
def test_a_later_origin_shifts_every_start(drawn: Drawn, shift: int) -> None:
    jobs, machine = drawn
    later = [replace(job, submit_s=job.submit_s + shift) for job in jobs]
    first = ew.replay(as_workload(jobs, machine), policy="easy").jobs["start_s"]
    second = ew.replay(as_workload(later, machine), policy="easy").jobs["start_s"]
    assert_array_equal(second, first + shift)


@settings(max_examples=50)
@given(job_lists(missing=False))
def test_easy_names_are_one_policy(drawn: Drawn) -> None:
    workload = as_workload(*drawn)
    easy = ew.replay(workload, policy="easy").jobs
    assert_frame_equal(easy, ew.replay(workload, policy="fcfs+easy").jobs)
    assert_frame_equal(easy, ew.replay(workload, policy=ew.Policy(backfill="easy")).jobs)


def test_replay_leaves_the_workload_as_it_was() -> None:
    workload = as_workload([Job(0, 1, 10, 5), Job(0, 2, 10, float("nan"))], 2)
    before = workload.jobs.copy()
    schedule = ew.replay(workload, policy="easy")
    assert_frame_equal(workload.jobs, before)
    assert schedule.workload is workload
    with pytest.raises((AttributeError, TypeError)):
        schedule.workload = workload
