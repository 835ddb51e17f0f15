"""Schedulers that die, hang or break the protocol end in one clear error and leave no process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.protocol import SchedulerError
from exawatt.batsim.run import run, serve
from exawatt.batsim.simulator import Options

MakeJobs = Callable[..., JobFile]
CLI = "from exawatt.batsim.commands import batsim; batsim()"
WORKLOAD = """{"nb_res": 4, "profiles": {"d": {"type": "delay", "delay": 1.0},
"long": {"type": "delay", "delay": 100.0}}, "jobs": [
{"id": 0, "subtime": 1.0, "res": 1, "profile": "long"},
{"id": 1, "subtime": 5.0, "res": 1, "profile": "d"}]}"""
PLATFORM = """<?xml version='1.0'?><platform version="4.1"><zone id="z" routing="None">
<cluster id="c" prefix="h" suffix="" radical="0-3" speed="1Gf"/></zone></platform>"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def scheduler_pid(folder: Path) -> int:
    found = re.search(r"pid (\d+)", (folder / "scheduler.log").read_text())
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("die", r"ended with status 1 \(no more strength\), and did not answer .*w0!1"),
        ("early", r"ended with status 1 \(no strength at all\), .*SIMULATION_BEGINS"),
        ("hang", r"did not answer .*w0!1.* within 2 s; pass a longer --timeout"),
        ("garbage", r"the reply 'garbage\{' is no JSON object with 'now' and 'events'"),
        ("busy", r"EXECUTE_JOB at 5.0 s: job 'w0!1' cannot start: .* '0' are not idle: 0 comp"),
        ("over", r"EXECUTE_JOB at 5.0 s: job 'w0!1' needs 1 hosts, and alloc\(='1-3'\) names 3"),
        ("under", r"EXECUTE_JOB at 5.0 s: alloc\(=''\) names no host"),
        ("beyond", r"EXECUTE_JOB at 5.0 s: alloc\(='7'\) names hosts that do not exist; pass 0-3"),
        ("words", r"EXECUTE_JOB at 5.0 s: 'one' is no interval"),
        ("past", r"EXECUTE_JOB at 4.0 s: its timestamp lies before 5.0 s"),
        ("call", r"CALL_ME_LATER at 5.0 s: timestamp\(=0.0\) must be later than now, 5.0 s"),
        ("type", r"FLY at 5.0 s: type is unknown; known are EXECUTE_JOB, "),
        ("job", r"EXECUTE_JOB at 5.0 s: job 'w0!77' was not submitted yet"),
        ("idle", r"deadlock at 101.0 s: 1 jobs wait \(the first is w0!1\)"),
    ],
)
def test_a_wrong_reply_is_one_clear_error(
    misbehaving: Callable[[str], str],
    make_jobs: MakeJobs,
    four_hosts: Hosts,
    tmp_path: Path,
    how: str,
    message: str,
) -> None:
    first = "d1" if how in ("die", "garbage") else "d100"
    jobs = make_jobs((1.0, 1, first, None), (5.0, 1, "d1", None))
    with pytest.raises(SchedulerError, match=message):
        run(jobs, four_hosts, misbehaving(how), tmp_path, timeout_s=2.0)
    assert not alive(scheduler_pid(tmp_path))
    written = (tmp_path / "out_jobs.csv").read_text().splitlines()
    # What was over before is written, with a summary.
    assert len(written) - 1 == (how in ("die", "garbage", "idle"))
    assert (tmp_path / "out_schedule.csv").read_text().count("\n") == 2


def test_a_scheduler_that_stays_is_stopped(
    misbehaving: Callable[[str], str], make_jobs: MakeJobs, four_hosts: Hosts, tmp_path: Path
) -> None:
    jobs = make_jobs((1.0, 1, "d1", None), (5.0, 1, "d1", None))
    with pytest.warns(UserWarning, match="did not end within 2 s of the simulation"):
        summary = run(jobs, four_hosts, misbehaving("stay"), tmp_path, timeout_s=2.0)
    assert summary["nb_jobs_success"] == 2
    assert not alive(scheduler_pid(tmp_path))


