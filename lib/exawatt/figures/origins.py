"""Where the numbers come from: code, inputs, machine."""

import hashlib
import os
import platform
import warnings
from importlib.metadata import version

import pandas as pd

from exawatt.experiment.machine import commit, processor
from exawatt.figures.chapter import effort_of
from exawatt.readers.catalog import (
    REPOSITORY,
    Entry,
    Kind,
    StandInWarning,
    catalog,
    load,
    load_intensity,
)

#: Packages whose version can change a number.
COMPUTING = ("numpy", "scipy", "pandas", "numba", "llvmlite", "matplotlib", "seaborn")


def build(effort: str = "") -> pd.DataFrame:
    """Commit, lock, effort and machine of this build."""
    lock = hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
    facts = {
        "commit": commit(),
        "sha256 of requirements.txt": f"{lock[:16]}…",
        "effort": effort_of(effort),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
    }
    return pd.DataFrame({"what": list(facts), "value": list(facts.values())})


def inputs(effort: str = "") -> pd.DataFrame:
    """One row a trace or series of the catalog: tier, checksum, terms, and whether it is here."""
    kinds: tuple[Kind, ...] = ("traces", "intensity")
    rows = [_input(entry, kind) for kind in kinds for entry in catalog(kind).values()]
    table = pd.DataFrame(rows)
    if effort_of(effort) == "test":
        table = table[table["tier"] == "tiny"]
    return table


def _input(entry: Entry, kind: Kind) -> dict[str, str]:
    path = entry.find()
    if path is None:
        return _stand_in(entry, kind)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    note = " (differs)" if entry.matches(path) is False else ""
    return {
        "name": entry.name,
        "tier": entry.tier,
        "sha256": f"{found[:16]}…{note}",
        "by": entry.donor or entry.source,
        "terms": entry.terms,
    }


def _stand_in(entry: Entry, kind: Kind) -> dict[str, str]:
    """Row of what takes the place of a file that is not on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StandInWarning)
        item = load(entry.name) if kind == "traces" else load_intensity(entry.name)
    return {
        "name": f"{entry.name}: {item.name} instead",
        "tier": item.tier,
        "sha256": f"{item.sha256[:16]}…",
        "by": "this project, generated",
        "terms": "MIT",
    }


def packages() -> pd.DataFrame:
    """Versions of the packages that compute."""
    return pd.DataFrame({"package": COMPUTING, "version": [version(name) for name in COMPUTING]})
