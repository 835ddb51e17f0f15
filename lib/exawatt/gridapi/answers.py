"""Answers of the Carbon Intensity API as tables: pure functions, with every shape on record.

References
----------
.. [1] Carbon Intensity API, National Energy System Operator, https://carbonintensity.org.uk
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from exawatt.stats import Floats

TIME_FORMAT = "%Y-%m-%dT%H:%MZ"
#: Fuels that emit at least 53 gCO2/kWh by the service's factors, imports from France the least.
EMITTING = ("biomass", "coal", "gas", "imports", "other")


class AnswerError(ValueError):
    """An answer that is not what the service documents: cut short, no JSON, or of another shape."""


def data_of(body: bytes) -> Any:
    """Return what stands under ``data`` in an answer.

    Raises
    ------
    AnswerError
        It is no JSON object with ``data``.
    """
    if not body.strip():
        raise AnswerError("empty, as in an outage or for a postcode that the service lacks")
    try:
        answer = json.loads(body, parse_constant=_refuse)
    except ValueError as error:
        raise AnswerError(f"no JSON ({error}), it begins {body[:40]!r}") from None
    if not isinstance(answer, dict) or "data" not in answer:
        raise AnswerError(f"no object with 'data', it begins {body[:40]!r}")
    return answer["data"]


def complaint(body: bytes) -> tuple[str, str] | None:
    """Return code and message of an error that the service tells of, None where it tells none."""
    try:
        error = json.loads(body)["error"]
        return str(error["code"]), str(error["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return None


def national(data: Any) -> pd.DataFrame:
    """Table of national intensity.

    Parameters
    ----------
    data : list of dict
        As :func:`data_of` returns it.

    Returns
    -------
    DataFrame
        Columns ``from``, ``to`` (UTC), ``forecast``, ``actual`` [gCO2/kWh] and ``index``, the
        service's own word for the band: its bounds have moved over the years.
    """
    return _table(data, _national_row, ["forecast", "actual"], ["index"])


def forecasts(data: Any) -> tuple[np.ndarray, Floats]:
    """Beginnings (UTC, ``datetime64[m]``) and forecasts [gCO2/kWh] of national half-hours.

    What :func:`national` has in two columns, without the half-hours that have no forecast, and
    thirty times faster: a year of recorded issues is 17,520 answers.
    """
    try:
        texts = [window["from"] for window in data]
        times = np.array([text.removesuffix("Z") for text in texts], dtype="datetime64[m]")
        values = np.array([window["intensity"]["forecast"] for window in data], dtype=np.float64)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnswerError(f"another shape than documented ({error!r})") from None
    if (values < 0).any() or np.isinf(values).any():
        raise AnswerError(f"forecast={values.min():g} is no amount")
    known = ~np.isnan(values)
    return times[known], values[known]


def generation(data: Any) -> pd.DataFrame:
    """Table of the national generation mix: ``from``, ``to`` and a column per fuel [%].

    The current half-hour comes as an object, a range as a list of them.
    """
    windows = [data] if isinstance(data, dict) else data
    return _table(windows, lambda window: _times(window) | _mix(window), ["gas"], [])


def regional(data: Any) -> pd.DataFrame:
    """Table of regional forecasts and mixes; regions have no actual values.

    Returns
    -------
    DataFrame
        Columns ``from``, ``to``, ``regionid``, ``shortname``, ``forecast`` [gCO2/kWh], ``index``
        and one per fuel [%].

    Notes
    -----
    One region comes as an object when a range was asked for, else as a list of that object; all
    regions come as a list of half-hours. The number of a postcode's region differs between years.
    """
    blocks = [data] if isinstance(data, dict) else data
    return _table(
        (pair for block in _listed(blocks) for pair in _pairs(block)),
        _regional_row,
        ["regionid", "forecast"],
        ["shortname", "index"],
    )


def statistics(data: Any) -> pd.DataFrame:
    """Table of ``max``, ``average``, ``min`` [gCO2/kWh] and ``index`` of each block of time."""
    return _table(data, _statistics_row, ["max", "average", "min"], ["index"])


def faulty_zeros(table: pd.DataFrame) -> pd.Series:
    """Mark the rows of a table whose intensity is a zero that cannot be true.

    Notes
    -----
    A national ``actual`` of 0 is a recorded fault. A regional ``forecast`` of 0 can be true, for
    a region of wind and nuclear power; it cannot where over 1 % of the mix emits. Such are on
    record for London on 1 January 2020, supplied by gas and biomass alone.
    """
    if "actual" in table:
        return table["actual"] == 0
    if "regionid" not in table:
        return pd.Series(False, index=table.index)
    fuels = [fuel for fuel in EMITTING if fuel in table]
    return (table["forecast"] == 0) & (table[fuels].sum(axis=1) > 1)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value")


def _listed(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise AnswerError(f"'data' is no list but {str(data)[:40]!r}")
    return data


def _times(window: dict[str, Any]) -> dict[str, Any]:
    return {"from": window["from"], "to": window["to"]}


def _mix(window: dict[str, Any]) -> dict[str, float]:
    return {part["fuel"]: float(part["perc"]) for part in window["generationmix"]}


def _national_row(window: dict[str, Any]) -> dict[str, Any]:
    intensity = window["intensity"]
    values = {name: intensity[name] for name in ("forecast", "actual")}
    return _times(window) | values | {"index": intensity.get("index")}


def _statistics_row(window: dict[str, Any]) -> dict[str, Any]:
    intensity = window["intensity"]
    values = {name: intensity[name] for name in ("max", "average", "min")}
    return _times(window) | values | {"index": intensity.get("index")}


def _pairs(block: dict[str, Any]) -> list[dict[str, Any]]:
    """Each half-hour of a block that is a region, or each region of one that is a half-hour."""
    return [block | part for part in block.get("regions") or block.get("data") or []]


def _regional_row(pair: dict[str, Any]) -> dict[str, Any]:
    about = {name: pair[name] for name in ("regionid", "shortname")}
    values = {"forecast": pair["intensity"]["forecast"], "index": pair["intensity"].get("index")}
    return _times(pair) | about | values | _mix(pair)


def _table(
    windows: Iterable[Any],
    row: Callable[[Any], dict[str, Any]],
    numbers: list[str],
    words: list[str],
) -> pd.DataFrame:
    """Rows as a table with UTC times and plain numbers; a column is there without rows too."""
    try:
        rows = [row(window) for window in windows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, AnswerError):
            raise
        raise AnswerError(f"another shape than documented ({error!r})") from None
    first = ["from", "to", *numbers, *words]
    table = pd.DataFrame(rows, columns=None if rows else first)
    for name in ("from", "to"):
        table[name] = _instants(table[name])
    for name in table.columns.difference(["from", "to", *words]):
        table[name] = _numbers(table[name])
    return table


def _instants(texts: pd.Series) -> pd.Series:
    times = pd.to_datetime(texts, format=TIME_FORMAT, utc=True, errors="coerce")
    if times.isna().any():
        raise AnswerError(f"{texts[times.isna()].iloc[0]!r} is no time of form YYYY-MM-DDThh:mmZ")
    return times


def _numbers(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    wrong = (numbers.isna() & values.notna()) | (numbers < 0) | np.isinf(numbers)
    if wrong.any():
        raise AnswerError(f"{values.name}={values[wrong].iloc[0]} is no amount")
    return numbers
