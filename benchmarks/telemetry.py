"""Processor time and memory of the loggers, as processes that record ten times a second.

Usage: python benchmarks/telemetry.py [SECONDS]

RAPL is read from files in the place of Linux's counters: two packages with their memory, and the
board. Reading a real counter costs its driver more, which is the machine's and not the logger's.
GPUs are this machine's where it has an NVIDIA driver, whose own time then counts as well; else
they are those of the driver library that the tests compile.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exawatt.experiment.machine import processor

LOGGERS = Path(__file__).parents[1] / "telemetry"
STUB = Path(__file__).parents[1] / "tests" / "telemetry" / "nvml_stub.c"
ZONES = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:1:0": "dram",
    "intel-rapl:2": "psys",
}
INTERVAL_S = 0.1


def make_zones(root: Path) -> None:
    """Write a powercap tree of plain files."""
    for folder, name in ZONES.items():
        (root / folder).mkdir(parents=True)
        (root / folder / "name").write_text(f"{name}\n")
        (root / folder / "energy_uj").write_text("12345678901\n")
        (root / folder / "max_energy_range_uj").write_text("65532610987\n")


def make_driver(folder: Path) -> None:
    """Compile a driver library of two GPUs, and let loggers find it before any other."""
    library = folder / "libnvidia-ml.so.1"
    link = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["gcc", "-O2", *link, "-o", library, STUB], check=True)
    os.environ.update(LD_LIBRARY_PATH=str(folder), NVML_STUB="gpus=2")


def measure(command: list[str], recording: Path, seconds: float) -> dict[str, float]:
    """Let a logger record, and look at it from its first tick on."""
    options = ["--interval", str(INTERVAL_S), "--output", str(recording)]
    began_s = time.perf_counter()
    with subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) as logger:
        while not (recording.exists() and recording.read_bytes().count(b"\n") > 1):
            time.sleep(0.01)
        start_s, busy_s = time.perf_counter() - began_s, processor_s(logger.pid)
        time.sleep(seconds)
        used = {"busy_s": processor_s(logger.pid) - busy_s, "start_s": start_s}
        used["peak_mib"] = peak_mib(logger.pid)
        logger.terminate()
    described = json.loads(Path(f"{recording}.json").read_text())
    return used | {"ticks": described["ticks"], "late": described["late_ticks"]}


def processor_s(pid: int) -> float:
    """Time on processors of a process so far [s]; times() counts in hundredths of a second."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def peak_mib(pid: int) -> float:
    """Most memory that a process held [MiB]; getrusage would count its parent's too."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(seconds: float) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_zones(folder / "powercap")
        rapl = [sys.executable, str(LOGGERS / "rapl_logger.py"), "--root", f"{folder}/powercap"]
        nvml = [sys.executable, str(LOGGERS / "nvml_logger.py")]
        driver = "driver"
        if subprocess.run([*nvml, "--once"], capture_output=True).returncode != 0:
            make_driver(folder)
            driver = "stand-in"
        commands = {f"RAPL, {len(ZONES)} zones": rapl, f"NVML, {driver}": nvml}
        print(f"{seconds:g} s at {1 / INTERVAL_S:g} Hz; {processor()}")
        columns = ("ticks", 7), ("late", 6), ("us/tick", 9), ("of a core", 11), ("start ms", 10)
        print(f"{'logger':16}" + "".join(f"{text:>{width}}" for text, width in columns) + "   MiB")
        for logger, command in commands.items():
            used = measure(command, folder / f"{logger[:4]}.csv", seconds)
            print(
                f"{logger:16}{used['ticks']:7}{used['late']:6}"
                f"{used['busy_s'] / used['ticks'] * 1e6:9.0f}{used['busy_s'] / seconds:11.2%}"
                f"{used['start_s'] * 1e3:10.0f}{used['peak_mib']:6.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
