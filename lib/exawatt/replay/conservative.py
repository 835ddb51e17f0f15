"""Conservative backfilling: every waiting job has a reservation in a profile of what is free."""

import numpy as np

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.extras import eligible, starving
from exawatt.replay.heaps import pop, push
from exawatt.replay.holds import held_back
from exawatt.replay.machine import occupy
from exawatt.replay.state import CAPPED, FREE_GPUS, GAP, LEFT_UW


@compiled
def place_jobs(cluster, s, now, profile, order, history, extras, nodes, started, clock):  # type: ignore[no-untyped-def]
    """Give new jobs a reservation; after anything but submissions, compress all others too."""
    overdue = cluster.run_end[s.last] <= now
    compress = profile.size[1] == 0 or profile.next_s[0] <= now
    if compress or profile.size[0] == 0:
        _rebuild(cluster, s, now, profile, extras)
    else:
        _trim(profile, now, extras)
    n = 0
    for slot in range(s.head, s.tail):
        job = cluster.queue[slot]
        if (
            cluster.queue_procs[slot] != GAP
            and eligible(job, now, extras)
            and (compress or profile.reserved_s[job] == np.inf)
        ):
            key = 0.0
            if order is not None:
                key = order.score[job]
                if extras is not None and starving(job, now, extras):
                    key = -np.inf
            if order is None:
                s = _place(cluster, s, slot, now, profile, history, extras, nodes, started, clock)
            else:
                push(profile, n, key, 0.0, slot)
                n += 1
    while n > 0:
        n -= 1
        slot = pop(profile, n)
        s = _place(cluster, s, slot, now, profile, history, extras, nodes, started, clock)
    profile.size[1] = 1
    # A reservation begins when jobs are expected to end, so that something happens then anyway,
    # unless these were expected to run on.
    profile.next_s[0] = np.inf
    for slot in range(s.head, s.tail):
        if cluster.queue_procs[slot] != GAP and not overdue:
            begin = profile.reserved_s[cluster.queue[slot]]
            profile.next_s[0] = min(profile.next_s[0], begin)
    return s


@compiled
def _place(cluster, s, slot, now, profile, history, extras, nodes, started, clock):  # type: ignore[no-untyped-def]
    """Start a job, or reserve the earliest time from which it fits for its whole estimate."""
    job = cluster.queue[slot]
    length, procs, gpus, uw = _needs(cluster, slot, extras)
    begin = profile.reserved_s[job]
    if begin < np.inf:
        _change(profile, begin, begin + length, procs, gpus, uw, extras)
    begin = _earliest(profile, length, procs, gpus, uw, extras)
    profile.reserved_s[job] = np.inf
    if begin > now:
        profile.reserved_s[job] = begin
        _change(profile, begin, begin + length, -procs, -gpus, -uw, extras)
    elif extras is None or not held_back(job, cluster.queue_estimate[slot], now, extras):
        s, start = occupy(cluster, s, slot, now, 0, True, history, extras, nodes, started, clock)
        _change(profile, now, start + length, -procs, -gpus, -uw, extras)
    return s


@compiled_inline
def _needs(cluster, slot, extras):  # type: ignore[no-untyped-def]
    """For how long [s] the job in a slot needs how many processors, GPU thousandths and µW."""
    job = cluster.queue[slot]
    length, gpus, uw = cluster.queue_estimate[slot], np.int64(0), np.int64(0)
    if extras is not None:
        length *= extras.stretch[0]
        gpus = extras.gpus[job]
        uw = extras.uw[job, 0] * extras.amounts[CAPPED]
    return length, cluster.queue_procs[slot], gpus, uw


@compiled
def _earliest(profile, length, procs, gpus, uw, extras):  # type: ignore[no-untyped-def]
    """Earliest time from which so much is free for `length` seconds."""
    size = profile.size[0]
    at = 0
    begin = profile.time[0]
    step = 0
    while step < size and (step == at or profile.time[step] < begin + length):
        lacks = profile.procs[step] < procs
        if extras is not None:
            lacks = lacks or profile.gpus[step] < gpus or profile.uw[step] < uw
        if lacks:
            at = step + 1
            begin = profile.time[at]
        step += 1
    return begin


