"""What jobs take and how long, as arrays: a workload seen by one partition under one policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exawatt.platform import Partition, Platform
from exawatt.replay.policy import ESTIMATES, Policy
from exawatt.replay.requests import RunningQuantile
from exawatt.replay.state import Integers
from exawatt.stats import Floats
from exawatt.workload import COLUMNS, Workload

MILLI = 1000
#: Columns of a workload that a replay reads, and their types.
JOB_COLUMNS = {
    name: np.dtype(COLUMNS[name][0])
    for name in "job submit_s runtime_s requested_s procs gpus power_w user".split()
}
Rows = slice | np.ndarray


@dataclass(frozen=True, eq=False)
class Demand:
    """The jobs of one partition, in trace order; every array has shape (n_jobs,).

    Parameters
    ----------
    row, job : ndarray of int64
        Row of each job in its workload, and its number there.
    submit_s, runtime_s, request_s, estimate_s : ndarray
        Submission, executed runtime at full frequency, request (or what stands in for a missing
        one) and estimate at submission, as far as it is known beforehand [s].
    asked, asked_gpus : ndarray of int64
        Processors and thousandths of GPUs asked for.
    procs, gpus : ndarray of int64
        The same as taken: more where nodes are allocated whole.
    dynamic_w : ndarray
        Power that each job adds to the idle machine at full frequency [W].
    user : ndarray of int64
        Number of the user, as in the workload.
    """

    row: Integers
    job: Integers
    submit_s: Floats
    runtime_s: Floats
    request_s: Floats
    estimate_s: Floats
    asked: Integers
    asked_gpus: Integers
    procs: Integers
    gpus: Integers
    dynamic_w: Floats
    user: Integers

    def __len__(self) -> int:
        """Number of jobs."""
        return int(self.row.size)


def demands(
    workload: Workload,
    platform: Platform,
    policy: Policy,
    earlier: Sequence[RunningQuantile] | None = None,
    first_row: int = 0,
) -> list[Demand]:
    """Split a workload by partition; an error names the first job that can never run.

    Of a chunk, `earlier`, one a partition, knows the requests of the chunks before it, and learns
    its own; rows count from `first_row`.
    """
    names = [*JOB_COLUMNS]
    if policy.estimate not in ESTIMATES:
        _refuse_unknown(workload, policy.estimate)
        names.append(policy.estimate)
    # Copies: pandas gives read-only arrays, for which Numba would compile anew.
    columns = {
        name: np.array(workload.jobs[name].to_numpy(dtype=JOB_COLUMNS.get(name, np.float64)))
        for name in names
    }
    number = np.arange(first_row, first_row + len(workload))
    return [
        demand(
            {name: column[rows] for name, column in columns.items()},
            number[rows],
            partition,
            policy,
            None if earlier is None else earlier[at],
        )
        for at, (partition, rows) in enumerate(partition_rows(workload, platform))
    ]


def demand(
    columns: Mapping[str, np.ndarray],
    row: Integers,
    partition: Partition,
    policy: Policy,
    earlier: RunningQuantile | None = None,
) -> Demand:
    """Demand of jobs that all go to one partition.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_jobs,)
        Those of :data:`JOB_COLUMNS`, as a workload has them, and what the policy predicts with.
    row : ndarray of int64, shape (n_jobs,)
        Their rows in the workload.
    partition, policy : Partition, Policy
    earlier : RunningQuantile, optional
        The requests of jobs submitted before these; it learns theirs.

    Raises
    ------
    ValueError
        A job can never run.
    """
    runtime, request, asked = columns["runtime_s"], columns["requested_s"], columns["procs"]
    if policy.kill_at_request:
        runtime = np.fmin(runtime, request)
    milli_gpus = np.rint(columns["gpus"] * MILLI).astype(np.int64)
    taken = _taken(partition, asked, milli_gpus)
    _refuse_larger(columns["job"], partition, *taken)
    filled = _filled_s(columns["submit_s"], request, runtime, policy, earlier)
    return Demand(
        row,
        columns["job"],
        columns["submit_s"],
        runtime,
        filled,
        _estimate_s(policy, filled, runtime, columns),
        asked,
        milli_gpus,
        *taken,
        partition.dynamic_w(asked, columns["gpus"], columns["power_w"]),
        columns["user"],
    )


def _filled_s(
    submit: Floats,
    request: Floats,
    runtime: Floats,
    policy: Policy,
    earlier: RunningQuantile | None,
) -> Floats:
    """Request of each job, or what the policy takes for a missing one."""
    missing = np.isnan(request)
    if policy.missing_request == "runtime":
        return np.where(missing, runtime, request)
    if earlier is None and not missing.any():
        return request
    return np.where(missing, (earlier or RunningQuantile()).before_s(submit, request), request)


def _refuse_unknown(workload: Workload, column: str) -> None:
    if column not in workload.jobs.columns:
        raise ValueError(
            f"estimate(={column!r}) is neither one of {', '.join(ESTIMATES)} nor a "
            f"column of {workload.name}: {', '.join(map(str, workload.jobs.columns))}."
        )


def _estimate_s(
    policy: Policy, request: Floats, runtime: Floats, columns: Mapping[str, np.ndarray]
) -> Floats:
    """Estimate of each job as far as it is known before the replay."""
    if policy.estimate == "actual":
        return runtime
    if policy.estimate in ESTIMATES:
        return request
    predicted = columns[policy.estimate]
    known = np.isfinite(predicted) & (predicted > 0)
    return np.where(known, np.minimum(predicted, request), request)


def partition_rows(workload: Workload, platform: Platform) -> list[tuple[Partition, Rows]]:
    """Rows of the jobs that go to each partition."""
    if len(platform.partitions) == 1:
        return [(platform.partitions[0], slice(None))]
    number = workload.jobs["partition"].to_numpy()
    known = [partition.number for partition in platform.partitions]
    lost = ~np.isin(number, known)
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        raise ValueError(
            f"job {workload.jobs['job'].iloc[row]} names partition {number[row]}; the platform "
            f"has {known}."
        )
    return [(part, np.flatnonzero(number == part.number)) for part in platform.partitions]


def _taken(partition: Partition, asked: Integers, gpus: Integers) -> tuple[Integers, Integers]:
    """Processors and thousandths of GPUs that jobs take: what they ask for, or whole nodes."""
    if not partition.exclusive:
        return asked, gpus
    procs_per_node = partition.procs // partition.nodes
    gpus_per_node = MILLI * partition.gpus // partition.nodes
    nodes = -(-asked // procs_per_node)
    if gpus_per_node:
        nodes = np.maximum(nodes, -(-gpus // gpus_per_node))
    return nodes * procs_per_node, np.maximum(gpus, nodes * gpus_per_node)


def _refuse_larger(number: Integers, partition: Partition, procs: Integers, gpus: Integers) -> None:
    sizes = {"processors": (procs, partition.procs), "GPUs": (gpus / MILLI, partition.gpus)}
    for what, (taken, there) in sizes.items():
        if taken.size and taken.max() > there:
            raise ValueError(
                f"job {number[taken.argmax()]} takes {taken.max():g} {what}, more than the {there} "
                "of its partition: it can never run; pass the platform that the workload was "
                "recorded on."
            )
