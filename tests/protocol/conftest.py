"""Small platforms and workloads, recorded runs, and schedulers for the protocol's tests."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exawatt.batsim.hosts import Host, Hosts, SleepState
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.simulator import Options, Simulator

SCHEDULERS = Path(__file__).parent / "schedulers"


@pytest.fixture(scope="session")
def reference() -> Path:
    """Return the folder of runs recorded with Batsim; skip where there is none."""
    data = os.environ.get("EXAWATT_DATA", "")
    folder = Path(data).parent / "reference" / "batsim"
    if not data or not folder.is_dir():
        pytest.skip("no runs recorded with Batsim beside EXAWATT_DATA on this machine")
    return folder


@pytest.fixture(scope="session")
def pybatsim() -> Callable[..., str]:
    """Return the command of a pybatsim scheduler: one of its own, or a file of ours."""
    if importlib.util.find_spec("batsim") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("pybatsim is not installed")
        pytest.skip("pybatsim is not installed: pip install --no-deps pybatsim==3.2.1")

    def command(name: str, **options: Any) -> str:
        path = SCHEDULERS / f"{name}.py"
        text = f"pybatsim {path if path.exists() else name}"
        return f"{text} -o '{json.dumps(options)}'" if options else text

    return command


@pytest.fixture
def misbehaving() -> Callable[[str], str]:
    """Return the command of a scheduler that answers wrongly in a way to be named."""
    return lambda how: f"{sys.executable} {SCHEDULERS / 'misbehaving.py'} {how}"


@pytest.fixture
def make_jobs() -> Callable[..., JobFile]:
    """Build a job file of (submit_s, hosts, profile, walltime_s or None) jobs numbered from 0."""

    def make(*rows: tuple[float, int, str, float | None], **profiles: Any) -> JobFile:
        jobs = []
        for i, (submit_s, hosts, profile, walltime_s) in enumerate(rows):
            job = {"id": i, "subtime": submit_s, "res": hosts, "profile": profile}
            if walltime_s is not None:
                job["walltime"] = walltime_s
            jobs.append(job)
        delays = {f"d{n}": {"type": "delay", "delay": float(n)} for n in (1, 5, 10, 20, 100)}
        works = {
            f"c{n}": {"type": "parallel_homogeneous", "cpu": n * 1e8, "com": 0}
            for n in (1, 5, 10, 20, 100)
        }
        return JobFile(tuple(jobs), delays | works | profiles, 4)

    return make


@pytest.fixture
def four_hosts() -> Hosts:
    """Return hosts of 100 Mflop/s: 10 W idle, 30 W busy, 1 W asleep; 2 s to sleep, 5 s to wake."""
    return Hosts(
        tuple(
            Host(
                f"host{i}",
                speeds_flops=(1e8, 5e7, 1e-3, 0.5, 0.2),
                watts=(
                    (10.0, 10.0, 30.0),
                    (8.0, 8.0, 20.0),
                    (1.0, 1.0, 1.0),
                    (12.0, 12.0, 12.0),
                    (25.0, 25.0, 25.0),
                ),
                sleeps=(SleepState(2, 3, 4),),
            )
            for i in range(4)
        )
    )


Decide = Callable[[dict[str, Any]], list[tuple[float, str, dict[str, Any]]]]


@dataclass
class Session:
    """What a simulator said, and how it ended."""

    simulator: Simulator
    messages: list[dict[str, Any]]

    @property
    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return all events but the first, as (timestamp_s, type, data)."""
        return [
            (event["timestamp"], event["type"], event["data"])
            for message in self.messages[1:]
            for event in message["events"]
        ]

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Return the events of one type, as (timestamp_s, data)."""
        return [(time_s, data) for time_s, name, data in self.events if name == kind]


@pytest.fixture
def converse(four_hosts: Hosts) -> Callable[..., Session]:
    """Run a simulator against a function from a message to (timestamp_s, type, data) decisions.

    A last decision of type "NOW" sets the time of the reply.
    """

    def converse(
        jobs: JobFile,
        decide: Decide,
        hosts: Hosts = four_hosts,
        external: Any = None,
        **options: bool,
    ) -> Session:
        simulator = Simulator(jobs, hosts, Options(**options), external=external)
        session = Session(simulator, [])
        text: str | None = simulator.first()
        while text is not None:
            message = json.loads(text)
            session.messages.append(message)
            decisions = decide(message)
            now_s = message["now"]
            if decisions and decisions[-1][1] == "NOW":
                now_s = decisions.pop()[0]
            events = [{"timestamp": t, "type": k, "data": d} for t, k, d in decisions]
            text = simulator.reply(json.dumps({"now": now_s, "events": events}))
        simulator.outputs.close()
        return session

    return converse
