"""Watts, frequencies and guards: when a job fits, and why it waits."""

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.lanes import fitting8, lowest_bit
from exawatt.replay.nodes import waking
from exawatt.replay.state import ASLEEP_UW, CAPPED, FREE_GPUS, GAP, LANES, LEFT_UW, SLEEPERS

CAUSES = ("hold", "resources", "waking", "cap", "order", "reservation")
HOLD, RESOURCES, WAKING, CAP, BEHIND, RESERVATION = range(6)


@compiled_inline
def eligible(job, now, extras):  # type: ignore[no-untyped-def]
    """Whether a waiting job is not held."""
    free = True
    if extras is not None:
        free = extras.held_until[job] <= now
    return free


@compiled_inline
def starving(job, now, extras):  # type: ignore[no-untyped-def]
    """Whether a job has waited longer than any may."""
    return now - extras.submit_s[job] > extras.max_wait_s


@compiled_inline
def level_for(s, job, procs, now, extras, nodes):  # type: ignore[no-untyped-def]
    """Highest frequency level at which a job fits now; -1 if there is none."""
    level = 0
    if procs > s.free:
        level = -1
    elif extras is not None:
        if extras.gpus[job] > extras.amounts[FREE_GPUS]:
            level = -1
        else:
            level = _level_under_cap(job, procs, now, extras, nodes)
    return level


@compiled
def _level_under_cap(job, procs, now, extras, nodes):  # type: ignore[no-untyped-def]
    levels = extras.stretch.size
    level = 0
    if extras.amounts[CAPPED] > 0:
        left = extras.amounts[LEFT_UW]
        if nodes is not None and extras.uw[job, 0] > left:
            left = _left_with_sleepers(job, procs, now, extras, nodes)
        while level < levels and extras.uw[job, level] > left:
            level += 1
    return level if level < levels else -1


@compiled_inline
def _left_with_sleepers(job, procs, now, extras, nodes):  # type: ignore[no-untyped-def]
    """Microwatts left for a job while those nodes sleep that it would not wake."""
    sleepers = nodes.counts[SLEEPERS]
    least = extras.uw[job, extras.stretch.size - 1]
    left = extras.amounts[LEFT_UW] + extras.amounts[ASLEEP_UW] * sleepers
    if sleepers > 0 and least <= left:
        left -= extras.amounts[ASLEEP_UW] * waking(nodes, procs, now)[1]
    return left


@compiled_inline
def _exceeds_cap(job, procs, now, extras, nodes):  # type: ignore[no-untyped-def]
    """Whether the cap leaves too little for a job even at the lowest level."""
    least = extras.uw[job, extras.stretch.size - 1]
    exceeds = extras.amounts[CAPPED] > 0 and least > extras.amounts[LEFT_UW]
    if exceeds and nodes is not None:
        exceeds = least > _left_with_sleepers(job, procs, now, extras, nodes)
    return exceeds


@compiled
def attribute(cluster, s, now, free, ticked, backfilling, extras, nodes):  # type: ignore[no-untyped-def]
    """Find what each waiting job waits for after a pass; add up what it waited for so far.

    Unless held jobs were looked at again, whoever needs more than was `free` before the pass
    still waits for what it waited for.
    """
    most = GAP - 1 if ticked else free
    base = s.head
    while base < s.tail:
        mask = fitting8(cluster.queue_procs, base, most)
        while mask != 0:
            slot = base + lowest_bit(mask)
            mask &= mask - 1
            job, procs = cluster.queue[slot], cluster.queue_procs[slot]
            if extras.held_until[job] > now:
                cause = HOLD
            elif procs > s.free or extras.gpus[job] > extras.amounts[FREE_GPUS]:
                cause = RESOURCES
            elif _exceeds_cap(job, procs, now, extras, nodes):
                cause = CAP
            else:
                cause = RESERVATION if backfilling else BEHIND
            if cause != extras.cause[job]:
                settle(job, now, cause, extras)
        base += LANES


@compiled_inline
def settle(job, now, cause, extras):  # type: ignore[no-untyped-def]
    """Book the time since a job's cause last changed, and give it another."""
    extras.waits[job, extras.cause[job]] += now - extras.since[job]
    extras.cause[job] = cause
    extras.since[job] = now
