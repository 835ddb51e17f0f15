"""Estimates that come from a user's past, and their correction when they are overrun."""

from math import inf

from exawatt.replay.state import RUNNING, SEEN, compiled

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
def correct(cluster, now, history, extras):  # type: ignore[no-untyped-def]
    """Give running jobs at or past their expected end a new one, if the policy has one.

    The running list stays sorted; who cannot be corrected stays in front.
    """
    counts, ends, jobs = cluster.counts, cluster.run_end, cluster.run_job
    at = 0
    while at < counts[RUNNING] and ends[at] <= now:
        job = jobs[at]
        end = _corrected_end(history, job, now, ends[at])
        if end == ends[at]:
            at += 1
        else:
            counts[SEEN] = 0
            to = at
            procs = cluster.run_procs[at]
            if extras is not None:
                gpus, mw = extras.run_gpus[at], extras.run_mw[at]
            while to + 1 < counts[RUNNING] and ends[to + 1] <= end:
                ends[to] = ends[to + 1]
                jobs[to] = jobs[to + 1]
                cluster.run_procs[to] = cluster.run_procs[to + 1]
                if extras is not None:
                    extras.run_gpus[to] = extras.run_gpus[to + 1]
                    extras.run_mw[to] = extras.run_mw[to + 1]
                to += 1
            ends[to] = end
            jobs[to] = job
            cluster.run_procs[to] = procs
            if extras is not None:
                extras.run_gpus[to], extras.run_mw[to] = gpus, mw
            if to == at and end <= now:
                at += 1


@compiled
def next_overrun_s(cluster, history, last_s):  # type: ignore[no-untyped-def]
    """First expected end after the last instant [s]; infinite without a correction."""
    moment = inf
    if history.correction != NO_CORRECTION:
        at = 0
        while at < cluster.counts[RUNNING] and moment == inf:
            if cluster.run_end[at] > last_s:
                moment = cluster.run_end[at]
            at += 1
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