@compiled
def _change(profile, begin, end, procs, gpus, uw, extras):  # type: ignore[no-untyped-def]
    """Add to what is free from `begin` to `end`; steps that are no more are dropped."""
    first = _edge(profile, begin, extras)
    last = _edge(profile, end, extras)
    for step in range(first, last):
        profile.procs[step] += procs
        if extras is not None:
            profile.gpus[step] += gpus
            profile.uw[step] += uw
    _drop_if_same(profile, last, extras)
    _drop_if_same(profile, first, extras)


@compiled
def _edge(profile, time, extras):  # type: ignore[no-untyped-def]
    """Index of the step that begins at a time, made if there is none; 0 for any time before."""
    low, high = 0, profile.size[0]
    while low < high:
        middle = (low + high) >> 1
        if profile.time[middle] < time:
            low = middle + 1
        else:
            high = middle
    size = profile.size[0]
    if low > 0 and (low == size or profile.time[low] != time):
        for step in range(size, low, -1):
            profile.time[step] = profile.time[step - 1]
            profile.procs[step] = profile.procs[step - 1]
            if extras is not None:
                profile.gpus[step] = profile.gpus[step - 1]
                profile.uw[step] = profile.uw[step - 1]
        profile.time[low] = time
        profile.procs[low] = profile.procs[low - 1]
        if extras is not None:
            profile.gpus[low] = profile.gpus[low - 1]
            profile.uw[low] = profile.uw[low - 1]
        profile.size[0] = size + 1
    return low


@compiled
def _drop_if_same(profile, at, extras):  # type: ignore[no-untyped-def]
    size = profile.size[0]
    if 0 < at < size:
        same = profile.procs[at] == profile.procs[at - 1]
        if extras is not None:
            same = same and profile.gpus[at] == profile.gpus[at - 1]
            same = same and profile.uw[at] == profile.uw[at - 1]
        if same:
            _shift(profile, at, 1, extras)


@compiled
def _shift(profile, at, by, extras):  # type: ignore[no-untyped-def]
    """Drop `by` steps from `at` on."""
    size = profile.size[0] - by
    for step in range(at, size):
        profile.time[step] = profile.time[step + by]
        profile.procs[step] = profile.procs[step + by]
        if extras is not None:
            profile.gpus[step] = profile.gpus[step + by]
            profile.uw[step] = profile.uw[step + by]
    profile.size[0] = size


@compiled
def _trim(profile, now, extras):  # type: ignore[no-untyped-def]
    """Forget what is past."""
    past = 0
    while past + 1 < profile.size[0] and profile.time[past + 1] <= now:
        past += 1
    if past > 0:
        _shift(profile, 0, past, extras)
    profile.time[0] = now


@compiled
def _rebuild(cluster, s, now, profile, extras):  # type: ignore[no-untyped-def]
    """Profile of the running jobs and of all reservations.

    Jobs past their expected end are expected to end one second from now.
    """
    ends = cluster.run_end
    procs, gpus, uw = s.free, np.int64(0), np.int64(0)
    if extras is not None:
        gpus = extras.amounts[FREE_GPUS]
        uw = extras.amounts[LEFT_UW] * extras.amounts[CAPPED]
    at = s.last
    while ends[at] <= now:
        at -= 1
    overdue = at + 1
    time, size = now, 0
    while time < np.inf:
        profile.time[size] = time
        profile.procs[size] = procs
        if extras is not None:
            profile.gpus[size] = gpus
            profile.uw[size] = uw
        size += 1
        time = ends[at]
        if overdue <= s.last:
            time = min(time, now + 1.0)
        while time < np.inf:
            if overdue <= s.last and time == now + 1.0:
                job = cluster.run_job[overdue]
                overdue += 1
            elif ends[at] == time:
                job = cluster.run_job[at]
                at -= 1
            else:
                break
            procs += cluster.job_procs[job]
            if extras is not None:
                gpus += extras.gpus[job]
                uw += extras.uw[job, extras.level[job]] * extras.amounts[CAPPED]
    profile.size[0] = size
    for slot in range(s.head, s.tail):
        job = cluster.queue[slot]
        if cluster.queue_procs[slot] != GAP and profile.reserved_s[job] < np.inf:
            length, taken, taken_gpus, taken_uw = _needs(cluster, slot, extras)
            begin = profile.reserved_s[job]
            _change(profile, begin, begin + length, -taken, -taken_gpus, -taken_uw, extras)
