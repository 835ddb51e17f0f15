"""Replay: a workload on a platform under a policy becomes a schedule."""

import time
from pathlib import Path

import numpy as np

from exawatt.forecast import Forecast
from exawatt.platform import Platform
from exawatt.replay.demand import demands
from exawatt.replay.engine import Engine
from exawatt.replay.hosts import allocate_processors
from exawatt.replay.policy import Policy
from exawatt.replay.rules import CarbonHold, Dvfs, Multifactor, Scorer
from exawatt.replay.schedule import Schedule
from exawatt.workload import Workload

__all__ = [
    "CarbonHold",
    "Dvfs",
    "Multifactor",
    "Policy",
    "Schedule",
    "Scorer",
    "allocate_processors",
    "replay",
]


def replay(
    workload: Workload,
    policy: str | Path | Policy = "easy",
    platform: Platform | None = None,
    forecast: Forecast | None = None,
    causes: bool = False,
) -> Schedule:
    """Replay a workload on a machine that is empty at first.

    Parameters
    ----------
    workload : Workload
        The jobs.
    policy : str, path or Policy
        A name such as ``fcfs``, ``easy`` or ``f4+easy``, a JSON file, or the policy itself.
    platform : Platform, optional
        The machine; the trace's own, with stand-in watts, when not given.
    forecast : Forecast, optional
        What is known of carbon intensity, for a policy that holds jobs back.
    causes : bool
        Whether to find why each job waited.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        There is no job, the policy is unknown, or a job can never run.
    """
    if not isinstance(workload, Workload):
        raise ValueError(f"workload(={workload!r}) must be a Workload, such as load('KTH-SP2').")
    policy = Policy.of(policy)
    platform = platform or Platform.stand_in(workload)
    if len(workload) == 0:
        raise ValueError(f"{workload.name} has no job to replay; see its cleaning report.")
    engines = new_engines(workload, policy, platform, forecast, causes)
    for engine, demand in zip(engines, demands(workload, platform, policy), strict=True):
        engine.add(demand)
        # Compiles what was not compiled yet, before the clock starts.
        engine.run(until_s=-np.inf)
    began = time.perf_counter()
    for engine in engines:
        engine.run()
    seconds = time.perf_counter() - began
    return Schedule.of(workload, platform, policy, engines, seconds)


def new_engines(
    workload: Workload,
    policy: Policy,
    platform: Platform,
    forecast: Forecast | None,
    causes: bool,
    scored_outside: bool = False,
) -> list[Engine]:
    """One engine a partition, without jobs; the cap shared out by full power.

    The forecast is laid so that the workload's first submission finds its time of the week.
    """
    forecast_s = 0.0 if forecast is None else forecast.first_issue_s(workload)
    cap_w = policy.power_cap_w
    return [
        Engine(
            partition,
            policy,
            None if cap_w is None else cap_w * partition.full_w / platform.full_w,
            forecast,
            forecast_s,
            causes,
            scored_outside,
        )
        for partition in platform.partitions
    ]
