"""Fed in chunks or driven step by step, a replay is the same replay."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_workload
from numpy.testing import assert_array_equal

import exawatt as ew
from exawatt.replay.stepping import Stepper
from exawatt.replay.streaming import replay_chunks

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)
FULL_W = 16 * 190.738
HOURS = 3600.0
POLICIES = {
    "fcfs": ew.Policy(),
    "easy": ew.Policy(backfill="easy"),
    "sjf": ew.Policy(order="sjf"),
    "f1 committed": ew.Policy(order="f1", head="committed"),
    "lxf+easy": ew.Policy(order="lxf", backfill="easy"),
    "conservative": ew.Policy(backfill="conservative"),
    "wfp3+conservative": ew.Policy(order="wfp3", backfill="conservative"),
    "easy++": ew.Policy.named("easy++"),
    "multifactor": ew.Policy(order=ew.Multifactor(), backfill="easy"),
    "everything": ew.Policy(
        order="saf",
        backfill="easy",
        estimate="last2",
        correction="doubling",
        max_wait_s=20 * HOURS,
        sleep_after_s=900.0,
        power_cap_w=0.9 * FULL_W,
        dvfs=ew.Dvfs(),
        hold=ew.CarbonHold(8 * HOURS, rule="carbon-time", deadline="semi-weekly"),
    ),
    "conservative, sleep and hold": ew.Policy(
        backfill="conservative", sleep_after_s=900.0, hold=ew.CarbonHold(4 * HOURS)
    ),
}
#: Daily swing, as seen from each half-hour, two days ahead.
FORECAST = ew.Forecast(
    pd.Timestamp("2023-01-02", tz="UTC"),
    200.0 + 100.0 * np.sin(np.add.outer(np.arange(4000), np.arange(96)) * np.pi / 24),
    timezone="UTC",
)


def random_workload(n: int = 300, procs: int = 16, seed: int = 1) -> ew.Workload:
    """Jobs of several users that queue up, some submitted together, some without request."""
    rng = np.random.default_rng(seed)
    submit = np.cumsum(rng.choice([0, 0, 60, 600, 3600], n)).astype(float)
    runtime = rng.integers(60, 20000, n).astype(float)
    requested = np.where(rng.random(n) < 0.2, np.nan, runtime * rng.choice([0.8, 1, 2, 5], n))
    table = pd.DataFrame(
        {
            "submit_s": submit,
            "runtime_s": runtime,
            "requested_s": requested,
            "procs": rng.integers(1, procs + 1, n) // rng.choice([1, 4], n) + 1,
            "user": rng.integers(0, 6, n),
        }
    )
    table["procs"] = table["procs"].clip(1, procs)
    return ew.Workload(table, procs=procs, name="random")


def chunked(workload: ew.Workload, sizes: list[int]) -> list[ew.Workload]:
    """Split a workload after every `sizes` jobs, in turn."""
    chunks, first, turn = [], 0, 0
    while first < len(workload):
        last = first + sizes[turn % len(sizes)]
        chunks.append(replace(workload, jobs=workload.jobs.iloc[first:last]))
        first, turn = last, turn + 1
    return chunks


@pytest.mark.parametrize("sizes", [[1], [7, 50, 2], [299], [1000]])
@pytest.mark.parametrize("name", POLICIES)
def test_chunks_give_the_whole_schedule(name: str, sizes: list[int]) -> None:
    workload, policy = random_workload(), POLICIES[name]
    whole = ew.replay(workload, policy, forecast=FORECAST, causes=True).jobs
    parts = replay_chunks(chunked(workload, sizes), policy, forecast=FORECAST, causes=True)
    rows = pd.concat(parts).sort_values("row")
    assert_array_equal(rows["row"], np.arange(len(workload)))
    for column in [name for name in rows.columns if name not in ("row", "frequency")]:
        assert_array_equal(rows[column], whole[column], err_msg=column)


@pytest.mark.parametrize("name", POLICIES)
def test_steps_give_the_whole_schedule(name: str) -> None:
    workload, policy = random_workload(120), POLICIES[name]
    whole = ew.replay(workload, policy, forecast=FORECAST, causes=True)
    stepper = Stepper(whole.platform, policy, FORECAST, causes=True)
    stepper.add(workload)
    start, waits = np.full(len(workload), np.nan), np.full((len(workload), 6), np.nan)
    instants = [-np.inf]
    while stepper.next_s < np.inf:
        instants.append(stepper.next_s)
        started = stepper.step()
        start[started.row] = started.start_s
        waits[started.row] = started.waits_s
    assert (np.diff(instants) > 0).all()
    assert_array_equal(start, whole.start_s)
    assert_array_equal(waits, whole.waits_s)
    assert stepper.free_procs == workload.procs
    assert stepper.waiting.size == 0


def test_a_protocol_announces_jobs_as_they_come_and_says_when_they_end() -> None:
    stepper = Stepper(ew.Platform.uniform(nodes=4, procs=4), ew.Policy(backfill="easy"))
    stepper.add(make_workload([(0, 3, 100, 100)], 4))
    assert list(stepper.instant(0).row) == [0]
    stepper.add(make_workload([(10, 4, 50, 50), (10, 1, 100, 100), (10, 1, 90, 90)], 4))
    assert list(stepper.instant(10).row) == [3]  # ends by 100, when the head can start
    assert list(stepper.waiting) == [1, 2]
    assert stepper.instant(60, ended=[3]).row.size == 0
    assert list(stepper.instant(70, ended=[0]).row) == [1]
    with pytest.raises(ValueError, match="row 0 does not run"):
        stepper.instant(80, ended=[0])
    with pytest.raises(ValueError, match="before the last instant"):
        stepper.instant(30)


def test_scores_from_outside_order_the_queue() -> None:
    stepper = Stepper(ew.Platform.uniform(nodes=1, procs=1), ew.Policy(), scored_outside=True)
    stepper.add(make_workload([(0, 1, 10, 10)] * 4, 1))
    stepper.scores[:] = [3.0, 1.0, 2.0, 0.0]
    order: list[int] = []
    while stepper.next_s < np.inf:
        order += list(stepper.step().row)
        stepper.scores[:] = [3.0, 1.0, 2.0, 0.0]
    assert order == [3, 1, 2, 0]


def test_chunks_out_of_order_are_refused() -> None:
    first, second = make_workload([(100, 1, 1, 1)], 1), make_workload([(50, 1, 1, 1)], 1)
    with pytest.raises(ValueError, match="begins at 50 s, before 100 s"):
        list(replay_chunks([first, second]))


def test_no_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="no job"):
        list(replay_chunks([]))
