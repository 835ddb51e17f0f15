"""One scheduling pass: which jobs start now.

:func:`decide` is called by the event loop (:mod:`~exawatt.replay.events`) and by whoever drives a
machine by other means, an environment or a protocol; so are :func:`enqueue` and :func:`finish`.
"""

import numpy as np

from exawatt.replay.conservative import place_jobs
from exawatt.replay.estimates import correct, learn, predict
from exawatt.replay.extras import attribute, eligible, held_back, level_for, starving
from exawatt.replay.heaps import pop, push
from exawatt.replay.machine import occupy, release, remove
from exawatt.replay.nodes import fall_asleep, next_asleep_s, waking
from exawatt.replay.orders import charge, formula, rescore, score_new
from exawatt.replay.state import (
    BLOCKED,
    CAPPED,
    FREE,
    FREE_GPUS,
    GAP,
    HEAD,
    HELD,
    LEFT_MW,
    QUIET,
    RUNNING,
    SEEN,
    STARTED,
    SUBMITTED,
    TAIL,
    compiled,
    compiled_inline,
)


@compiled_inline
def enqueue(cluster, job, procs, estimate_s, order, history, extras):  # type: ignore[no-untyped-def]
    """Put a submitted job at the end of the queue."""
    slot = cluster.counts[TAIL]
    if history is not None:
        estimate_s = predict(history, job, estimate_s)
    cluster.queue[slot] = job
    cluster.queue_procs[slot] = procs
    cluster.queue_estimate[slot] = estimate_s
    cluster.counts[TAIL] = slot + 1
    cluster.counts[SUBMITTED] += 1
    if order is not None:
        score_new(cluster, job, slot, order)
    if extras is not None:
        extras.since[job] = extras.submit_s[job]


@compiled_inline
def finish(cluster, job, procs, now, runtime_s, easy, order, history, extras, nodes):  # type: ignore[no-untyped-def]
    """Take a job that has ended off the machine."""
    release(cluster, job, procs, now, easy, extras, nodes)
    cluster.counts[SEEN] = 0
    cluster.counts[QUIET] = 0
    if order is not None:
        charge(order, job, runtime_s, now - order.first_s)
    if history is not None:
        learn(history, job, runtime_s)


@compiled_inline
def decide(cluster, now, easy, ranked, profile, order, history, extras, nodes, started):  # type: ignore[no-untyped-def]
    """Make one scheduling pass.

    Parameters
    ----------
    cluster : Cluster
        After all completions and submissions of this instant; the chosen jobs move from the
        queue to the running.
    now : float
        The instant [s].
    easy : bool or None
        Whether the running jobs are kept by expected end, as all backfilling needs, and, without
        a profile, whether to backfill as EASY does.
    ranked : Ranked or None
        For EASY when the queue or the backfilling is not in order of submission.
    profile : Profile or None
        For conservative backfilling.
    order, history, extras, nodes : Order, History, Extras, Nodes or None
        The features in use.
    started : ndarray of int64, shape (capacity,)
        The chosen jobs are appended, in the order in which they were chosen; see STARTED.
    """
    counts = cluster.counts
    if extras is not None:
        _timers(cluster, now, extras, nodes)
    if history is not None:
        correct(cluster, now, history, extras)
    if order is not None:
        rescore(cluster, now, order, extras)
    if profile is not None:
        place_jobs(cluster, now, profile, order, history, extras, nodes, started)
    else:
        blocked = _start_heads(cluster, now, easy, order, history, extras, nodes, started)
        if easy is not None and blocked >= 0:
            if ranked is None:
                _backfill(cluster, now, blocked, history, extras, nodes, started)
            else:
                _backfill_ranked(
                    cluster, now, blocked, ranked, order, history, extras, nodes, started
                )
    _close_gaps(cluster)
    counts[QUIET] = 1
    if extras is not None:
        attribute(cluster, now, easy is not None, extras, nodes)
        extras.moments[1] = np.inf
        if nodes is not None and extras.amounts[CAPPED] > 0 and counts[HEAD] < counts[TAIL]:
            extras.moments[1] = next_asleep_s(nodes)


@compiled_inline
def _timers(cluster, now, extras, nodes):  # type: ignore[no-untyped-def]
    if extras.moments[0] <= now:
        extras.moments[0] = np.inf
        extras.amounts[HELD] = 0
        cluster.counts[SEEN] = 0
        cluster.counts[QUIET] = 0
    if extras.moments[1] <= now:
        cluster.counts[QUIET] = 0
    if nodes is not None:
        fall_asleep(nodes, now)


