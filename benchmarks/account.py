"""Time of the whole account of one million jobs over a year, on one core.

Power, account, and the footprint by job, user, partition and hour, each with its uncertainty; the
replay before it is not counted.

Usage: OMP_NUM_THREADS=1 python benchmarks/account.py [JOBS]
"""

import sys
import time

import numpy as np
import pandas as pd

import exawatt as ew
from exawatt.experiment.machine import processor

RUNS = 7
YEAR_S = 365 * 86_400
TABLES = ("job", "user", "partition", "hour")


def workload_of(n: int) -> ew.Workload:
    """Jobs of 1 to 64 processors and some 80 minutes, of 800 users, on a machine 75 % busy."""
    rng = np.random.default_rng(0)
    jobs = pd.DataFrame(
        {
            "submit_s": np.sort(rng.integers(0, YEAR_S, n)),
            "runtime_s": np.minimum(rng.lognormal(7.2, 1.6, n), 5 * 86_400).round() + 1,
            "procs": 2 ** rng.integers(0, 7, n),
            "user": rng.zipf(1.6, n) % 800,
            "partition": rng.integers(0, 4, n),
        }
    )
    procs = max(int((jobs["runtime_s"] * jobs["procs"]).sum() / YEAR_S / 0.75), 64)
    table = jobs.assign(requested_s=2 * jobs["runtime_s"])
    start = pd.Timestamp("2023-01-01", tz="UTC")
    return ew.Workload(table, procs=procs, name=f"{n:,} jobs", start=start)


def whole(schedule: ew.Schedule, series: ew.Intensity) -> ew.Footprint:
    """Everything an account has to say."""
    footprint = ew.Footprint(schedule, ew.account(ew.power(schedule), series))
    for key in TABLES:
        footprint.by(key)  # type: ignore[arg-type]
    return footprint


def main() -> None:
    """Print best and worst of several runs, by the clock and by the processor's own."""
    workload = workload_of(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    schedule, series = ew.replay(workload, "easy"), ew.load_intensity("GB-2023")
    print(f"{workload!r}, {series.label}; {processor()}")
    print(whole(schedule, series))  # compiles
    seconds = []
    for _ in range(RUNS):
        began_s, busy_s = time.perf_counter(), time.process_time()
        whole(schedule, series)
        seconds.append((time.perf_counter() - began_s, time.process_time() - busy_s))
    for name, runs in zip(("elapsed", "processor"), zip(*seconds, strict=True), strict=True):
        print(f"{name:12}{min(runs):6.2f} to {max(runs):.2f} s")


if __name__ == "__main__":
    main()
