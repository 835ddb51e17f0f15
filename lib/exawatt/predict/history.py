"""One pass over a schedule in time order: what was known of earlier jobs at each submission."""

from typing import NamedTuple

import numpy as np
from numba import njit

from exawatt.replay.state import Integers
from exawatt.stats import Floats

#: What is told of each history; a name with ``ln_s`` is the natural logarithm of seconds.
TOLD = {
    "completed": "jobs completed so far [-]",
    "last_ln_s": "runtime of the job completed last",
    "mean_ln_s": "mean over all completed jobs",
    "spread_ln_s": "their standard deviation; unknown before the second",
    "recent_ln_s": "mean with weights that shrink by a quarter a job",
    "recent_spread_ln_s": "standard deviation with these weights; unknown before the second",
    "since_end_ln_s": "time since the last completion, at least 1 s",
    "since_submit_ln_s": "time since the last submission, at least 1 s",
    "running": "jobs that run [-]",
    "elapsed_ln_s": "mean time that these have run, at least 1 s",
    "waiting": "jobs that wait [-]",
}
#: What is told of the first kind of history beyond that.
N_LAST = 5
PERSONAL = {f"last{i}_ln_s": f"runtime of the job completed {i}. latest" for i in range(1, 6)} | {
    "accuracy_ln": "recent mean of the logarithm of runtime over request [-]"
}
#: What is told of the machine.
QUEUE = {
    "jobs_waiting": "jobs that wait [-]",
    "procs_waiting": "processors that they wait for, over the machine's [-]",
    "procs_busy": "processors in use, over the machine's [-]",
}
#: Weight of the newest job in a recent mean, once there are as many jobs as its inverse.
NEWEST = 0.25

# Columns of the tables of histories; the second begins with the latest runtimes.
COMPLETED, LAST, MEAN, SQUARES, RECENT, VARIANCE, END, SUBMIT, RUNNING, STARTS, WAITING = range(11)
ACCURACY, WITH_REQUEST = N_LAST, N_LAST + 1
N_HISTORY, N_PERSONAL = 11, N_LAST + 2


class Events(NamedTuple):
    """What happens to the jobs, in workload order; every array has shape (n_jobs,).

    Parameters
    ----------
    submit_s, start_s, end_s : ndarray
        Submission (ascending), start and end [s].
    by_start, by_end : ndarray of int64
        The jobs in order of their start, and of their end.
    procs : ndarray
        Processors [-].
    runtime_ln_s : ndarray
        Logarithm of the runtime.
    accuracy_ln : ndarray
        Logarithm of runtime over request; NaN where there is no request [-].
    """

    submit_s: Floats
    start_s: Floats
    end_s: Floats
    by_start: Integers
    by_end: Integers
    procs: Floats
    runtime_ln_s: Floats
    accuracy_ln: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def tell(events, number, histories, personal, queue, last, told):  # type: ignore[no-untyped-def]
    """Fill in what was known at each submission.

    Starts before it, and completions at or before it, have happened by then; of jobs submitted
    at the same moment, those before it in the trace.

    Parameters
    ----------
    events : Events
    number : ndarray of int64, shape (n_jobs, n_kinds)
        The row of `histories` that each job belongs to, by kind; -1 for none. Those of the first
        kind come first.
    histories : ndarray, shape (n_histories, N_HISTORY)
        Working space, zero.
    personal : ndarray, shape (n_histories of the first kind, N_PERSONAL)
        Working space, zero.
    queue : ndarray, shape (n_jobs, len(QUEUE))
        Out: the columns of ``QUEUE``, processors in numbers.
    last : ndarray, shape (n_jobs, len(PERSONAL))
        Out: the columns of ``PERSONAL``.
    told : ndarray, shape (n_jobs, n_kinds, len(TOLD))
        Out: the columns of ``TOLD``, by kind.
    """
    started = ended = 0
    waiting = procs_waiting = procs_busy = 0.0
    for job in range(events.submit_s.size):
        now = events.submit_s[job]
        while started < job and events.start_s[events.by_start[started]] < now:
            other = events.by_start[started]
            _start(histories, number[other], events.start_s[other])
            waiting -= 1.0
            procs_waiting -= events.procs[other]
            procs_busy += events.procs[other]
            started += 1
        while ended < started and events.end_s[events.by_end[ended]] <= now:
            other = events.by_end[ended]
            _complete(histories, personal, number[other], events, other)
            procs_busy -= events.procs[other]
            ended += 1
        queue[job, 0], queue[job, 1], queue[job, 2] = waiting, procs_waiting, procs_busy
        _tell_personal(histories, personal, number[job, 0], last[job])
        for kind in range(number.shape[1]):
            _tell(histories, number[job, kind], now, told[job, kind])
        _submit(histories, number[job], now)
        waiting += 1.0
        procs_waiting += events.procs[job]


