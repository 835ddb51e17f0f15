"""Aggregation: recordings become windows of 1 to 60 seconds, and no joule of a counter is lost."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exawatt.stats import Floats
from exawatt.telemetry.recorder import RESTARTED
from exawatt.telemetry.recording import CLOCK_STEP_S, GAP_INTERVALS, Recording, usual_spacing

#: Shortest and longest window that is released [s].
WINDOWS_S = (1.0, 60.0)
#: The longest tells least of when jobs began and ended.
DEFAULT_WINDOW_S = 60.0

#: Columns that tell one series of a recording from another.
KEYS = ("host", "zone", "device")

#: Cumulative energy, and how many joules one unit of it is.
COUNTERS = {"total_uj": 1e-6, "energy_mj": 1e-3}

Nanoseconds = NDArray[np.int64]


class _Pieces(NamedTuple):
    """Stretches of time over which the energy is known, and taken to be spread evenly."""

    begin_ns: Nanoseconds
    end_ns: Nanoseconds
    energy_j: Floats
    long: NDArray[np.bool_]  # so long that something may lie between that was not seen


def aggregate(
    samples: pd.DataFrame, window_s: float = DEFAULT_WINDOW_S, interval_s: float | None = None
) -> pd.DataFrame:
    """Mean power and energy of each device by window of time.

    Parameters
    ----------
    samples : DataFrame
        The table of a recording: ``time_ns``, ``device`` or ``zone`` (and ``host``, where there
        are several), ``status``, and ``total_uj``, ``energy_mj`` or ``power_w``.
        ``monotonic_ns``, where it is there, tells how long an interval was in which the wall
        clock was set.
    window_s : float
        Length of a window, 1 to 60 [s]. Windows begin at whole multiples of it since 1970, UTC.
    interval_s : float, optional
        Time between ticks [s]; the median one of each run of the logger when not given.

    Returns
    -------
    DataFrame
        A row a device and window: the device; ``time_ns``, when the window begins;
        ``window_s``; ``power_w``, mean over what was seen of it; ``energy_j`` of that;
        ``samples``, usable ones; ``missing_s``, how much of it was not seen; ``spread_s``, how
        much of it lies between two readings of a counter that are far apart.

    Notes
    -----
    Where the device has a counter, what it counted between two readings is the energy of that
    time, however long it is and whatever could not be read besides, unless the counter began
    anew or went back. For the rest, and where there is no counter, power is the mean of two
    successive readings, unless more than 2.5 intervals lie between them. Power is taken as
    constant within each such interval, which is split where it crosses from one window to the
    next, so the windows' energy sums to that of the intervals; of a counter's longer than 2.5
    intervals ``spread_s`` tells. What is left is missing, and a window without any interval has
    no energy (NaN, not 0).
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


