"""Which processors a job ran on: the lowest-numbered free ones."""

import numpy as np
from numba import njit

from exawatt.replay.schedule import Schedule


def allocate_processors(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Name the processors of every job of a schedule.

    Returns
    -------
    offsets : ndarray of int64, shape (n_jobs + 1,)
    ids : ndarray of int64, shape (offsets[-1],)
        Job `i`, in workload order, ran on processors ``ids[offsets[i]:offsets[i + 1]]``,
        numbered from 0: the lowest-numbered ones free when it started. Jobs that start at one
        instant choose in the order of submission.
    """
    starts = np.argsort(schedule.start_s, kind="stable")
    ends = np.argsort(schedule.end_s, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(schedule.procs)])
    ids = _allocate(
        schedule.start_s, schedule.end_s, starts, ends, offsets, schedule.platform.procs
    )
    return offsets, ids


@njit(cache=True)
def _allocate(start_s, end_s, starts, ends, offsets, machine_procs):  # type: ignore[no-untyped-def]
    ids = np.empty(offsets[-1], np.int64)
    free = np.ones(machine_procs, np.bool_)
    ended = 0
    for job in starts:
        while ended < ends.size and end_s[ends[ended]] <= start_s[job]:
            done = ends[ended]
            for slot in range(offsets[done], offsets[done + 1]):
                free[ids[slot]] = True
            ended += 1
        proc = 0
        for slot in range(offsets[job], offsets[job + 1]):
            while not free[proc]:
                proc += 1
            free[proc] = False
            ids[slot] = proc
    return ids
