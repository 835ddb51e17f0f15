"""What starting and ending a job does to the machine and the queue."""

from exawatt.replay.extras import WAKING, settle
from exawatt.replay.nodes import give_back, take, waking
from exawatt.replay.state import (
    ALIVE,
    CAPPED,
    FREE,
    FREE_GPUS,
    GAP,
    HEAD,
    LEFT_MW,
    RUNNING,
    compiled_inline,
)


@compiled_inline
def occupy(cluster, slot, now, level, easy, history, extras, nodes):  # type: ignore[no-untyped-def]
    """Let the job in a queue slot take what it needs, at a frequency level; its start [s]."""
    counts, job, procs = cluster.counts, cluster.queue[slot], cluster.queue_procs[slot]
    counts[FREE] -= procs
    counts[ALIVE] += 1
    begin, stretch = now, 1.0
    if extras is not None:
        stretch = extras.stretch[level]
        if nodes is not None:
            begin = waking(nodes, procs, now)[0]
            take(nodes, job, procs, now)
        extras.level[job] = level
        extras.chosen_s[job] = now
        extras.begin_s[job] = begin
        extras.amounts[FREE_GPUS] -= extras.gpus[job]
        if extras.amounts[CAPPED] > 0:
            extras.amounts[LEFT_MW] -= extras.mw[job, level]
        settle(job, now, WAKING, extras)
        extras.waits[job, WAKING] += begin - now
    if history is not None:
        history.begin_s[job] = begin
        history.stretch[job] = stretch
    if easy is not None:
        _file(cluster, job, procs, begin + stretch * cluster.queue_estimate[slot], level, extras)
    return begin


@compiled_inline
def _file(cluster, job, procs, end, level, extras):  # type: ignore[no-untyped-def]
    """Put a job among the running by its expected end."""
    run_end, run_job, run_procs = cluster.run_end, cluster.run_job, cluster.run_procs
    at = cluster.counts[RUNNING]
    while at > 0 and run_end[at - 1] > end:
        run_end[at] = run_end[at - 1]
        run_job[at] = run_job[at - 1]
        run_procs[at] = run_procs[at - 1]
        if extras is not None:
            extras.run_gpus[at] = extras.run_gpus[at - 1]
            extras.run_mw[at] = extras.run_mw[at - 1]
        at -= 1
    run_end[at] = end
    run_job[at] = job
    run_procs[at] = procs
    if extras is not None:
        extras.run_gpus[at] = extras.gpus[job]
        extras.run_mw[at] = extras.mw[job, level]
    cluster.counts[RUNNING] += 1


@compiled_inline
def release(cluster, job, procs, now, easy, extras, nodes):  # type: ignore[no-untyped-def]
    """Take back what a job held."""
    counts = cluster.counts
    counts[FREE] += procs
    counts[ALIVE] -= 1
    if extras is not None:
        extras.amounts[FREE_GPUS] += extras.gpus[job]
        if extras.amounts[CAPPED] > 0:
            extras.amounts[LEFT_MW] += extras.mw[job, extras.level[job]]
        if nodes is not None:
            give_back(nodes, job, now)
    if easy is not None:
        run_end, run_job, run_procs = cluster.run_end, cluster.run_job, cluster.run_procs
        n = counts[RUNNING]
        at = 0
        while run_job[at] != job:
            at += 1
        for i in range(at, n - 1):
            run_end[i] = run_end[i + 1]
            run_job[i] = run_job[i + 1]
            run_procs[i] = run_procs[i + 1]
            if extras is not None:
                extras.run_gpus[i] = extras.run_gpus[i + 1]
                extras.run_mw[i] = extras.run_mw[i + 1]
        counts[RUNNING] = n - 1


@compiled_inline
def remove(cluster, slot):  # type: ignore[no-untyped-def]
    """Take the job in a slot out of the queue."""
    counts = cluster.counts
    if slot == counts[HEAD]:
        counts[HEAD] += 1
    else:
        cluster.queue[slot] = -1
        counts[GAP] = max(counts[GAP], slot)
