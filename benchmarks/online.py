"""Cost of predictions that are learned while a replay goes on, and what they buy the scheduler.

Usage: python benchmarks/online.py [--moved N] [TRACE ...]

Each submission can be moved by up to a minute, N times, for the spread that chance alone makes.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

import exawatt as ew
from exawatt.experiment.machine import processor
from exawatt.predict import LastRuntimes
from exawatt.predict.median import BoostedMedian
from exawatt.predict.online import SJBF, Regressor, replay_online

TRACES = ["KTH-SP2-raw", "SDSC-SP2"]
# As published tables have it: the few requests that SDSC-SP2 lacks are the runtimes.
POLICY = replace(SJBF, missing_request="runtime")
GIVEN = {
    "request": replace(POLICY, correction="none"),
    "LAST2 of the kernel": replace(POLICY, estimate="last2"),
    "actual": replace(POLICY, estimate="actual", correction="none"),
}
PREDICTORS: dict[str, Regressor] = {
    "LAST2": LastRuntimes(2),
    "mean of 5": LastRuntimes(5),
    "boosted median": BoostedMedian(),
}
# Jobs that each training looks back on.
WINDOW = 5000


def moved(workload: ew.Workload, seed: int) -> ew.Workload:
    """Move submissions by up to a minute; the workload itself for seed 0."""
    if seed == 0:
        return workload
    jobs = workload.jobs.copy()
    jobs["submit_s"] += np.random.default_rng(seed).uniform(0.0, 60.0, len(jobs))
    return replace(workload, jobs=jobs.sort_values("submit_s", kind="stable"))


def row(name: str, schedules: list[ew.Schedule], cost: str = "") -> None:
    """Print bounded slowdown and mean wait, and the range of the former over moved traces."""
    metrics = [schedule.metrics() for schedule in schedules]
    found = [each["avebsld"] for each in metrics]
    spread = f"{np.mean(found):8.1f} ({min(found):.1f}-{max(found):.1f})" if found[1:] else ""
    print(
        f"  {name:20}{found[0]:8.2f}{metrics[0]['mean_wait_s']:9.0f}{spread:24}{cost}", flush=True
    )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("traces", nargs="*", default=TRACES)
    parser.add_argument("--moved", type=int, default=0)
    arguments = parser.parse_args()
    print(processor())
    for trace in arguments.traces:
        workloads = [moved(ew.load(trace), seed) for seed in range(arguments.moved + 1)]
        print(f"{trace}\n  {'estimate':20} AVEbsld   wait s   mean (range)")
        for name, policy in GIVEN.items():
            row(name, [ew.replay(workload, policy) for workload in workloads])
        for name, predictor in PREDICTORS.items():
            began_s = time.process_time()
            runs = [
                replay_online(workload, predictor, POLICY, window=WINDOW) for workload in workloads
            ]
            cpu_s = (time.process_time() - began_s) / len(runs)
            rate = len(workloads[0]) / cpu_s / 1e3
            cost = f"{cpu_s:6.1f} CPU-s, {rate:.1f} k jobs/s, {runs[0].passes} passes"
            row(name, [run.schedule for run in runs], cost)


if __name__ == "__main__":
    main()
