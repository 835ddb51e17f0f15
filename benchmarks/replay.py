"""Speed of the replay: kernel by policy and trace, whole replays, learned orders, growth.

Usage: python benchmarks/replay.py [TRACE ...]
"""

import itertools
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

import exawatt as ew
from exawatt.experiment.machine import processor
from exawatt.replay.streaming import replay_chunks

RUNS = 5
TRACES = ["KTH-SP2", "LLNL-Thunder", "LLNL-Atlas", "SDSC-SP2", "HPC2N"]
RNG = np.random.default_rng(0)
LIKE_LXF = ew.Scorer.linear((1.0, 0.5, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0))


def mlp(*sizes: int) -> ew.Scorer:
    """Network with random weights: 32-16-8-1 is the one of RLScheduler."""
    layers = itertools.pairwise(sizes)
    return ew.Scorer(
        tuple(
            (
                tuple(map(tuple, RNG.normal(size=(n_out, n_in)) / n_in)),
                tuple(RNG.normal(size=n_out)),
            )
            for n_in, n_out in layers
        )
    )


def policies(workload: ew.Workload) -> dict[str, ew.Policy]:
    """Policies by what they show."""
    full_w = ew.Platform.stand_in(workload).full_w
    easy = ew.Policy(backfill="easy")
    everything = {
        "sleep_after_s": 600.0,
        "power_cap_w": full_w,
        "dvfs": ew.Dvfs(),
        "hold": ew.CarbonHold(3600.0),
    }
    return {
        "FCFS": ew.Policy(),
        "EASY": easy,
        "EASY-SJBF": ew.Policy.named("easy-sjbf"),
        "EASY++": ew.Policy.named("easy++"),
        "SJF+EASY": replace(easy, order="sjf"),
        "LXF+EASY (dynamic)": replace(easy, order="lxf"),
        "conservative": ew.Policy(backfill="conservative"),
        "EASY, sleep": replace(easy, sleep_after_s=600.0),
        "EASY, sleep, cap, hold": replace(easy, **everything),
        "linear scorer, like LXF": replace(easy, order=LIKE_LXF),
        "linear scorer, random": replace(easy, order=ew.Scorer.linear(tuple(RNG.normal(size=8)))),
        "MLP 32-16-8-1, random": replace(easy, order=mlp(8, 32, 16, 8, 1)),
    }


def best(run: Callable[[], float]) -> float:
    """Least of several results, after one that compiles."""
    run()
    return min(run() for _ in range(RUNS))


def table(traces: list[str]) -> None:
    """Million jobs a second in the kernel, by policy and trace; causes for the extended ones."""
    forecast = ew.persistence(ew.load_intensity("GB-2023", fill="week"))
    workloads = [ew.load(name) for name in traces]
    print(f"{'M jobs/s in the kernel':26}" + "".join(f"{name:>14}" for name in traces))
    for name in policies(workloads[0]):
        speeds = []
        for workload in workloads:
            policy = policies(workload)[name]
            causes = policy.sleep_after_s is not None

            def run(w: ew.Workload = workload, p: ew.Policy = policy, c: bool = causes) -> float:
                return ew.replay(w, p, forecast=forecast, causes=c).replay_seconds

            speeds.append(len(workload) / best(run) / 1e6)
        print(f"{name:26}" + "".join(f"{speed:14.2f}" for speed in speeds), flush=True)

    def whole(workload: ew.Workload) -> float:
        began = time.perf_counter()
        ew.replay(workload, "easy").metrics()
        return time.perf_counter() - began

    speeds = [len(workload) / best(lambda w=workload: whole(w)) / 1e6 for workload in workloads]
    print(f"{'EASY, whole ew.replay':26}" + "".join(f"{speed:14.2f}" for speed in speeds))


def copies(workload: ew.Workload, n_jobs: int, chunk: int = 200_000) -> Iterator[ew.Workload]:
    """Chunks of a trace that repeats itself, until there are so many jobs."""
    span_s = float(workload.jobs["submit_s"].iloc[-1]) + 86400.0
    per_chunk = max(1, chunk // len(workload))
    done = repeat = 0
    while done < n_jobs:
        jobs = np.tile(np.arange(len(workload)), per_chunk)[: n_jobs - done]
        table = workload.jobs.iloc[jobs].reset_index(drop=True)
        turn = repeat + np.arange(jobs.size) // len(workload)
        table["submit_s"] = table["submit_s"] + turn * span_s
        yield replace(workload, jobs=table)
        done, repeat = done + jobs.size, repeat + per_chunk


def growth(name: str) -> None:
    """Cost from ten thousand to ten million jobs, fed in chunks."""
    workload = ew.load(name)
    print(f"{name}, repeated, EASY in chunks of 200,000: seconds with making the chunks")
    for n_jobs in (10**4, 10**5, 10**6, 10**7):
        began = time.perf_counter()
        started = sum(len(rows) for rows in replay_chunks(copies(workload, n_jobs), "easy"))
        seconds = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{started:12,} jobs {seconds:8.2f} s {started / seconds / 1e6:6.2f} M jobs/s, "
            f"peak {peak_mb:,.0f} MB",
            flush=True,
        )


def main(traces: list[str]) -> None:
    """Print everything."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{processor()}, one core, best of {RUNS}")
    growth(traces[0])
    table(traces)


if __name__ == "__main__":
    main(sys.argv[1:] or TRACES)
