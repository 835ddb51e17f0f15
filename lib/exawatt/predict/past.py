"""Past: features of one block of jobs after another, while their replay goes on."""

import copy
from typing import Self

import numpy as np
import pandas as pd
from numba import njit

from exawatt.predict.features import FEATURES, HISTORIES, OWN, _numbers, _own
from exawatt.predict.history import (
    N_HISTORY,
    N_PERSONAL,
    PERSONAL,
    QUEUE,
    TOLD,
    Events,
    _complete,
    _start,
    _submit,
    _tell,
    _tell_personal,
)
from exawatt.replay.state import Integers
from exawatt.stats import Floats
from exawatt.workload import Workload


class Past:
    """What is known of earlier jobs at each submission, as far as a replay has come.

    Row by row the same as :func:`~exawatt.predict.features.features` makes of the whole replay.

    Parameters
    ----------
    workload : Workload
        The jobs.
    procs : int
        The machine's processors [-].
    """

    def __init__(self, workload: Workload, procs: int) -> None:
        """Fill in what jobs tell of themselves."""
        jobs = workload.jobs
        self._machine_procs = procs
        self._number = number = _numbers(jobs)
        self._submit_s, self._request_s, self._procs = (
            np.array(jobs[name], dtype=np.float64) for name in ("submit_s", "requested_s", "procs")
        )
        self._table = np.empty((len(jobs), len(FEATURES)))
        for at, column in enumerate(_own(workload).values()):
            self._table[:, at] = column
        self._histories = np.zeros((number.max(initial=-1) + 1, N_HISTORY))
        self._personal = np.zeros((number[:, 0].max(initial=-1) + 1, N_PERSONAL))
        self._queue = np.zeros(len(QUEUE))
        # Rows of jobs that were told of, and whose start or end was not.
        self._waiting = self._running = np.empty(0, np.int64)

    def copy(self) -> Self:
        """Return another past that goes on from here; both write to one table of features."""
        other = copy.copy(self)
        for name in ("_histories", "_personal", "_queue"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def features(self, rows: Integers | slice) -> pd.DataFrame:
        """Features of jobs that were told of."""
        return pd.DataFrame(self._table[rows], columns=list(FEATURES), copy=False)

    def tell(self, first: int, last: int, start_s: Floats, runtime_s: Floats) -> None:
        """Make the features of the next block of jobs.

        Parameters
        ----------
        first, last : int
            Their rows; `first` is the `last` of the block before.
        start_s, runtime_s : ndarray, shape (n_jobs,)
            Start of each job that started before the block's last submission, and its executed
            runtime [s]; of other jobs infinite, or any start not before that submission.
        """
        live = np.concatenate([self._running, self._waiting, np.arange(first, last)])
        n_running, n_old = self._running.size, live.size - (last - first)
        events = self._events(live, n_running, start_s[live], runtime_s[live])
        table = self._table[first:last]
        queue, personal, told = np.cumsum([len(OWN), len(QUEUE), len(PERSONAL)])
        n_started, n_ended = _tell_block(
            *(events, self._number[live], n_old),
            *(self._histories, self._personal, self._queue),
            *(table[:, queue:personal], table[:, personal:told]),
            table[:, told:].reshape(last - first, len(HISTORIES), len(TOLD)),
        )
        table[:, queue + 1 : personal] /= self._machine_procs
        begun = np.arange(live.size) < n_running
        begun[events.by_start[:n_started]] = True
        ended = np.zeros(live.size, np.bool_)
        ended[events.by_end[:n_ended]] = True
        self._waiting, self._running = live[~begun], live[begun & ~ended]

    def _events(self, live: Integers, n_running: int, start: Floats, runtime: Floats) -> Events:
        """What happens to live jobs, of which the first have started before."""
        end = ends_s(start, runtime)
        runtime_ln = np.log(np.maximum(runtime, 1.0))
        return Events(
            self._submit_s[live],
            start,
            end,
            n_running + np.argsort(start[n_running:], kind="stable"),
            # Of jobs that end at the same moment, in the order of the trace.
            np.lexsort((live, end)),
            self._procs[live],
            runtime_ln,
            runtime_ln - np.log(np.maximum(self._request_s[live], 1.0)),
        )


def ends_s(start_s: Floats, runtime_s: Floats) -> Floats:
    """End of each job [s], after its start even if the runtime is lost in the start's digits."""
    end: Floats = np.maximum(start_s + runtime_s, np.nextafter(start_s, np.inf))
    return end


@njit(cache=True, nogil=True, error_model="numpy")
def _tell_block(events, number, n_old, histories, personal, amounts, queue, last, told):  # type: ignore[no-untyped-def]
    """Fill in what was known at each submission of a block, as :func:`history.tell` does.

    Return how many jobs have started in it, and how many have ended. The first `n_old` jobs were
    submitted before it, and `amounts` are what waits and is busy.
    """
    started = ended = 0
    for at in range(queue.shape[0]):
        job = n_old + at
        now = events.submit_s[job]
        # This job neither starts before now nor ends by now, so that both loops end.
        while events.start_s[events.by_start[started]] < now:
            other = events.by_start[started]
            _start(histories, number[other], events.start_s[other])
            amounts[0] -= 1.0
            amounts[1] -= events.procs[other]
            amounts[2] += events.procs[other]
            started += 1
        while events.end_s[events.by_end[ended]] <= now:
            other = events.by_end[ended]
            _complete(histories, personal, number[other], events, other)
            amounts[2] -= events.procs[other]
            ended += 1
        queue[at] = amounts
        _tell_personal(histories, personal, number[job, 0], last[at])
        for kind in range(number.shape[1]):
            _tell(histories, number[job, kind], now, told[at, kind])
        _submit(histories, number[job], now)
        amounts[0] += 1.0
        amounts[1] += events.procs[job]
    return started, ended
