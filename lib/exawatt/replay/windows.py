"""Windows of a log as the reference protocol of learned scheduling takes them.

References
----------
.. [1] D. Zhang et al., "RLScheduler: An Automated HPC Batch Job Scheduler Using Reinforcement
   Learning", SC'20, and the code published with it.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.readers.files import read_file
from exawatt.readers.swf import FIELDS
from exawatt.workload import Workload

#: Where the ten windows of the published tables begin.
RLSCHEDULER_STARTS = (1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085)
RLSCHEDULER_LENGTH = 1024
#: The protocol looks at no more jobs than this, and lets a negative runtime count as 10 s.
FIRST_JOBS = 10_000
NEGATIVE_RUNTIME_S = 10.0


def windows(
    workload: Workload,
    starts: Sequence[int] = RLSCHEDULER_STARTS,
    length: int = RLSCHEDULER_LENGTH,
) -> list[Workload]:
    """Runs of successive jobs, each to be replayed on an empty machine.

    Parameters
    ----------
    workload : Workload
        The log. Where it was read from a file, that file is read again, because the protocol
        keeps jobs that cleaning drops.
    starts : sequence of int
        Index of each window's first job among the jobs that the protocol takes.
    length : int
        Jobs in a window.

    Returns
    -------
    list of Workload
        Submissions keep the file's own origin. A missing request stays missing; the protocol
        replaces it by the runtime, as ``Policy(missing_request="runtime")`` does.

    Raises
    ------
    ValueError
        A window does not lie within the jobs.

    Notes
    -----
    The jobs are the first 10,000 of those whose runtime is not zero, by job number. A negative
    runtime counts as 10 s. A job takes the larger of its allocated and requested processors.
    """
    jobs = protocol_jobs(workload)
    inside = [0 <= start <= len(jobs) - length for start in starts]
    if length < 1 or not all(inside):
        raise ValueError(
            f"starts(={tuple(starts)}) and length(={length}) must lie within the {len(jobs)} jobs "
            f"that the protocol takes of {workload.name}."
        )
    return [
        Workload(
            jobs.iloc[start : start + length],
            procs=workload.procs,
            name=f"{workload.name}[{start}:{start + length}]",
            source=workload.source,
            sha256=workload.sha256,
            nodes=workload.nodes,
            start=workload.start,
            timezone=workload.timezone,
            tier=workload.tier,
        )
        for start in starts
    ]


def protocol_jobs(workload: Workload) -> pd.DataFrame:
    """Jobs that the windows are cut from, by job number."""
    rows = _rows(workload)
    rows = rows[rows["runtime_s"] != 0].sort_values("job", kind="stable").head(FIRST_JOBS)
    runtime_s = rows["runtime_s"].mask(rows["runtime_s"] < 0, NEGATIVE_RUNTIME_S)
    requested_s = rows["requested_s"].mask(rows["requested_s"] < 0)
    table = {
        "job": rows["job"],
        "submit_s": rows["submit_s"],
        "runtime_s": runtime_s,
        "requested_s": requested_s,
        "procs": np.maximum(rows["allocated_procs"], rows["requested_procs"]),
        "user": rows["user"],
    }
    return pd.DataFrame(table).reset_index(drop=True)


def _rows(workload: Workload) -> pd.DataFrame:
    """Every job as its file has it, -1 for unknown; those of a generated trace as they are."""
    if workload.source and Path(workload.source).is_file():
        text, _, _ = read_file(Path(workload.source))
        return pd.read_csv(BytesIO(text), sep=r"\s+", comment=";", header=None, names=FIELDS)
    jobs = workload.jobs
    procs = {"allocated_procs": jobs["procs"], "requested_procs": jobs["procs"]}
    return jobs.assign(**procs)
