"""One scheduling pass: which jobs start now.

:func:`decide` is called by the event loop (:mod:`~exawatt.replay.events`) and by whoever drives a
machine by other means, an environment or a protocol; so are :func:`enqueue` and :func:`finish`.
"""

import numpy as np

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.conservative import place_jobs
from exawatt.replay.estimates import correct, learn, predict
from exawatt.replay.extras import RESOURCES, attribute, eligible, level_for, starving
from exawatt.replay.heaps import pop, push
from exawatt.replay.holds import held_back
from exawatt.replay.lanes import fitting8, lowest_bit, startable8, u
from exawatt.replay.machine import close_gaps, occupy, release
from exawatt.replay.nodes import fall_asleep, next_asleep_s, waking
from exawatt.replay.orders import FCFS, charge, formula, rescore, score_new
from exawatt.replay.state import BLOCKED, CAPPED, FREE_GPUS, GAP, LANES, LEFT_UW, State

#: So few candidates are looked at one by one: their vectors were stored a moment ago.
FEW = 4


@compiled_inline
def enqueue(cluster, s, job, estimate_s, order, history, extras):  # type: ignore[no-untyped-def]
    """Put a submitted job at the end of the queue."""
    if history is not None:
        estimate_s = predict(history, job, estimate_s)
    cluster.queue[u(s.tail)] = job
    cluster.queue_procs[u(s.tail)] = cluster.job_procs[u(job)]
    cluster.queue_estimate[u(s.tail)] = estimate_s
    cluster.queue_procs[u(s.tail + LANES)] = GAP
    if order is not None:
        score_new(cluster, job, s.tail, order)
    if extras is not None:
        # If it fits, the pass finds out what else it waits for.
        extras.since[job] = extras.submit_s[job]
        extras.cause[job] = RESOURCES
    return State(s.free, s.last, s.head, s.tail + 1, s.gaps, s.seen, s.extra, s.started, s.shadow)


@compiled_inline
def finish(cluster, s, job, now, runtime_s, easy, profile, order, history, extras, nodes):  # type: ignore[no-untyped-def]
    """Take a job that has ended off the machine."""
    if profile is not None:
        profile.size[1] = 0
    if order is not None:
        charge(order, job, runtime_s, now - order.first_s)
    if history is not None:
        learn(history, job, runtime_s)
    return release(cluster, s, job, now, easy, extras, nodes)


@compiled_inline
def decide(  # type: ignore[no-untyped-def]
    cluster, s, now, easy, ranked, profile, order, history, extras, nodes, started, clock
):
    """Make one scheduling pass.

    Parameters
    ----------
    cluster : Cluster
        After all completions and submissions of this instant; the chosen jobs move from the
        queue to the running.
    s : State
        Its scalars.
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
        The features in use; with extras go an order, a history and, for EASY, ranked.
    started : ndarray of int64, shape (capacity,)
        The chosen jobs are appended, in the order in which they were chosen.
    clock : Clock
        Learns when they start and will really end.

    Returns
    -------
    State
    """
    free, ticked = s.free, False
    if extras is not None:
        s, ticked = _timers(s, now, profile, extras, nodes)
    if profile is not None and cluster.run_end[s.last] <= now:
        profile.size[1] = 0
    if history is not None:
        s = correct(cluster, s, now, history)
    if profile is not None:
        if order is not None:
            rescore(cluster, s, now, order, extras)
        s = place_jobs(cluster, s, now, profile, order, history, extras, nodes, started, clock)
    elif order is None or order.committed == 1 or _some_fit(cluster, s):
        if order is not None:
            rescore(cluster, s, now, order, extras)
        s, blocked = _start_heads(
            cluster, s, now, easy, order, history, extras, nodes, started, clock
        )
        if easy is not None and blocked >= 0:
            if ranked is None:
                s = _backfill(cluster, s, now, blocked, history, started, clock)
            else:
                s = _backfill_ranked(
                    *(cluster, s, now, blocked, ranked, order, history, extras, nodes),
                    started,
                    clock,
                )
    s = close_gaps(cluster, s)
    if extras is not None:
        attribute(cluster, s, now, free, ticked, easy is not None, extras, nodes)
        extras.moments[1] = np.inf
        if nodes is not None and extras.amounts[CAPPED] > 0 and s.head < s.tail:
            extras.moments[1] = next_asleep_s(nodes)
    return s


@compiled_inline
def _timers(s, now, profile, extras, nodes):  # type: ignore[no-untyped-def]
    """Look at held jobs again, let nodes fall asleep; whether the former happened."""
    ticked = extras.moments[0] <= now
    if ticked or extras.moments[1] <= now:
        # Nobody stays refused, and nothing that was placed stays where it is.
        s = State(s.free, s.last, s.head, s.tail, s.gaps, 0, -1, s.started, s.shadow)
        if profile is not None:
            profile.size[1] = 0
    if ticked:
        extras.moments[0] = np.inf
    if nodes is not None:
        fall_asleep(nodes, now)
    return s, ticked


