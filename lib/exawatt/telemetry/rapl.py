"""Energy counters of processors and memory that Linux offers under ``/sys/class/powercap``.

Notes
-----
A counter begins again at zero after ``max_energy_range_uj``: at 250 W, one of 65.5 kJ does so
every 4.4 minutes. ``total_uj`` adds up what passed since the recording began, which takes at most
one turn between two readings. A zone that draws no more than :data:`MOST_W` has made at most one
in ``max_energy_range_uj / MOST_W``; after a longer gap the number of turns is not known, nor is
it after a zone was away. Then ``total_uj`` begins again at 0 with the status ``restarted``: the
energy between that line and the zone's last reading before it is unknown.

``psys`` measures the whole board, packages included: it is a zone beside them, to be added to
none. ``intel-rapl-mmio`` shows the packages a second time and is not read.
"""

import errno
import os
import re
import time
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

from exawatt.telemetry import options
from exawatt.telemetry.recorder import OK, RESTARTED, Metric, Row, SourceError, run, say

ROOT = Path("/sys/class/powercap")
#: No zone is taken to draw more [W].
MOST_W = 1000

_ZONE = re.compile(r"intel-rapl:\d+(:\d+)?")
_RESCAN_NS = 1_000_000_000
_DENIED, _VANISHED, _UNREADABLE = "permission denied", "vanished", "unreadable"


class Turns:
    """Sum of what a counter of limited range has counted.

    Attributes
    ----------
    range_uj : int
        The counter begins again at zero after this [µJ].
    total_uj : int
        Energy since the first reading, or since turns may have been lost [µJ].
    """

    def __init__(self, range_uj: int) -> None:
        self.range_uj = range_uj
        self.total_uj = 0
        self._last: tuple[int, int] | None = None

    def add(self, energy_uj: int, now_ns: int) -> bool:
        """Add a reading; return False if it cannot be known what passed since the one before."""
        last_uj, last_ns = self._last or (energy_uj, now_ns)
        self._last = energy_uj, now_ns
        if MOST_W * (now_ns - last_ns) >= self.range_uj * 1000:  # W × ns is nJ
            self.total_uj = 0
            return False
        self.total_uj += energy_uj - last_uj + self.range_uj * (energy_uj < last_uj)
        return True


