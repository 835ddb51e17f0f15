"""Errors of half-hours: how they average out in a sum over time, or over jobs.

Each half-hour's intensity has an error of its own, correlated with those of its neighbours. The
variance of a sum of costs is then, but for the variance of one error, the sum over all pairs of
half-hours of cost times cost times their correlation. Here it is the *spread* of the costs.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from exawatt.stats import Floats


class Runs(NamedTuple):
    """What jobs pay half-hour by half-hour, while they run and while nothing does.

    Parameters
    ----------
    first, last : ndarray of int64, shape (n_jobs,)
        First and last half-hour of each job's run.
    first_part, last_part : ndarray, shape (n_jobs,)
        What it pays in them; a run within one half-hour has no last part.
    watts, procs : ndarray, shape (n_jobs,)
        In between, each job pays the prices of these.
    watt_price, proc_price : ndarray, shape (n,)
        Prices of a watt and of a processor in each half-hour.
    empty : ndarray, shape (n,)
        What is to be paid beside these in each half-hour.
    work : ndarray, shape (n_jobs,)
        Part of that which each job pays [-].
    """

    first: np.ndarray
    last: np.ndarray
    first_part: Floats
    last_part: Floats
    watts: Floats
    procs: Floats
    watt_price: Floats
    proc_price: Floats
    empty: Floats
    work: Floats


def spread_of_jobs(runs: Runs, groups: np.ndarray, decay: float) -> Floats:
    """Spread of what groups of jobs pay.

    Parameters
    ----------
    runs : Runs
    groups : ndarray of int64, shape (n_jobs,)
        Group of each job, numbered from 0.
    decay : float
        Correlation of two successive half-hours' errors [-].

    Returns
    -------
    ndarray, shape (n_groups,)
    """
    # Small integers are sorted by their digits, in time that does not grow faster than the jobs.
    order = np.argsort(groups.astype(np.min_scalar_type(groups.max())), kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(groups)))
    beside = _seen(runs.empty, decay)
    spread, product = _walk(order, offsets, runs, beside, decay)
    part = np.bincount(groups, runs.work)
    total: Floats = spread + 2.0 * part * product + part**2 * float(runs.empty @ beside)
    return total


@njit(cache=True)
def spread_of(rows, n_rows, values, decay):  # type: ignore[no-untyped-def]
    """Sum over pairs of half-hours of the same row, of value times value times decay**distance.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Row that each half-hour belongs to, below `n_rows`.
    n_rows : int
    values : ndarray, shape (n,)
        In order of time.
    decay : float
        Correlation of two successive half-hours [-].

    Returns
    -------
    ndarray, shape (n_rows,)
    """
    spread, before = np.zeros(n_rows), np.zeros(n_rows)
    last = np.zeros(n_rows, np.int64)
    for h in range(values.size):
        row = rows[h]
        before[row] *= decay ** (h - last[row])
        spread[row] += values[h] * (values[h] + 2.0 * before[row])
        before[row] += values[h]
        last[row] = h
    return spread


@njit(cache=True)
def _seen(values, decay):  # type: ignore[no-untyped-def]
    """Sum over all half-hours of value times decay**distance, as seen from each; shape (n,)."""
    seen = -values
    before = after = 0.0
    for h in range(values.size):
        before = before * decay + values[h]
        after = after * decay + values[-1 - h]
        seen[h] += before
        seen[-1 - h] += after
    return seen


@njit(cache=True)
def _walk(order, offsets, runs, beside, decay):  # type: ignore[no-untyped-def]
    """Spread of what groups pay while they run, and that times what is seen beside it."""
    n_groups = offsets.size - 1
    spread, product = np.zeros(n_groups), np.zeros(n_groups)
    cost = np.zeros(beside.size)
    for group in range(n_groups):
        low, high = cost.size, -1
        for i in order[offsets[group] : offsets[group + 1]]:
            low, high = min(low, runs.first[i]), max(high, runs.last[i])
            cost[runs.first[i]] += runs.first_part[i]
            cost[runs.last[i]] += runs.last_part[i]
            for h in range(runs.first[i] + 1, runs.last[i]):
                cost[h] += runs.watts[i] * runs.watt_price[h] + runs.procs[i] * runs.proc_price[h]
        before = 0.0
        for h in range(low, high + 1):
            before *= decay
            spread[group] += cost[h] * (cost[h] + 2.0 * before)
            product[group] += cost[h] * beside[h]
            before += cost[h]
            cost[h] = 0.0
    return spread, product
