"""The event loop: instants in order, and at each what happened, then one scheduling pass."""

import numpy as np

from exawatt.replay.decide import decide, enqueue, finish
from exawatt.replay.estimates import next_overrun_s
from exawatt.replay.heaps import pop_end, push_end
from exawatt.replay.state import ALIVE, HEAD, STARTED, SUBMITTED, TAIL, compiled


@compiled
def run(  # type: ignore[no-untyped-def]
    submit_s,
    runtime_s,
    procs,
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
    heap_end,
    heap_job,
    started,
    start_s,
):
    """Replay jobs until no instant before `until_s` is left.

    Parameters
    ----------
    submit_s, runtime_s, estimate_s : ndarray of float64, shape (n_jobs,)
        Submission (ascending), executed runtime at full frequency (positive) and estimated
        runtime [s].
    procs : ndarray of int64, shape (n_jobs,)
        Processors that each job takes.
    until_s : float
        Instants at or after this are left for later [s].
    cluster, easy, ranked, profile, order, history, extras, nodes
        State and features, as :func:`~exawatt.replay.decide.decide` takes them.
    heap_end, heap_job : ndarray, shape (max_running,)
        Binary heap of real ends [s]; its size is ALIVE of the cluster.
    started : ndarray of int64, shape (n_jobs,)
        Receives the jobs in the order in which they are chosen.
    start_s : ndarray of float64, shape (n_jobs,)
        Receives the start of each job [s].
    """
    counts = cluster.counts
    n = submit_s.size
    submitted = counts[SUBMITTED]
    alive = counts[ALIVE]
    while True:
        now = np.inf
        if submitted < n:
            now = submit_s[submitted]
        if alive > 0 and heap_end[0] < now:
            now = heap_end[0]
        if extras is not None and counts[HEAD] < counts[TAIL]:
            now = min(now, extras.moments[0], extras.moments[1])
        if history is not None and easy is not None and counts[HEAD] < counts[TAIL]:
            now = min(now, next_overrun_s(cluster, history, cluster.clock[0]))
        if now >= until_s:
            break
        cluster.clock[0] = now
        while alive > 0 and heap_end[0] <= now:
            job = heap_job[0]
            finish(
                cluster,
                job,
                procs[job],
                now,
                runtime_s[job],
                easy,
                order,
                history,
                extras,
                nodes,
            )
            alive -= 1
            pop_end(heap_end, heap_job, alive)
        while submitted < n and submit_s[submitted] <= now:
            enqueue(
                cluster,
                submitted,
                procs[submitted],
                estimate_s[submitted],
                order,
                history,
                extras,
            )
            submitted += 1
        first = counts[STARTED]
        decide(cluster, now, easy, ranked, profile, order, history, extras, nodes, started)
        for i in range(first, counts[STARTED]):
            job = started[i]
            begin, executed = now, runtime_s[job]
            if extras is not None:
                executed *= extras.stretch[extras.level[job]]
                begin = extras.begin_s[job]
            start_s[job] = begin
            push_end(heap_end, heap_job, alive, begin + executed, job)
            alive += 1
