"""Fields that may be published: an allow-list, with what is done to the values of each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from exawatt.telemetry.anonymity import Kind
from exawatt.telemetry.pseudonyms import PERSONS, pseudonyms

Role = Literal["id", "time", "duration", "count", "measure", "category"]

#: How each role is generalised where it is a quasi-identifier.
KINDS: dict[Role, Kind] = {
    "id": "category",
    "time": "time",
    "duration": "duration",
    "count": "number",
    "measure": "number",
    "category": "category",
}

#: Significant digits of a measure: enough for a model, too few to recognise one job by.
DIGITS = 3

_CATEGORY = re.compile(r"[\w.,:+-]{1,32}", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One field: what is done to it, its unit, and what it means."""

    role: Role
    unit: str
    meaning: str


FIELDS: dict[str, Field] = {
    "job": Field("id", "", "job"),
    "submit_s": Field("time", "s", "submission, from second 0 of the release"),
    "wait_s": Field("duration", "s", "waiting time as logged"),
    "runtime_s": Field("duration", "s", "running time as logged"),
    "requested_s": Field("duration", "s", "running time that the user requested"),
    "cpu_s": Field("duration", "s", "processor time used"),
    "procs": Field("count", "processor", "processors allocated"),
    "requested_procs": Field("count", "processor", "processors requested"),
    "nodes": Field("count", "node", "nodes allocated"),
    "gpus": Field("count", "GPU", "GPUs allocated"),
    "memory_kb": Field("measure", "kB", "memory used"),
    "max_rss_kb": Field("measure", "kB", "largest memory of one task"),
    "requested_memory_kb": Field("measure", "kB", "memory requested"),
    "power_w": Field("measure", "W", "mean power of the job"),
    "energy_j": Field("measure", "J", "energy of the job"),
    "partition": Field("category", "", "part of the machine"),
    "queue": Field("category", "", "queue or quality of service"),
    "status": Field("category", "", "how the job ended, in the code of the source"),
    "state": Field("category", "", "how the job ended, in words"),
    "user": Field("id", "", "user"),
    "group": Field("id", "", "group"),
    "account": Field("id", "", "account"),
    "app": Field("id", "", "application"),
}

#: Fields that tell each other: one of them exact would undo the rounding of another.
ALIKE = frozenset({"procs", "requested_procs", "nodes"})

RULES: dict[Role, str] = {
    "id": "keyed hash",
    "time": "rounded down to the window, date removed",
    "duration": "rounded up to the window",
    "count": "as it is",
    "measure": f"{DIGITS} significant digits",
    "category": "rare values merged",
}


def telltales(quasi_identifiers: Sequence[str]) -> set[str]:
    """Fields that would tell a quasi-identifier in another way, and are none themselves."""
    return set(ALIKE - {*quasi_identifiers}) if ALIKE & {*quasi_identifiers} else set()


def coarsened(
    column: pd.Series, name: str, key: bytes, window_s: float, origin_s: float
) -> pd.Series:
    """Bring one field to the form in which it may leave, before anything is generalised.

    Parameters
    ----------
    column : Series
    name : str
        A name of :data:`FIELDS`.
    key : bytes
        Key of the release.
    window_s : float
        To which times and durations are rounded [s].
    origin_s : float
        What becomes second 0 of the release, in the seconds of the table [s].

    Raises
    ------
    ValueError
        The field holds no numbers where it must, or free text where it must not.
    """
    role = FIELDS[name].role
    if role == "id":
        return pseudonyms(column, key, PERSONS[name])
    if role == "category":
        return _category(column, name)
    values = _numbers(column, name)
    if role == "time":
        return (values - origin_s) // window_s * window_s
    if role == "duration":
        # Unknown is NaN, or -1 in the Standard Workload Format; neither is rounded.
        return values.where(values < 0, np.ceil(values / window_s) * window_s)
    return _significant(values) if role == "measure" else _whole(values)


def _numbers(column: pd.Series, name: str) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(f"column {name!r} holds {column.dtype}, and must hold numbers.")
    return pd.Series(column.to_numpy(np.float64, na_value=np.nan), column.index, name=name)


def _significant(values: pd.Series) -> pd.Series:
    size = np.floor(np.log10(values.abs().where(values != 0)))
    step = 10.0 ** (size - DIGITS + 1)
    return (np.round(values / step) * step).fillna(values)


def _whole(values: pd.Series) -> pd.Series:
    whole = values.notna().all() and (values % 1 == 0).all()
    return values.astype(np.int64) if whole else values


def _category(column: pd.Series, name: str) -> pd.Series:
    """Values as they are; an error where one looks like free text or a path."""
    if pd.api.types.is_numeric_dtype(column):
        return _whole(_numbers(column, name))
    texts = column.astype("object").map(str, na_action="ignore")
    if name == "state":  # Slurm's "CANCELLED by 1234" names a user
        texts = texts.str.split().str[0]
    for text in texts.dropna().unique():
        if not _CATEGORY.fullmatch(text):
            raise ValueError(
                f"column {name!r} holds {text!r}, which may be free text: a category is up to 32 "
                "letters, digits and .,:+-_ without blanks. Leave the column out with columns=, "
                "or rename its values."
            )
    return texts