class Zone:
    """One zone, whose counter is kept open while it is there.

    Attributes
    ----------
    name : str
        A path of names, such as ``package-0/dram``.
    status : str
        Why it could not be opened or read last.
    folder : Path or None
        Where it was last seen.
    turns : Turns or None
        Its counter's; None if it could not be opened yet.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = _VANISHED
        self.folder: Path | None = None
        self.turns: Turns | None = None
        self._returned = False
        self._fd: int | None = None
        self._file = 0, 0

    @property
    def open(self) -> bool:
        """Whether the counter can be read."""
        return self._fd is not None

    def look(self, folder: Path | None) -> None:
        """Open the counter if it has come or come back; close it if it has gone."""
        self.folder = folder or self.folder
        try:
            if folder is None:
                raise FileNotFoundError(errno.ENOENT, "no such zone")
            now = os.stat(folder / "energy_uj")
            if self._fd is None or self._file != (now.st_dev, now.st_ino):
                self._open(folder)
        except (OSError, ValueError) as error:
            self.close()
            self.status = _status(error)

    def read(self, now_ns: int) -> Row:
        """Read the counter once."""
        if self._fd is None or self.turns is None:
            return Row((self.name, nan, nan), self.status)
        try:
            energy_uj = int(os.pread(self._fd, 32, 0))
        except (OSError, ValueError) as error:
            self.status = _status(error)
            if self.status == _VANISHED:
                self.close()
            return Row((self.name, nan, nan), self.status)
        continues = self.turns.add(energy_uj, now_ns) and not self._returned
        self._returned = False
        return Row((self.name, energy_uj, self.turns.total_uj), OK if continues else RESTARTED)

    def close(self) -> None:
        """Close the counter."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self, folder: Path) -> None:
        range_uj = int((folder / "max_energy_range_uj").read_text())
        fd = os.open(folder / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        found = os.fstat(fd)
        self._fd, self._file = fd, (found.st_dev, found.st_ino)
        self._returned = self.turns is not None
        self.turns = Turns(range_uj)


class Rapl:
    """All zones under a root directory, or those of some domains, as a source.

    Parameters
    ----------
    root : Path
        Where the zones ``intel-rapl:N`` are.
    domains : sequence of str
        Names of zones, with their path or without, with their number or without: ``package``,
        ``dram``, ``package-1/dram``. All zones when empty.

    Raises
    ------
    SourceError
        No zone is there, or none of them can be read.
    """

    format = "exawatt-rapl-1"
    columns: tuple[str, ...] = "zone", "energy_uj", "total_uj"
    metrics: tuple[Metric, ...] = (
        Metric("total_uj", "joules", "Energy since the recorder began.", "counter", scale=1e-6),
    )

    def __init__(self, root: Path = ROOT, domains: Sequence[str] = ()) -> None:
        self._root, self._domains = root, domains
        self._zones: dict[str, Zone] = {}
        self._scanned_ns = 0
        self._scan()
        self._complain()

    def describe(self) -> dict[str, Any]:
        """Return the zones seen so far and the ranges of their counters [µJ]."""
        zones = [
            {
                "zone": zone.name,
                "folder": zone.folder.name if zone.folder else None,
                "max_energy_range_uj": zone.turns.range_uj if zone.turns else None,
            }
            for zone in self._zones.values()
        ]
        return {"root": str(self._root), "zones": zones}

    def sample(self) -> list[Row]:
        """Read each zone once, and look for new ones now and then."""
        # Unlike the monotonic clock, this one goes on while the machine sleeps.
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        rows = [zone.read(now_ns) for zone in self._zones.values()]
        if now_ns - self._scanned_ns >= _RESCAN_NS:
            self._scan()
            self._scanned_ns = now_ns
        return rows

    def close(self) -> None:
        """Close the counters."""
        for zone in self._zones.values():
            zone.close()

    def _scan(self) -> None:
        found = _find(self._root)
        for name in found:
            if name not in self._zones and _wanted(name, self._domains):
                self._zones[name] = Zone(name)
        for name, zone in self._zones.items():
            zone.look(found.get(name))

    def _complain(self) -> None:
        """Raise if there is nothing to record; warn of what cannot be."""
        if not self._zones:
            raise SourceError(_nothing(self._root, self._domains))
        closed = [f"{zone.name} ({zone.status})" for zone in self._zones.values() if not zone.open]
        if not closed:
            return
        denied = any(zone.status == _DENIED for zone in self._zones.values())
        text = f"cannot read {', '.join(closed)}{_grant(self._root) if denied else '.'}"
        if len(closed) == len(self._zones):
            raise SourceError(text)
        say(f"rapl: {text}")


def _find(root: Path) -> dict[str, Path]:
    """Folder of each zone by its name, in order of their numbers.

    The class directory of Linux lists subzones beside their zones; the zones hold them as well.
    """
    folders = {each.name: each for outer in _listed(root) for each in (outer, *_listed(outer))}
    ids = sorted(folders, key=lambda each: [*map(int, each.split(":")[1:])])
    names: dict[str, str] = {}
    for each in ids:
        parent, _, _ = each.rpartition(":")
        try:
            own = (folders[each] / "name").read_text().strip().replace(",", " ")
        except OSError:
            continue  # half there: the next look will tell
        names[each] = f"{names[parent]}/{own}" if parent in names else own
    taken = list(names.values())
    return {
        name if taken.count(name) == 1 else f"{name}@{each}": folders[each]
        for each, name in names.items()
    }


def _listed(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if _ZONE.fullmatch(name)]
    except OSError:
        return []


def _wanted(name: str, domains: Sequence[str]) -> bool:
    last = name.rpartition("/")[2].partition("@")[0]
    return not domains or not {name, last, re.sub(r"-\d+$", "", last)}.isdisjoint(domains)


def _status(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return _DENIED
    # An open counter whose device goes away says ENODEV.
    gone = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENODEV)
    return _VANISHED if gone else _UNREADABLE


def _nothing(root: Path, domains: Sequence[str]) -> str:
    found = _find(root)
    if found:
        return f"--domain {','.join(domains)}: the zones are {', '.join(found)}."
    return (
        f"{root} has no zones intel-rapl:*. Virtual machines and containers seldom show them; on "
        "the machine itself, also with AMD's processors, try: sudo modprobe intel_rapl_msr"
    )


def _grant(root: Path) -> str:
    """How to let the user read the counters; not everybody, who could spy through them."""
    files = f"{root}/intel-rapl:*/energy_uj"
    return (
        ": only root may since CVE-2020-8694. To let your group, until the next boot: "
        f"sudo chgrp $(id -g) {files} && sudo chmod g+r {files}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Record RAPL's energy counters; return the exit status."""
    parser = options.parser("rapl", "Record the energy counters of processors and memory.", argv)
    parser.add_argument(
        "--domain",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME[,NAME...]",
        help="only these zones, such as package, dram or package-1/core; may be repeated",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="folder of the zones, if it is elsewhere, as in a container (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    return run(lambda: Rapl(arguments.root, arguments.domain), "rapl", options.read(arguments))
