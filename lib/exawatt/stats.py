"""Formulas over plain arrays: job metrics and piecewise-constant functions of time."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def bounded_slowdown(wait_s: ArrayLike, runtime_s: ArrayLike, bound_s: float = 10.0) -> Floats:
    r"""Bounded slowdown of each job [-].

    Parameters
    ----------
    wait_s, runtime_s : array_like, shape (n_jobs,)
        Waiting and executed running time [s].
    bound_s : float
        Runtimes shorter than this count as this [s].

    Returns
    -------
    ndarray, shape (n_jobs,)

    Notes
    -----
    .. math:: b_j = \max\left(1, \frac{w_j + r_j}{\max(r_j, \tau)}\right)

    References
    ----------
    .. [1] D. Feitelson et al., "Theory and Practice in Parallel Job Scheduling", JSSPP 1997.
    """
    wait = np.asarray(wait_s, dtype=np.float64)
    runtime = np.asarray(runtime_s, dtype=np.float64)
    return np.maximum(1.0, (wait + runtime) / np.maximum(runtime, bound_s))


def step_sum(
    begin_s: ArrayLike, end_s: ArrayLike, weight: ArrayLike, window_s: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Sum of the weights that are present at each moment of a window.

    Parameters
    ----------
    begin_s, end_s, weight : array_like, shape (n,)
        Each weight is present in ``[begin_s, end_s)`` [s].
    window_s : tuple of float
        First and last moment of interest [s].

    Returns
    -------
    edges_s : ndarray, shape (m + 1,)
        Strictly increasing moments of change, from the window's first to its last [s].
    values : ndarray, shape (m,)
        The sum between two successive edges, in the unit of `weight`.
    """
    first_s, last_s = float(window_s[0]), float(window_s[1])
    if not last_s > first_s:
        raise ValueError(f"window_s(={window_s}) must end after it begins.")
    weights = np.asarray(weight, dtype=np.float64)
    times = np.clip(np.concatenate([np.asarray(begin_s), np.asarray(end_s)]), first_s, last_s)
    changes = np.concatenate([weights, -weights])
    inside = times < last_s
    moments, where = np.unique(np.concatenate([times[inside], [first_s]]), return_inverse=True)
    deltas = np.bincount(where[:-1], weights=changes[inside], minlength=moments.size)
    return np.append(moments, last_s), np.cumsum(deltas)


def step_integral(edges_s: Floats, values: Floats, until_s: ArrayLike) -> Floats:
    """Integral of a piecewise-constant function from its first edge to each moment.

    Parameters
    ----------
    edges_s : ndarray, shape (m + 1,)
        Moments of change [s].
    values : ndarray, shape (m,)
        Value between two successive edges.
    until_s : array_like
        Moments at which the integral is wanted [s]; outside the edges it stays constant.

    Returns
    -------
    ndarray, of the shape of `until_s`
        In the unit of `values` times seconds.
    """
    cumulative = np.concatenate([[0.0], np.cumsum(values * np.diff(edges_s))])
    return np.interp(np.asarray(until_s, dtype=np.float64), edges_s, cumulative)


def step_mean(edges_s: Floats, values: Floats, bins_s: ArrayLike) -> Floats:
    """Mean of a piecewise-constant function over each bin; zero where it is not defined.

    Parameters
    ----------
    edges_s, values : ndarray, shapes (m + 1,) and (m,)
        The function.
    bins_s : array_like, shape (k + 1,)
        Edges of the bins [s].

    Returns
    -------
    ndarray, shape (k,)
        In the unit of `values`.
    """
    bins = np.asarray(bins_s, dtype=np.float64)
    means: Floats = np.diff(step_integral(edges_s, values, bins)) / np.diff(bins)
    return means