@compiled
def _some_fit(cluster, s):  # type: ignore[no-untyped-def]
    """Whether any waiting job's processors are free; if not, its order does not matter either."""
    base = s.head
    while base < s.tail and fitting8(cluster.queue_procs, base, s.free) == 0:
        base += LANES
    return base < s.tail


@compiled_inline
def _start_heads(cluster, s, now, easy, order, history, extras, nodes, started, clock):  # type: ignore[no-untyped-def]
    """Start jobs from the head of the queue while they fit; slot of the head that does not."""
    n_started = s.started
    blocked = -1
    while blocked < 0:
        s, slot = _first(cluster, s, now, order, extras)
        if slot < 0:
            break
        job, procs = cluster.queue[u(slot)], cluster.queue_procs[u(slot)]
        level = level_for(s, job, procs, now, extras, nodes)
        if level < 0:
            blocked = slot
        elif extras is None or not held_back(job, cluster.queue_estimate[slot], now, extras):
            s, _ = occupy(
                cluster, s, slot, now, level, easy, history, extras, nodes, started, clock
            )
    stands = s.started == n_started
    if order is not None:
        head = cluster.queue[blocked] if blocked >= 0 else -1
        stands = stands and head == cluster.counts[BLOCKED]
        cluster.counts[BLOCKED] = head
    if not stands:
        # Another head, or another machine under it: its shadow is not known.
        s = State(s.free, s.last, s.head, s.tail, s.gaps, 0, -1, s.started, s.shadow)
    return s, blocked


@compiled_inline
def _first(cluster, s, now, order, extras):  # type: ignore[no-untyped-def]
    """Slot of the first eligible job, -1 if there is none; gaps at the front are closed."""
    free, last, head, tail, gaps, seen, extra, n_started, shadow = s
    procs = cluster.queue_procs
    while head < tail and procs[u(head)] == GAP:
        head += 1
        gaps -= 1
    s = State(free, last, head, tail, gaps, seen, extra, n_started, shadow)
    if order is None:
        first = head if head < tail else -1
    else:
        first = _best(cluster, head, tail, now, order, extras)
    return s, first


@compiled
def _best(cluster, head, tail, now, order, extras):  # type: ignore[no-untyped-def]
    """Slot of the job that starves, or has the lowest score; -1 if none is eligible."""
    first, best, starved = -1, np.inf, False
    for slot in range(head, tail):
        if cluster.queue_procs[slot] != GAP and eligible(cluster.queue[slot], now, extras):
            job = cluster.queue[slot]
            if order.committed == 1 and job == cluster.counts[BLOCKED]:
                first = slot
                break
            if extras is not None and not starved and starving(job, now, extras):
                # Jobs stand in order of submission: the first that starves leads them all.
                first, starved = slot, True
            if first < 0 or (not starved and order.score[job] < best):
                first, best = slot, order.score[job]
            if order.committed == 0 and (starved or order.code == FCFS):
                break
    return first


@compiled_inline
def _backfill(cluster, s, now, blocked, history, started, clock):  # type: ignore[no-untyped-def]
    """Start, in order of submission, what does not delay the head.

    While no job has ended and none is overdue, the head's shadow stands, so that whoever was
    refused stays refused: only jobs that came since need a look.
    """
    procs, estimate = cluster.queue_procs, cluster.queue_estimate
    extra, shadow, tail, base = s.extra, s.shadow, s.tail, blocked + 1
    if cluster.run_end[u(s.last)] > now:
        base = max(base, s.seen)
    else:
        extra = np.int64(-1)
    few = tail - base <= FEW
    if extra < 0:
        # The shadow is wanted only if something fits.
        if few:
            while base < tail and procs[u(base)] > s.free:
                base += 1
        else:
            while base < tail and fitting8(procs, base, s.free) == 0:
                base += LANES
        if base < tail:
            shadow, extra, _, _ = reservation(cluster, s, now, blocked, None)
    while base < tail:
        if few:
            mask = (1 << (tail - base)) - 1
        else:
            mask = startable8(procs, estimate, base, s.free, now, shadow, extra)
        while mask != 0:
            slot = base + lowest_bit(mask)
            mask &= mask - 1
            # Still, after those before it?
            size, in_time = procs[u(slot)], now + estimate[u(slot)] <= shadow
            if size <= s.free and (in_time or size <= extra):
                if not in_time:
                    extra -= size
                s, _ = occupy(cluster, s, slot, now, 0, True, history, None, None, started, clock)
        base += LANES
    return State(s.free, s.last, s.head, tail, s.gaps, tail, extra, s.started, shadow)


