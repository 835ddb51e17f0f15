"""Hosts of a SimGrid platform file, as Batsim reads it: their speeds, watts and sleep states.

What is read: ``<host>`` and ``<cluster>`` with their properties, zones and zone properties.
Links, routes and other parts of a network are passed over: no job here moves data.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from exawatt.batsim.files import read_text

MASTER_HOST = "master_host"
"""Host of the scheduler, which computes nothing and is counted nowhere."""

_UNITS = {f"{prefix}f": 10.0 ** (3 * i) for i, prefix in enumerate(["", *"kMGTPEZY"])}
_UNITS |= {f"{prefix}if": 1024.0 ** (i + 1) for i, prefix in enumerate("KMGTPEZY")}
_REFUSED = {"peer", "include", "random"}


@dataclass(frozen=True)
class SleepState:
    """A sleep state of a host: the pstates that stand for it, for falling asleep and waking."""

    asleep: int
    falling_asleep: int
    waking: int


@dataclass(frozen=True)
class Host:
    """A machine that a scheduler can allocate.

    Parameters
    ----------
    name : str
        What the file calls it.
    speeds_flops : tuple of float
        Speed of a core in each pstate [flop/s].
    watts : tuple of (float, float, float)
        Power in each pstate when idle, just above idle, and with all cores busy [W]; empty
        where the file has none.
    cores : int
        Cores.
    pstate : int
        The pstate it starts in.
    sleeps : tuple of SleepState
        Its sleep states.
    properties, zone_properties : dict
        Properties of the host and of its zone, as they stand in the file.
    """

    name: str
    speeds_flops: tuple[float, ...]
    watts: tuple[tuple[float, float, float], ...] = ()
    cores: int = 1
    pstate: int = 0
    sleeps: tuple[SleepState, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    zone_properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse hosts that cannot be."""
        for speed in self.speeds_flops:
            if not 0 < speed < float("inf"):
                raise ValueError(f"host {self.name!r}: speed(={speed}) must be positive, finite.")
        if self.watts and len(self.watts) != len(self.speeds_flops):
            raise ValueError(
                f"host {self.name!r} has watts for {len(self.watts)} pstates and speeds for "
                f"{len(self.speeds_flops)}; give one Idle:Epsilon:AllCores for each speed."
            )
        named = [n for s in self.sleeps for n in (s.asleep, s.falling_asleep, s.waking)]
        for number in [self.pstate, *named]:
            if not 0 <= number < len(self.speeds_flops):
                raise ValueError(
                    f"host {self.name!r} names pstate {number}; it has 0 to "
                    f"{len(self.speeds_flops) - 1}."
                )
        if self.cores < 1:
            raise ValueError(f"host {self.name!r}: core(={self.cores}) must be at least 1.")

    @cached_property
    def sleep_by_pstate(self) -> dict[int, SleepState]:
        """Sleep state of each pstate that is one."""
        return {sleep.asleep: sleep for sleep in self.sleeps}

    @cached_property
    def computing_pstates(self) -> frozenset[int]:
        """The pstates in which it can compute."""
        used = {n for s in self.sleeps for n in (s.asleep, s.falling_asleep, s.waking)}
        return frozenset(range(len(self.speeds_flops))) - used

    def power_w(self, pstate: int, load: float) -> float:
        """Power at a load of 0 to 1 of all its cores [W].

        Raises
        ------
        ValueError
            The file gives the host no watts.
        """
        if not self.watts:
            raise ValueError(
                f"host {self.name!r} has no watts; give it a property wattage_per_state."
            )
        idle_w, epsilon_w, all_cores_w = self.watts[pstate]
        return epsilon_w + load * (all_cores_w - epsilon_w) if load > 0 else idle_w


@dataclass(frozen=True)
class Hosts:
    """The hosts of a platform that a scheduler can allocate, numbered by name as Batsim does."""

    hosts: tuple[Host, ...]

    def __post_init__(self) -> None:
        """Sort them, and refuse none at all or two of a name."""
        ordered = tuple(sorted(self.hosts, key=lambda host: host.name))
        if not ordered:
            raise ValueError("the platform has no host to compute on besides the master.")
        for one, other in pairwise(ordered):
            if one.name == other.name:
                raise ValueError(f"two hosts are named {one.name!r}; each needs its own name.")
        object.__setattr__(self, "hosts", ordered)

    def __len__(self) -> int:
        """Number of hosts."""
        return len(self.hosts)

    def __getitem__(self, number: int) -> Host:
        """Host of a number."""
        return self.hosts[number]

    def __iter__(self) -> Iterator[Host]:
        """Hosts in order of their number."""
        return iter(self.hosts)


