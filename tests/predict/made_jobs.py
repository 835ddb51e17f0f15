"""Small schedules with users, made by hand or at random, for the tests of prediction."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

import exawatt as ew

Job = dict[str, float]


def schedule_of(
    rows: Iterable[Job], starts: Iterable[float], procs: int = 10, **keywords: object
) -> ew.Schedule:
    """Return jobs that started when we say, whatever a policy would have done."""
    table = pd.DataFrame(list(rows))
    workload = ew.Workload(table, procs=procs, name="handmade", **keywords)
    assert len(workload) == len(table)
    assert (np.diff(table["submit_s"]) >= 0).all()
    return replace(ew.replay(workload, "fcfs"), start_s=np.array([*starts], dtype=np.float64))


def random_workload(n: int, seed: int, procs: int = 16) -> ew.Workload:
    """Return jobs of a few users that repeat themselves, with gaps and ties."""
    rng = np.random.default_rng(seed)
    request = rng.choice([600.0, 3600.0, np.nan], n)
    table = pd.DataFrame(
        {
            "submit_s": np.cumsum(rng.choice([0.0, 1.0, 60.0, 900.0], n)),
            "runtime_s": rng.integers(1, 600, n).astype(float),
            "requested_s": request,
            "procs": rng.choice([1, 2, 8], n),
            "user": rng.integers(-1, 4, n),
            "app": rng.integers(-1, 3, n),
        }
    )
    start = pd.Timestamp("2026-03-28T12:00Z")
    return ew.Workload(table, procs=procs, name="random", start=start, timezone="Europe/London")
