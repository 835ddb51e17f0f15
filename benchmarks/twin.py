"""Time to generate a twin. Target: ten million jobs in 60 s, on one core.

Usage: python benchmarks/twin.py [JOBS]
"""

import os
import sys
import time

from exawatt.experiment.machine import processor
from exawatt.readers.twin import trace_twins


def main(jobs: int) -> None:
    """Print the time of each trace's twin."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{processor()}, one core")
    for name, twin in trace_twins().items():
        twin.generate(name, 1000)  # compiles
        start = time.perf_counter()
        twin.generate(name, jobs)
        print(f"  {name:14} {jobs:,} jobs in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
