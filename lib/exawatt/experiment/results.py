"""Results: tables of a long experiment, and what they depend on, as files beside each other."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from exawatt.experiment.code import digest, fingerprint
from exawatt.experiment.contents import contents
from exawatt.experiment.machine import versions
from exawatt.readers.catalog import REPOSITORY, named
from exawatt.readers.catalog import load as load_trace
from exawatt.workload import Tier, Workload, label

RESULTS = REPOSITORY / "experiments" / "results"
MANIFEST = "manifest.json"
#: Digits that a number keeps in a table.
NUMBER = "%.10g"


class StaleError(RuntimeError):
    """A result was made by other code, or from other inputs, than are here now."""


@dataclass(frozen=True)
class Input:
    """A trace that a result was made from.

    Attributes
    ----------
    sha256, contents : str
        Checksums of the file, and of the jobs and the machine that were read from it.
    """

    name: str
    sha256: str
    contents: str
    tier: Tier

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """Input that a workload is."""
        return cls(workload.name, workload.sha256, contents(workload), workload.tier)

    @property
    def label(self) -> str:
        """Name for captions, with the beginning of the checksum."""
        return label(self.name, self.tier, self.sha256)

    def differs(self) -> bool:
        """Whether other jobs are read by that name here; not if the trace is not here."""
        entry = named(self.name, "traces")
        if entry is None or entry.find() is None:
            return False
        return contents(load_trace(self.name)) != self.contents


@dataclass(frozen=True)
class Manifest:
    """What a result depends on, and how it was made.

    Attributes
    ----------
    command : str
        What makes it again.
    script : str
        Path of the script in the repository.
    modules : sequence of str
        Modules that the script had make it.
    code : mapping
        Hash of the script, of those modules and of all modules of this package that they import.
    inputs : sequence of Input
    libraries : mapping
        Version by package.
    settings : mapping
        Seeds, and whatever else readers have to know.
    hardware : sequence of str
        Processors that it was made on.
    cpu_s : float
        Processor time that it took [s].
    commit, date : str
        When it was made: the commit checked out, and the day (UTC).
    tables : mapping
        Checksum by name of table.
    """

    command: str
    script: str
    modules: Sequence[str]
    code: Mapping[str, str]
    inputs: Sequence[Input]
    libraries: Mapping[str, str]
    settings: Mapping[str, Any]
    hardware: Sequence[str]
    cpu_s: float
    commit: str
    date: str
    tables: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest from its file."""
        given = json.loads(path.read_text(encoding="utf-8"))
        return cls(**given | {"inputs": [Input(**each) for each in given["inputs"]]})

    def write(self, path: Path) -> None:
        """Write the manifest to a file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def changes(self, top: Path = REPOSITORY) -> list[str]:
        """What the result depends on that is not as it was; one phrase each."""
        try:
            now = code_of(self.script, self.modules, top)
        except (FileNotFoundError, SyntaxError) as error:
            return [f"code cannot be read ({error})"]
        changed = [
            f"{name} {_change(self.code.get(name), now.get(name))}"
            for name in sorted({*self.code, *now})
            if self.code.get(name) != now.get(name)
        ]
        return changed + [f"trace {each.label} differs" for each in self.inputs if each.differs()]


def code_of(script: str, modules: Sequence[str], top: Path = REPOSITORY) -> dict[str, str]:
    """Hash of a script, and of modules and all that these import."""
    return {script: digest(top / script)} | fingerprint(modules, top)


def _change(before: str | None, now: str | None) -> str:
    if before is None:
        return "was added"
    return "is no longer needed" if now is None else "changed"


@dataclass(frozen=True, eq=False)
class Result:
    """Tables of an experiment, by name: ``result["scores"]``."""

    name: str
    manifest: Manifest
    tables: Mapping[str, pd.DataFrame]

    def __getitem__(self, table: str) -> pd.DataFrame:
        """Return one of the tables."""
        if table not in self.tables:
            raise KeyError(f"{self.name} has no table {table!r}; it has {', '.join(self.tables)}.")
        return self.tables[table]

    @property
    def label(self) -> str:
        """Where the numbers come from, for captions: the traces, whatever this machine has."""
        traces = ", ".join(each.label for each in self.manifest.inputs)
        return f"stored by {self.manifest.command} on {self.manifest.date}, from {traces}"

    @property
    def made_with(self) -> str:
        """Sentence that names libraries of another minor version here; empty if there is none.

        Another version is no reason to refuse a result: predictors may differ in late digits.
        """
        before = self.manifest.libraries
        now = versions(package for package in before if package != "python")
        other = [
            f"{package} {before[package]} (here {now[package]})"
            for package in before
            if _minor(before[package]) != _minor(now[package])
        ]
        return f"Made with {', '.join(other)}." if other else ""


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def save(
    name: str, manifest: Manifest, tables: Mapping[str, pd.DataFrame], folder: Path = RESULTS
) -> Path:
    """Write a result in the place of the one before.

    Parameters
    ----------
    name : str
        Its folder under `folder`.
    manifest : Manifest
        Checksums of tables in it are replaced by those of `tables`.
    tables : mapping of DataFrame
        Indexes are not kept.

    Returns
    -------
    Path
        Its folder.
    """
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.csv"):
        old.unlink()
    for table, frame in tables.items():
        text = frame.to_csv(index=False, float_format=NUMBER, lineterminator="\n")
        (target / f"{table}.csv").write_text(text, encoding="utf-8", newline="\n")
    sums = {table: _checksum(target / f"{table}.csv") for table in tables}
    Manifest(**vars(manifest) | {"tables": sums}).write(target / MANIFEST)
    return target


def load(name: str, folder: Path = RESULTS, top: Path = REPOSITORY) -> Result:
    """Read a result, if the code here would still make it.

    Parameters
    ----------
    name : str
        Its folder under `folder`.
    folder : Path
    top : Path
        The repository whose code counts.

    Returns
    -------
    Result

    Raises
    ------
    FileNotFoundError
        There is no such result.
    StaleError
        Code or a trace that it depends on changed, or a table was edited. A trace that is not on
        this machine is not compared: a result is one of the traces that its manifest names.
    """
    source = folder / name
    if not (source / MANIFEST).is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")))
        raise FileNotFoundError(
            f"There is no result {name!r} in {folder}; known: {known or 'none'}. "
            "'make train' makes them."
        )
    manifest = Manifest.read(source / MANIFEST)
    changed = manifest.changes(top)
    changed += [
        f"table {table} was edited or lost"
        for table, checksum in manifest.tables.items()
        if _checksum(source / f"{table}.csv") != checksum
    ]
    if changed:
        raise StaleError(
            f"The stored result {name!r} is stale: {'; '.join(changed)}. Make it again with "
            f"'{manifest.command}', where the traces it needs are."
        )
    return Result(name, manifest, {t: pd.read_csv(source / f"{t}.csv") for t in manifest.tables})


def _checksum(path: Path) -> str:
    """Checksum of a table, whatever ends its lines; empty if there is none."""
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
