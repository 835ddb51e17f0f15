"""What was: intensity, mix, regions and statistics of any range, gaps left open."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
from tqdm import tqdm

from exawatt.gridapi import answers
from exawatt.gridapi.ranges import absent, chunks, join

if TYPE_CHECKING:
    from exawatt.gridapi.client import Client

What = Literal["intensity", "generation", "regional", "statistics"]
Window = Literal["fw24h", "fw48h", "pt24h"]
#: The service takes at most 14 days in a request; statistics 30.
LONGEST = pd.Timedelta(days=13)
LONGEST_STATISTICS_H = 30 * 24
#: Half-hours older than this are not revised any more.
SETTLED = pd.Timedelta(days=7)


class _Kind(NamedTuple):
    """How to ask for something, how to read it, and the column that tells what it knows."""

    path: str
    table: Callable[[Any], pd.DataFrame]
    value: str


_KINDS: dict[What, _Kind] = {
    "intensity": _Kind("/intensity/{start}/{end}", answers.national, "actual"),
    "generation": _Kind("/generation/{start}/{end}", answers.generation, "gas"),
    "regional": _Kind("/regional/intensity/{start}/{end}{area}", answers.regional, "forecast"),
    "statistics": _Kind("/intensity/stats/{start}/{end}/{block_h}", answers.statistics, "average"),
}


@dataclass(frozen=True, eq=False)
class History:
    """A fetched range, and what its answers lacked.

    Attributes
    ----------
    table : DataFrame
        One row for each half-hour (region, block) that the service has, sorted by time; values
        that it does not know are missing.
    start, end : Timestamp
        The range asked for; `end` is exclusive.
    absent : int
        Half-hours up to now that no answer held.
    unknown : int
        Rows without a value, faulty zeros among them.
    faulty_zeros : int
        Zeros that cannot be true, taken as missing.
    contested : tuple of Timestamp
        Half-hours that came with different values: the last known one was taken.
    """

    table: pd.DataFrame
    start: pd.Timestamp
    end: pd.Timestamp
    absent: int
    unknown: int
    faulty_zeros: int
    contested: tuple[pd.Timestamp, ...]


def area(region: int | None = None, postcode: str | None = None) -> str:
    """Part of a path that names a region.

    Parameters
    ----------
    region : int, optional
        The service's number, 1 to 17.
    postcode : str, optional
        The outward half of a British postcode, such as ``EH9``.

    Returns
    -------
    str
        Empty for all regions.
    """
    if region is not None and postcode is not None:
        raise ValueError(f"region(={region}) and postcode(={postcode}) exclude each other.")
    if region is not None:
        if not 1 <= region <= 17:
            raise ValueError(f"region(={region}) must be from 1 to 17.")
        return f"/regionid/{region}"
    if postcode is None:
        return ""
    outward = postcode.strip().upper()
    if not re.fullmatch(r"[A-Z]{1,2}\d[A-Z\d]?", outward):
        advice = "pass the first half of a British postcode, such as EH9"
        raise ValueError(f"postcode(={postcode!r}) is none: {advice}.")
    return f"/postcode/{outward}"


def fetch(
    client: "Client",
    what: What,
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    where: str = "",
    block_h: int = 24,
    progress: bool | None = None,
) -> History:
    """Fetch any range, in requests that the service accepts.

    Parameters
    ----------
    client : Client
        Its cache keeps complete answers about the settled past, so that a fetch which was
        interrupted goes on where it ended. The last days, and what had gaps, are asked anew.
    what : {"intensity", "generation", "regional", "statistics"}
        See :mod:`exawatt.gridapi.answers` for the columns.
    start, end : Timestamp
        UTC half-hours; `end` is exclusive.
    where : str
        Region, from :func:`area`; all of them when empty.
    block_h : int
        Length of a block of statistics [h].
    progress : bool, optional
        Show a bar on standard error; only where that is a terminal when not given.

    Raises
    ------
    GridError
        The service gives no answer, or none that can be read.
    ValueError
        The range or a parameter is impossible, or the service has nothing at all for it.
    """
    kind, now = _KINDS[what], pd.Timestamp.now("UTC")
    tables = []
    for first, last in tqdm(
        _pieces(what, start, end, block_h), desc=what, unit="request", disable=_hidden(progress)
    ):
        path = kind.path.format(start=_text(first), end=_text(last), area=where, block_h=block_h)
        keep = _whole(what, first, last) if last < now - SETTLED else None
        tables.append(client.get(path, kind.table, keep=keep))
    table = pd.concat(tables, ignore_index=True)
    table = table[(table["from"] >= start) & (table["from"] < end)]
    if table.empty:
        hint = "; is the postcode right?" if "postcode" in where else "."
        raise ValueError(f"the service has no {what}{where} from {start} to {end}{hint}")
    keys = ["from"] if where or what != "regional" else ["from", "regionid"]
    zero = answers.faulty_zeros(table)
    joined = join(table.assign(**{kind.value: table[kind.value].mask(zero)}), kind.value, keys)
    return History(
        table=joined.table,
        start=start,
        end=end,
        absent=0 if what == "statistics" else len(absent(joined.table, start, min(end, now))),
        unknown=int(joined.table[kind.value].isna().sum()),
        faulty_zeros=len(table[zero].drop_duplicates(keys)),
        contested=joined.contested,
    )


def fetch_window(
    client: "Client", window: Window, at: pd.Timestamp, *, where: str = ""
) -> pd.DataFrame:
    """Fetch the half-hours around an instant: the forecast that holds now, or the day before.

    Parameters
    ----------
    client : Client
        Nothing of this is kept in its cache.
    window : {"fw24h", "fw48h", "pt24h"}
        The next 24 or 48 hours, or the past 24, as the service names them; an answer may be
        shorter.
    at : Timestamp
        UTC, to the minute.
    where : str
        Region, from :func:`area`; the nation when empty.

    Returns
    -------
    DataFrame
        As :func:`~exawatt.gridapi.answers.national` or ``regional`` has it. An answer that
        begins with the half-hour which ends at `at` loses it, unless it is of the past.
    """
    base, read = ("/regional", answers.regional) if where else ("", answers.national)
    table = client.get(f"{base}/intensity/{_text(at)}/{window}{where}", read)
    if table.empty:
        raise ValueError(f"the service has no {window}{where} at {at}.")
    return table if window == "pt24h" else table[table["to"] > at].reset_index(drop=True)


def _pieces(
    what: What, start: pd.Timestamp, end: pd.Timestamp, block_h: int
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    if what != "statistics":
        return chunks(start, end, LONGEST)
    if not 1 <= block_h <= 24:
        raise ValueError(f"block_h(={block_h}) must be from 1 to 24 hours.")
    # Whole blocks, so that those of one request follow on those of another.
    longest = pd.Timedelta(hours=LONGEST_STATISTICS_H // block_h * block_h)
    return chunks(start, end, longest, at_new_year=False)


def _whole(what: What, start: pd.Timestamp, end: pd.Timestamp) -> Callable[[pd.DataFrame], bool]:
    """Tell whether an answer has all that its range can hold, so that it may be kept."""
    value = _KINDS[what].value

    def whole(table: pd.DataFrame) -> bool:
        if what == "statistics":
            return not table.empty
        known = table[table[value].notna() & ~answers.faulty_zeros(table)]
        return absent(known, start, end).empty

    return whole


def _text(instant: pd.Timestamp) -> str:
    return instant.strftime(answers.TIME_FORMAT)


def _hidden(progress: bool | None) -> bool | None:
    """Say it as tqdm does, which takes None for a bar that only a terminal sees."""
    return None if progress is None else not progress
