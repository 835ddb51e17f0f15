"""The library's replay against the reference scheduler, job by job and cause by cause."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal
from reference import Job, Partition, Policy, Run, simulate
from reference_terms import CAUSES
from strategies import RULES, Case, cases, replay_case

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)
EXAMPLES = {"none": 1500, "easy": 2000, "conservative": 1500, "hold": 1500}
DRAWN: Counter[str] = Counter()

thorough: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def reference_runs(case: Case) -> list[Run]:
    """Replay the partitions one by one, and put their jobs back in trace order."""
    found: dict[int, Run] = {}
    for partition in case.partitions:
        members = case.jobs_of(partition)
        jobs = [case.jobs[i] for i in members]
        runs = simulate(jobs, partition, case.policy_of(partition), case.forecast)
        found |= dict(zip(members, runs, strict=True))
    return [found[i] for i in range(len(case.jobs))]


def count(case: Case, runs: list[Run]) -> None:
    """Note what the case has, and what came of it."""
    happened = {f"waited for {each}": any(run.causes[each] for run in runs) for each in CAUSES}
    happened["killed"] = any(run.state == "killed" for run in runs)
    hold = case.policy.hold
    for rule in RULES:
        by_it = hold is not None and hold.rule == rule
        happened[f"held by {rule}"] = by_it and happened["waited for hold"]
    happened["half frequency"] = any(run.frequency < 1 for run in runs)
    there = case.features() | happened | {"cases": True}
    DRAWN.update({name: int(yes) for name, yes in there.items()})


def assert_equals_reference(case: Case) -> None:
    expected = reference_runs(case)
    count(case, expected)
    found = replay_case(case).jobs
    for name in ("chosen_s", "start_s", "end_s", "frequency", "held_s"):
        assert_array_equal(found[name], [getattr(run, name) for run in expected], err_msg=name)
    assert list(found["state"]) == [run.state for run in expected]
    # Without causes the kernel may be compiled with fewer features.
    bare = replay_case(case, causes=False).jobs
    assert_array_equal(bare["start_s"], found["start_s"], err_msg="without causes")
    for each in CAUSES:
        seconds = [run.causes[each] for run in expected]
        # The same seconds, added up in another order: instants may be no binary fractions.
        assert_allclose(found[f"wait_{each}_s"], seconds, rtol=0, atol=1e-9, err_msg=each)
    # Conservation: every second of the wait has one cause, in both.
    waits = [run.start_s - job.submit_s for run, job in zip(expected, case.jobs, strict=True)]
    assert_array_equal(found["wait_s"], waits)
    assert_allclose([sum(run.causes.values()) for run in expected], waits, rtol=0, atol=1e-9)
    added = found[[f"wait_{each}_s" for each in CAUSES]].sum(axis=1)
    assert_allclose(added, waits, rtol=0, atol=1e-9)


@settings(max_examples=EXAMPLES["none"], **thorough)
@given(cases("none"))
def test_without_backfilling(case: Case) -> None:
    assert_equals_reference(case)


@settings(max_examples=EXAMPLES["easy"], **thorough)
@given(cases("easy"))
def test_easy(case: Case) -> None:
    assert_equals_reference(case)


@settings(max_examples=EXAMPLES["conservative"], **thorough)
@given(cases("conservative"))
def test_conservative(case: Case) -> None:
    assert_equals_reference(case)


@settings(max_examples=EXAMPLES["hold"], **thorough)
@given(cases(hold=True))
def test_carbon_hold(case: Case) -> None:
    assert_equals_reference(case)


def test_another_job_may_take_the_node_that_wakes_late() -> None:
    # 3 nodes of 2. At 33 free are one processor of node 0, woken at 30 and awake at 50, and one of
    # node 2. The head (6) has its shadow at 100. The job of 40 s takes the waking node, so that
    # the one of 60 s, which would not end in time there, has node 2 at once.
    sizes = [(0, 2, 10), (0, 2, 70), (0, 1, 70), (0, 1, 32), (30, 1, 50), (33, 6, 10)]
    late = [(33, 1, 40), (33, 1, 60)]
    case = Case(
        jobs=[Job(submit, procs, time, time) for submit, procs, time in sizes + late],
        partitions=(Partition(nodes=3, procs=6, fall_asleep_s=1, wake_s=20),),
        policy=Policy(backfill="easy", sleep_after_s=10),
        forecast=None,
    )
    assert [run.start_s for run in reference_runs(case)[-2:]] == [50, 33]
    assert_equals_reference(case)


def test_everything_was_drawn_often(record_property: Callable[[str, str], None]) -> None:
    """Log how many cases had each feature; a test that never meets one says nothing of it."""
    if DRAWN["cases"] < sum(EXAMPLES.values()) // 2:
        pytest.skip("the comparisons above did not all run")
    record_property("log", "\n".join(f"{times:6d} {name}" for name, times in sorted(DRAWN.items())))
    assert min(DRAWN.values()) >= 100
