"""Recorded forecasts, read as what was known when."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from exawatt.forecast import Forecast
from exawatt.gridapi.answers import AnswerError, data_of, forecasts
from exawatt.gridapi.recording import issue_files
from exawatt.readers.files import TraceError, read_file
from exawatt.stats import Floats

HALF_HOUR = pd.Timedelta(minutes=30)
#: Half-hours that the service forecasts.
LEADS = 96


class _Issue(NamedTuple):
    """When a forecast was there, the half-hours it is for, and its values."""

    at: pd.Timestamp
    times: np.ndarray
    gco2_per_kwh: Floats


def read_vintages(
    folder: Path | str,
    *,
    horizon_h: float | None = None,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> Forecast:
    """Read recorded forecasts as what was known at the beginning of each half-hour.

    Parameters
    ----------
    folder : path-like
        Answers of the service to ``/intensity/{from}/fw48h``, one file each, compressed or not,
        named by the minute of issue: ``2024-01-12T0601Z.json``. Other files are left alone.
    horizon_h : float, optional
        How far ahead the forecast is to reach [h]; as far as it does everywhere when not given.
    start, end : Timestamp, optional
        First issue of the result, and the end (exclusive) of its issues; those of the record
        when not given.

    Returns
    -------
    Forecast
        Its row for a half-hour holds, for each half-hour from then on, the value of the latest
        issue that was there by then and has one. After a missed issue the one before still
        holds, and reaches less far. No row knows an issue later than itself.

    Raises
    ------
    ValueError
        There is no such file, or the record does not reach so far at some half-hour, which the
        message names.
    TraceError
        A file cannot be read.
    """
    folder = Path(folder)
    issues = [_read_issue(path, at) for path, at in issue_files(folder)]
    if not issues:
        raise ValueError(f"{folder} holds no file named like 2024-01-12T0601Z.json.")
    first = issues[0].at.ceil(HALF_HOUR) if start is None else start
    last = issues[-1].at.ceil(HALF_HOUR) if end is None else end - HALF_HOUR
    rows = pd.date_range(first, last, freq=HALF_HOUR)
    if not len(rows) or first != first.ceil(HALF_HOUR):
        raise ValueError(f"start(={start}), end(={end}) must be half-hours, the end later.")
    known = _known(issues, rows)
    missing = np.isnan(known)
    reach = np.where(missing.any(axis=1), missing.argmax(axis=1), LEADS)
    leads = int(reach.min()) if horizon_h is None else round(horizon_h * 2)
    if not 1 <= leads <= reach.min():
        raise ValueError(_too_short(folder, rows[int(reach.argmin())], int(reach.min()), issues))
    return Forecast(rows[0], known[:, :leads].copy(), name=f"issues in {folder.name}")


def _read_issue(path: Path, at: pd.Timestamp) -> _Issue:
    file = read_file(path)
    if file.broken is not None:
        raise TraceError(path, f"{file.broken}.")
    try:
        return _Issue(at, *forecasts(data_of(file.text)))
    except AnswerError as error:
        raise TraceError(path, f"is no answer of the Carbon Intensity API: {error}.") from None


def _too_short(folder: Path, row: pd.Timestamp, reach: int, issues: list[_Issue]) -> str:
    """Say where a record reaches least far, and why."""
    before = [issue.at for issue in issues if issue.at <= row]
    why = f"the issue before it was of {before[-1]}" if before else "nothing was issued before"
    return (
        f"{folder}: at {row} the record reaches {reach / 2:g} h ahead ({why}). Pass a horizon_h "
        "from 0.5 to that, or a start and an end between such silences."
    )


def _known(issues: list[_Issue], rows: pd.DatetimeIndex) -> Floats:
    """Value known at each row for each lead, NaN where none; issues in the order of time."""
    first = rows[0].tz_localize(None).to_datetime64()
    latest = np.full(len(rows) + LEADS, np.nan)
    known = np.empty((len(rows), LEADS))
    arrivals = rows.searchsorted(pd.DatetimeIndex([issue.at for issue in issues]))
    waiting = iter(zip(arrivals.tolist(), issues, strict=True))
    arrival, issue = next(waiting)
    for row in range(len(rows)):
        while arrival <= row:
            slots = (issue.times - first) // np.timedelta64(30, "m")
            inside = (slots >= 0) & (slots < latest.size)
            latest[slots[inside]] = issue.gco2_per_kwh[inside]
            arrival, issue = next(waiting, (len(rows), issue))
        known[row] = latest[row : row + LEADS]
    return known
