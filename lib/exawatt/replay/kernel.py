"""The replay itself: one Numba source over plain arrays.

:func:`decide` makes one scheduling pass over a :class:`Cluster`; :func:`simulate` is the event
loop that calls it. Whoever drives a cluster by other means (an environment, a protocol) calls
:func:`enqueue`, :func:`finish` and :func:`decide` alike.

Features that a policy does not use are passed as ``None``: Numba compiles their branches away, so
the fast path is the general one, specialised.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from exawatt.stats import Floats

Integers = NDArray[np.int64]

# Nothing here allocates, so Numba's reference counting is off (it doubles the time of a replay),
# and all is inlined into one function (a call would pass the seven arrays of a cluster).
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
compiled = njit(**_OPTIONS)
compiled_inline = njit(**_OPTIONS, inline="always")

# Slots of Cluster.counts.
FREE, RUNNING, HEAD, TAIL, SEEN = 0, 1, 2, 3, 4


class Cluster(NamedTuple):
    """What a scheduler knows of the machine, changed in place.

    Attributes
    ----------
    counts : ndarray of int64, shape (5,)
        Free processors, running jobs, the queue's first and one-past-last slot, and the slot
        before which every job was refused since a job last ended.
    run_end, run_job, run_procs : ndarray, shape (max_running,)
        Running jobs by ascending expected end [s]; kept only for backfilling.
    queue, queue_procs, queue_estimate : ndarray, shape (n_jobs,)
        Waiting jobs in queue order, with their processors and estimated runtimes [s].
    """

    counts: np.ndarray
    run_end: np.ndarray
    run_job: np.ndarray
    run_procs: np.ndarray
    queue: np.ndarray
    queue_procs: np.ndarray
    queue_estimate: np.ndarray


def new_cluster(n_jobs: int, machine_procs: int) -> Cluster:
    """Empty machine of `machine_procs` processors, for at most `n_jobs` jobs."""
    counts = np.zeros(5, np.int64)
    counts[FREE] = machine_procs
    most = min(n_jobs, machine_procs)
    return Cluster(
        counts,
        np.empty(most, np.float64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(n_jobs, np.int64),
        np.empty(n_jobs, np.int64),
        np.empty(n_jobs, np.float64),
    )


@compiled_inline
def enqueue(cluster, job, procs, estimate_s):  # type: ignore[no-untyped-def]
    """Put a submitted job at the end of the queue."""
    tail = cluster.counts[TAIL]
    cluster.queue[tail] = job
    cluster.queue_procs[tail] = procs
    cluster.queue_estimate[tail] = estimate_s
    cluster.counts[TAIL] = tail + 1


@compiled_inline
def finish(cluster, job, procs, backfill):  # type: ignore[no-untyped-def]
    """Give back the processors of a job that has ended."""
    counts = cluster.counts
    counts[FREE] += procs
    if backfill is not None:
        run_end, run_job, run_procs = cluster.run_end, cluster.run_job, cluster.run_procs
        n = counts[RUNNING]
        at = 0
        while run_job[at] != job:
            at += 1
        for i in range(at, n - 1):
            run_end[i] = run_end[i + 1]
            run_job[i] = run_job[i + 1]
            run_procs[i] = run_procs[i + 1]
        counts[RUNNING] = n - 1
        counts[SEEN] = 0


@compiled_inline
def decide(cluster, now, backfill, started):  # type: ignore[no-untyped-def]
    """Make one scheduling pass: choose the jobs that start now.

    Parameters
    ----------
    cluster : Cluster
        After all completions and submissions of this instant; the chosen jobs move from the
        queue to the running.
    now : float
        The instant [s].
    backfill : bool or None
        Whether to backfill as EASY does.
    started : ndarray of int64, shape (n_jobs,)
        Receives the chosen jobs, in the order in which they were chosen.

    Returns
    -------
    int
        How many were chosen.

    Notes
    -----
    EASY: the head of the queue starts while it fits. When it does not, its *shadow* time is
    the first expected end at which enough processors will be free, and *extra* is what is left
    over then. Behind it a job may start that fits now and either ends by the shadow time or
    needs no more than the extra processors.
    """
    counts, queue, queue_procs = cluster.counts, cluster.queue, cluster.queue_procs
    head, tail = counts[HEAD], counts[TAIL]
    n_started = 0
    while head < tail and queue_procs[head] <= counts[FREE]:
        started[n_started] = queue[head]
        n_started += 1
        _start(cluster, head, now, backfill)
        head += 1
    counts[HEAD] = head
    if backfill is not None:
        n_started = _backfill(cluster, now, backfill, started, n_started)
    if counts[HEAD] == tail:
        counts[HEAD] = counts[TAIL] = counts[SEEN] = 0
    return n_started


@compiled_inline
def _backfill(cluster, now, backfill, started, n_started):  # type: ignore[no-untyped-def]
    """Start what does not delay the head; close the gaps this leaves in the queue.

    While no job has ended and none is overdue, the head's shadow stands, so that whoever was
    refused stays refused: only jobs that came since need a look.
    """
    counts, queue = cluster.counts, cluster.queue
    procs, estimate = cluster.queue_procs, cluster.queue_estimate
    head, tail = counts[HEAD], counts[TAIL]
    free = counts[FREE]
    first = head + 1
    if counts[SEEN] > first and cluster.run_end[0] > now:
        first = counts[SEEN]
    counts[SEEN] = tail
    shadow, extra = -np.inf, np.int64(-1)
    last = head
    for at in range(first, tail):
        if procs[at] <= free:
            if extra < 0:
                shadow, extra = reservation(cluster, now, procs[head])
            in_time = now + estimate[at] <= shadow
            if in_time or procs[at] <= extra:
                if not in_time:
                    extra -= procs[at]
                started[n_started] = queue[at]
                n_started += 1
                _start(cluster, at, now, backfill)
                queue[at] = -1
                last = at
                free = counts[FREE]
                if free == 0:
                    break
    if last == head:
        return n_started
    # Move those who stay before the last gap up to it: the queue stays in one run.
    to = last
    for at in range(last, head - 1, -1):
        if queue[at] >= 0:
            queue[to] = queue[at]
            procs[to] = procs[at]
            estimate[to] = estimate[at]
            to -= 1
    counts[HEAD] = to + 1
    return n_started


@compiled_inline
def reservation(cluster, now, head_procs):  # type: ignore[no-untyped-def]
    """Shadow time [s] of a head that does not fit, and the extra processors at it.

    A running job whose expected end is past is expected to end one second from now.
    """
    n, ends, procs = cluster.counts[RUNNING], cluster.run_end, cluster.run_procs
    free = cluster.counts[FREE]
    overdue = 0
    at = 0
    while at < n and ends[at] <= now:
        overdue += procs[at]
        at += 1
    soon = now + 1.0
    while True:
        if overdue > 0 and (at == n or soon <= ends[at]):
            shadow = soon
            free += overdue
            overdue = 0
        else:
            shadow = ends[at]
        while at < n and ends[at] == shadow:
            free += procs[at]
            at += 1
        if free >= head_procs:
            return shadow, free - head_procs


@compiled_inline
def _start(cluster, slot, now, backfill):  # type: ignore[no-untyped-def]
    """Take the processors of the job in a queue slot; file it by its expected end."""
    counts = cluster.counts
    procs = cluster.queue_procs[slot]
    counts[FREE] -= procs
    if backfill is not None:
        run_end, run_job, run_procs = cluster.run_end, cluster.run_job, cluster.run_procs
        end = now + cluster.queue_estimate[slot]
        at = counts[RUNNING]
        while at > 0 and run_end[at - 1] > end:
            run_end[at] = run_end[at - 1]
            run_job[at] = run_job[at - 1]
            run_procs[at] = run_procs[at - 1]
            at -= 1
        run_end[at] = end
        run_job[at] = cluster.queue[slot]
        run_procs[at] = procs
        counts[RUNNING] += 1


def simulate(
    submit_s: Floats,
    runtime_s: Floats,
    procs: Integers,
    estimate_s: Floats,
    machine_procs: int,
    backfill: bool | None,
) -> Floats:
    """Replay jobs on an empty machine.

    Parameters
    ----------
    submit_s, runtime_s, estimate_s : ndarray of float64, shape (n_jobs,)
        Submission (ascending), executed runtime (positive) and estimated runtime [s].
    procs : ndarray of int64, shape (n_jobs,)
        Processors, each between 1 and `machine_procs`.
    machine_procs : int
        Processors of the machine.
    backfill : bool or None
        Whether to backfill as EASY does.

    Returns
    -------
    ndarray of float64, shape (n_jobs,)
        Start of each job [s].

    Notes
    -----
    An instant is: all completions, then all submissions, then one pass.
    """
    n = submit_s.size
    most = min(n, machine_procs)
    start_s = np.empty(n, np.float64)
    cluster = new_cluster(n, machine_procs)
    started, heap_end, heap_job = np.empty(n, np.int64), np.empty(most), np.empty(most, np.int64)
    _simulate(
        submit_s,
        runtime_s,
        procs,
        estimate_s,
        backfill,
        cluster,
        started,
        heap_end,
        heap_job,
        start_s,
    )
    return start_s


@compiled
def _simulate(  # type: ignore[no-untyped-def]
    submit_s, runtime_s, procs, estimate_s, backfill, cluster, started, heap_end, heap_job, start_s
):
    """Event loop; `heap_end` and `heap_job` are a binary heap of the real ends."""
    n = submit_s.size
    running = 0
    submitted = 0
    while submitted < n or running > 0:
        if running == 0 or (submitted < n and submit_s[submitted] < heap_end[0]):
            now = submit_s[submitted]
        else:
            now = heap_end[0]
        while running > 0 and heap_end[0] <= now:
            job = heap_job[0]
            finish(cluster, job, procs[job], backfill)
            running -= 1
            _sift_down(heap_end, heap_job, running)
        while submitted < n and submit_s[submitted] <= now:
            enqueue(cluster, submitted, procs[submitted], estimate_s[submitted])
            submitted += 1
        for i in range(decide(cluster, now, backfill, started)):
            job = started[i]
            start_s[job] = now
            _sift_up(heap_end, heap_job, running, now + runtime_s[job], job)
            running += 1


@compiled_inline
def _sift_up(heap_end, heap_job, at, end, job):  # type: ignore[no-untyped-def]
    """Put an end into a heap of `at` entries."""
    while at > 0:
        parent = (at - 1) >> 1
        if heap_end[parent] <= end:
            break
        heap_end[at] = heap_end[parent]
        heap_job[at] = heap_job[parent]
        at = parent
    heap_end[at] = end
    heap_job[at] = job


@compiled_inline
def _sift_down(heap_end, heap_job, size):  # type: ignore[no-untyped-def]
    """Take the root out of a heap; `size` entries remain."""
    end, job = heap_end[size], heap_job[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap_end[child + 1] < heap_end[child]:
            child += 1
        if heap_end[child] >= end:
            break
        heap_end[at] = heap_end[child]
        heap_job[at] = heap_job[child]
        at = child
    heap_end[at] = end
    heap_job[at] = job