@compiled_inline
def _start_heads(cluster, now, easy, order, history, extras, nodes, started):  # type: ignore[no-untyped-def]
    """Start jobs from the head of the queue while they fit; slot of the head that does not."""
    counts = cluster.counts
    blocked = -1
    while blocked < 0:
        slot = _first(cluster, now, order, extras)
        if slot < 0:
            break
        job, procs = cluster.queue[slot], cluster.queue_procs[slot]
        level = level_for(cluster, job, procs, now, 0, extras, nodes)
        if level < 0:
            blocked = slot
        elif extras is None or not held_back(job, cluster.queue_estimate[slot], now, extras):
            started[counts[STARTED]] = job
            counts[STARTED] += 1
            occupy(cluster, slot, now, level, easy, history, extras, nodes)
            remove(cluster, slot)
    head = cluster.queue[blocked] if blocked >= 0 else -1
    if head != counts[BLOCKED]:
        counts[SEEN] = 0
    counts[BLOCKED] = head
    return blocked


@compiled_inline
def _first(cluster, now, order, extras):  # type: ignore[no-untyped-def]
    """Slot of the first eligible job; -1 if there is none."""
    counts, queue = cluster.counts, cluster.queue
    first = -1
    if order is None and extras is None:
        if counts[HEAD] < counts[TAIL]:
            first = counts[HEAD]
    else:
        best, starved = np.inf, False
        for slot in range(counts[HEAD], counts[TAIL]):
            job = queue[slot]
            if eligible(job, now, extras):
                if order is None:
                    first = slot
                    break
                if order.committed == 1 and job == counts[BLOCKED]:
                    first = slot
                    break
                if extras is not None and not starved and starving(job, now, extras):
                    # Jobs stand in order of submission: the first that starves leads them all.
                    first, starved = slot, True
                    if order.committed == 0:
                        break
                if first < 0 or (not starved and order.score[job] < best):
                    first, best = slot, order.score[job]
    return first


@compiled_inline
def _backfill(cluster, now, blocked, history, extras, nodes, started):  # type: ignore[no-untyped-def]
    """Start, in order of submission, what does not delay the head.

    While no job has ended and none is overdue, the head's shadow stands, so that whoever was
    refused stays refused: only jobs that came since need a look.
    """
    counts, queue = cluster.counts, cluster.queue
    procs, estimate = cluster.queue_procs, cluster.queue_estimate
    first = blocked + 1
    if extras is None and counts[SEEN] > first and cluster.run_end[0] > now:
        first = counts[SEEN]
    tail = counts[TAIL]
    counts[SEEN] = tail
    free = counts[FREE]
    shadow, extra, extra_gpus, extra_mw = -np.inf, np.int64(-1), np.int64(0), np.int64(0)
    for slot in range(first, tail):
        if procs[slot] <= free and eligible(queue[slot], now, extras):
            if extra < 0:
                shadow, extra, extra_gpus, extra_mw = reservation(
                    cluster, now, queue[blocked], procs[blocked], extras
                )
            level, in_time = _admit(
                cluster, slot, now, shadow, extra, extra_gpus, extra_mw, extras, nodes
            )
            if level >= 0 and (
                extras is None or not held_back(queue[slot], estimate[slot], now, extras)
            ):
                if not in_time:
                    extra -= procs[slot]
                    if extras is not None:
                        extra_gpus -= extras.gpus[queue[slot]]
                        extra_mw -= extras.mw[queue[slot], level]
                started[counts[STARTED]] = queue[slot]
                counts[STARTED] += 1
                occupy(cluster, slot, now, level, True, history, extras, nodes)
                remove(cluster, slot)
                free = counts[FREE]
                if free == 0:
                    break


@compiled
def _backfill_ranked(  # type: ignore[no-untyped-def]
    cluster, now, blocked, ranked, order, history, extras, nodes, started
):
    """Start, in another order than that of submission, what does not delay the head.

    Within a pass what is free only shrinks, so that whoever is not admitted at first never is:
    only the others are put in order.
    """
    counts, queue = cluster.counts, cluster.queue
    procs, estimate = cluster.queue_procs, cluster.queue_estimate
    first = counts[HEAD]
    if extras is None and counts[SEEN] > first and cluster.run_end[0] > now:
        first = counts[SEEN]
    counts[SEEN] = counts[TAIL]
    shadow, extra, extra_gpus, extra_mw = -np.inf, np.int64(-1), np.int64(0), np.int64(0)
    size = 0
    for slot in range(first, counts[TAIL]):
        job = queue[slot]
        if slot != blocked and procs[slot] <= counts[FREE] and eligible(job, now, extras):
            if extra < 0:
                shadow, extra, extra_gpus, extra_mw = reservation(
                    cluster, now, queue[blocked], procs[blocked], extras
                )
            if (
                _admit(cluster, slot, now, shadow, extra, extra_gpus, extra_mw, extras, nodes)[0]
                >= 0
            ):
                tie = order.score[job] if order is not None else 0.0
                key = tie
                if ranked.code >= 0:
                    submit = ranked.submit_s[job]
                    key = formula(
                        ranked.code, submit, estimate[slot], ranked.asked[job], now - submit
                    )
                if key != key:
                    key = np.inf
                if extras is not None and starving(job, now, extras):
                    key, tie = -np.inf, -np.inf
                push(ranked, size, key, tie, slot)
                size += 1
    while size > 0 and counts[FREE] > 0:
        size -= 1
        slot = pop(ranked, size)
        level, in_time = _admit(
            cluster, slot, now, shadow, extra, extra_gpus, extra_mw, extras, nodes
        )
        if level >= 0 and (
            extras is None or not held_back(queue[slot], estimate[slot], now, extras)
        ):
            if not in_time:
                extra -= procs[slot]
                if extras is not None:
                    extra_gpus -= extras.gpus[queue[slot]]
                    extra_mw -= extras.mw[queue[slot], level]
            started[counts[STARTED]] = queue[slot]
            counts[STARTED] += 1
            occupy(cluster, slot, now, level, True, history, extras, nodes)
            remove(cluster, slot)


