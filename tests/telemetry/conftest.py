"""A powercap tree of plain files, and real loggers that read it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RAPL_LOGGER = Path(__file__).parents[2] / "telemetry" / "rapl_logger.py"
RANGE_UJ = 65_532_610_987  # of a server's package


class Powercap:
    """A tree as under /sys/class/powercap, whose counters change in place as those do.

    A file that is replaced would hide its changes from whoever holds the old one open.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def add(self, folder: str, name: str, energy_uj: int = 0, range_uj: int = RANGE_UJ) -> None:
        """Make a zone."""
        # Complete before it is seen, like the kernel's.
        draft = self.root / f".{folder}"
        draft.mkdir()
        (draft / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (draft / "energy_uj").write_text(f"{energy_uj:020}\n")
        (draft / "name").write_text(f"{name}\n")
        draft.rename(self.root / folder)

    def set(self, folder: str, energy_uj: int) -> None:
        """Let a counter show this [µJ]."""
        self.write(folder, f"{energy_uj:020}\n")

    def write(self, folder: str, text: str) -> None:
        """Put any text in the place of a counter's."""
        fd = os.open(self.root / folder / "energy_uj", os.O_WRONLY)
        os.pwrite(fd, text.encode(), 0)
        os.close(fd)

    def remove(self, folder: str) -> None:
        """Let a zone vanish."""
        shutil.rmtree(self.root / folder)


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    """Return an empty tree."""
    return Powercap(tmp_path / "powercap")


@pytest.fixture
def two_zones(powercap: Powercap) -> Powercap:
    """Return a tree of a package and its memory."""
    powercap.add("intel-rapl:0", "package-0")
    powercap.add("intel-rapl:0:0", "dram")
    return powercap


@pytest.fixture
def rapl_command(tmp_path: Path) -> list[str]:
    """Return the command of a logger that reads the tree."""
    return [sys.executable, str(RAPL_LOGGER), "--root", str(tmp_path / "powercap")]


@pytest.fixture
def start(rapl_command: list[str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a logger in the background; it is gone after the test."""
    started = []

    def begin(*arguments: object, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        command = [*prefix, *rapl_command, *map(str, arguments)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def stop() -> Callable[..., str]:
    """End a logger with a signal; return what it said."""

    def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> str:
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0, said
        return said

    return end


@pytest.fixture
def once(rapl_command: list[str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a logger to its end."""

    def call(
        *arguments: object, prefix: tuple[str, ...] = (), **keywords: object
    ) -> "subprocess.CompletedProcess[str]":
        command = [*prefix, *rapl_command, *map(str, arguments)]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, capture_output=True, text=True, timeout=60, **keywords
        )

    return call


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds."""

    def wait(holds: Callable[[], object], timeout_s: float = 20.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < end_s, "waited in vain"
            time.sleep(0.005)

    return wait


@pytest.fixture
def unprivileged() -> tuple[str, ...]:
    """Return how to begin a command that files' modes bind, though root calls it."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root is above the modes of files, and there is no setpriv to step down")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
