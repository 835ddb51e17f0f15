"""Slurm's prolog and epilog with real loggers, several jobs on a node, and everything missing."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exawatt.telemetry.pseudonyms import pseudonym

SCRIPTS = Path(__file__).parents[2] / "telemetry" / "slurm"
JOB = "48151623"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Slurm's nodes run Linux")


class Node:
    """A node with its settings, on which Slurm calls the scripts."""

    def __init__(self, folder: Path) -> None:
        self.output, self.run = folder / "recordings", folder / "run"
        self.key, self.settings = folder / "key", folder / "telemetry.conf"
        self.key.write_bytes(secrets.token_bytes(32))
        self.key.chmod(0o600)
        self.write_settings()

    def write_settings(self, **more: str) -> None:
        settings = {
            "KEY": str(self.key),
            "OUTPUT": str(self.output),
            "RUN": str(self.run),
            "PYTHON": sys.executable,
            "INTERVAL": "0.05",
            "LOGGERS": "rapl",
            "RAPL_OPTIONS": f"--root {self.output.parent / 'powercap'}",
        } | more
        lines = [f"EXAWATT_{name}='{value}'\n" for name, value in settings.items()]
        self.settings.write_text("".join(lines))

    def call(self, script: str, job: str = JOB) -> str:
        """Run a script as slurmd does; return what it said. It must never fail, nor take long."""
        slurm = {"SLURM_JOB_ID": job, "SLURM_JOB_USER": "alice"} if job else {}
        began_s = time.monotonic()
        done = subprocess.run(
            [str(SCRIPTS / script)],
            env={"EXAWATT_SETTINGS": str(self.settings), **slurm},  # and no PATH
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0
        assert done.stdout == ""
        assert time.monotonic() - began_s < 8
        return done.stderr

    def pids(self) -> list[int]:
        return [int(path.read_text()) for path in self.run.glob("*.pid")]

    def tag(self, job: str = JOB) -> str:
        return pseudonym(job, self.key.read_bytes(), b"job-id")

    def recording(self, job: str = JOB) -> Path:
        return self.output / f"rapl-{self.tag(job)}-{os.uname().nodename}.csv"

    def ticks(self, job: str = JOB) -> int:
        path = self.recording(job)
        return path.read_text().count(",package-0,") if path.exists() else 0


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended but that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def node(two_zones: Any, tmp_path: Path) -> Iterator[Node]:
    result = Node(tmp_path)
    yield result
    for pid in result.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_job_is_recorded_from_prolog_to_epilog(node: Node, wait_for: Callable[..., None]) -> None:
    assert node.call("prolog.sh") == ""
    wait_for(lambda: node.ticks() >= 3)
    (pid,) = node.pids()
    assert os.getsid(pid) == pid  # slurmd kills the prolog's own group
    assert node.output.stat().st_mode & 0o777 == 0o700
    assert node.recording().stat().st_mode & 0o777 == 0o600
    assert node.call("epilog.sh") == ""
    assert not alive(pid)
    assert node.pids() == []
    described = json.loads(Path(f"{node.recording()}.json").read_text())
    assert described["metadata"] == {"job": node.tag()}
    assert described["ended_ns"] is not None
    assert described["interval_s"] == 0.05


def test_nothing_tells_the_job_or_its_user(node: Node, wait_for: Callable[..., None]) -> None:
    node.call("prolog.sh")
    wait_for(lambda: node.ticks())
    (pid,) = node.pids()
    told = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    node.call("epilog.sh")
    for folder in (node.output, node.run):
        told += [path.read_bytes() + path.name.encode() for path in folder.iterdir()]
    assert len(told) == 5  # command, environment, recording, sidecar, log
    assert not [text for text in told if JOB.encode() in text or b"alice" in text]


def test_several_jobs_on_a_node(node: Node, wait_for: Callable[..., None]) -> None:
    for job in ("1", "2", "2"):  # the prolog of one was called twice
        node.call("prolog.sh", job)
        wait_for(lambda: node.ticks(job))  # noqa: B023
    assert len(node.pids()) == 2
    node.call("epilog.sh", "1")
    (left,) = node.pids()
    seen = node.ticks("2")
    wait_for(lambda: node.ticks("2") > seen)
    node.call("epilog.sh", "2")
    assert not alive(left)
    assert node.recording("1") != node.recording("2")


def test_a_requeued_job_continues_its_recording(node: Node, wait_for: Callable[..., None]) -> None:
    for _ in range(2):
        seen = node.ticks()
        node.call("prolog.sh")
        wait_for(lambda: node.ticks() > seen)  # noqa: B023
        node.call("epilog.sh")
    assert node.recording().read_text().count("restarted") == 2  # a zone each


def test_a_logger_that_does_not_end_is_killed(node: Node, wait_for: Callable[..., None]) -> None:
    node.call("prolog.sh")
    wait_for(lambda: node.ticks())
    (pid,) = node.pids()
    os.kill(pid, signal.SIGSTOP)
    assert "a logger did not end within 3 s and is killed" in node.call("epilog.sh")
    wait_for(lambda: not alive(pid))


def test_an_epilog_without_prolog(node: Node) -> None:
    assert node.call("epilog.sh") == ""


def test_a_stranger_who_got_the_number_of_a_logger_is_left_alone(node: Node) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        node.run.mkdir()
        (node.run / f"{node.tag()}-rapl.pid").write_text(str(stranger.pid))
        node.call("epilog.sh")
        assert stranger.poll() is None
        stranger.kill()
    assert node.pids() == []


def test_loggers_that_do_not_work_here_leave_nothing(
    node: Node, two_zones: Any, wait_for: Callable[..., None]
) -> None:
    node.write_settings(LOGGERS="rapl nvml")
    two_zones.remove("intel-rapl:0")
    two_zones.remove("intel-rapl:0:0")
    node.call("prolog.sh")
    wait_for(lambda: not any(alive(pid) for pid in node.pids()))
    assert list(node.output.iterdir()) == []
    assert node.call("epilog.sh") == ""
    assert node.pids() == []


def break_key(node: Node) -> None:
    node.key.chmod(0o640)


def shorten_key(node: Node) -> None:
    node.key.write_bytes(b"short")


def lose_key(node: Node) -> None:
    node.key.unlink()


def lose_settings(node: Node) -> None:
    node.settings.unlink()


def garble_settings(node: Node) -> None:
    node.settings.write_text("if then (")


def lose_python(node: Node) -> None:
    node.write_settings(PYTHON="/nonexistent/python3")


def block_output(node: Node) -> None:
    node.output.write_text("a file where the directory should be")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_key, "open to others: close it with 'chmod 600"),
        (shorten_key, "must hold 32 to 64 random bytes"),
        (lose_key, "is no file"),
        (lose_settings, "telemetry.conf is not there; the defaults are taken"),
        (garble_settings, "telemetry.conf"),
        (lose_python, "no pseudonym for the job"),
        (block_output, "cannot make"),
    ],
)
def test_no_harm_comes_to_the_job(harm: Callable[[Node], None], said: str, node: Node) -> None:
    harm(node)
    assert said in node.call("prolog.sh")
    assert node.pids() == []
    node.call("epilog.sh")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777])
def test_a_directory_of_others_keeps_its_mode(mode: int, node: Node) -> None:
    for folder in (node.output, node.run):
        folder.mkdir()
        folder.chmod(mode)
        assert f"{folder} is open to others" in node.call("prolog.sh")
        assert folder.stat().st_mode & 0o7777 == mode
        assert list(folder.iterdir()) == []
        folder.chmod(0o700)


def test_a_private_directory_that_is_there_is_used(
    node: Node, wait_for: Callable[..., None]
) -> None:
    node.output.mkdir()
    node.output.chmod(0o2700)
    assert node.call("prolog.sh") == ""
    wait_for(lambda: node.ticks())
    assert node.output.stat().st_mode & 0o7777 == 0o2700
    node.call("epilog.sh")


def test_a_script_outside_slurm_says_so(node: Node) -> None:
    assert "SLURM_JOB_ID is not set" in node.call("prolog.sh", job="")
    assert "SLURM_JOB_ID is not set" in node.call("epilog.sh", job="")
