"""The event loop: instants in order, and at each what happened, then one scheduling pass."""

import numpy as np

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.decide import decide, enqueue, finish
from exawatt.replay.estimates import next_overrun_s
from exawatt.replay.lanes import u
from exawatt.replay.machine import load_state, store_state
from exawatt.replay.state import SUBMITTED


@compiled
def run(  # type: ignore[no-untyped-def]
    submit_s,
    estimate_s,
    until_s,
    cluster,
    easy,
    ranked,
    profile,
    order,
    history,
    extras,
    nodes,
    started,
    clock,
):
    """Replay jobs until no instant before `until_s` is left.

    Parameters
    ----------
    submit_s, estimate_s : ndarray of float64, shape (n_jobs,)
        Submission (ascending) and estimated runtime [s].
    until_s : float
        Instants at or after this are left for later [s].
    cluster, easy, ranked, profile, order, history, extras, nodes, started, clock
        State and features, as :func:`~exawatt.replay.decide.decide` takes them.
    """
    n = submit_s.size
    s = load_state(cluster)
    submitted = cluster.counts[SUBMITTED]
    next_submit = submit_s[u(submitted)] if submitted < n else np.inf
    while True:
        now = min(next_submit, clock.end[u(s.last)])
        if extras is not None or profile is not None or history is not None:
            now = min(now, next_timer_s(cluster, s, easy, profile, history, extras))
        if now >= until_s:
            break
        if history is not None:
            cluster.times[1] = now
        s = _complete(cluster, s, now, easy, profile, order, history, extras, nodes, clock)
        while next_submit <= now:
            s = enqueue(cluster, s, submitted, estimate_s[u(submitted)], order, history, extras)
            submitted += 1
            next_submit = submit_s[u(submitted)] if submitted < n else np.inf
        s = decide(
            *(cluster, s, now, easy, ranked, profile, order, history, extras, nodes),
            started,
            clock,
        )
    cluster.counts[SUBMITTED] = submitted
    store_state(cluster, s)


@compiled
def instant(  # type: ignore[no-untyped-def]
    submit_s,
    estimate_s,
    now,
    ended,
    cluster,
    easy,
    ranked,
    profile,
    order,
    history,
    extras,
    nodes,
    started,
    clock,
):
    """Handle one instant whose completions somebody else has seen.

    Parameters
    ----------
    submit_s, estimate_s : ndarray of float64, shape (n_jobs,)
        Submission (ascending) and estimated runtime [s].
    now : float
        The instant [s].
    ended : ndarray of int64
        The jobs that end, in trace order; they must be running.
    cluster, easy, ranked, profile, order, history, extras, nodes, started, clock
        State and features, as :func:`~exawatt.replay.decide.decide` takes them.
    """
    s = load_state(cluster)
    cluster.times[1] = now
    for job in ended:
        at = s.last
        while clock.job[at] != job:
            at -= 1
        while at < s.last:
            clock.end[at], clock.job[at] = clock.end[at + 1], clock.job[at + 1]
            at += 1
        clock.end[s.last] = -np.inf
        runtime_s = clock.runtime_s[job]
        s = finish(cluster, s, job, now, runtime_s, easy, profile, order, history, extras, nodes)
    submitted = cluster.counts[SUBMITTED]
    while submitted < submit_s.size and submit_s[submitted] <= now:
        s = enqueue(cluster, s, submitted, estimate_s[submitted], order, history, extras)
        submitted += 1
    s = decide(
        *(cluster, s, now, easy, ranked, profile, order, history, extras, nodes),
        started,
        clock,
    )
    cluster.counts[SUBMITTED] = submitted
    store_state(cluster, s)


@compiled_inline
def next_timer_s(cluster, s, easy, profile, history, extras):  # type: ignore[no-untyped-def]
    """Next instant that neither a submission nor a completion brings about [s]."""
    moment = np.inf
    if s.head < s.tail:
        if extras is not None:
            moment = min(extras.moments[0], extras.moments[1])
        if profile is not None:
            moment = min(moment, profile.next_s[0])
        if history is not None and easy is not None:
            moment = min(moment, next_overrun_s(cluster, s.last, history))
    return moment


@compiled_inline
def _complete(cluster, s, now, easy, profile, order, history, extras, nodes, clock):  # type: ignore[no-untyped-def]
    """Take the jobs that end now off the machine; where users' past counts, in trace order."""
    if history is None:
        last = s.last
        while clock.end[u(last)] <= now:
            job = clock.job[u(last)]
            clock.end[u(last)] = -np.inf
            last -= 1
            runtime_s = clock.runtime_s[u(job)]
            s = finish(
                cluster, s, job, now, runtime_s, easy, profile, order, history, extras, nodes
            )
    else:
        n, last = 0, s.last
        while clock.end[last] <= now:
            at = n
            while at > 0 and clock.ended[at - 1] > clock.job[last]:
                clock.ended[at] = clock.ended[at - 1]
                at -= 1
            clock.ended[at] = clock.job[last]
            clock.end[last] = -np.inf
            n += 1
            last -= 1
        for i in range(n):
            job = clock.ended[i]
            runtime_s = clock.runtime_s[job]
            s = finish(
                cluster, s, job, now, runtime_s, easy, profile, order, history, extras, nodes
            )
    return s
