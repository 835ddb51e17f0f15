"""What starting and ending a job does to the machine and the queue."""

import numpy as np

from exawatt.replay.compiling import compiled_inline
from exawatt.replay.extras import WAKING, settle
from exawatt.replay.lanes import discard, insert, new_list, u
from exawatt.replay.nodes import give_back, take
from exawatt.replay.state import (
    BLOCKED,
    CAPPED,
    EXTRA,
    FREE,
    FREE_GPUS,
    GAP,
    GAPS,
    HEAD,
    LANES,
    LAST,
    LEFT_UW,
    SEEN,
    STARTED,
    TAIL,
    Cluster,
    Integers,
    State,
)


def new_cluster(machine_procs: int, job_procs: Integers) -> Cluster:
    """Empty machine of `machine_procs` processors, for jobs that take `job_procs` of them."""
    n = job_procs.size
    counts = np.zeros(11, np.int64)
    counts[[FREE, LAST, EXTRA, BLOCKED]] = machine_procs, LANES - 1, -1, -1
    room = n + 2 * LANES
    queue_procs = np.full(room, GAP)
    run_end, run_job = new_list(min(n, machine_procs))
    return Cluster(
        counts,
        np.full(2, -np.inf),
        run_end,
        run_job,
        job_procs,
        np.full(n, np.nan),
        np.empty(room, np.int64),
        queue_procs,
        np.empty(room),
    )


@compiled_inline
def load_state(cluster):  # type: ignore[no-untyped-def]
    """State as it was stored."""
    c = cluster.counts
    return State(
        c[FREE],
        c[LAST],
        c[HEAD],
        c[TAIL],
        c[GAPS],
        c[SEEN],
        c[EXTRA],
        c[STARTED],
        cluster.times[0],
    )


@compiled_inline
def store_state(cluster, s):  # type: ignore[no-untyped-def]
    """Keep the state in the cluster's arrays."""
    c = cluster.counts
    c[FREE], c[LAST], c[HEAD], c[TAIL] = s.free, s.last, s.head, s.tail
    c[GAPS], c[SEEN], c[EXTRA], c[STARTED] = s.gaps, s.seen, s.extra, s.started
    cluster.times[0] = s.shadow


@compiled_inline
def occupy(cluster, s, slot, now, level, easy, history, extras, nodes, started, clock):  # type: ignore[no-untyped-def]
    """Start the job in a queue slot at a frequency level.

    Returns
    -------
    State
        The slot is a gap then, unless it was the head's.
    float
        Start of the job [s], later than now if nodes must wake.
    """
    free, last, head, tail, gaps, seen, extra, n_started, shadow = s
    job, procs = cluster.queue[u(slot)], cluster.queue_procs[u(slot)]
    begin, stretch = now, 1.0
    if extras is not None:
        stretch = extras.stretch[level]
        if nodes is not None:
            begin = take(nodes, job, procs, now)
        extras.level[job] = level
        extras.chosen_s[job] = now
        extras.begin_s[job] = begin
        extras.amounts[FREE_GPUS] -= extras.gpus[job]
        if extras.amounts[CAPPED] > 0:
            extras.amounts[LEFT_UW] -= extras.uw[job, level]
        settle(job, now, WAKING, extras)
        extras.waits[job, WAKING] += begin - now
    if history is not None:
        history.begin_s[job] = begin
        history.stretch[job] = stretch
    started[u(n_started)] = job
    if easy is not None:
        end = begin + cluster.queue_estimate[u(slot)]
        if extras is not None:
            end = begin + stretch * cluster.queue_estimate[u(slot)]
        cluster.job_end[u(job)] = end
        insert(cluster.run_end, cluster.run_job, last, end, job)
    clock.start_s[u(job)] = begin
    executed = clock.runtime_s[u(job)]
    if extras is not None:
        executed *= stretch
    insert(clock.end, clock.job, last, begin + executed, job)
    cluster.queue_procs[u(slot)] = GAP
    if slot == head:
        head += 1
    else:
        gaps += 1
    s = State(free - procs, last + 1, head, tail, gaps, seen, extra, n_started + 1, shadow)
    return s, begin


@compiled_inline
def release(cluster, s, job, now, easy, extras, nodes):  # type: ignore[no-untyped-def]
    """Take back what a job held; nothing is known of the shadow then."""
    if extras is not None:
        extras.amounts[FREE_GPUS] += extras.gpus[job]
        if extras.amounts[CAPPED] > 0:
            extras.amounts[LEFT_UW] += extras.uw[job, extras.level[job]]
        if nodes is not None:
            give_back(nodes, job, now)
    if easy is not None:
        discard(cluster.run_end, cluster.run_job, s.last, cluster.job_end[u(job)], job)
    free = s.free + cluster.job_procs[u(job)]
    return State(free, s.last - 1, s.head, s.tail, s.gaps, 0, -1, s.started, s.shadow)


@compiled_inline
def close_gaps(cluster, s):  # type: ignore[no-untyped-def]
    """Empty an empty queue; move the jobs to its front when gaps are half of it."""
    free, last, head, tail, gaps, seen, extra, n_started, shadow = s
    waiting = tail - head - gaps
    if waiting == 0:
        head = tail = gaps = seen = 0
        extra = -1
    elif tail > 2 * waiting + 16:
        queue, procs, estimate = cluster.queue, cluster.queue_procs, cluster.queue_estimate
        to = 0
        for slot in range(head, tail):
            size = procs[u(slot)]
            queue[u(to)] = queue[u(slot)]
            procs[u(to)] = size
            estimate[u(to)] = estimate[u(slot)]
            to += size != GAP
        for slot in range(to, tail):
            procs[u(slot)] = GAP
        # The seen ones are those of this pass: all.
        head, tail, gaps, seen = 0, to, 0, min(seen, to)
    return State(free, last, head, tail, gaps, seen, extra, n_started, shadow)
