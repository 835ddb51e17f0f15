"""The recorder as a process: deadlines, signals, kills, full disks, and files found on the way."""

import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.telemetry.recorder import Ticks

LIB = Path(__file__).parents[2] / "lib"
HEADER = "time_ns,monotonic_ns,zone,energy_uj,total_uj,status\n"
MS = 1_000_000


def ticks_in(path: Path) -> int:
    """Ticks in a recording of two zones, each line of which must be whole and in order."""
    text = path.read_text()
    assert text.startswith(HEADER)
    assert text.endswith("\n")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    assert [row[2] for row in rows] == ["package-0", "package-0/dram"] * (len(rows) // 2)
    times = [int(row[1]) for row in rows[::2]]
    assert times == sorted(set(times))
    assert times == [int(row[1]) for row in rows[1::2]]
    assert all(int(row[3]) >= 0 and row[5] in ("ok", "restarted") for row in rows)
    return len(times)


def sidecar_of(path: Path) -> dict[str, Any]:
    return json.loads(Path(f"{path}.json").read_text())


def has_ticks(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 2 * len(HEADER)


def step_ns() -> st.SearchStrategy[int]:
    """How long a tick may take, or the machine be away: mostly not long."""
    return st.one_of(st.integers(0, 9 * MS), st.integers(0, 10**10))


@given(st.lists(step_ns(), min_size=1, max_size=40), st.integers(0, 10**15))
def test_deadlines_stay_on_their_grid_whatever_a_tick_takes(spent: list[int], start: int) -> None:
    ticks = Ticks(10 * MS, start)
    now, numbers = start, []
    for each in spent:
        now = max(now, ticks.deadline_ns) + each // 2  # woken late
        numbers.append((now - start) // (10 * MS))
        ticks.take(now)
        assert (ticks.deadline_ns - start) % (10 * MS) == 0
        assert now < ticks.deadline_ns <= now + 10 * MS
        now += each // 2  # and the tick itself
    assert numbers == sorted(set(numbers))  # never two for one deadline
    assert ticks.taken == len(spent)
    assert ticks.missed == numbers[-1] + 1 - len(spent)


def test_late_and_missed_ticks_are_counted() -> None:
    # An interval of 10 ms: at 0, in time; at 11, as late as allowed; at 22, late; at 55, late,
    # in the place of 50 and with 30 and 40 missed; at 60, in time again.
    ticks = Ticks(10 * MS, 0)
    counts = []
    for now in (0, 11, 22, 55, 60):
        ticks.take(now * MS)
        counts.append((ticks.late, ticks.missed))
    assert counts == [(0, 0), (0, 0), (1, 0), (2, 2), (2, 2)]
    assert ticks.deadline_ns == 70 * MS


def test_a_recording_has_a_tick_at_both_ends(two_zones: Any, once: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    done = once("--interval", 0.05, "--duration", 0.5, "--output", path, "--metadata", "a=b=c")
    assert done.returncode == 0
    described = sidecar_of(path)
    assert ticks_in(path) == described["ticks"]
    assert described["ticks"] + described["missed_ticks"] == 11
    assert described["format"] == "exawatt-rapl-1"
    assert described["interval_s"] == 0.05
    assert described["metadata"] == {"a": "b=c"}
    assert 0.5e9 <= described["ended_ns"] - described["started_ns"] < 5e9
    begin, end = done.stderr.splitlines()
    assert begin == f"rapl: zones package-0, package-0/dram every 0.05 s to {path}"
    assert end.startswith(f"rapl: {described['ticks']} ticks (")


def test_a_recorder_that_was_stopped_for_a_while_keeps_its_deadlines(
    two_zones: Any, start: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    logger = start("--interval", 0.02, "--duration", 1, "--output", path)
    wait_for(lambda: has_ticks(path))
    logger.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    logger.send_signal(signal.SIGCONT)
    logger.communicate(timeout=20)
    described = sidecar_of(path)
    assert described["missed_ticks"] >= 13
    assert described["late_ticks"] >= 1
    assert ticks_in(path) + described["missed_ticks"] == 51


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_a_recording_well(
    number: int, two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    logger = start("--interval", 0.01, "--output", path)
    wait_for(lambda: has_ticks(path))
    assert sidecar_of(path)["ended_ns"] is None
    stop(logger, number)
    described = sidecar_of(path)
    assert described["ticks"] == ticks_in(path) > 0
    assert described["ended_ns"] > described["started_ns"]


def test_an_ignored_hangup_stays_ignored(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    logger = start("--interval", 0.01, "--output", path, prefix=("nohup",))
    wait_for(lambda: has_ticks(path))
    logger.send_signal(signal.SIGHUP)
    size = path.stat().st_size
    wait_for(lambda: path.stat().st_size > 3 * size)
    stop(logger)


# The real logger, which notes behind each reading how many there were so far.
COUNTED = """
import os, sys
sys.path.insert(0, {lib!r})
from exawatt.telemetry import options, rapl, recorder
count = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
class Counted(rapl.Rapl):
    taken = 0
    def sample(self):
        rows = super().sample()
        self.taken += 1
        os.pwrite(count, b"%08d" % self.taken, 0)
        return rows
rapl.Rapl = Counted
sys.exit(rapl.main(sys.argv[2:]))
"""


def test_kill_9_loses_at_most_one_sample(
    two_zones: Any, rapl_command: list[str], once: Any, tmp_path: Path
) -> None:
    counted = [sys.executable, "-c", COUNTED.format(lib=str(LIB))]
    options = [*rapl_command[2:], "--interval", "0.01"]
    dice = random.Random(2741)
    lost = []
    for batch in range(10):
        places = [tmp_path / f"{batch}-{number}.csv" for number in range(5)]
        loggers = [
            subprocess.Popen(
                [*counted, f"{path}.count", *options, "--output", str(path)],
                stderr=subprocess.DEVNULL,
            )
            for path in places
        ]
        try:
            end_s = time.monotonic() + 30
            while not all(has_ticks(path) for path in places) and time.monotonic() < end_s:
                time.sleep(0.005)
            for logger in loggers:
                time.sleep(dice.uniform(0, 0.05))
                logger.kill()
        finally:
            for logger in loggers:
                logger.kill()
                assert logger.wait(10) == -signal.SIGKILL
        for path in places:
            sampled = int(Path(f"{path}.count").read_text())
            lost.append(sampled - ticks_in(path))
            assert sidecar_of(path)["ended_ns"] is None
    assert len(lost) == 50
    assert set(lost) <= {0, 1}
    again = once("--once", "--output", places[0])
    assert again.returncode == 0
    assert sidecar_of(places[0])["earlier"][0]["ended_ns"] is None
    ticks_in(places[0])


def limited(size: int) -> Callable[[], None]:
    """Let no file of a process grow beyond a size; what lies across it is written in part."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [2000, 2001, 2047, 2100])
def test_a_file_that_may_not_grow_is_cut_back_to_its_last_whole_tick(
    size: int, two_zones: Any, once: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    done = once("--interval", 0.01, "--output", path, preexec_fn=limited(size))
    assert done.returncode == 1
    _, error = done.stderr.splitlines()
    assert error in (
        f"rapl: {path}: no space for a whole sample; it ends with the last whole sample.",
        f"rapl: {path}: file too large; it ends with the last whole sample.",
    )
    tick = len(path.read_text().splitlines(keepends=True)[-1]) * 2 + 10
    assert size - tick <= path.stat().st_size <= size
    assert sidecar_of(path)["ticks"] == ticks_in(path)
    assert sidecar_of(path)["ended_ns"] is not None


def test_a_full_disk_leaves_the_file_whole(
    two_zones: Any, rapl_command: list[str], tmp_path: Path
) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    # Twelve pages: the recording, the sidecar, and no third copy of it at the end.
    script = f"mount -t tmpfs -o size=48k none {disk} || exit 77; cd {disk}; "
    script += f'"$@"; status=$?; cp -r {disk} {kept}; exit $status'
    spaces = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-Ur"]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no disk of our own to fill")
    done = subprocess.run(
        [*spaces, "sh", "-c", script, "sh", *rapl_command, "--interval=0.01", "--output=run.csv"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("this machine lets nobody mount a disk to fill")
    assert done.returncode == 1
    _, error = done.stderr.splitlines()
    assert error.startswith("rapl: run.csv: no space")
    assert ticks_in(kept / "run.csv") > 50
    assert sorted(path.name for path in kept.iterdir()) == ["run.csv", "run.csv.json"]
    assert sidecar_of(kept / "run.csv")["format"] == "exawatt-rapl-1"


def test_a_read_only_directory(
    two_zones: Any, once: Any, unprivileged: tuple[str, ...], tmp_path: Path
) -> None:
    place = tmp_path / "closed"
    place.mkdir(mode=0o555)
    done = once("--output", place / "run.csv", prefix=unprivileged)
    assert done.returncode == 1
    assert done.stderr == (f"rapl: {place}/run.csv: permission denied; choose another --output.\n")
    assert not list(place.iterdir())


def test_a_file_in_a_read_only_directory_stays_as_it_is(
    two_zones: Any, once: Any, unprivileged: tuple[str, ...], tmp_path: Path
) -> None:
    place = tmp_path / "closed"
    place.mkdir()
    path = place / "run.csv"
    once("--once", "--output", path)
    before = path.read_bytes()
    place.chmod(0o555)
    done = once("--once", "--output", path, prefix=unprivileged)
    assert done.returncode == 1
    assert done.stderr == f"rapl: {path}.json: cannot be written: permission denied.\n"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (".", "is a directory"),
        ("absent/run.csv", "no such file or directory"),
        ("/dev/full", "is no regular file"),
    ],
)
def test_outputs_that_cannot_be(
    output: str, problem: str, two_zones: Any, once: Any, tmp_path: Path
) -> None:
    done = once("--output", tmp_path / output)
    assert done.returncode == 1
    assert done.stderr == f"rapl: {tmp_path / output}: {problem}; choose another --output.\n"


def test_a_file_of_something_else_is_refused_and_kept(
    two_zones: Any, once: Any, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    done = once("--output", path)
    assert done.returncode == 1
    assert f"its first line is not '{HEADER.strip()}'" in done.stderr
    assert path.read_text() == "dear diary\n"
    assert not Path(f"{path}.json").exists()


@pytest.mark.parametrize("torn", [b"", b"17954147,40", b"179541478\0\0\0\0" + 70000 * b"\0"])
def test_a_recording_is_continued_without_its_torn_line(
    torn: bytes, two_zones: Any, once: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    once("--once", "--output", path)
    first = path.read_bytes()
    path.write_bytes(first + torn)
    two_zones.set("intel-rapl:0", 900)
    done = once("--once", "--output", path)
    cut = f" after cutting {len(torn)} bytes of a torn line" if torn else ""
    assert f"to {path}, which it continues{cut}\n" in done.stderr
    assert path.read_bytes().startswith(first)
    # What passed between the two runs is unknown: the line must say so.
    assert [line.split(",")[3:] for line in path.read_text().splitlines()[1:]] == [
        ["0", "0", "ok"],
        ["0", "0", "ok"],
        ["900", "0", "restarted"],
        ["0", "0", "restarted"],
    ]
    described = sidecar_of(path)
    assert [run["ticks"] for run in (*described["earlier"], described)] == [1, 1]


def test_the_recording_of_another_host_is_not_continued(
    two_zones: Any, once: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    once("--once", "--output", path)
    beside = Path(f"{path}.json")
    beside.write_text(json.dumps(sidecar_of(path) | {"host": "other"}))
    path.write_bytes(path.read_bytes() + b"torn")  # the other may be writing to it now
    before = path.read_bytes(), beside.read_bytes()
    done = once("--once", "--output", path)
    assert done.returncode == 1
    assert done.stderr == f"rapl: {path}: is a recording of host other; choose another --output.\n"
    assert (path.read_bytes(), beside.read_bytes()) == before


def test_a_zone_that_is_late_in_a_continued_recording_is_marked_as_well(
    two_zones: Any, start: Any, stop: Any, once: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    once("--once", "--output", path)
    two_zones.write("intel-rapl:0:0", "x" * 20)
    logger = start("--interval", 0.01, "--output", path)
    wait_for(lambda: path.read_text().count("dram,nan,nan,unreadable") > 2)
    two_zones.set("intel-rapl:0:0", 7)
    wait_for(lambda: path.read_text().count("dram,7,0,ok") > 2)
    stop(logger)
    assert path.read_text().count("dram,7,0,restarted\n") == 1
    assert path.read_text().count("restarted") == 2


@pytest.mark.parametrize("begun", ["", HEADER[:20], HEADER[:-1]])
def test_a_file_without_a_whole_header_is_begun_anew(
    begun: str, two_zones: Any, once: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    path.write_text(begun)
    assert once("--once", "--output", path).returncode == 0
    assert ticks_in(path) == 1
    assert "restarted" not in path.read_text()


def test_two_recorders_do_not_share_a_file(
    two_zones: Any, start: Any, stop: Any, once: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    first = start("--interval", 0.01, "--output", path)
    wait_for(lambda: has_ticks(path))
    done = once("--once", "--output", path)
    assert done.returncode == 1
    assert "another process is recording to it" in done.stderr
    stop(first)
    assert "earlier" not in sidecar_of(path)
    ticks_in(path)


def test_once_prints_a_sample(two_zones: Any, once: Any, tmp_path: Path) -> None:
    two_zones.set("intel-rapl:0", 42)
    done = once("--once", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] + "\n" == HEADER
    assert lines[1].split(",")[2:] == ["package-0", "42", "0", "ok"]
    assert abs(int(lines[1].split(",")[0]) - time.time_ns()) < 60e9
    assert [path.name for path in tmp_path.iterdir()] == ["powercap"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_sample_that_cannot_be_printed_is_told_in_one_line(
    two_zones: Any, rapl_command: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        command = [*rapl_command, "--once"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "rapl: stdout: no space left on device.\n")


def test_without_output_the_file_is_named_after_host_and_time(
    two_zones: Any, once: Any, tmp_path: Path
) -> None:
    assert once("--duration", 0.01, cwd=tmp_path).returncode == 0
    (path,) = tmp_path.glob("*.csv")
    name = f"rapl-{os.uname().nodename}-"
    assert path.name.startswith(name)
    time.strptime(path.name.removeprefix(name), "%Y%m%dT%H%M%SZ.csv")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--interval", "0.009"], "argument --interval: '0.009' must be from 0.01 to 60 s."),
        (["--interval", "61"], "argument --interval: '61' must be from 0.01 to 60 s."),
        (["--interval", "nan"], "argument --interval: 'nan' must be from 0.01 to 60 s."),
        (["--interval", "1m"], "argument --interval: '1m' must be a number of seconds."),
        (["--duration", "0"], "argument --duration: '0' must be more than 0 s."),
        (["--metadata", "novalue"], "argument --metadata: 'novalue' must be KEY=VALUE."),
        (["--prometheus", "web"], "argument --prometheus: 'web' must be a port from 1 to 65535"),
        (["--prometheus", "0"], "argument --prometheus: '0' must be a port from 1 to 65535"),
    ],
)
def test_options_that_cannot_be(arguments: list[str], problem: str, once: Any) -> None:
    done = once(*arguments)
    assert done.returncode == 2
    assert problem in done.stderr


def test_prometheus_reads_the_newest_sample(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()

    def scraped() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                return str(page.read().decode())
        except OSError:
            return ""

    logger = start("--interval", 0.02, "--prometheus", port)
    wait_for(lambda: 'exawatt_rapl_joules_total{zone="package-0"} 0.0' in scraped())
    two_zones.set("intel-rapl:0", 2_500_000)
    two_zones.write("intel-rapl:0:0", "x" * 20)
    wait_for(lambda: 'exawatt_rapl_joules_total{zone="package-0"} 2.5\n' in scraped())
    wait_for(lambda: 'zone="package-0/dram"' not in scraped())  # unknown, not zero
    assert "# TYPE exawatt_rapl_joules_total counter" in scraped()
    said = stop(logger)
    assert f"every 0.02 s to http://127.0.0.1:{port}/metrics\n" in said
    assert not list(tmp_path.glob("*.csv"))


def test_a_taken_port_and_a_missing_package_are_told(
    two_zones: Any, once: Any, rapl_command: list[str]
) -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = once("--prometheus", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"rapl: --prometheus 127.0.0.1:{port}: address already in use; choose another.\n"
    )
    # Without the site's packages, as on a compute node.
    bare = subprocess.run(
        [sys.executable, "-S", *rapl_command[1:], "--prometheus", "9"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert bare.returncode == 1
    assert "--prometheus needs a package: pip install prometheus-client" in bare.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_recorder_needs_nothing_but_the_standard_library(
    two_zones: Any, rapl_command: list[str]
) -> None:
    bare = [sys.executable, "-I", "-S", *rapl_command[1:], "--once"]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
