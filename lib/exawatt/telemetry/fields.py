"""Fields that may be published: an allow-list, with what is done to the values of each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from exawatt.telemetry.anonymity import AS_IS, NOT_PUBLISHED, Kind
from exawatt.telemetry.pseudonyms import PERSONS, pseudonym, pseudonyms, unknown

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

#: Above it floating-point numbers are no longer whole ones, and no job comes near.
LARGEST = 2.0**53

#: A shorter name counts only where it stands by itself: "u1" is in "priv-u1", not in "gpu1".
SHORTEST_WITHIN = 4

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
ALIKE = (
    {"procs", "requested_procs", "nodes", "gpus"},
    {"runtime_s", "cpu_s"},
    {"memory_kb", "max_rss_kb"},
    {"partition", "queue"},
    {"status", "state"},
    {"group", "account"},
)
#: Two of these tell the third: beside one quasi-identifier one may stay exact, the first.
PRODUCT = ("runtime_s", "energy_j", "power_w")

_DONE: dict[Role, str] = {
    "id": "keyed hash",
    "time": "rounded down to the window, date removed",
    "duration": "rounded up to the window",
    "count": "",
    "measure": f"{DIGITS} significant digits",
    "category": "names hashed",
}


def treatment(name: str, column: pd.Series, level: str | None) -> str:
    """What was done to a field, in words.

    Parameters
    ----------
    name : str
        A name of :data:`FIELDS`.
    column : Series
        Its values before anything was generalised: numbers hold no names.
    level : str or None
        How far it was generalised; None if it is no quasi-identifier.
    """
    if level == NOT_PUBLISHED:
        return level
    done = _DONE[FIELDS[name].role]
    if FIELDS[name].role == "category":
        done = "" if pd.api.types.is_numeric_dtype(column) else done
        level = level or "rare values merged"
    return "; ".join(part for part in (done, level) if part and part != AS_IS) or AS_IS


def telltales(quasi_identifiers: Sequence[str]) -> set[str]:
    """Fields that would tell a quasi-identifier in another way, and are none themselves."""
    named = {*quasi_identifiers}
    telling = {name for family in ALIKE if family & named for name in family - named}
    # Processor time is nearly running time, whichever of the two is named.
    known = {"runtime_s" if name == "cpu_s" else name for name in named} & set(PRODUCT)
    if known:
        exact = [name for name in PRODUCT if name not in known | telling]
        telling.update(exact[len(known) == 1 :])
    return telling


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
        The field holds no numbers where it must, larger ones than any job has, or free text
        where it must not.
    """
    role = FIELDS[name].role
    if role == "id":
        return pseudonyms(column, key, PERSONS[name])
    if role == "category":
        return _category(column, name)
    values = numbers(column, name)
    if role == "time":
        return (values - origin_s) // window_s * window_s
    if role == "duration":
        # Unknown is NaN, or -1 in the Standard Workload Format; neither is rounded.
        return values.where(values < 0, np.ceil(values / window_s) * window_s)
    return significant(values) if role == "measure" else _whole(values)


def numbers(column: pd.Series, name: str) -> pd.Series:
    """Column as floating-point numbers; an error where it holds anything that is none."""
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(f"column {name!r} holds {column.dtype}, and must hold numbers.")
    values = pd.Series(column.to_numpy(np.float64, na_value=np.nan), column.index, name=name)
    if (large := values[values.abs() > LARGEST]).size:
        raise ValueError(
            f"column {name!r} holds {large.iloc[0]:g}, more than any job has: correct it, or "
            "leave the column out with columns=."
        )
    return values


def significant(values: pd.Series) -> pd.Series:
    """Numbers rounded to as many digits as may leave."""
    return values.map(f"{{:.{DIGITS}g}}".format).astype(np.float64)


def _whole(values: pd.Series) -> pd.Series:
    whole = values.notna().all() and (values % 1 == 0).all()
    return values.astype(np.int64) if whole else values


def _category(column: pd.Series, name: str) -> pd.Series:
    """Values as they are; an error where one looks like free text or a path."""
    if pd.api.types.is_numeric_dtype(column):
        return _whole(numbers(column, name))
    texts = column.astype("object").mask(unknown(column), None).map(str, na_action="ignore")
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


def hide_names(categories: pd.Series, names: set[str], key: bytes) -> pd.Series:
    """Hash each text of a column that holds one of the names, in capitals or not.

    A name of less than four characters counts only where it stands between others than letters
    and digits.
    """
    folded = {name.lower() for name in names}
    hidden = {
        value: pseudonym(value, key, PERSONS["class"])
        for value in categories.dropna().unique()
        if any(_holds(str(value).lower(), name) for name in folded)
    }
    return categories.map(lambda value: hidden.get(value, value))


def _holds(value: str, name: str) -> bool:
    if len(name) >= SHORTEST_WITHIN:
        return name in value
    alone = rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])"
    return re.search(alone, value) is not None