@compiled
def _backfill_ranked(  # type: ignore[no-untyped-def]
    cluster, s, now, blocked, ranked, order, history, extras, nodes, started, clock
):
    """Start, in another order than that of submission, what does not delay the head.

    Within a pass what is free only shrinks, so that whoever is not admitted at first never is:
    only the others are put in order. Only a start may come to lie earlier, when another job takes
    the node that would have been woken; at first all nodes count as awake.
    """
    queue, procs, estimate = cluster.queue, cluster.queue_procs, cluster.queue_estimate
    extra, shadow, extra_gpus, extra_uw = s.extra, s.shadow, np.int64(0), np.int64(0)
    base = s.head
    if cluster.run_end[s.last] > now:
        base = max(base, s.seen)
    if extras is not None or base == s.head:
        extra = np.int64(-1)
    size, woken_late = 0, False
    while base < s.tail:
        mask = fitting8(procs, base, s.free)
        while mask != 0:
            slot = base + lowest_bit(mask)
            mask &= mask - 1
            job = queue[slot]
            if slot == blocked or not eligible(job, now, extras):
                continue
            if extra < 0:
                shadow, extra, extra_gpus, extra_uw = reservation(cluster, s, now, blocked, extras)
            level, _ = _admit(
                cluster, s, slot, now, now, shadow, extra, extra_gpus, extra_uw, extras, nodes
            )
            if level >= 0:
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
        base += LANES
    while size > 0 and s.free > 0:
        size -= 1
        slot = pop(ranked, size)
        job, begin = queue[slot], now
        if nodes is not None:
            begin = waking(nodes, procs[slot], now)[0]
        level, in_time = _admit(
            cluster, s, slot, now, begin, shadow, extra, extra_gpus, extra_uw, extras, nodes
        )
        if level >= 0 and (extras is None or not held_back(job, estimate[slot], now, extras)):
            if not in_time:
                extra -= procs[slot]
                if extras is not None:
                    extra_gpus -= extras.gpus[job]
                    extra_uw -= extras.uw[job, level]
            s, _ = occupy(
                cluster, s, slot, now, level, True, history, extras, nodes, started, clock
            )
        if level < 0 and begin > now:
            woken_late = True
    seen = 0 if woken_late else s.tail
    return State(s.free, s.last, s.head, s.tail, s.gaps, seen, extra, s.started, shadow)


@compiled_inline
def _admit(  # type: ignore[no-untyped-def]
    cluster, s, slot, now, begin, shadow, extra, extra_gpus, extra_uw, extras, nodes
):
    """Highest level at which a job fits now and does not delay the head, -1 if there is none.

    It would start at `begin`. The second value is whether it is expected to end by the head's
    shadow time.
    """
    procs, estimate = cluster.queue_procs[u(slot)], cluster.queue_estimate[u(slot)]
    in_time = False
    if extras is None:
        level = 0 if procs <= s.free else -1
        if level == 0:
            in_time = now + estimate <= shadow
            if not in_time and procs > extra:
                level = -1
    else:
        job = cluster.queue[slot]
        level = level_for(s, job, procs, now, extras, nodes)
        while level >= 0:
            in_time = begin + extras.stretch[level] * estimate <= shadow
            if in_time:
                break
            if (
                procs <= extra
                and extras.gpus[job] <= extra_gpus
                and (extras.amounts[CAPPED] == 0 or extras.uw[job, level] <= extra_uw)
            ):
                break
            level += 1
            if level == extras.stretch.size:
                level = -1
    return level, in_time


@compiled_inline
def reservation(cluster, s, now, blocked, extras):  # type: ignore[no-untyped-def]
    """Shadow time [s] of a head that does not fit, and what is extra then.

    Extra are processors, thousandths of GPUs and microwatts. A running job whose expected end is
    past is expected to end one second from now.
    """
    ends, jobs, procs = cluster.run_end, cluster.run_job, cluster.job_procs
    free = s.free - cluster.queue_procs[u(blocked)]
    gpus, uw = np.int64(0), np.int64(0)
    if extras is not None:
        head = cluster.queue[blocked]
        gpus = extras.amounts[FREE_GPUS] - extras.gpus[head]
        if extras.amounts[CAPPED] > 0:
            uw = extras.amounts[LEFT_UW] - extras.uw[head, extras.stretch.size - 1]
    at = s.last
    while ends[u(at)] <= now:
        at -= 1
    overdue = at + 1
    soon = now + 1.0
    shadow = soon
    while free < 0 or gpus < 0 or uw < 0:
        shadow = ends[u(at)]
        if overdue <= s.last and soon <= shadow:
            shadow = soon
            while overdue <= s.last:
                free, gpus, uw = _freed(free, gpus, uw, jobs[u(overdue)], procs, extras)
                overdue += 1
        while ends[u(at)] == shadow:
            free, gpus, uw = _freed(free, gpus, uw, jobs[u(at)], procs, extras)
            at -= 1
    return shadow, free, gpus, uw


@compiled_inline
def _freed(free, gpus, uw, job, procs, extras):  # type: ignore[no-untyped-def]
    free += procs[u(job)]
    if extras is not None:
        gpus += extras.gpus[job]
        if extras.amounts[CAPPED] > 0:
            uw += extras.uw[job, extras.level[job]]
    return free, gpus, uw
