"""Instants as sacct prints them, wall clock or not, as seconds since 1970 in UTC."""

from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from exawatt.readers._sacct_values import UNKNOWN
from exawatt.stats import Floats

#: ``2024-06-24T12:33``: shorter texts are no instants.
_SHORTEST = 16
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d)$"
_FORMAT = "is no instant (2024-06-24T12:33:26, or seconds since 1970)"


class Instants(NamedTuple):
    """One column of instants."""

    utc_s: Floats
    """Seconds since 1970; NaN where unknown."""
    local: np.ndarray
    """Whether it was wall-clock time, to be read in a time zone."""
    twice: np.ndarray
    """Whether the wall clock showed it twice, at the end of summer time."""
    never: np.ndarray
    """Whether the wall clock never showed it, at the begin of summer time."""
    problems: dict[int, str]


def zone(name: str | None) -> ZoneInfo:
    """Time zone of that name, UTC when not given."""
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):
        raise ValueError(
            f"timezone(={name!r}) is no IANA time zone; pass one such as 'Europe/Zurich'."
        ) from None


def parse_instants(texts: pd.Series, clock: ZoneInfo, not_before: Floats | None) -> Instants:
    """Read a column of instants.

    Parameters
    ----------
    texts : Series of str
        Wall-clock times, times with an offset or Z, or seconds since 1970, in any mixture.
    clock : ZoneInfo
        Zone of the wall-clock times.
    not_before : ndarray or None
        Instants that these cannot precede [s]. Of an hour that the clock showed twice, the
        first is taken unless it lies before that.
    """
    known = ~texts.str.lower().isin(UNKNOWN).to_numpy()
    epoch = known & texts.str.fullmatch("[0-9]{1,11}").to_numpy()
    offset = known & ~epoch & texts.str.contains(_OFFSET).to_numpy()
    local = known & ~epoch & ~offset & (texts.str.len() >= _SHORTEST).to_numpy()
    utc_s = np.full(len(texts), np.nan)
    utc_s[epoch] = pd.to_numeric(texts[epoch]).astype(float)
    utc_s[utc_s == 0] = np.nan
    if offset.any():
        utc_s[offset] = _seconds(_parsed(texts[offset], utc=True))
    twice, never = np.zeros(len(texts), bool), np.zeros(len(texts), bool)
    if local.any():
        earliest = None if not_before is None else not_before[local]
        placed = _place(_parsed(texts[local], utc=False), clock, earliest)
        utc_s[local], twice[local], never[local] = placed
    zero = epoch & np.isnan(utc_s)
    bad = np.flatnonzero(known & ~zero & ~np.isfinite(utc_s))
    return Instants(utc_s, local, twice, never, {int(row): _FORMAT for row in bad})


def _parsed(texts: pd.Series, *, utc: bool) -> pd.DatetimeIndex:
    times = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=utc)
    return pd.DatetimeIndex(times)


def _seconds(times: pd.DatetimeIndex) -> Floats:
    utc = times.tz_convert(None).as_unit("ns")
    return np.where(utc.isna(), np.nan, utc.asi8 / 1e9)


def _place(
    wall: pd.DatetimeIndex, clock: ZoneInfo, earliest: Floats | None
) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Seconds since 1970 of wall-clock times, and which came twice or never."""
    summer = np.ones(len(wall), dtype=bool)
    first = wall.tz_localize(clock, ambiguous=summer, nonexistent="shift_forward")
    second = wall.tz_localize(clock, ambiguous=~summer, nonexistent="shift_forward")
    never = np.asarray(first.tz_localize(None) != wall) & ~np.asarray(wall.isna())
    first_s, second_s = _seconds(first), _seconds(second)
    twice = np.asarray(first_s < second_s)
    if earliest is not None:
        first_s = np.where(twice & (first_s < earliest), second_s, first_s)
    return first_s, twice, never
