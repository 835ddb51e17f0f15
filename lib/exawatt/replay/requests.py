"""What stands in for a request that the log lacks."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from exawatt.stats import Floats

QUANTILE = 0.9
#: Taken for a missing request while no request is known at all.
FIRST_REQUEST_S = 86400.0


@dataclass
class RunningQuantile:
    """The 0.9-quantile, by linear interpolation, of all requests submitted so far.

    Two heaps hold the requests up to the quantile's place and those above it; the requests of
    the latest instant wait outside, for a job must not see those submitted with it.
    """

    low: Floats = field(default_factory=lambda: np.empty(0))
    high: Floats = field(default_factory=lambda: np.empty(0))
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    latest: Floats = field(default_factory=lambda: np.empty(0))
    latest_s: float = np.nan

    def before_s(self, submit_s: Floats, requested_s: Floats) -> Floats:
        """Quantile of the requests submitted strictly earlier than each job [s].

        Parameters
        ----------
        submit_s, requested_s : ndarray, shape (n_jobs,)
            Submission (ascending, none before those of an earlier call) and request, NaN where
            missing [s].

        Returns
        -------
        ndarray, shape (n_jobs,)
            24 h where no request was known.
        """
        submit = np.concatenate([np.full(self.latest.size, self.latest_s), submit_s])
        requested = np.concatenate([self.latest, requested_s])
        room = int(self.sizes.sum()) + submit.size
        if room > self.low.size:
            self.low, self.high = (np.resize(heap, 2 * room) for heap in (self.low, self.high))
        found = np.empty(submit.size)
        seen = _before(submit, requested, self.low, self.high, self.sizes, found)
        kept = requested[seen:]
        self.latest = kept[~np.isnan(kept)]
        self.latest_s = float(submit[-1]) if submit.size else self.latest_s
        return found[submit.size - submit_s.size :]


@njit(cache=True, nogil=True)
def _before(submit, requested, low, high, sizes, found):  # type: ignore[no-untyped-def]
    """Fill `found`; return how many requests went into the heaps."""
    seen = 0
    for job in range(submit.size):
        while submit[seen] < submit[job]:
            if requested[seen] == requested[seen]:
                _insert(requested[seen], low, high, sizes)
            seen += 1
        found[job] = _quantile(low, high, sizes)
    return seen


@njit(cache=True, nogil=True)
def _quantile(low, high, sizes):  # type: ignore[no-untyped-def]
    """Interpolate as NumPy does."""
    if sizes[0] == 0:
        return FIRST_REQUEST_S
    place = (sizes[0] + sizes[1] - 1) * QUANTILE
    part = place - np.floor(place)
    below = -low[0]
    if sizes[1] == 0:
        return below
    above = high[0]
    if part >= 0.5:
        return above - (above - below) * (1.0 - part)
    return below + (above - below) * part


@njit(cache=True, nogil=True)
def _insert(value, low, high, sizes):  # type: ignore[no-untyped-def]
    """Add a request; `low` is a heap of negated values, so that its root is the largest."""
    if sizes[0] > 0 and value > -low[0]:
        _push(high, sizes, 1, value)
    else:
        _push(low, sizes, 0, -value)
    wanted = int(np.floor((sizes[0] + sizes[1] - 1) * QUANTILE)) + 1
    if sizes[0] > wanted:
        _push(high, sizes, 1, -_pop(low, sizes, 0))
    elif sizes[0] < wanted:
        _push(low, sizes, 0, -_pop(high, sizes, 1))


@njit(cache=True, nogil=True)
def _push(heap, sizes, which, value):  # type: ignore[no-untyped-def]
    at = sizes[which]
    sizes[which] += 1
    while at > 0 and heap[(at - 1) >> 1] > value:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = value


@njit(cache=True, nogil=True)
def _pop(heap, sizes, which):  # type: ignore[no-untyped-def]
    first = heap[0]
    sizes[which] -= 1
    size = sizes[which]
    value = heap[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value
    return first
