"""A policy gives the same schedule under the engine, and under pybatsim and the simulator."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
from batsim.batsim import Batsim
from hypothesis import given, settings
from hypothesis import strategies as st

import exawatt as ew
from exawatt.batsim.hosts import read_hosts
from exawatt.batsim.platform_xml import read_platform, write_platform
from exawatt.batsim.run import run, serve
from exawatt.batsim.scheduler import Scheduler
from exawatt.batsim.simulator import Options
from exawatt.batsim.workload import job_file_of, read_workload
from exawatt.replay.policy import ALIASES

pytestmark = pytest.mark.timeout(1800)

POLICIES: dict[str, dict[str, Any]] = {
    "fcfs": {},
    "easy": {"backfill": "easy"},
    "conservative": {"backfill": "conservative"},
    "easy-sjbf": {"backfill": "easy", "backfill_order": "sjf"},
    "easy++": {
        "backfill": "easy",
        "backfill_order": "sjf",
        "estimate": "last2",
        "correction": "increments",
    },
    "saf without backfilling": {"order": "saf"},
    "lxf": {"order": "lxf", "backfill": "easy"},
    "f1, committed": {"order": "f1", "head": "committed", "backfill": "easy"},
    "multifactor with a guard": {
        "order": {"age": 1000, "size": 100, "share": 5000},
        "backfill": "easy",
        "max_wait_s": 7200,
    },
    "sleep": {"backfill": "easy", "sleep_after_s": 600},
    "hold": {"backfill": "easy", "hold": {"budget_s": 14400}},
    **{
        name: {"backfill": "easy", "hold": asdict(policy.hold)}
        for name, policy in ALIASES.items()
        if policy.hold
    },
    "sleep, cap and hold": {
        "order": "sjf",
        "backfill": "easy",
        "sleep_after_s": 300,
        "power_cap_w": None,  # what the largest job needs
        "hold": {"budget_s": 7200},
    },
}


def options_of(values: dict[str, Any], workload: ew.Workload, platform: Path) -> dict[str, Any]:
    """Return the options that pybatsim hands to the scheduler."""
    policy = dict(values)
    if "power_cap_w" in policy:
        # Idle hosts count with the 101 W of falling asleep, busy processors with 95.738 W more.
        policy["power_cap_w"] = 101.0 * workload.procs + 96.0 * int(workload.jobs["procs"].max())
    found = {"policy": policy, "timezone": workload.timezone, "platform": str(platform)}
    if "hold" in policy:
        found["intensity"] = "tiny"
    if workload.start is not None:
        found["start"] = workload.start.isoformat()
    return found


def engine_starts_s(workload: ew.Workload, options: dict[str, Any], platform: Path) -> np.ndarray:
    policy = ew.Policy.from_values(options["policy"])
    forecast = None
    if policy.hold is not None:
        forecast = ew.persistence(ew.load_intensity(options["intensity"], fill="week"))
    return ew.replay(workload, policy, read_platform(platform), forecast=forecast).start_s


def simulated_starts_s(workload: ew.Workload, output: Path) -> np.ndarray:
    jobs = pd.read_csv(output / "out_jobs.csv").set_index("job_id")
    return jobs.loc[workload.jobs["job"], "starting_time"].to_numpy()


@pytest.fixture
def kth(reference: Path) -> Callable[[int], ew.Workload]:
    """Return the first jobs of KTH-SP2."""
    whole = ew.load("KTH-SP2")

    def first(n_jobs: int) -> ew.Workload:
        return replace(whole, jobs=whole.jobs.iloc[:n_jobs])

    return first


def both(
    workload: ew.Workload, values: dict[str, Any], folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Starts under the engine, and under pybatsim in a process of its own [s]."""
    platform, output = folder / "platform.xml", folder / "out"
    write_platform(ew.Platform.uniform(nodes=workload.procs, procs=workload.procs), platform)
    options = options_of(values, workload, platform)
    (folder / "options.json").write_text(json.dumps(options))
    expected = engine_starts_s(workload, options, platform)
    run(
        job_file_of(workload),
        read_hosts(platform),
        f"pybatsim exawatt.batsim.scheduler -O {folder / 'options.json'} -v warning",
        output,
        Options(energy="sleep_after_s" in values),
        timeout_s=300,
    )
    return expected, simulated_starts_s(workload, output)


@pytest.mark.parametrize("name", POLICIES)
def test_kth_starts_are_identical(
    name: str, kth: Callable[[int], ew.Workload], tmp_path: Path
) -> None:
    expected, found = both(kth(5000), POLICIES[name], tmp_path)
    assert np.array_equal(found, expected)


def test_the_whole_of_kth_starts_identically(reference: Path, tmp_path: Path) -> None:
    workload = read_workload(reference / "workloads" / "kth-all.delay.exact.json.gz")
    expected, found = both(workload, POLICIES["easy"], tmp_path)
    assert found.size == 27_992
    assert np.array_equal(found, expected)


@st.composite
def workloads(draw: st.DrawFn) -> ew.Workload:
    """Few jobs on few hosts, with many ties, some killed and some without a request."""
    procs = draw(st.integers(1, 6))
    n_jobs = draw(st.integers(1, 25))
    times = draw(st.lists(st.integers(0, 60), min_size=n_jobs, max_size=n_jobs))
    small = st.integers(1, 40)
    jobs = pd.DataFrame(
        {
            "submit_s": 60.0 * np.sort(times),
            "runtime_s": [60.0 * draw(small) for _ in times],
            "requested_s": [draw(st.sampled_from([np.nan, 60.0 * draw(small)])) for _ in times],
            "procs": [draw(st.integers(1, procs)) for _ in times],
            "user": [draw(st.integers(1, 3)) for _ in times],
        }
    )
    return ew.Workload(jobs, procs=procs, start=pd.Timestamp("2023-03-01T10:10Z"))


class InThread(Thread):
    """The real pybatsim around our scheduler, at an endpoint of this process."""

    def __init__(self, options: dict[str, Any], endpoint: str) -> None:
        super().__init__(daemon=True)
        self.options, self.endpoint = options, endpoint
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            Batsim(Scheduler(self.options), self.endpoint, 60_000).start()
        except BaseException as failure:
            self.failure = failure
            raise


@settings(max_examples=150)
@given(workload=workloads(), name=st.sampled_from(sorted(POLICIES)))
def test_random_jobs_start_identically(
    workload: ew.Workload, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    platform, endpoint = folder / "platform.xml", f"ipc://{folder / 'socket'}"
    # The transitions have no exact binary length; Batsim's messages round them.
    machine = ew.Platform.uniform(nodes=workload.procs, procs=workload.procs, wake_s=152.3)
    write_platform(machine, platform)
    options = options_of(POLICIES[name], workload, platform)
    expected = engine_starts_s(workload, options, platform)
    scheduler = InThread(options, endpoint)
    scheduler.start()
    serve(
        job_file_of(workload),
        read_hosts(platform),
        endpoint,
        folder / "out",
        Options(energy="sleep_after_s" in POLICIES[name]),
        timeout_s=60,
    )
    scheduler.join(60)
    assert scheduler.failure is None
    assert np.abs(simulated_starts_s(workload, folder / "out") - expected).max() <= 1e-6


def test_named_policies_are_among_those_compared() -> None:
    compared = [ew.Policy.from_values(values) for values in POLICIES.values()]
    assert all(policy in compared for policy in ALIASES.values())