def read_hosts(path: Path | str, master_host: str = MASTER_HOST) -> Hosts:
    """Hosts of a SimGrid platform file (``.xml`` or ``.xml.gz``), the master's left out.

    Raises
    ------
    ValueError
        The file is no platform, or holds what is not supported; the message says what.
    """
    try:
        root = ElementTree.fromstring(read_text(path).lstrip())
        if root.tag != "platform":
            raise ValueError(f"its first tag is <{root.tag}>; a SimGrid platform is needed.")
        return Hosts(tuple(h for h in _hosts_in(root, {}) if not _is_master(h, master_host)))
    except (ValueError, ElementTree.ParseError) as error:
        raise ValueError(f"{path}: {error}") from None


def _is_master(host: Host, master_host: str) -> bool:
    role = host.properties.get("role", "")
    if role not in ("", "master", "compute_node"):
        raise ValueError(f"host {host.name!r} has role {role!r}; only master is supported.")
    return host.name == master_host or role == "master"


def _hosts_in(zone: ElementTree.Element, inherited: dict[str, str]) -> Iterator[Host]:
    properties = inherited if zone.tag == "platform" else _properties(zone)
    for child in zone:
        if child.tag in ("zone", "AS"):
            yield from _hosts_in(child, properties)
        elif child.tag == "host":
            yield _host(child, child.get("id", ""), properties)
        elif child.tag == "cluster":
            for number in _radical(child.get("radical", "")):
                name = f"{child.get('prefix', '')}{number}{child.get('suffix', '')}"
                yield _host(child, name, properties)
        elif child.tag in _REFUSED:
            raise ValueError(f"<{child.tag}> is not supported; write its hosts out as <host>.")


def _radical(text: str) -> Iterator[int]:
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match:
            raise ValueError(f"radical(={text!r}) is no list such as '0-9,12'.")
        yield from range(int(match[1]), int(match[2] or match[1]) + 1)


def _properties(element: ElementTree.Element) -> dict[str, str]:
    return {prop.get("id", ""): prop.get("value", "") for prop in element.findall("prop")}


def _host(element: ElementTree.Element, name: str, zone_properties: dict[str, str]) -> Host:
    for refused in ("availability_file", "state_file"):
        if element.get(refused):
            raise ValueError(f"host {name!r}: {refused} is not supported; pass --events instead.")
    properties = _properties(element)
    watts = properties.get("wattage_per_state", properties.get("watt_per_state", ""))
    return Host(
        name=name,
        speeds_flops=tuple(_speed_flops(part) for part in element.get("speed", "").split(",")),
        watts=tuple(_watts(part, name) for part in watts.split(",") if part.strip()),
        cores=int(element.get("core", "1")),
        pstate=int(element.get("pstate", "0")),
        sleeps=tuple(_sleeps(properties.get("sleep_pstates", ""), name)),
        properties=properties,
        zone_properties=zone_properties,
    )


def _speed_flops(text: str) -> float:
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = (match[2] or "f").replace("flops", "f") if match else ""
    if not match or unit not in _UNITS:
        raise ValueError(f"speed {text.strip()!r} is not a number with a unit such as 100Mf.")
    return float(match[1]) * _UNITS[unit]


def _watts(text: str, name: str) -> tuple[float, float, float]:
    """Power of one pstate from ``Idle:Epsilon:AllCores``, or ``Idle:AllCores`` of old files."""
    try:
        numbers = [float(part) for part in text.split(":")]
        if len(numbers) == 2:
            numbers.insert(1, numbers[0])
        idle_w, epsilon_w, all_cores_w = numbers
    except ValueError:
        raise ValueError(
            f"host {name!r}: watts {text.strip()!r} must be Idle:Epsilon:AllCores, as 95:95:190."
        ) from None
    return idle_w, epsilon_w, all_cores_w


def _sleeps(text: str, name: str) -> Iterator[SleepState]:
    for part in text.split(","):
        if not part.strip():
            continue
        numbers = part.split(":")
        if len(numbers) != 3 or not all(number.strip().isdecimal() for number in numbers):
            raise ValueError(
                f"host {name!r}: sleep_pstates {part.strip()!r} must be sleep:off:on, as 13:14:15."
            )
        yield SleepState(*(int(number) for number in numbers))
