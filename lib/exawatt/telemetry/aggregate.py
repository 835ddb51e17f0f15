"""Aggregation: recordings become windows of 1 to 60 seconds, and no joule is lost."""

import numpy as np
import pandas as pd

from exawatt.stats import Floats
from exawatt.telemetry.recording import GAP_INTERVALS

#: Shortest and longest window that is released [s].
WINDOWS_S = (1.0, 60.0)

#: Columns that tell one series of a recording from another.
KEYS = ("host", "zone", "device")

#: Cumulative energy, and how many joules one unit of it is.
COUNTERS = {"total_uj": 1e-6, "energy_mj": 1e-3}


def aggregate(
    samples: pd.DataFrame, window_s: float = 10.0, interval_s: float | None = None
) -> pd.DataFrame:
    """Mean power and energy of each device by window of time.

    Parameters
    ----------
    samples : DataFrame
        The table of a recording: ``time_ns``, ``device`` or ``zone`` (and ``host``, where there
        are several), ``status``, and ``total_uj``, ``energy_mj`` or ``power_w``.
    window_s : float
        Length of a window, 1 to 60 [s]. Windows begin at whole multiples of it since 1970, UTC.
    interval_s : float, optional
        Time between ticks [s]; the median one when not given.

    Returns
    -------
    DataFrame
        A row a device and window: the device; ``time_ns``, when the window begins;
        ``window_s``; ``power_w``, mean over what was seen of it; ``energy_j`` of that;
        ``samples``, usable ones; ``missing_s``, how much of it was not seen.

    Notes
    -----
    Between two successive samples of a device that are both ``ok`` power is constant: the
    difference of the counter where the device has one, else the mean of the two powers. Such an
    interval is split where it crosses from one window to the next, so the windows' energy sums
    to that of the intervals. Nothing is known across a sample that is not ``ok``, a counter
    that goes back, or more than 2.5 intervals without a sample: this time is missing, and a
    window without any interval has no energy (NaN, not 0). A wall clock that is set makes such
    a gap too.
    """
    window_ns = _window_ns(window_s)
    keys = [name for name in KEYS if name in samples]
    if not keys:
        raise ValueError(f"samples must have one of the columns {list(KEYS)}: whose power it is.")
    if samples.empty:
        raise ValueError("samples has no rows: there is nothing to aggregate.")
    parts = []
    for _, rows in samples.groupby(keys, sort=True):
        windows = _windows(rows, window_ns, interval_s)
        for i, name in enumerate(keys):
            windows.insert(i, name, rows[name].iloc[0])
        parts.append(windows)
    return pd.concat(parts, ignore_index=True)


def _window_ns(window_s: float) -> int:
    shortest, longest = WINDOWS_S
    if not shortest <= window_s <= longest:
        raise ValueError(f"window_s(={window_s}) must lie between {shortest:g} and {longest:g}.")
    return round(window_s * 1e9)


def _windows(rows: pd.DataFrame, window_ns: int, interval_s: float | None) -> pd.DataFrame:
    """Windows of one device."""
    time_ns = rows["time_ns"].to_numpy(np.int64)
    ok = (rows["status"] == "ok").to_numpy()
    span_ns = np.diff(time_ns)
    joules = _joules(rows, span_ns)
    usual_s = np.median(span_ns) / 1e9 if interval_s is None and span_ns.size else interval_s or 0
    longest_ns = GAP_INTERVALS * usual_s * 1e9
    seen = ok[:-1] & ok[1:] & np.isfinite(joules) & (joules >= 0)
    seen &= (span_ns > 0) & (span_ns <= longest_ns)
    first = int(time_ns.min()) // window_ns
    count = int(time_ns.max()) // window_ns - first + 1
    begin = time_ns[:-1][seen]
    interval, window, lasting_ns = _split(begin, begin + span_ns[seen], window_ns)
    part_j = joules[seen][interval] * (lasting_ns / span_ns[seen][interval])
    energy_j = np.bincount(window - first, part_j, count).astype(np.float64)
    seen_s = np.bincount(window - first, lasting_ns, count) / 1e9
    energy_j[seen_s == 0] = np.nan
    return pd.DataFrame(
        {
            "time_ns": (first + np.arange(count)) * window_ns,
            "window_s": window_ns / 1e9,
            "power_w": energy_j / np.where(seen_s > 0, seen_s, 1.0),
            "energy_j": energy_j,
            "samples": np.bincount(time_ns[ok] // window_ns - first, minlength=count),
            # A clock set back shows some seconds twice.
            "missing_s": np.maximum(window_ns / 1e9 - seen_s, 0.0),
        }
    )


def _joules(rows: pd.DataFrame, span_ns: np.ndarray) -> Floats:
    """Energy between each two successive samples; NaN or negative where it is not known [J]."""
    for name, unit_j in COUNTERS.items():
        if name in rows and rows[name].notna().any():
            return np.diff(_numbers(rows[name])) * unit_j
    if "power_w" not in rows:
        wanted = [*COUNTERS, "power_w"]
        raise ValueError(f"samples must have one of the columns {wanted}, not {list(rows)}.")
    power_w = _numbers(rows["power_w"])
    energies: Floats = (power_w[:-1] + power_w[1:]) / 2 * span_ns / 1e9
    return energies


def _numbers(column: pd.Series) -> Floats:
    return column.to_numpy(np.float64, na_value=np.nan)


def _split(
    begin_ns: np.ndarray, end_ns: np.ndarray, window_ns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut intervals at the windows' edges: whose piece, in which window, how long [ns]."""
    first = begin_ns // window_ns
    count = (end_ns - 1) // window_ns - first + 1
    interval = np.repeat(np.arange(begin_ns.size), count)
    nth = np.arange(interval.size) - np.repeat(np.cumsum(count) - count, count)
    window = first[interval] + nth
    until = np.minimum(end_ns[interval], (window + 1) * window_ns)
    return interval, window, until - np.maximum(begin_ns[interval], window * window_ns)
