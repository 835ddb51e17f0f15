"""Deadlines of jobs that may be shifted, as in Let's Wait Awhile [1]_.

A deadline follows from when the job would end if it ran on arrival. Times are those of a wall
clock, without zone.

References
----------
.. [1] P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile: How
   Temporal Workload Shifting Can Reduce Carbon Emissions in the Cloud", Middleware 2021.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from exawatt.stats import Floats

Deadline = Callable[[pd.DatetimeIndex], pd.DatetimeIndex]

_NINE = pd.Timedelta(hours=9)


def next_workday(finish: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Deadline: the finish if it falls in working hours, else 09:00 of the next workday."""
    return _workday(finish, friday_days=3)


def next_day_at_nine(finish: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Deadline that the published figures rest on: of a Friday's evening, Saturday at 09:00.

    The program behind [1]_ gives a job that would end on Friday after 17:00 until the next
    morning, where the paper says the next workday; Saturdays and Sundays wait for Monday.
    """
    return _workday(finish, friday_days=1)


def _workday(finish: pd.DatetimeIndex, friday_days: int) -> pd.DatetimeIndex:
    """Nine in the morning of the day itself or of the next; after Friday so many days later."""
    weekday, since = finish.day_of_week, finish - finish.normalize()
    evening = (weekday >= 5) | (since > pd.Timedelta(hours=17))
    morning = ~evening & (since < _NINE)
    later = np.array([1, 1, 1, 1, friday_days, 2, 1])[weekday]
    nine = finish.normalize() + pd.to_timedelta(np.where(evening, later, 0), unit="D") + _NINE
    return pd.DatetimeIndex(np.where(evening | morning, nine, finish))


def semi_weekly(finish: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Deadline: the first Monday or Thursday, 09:00, at or after the finish."""
    days = finish.normalize() + pd.to_timedelta((finish - finish.normalize() > _NINE) * 1, unit="D")
    ahead = np.minimum(-days.day_of_week % 7, (3 - days.day_of_week) % 7)
    return pd.DatetimeIndex(days + pd.to_timedelta(ahead, unit="D") + _NINE)


#: Deadlines that a hold may have.
DEADLINES: dict[str, Deadline] = {"next-workday": next_workday, "semi-weekly": semi_weekly}


def latest_starts(
    submit_s: Floats, length_s: Floats, deadline: Deadline, origin: pd.Timestamp, timezone: str
) -> Floats:
    """Latest start of each job with which it ends by its deadline [s].

    Parameters
    ----------
    submit_s, length_s : ndarray, shape (n_jobs,)
        Submission, and how long the job takes [s].
    deadline : callable
        Deadline by the finish on arrival.
    origin : Timestamp
        UTC instant of second 0.
    timezone : str
        Zone of the wall clock.
    """
    finish = origin + pd.to_timedelta(submit_s + length_s, unit="s")
    until = deadline(finish.tz_convert(timezone).tz_localize(None)).tz_localize(timezone)
    latest: Floats = (until - origin).total_seconds().to_numpy() - length_s
    return latest
