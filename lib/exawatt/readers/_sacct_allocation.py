"""Processors that jobs were given, where an export has only what they asked for.

CPUTimeRAW is elapsed seconds times processors allocated. Slurm hands processors out in units:
threads of a core, or whole nodes. All values of a partition are multiples of its unit, and over
many jobs their greatest common divisor is the unit. A job was given its request, rounded up to
units, and at least one unit on each node. Jobs that ended at their time limit put this to the
test, for their elapsed time is known.
"""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from exawatt.stats import Floats
from exawatt.workload import Finding

Action = Literal["repaired", "dropped"]

#: A partition's allocations are believed if so large a share of its jobs that timed out agrees.
AGREEMENT = 0.9
#: Slurm looks for jobs at their limit every half minute, and gives them another to end [s].
GRACE_S = 60.0


class Inferred(NamedTuple):
    """What follows for each job, and which of it is not believed."""

    procs: Floats
    elapsed_s: Floats
    unclear: np.ndarray
    findings: list[Finding]


def infer(
    cpu_s: Floats,
    requested: Floats,
    nodes: Floats,
    partition: np.ndarray,
    limit_s: Floats,
    timed_out: np.ndarray,
) -> Inferred:
    """Processors and elapsed time of each job, from processor-seconds and requests.

    Parameters
    ----------
    cpu_s : ndarray, shape (n_jobs,)
        Elapsed time by processors allocated [s].
    requested, nodes : ndarray, shape (n_jobs,)
        Processors and nodes asked for; one node where unknown.
    partition : ndarray of int, shape (n_jobs,)
    limit_s : ndarray, shape (n_jobs,)
        Time limit [s], NaN where unknown.
    timed_out : ndarray of bool, shape (n_jobs,)
        Jobs that Slurm ended at their limit.
    """
    nodes = np.where(nodes > 0, nodes, 1.0)
    unit = units(cpu_s, nodes, partition)
    procs = np.maximum(np.ceil(requested / unit), nodes) * unit
    elapsed_s = cpu_s / procs
    impossible = (elapsed_s > limit_s + GRACE_S) | (elapsed_s % 1 != 0)
    telling = timed_out & np.isfinite(limit_s)
    agrees = np.where(telling, (elapsed_s >= limit_s) & ~impossible, np.nan)
    share = pd.Series(agrees).groupby(partition).transform("mean").to_numpy()
    doubted = (share < AGREEMENT) & (cpu_s > 0)
    impossible &= ~doubted & (cpu_s > 0)
    unclear = doubted | impossible
    ran = (cpu_s > 0) & ~unclear
    sizes = ", ".join(f"{size:g}" for size in np.unique(unit[ran]))
    found: list[tuple[Action, str, np.ndarray, str]] = [
        ("repaired", "size inferred: the request in whole units of its partition", ran, sizes),
        ("dropped", "size unknown: jobs of its partition that timed out belie it", doubted, ""),
        ("dropped", "size unknown: it would have run past its limit", impossible, ""),
    ]
    findings = [
        Finding(action, reason, int(rows.sum()), 0, "procs", value)
        for action, reason, rows, value in found
        if rows.any()
    ]
    return Inferred(procs, elapsed_s, unclear, findings)


def units(cpu_s: Floats, nodes: Floats, partition: np.ndarray) -> Floats:
    """Processors in which each job's partition is handed out, as its jobs' times tell [-]."""
    # Jobs on several nodes may be spread unevenly, so those on one node tell more.
    alone = pd.Series(nodes == 1).groupby(partition).transform("any").to_numpy()
    per_node = cpu_s / nodes
    telling = (cpu_s > 0) & (per_node % 1 == 0) & ((nodes == 1) | ~alone)
    times = pd.Series(np.where(telling, per_node, 0).astype(np.int64)).groupby(partition)
    divisor = times.agg(lambda values: np.gcd.reduce(values.to_numpy()))
    return np.maximum(divisor.loc[partition].to_numpy(), 1).astype(float)
