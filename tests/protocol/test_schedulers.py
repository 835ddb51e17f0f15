"""What no recording holds, driven by small schedulers through the real pybatsim."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exawatt.batsim.external import read_events
from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.run import run
from exawatt.batsim.simulator import Options

Said = list[list[Any]]
MakeJobs = Callable[..., JobFile]


@pytest.fixture
def hear(
    pybatsim: Callable[..., str], four_hosts: Hosts, tmp_path: Path
) -> Callable[..., tuple[Said, list[dict[str, str]]]]:
    """Run a scheduler of ours; return what it said and the rows of out_jobs.csv."""

    def hear(
        name: str, jobs: JobFile, external: Any = None, **options: bool
    ) -> tuple[Said, list[dict[str, str]]]:
        command = pybatsim(name)
        run(jobs, four_hosts, command, tmp_path, Options(**options), external=external)
        log = (tmp_path / "scheduler.log").read_text().splitlines()
        rows = list(csv.DictReader((tmp_path / "out_jobs.csv").read_text().splitlines()))
        return [json.loads(line) for line in log if line.startswith("[")], rows

    return hear


def test_energy_is_answered_and_calls_come_when_asked_for(
    hear: Callable[..., Any], make_jobs: MakeJobs
) -> None:
    jobs = make_jobs((1.0, 2, "c5", None), (1.0, 2, "d10", 30.0))
    said, rows = hear("asking", jobs, energy=True)
    assert said == [
        [2.5, "call"],
        # 1 s of four idle hosts, then two busy and two idle ones for 5 s.
        [6.0, "energy", 40.0 + 5 * 80.0],
        [7.0, "call"],
        [7.0, "call"],
        # The delay job leaves its hosts idle.
        [11.0, "energy", 440.0 + 5 * 40.0],
        [40.0, "call"],
    ]
    assert [float(row["consumed_energy"]) for row in rows] == [300.0, 200.0]


@pytest.mark.parametrize("acknowledge", [False, True])
@pytest.mark.parametrize("forward", [False, True])
def test_dynamic_jobs_run_and_the_end_waits_for_registration(
    hear: Callable[..., Any], make_jobs: MakeJobs, acknowledge: bool, forward: bool
) -> None:
    said, rows = hear(
        "registering",
        make_jobs((1.0, 4, "d5", None)),
        enable_dynamic_jobs=True,
        acknowledge_dynamic_jobs=acknowledge,
        forward_profiles_on_submission=forward,
    )
    short = {"type": "delay", "delay": 3.0}
    submitted = [[1.0, "submitted", "w0!0", {"type": "delay", "delay": 5.0}]]
    submitted += [[1.0, "submitted", "dyn!one", short]] * acknowledge
    assert said == [
        *submitted,
        [6.0, "completed", "w0!0", "COMPLETED_SUCCESSFULLY"],
        [9.0, "completed", "dyn!one", "COMPLETED_SUCCESSFULLY"],
    ]
    row = rows[1]
    assert (row["job_id"], row["workload_name"], row["metadata"]) == ("one", "dyn", "made here")


def test_kills_report_progress(hear: Callable[..., Any], make_jobs: MakeJobs) -> None:
    jobs = make_jobs((1.0, 1, "d10", None), (1.0, 1, "c20", None), (2.0, 1, "d1", None))
    said, rows = hear("killing", jobs, energy=True)
    assert said == [
        [3.0, "completed", "w0!2", "COMPLETED_SUCCESSFULLY", 0],
        [4.0, "completed", "w0!0", "COMPLETED_KILLED", -1],
        [4.0, "killed", "w0!0", {"profile_name": "d10", "progress": 0.3}],
        [4.0, "completed", "w0!1", "COMPLETED_KILLED", -1],
        [4.0, "killed", "w0!1", {"profile_name": "c20", "progress": 0.15}],
    ]
    # The energy of a killed job is that of its hosts until the kill.
    assert {row["job_id"]: float(row["consumed_energy"]) for row in rows} == {
        "0": 30.0,
        "1": 90.0,
        "2": 10.0,
    }


def test_hosts_leave_and_return(
    hear: Callable[..., Any], make_jobs: MakeJobs, tmp_path: Path
) -> None:
    events = [
        {"type": "event_machine_unavailable", "resources": "0-1", "timestamp": 5.0},
        {"type": "event_machine_available", "resources": "0-1", "timestamp": 8.0},
        {"type": "lunch", "timestamp": 9.0},
    ]
    path = tmp_path / "events.txt"
    path.write_text("\n".join(json.dumps(event) for event in events) + "\n")
    external = read_events(path, hosts=4, forward_unknown=True)
    jobs = make_jobs((6.0, 2, "d1", None), (6.0, 2, "d1", None))
    said, _ = hear("watching", jobs, external, forward_unknown_events=True)
    assert said == [
        [5.0, "unavailable", "0-1"],
        [7.0, "completed", "w0!0", "2-3"],
        [8.0, "available", "0-1"],
        [8.0, "completed", "w0!1", "2-3"],
        [9.0, "generic", "lunch"],
        [9.0, "no more"],
    ]


def test_jobs_and_scheduler_exchange_messages(
    hear: Callable[..., Any], make_jobs: MakeJobs
) -> None:
    jobs = make_jobs(
        (1.0, 1, "talk", 50.0),
        talk={"type": "composed", "seq": ["d1", "ask", "answer"]},
        ask={"type": "send", "msg": {"may": "I?"}, "sleeptime": 0.5},
        answer={"type": "recv", "regex": "^go", "success": "d5", "failure": "d100"},
    )
    said, _ = hear("messaging", jobs)
    assert said[0] == [2.0, "message", "w0!0", {"may": "I?"}]
    # The answer of t=4 is seen at the next look, every 5 ms since 2.5; then 5 s of "d5".
    assert said[1][1:] == ["completed", "w0!0", "COMPLETED_SUCCESSFULLY"]
    assert said[1][0] == pytest.approx(9.0, abs=0.0051)


def test_hosts_sleep_wake_and_slow_down(
    hear: Callable[..., Any], make_jobs: MakeJobs, tmp_path: Path
) -> None:
    jobs = make_jobs((0.0, 2, "d1", None), (10.0, 4, "c10", None))
    said, rows = hear("sleeping", jobs, energy=True)
    assert said == [
        [0.0, "submitted", "w0!0"],
        [2.0, "pstate", 2, 3, "2"],
        [10.0, "submitted", "w0!1"],
        [15.0, "pstate", 2, 3, "0"],
        # From one computing pstate to another there is nothing to wait for.
        [15.0, "pstate", 2, 2, "1"],
    ]
    # Host 2 computes at half speed, so that the others are half busy: 20 s.
    assert rows[1]["finish_time"] == "35.000000"
    assert float(rows[1]["consumed_energy"]) == pytest.approx(20 * (3 * 20.0 + 20.0))
    pstates = (tmp_path / "out_pstate_changes.csv").read_text().split()[1:]
    assert pstates == ["0,0-3,0", "0,2-3,-2", "2,2-3,2", "10,2-3,-1", "15,2-3,0", "15,2,1"]
    summary = next(csv.DictReader((tmp_path / "out_schedule.csv").read_text().splitlines()))
    assert float(summary["time_switching_off"]) == 4.0
    assert float(summary["time_switching_on"]) == 10.0
    assert float(summary["time_sleeping"]) == 16.0
