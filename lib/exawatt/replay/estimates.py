"""Estimates that come from a user's past, and their correction when they are overrun."""

from math import inf

from exawatt.replay.compiling import compiled
from exawatt.replay.lanes import discard, insert
from exawatt.replay.state import State

NO_CORRECTION, TO_REQUEST, INCREMENTS, DOUBLING = range(4)
CORRECTIONS = {"none": 0, "request": 1, "increments": 2, "doubling": 3}
# Tsafrir et al. 2007: 1, 5, 15, 30 min, 1, 2, 5, 10, 20, 50, 100 h.
STEPS_S = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 18e3, 36e3, 72e3, 18e4, 36e4)


@compiled
def predict(history, job, estimate_s):  # type: ignore[no-untyped-def]
    """Estimate of a job that is submitted [s]: its user's last two runtimes, or what it was."""
    if history.last2 == 1:
        user = history.user[job]
        if history.completed[user] > 1:
            mean = (history.last_s[user, 0] + history.last_s[user, 1]) / 2.0
            estimate_s = min(mean, history.request_s[job])
    history.estimate_s[job] = estimate_s
    history.overruns[job] = 0
    return estimate_s


@compiled
def learn(history, job, runtime_s):  # type: ignore[no-untyped-def]
    """Remember the runtime of a completed job."""
    user = history.user[job]
    history.last_s[user, 1] = history.last_s[user, 0]
    history.last_s[user, 0] = runtime_s
    history.completed[user] += 1


@compiled
def correct(cluster, s, now, history):  # type: ignore[no-untyped-def]
    """Give running jobs at or past their expected end a new one, if the policy has one."""
    ends, jobs = cluster.run_end, cluster.run_job
    at, seen, extra = s.last, s.seen, s.extra
    while history.correction != NO_CORRECTION and ends[at] <= now:
        job = jobs[at]
        end = _corrected_end(history, job, now, ends[at])
        if end == ends[at]:
            at -= 1
        else:
            # Its successor is in this slot then, and it is looked at again if still overdue.
            discard(ends, jobs, s.last, ends[at], job)
            insert(ends, jobs, s.last - 1, end, job)
            cluster.job_end[job] = end
            seen, extra = 0, -1
    return State(s.free, s.last, s.head, s.tail, s.gaps, seen, extra, s.started, s.shadow)


@compiled
def next_overrun_s(cluster, last, history):  # type: ignore[no-untyped-def]
    """First expected end after the last instant [s]; infinite without a correction."""
    moment = inf
    if history.correction != NO_CORRECTION:
        at = last
        while cluster.run_end[at] <= cluster.times[1]:
            at -= 1
        moment = cluster.run_end[at]
    return moment


@compiled
def _corrected_end(history, job, now, end):  # type: ignore[no-untyped-def]
    """Expected end of a job [s], corrected until it lies ahead or the request is reached."""
    estimate, request = history.estimate_s[job], history.request_s[job]
    while history.correction != NO_CORRECTION and end <= now and estimate < request:
        if history.correction == TO_REQUEST:
            estimate = request
        elif history.correction == DOUBLING:
            estimate = min(2.0 * estimate, request)
        else:
            step = min(history.overruns[job], len(STEPS_S) - 1)
            estimate = min(estimate + STEPS_S[step], request)
            history.overruns[job] += 1
        end = history.begin_s[job] + history.stretch[job] * estimate
    history.estimate_s[job] = estimate
    return end
