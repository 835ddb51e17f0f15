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

from exawatt.batsim.commands import lines
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
    # What was over before is written; that there is no summary tells that it is not all.
    assert len(written) - 1 == (how in ("die", "garbage", "idle"))
    assert not (tmp_path / "out_schedule.csv").exists()


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


def test_the_summary_has_units(
    command_line: list[str], misbehaving: Callable[[str], str], tmp_path: Path
) -> None:
    watts = '<prop id="wattage_per_state" value="95:95:190"/></cluster>'
    cluster = PLATFORM.replace('speed="1Gf"/>', f'speed="1Gf">{watts}')
    (tmp_path / "p.xml").write_text(cluster)
    energies = {}
    for more in ([], ["--energy"]):
        command = [*command_line, "-s", misbehaving("not"), *more]
        env = os.environ | {"COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
        assert done.returncode == 0, done.stderr
        cells = [re.split(r"\s*[│|]\s*", line) for line in done.stdout.splitlines()]
        shown = {cell[1]: cell[2] for cell in cells if len(cell) > 3}
        energies[len(more)] = shown["consumed_joules"], shown["energy"]
        assert shown["makespan"] == "101.000 s"
        assert shown["mean_waiting_time"] == "0.000 s"
        assert shown["time_computing"] == "101.000 host s"
        assert shown["mean_slowdown"] == "1.000"
        assert "avebsld" in done.stdout
        # The file is as Batsim writes it.
        assert "consumed_joules" in (tmp_path / "out" / "out_schedule.csv").read_text()
    # Four idle hosts from the first submission, at 1 s, to the last end, at 101 s.
    assert energies == {0: ("–", "–"), 1: ("38,000 J", "0.0106 kWh")}
    assert (
        done.stderr == f"note: the files of the earlier run in {tmp_path / 'out'} are replaced.\n"
    )


def test_files_of_ones_own_are_not_mixed_with_others(
    command_line: list[str], misbehaving: Callable[[str], str], tmp_path: Path
) -> None:
    command = [*command_line, "-s", misbehaving("not")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "out holds other files (thesis.tex): pass a new folder" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1
    command[-3] = str(tmp_path / "w.json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "w.json is no folder" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "is no file"), ("JobID|State\n", "is no Batsim workload: no JSON")]
)
def test_what_is_no_workload(
    command_line: list[str], content: str | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "w.json").unlink()
    if content is not None:
        (tmp_path / "w.json").write_text(content)
    done = subprocess.run([*command_line, "-s", "x"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path / 'w.json'}" in done.stderr
    assert says in done.stderr


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines(every_s=0.0)(1_200, 28_476, 86_400.0)
    assert capsys.readouterr().err == "1,200 of 28,476 jobs, 1.0 simulated days, 0 s\n"
    lines(every_s=60.0)(1_200, 28_476, 86_400.0)
    assert capsys.readouterr().err == ""


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
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    folder = tmp_path / "out"
    expected = f"interrupted: without out_schedule.csv, the run in {folder} is not whole."
    assert said.decode() == f"exawatt: {expected}\n"
    assert not (folder / "out_schedule.csv").exists()
    assert not alive(scheduler_pid(tmp_path / "out"))