@compiled_inline
def _admit(cluster, slot, now, shadow, extra, extra_gpus, extra_mw, extras, nodes):  # type: ignore[no-untyped-def]
    """Highest level at which a job fits now and does not delay the head, -1 if there is none.

    The second value is whether it is expected to end by the head's shadow time.
    """
    procs, estimate = cluster.queue_procs[slot], cluster.queue_estimate[slot]
    in_time = False
    if extras is None:
        level = 0 if procs <= cluster.counts[FREE] else -1
        if level == 0:
            in_time = now + estimate <= shadow
            if not in_time and procs > extra:
                level = -1
    else:
        job = cluster.queue[slot]
        begin = now
        if nodes is not None:
            begin = waking(nodes, procs, now)[0]
        level = level_for(cluster, job, procs, now, 0, extras, nodes)
        while level >= 0:
            in_time = begin + extras.stretch[level] * estimate <= shadow
            if in_time:
                break
            if (
                procs <= extra
                and extras.gpus[job] <= extra_gpus
                and (extras.amounts[CAPPED] == 0 or extras.mw[job, level] <= extra_mw)
            ):
                break
            level += 1
            if level == extras.stretch.size:
                level = -1
    return level, in_time


@compiled_inline
def reservation(cluster, now, head, head_procs, extras):  # type: ignore[no-untyped-def]
    """Shadow time [s] of a head that does not fit, and what is extra then.

    Extra are processors, thousandths of GPUs and milliwatts. A running job whose expected end is
    past is expected to end one second from now.
    """
    n, ends, procs = cluster.counts[RUNNING], cluster.run_end, cluster.run_procs
    free = cluster.counts[FREE]
    free_gpus, left_mw, head_gpus, head_mw = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    overdue_gpus, overdue_mw = np.int64(0), np.int64(0)
    if extras is not None:
        free_gpus, left_mw = extras.amounts[FREE_GPUS], extras.amounts[LEFT_MW]
        head_gpus = extras.gpus[head]
        if extras.amounts[CAPPED] > 0:
            head_mw = extras.mw[head, extras.stretch.size - 1]
    overdue = np.int64(0)
    at = 0
    while at < n and ends[at] <= now:
        overdue += procs[at]
        if extras is not None:
            overdue_gpus += extras.run_gpus[at]
            overdue_mw += extras.run_mw[at]
        at += 1
    soon = now + 1.0
    while True:
        if overdue > 0 and (at == n or soon <= ends[at]):
            shadow = soon
            free += overdue
            free_gpus += overdue_gpus
            left_mw += overdue_mw
            overdue = np.int64(0)
        else:
            shadow = ends[at]
        while at < n and ends[at] == shadow:
            free += procs[at]
            if extras is not None:
                free_gpus += extras.run_gpus[at]
                left_mw += extras.run_mw[at]
            at += 1
        if free >= head_procs:
            if extras is None:
                break
            if free_gpus >= head_gpus and (extras.amounts[CAPPED] == 0 or left_mw >= head_mw):
                break
    return shadow, free - head_procs, free_gpus - head_gpus, left_mw - head_mw


@compiled_inline
def _close_gaps(cluster):  # type: ignore[no-untyped-def]
    """Move the jobs before the last gap up to it, so that the queue stands in one run."""
    counts, queue = cluster.counts, cluster.queue
    last = counts[GAP]
    if last >= 0:
        to = last
        for slot in range(last, counts[HEAD] - 1, -1):
            if queue[slot] >= 0:
                queue[to] = queue[slot]
                cluster.queue_procs[to] = cluster.queue_procs[slot]
                cluster.queue_estimate[to] = cluster.queue_estimate[slot]
                to -= 1
        counts[HEAD] = to + 1
        counts[GAP] = -1
    if counts[HEAD] == counts[TAIL]:
        counts[HEAD] = counts[TAIL] = counts[SEEN] = 0
