"""Speed of the simulator under pybatsim on a trace's first jobs, and memory on all of them.

Usage: python benchmarks/protocol.py [SCHEDULER ...]

Beside the simulation stands its ceiling: the same scheduler, answering the same messages from a
list, with no simulator behind them. Each run is a process of its own; the two take turns, and the
best of each counts.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import zmq

from exawatt.batsim.hosts import read_hosts
from exawatt.batsim.job_file import read_job_file
from exawatt.batsim.run import connected, run, scheduler_process
from exawatt.batsim.simulator import Simulator

TRACE = "KTH-SP2"
FIRST_FIT = Path(__file__).parents[1] / "tests" / "protocol" / "schedulers" / "firstFit.py"
SCHEDULERS = [f"pybatsim {FIRST_FIT}", "pybatsim easyBackfill"]
FIRST_JOBS = 5000
ROUNDS = 7
TIMEOUT_S = 60.0


def simulated(scheduler: str, folder: Path) -> dict[str, float]:
    """Seconds of one simulation with its files, and the memory of this process."""
    job_file, hosts = read_job_file(folder / "w.json"), read_hosts(folder / "p.xml")
    summary = run(job_file, hosts, scheduler, folder / "out")
    return {"seconds": float(summary["simulation_time"]), "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Most memory that this process held [MiB]; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def ceiling(scheduler: str, folder: Path) -> dict[str, float]:
    """Seconds in which the scheduler answers the same messages out of a list."""
    simulator = Simulator(read_job_file(folder / "w.json"), read_hosts(folder / "p.xml"))
    messages: list[str] = []
    recorded = 0.0
    for _ in range(2):
        with (
            tempfile.TemporaryDirectory() as place,
            scheduler_process(
                scheduler, f"ipc://{place}/socket", Path(place) / "log", TIMEOUT_S
            ) as process,
            connected(f"ipc://{place}/socket") as socket,
        ):
            if messages:
                ask(socket, messages[0])  # the scheduler is up
                began_s = time.perf_counter()
                for message in messages[1:]:
                    ask(socket, message)
                recorded = time.perf_counter() - began_s
            else:
                next_message: str | None = simulator.first()
                while next_message is not None:
                    messages.append(next_message)
                    next_message = simulator.reply(ask(socket, next_message))
            process.wait(TIMEOUT_S)
    return {"seconds": recorded, "messages": len(messages)}


def ask(socket: "zmq.Socket[bytes]", message: str) -> bytes:
    """Reply to a message, however long it takes."""
    socket.send_string(message)
    while True:
        try:
            return socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            continue


def child(what: str, scheduler: str, folder: Path) -> dict[str, float]:
    """Run one of the above in a process of its own."""
    command = [sys.executable, __file__, f"--{what}", scheduler, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main(schedulers: list[str]) -> None:
    """Print the table."""
    import exawatt as ew
    from exawatt.batsim.platform_xml import write_platform
    from exawatt.batsim.workload import write_workload
    from exawatt.experiment.machine import processor

    with tempfile.TemporaryDirectory() as name:
        workload = ew.load(TRACE)
        all_jobs, first_jobs = Path(name) / "all", Path(name) / "first"
        for folder, n_jobs in ((all_jobs, len(workload)), (first_jobs, FIRST_JOBS)):
            folder.mkdir()
            part = replace(workload, jobs=workload.jobs.iloc[:n_jobs])
            write_workload(part, folder / "w.json")
            write_platform(ew.Platform.stand_in(workload), folder / "p.xml")
        print(
            f"{workload.label}: speed on the first {FIRST_JOBS:,} jobs, best of {ROUNDS}; "
            f"memory on all {len(workload):,}; {processor()}"
        )
        print(
            f"{'scheduler':34}{'jobs/s':>9}{'ceiling':>9}{'share':>7}{'us/message':>12}{'MiB':>6}"
        )
        for scheduler in schedulers:
            turns = [
                [child(what, scheduler, first_jobs) for what in ("simulated", "ceiling")]
                for _ in range(ROUNDS)
            ]
            ours_s, least_s = (
                min(one["seconds"] for one in each) for each in zip(*turns, strict=True)
            )
            each_us = ours_s / turns[0][1]["messages"] * 1e6
            peak = child("simulated", scheduler, all_jobs)["peak_mib"]
            print(
                f"{Path(scheduler.split()[1]).stem:34}{FIRST_JOBS / ours_s:9,.0f}"
                f"{FIRST_JOBS / least_s:9,.0f}{least_s / ours_s:7.0%}{each_us:12.0f}{peak:6.0f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] in (["--simulated"], ["--ceiling"]):
        measure = simulated if sys.argv[1] == "--simulated" else ceiling
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(sys.argv[1:] or SCHEDULERS)
