"""Replay: a workload on a platform under a policy becomes a schedule."""

import time
from pathlib import Path

import numpy as np

from exawatt.platform import Platform
from exawatt.replay.hosts import allocate_processors
from exawatt.replay.kernel import simulate
from exawatt.replay.policy import Policy
from exawatt.replay.requests import estimated_runtime_s, executed_runtime_s
from exawatt.replay.schedule import Schedule
from exawatt.workload import Workload

__all__ = ["Policy", "Schedule", "allocate_processors", "replay"]


def replay(
    workload: Workload, policy: str | Path | Policy = "easy", platform: Platform | None = None
) -> Schedule:
    """Replay a workload on a machine that is empty at first.

    Parameters
    ----------
    workload : Workload
        The jobs.
    policy : str, path or Policy
        A name such as ``fcfs`` or ``easy``, a JSON file, or the policy itself.
    platform : Platform, optional
        The machine; the trace's own, with stand-in watts, when not given.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        There is no job, the policy is unknown, or a job is larger than the machine.
    """
    policy = Policy.of(policy)
    platform = platform or Platform.stand_in(workload)
    if len(workload) == 0:
        raise ValueError(f"{workload.name} has no job to replay; see its cleaning report.")
    jobs = workload.jobs
    procs = jobs["procs"].to_numpy()
    if procs.max() > platform.procs:
        raise ValueError(
            f"a job wants {procs.max()} processors, more than the platform's {platform.procs}; "
            "pass the platform that the workload was recorded on."
        )
    submit = np.ascontiguousarray(jobs["submit_s"].to_numpy())
    runtime = np.ascontiguousarray(executed_runtime_s(workload, policy))
    estimate = np.ascontiguousarray(estimated_runtime_s(workload, policy))
    backfill = True if policy.backfill == "easy" else None
    began = time.perf_counter()
    start = simulate(
        submit, runtime, np.ascontiguousarray(procs), estimate, platform.procs, backfill
    )
    seconds = time.perf_counter() - began
    return Schedule(workload, platform, policy, start, runtime, seconds)
