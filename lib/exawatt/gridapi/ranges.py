"""Ranges of time: cut into what one request may ask for, and joined again without doubles."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from exawatt.intensity import FillRule, Intensity

HALF_HOUR = pd.Timedelta(minutes=30)


def chunks(
    start: pd.Timestamp, end: pd.Timestamp, longest: pd.Timedelta, *, at_new_year: bool = True
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Cut a range into pieces that follow each other without gap or overlap.

    Parameters
    ----------
    start, end : Timestamp
        UTC; `end` is exclusive.
    longest : Timedelta
        No piece is longer.
    at_new_year : bool
        Cut at the beginning of a year too: the service's answers break off there.

    Raises
    ------
    ValueError
        The range is empty, or does not begin and end with a half-hour of UTC.
    """
    for name, value in (("start", start), ("end", end)):
        if value.tzinfo is None or value.floor("30min") != value:
            raise ValueError(f"{name}(={value}) must be the beginning of a half-hour in UTC.")
    if not start < end:
        raise ValueError(f"the range {start} to {end} is empty; pass an end after its start.")
    pieces = []
    while start < end:
        new_year = pd.Timestamp(year=start.year + 1, month=1, day=1, tz="UTC")
        stops = [end, start + longest, *([new_year] if at_new_year else [])]
        pieces.append((start, min(stops)))
        start = min(stops)
    return pieces


class Joined(NamedTuple):
    """Answers as one table, and what was noticed on the way.

    Attributes
    ----------
    table : DataFrame
        Sorted by time; each half-hour (and region) once.
    contested : tuple of Timestamp
        Half-hours that came with different values: the last known one was taken.
    """

    table: pd.DataFrame
    contested: tuple[pd.Timestamp, ...]


def join(table: pd.DataFrame, value: str, keys: Sequence[str]) -> Joined:
    """Put the rows of successive answers in order, each half-hour once.

    Parameters
    ----------
    table : DataFrame
        Rows of all answers, with a column ``from``; a later row has the last word.
    value : str
        Column to compare. A known value is taken before a missing one.
    keys : sequence of str
        Columns that together are unique.
    """
    by = list(keys)
    values = table.groupby(by)[value]
    differing = values.max() > values.min()
    contested = differing.index[differing].get_level_values("from").unique()
    ordered = table.assign(_known=table[value].notna()).sort_values([*by, "_known"], kind="stable")
    unique = ordered.drop_duplicates(by, keep="last").drop(columns="_known")
    return Joined(unique.reset_index(drop=True), tuple(contested))


def absent(table: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    """Beginnings of the half-hours of a range that a table lacks."""
    return _grid(start, end).difference(pd.DatetimeIndex(table["from"]))


def fill(
    table: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, rule: FillRule
) -> pd.DataFrame:
    """Fill the gaps of a national series by a named rule, and mark what was filled.

    Parameters
    ----------
    table : DataFrame
        As :func:`exawatt.gridapi.answers.national` returns it, each half-hour at most once.
    start, end : Timestamp
        The range to fill.
    rule : {"week"}
        See :meth:`exawatt.intensity.Intensity.fill_gaps`.

    Returns
    -------
    DataFrame
        With a row for each half-hour that is in `table` or could be filled, and a column
        ``fill``: the rule's name where it supplied ``actual``, else missing.
    """
    whole = table.set_index("from").reindex(_grid(start, end).rename("from"))
    filled = Intensity(start, whole["actual"].to_numpy(), tier="real").fill_gaps(rule)
    whole["actual"] = filled.gco2_per_kwh
    whole["fill"] = pd.Series(rule, index=whole.index).where(filled.filled)
    keep = whole["actual"].notna() | whole.index.isin(table["from"])
    whole = whole[keep].reset_index()
    return whole.assign(to=whole["from"] + HALF_HOUR)[[*table.columns, "fill"]]


def _grid(start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    return pd.date_range(start, end, freq=HALF_HOUR, inclusive="left")
