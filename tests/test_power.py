"""Power of a schedule: literal watts, and energy by hosts against energy by jobs."""

import numpy as np
import pytest
from builders import make_workload
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference import Job
from strategies import as_workload, job_lists

import exawatt as ew
from exawatt.power import host_energy_j, job_energy_j
from exawatt.replay import allocate_processors

IDLE_W, BUSY_W = 95.0, 190.738  # the stand-in node


def test_power_of_a_worked_example() -> None:
    # Two nodes of one processor. The first job (1 processor) runs 10-30, the second (2) 40-50,
    # as FCFS starts it. The window runs from the first submission, 10, to the last end, 50.
    # Busy processors: 1 until 30, 0 until 40, 2 until 50.
    workload = make_workload([(10, 1, 20, 20), (40, 2, 10, 10)], 2)
    power = ew.power(ew.replay(workload, policy="fcfs"))
    assert_allclose(power.edges_s, [10, 30, 40, 50])
    one = 95 + 190.738
    assert_allclose(power.watts, [one, 190.0, 2 * 190.738])
    joules = 20 * one + 10 * 190.0 + 10 * 381.476
    assert power.energy_j == pytest.approx(joules, rel=1e-12)
    assert power.energy_kwh == pytest.approx(joules / 3.6e6, rel=1e-12)


def test_cumulative_energy_is_the_exact_integral() -> None:
    workload = make_workload([(10, 1, 20, 20), (40, 2, 10, 10)], 2)
    power = ew.power(ew.replay(workload, policy="fcfs"))
    one = 95 + 190.738
    assert_allclose(
        power.cumulative_j(np.array([10.0, 20.0, 30.0, 35.0, 50.0])),
        [0, 10 * one, 20 * one, 20 * one + 950, power.energy_j],
        rtol=1e-12,
    )


def test_idle_power_counts_in_a_longer_window() -> None:
    # One node, busy 0-100; the window of 0-1000 adds 900 s at 95 W.
    schedule = ew.replay(make_workload([(0, 1, 100, 100)], 1), policy="easy")
    assert ew.power(schedule).energy_j == pytest.approx(100 * BUSY_W)
    power = ew.power(schedule, window_s=(0.0, 1000.0))
    assert power.energy_j == pytest.approx(100 * BUSY_W + 900 * IDLE_W)
    assert (power.edges_s[0], power.edges_s[-1]) == (0, 1000)


def test_a_window_cuts_what_lies_outside() -> None:
    schedule = ew.replay(make_workload([(0, 1, 100, 100)], 1), policy="easy")
    assert ew.power(schedule, window_s=(40.0, 60.0)).energy_j == pytest.approx(20 * BUSY_W)


def test_a_partly_busy_node_draws_in_proportion() -> None:
    # Four processors a node, as on Thunder: one busy adds a quarter of 95.738 W.
    workload = make_workload([(0, 1, 100, 100)], 8, nodes=2)
    power = ew.power(ew.replay(workload, policy="easy"))
    assert_allclose(power.watts, [2 * 95 + 95.738 / 4])


def test_energy_above_idle_of_each_job() -> None:
    # 3 of 4 processors a node for 100 s: 3/4 of 95.738 W; a job killed at 50 s pays for 50 s.
    workload = make_workload([(0, 3, 100, 100), (0, 1, 80, 50)], 4, nodes=1)
    joules = job_energy_j(ew.replay(workload, policy="easy"))
    assert_allclose(joules, [0.75 * 95.738 * 100, 0.25 * 95.738 * 50])


def test_the_profile_has_one_value_between_two_edges() -> None:
    workload = make_workload([(0, 1, 10, 10), (0, 1, 10, 10), (3, 2, 4, 4)], 2)
    power = ew.power(ew.replay(workload, policy="easy"))
    assert power.edges_s.shape == (power.watts.size + 1,)
    assert (np.diff(power.edges_s) > 0).all()


def energy_by_hosts(
    schedule: ew.Schedule, nodes: int, machine: int, window: tuple[float, float]
) -> list[float]:
    """Walk every node through its own starts and ends [J]."""
    offsets, ids = allocate_processors(schedule)
    start, end = schedule.jobs["start_s"].to_numpy(), schedule.jobs["end_s"].to_numpy()
    per_node = machine // nodes
    joules = []
    for node in range(nodes):
        changes: dict[float, int] = {window[0]: 0, window[1]: 0}
        for i in range(len(start)):
            busy = int((np.asarray(ids[offsets[i] : offsets[i + 1]]) // per_node == node).sum())
            changes[start[i]] = changes.get(start[i], 0) + busy
            changes[end[i]] = changes.get(end[i], 0) - busy
        busy, before, total = 0, window[0], 0.0
        for instant in sorted(changes):
            assert 0 <= busy <= per_node
            total += (instant - before) * (IDLE_W + (BUSY_W - IDLE_W) * busy / per_node)
            busy, before = busy + changes[instant], instant
        joules.append(total)
    return joules


@settings(max_examples=100)
@given(job_lists(), st.integers(1, 4), st.sampled_from(["fcfs", "easy"]))
def test_energy_by_hosts_equals_energy_by_jobs_and_idle(
    drawn: tuple[list[Job], int], nodes: int, name: str
) -> None:
    jobs, machine = drawn
    machine = -(-machine // nodes) * nodes  # so that every node has as many processors
    workload = as_workload(jobs, machine)
    workload = ew.Workload(workload.jobs, procs=machine, name="random", nodes=nodes)
    schedule = ew.replay(workload, policy=name)
    first, last = jobs[0].submit_s, float(schedule.jobs["end_s"].max())
    hosts = energy_by_hosts(schedule, nodes, machine, (first, last))
    assert_allclose(host_energy_j(schedule), hosts, rtol=1e-9)
    by_hosts = sum(hosts)
    by_jobs = float(np.sum(job_energy_j(schedule))) + nodes * IDLE_W * (last - first)
    assert by_jobs == pytest.approx(by_hosts, rel=1e-9)
    assert ew.power(schedule).energy_j == pytest.approx(by_hosts, rel=1e-9)
