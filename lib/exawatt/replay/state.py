"""State of a replay as plain arrays, changed in place by compiled functions.

Each class is one feature. A replay that does not use a feature passes ``None`` instead, and Numba
compiles its branches away: the fast path is the general one, specialised.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

#: Entries that one vector step handles.
LANES = 8
#: Size of a gap in the queue: it fits nowhere.
GAP = 1 << 40


class State(NamedTuple):
    """Scalars of a machine: a tuple, so that a loop keeps them in registers.

    Attributes
    ----------
    free : int
        Free processors.
    last : int
        Last slot of the running jobs, ``LANES - 1`` when there is none.
    head, tail, gaps : int
        The queue's first and one-past-last slot, and the gaps between them.
    seen : int
        Slot before which every job was refused since a job last ended.
    extra : int
        Processors extra at the shadow time, -1 when the shadow is not known.
    started : int
        Jobs started so far.
    shadow : float
        Shadow time of the head [s].
    """

    free: int
    last: int
    head: int
    tail: int
    gaps: int
    seen: int
    extra: int
    started: int
    shadow: float


# Slots of Cluster.counts: the integers of State in the same order, between calls; then jobs
# submitted, the blocked head of the last pass, and scores that were no number.
FREE, LAST, HEAD, TAIL, GAPS, SEEN, EXTRA, STARTED, SUBMITTED, BLOCKED, NAN_SCORES = range(11)


class Cluster(NamedTuple):
    """What every scheduler knows of the machine.

    Attributes
    ----------
    counts : ndarray of int64, shape (11,)
        See the names above.
    times : ndarray of float64, shape (2,)
        Shadow time of State between calls, and the latest instant [s].
    run_end, run_job : ndarray, shape (max_running + 24,)
        Running jobs by descending expected end [s], see :mod:`~exawatt.replay.lanes`; kept only
        for backfilling.
    job_procs, job_end : ndarray, shape (capacity,)
        By job: processors that it takes, and, while it runs, its expected end [s].
    queue, queue_procs, queue_estimate : ndarray, shape (capacity + 16,)
        Waiting jobs in order of submission, with the processors they take and their estimated
        runtimes [s]. Slots without a job have a size of GAP, eight behind the tail too.
    """

    counts: np.ndarray
    times: np.ndarray
    run_end: np.ndarray
    run_job: np.ndarray
    job_procs: np.ndarray
    job_end: np.ndarray
    queue: np.ndarray
    queue_procs: np.ndarray
    queue_estimate: np.ndarray


class Clock(NamedTuple):
    """What a replay knows and a scheduler may not.

    Attributes
    ----------
    end, job : ndarray, shape (max_running + 24,)
        Running jobs by descending real end [s].
    runtime_s, start_s : ndarray, shape (capacity,)
        By job: executed runtime at full frequency, and start [s].
    ended : ndarray of int64, shape (max_running,)
        Room for the jobs that end in one instant.
    """

    end: np.ndarray
    job: np.ndarray
    runtime_s: np.ndarray
    start_s: np.ndarray
    ended: np.ndarray


class Order(NamedTuple):
    """An order of the queue other than first come, first served.

    Attributes
    ----------
    code, dynamic, committed : int
        Which formula; whether it depends on the time; whether a blocked head stays.
    machine_procs, machine_gpus, first_s : float
        Size of the partition, and the first submission [s].
    submit_s, asked, estimate_s, gpus, score : ndarray, shape (capacity,)
        By job: submission [s], processors asked for, estimate at submission [s], GPUs and the
        latest score.
    factors : ndarray of float64, shape (5,)
        Weights of age, size and share, longest age [s] and half-life [s] of a Multifactor.
    user, usage, users : ndarray
        By job, its user; by user, decayed processor-seconds, the last entry their sum; by user,
        whether seen, the last entry their number.
    sizes, weights, buffer, known : ndarray
        Layers of a Scorer, room for its neurons, and, shape (capacity, 3), what never changes of
        each job's features.
    """

    code: int
    dynamic: int
    committed: int
    machine_procs: float
    machine_gpus: float
    first_s: float
    submit_s: np.ndarray
    asked: np.ndarray
    estimate_s: np.ndarray
    gpus: np.ndarray
    score: np.ndarray
    factors: np.ndarray
    user: np.ndarray
    usage: np.ndarray
    users: np.ndarray
    sizes: np.ndarray
    weights: np.ndarray
    buffer: np.ndarray
    known: np.ndarray


class Ranked(NamedTuple):
    """Room to look at backfill candidates in another order than that of submission.

    Attributes
    ----------
    code : int
        Formula of their order; -1: that of the queue.
    slot, key, tie : ndarray, shape (capacity,)
        A binary heap of candidates: queue slot, and what they are ordered by.
    submit_s, asked : ndarray, shape (capacity,)
        By job.
    """

    code: int
    slot: np.ndarray
    key: np.ndarray
    tie: np.ndarray
    submit_s: np.ndarray
    asked: np.ndarray


class Profile(NamedTuple):
    """What will be free, and when: the reservations of conservative backfilling.

    Attributes
    ----------
    size : ndarray of int64, shape (2,)
        Number of steps, and whether all that happened since the last pass is submissions.
    next_s : ndarray of float64, shape (1,)
        When the earliest reservation begins [s]; infinite while a job is past its expected end.
    time, procs, gpus, uw : ndarray, shape (2 * (max_running + capacity) + 4,)
        From each time on so much is free, until the next: processors, thousandths of GPUs, µW.
    reserved_s : ndarray, shape (capacity,)
        By job, when its reservation begins [s]; infinite without one.
    slot, key, tie : ndarray, shape (capacity,)
        A binary heap to put the queue in order.
    """

    size: np.ndarray
    next_s: np.ndarray
    time: np.ndarray
    procs: np.ndarray
    gpus: np.ndarray
    uw: np.ndarray
    reserved_s: np.ndarray
    slot: np.ndarray
    key: np.ndarray
    tie: np.ndarray


class History(NamedTuple):
    """Estimates that come from users' past, or change while a job runs.

    Attributes
    ----------
    last2, correction : int
        Whether estimates are the mean of a user's last two runtimes; which correction.
    user : ndarray of int64, shape (capacity,)
        By job.
    last_s, completed : ndarray, shapes (n_users, 2) and (n_users,)
        By user, the last two runtimes [s], newest first, and how many jobs completed.
    request_s, estimate_s, begin_s, stretch, overruns : ndarray, shape (capacity,)
        By job: request [s], current estimate [s], start [s], how many times as long it takes at
        its frequency, and how many increments it has had.
    """

    last2: int
    correction: int
    user: np.ndarray
    last_s: np.ndarray
    completed: np.ndarray
    request_s: np.ndarray
    estimate_s: np.ndarray
    begin_s: np.ndarray
    stretch: np.ndarray
    overruns: np.ndarray


# Slots of Extras.amounts: free thousandths of GPUs; microwatts that a cap leaves, all nodes awake,
# now and with no job; microwatts that a fully sleeping node gives back; whether there is a cap, 1
# or 0.
FREE_GPUS, LEFT_UW, WHOLE_UW, ASLEEP_UW, CAPPED = range(5)


class Outlook(NamedTuple):
    """What a carbon hold knows of the intensity to come, and what it makes of that.

    Attributes
    ----------
    rule, leads : int
        Which rule; half-hours of a forecast.
    keep, bound : float
        Waiting needs an intensity below this part of the present one; threshold [gCO2/kWh], or
        part of the half-hours that must be cleaner, 0 where one is enough.
    budget_s, first_s : float
        Longest hold of a job [s]; first issue on the trace's clock [s].
    now, later : ndarray, shape (n_issues, n_leads + 1) or (n_issues, n_leads)
        Forecast intensity, of what begins in the present half-hour and of what begins in a later
        one: for rules that look at whole runs summed up to the beginning of each half-hour, for
        the others by half-hour.
    """

    rule: int
    leads: int
    keep: float
    bound: float
    budget_s: float
    first_s: float
    now: np.ndarray
    later: np.ndarray


class Extras(NamedTuple):
    """GPUs, watts, frequencies, holds, guards, and why each job waited.

    Attributes
    ----------
    amounts : ndarray of int64, shape (5,)
        See the names above.
    submit_s, gpus : ndarray, shape (capacity,)
        By job: submission [s] and thousandths of GPUs.
    uw : ndarray of int64, shape (capacity, n_levels)
        By job and frequency level: what it adds under a cap [µW].
    stretch : ndarray, shape (n_levels,)
        How many times as long a job takes at each level.
    max_wait_s : float
        Wait beyond which a job starves [s].
    outlook : Outlook
        For holds.
    latest_s : ndarray, shape (capacity,)
        By job, the moment after which no hold may end [s].
    level, chosen_s, begin_s, held_s, held_until : ndarray, shape (capacity,)
        By job: frequency level, moment at which it was chosen [s], start [s], seconds held so
        far, and the moment until which it is held.
    looked : ndarray, shape (capacity, 2)
        By job, when a hold first looked at it [s], and the mean intensity that its run would have
        had by the forecast of then.
    cause, since, waits : ndarray, shapes (capacity,), (capacity,), (capacity, 6)
        By job: why it waits now, since when, and seconds by cause so far.
    moments : ndarray of float64, shape (2,)
        When held jobs are next looked at, and when a node is next fully asleep [s].
    """

    amounts: np.ndarray
    submit_s: np.ndarray
    gpus: np.ndarray
    uw: np.ndarray
    stretch: np.ndarray
    max_wait_s: float
    outlook: Outlook
    latest_s: np.ndarray
    level: np.ndarray
    chosen_s: np.ndarray
    begin_s: np.ndarray
    held_s: np.ndarray
    held_until: np.ndarray
    looked: np.ndarray
    cause: np.ndarray
    since: np.ndarray
    waits: np.ndarray
    moments: np.ndarray


# States of a node, and slots of Nodes.counts: free processors of nodes that are awake; nodes fully
# asleep; sleeps logged.
AWAKE, FALLING, ASLEEP = range(3)
AWAKE_FREE, SLEEPERS, LOGGED = range(3)


class Nodes(NamedTuple):
    """Which processors each job holds, and which nodes sleep.

    Attributes
    ----------
    counts : ndarray of int64, shape (3,)
        See the names above.
    sleep_after_s, fall_asleep_s, wake_s : float
        Timeout and transitions [s].
    node : ndarray of int64, shape (procs,)
        Of each processor.
    first_proc : ndarray of int64, shape (nodes + 1,)
        Processors of node `i` are numbered from ``first_proc[i]`` to ``first_proc[i + 1]``.
    taken : ndarray of bool, shape (procs,)
    free, state, since : ndarray, shape (nodes,)
        Free processors of each node; awake (or being woken), falling asleep or asleep; when last
        a job left [s].
    ready : ndarray, shape (nodes + 1,)
        When each node that was woken is awake, and the latest of them [s].
    room : ndarray of int64, shape (2, nodes // 32 + 1)
        Nodes with a free processor, awake ones and others, as 32 bits an entry.
    before, after : ndarray of int64, shape (nodes + 2,)
        Doubly linked lists of idle nodes in the order in which jobs left them: awake ones around
        entry `nodes`, falling ones around entry ``nodes + 1``.
    job_proc, next_proc : ndarray of int64, shapes (capacity,) and (procs,)
        First processor of each job, and the one after each processor, -1 at the end.
    log_node, log_since, log_until : ndarray, shape (room,)
        Each sleep that ended: node, when it had become idle, when it was taken [s].
    """

    counts: np.ndarray
    sleep_after_s: float
    fall_asleep_s: float
    wake_s: float
    node: np.ndarray
    first_proc: np.ndarray
    taken: np.ndarray
    free: np.ndarray
    state: np.ndarray
    since: np.ndarray
    ready: np.ndarray
    room: np.ndarray
    before: np.ndarray
    after: np.ndarray
    job_proc: np.ndarray
    next_proc: np.ndarray
    log_node: np.ndarray
    log_since: np.ndarray
    log_until: np.ndarray


def new_nodes(
    nodes: int,
    procs: int,
    first_s: float,
    capacity: int,
    sleep_after_s: float,
    fall_asleep_s: float,
    wake_s: float,
    log_room: int,
) -> Nodes:
    """Nodes that are awake and idle since `first_s`."""
    node = np.arange(procs) * nodes // procs
    first_proc = np.searchsorted(node, np.arange(nodes + 1))
    ring = np.arange(nodes + 2)
    before, after = ring - 1, ring + 1
    before[0], after[nodes - 1] = nodes, nodes
    before[nodes], after[nodes] = nodes - 1, 0
    before[nodes + 1], after[nodes + 1] = nodes + 1, nodes + 1
    room = np.zeros((2, nodes // 32 + 1), np.int64)
    np.bitwise_or.at(room[0], np.arange(nodes) >> 5, np.left_shift(1, np.arange(nodes) & 31))
    return Nodes(
        np.array([procs, 0, 0], np.int64),
        float(sleep_after_s),
        float(fall_asleep_s),
        float(wake_s),
        node.astype(np.int64),
        first_proc.astype(np.int64),
        np.zeros(procs, np.bool_),
        np.diff(first_proc).astype(np.int64),
        np.zeros(nodes, np.int64),
        np.full(nodes, float(first_s)),
        np.full(nodes + 1, float(first_s)),
        room,
        before,
        after,
        np.full(capacity, -1, np.int64),
        np.full(procs, -1, np.int64),
        np.empty(log_room, np.int64),
        np.empty(log_room, np.float64),
        np.empty(log_room, np.float64),
    )
