"""Speed of the replay kernel. Target: 5 million jobs a second, FCFS and EASY, on one core.

Usage: python benchmarks/replay.py [TRACE ...]
"""

import os
import sys

import exawatt as ew
from exawatt.figures.origins import processor

RUNS = 20


def main(traces: list[str]) -> None:
    """Print the best of several runs of each policy on each trace."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{processor()}, one core, best of {RUNS}; kernel only, reading excluded")
    for trace in traces:
        workload = ew.load(trace)
        for policy in ("fcfs", "easy"):
            best = min(ew.replay(workload, policy).replay_seconds for _ in range(RUNS))
            speed = len(workload) / best / 1e6
            print(f"  {workload.label:40} {policy:5} {speed:6.1f} M jobs/s")


if __name__ == "__main__":
    main(sys.argv[1:] or ["KTH-SP2", "LLNL-Thunder"])
