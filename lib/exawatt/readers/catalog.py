"""The catalog: traces and intensity series known by name, and where to find them."""

import hashlib
import os
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from exawatt.intensity import FillRule, Intensity
from exawatt.readers.files import COMPRESSIONS, read_file
from exawatt.readers.neso import read_intensity
from exawatt.readers.sacct import is_sacct, read_sacct
from exawatt.readers.swf import read_swf
from exawatt.workload import Tier, Workload

#: Top of the repository: the package is installed editable, beside its data.
REPOSITORY = Path(__file__).resolve().parents[3]
Kind = Literal["traces", "intensity"]


class StandInWarning(UserWarning):
    """A trace or series is not on this machine, and a generated one took its place."""


@dataclass(frozen=True)
class Entry:
    """One trace or series of the catalog.

    Attributes
    ----------
    file, folder, dropped : str
        Its name, the folder of $EXAWATT_DATA that holds it, and another name for a dropped copy.
    sha256, sha256_text : str
        Checksums of the compressed file at hand and of the text in it; publishers may compress
        the same text anew.
    url, page : str
        Address of the one file, and of the publisher's page about it; empty where there is none.
    citation : str
        Key in chapters/references.bib.
    timezone : str
        IANA zone of the wall clock in a file that does not tell it.
    lacks : tuple of str
        Which of requests, waits and users most of its jobs do not have.
    """

    name: str
    file: str
    terms: str
    sha256: str = ""
    sha256_text: str = ""
    url: str = ""
    page: str = ""
    folder: str = ""
    dropped: str = ""
    machine: str = ""
    donor: str = ""
    source: str = ""
    citation: str = ""
    timezone: str = ""
    lacks: tuple[str, ...] = ()
    tier: Tier = "real"
    fill: FillRule | None = None

    def find(self) -> Path | None:
        """Return the file's path: dropped by the user, in $EXAWATT_DATA, downloaded, committed."""
        return next((path for path in self._places() if path.is_file()), None)

    def matches(self, path: Path) -> bool | None:
        """Whether a file holds the catalog's text; None where the catalog knows no checksum."""
        if not (self.sha256 or self.sha256_text):
            return None
        text, sha256, broken = read_file(path)
        same_text = hashlib.sha256(text).hexdigest() == self.sha256_text
        return sha256 == self.sha256 or (broken is None and same_text)

    def downloads(self, folder: Path) -> list[Path]:
        """Return the paths that a download of this entry may have in the cache."""
        return [folder / name for name in _spellings(self.file)]

    def _places(self) -> Iterator[Path]:
        for folder in (REPOSITORY / "traces", REPOSITORY / "data" / "raw"):
            yield folder / self.file
            for name in filter(None, (self.dropped, self.file)):
                yield from (folder / spelling for spelling in _spellings(name))
        if shared := shared_folder():
            yield shared / self.folder / self.file
            yield shared / self.file
        if self.url:
            yield from self.downloads(cache_folder())
        if self.tier == "tiny":
            yield REPOSITORY / "tests" / "data" / self.file


def _spellings(name: str) -> list[str]:
    """Return a file's name, plain and with the ending of each compression."""
    return [name.removesuffix(".gz") + ending for ending in ("", *COMPRESSIONS)]


def shared_folder() -> Path | None:
    """Folder that $EXAWATT_DATA names; a relative path counts from the repository's top.

    It does not count from the current folder, for chapters run in their own.
    """
    shared = os.environ.get("EXAWATT_DATA")
    return REPOSITORY / Path(shared).expanduser() if shared else None


def cache_folder() -> Path:
    """Folder of downloads: $EXAWATT_CACHE, else the one that the system has for caches."""
    if chosen := os.environ.get("EXAWATT_CACHE"):
        return REPOSITORY / Path(chosen).expanduser()
    import pooch  # takes a fifth of a second, and most runs need no download

    return Path(pooch.os_cache("exawatt"))


