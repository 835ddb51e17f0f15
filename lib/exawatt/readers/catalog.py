"""The catalog: traces and intensity series known by name, and where to find them."""

import os
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from exawatt.intensity import FillRule, Intensity
from exawatt.readers.files import COMPRESSIONS
from exawatt.readers.neso import read_intensity
from exawatt.readers.swf import read_swf
from exawatt.workload import Tier, Workload

#: Top of the repository: the package is installed editable, beside its data.
REPOSITORY = Path(__file__).resolve().parents[3]
Kind = Literal["traces", "intensity"]


class StandInWarning(UserWarning):
    """A trace or series is not on this machine, and a generated one took its place."""


@dataclass(frozen=True)
class Entry:
    """One trace or series of the catalog."""

    name: str
    file: str
    terms: str
    sha256: str = ""
    folder: str = ""
    dropped: str = ""
    machine: str = ""
    donor: str = ""
    source: str = ""
    tier: Tier = "real"
    fill: FillRule | None = None

    def find(self) -> Path | None:
        """Return the file's path: as dropped by the user, in $EXAWATT_DATA, or committed."""
        return next((path for path in self._places() if path.is_file()), None)

    def _places(self) -> Iterator[Path]:
        for folder in (REPOSITORY / "traces", REPOSITORY / "data" / "raw"):
            yield folder / self.file
            for name in {self.dropped, self.file.removesuffix(".gz")} - {""}:
                yield from (folder / f"{name}{ending}" for ending in ("", *COMPRESSIONS))
        if shared := os.environ.get("EXAWATT_DATA"):
            # Chapters run in their own folder: a relative path counts from the repository's top.
            yield REPOSITORY / shared / self.folder / self.file
            yield REPOSITORY / shared / self.file
        if self.tier == "tiny":
            yield REPOSITORY / "tests" / "data" / self.file


@cache
def catalog(kind: Kind) -> dict[str, Entry]:
    """All entries of one kind, by name."""
    text = (REPOSITORY / "traces" / "catalog.toml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = tomllib.loads(text)[kind]
    return {name: Entry(name=name, **values) for name, values in entries.items()}


def locate(name_or_path: str | Path, kind: Kind) -> tuple[Path, Entry | None]:
    """Path of a trace or series, and its catalog entry if it was named.

    A catalog name whose file is not on this machine leads to the generated ``tiny`` one, with a
    :class:`StandInWarning`.

    Raises
    ------
    FileNotFoundError
        It is neither a name of the catalog nor a file.
    """
    entries = catalog(kind)
    by_folded_name = {name.lower(): entry for name, entry in entries.items()}
    entry = by_folded_name.get(str(name_or_path).lower())
    if entry is None:
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path, None
        known = ", ".join(entries)
        raise FileNotFoundError(f"{name_or_path}: no such file, nor one of the names {known}.")
    found = entry.find()
    if found is None:
        folder = "traces/" if kind == "traces" else "data/raw/"
        warnings.warn(
            f"{entry.name} is not on this machine; the generated 'tiny' stands in for it. Put "
            f"{entry.dropped or entry.file} into {folder}, or name its folder in EXAWATT_DATA.",
            StandInWarning,
            stacklevel=3,
        )
        entry = entries["tiny"]
        found = entry.find()
        if found is None:
            raise FileNotFoundError(f"{entry.file}: the repository's own tests/data lacks it.")
    return found, entry


def load(name_or_path: str | Path, *, strict: bool = True, procs: int | None = None) -> Workload:
    """Load a trace by catalog name or path, and report what cleaning did.

    Parameters
    ----------
    name_or_path : str or path-like
        A name of the catalog (``exawatt traces list``), or an SWF file, compressed or not.
    strict : bool
        Raise on the first defect; otherwise work around it and count it in ``cleaning``.
    procs : int, optional
        Processors of the machine, when the header does not tell them.

    Raises
    ------
    FileNotFoundError, TraceError
    """
    path, entry = locate(name_or_path, "traces")
    workload = read_swf(path, strict=strict, procs=procs, name=entry.name if entry else None)
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

    Raises
    ------
    FileNotFoundError, TraceError
    """
    path, entry = locate(name_or_path, "intensity")
    if entry is None:
        series = read_intensity(path, strict=strict)
    else:
        series = read_intensity(path, strict=strict, name=entry.name, tier=entry.tier)
        fill = fill or entry.fill
    return series.fill_gaps(fill) if fill else series
