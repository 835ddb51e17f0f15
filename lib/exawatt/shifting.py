"""Shifting jobs in time where nobody queues: the setting of Let's Wait Awhile [1]_.

Each job finds a free machine whenever it runs, and every job draws the same power. What it emits
is then the sum of the intensities of the half-hours in which it runs. Half-hours are counted from
the beginning of the series; a *load* is the number of jobs that run in each of them.

References
----------
.. [1] P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile: How
   Temporal Workload Shifting Can Reduce Carbon Emissions in the Cloud", Middleware 2021.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from exawatt.replay.deadlines import Deadline, next_day_at_nine, next_workday, semi_weekly
from exawatt.stats import Floats

__all__ = [
    "Deadline",
    "Jobs",
    "machine_learning_project",
    "next_day_at_nine",
    "next_workday",
    "nightly",
    "semi_weekly",
    "shifted",
    "with_error",
]

HalfHours = NDArray[np.int64]

HALF_HOUR = pd.Timedelta(minutes=30)
DAY_HALF_HOURS = 48


def nightly(forecast: ArrayLike, flexibility: int, days: int, nominal: int = 2) -> HalfHours:
    """Load of one job of half an hour a day, moved into the cleanest half-hour around its own.

    Parameters
    ----------
    forecast : array_like, shape (n,)
        What is believed of each half-hour [gCO2/kWh], from midnight on.
    flexibility : int
        By how many half-hours the job may be moved, to either side.
    days : int
        Days with such a job.
    nominal : int
        Half-hour of the day for which the job was planned; 2 is 01:00.

    Returns
    -------
    ndarray, shape (n,)
        The first of equals runs. A job whose half-hours would begin before the series is
        skipped, as in [1]_.
    """
    values = np.asarray(forecast, np.float64)
    if flexibility < 0:
        raise ValueError(f"flexibility(={flexibility}) must not be negative.")
    first = np.arange(days) * DAY_HALF_HOURS + nominal - flexibility
    first = first[first >= 0]
    if days < 1 or first[-1] + 2 * flexibility >= values.size:
        raise ValueError(f"days(={days}) must be at least 1 and within the series.")
    windows = sliding_window_view(values, 2 * flexibility + 1)[first]
    return np.bincount(first + windows.argmin(axis=1), minlength=values.size)


@dataclass(frozen=True, eq=False)
class Jobs:
    """Jobs that arrive at half-hours and run for whole half-hours.

    Parameters
    ----------
    start : Timestamp
        Beginning of the series.
    begin, length : ndarray, shape (n_jobs,)
        Half-hour of arrival, and how many half-hours the job runs.
    """

    start: pd.Timestamp
    begin: HalfHours
    length: HalfHours

    @property
    def finish(self) -> pd.DatetimeIndex:
        """When each job ends if it runs on arrival."""
        return pd.DatetimeIndex(self.start + (self.begin + self.length) * HALF_HOUR)

    def half_hour_of(self, times: pd.DatetimeIndex) -> HalfHours:
        """Half-hours that begin at these times."""
        return np.asarray((times - self.start) // HALF_HOUR, np.int64)


def machine_learning_project(year: int = 2020, n_jobs: int = 3387, seed: int = 0) -> Jobs:
    """Training jobs of a research project [1]_: on workdays, of 4 to 89.5 hours.

    Jobs fall on the workdays of the year with equal probability, arrive at a half-hour from
    09:00 to 16:30, and last any number of half-hours, all equally likely. NumPy's generator
    draws days, arrivals day by day, then durations.
    """
    rng = np.random.default_rng(seed)
    start = pd.Timestamp(year, 1, 1)
    days = pd.date_range(start, pd.Timestamp(year, 12, 31))
    workdays = np.flatnonzero(days.day_of_week < 5)
    each = rng.multinomial(n_jobs, np.full(workdays.size, 1 / workdays.size))
    arrivals = [np.sort(rng.choice(np.arange(18, 34), size=count)) for count in each]
    begin = np.repeat(workdays * DAY_HALF_HOURS, each) + np.concatenate(arrivals)
    return Jobs(start, begin, rng.choice(np.arange(8, 179), size=n_jobs))


def shifted(
    jobs: Jobs, forecast: ArrayLike, deadline: Deadline | None = None, *, interrupting: bool = False
) -> HalfHours:
    """Load of jobs that run where they are believed to emit least, before their deadline.

    Parameters
    ----------
    jobs : Jobs
    forecast : array_like, shape (n,)
        What is believed of each half-hour [gCO2/kWh].
    deadline : callable, optional
        :func:`next_workday` or :func:`semi_weekly`; without one jobs run on arrival.
    interrupting : bool
        Run in the cleanest half-hours, wherever they lie; else in the cleanest stretch.

    Returns
    -------
    ndarray, shape (n,)
        Jobs that would end after the series even on arrival are left out, also without a
        deadline; those whose deadline lies beyond it have until its end.
    """
    values = np.asarray(forecast, np.float64)
    last = jobs.begin + jobs.length
    until = last if deadline is None else jobs.half_hour_of(deadline(jobs.finish))
    if (until < last).any():
        raise ValueError("a deadline lies before the job's own finish: nothing could run.")
    summed = np.append(0.0, np.cumsum(values))
    load = np.zeros(values.size, np.int64)
    for begin, length, end in zip(jobs.begin, jobs.length, until, strict=True):
        if begin + length > values.size:
            continue
        window = slice(begin, min(end, values.size))
        if interrupting:
            load[begin + np.argsort(values[window], kind="stable")[:length]] += 1
        else:
            sums = summed[window.start + length : window.stop + 1]
            first = begin + np.argmin(sums - summed[begin : begin + sums.size])
            load[first : first + length] += 1
    return load


def with_error(actual: ArrayLike, share: float, seed: int) -> Floats:
    """Forecast with independent normal errors of a share of the mean intensity, as in [1]_."""
    values = np.asarray(actual, np.float64)
    rng = np.random.default_rng(seed)
    noisy: Floats = values + rng.normal(0, share * values.mean(), size=values.size)
    return noisy
