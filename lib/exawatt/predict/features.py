"""Features: what is known of a job when it is submitted, and of the jobs before it."""

import numpy as np
import pandas as pd

from exawatt.predict.history import (
    N_HISTORY,
    N_PERSONAL,
    PERSONAL,
    QUEUE,
    TOLD,
    Events,
    tell,
)
from exawatt.replay import Schedule
from exawatt.replay.state import Integers
from exawatt.stats import Floats
from exawatt.workload import Workload

#: Jobs that share a history: the columns in which they agree. A history is unknown to a job of
#: which one of these is; a missing request is a value of its own.
HISTORIES = {
    "user": ("user",),
    "size": ("user", "procs"),
    "request": ("user", "requested_s"),
    "alike": ("user", "procs", "requested_s"),
    "app": ("user", "app"),
}
#: What is told of the job itself; ``ln_s`` is the natural logarithm of seconds.
OWN = {
    "procs_ln": "logarithm of the processors [-]",
    "gpus": "GPUs [-]",
    "request_ln_s": "logarithm of the request; NaN where missing",
    "request_missing": "1 where there is no request, else 0",
    "user_missing": "1 where the user is unknown, else 0",
    "app_missing": "1 where the application is unknown, else 0",
    "hour": "local hour of submission, with its fraction; NaN if the trace has no date [h]",
    "weekday": "local day of the week, from 0 for Monday; NaN if the trace has no date",
    "queue": "number of the queue that the job was sent to, where the trace has that column",
}
#: Every feature, in order, and what it is.
FEATURES = (
    OWN
    | QUEUE
    | {f"user_{name}": f"{text}, of jobs with the same user" for name, text in PERSONAL.items()}
    | {
        f"{kind}_{name}": f"{text}, of jobs with the same {', '.join(columns)}"
        for kind, columns in HISTORIES.items()
        for name, text in TOLD.items()
    }
)


def features(schedule: Schedule) -> pd.DataFrame:
    """What was known of each job when it was submitted.

    Parameters
    ----------
    schedule : Schedule
        The replay in which earlier jobs started and ended; a log's own start times are not used.

    Returns
    -------
    DataFrame, shape (n_jobs, n_features)
        One row a job, in workload order, with the columns of :data:`FEATURES`. Unknown values
        are NaN: of a history without completed jobs (``completed`` is 0), and of one that a job
        has none of (``completed`` is NaN as well).

    Notes
    -----
    Nothing that happens after a submission changes its row: completions at that moment or before
    count, starts before it, and submissions before it in the trace. Runtimes are executed ones,
    at least 1 s.
    """
    jobs = schedule.workload.jobs
    table = np.empty((len(jobs), len(FEATURES)))
    queue, last, told = np.cumsum([len(OWN), len(QUEUE), len(PERSONAL)])
    for at, column in enumerate(_own(schedule.workload).values()):
        table[:, at] = column
    number = _numbers(jobs)
    tell(
        *(_events(schedule), number),
        np.zeros((number.max(initial=-1) + 1, N_HISTORY)),
        np.zeros((number[:, 0].max(initial=-1) + 1, N_PERSONAL)),
        *(table[:, queue:last], table[:, last:told]),
        table[:, told:].reshape(len(jobs), len(HISTORIES), len(TOLD)),
    )
    table[:, queue + 1 : last] /= schedule.platform.procs
    return pd.DataFrame(table, columns=list(FEATURES), copy=False)


def _own(workload: Workload) -> dict[str, Floats | pd.Series | float]:
    """Columns of ``OWN``."""
    jobs = workload.jobs
    hour, weekday = _clock(workload)
    return {
        "procs_ln": np.log(jobs["procs"]),
        "gpus": jobs["gpus"],
        "request_ln_s": np.log(np.maximum(jobs["requested_s"], 1.0)),
        "request_missing": jobs["requested_s"].isna(),
        "user_missing": jobs["user"] < 0,
        "app_missing": jobs["app"] < 0,
        "hour": hour,
        "weekday": weekday,
        # No column that every workload has, so it may hold anything.
        "queue": pd.to_numeric(jobs["queue"], errors="coerce") if "queue" in jobs else np.nan,
    }


def _clock(workload: Workload) -> tuple[Floats | float, Floats | float]:
    """Local hour [h] and day of the week of each submission."""
    if workload.start is None:
        return np.nan, np.nan
    # To the second: a nanosecond clock would end with a trace's 292nd year.
    since = workload.jobs["submit_s"].to_numpy().astype("timedelta64[s]")
    start = workload.start.tz_convert(None).to_datetime64().astype("M8[s]")
    local = (
        pd.DatetimeIndex(start + since)
        .tz_localize("UTC")
        .tz_convert(workload.timezone)
        .tz_localize(None)
    )
    seconds = local.to_numpy().astype(np.int64)
    # The first day of 1970 was a Thursday.
    weekday = (seconds // 86400 + 3) % 7
    return seconds % 86400 / 3600.0, weekday.astype(np.float64)


def _numbers(jobs: pd.DataFrame) -> Integers:
    """Number of the history that each job belongs to, by kind; -1 for none."""
    names = {name for columns in HISTORIES.values() for name in columns}
    # From 0 for what is missing.
    codes = {name: pd.factorize(jobs[name])[0] + 1 for name in names}
    unknown = {name: (jobs[name] < 0).to_numpy() for name in names}
    number = np.empty((len(jobs), len(HISTORIES)), np.int64)
    first = 0
    for kind, (column, *others) in enumerate(HISTORIES.values()):
        shared, none = codes[column] - 1, unknown[column]
        for name in others:
            pairs = shared * (codes[name].max(initial=0) + 1) + codes[name]
            shared, none = pd.factorize(pairs)[0], none | unknown[name]
        number[:, kind] = np.where(none, -1, shared + first)
        first += int(shared.max(initial=-1)) + 1
    return number


def _events(schedule: Schedule) -> Events:
    start, runtime = schedule.start_s, schedule.runtime_s
    # So that every job starts before it ends, be its runtime lost in the digits of its start.
    end = np.maximum(start + runtime, np.nextafter(start, np.inf))
    request = schedule.workload.jobs["requested_s"].to_numpy()
    runtime_ln = np.log(np.maximum(runtime, 1.0))
    return Events(
        # A copy: pandas gives read-only arrays, for which Numba would compile anew.
        schedule.submit_s.copy(),
        start,
        end,
        np.argsort(start, kind="stable"),
        np.argsort(end, kind="stable"),
        schedule.procs.astype(np.float64),
        runtime_ln,
        runtime_ln - np.log(np.maximum(request, 1.0)),
    )
