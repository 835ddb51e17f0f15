"""What must hold of every schedule, whatever the jobs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from reference import Job
from reference_terms import Dvfs, taken_procs_and_gpus, watts
from strategies import Case, as_platform, as_policy, as_workload, cases, job_lists, replay_case

import exawatt as ew

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)
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


@settings(max_examples=100)
@given(job_lists(), st.integers(1, 4), st.floats(0.1, 500), st.sampled_from(["easy", "sjf"]))
def test_a_cap_of_full_power_changes_nothing(
    drawn: Drawn, per_node: int, busy_w: float, name: str
) -> None:
    workload = as_workload(*drawn)
    nodes = -(-workload.procs // per_node)
    platform = ew.Platform.uniform(nodes, workload.procs, idle_w=busy_w / 3, busy_w=busy_w)
    policy = ew.Policy.named(name)
    free = ew.replay(workload, policy, platform, causes=True)
    capped = ew.replay(workload, replace(policy, power_cap_w=platform.full_w), platform)
    assert_array_equal(capped.start_s, free.start_s)


def test_replay_leaves_the_workload_as_it_was() -> None:
    workload = as_workload([Job(0, 1, 10, 5), Job(0, 2, 10, float("nan"))], 2)
    before = workload.jobs.copy()
    schedule = ew.replay(workload, policy="easy")
    assert_frame_equal(workload.jobs, before)
    assert schedule.workload is workload
    with pytest.raises((AttributeError, TypeError)):
        schedule.workload = workload


@settings(max_examples=300)
@given(cases())
def test_nobody_gets_what_does_not_exist_or_starts_too_early(case: Case) -> None:
    """From when it is chosen until it ends, a job holds processors and GPUs of its partition."""
    schedule = replay_case(case).jobs
    chosen, start, end = (schedule[f"{name}_s"].to_numpy() for name in ("chosen", "start", "end"))
    assert (chosen >= [job.submit_s for job in case.jobs]).all()
    assert (start >= chosen).all()
    assert (end > start).all()
    for partition in case.partitions:
        members = case.jobs_of(partition)
        for instant in chosen[members]:
            takes = [
                taken_procs_and_gpus(partition, case.jobs[i])
                for i in members
                if chosen[i] <= instant < end[i]
            ]
            assert sum(procs for procs, _ in takes) <= partition.procs
            assert sum(gpus for _, gpus in takes) <= 1000 * partition.gpus


@settings(max_examples=300)
@given(cases().filter(lambda case: case.policy.power_cap_w is not None))
def test_the_cap_is_never_exceeded(case: Case) -> None:
    """Nodes draw their idle power, or, where they sleep, no less than the lowest of their states.

    The watts of a job at frequency f are f ** exponent of its watts at full frequency.
    """
    policy = case.policy
    assert policy.power_cap_w is not None
    schedule = replay_case(case).jobs
    chosen, end = schedule["chosen_s"].to_numpy(), schedule["end_s"].to_numpy()
    dvfs = policy.dvfs or Dvfs()
    factor = schedule["frequency"].to_numpy() ** dvfs.exponent
    nodes_w, jobs_w = 0.0, np.zeros(len(case.jobs))
    for partition in case.partitions:
        asleep = policy.sleep_after_s is not None
        lowest_w = min(partition.idle_w, partition.sleep_w) if asleep else partition.idle_w
        nodes_w += partition.nodes * lowest_w
        for i in case.jobs_of(partition):
            jobs_w[i] = factor[i] * watts(partition, case.jobs[i])
    for instant in chosen:
        running = (chosen <= instant) & (instant < end)
        rounding_w = 1e-6 * (running.sum() + sum(part.nodes for part in case.partitions))
        assert nodes_w + jobs_w[running].sum() <= policy.power_cap_w + rounding_w + 1e-9


@settings(max_examples=100)
@given(cases(), st.lists(cases(hold=False), min_size=2, max_size=2))
def test_processor_seconds_are_the_same_under_any_policy(case: Case, others: list[Case]) -> None:
    """Whatever the order, backfilling, sleep and estimates: only frequencies change what runs."""
    procs = np.array([job.procs for job in case.jobs])
    work = set()
    for other in (case, *others):
        policy = replace(
            other.policy,
            kill_at_request=case.policy.kill_at_request,
            power_cap_w=None,
            dvfs=None,
            hold=None,
            sleep_after_s=case.policy.sleep_after_s,
        )
        found = replay_case(replace(case, policy=policy, forecast=None)).jobs
        assert_array_equal(found["end_s"], found["start_s"] + found["runtime_s"])
        work.add(float((found["runtime_s"] * procs).sum()))
    assert len(work) == 1


@settings(max_examples=300)
@given(cases(hold=True))
def test_holds_keep_to_their_budget_and_spare_the_starving(case: Case) -> None:
    """A hold that began in time lasts half an hour at most, and no other follows."""
    hold, limit = case.policy.hold, case.policy.max_wait_s
    assert hold is not None
    schedule = replay_case(case).jobs
    held = schedule["held_s"].to_numpy()
    assert (held <= hold.budget_s + 1e-9).all()
    assert (held <= schedule["wait_s"] + 1e-9).all()
    assert_allclose(held, schedule["wait_hold_s"], rtol=0, atol=1e-9)
    if limit is not None:
        assert (held <= limit + 1800).all()


@settings(max_examples=100)
@given(cases())
def test_two_replays_of_any_policy_are_equal(case: Case) -> None:
    first, second = replay_case(case), replay_case(case)
    assert_frame_equal(first.jobs, second.jobs)
    without = replay_case(case, causes=False).jobs
    assert_frame_equal(first.jobs[without.columns], without)


@settings(max_examples=200)
@given(cases(hold=False, parted=True))
def test_the_whole_is_its_parts(case: Case) -> None:
    """Partitions schedule independently of each other, each under its share of the cap."""
    whole = replay_case(case).jobs
    for partition in case.partitions:
        members = case.jobs_of(partition)
        if members:
            jobs = [case.jobs[i] for i in members]
            part = ew.replay(
                as_workload(jobs, partition.procs),
                policy=as_policy(case.policy_of(partition)),
                platform=as_platform((partition,)),
                causes=True,
            ).jobs
            expected = whole.iloc[members].reset_index(drop=True).drop(columns="job")
            assert_frame_equal(part.drop(columns="job"), expected)