@cache
def catalog(kind: Kind) -> dict[str, Entry]:
    """All entries of one kind, by name."""
    text = (REPOSITORY / "traces" / "catalog.toml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = tomllib.loads(text)[kind]
    return {
        name: Entry(name=name, **values | {"lacks": tuple(values.get("lacks", ()))})
        for name, values in entries.items()
    }


def named(name: str | Path, kind: Kind) -> Entry | None:
    """Entry of that name, in large or small letters; None where there is none."""
    by_folded_name = {known.lower(): entry for known, entry in catalog(kind).items()}
    return by_folded_name.get(str(name).lower())


def locate(name_or_path: str | Path, kind: Kind) -> tuple[Path | None, Entry | None]:
    """Path of a trace or series, and its catalog entry if it was named.

    Returns
    -------
    path : Path or None
        None where the catalog knows the name and this machine lacks the file.
    entry : Entry or None

    Raises
    ------
    FileNotFoundError
        It is neither a name of the catalog nor a file.
    """
    entry = named(name_or_path, kind)
    if entry is not None:
        return entry.find(), entry
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path, None
    known = ", ".join(catalog(kind))
    raise FileNotFoundError(f"{name_or_path}: no such file, nor one of the names {known}.")


def warn_of_stand_in(entry: Entry, kind: Kind, stand_in: str) -> None:
    """Say that generated data take the place of recorded ones, and how to get those."""
    folder = "traces/" if kind == "traces" else "data/raw/"
    shared = shared_folder()
    named = f"EXAWATT_DATA (now {shared.resolve()})" if shared else "EXAWATT_DATA"
    how = f"put {entry.dropped or entry.file} into {folder}, or name its folder in {named}"
    if entry.url:
        how = f"run 'make data', {how}"
    warnings.warn(
        f"{entry.name} is not on this machine; {stand_in} stands in for it. To get it, {how}.",
        StandInWarning,
        stacklevel=3,
    )


def _refuse_tiny(entry: Entry) -> None:
    """Nothing stands in for the generated data that come with the project."""
    if entry.tier == "tiny":
        place = REPOSITORY / "tests" / "data" / entry.file
        raise FileNotFoundError(
            f"{entry.name}: {place} is missing, and nothing stands in for it; it comes with the "
            "repository ('git checkout tests/data' brings it back)."
        )


def load(
    name_or_path: str | Path,
    *,
    strict: bool = True,
    procs: int | None = None,
    timezone: str | None = None,
) -> Workload:
    """Load a trace by catalog name or path, and report what cleaning did.

    Parameters
    ----------
    name_or_path : str or path-like
        A name of the catalog (``exawatt traces list``), or a file, compressed or not: SWF, or
        Slurm accounting with its header (see :func:`exawatt.readers.sacct.read_sacct`).
    strict : bool
        Raise on the first defect; otherwise work around it and count it in ``cleaning``.
    procs : int, optional
        Processors of the machine, when the file does not tell them.
    timezone : str, optional
        Zone of the machine's wall clock, such as ``Europe/Stockholm``; without it, that of the
        catalog or the file, else UTC.

    Returns
    -------
    Workload
        Where this machine lacks a trace of the catalog: its generated twin if it has one, else
        the generated ``tiny``; with a :class:`StandInWarning`, and labelled so.

    Raises
    ------
    FileNotFoundError, TraceError
    """
    path, entry = locate(name_or_path, "traces")
    if path is None and entry is not None:
        _refuse_tiny(entry)
        # SciPy is slow to import, and only generated data need it.
        from exawatt.readers.twin import trace_twins

        if twin := trace_twins().get(entry.name):
            warn_of_stand_in(entry, "traces", "a generated twin")
            return twin.generate(entry.name)
        warn_of_stand_in(entry, "traces", "the generated trace 'tiny'")
        return load("tiny", strict=strict)
    assert path is not None
    name = entry.name if entry else None
    if is_sacct(path):
        zone = timezone or (entry.timezone or None if entry else None)
        workload = read_sacct(path, strict=strict, procs=procs, timezone=zone, name=name)
    else:
        workload = read_swf(path, strict=strict, procs=procs, name=name)
        workload = replace(workload, timezone=timezone) if timezone else workload
    return replace(workload, tier=entry.tier) if entry else workload


def load_intensity(
    name_or_path: str | Path, *, fill: FillRule | None = None, strict: bool = True
) -> Intensity:
    """Load a carbon-intensity series by catalog name or path.

    Parameters
    ----------
    name_or_path : str or path-like
        ``GB-2023``, ``GB-2022``, ``tiny``, or a file in NESO's CSV or JSON form.
    fill : {"week"}, optional
        Rule by which gaps are filled, see :meth:`Intensity.fill_gaps`. Series of the catalog
        name their own; a file's gaps stay gaps unless a rule is given.
    strict : bool
        Raise when one half-hour comes twice with different values.

    Returns
    -------
    Intensity
        Where this machine lacks a series of the catalog, a generated one, as in :func:`load`.

    Raises
    ------
    FileNotFoundError, TraceError
    """
    path, entry = locate(name_or_path, "intensity")
    if path is None and entry is not None:
        _refuse_tiny(entry)
        from exawatt.readers.twin import intensity_twins

        if twin := intensity_twins().get(entry.name):
            warn_of_stand_in(entry, "intensity", "a generated twin")
            return twin.generate(entry.name)
        warn_of_stand_in(entry, "intensity", "the generated series 'tiny'")
        return load_intensity("tiny")
    assert path is not None
    if entry is None:
        series = read_intensity(path, strict=strict)
    else:
        series = read_intensity(path, strict=strict, name=entry.name, tier=entry.tier)
        fill = fill or entry.fill
    return series.fill_gaps(fill) if fill else series