def test_a_scheduler_that_ends_badly_is_told_of(
    misbehaving: Callable[[str], str], make_jobs: MakeJobs, four_hosts: Hosts, tmp_path: Path
) -> None:
    jobs = make_jobs((1.0, 1, "d1", None), (5.0, 1, "d1", None))
    with pytest.warns(UserWarning, match=r"status 1 after the simulation \(no strength in the end"):
        run(jobs, four_hosts, misbehaving("end"), tmp_path, timeout_s=2.0)


def test_files_are_those_of_the_last_simulation_that_began(
    misbehaving: Callable[[str], str], make_jobs: MakeJobs, four_hosts: Hosts, tmp_path: Path
) -> None:
    jobs = make_jobs((1.0, 1, "d1", None), (5.0, 1, "d1", None))
    run(jobs, four_hosts, misbehaving("not"), tmp_path, Options(energy=True), timeout_s=9.0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"out_consumed_energy.csv", "out_schedule.trace"} < set(before)
    with pytest.raises(SchedulerError, match="cannot be started"):
        run(jobs, four_hosts, "no-such-program", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(jobs, four_hosts, misbehaving("not"), tmp_path, timeout_s=9.0, trace=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"out_jobs.csv", "out_schedule.csv", "out_machine_states.csv", "scheduler.log"}


@pytest.mark.parametrize("command", ["no-such-program", "", "pybatsim 'easy"])
def test_a_scheduler_that_cannot_start(
    make_jobs: MakeJobs, four_hosts: Hosts, command: str
) -> None:
    with pytest.raises(SchedulerError, match=r"'pybatsim easyBackfill'|is no command"):
        run(make_jobs((1.0, 1, "d1", None)), four_hosts, command, timeout_s=2.0)


def test_serving_nobody_ends(make_jobs: MakeJobs, four_hosts: Hosts, tmp_path: Path) -> None:
    jobs = make_jobs((1.0, 1, "d1", None))
    with pytest.raises(SchedulerError, match=r"did not answer .*SIMULATION_BEGINS.* within 0.5 s"):
        serve(jobs, four_hosts, f"ipc://{tmp_path}/nobody", timeout_s=0.5)
    with pytest.raises(ValueError, match=r"endpoint\(='nowhere'\) cannot be used"):
        serve(jobs, four_hosts, "nowhere")


@pytest.fixture
def command_line(tmp_path: Path) -> list[str]:
    """Return a command line of ``exawatt batsim run`` that lacks its scheduler."""
    (tmp_path / "w.json").write_text(WORKLOAD)
    (tmp_path / "p.xml").write_text(PLATFORM)
    files = ["-w", f"{tmp_path / 'w.json'}", "-p", f"{tmp_path / 'p.xml'}"]
    return [sys.executable, "-c", CLI, "run", *files, "-o", f"{tmp_path / 'out'}"]


def test_the_command_prints_one_line_and_fails(
    command_line: list[str], misbehaving: Callable[[str], str], tmp_path: Path
) -> None:
    command = [*command_line, "-s", misbehaving("busy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"exawatt: EXECUTE_JOB at 5.0 s: .*\n", done.stderr)
    assert not alive(scheduler_pid(tmp_path / "out"))


def test_the_command_shows_a_summary(
    command_line: list[str], misbehaving: Callable[[str], str], tmp_path: Path
) -> None:
    command = [*command_line, "-s", misbehaving("not"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["nb_jobs_success"] == 2
    assert (tmp_path / "out" / "out_schedule.trace").read_text().startswith("%EventDef")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_stops_both_sides(
    command_line: list[str], misbehaving: Callable[[str], str], tmp_path: Path, number: int
) -> None:
    command = [*command_line, "-s", misbehaving("hang")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    jobs = tmp_path / "out" / "out_jobs.csv"
    for _ in range(300):
        time.sleep(0.1)
        if jobs.exists():
            break
    time.sleep(1.5)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert not alive(scheduler_pid(tmp_path / "out"))