class Seen:
    """When each device was recorded, to find recordings that overlap."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, Any], list[tuple[int, int, Path]]] = defaultdict(list)

    def overlap(self, one: Recording) -> str | None:
        """Add a recording; say of which device it repeats the time of an earlier one."""
        found = None
        for device in one.devices:
            times = one.rows(device)["time_ns"]
            begin, end = int(times.min()), int(times.max())
            for first, last, other in self._spans[one.host, device]:
                if begin <= last and first <= end:
                    on = f"{one.key} {device} of host {one.host}"
                    found = found or f"{other} and {one.path} overlap on {on}"
            self._spans[one.host, device].append((begin, end, one.path))
        return found


def aggregate_recordings(
    recordings: Iterable[Recording], window_s: float = DEFAULT_WINDOW_S
) -> pd.DataFrame:
    """Windows of several recordings; see :func:`aggregate`.

    Of recordings that follow one another on a device, the window in which one ends and the next
    begins has the energy of both.

    Raises
    ------
    ValueError
        A recording is empty, or two of one host and device overlap: their energy would count
        twice.
    """
    seen, parts = Seen(), []
    for one in recordings:
        if one.table.empty:
            raise ValueError(f"{one.path} holds no samples: leave it out.")
        if found := seen.overlap(one):
            raise ValueError(f"{found}, whose energy would count twice: leave one of them out.")
        parts.append(aggregate(one.table.assign(host=one.host), window_s))
    return _merged(pd.concat(parts, ignore_index=True))


def _merged(windows: pd.DataFrame) -> pd.DataFrame:
    """One row of those that recordings have of one device and window."""
    keys = [name for name in KEYS if name in windows]
    if "device" in windows:
        windows["device"] = windows["device"].astype("Int64")  # processors have none
    columns = list(windows)
    seen = windows.assign(seen_s=windows["window_s"] - windows["missing_s"])
    grouped = seen.groupby([*keys, "time_ns", "window_s"], dropna=False, as_index=False)
    table = grouped[["seen_s", "energy_j", "samples", "spread_s"]].sum(min_count=1)
    table["missing_s"] = (table["window_s"] - table["seen_s"]).clip(lower=0)
    table["power_w"] = table["energy_j"] / table["seen_s"].where(table["seen_s"] > 0)
    return table[columns]


def _window_ns(window_s: float) -> int:
    shortest, longest = WINDOWS_S
    if not shortest <= window_s <= longest:
        raise ValueError(f"window_s(={window_s}) must lie between {shortest:g} and {longest:g}.")
    return round(window_s * 1e9)


def _windows(rows: pd.DataFrame, window_ns: int, interval_s: float | None) -> pd.DataFrame:
    """Windows of one device."""
    readings = [name for name in (*COUNTERS, "power_w") if name in rows]
    if not readings:
        wanted = [*COUNTERS, "power_w"]
        raise ValueError(f"samples must have one of the columns {wanted}, not {list(rows)}.")
    time_ns = rows["time_ns"].to_numpy(np.int64)
    usable = rows[readings].notna().any(axis=1).to_numpy()
    begin_ns, end_ns, energy_j, long = _pieces(rows, readings, interval_s)
    instants = np.concatenate([time_ns, begin_ns])
    first = int(instants.min()) // window_ns
    count = int(time_ns.max()) // window_ns - first + 1
    piece, window, lasting_ns = _split(begin_ns, end_ns, window_ns)
    part_j = energy_j[piece] * (lasting_ns / (end_ns - begin_ns)[piece])

    def summed(values: np.ndarray) -> Floats:
        return np.bincount(window - first, values, count).astype(np.float64)

    windows_j, seen_s = summed(part_j), summed(lasting_ns) / 1e9
    windows_j[seen_s == 0] = np.nan
    return pd.DataFrame(
        {
            "time_ns": (first + np.arange(count)) * window_ns,
            "window_s": window_ns / 1e9,
            "power_w": windows_j / np.where(seen_s > 0, seen_s, 1.0),
            "energy_j": windows_j,
            "samples": np.bincount(time_ns[usable] // window_ns - first, minlength=count),
            # A clock set back shows some seconds twice.
            "missing_s": np.maximum(window_ns / 1e9 - seen_s, 0.0),
            "spread_s": summed(lasting_ns * long[piece]) / 1e9,
        }
    )


def _pieces(rows: pd.DataFrame, readings: list[str], interval_s: float | None) -> _Pieces:
    """All that is known of one device's energy: by its counter, and for the rest by power."""
    time_ns = rows["time_ns"].to_numpy(np.int64)
    status = rows["status"].to_numpy()
    usual_s = usual_spacing(time_ns / 1e9, status) if interval_s is None else interval_s
    longest_ns = np.broadcast_to(GAP_INTERVALS * 1e9 * np.asarray(usual_s), time_ns.shape)
    covered = np.zeros(time_ns.size, np.bool_)  # from a row to the next
    parts = []
    for name in readings:
        values = rows[name].to_numpy(np.float64, na_value=np.nan)
        at = np.flatnonzero(np.isfinite(values))
        first, last = at[:-1], at[1:]
        span_ns = _lengths_ns(rows, first, last)
        # Of two runs the slower one tells what is a gap between them.
        long = span_ns > np.maximum(longest_ns[first], longest_ns[last])
        if name in COUNTERS:
            restarts = np.cumsum(status == RESTARTED)
            energy_j = np.diff(values[at]) * COUNTERS[name]
            known = (energy_j >= 0) & (restarts[first] == restarts[last])
        else:
            energy_j = (values[first] + values[last]) / 2 * span_ns / 1e9
            known = (last == first + 1) & ~long & ~covered[first]
        known &= span_ns > 0
        begin, end = first[known], last[known]
        change = np.zeros(covered.size, np.int64)
        change[begin] += 1
        change[end] -= 1
        covered |= np.cumsum(change) > 0
        end_ns = time_ns[end]
        parts.append(_Pieces(end_ns - span_ns[known], end_ns, energy_j[known], long[known]))
    return _Pieces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _lengths_ns(rows: pd.DataFrame, first: np.ndarray, last: np.ndarray) -> Nanoseconds:
    """Time between rows [ns]: by the wall clock, unless it was set there."""
    wall = rows["time_ns"].to_numpy(np.int64)
    wall_ns: Nanoseconds = wall[last] - wall[first]
    if "monotonic_ns" not in rows:
        return wall_ns
    monotonic = rows["monotonic_ns"].to_numpy(np.int64)
    elapsed_ns = monotonic[last] - monotonic[first]
    was_set = (elapsed_ns > 0) & (np.abs(wall_ns - elapsed_ns) > CLOCK_STEP_S * 1e9)
    return np.where(was_set, elapsed_ns, wall_ns)


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
