"""Time and memory of reading a trace. Target: HPC2N in 0.5 s and 300 MB, on one core.

Each run is a process of its own, so that its memory is its own. The compiled parser comes from
Numba's cache on disk, as it does for everyone but the first user.

Usage: python benchmarks/read_swf.py [TRACE]
"""

import os
import subprocess
import sys

RUNS = 5
ONE_RUN = """
import resource, sys, time, warnings
import exawatt as ew
warnings.simplefilter("ignore")
ew.load("tiny")  # loads the compiled parser
start = time.perf_counter()
workload = ew.load(sys.argv[1])
seconds = time.perf_counter() - start
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(seconds, peak_mb, workload.label.replace(" ", "_"), len(workload))
"""


def main(trace: str) -> None:
    """Print best and worst of several runs."""
    command = [sys.executable, "-c", ONE_RUN, trace]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    runs = []
    for _ in range(RUNS):
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        runs.append(printed.split())
    seconds = sorted(float(run[0]) for run in runs)
    peak = max(float(run[1]) for run in runs)
    print(f"{runs[0][2]}: {int(runs[0][3]):,} jobs read by one core, {RUNS} processes")
    print(f"  best {seconds[0]:.3f} s, worst {seconds[-1]:.3f} s, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "HPC2N")
