"""Which processors a job ran on: the lowest-numbered free ones."""

import numpy as np

from exawatt.replay.compiling import compiled
from exawatt.replay.demand import demands
from exawatt.replay.nodes import fall_asleep, give_back, take
from exawatt.replay.schedule import Schedule
from exawatt.replay.state import new_nodes


def allocate_processors(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Name the processors of every job of a schedule.

    Returns
    -------
    offsets : ndarray of int64, shape (n_jobs + 1,)
    ids : ndarray of int64, shape (offsets[-1],)
        Job `i`, in workload order, held processors ``ids[offsets[i]:offsets[i + 1]]``, numbered
        from 0, partition by partition: the lowest-numbered ones that were free when it was
        chosen, those of sleeping nodes last. Where nodes are allocated whole, all of theirs.
    """
    platform, sleep_after_s = schedule.platform, schedule.policy.sleep_after_s
    parts = demands(schedule.workload, platform, schedule.policy)
    taken = np.empty(len(schedule.workload), np.int64)
    for demand in parts:
        taken[demand.row] = demand.procs
    offsets = np.concatenate([[0], np.cumsum(taken)])
    ids = np.empty(offsets[-1], np.int64)
    first = 0
    for partition, demand in zip(platform.partitions, parts, strict=True):
        nodes = new_nodes(
            partition.nodes,
            partition.procs,
            float(demand.submit_s[0]) if len(demand) else 0.0,
            len(schedule.workload),
            np.inf if sleep_after_s is None else sleep_after_s,
            partition.fall_asleep_s,
            partition.wake_s,
            int(demand.procs.sum()) + partition.nodes,
        )
        chosen = demand.row[np.argsort(schedule.sequence[demand.row])]
        ended = demand.row[np.argsort(schedule.end_s[demand.row], kind="stable")]
        times = (schedule.chosen_s, schedule.end_s)
        _allocate(*times, chosen, ended, taken, offsets, first, nodes, ids)
        first += partition.procs
    return offsets, ids


@compiled
def _allocate(chosen_s, end_s, chosen, ended, taken, offsets, first, nodes, ids):  # type: ignore[no-untyped-def]
    done = 0
    for job in chosen:
        while done < ended.size and end_s[ended[done]] <= chosen_s[job]:
            give_back(nodes, ended[done], end_s[ended[done]])
            done += 1
        fall_asleep(nodes, chosen_s[job])
        take(nodes, job, taken[job], chosen_s[job])
        slot, proc = offsets[job], nodes.job_proc[job]
        while proc >= 0:
            ids[slot] = first + proc
            slot += 1
            proc = nodes.next_proc[proc]
