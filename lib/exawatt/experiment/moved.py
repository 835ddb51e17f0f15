"""One replay of a log whose submissions may have been moved a little, and what it measures."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from exawatt.predict.estimator import Predictor
from exawatt.predict.online import replay_online
from exawatt.replay import replay
from exawatt.replay.policy import Policy
from exawatt.workload import Workload

#: How far submissions are moved at most [s].
MOVED_S = 60.0
#: Jobs that ended last, from which a predictor learns every week.
WINDOW = 5000


def measured(
    workload: Workload, policy: Policy, predictor: Predictor | None, draw: int
) -> pd.DataFrame:
    """Replay a log under a policy, and measure how jobs waited.

    Parameters
    ----------
    workload : Workload
    policy : Policy
        Its estimate gives way to `predictor`, if there is one.
    predictor : Predictor, optional
        What learns while the replay goes on.
    draw : int
        Seed of how submissions are moved; 0 leaves them.

    Returns
    -------
    DataFrame
        One row: ``avebsld`` [-], ``mean_wait_s``, and ``cpu_s`` of the replay [s].
    """
    jobs = moved(workload, draw)
    began_s = time.process_time()
    if predictor is None:
        schedule = replay(jobs, policy)
    else:
        schedule = replay_online(jobs, predictor, policy, window=WINDOW).schedule
    cpu_s = time.process_time() - began_s
    metrics = schedule.metrics()
    names = ("avebsld", "mean_wait_s")
    return pd.DataFrame([{name: metrics[name] for name in names} | {"cpu_s": cpu_s}])


def moved(workload: Workload, draw: int) -> Workload:
    """Move each submission at random by up to a minute; the workload itself for draw 0."""
    if draw == 0:
        return workload
    jobs = workload.jobs.copy()
    jobs["submit_s"] += np.random.default_rng(draw).uniform(0.0, MOVED_S, len(jobs))
    return replace(workload, jobs=jobs.sort_values("submit_s", kind="stable"))
