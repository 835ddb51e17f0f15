"""Scores of predictions: how far off, how sure, and whether rightly so."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exawatt.predict.values import Prediction, log_target
from exawatt.replay import Schedule
from exawatt.stats import Floats

#: Central intervals that are scored [%].
PERCENTS = (50, 80, 90, 95)
WEEK_S = 7 * 86400.0
RESAMPLES = 1000


def split(schedule: Schedule, share: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to try on.

    Parameters
    ----------
    schedule : Schedule
    share : float
        Part of the jobs, in order of submission, that comes before those to try on.

    Returns
    -------
    train, test : ndarray of int64
        Of the earlier jobs those that were completed when the first of the others was submitted,
        and the others.

    Raises
    ------
    ValueError
        One of them would be empty.
    """
    n = len(schedule.workload)
    first = int(n * share)
    if not 0 < first < n:
        raise ValueError(f"share(={share}) of {n} jobs leaves none on one side.")
    train = np.flatnonzero(schedule.end_s[:first] <= schedule.submit_s[first])
    if not train.size:
        raise ValueError(f"no job was completed when job number {first} was submitted.")
    return train, np.arange(first, n)


def losses(
    prediction: Prediction, actual: ArrayLike, point: ArrayLike | None = None
) -> pd.DataFrame:
    """Scores of each prediction.

    Parameters
    ----------
    prediction : Prediction
    actual : array_like, shape (n,)
        What came, such as runtimes [s].
    point : array_like, shape (n,), optional
        The single guess, where that is not the median.

    Returns
    -------
    DataFrame, shape (n, 10)
        ``absolute_error``, in the unit of what came; ``crps`` and ``nlpd`` of the logarithm; for
        central intervals of 50, 80, 90 and 95 % whether what came lay within (``cover_90``), and
        how wide they are in logarithms (``width_90``).
    """
    guess = prediction.median if point is None else np.asarray(point, dtype=np.float64)
    ln = log_target(actual)
    columns = {
        "absolute_error": np.abs(guess - np.asarray(actual, dtype=np.float64)),
        "crps": prediction.crps(actual),
        "nlpd": prediction.nlpd(actual),
    }
    for percent in PERCENTS:
        low, high = (prediction.ln_quantile(0.5 + side * percent / 200) for side in (-1, 1))
        columns[f"cover_{percent}"] = ((low <= ln) & (ln <= high)).astype(np.float64)
        columns[f"width_{percent}"] = high - low
    return pd.DataFrame(columns)


def score(
    prediction: Prediction,
    actual: ArrayLike,
    point: ArrayLike | None = None,
    by: ArrayLike | None = None,
) -> pd.DataFrame:
    """Mean scores, of all jobs or by group.

    Parameters
    ----------
    prediction, actual, point
        As for :func:`losses`.
    by : array_like, shape (n,), optional
        Group of each job: its user, size or age of the model, for example.

    Returns
    -------
    DataFrame
        A row for each group (one, ``all``, without groups): ``n`` jobs, ``mae`` and
        ``median_ae``, and the means of the other columns of :func:`losses`.
    """
    table = losses(prediction, actual, point)
    grouped = table.groupby(np.full(len(table), "all") if by is None else np.asarray(by))
    error = grouped["absolute_error"]
    first = pd.DataFrame({"n": grouped.size(), "mae": error.mean(), "median_ae": error.median()})
    return first.join(grouped.mean().drop(columns="absolute_error"))


def quartile(values: ArrayLike) -> np.ndarray:
    """Quarter of the jobs that each belongs to by a value, from 1; equal values stay together."""
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.quantile(numbers, [0.25, 0.5, 0.75])
    return 1 + np.searchsorted(np.unique(edges), numbers)


def reliability(
    prediction: Prediction, actual: ArrayLike, levels: Sequence[float] | Floats
) -> pd.DataFrame:
    """How often what came lay at or below each quantile: ``level`` and ``observed`` [-]."""
    ln = log_target(actual)
    observed = [float((ln <= prediction.ln_quantile(level)).mean()) for level in levels]
    return pd.DataFrame({"level": np.asarray(levels), "observed": observed})


class Interval(NamedTuple):
    """A mean, and the interval that holds 95 % of its bootstraps."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: ArrayLike, submit_s: ArrayLike, block_s: float = WEEK_S, seed: int = 0
) -> Interval:
    """Mean of jobs' values, with the uncertainty that whole blocks of time leave.

    Parameters
    ----------
    values : array_like, shape (n,)
        A score of each job. To compare two predictors, the difference of their scores: that
        pairs them.
    submit_s : array_like, shape (n,)
        Submission of each job [s].
    block_s : float
        Length of a block [s]: jobs of one are drawn together, for they resemble each other.
    seed : int
        Seed of the 1,000 resamples.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        There are fewer than two blocks, or a value is missing.
    """
    losses, times = np.asarray(values, dtype=np.float64), np.asarray(submit_s, dtype=np.float64)
    if np.isnan(losses).any():
        raise ValueError(f"values[{int(np.isnan(losses).argmax())}] is missing (NaN).")
    _, block = np.unique((times - times.min()) // block_s, return_inverse=True)
    counts, sums = np.bincount(block), np.bincount(block, losses)
    if counts.size < 2:
        raise ValueError(f"all jobs lie within block_s(={block_s:g}); pass shorter blocks.")
    weights = np.full(counts.size, 1 / counts.size)
    drawn = np.random.default_rng(seed).multinomial(counts.size, weights, RESAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    return Interval(float(losses.mean()), float(low), float(high))