@njit(cache=True, nogil=True, error_model="numpy")
def _start(histories, numbers, start_s):  # type: ignore[no-untyped-def]
    for number in numbers:
        if number >= 0:
            histories[number, WAITING] -= 1.0
            histories[number, RUNNING] += 1.0
            histories[number, STARTS] += start_s


@njit(cache=True, nogil=True, error_model="numpy")
def _submit(histories, numbers, now):  # type: ignore[no-untyped-def]
    for number in numbers:
        if number >= 0:
            histories[number, WAITING] += 1.0
            histories[number, SUBMIT] = now


@njit(cache=True, nogil=True, error_model="numpy")
def _complete(histories, personal, numbers, events, job):  # type: ignore[no-untyped-def]
    runtime, accuracy = events.runtime_ln_s[job], events.accuracy_ln[job]
    for number in numbers:
        if number >= 0:
            history = histories[number]
            history[RUNNING] -= 1.0
            history[STARTS] -= events.start_s[job]
            history[END] = events.end_s[job]
            _learn(history, runtime)
    if numbers[0] >= 0:
        own = personal[numbers[0]]
        for at in range(N_LAST - 1, 0, -1):
            own[at] = own[at - 1]
        own[0] = runtime
        if accuracy == accuracy:
            own[WITH_REQUEST] += 1.0
            weight = max(NEWEST, 1.0 / own[WITH_REQUEST])
            own[ACCURACY] += weight * (accuracy - own[ACCURACY])


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(history, runtime):  # type: ignore[no-untyped-def]
    """Update means and variances of a history: Welford's method, and its weighted form."""
    history[COMPLETED] += 1.0
    history[LAST] = runtime
    off = runtime - history[MEAN]
    history[MEAN] += off / history[COMPLETED]
    history[SQUARES] += off * (runtime - history[MEAN])
    weight = max(NEWEST, 1.0 / history[COMPLETED])
    off = runtime - history[RECENT]
    history[RECENT] += weight * off
    history[VARIANCE] = (1.0 - weight) * (history[VARIANCE] + weight * off * off)


@njit(cache=True, nogil=True, error_model="numpy")
def _tell(histories, number, now, told):  # type: ignore[no-untyped-def]
    """Write the columns of ``TOLD``; what is unknown is NaN."""
    told[:] = np.nan
    if number < 0:
        return
    history = histories[number]
    completed, running, waiting = history[COMPLETED], history[RUNNING], history[WAITING]
    told[0], told[8], told[10] = completed, running, waiting
    if completed > 0.0:
        told[1], told[2], told[4] = history[LAST], history[MEAN], history[RECENT]
        told[6] = np.log(max(now - history[END], 1.0))
    if completed > 1.0:
        told[3] = np.sqrt(history[SQUARES] / completed)
        told[5] = np.sqrt(history[VARIANCE])
    if completed + running + waiting > 0.0:
        told[7] = np.log(max(now - history[SUBMIT], 1.0))
    if running > 0.0:
        told[9] = np.log(max(now - history[STARTS] / running, 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _tell_personal(histories, personal, number, told):  # type: ignore[no-untyped-def]
    """Write the columns of ``PERSONAL``; what is unknown is NaN."""
    told[:] = np.nan
    if number < 0:
        return
    for at in range(min(N_LAST, int(histories[number, COMPLETED]))):
        told[at] = personal[number, at]
    if personal[number, WITH_REQUEST] > 0.0:
        told[ACCURACY] = personal[number, ACCURACY]
