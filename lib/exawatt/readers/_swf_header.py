"""The header of an SWF file: machine size, start and time zone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args
from zoneinfo import ZoneInfo

import pandas as pd

from exawatt.readers.files import TraceError
from exawatt.workload import Finding, Tier, Workload


@dataclass(frozen=True)
class Header:
    """What the header lines say of the machine, and what they leave open."""

    procs: int
    nodes: int | None
    start: pd.Timestamp | None
    timezone: str
    tier: Tier
    findings: list[Finding]

    @classmethod
    def parse(
        cls, path: Path, header: tuple[str, ...], procs: int | None, largest_job: int | None = None
    ) -> Self:
        """Read ``; Key: value`` lines.

        `procs` overrides the machine size found there; `largest_job` stands in for a size that
        is found nowhere, which is an error without it.
        """
        keys = fields(header)
        nodes = _whole(keys.get("MaxNodes"))
        size = procs or _whole(keys.get("MaxProcs")) or nodes
        findings = []
        if size is None and largest_job:
            size = largest_job
            reason = "no MaxProcs or MaxNodes in the header, the largest job taken"
            findings.append(Finding("noted", reason, 1, 0, "MaxProcs", str(size)))
        if size is None:
            raise TraceError(
                path, "the header has no MaxProcs or MaxNodes; pass procs= (--procs), the size."
            )
        start, timezone = _start(keys.get("UnixStartTime")), _timezone(keys)
        if start is None:
            findings.append(Finding("noted", "no start instant in the header", 1))
        if timezone is None:
            findings.append(Finding("noted", "no time zone in the header, UTC taken", 1))
        tier: Tier = next((t for t in get_args(Tier) if t == keys.get("Tier")), "real")
        if nodes is not None and nodes > size:
            nodes = None
        return cls(size, nodes, start, timezone or "UTC", tier, findings)

    @staticmethod
    def lines(workload: Workload) -> tuple[str, ...]:
        """Header lines that describe a workload: its own, with the machine size it now has."""
        wanted = {
            "Version": "2.2",
            "MaxJobs": len(workload),
            "MaxRecords": len(workload),
            "UnixStartTime": None if workload.start is None else int(workload.start.timestamp()),
            "TimeZoneString": workload.timezone,
            "MaxNodes": workload.nodes,
            "MaxProcs": workload.procs,
            "Tier": None if workload.tier == "real" else workload.tier,
        }
        if _describes(workload.header, workload):
            return workload.header
        kept = [line for line in workload.header if _key(line)[0] not in wanted]
        return (*kept, *(f"; {key}: {value}" for key, value in wanted.items() if value is not None))


def _describes(header: tuple[str, ...], workload: Workload) -> bool:
    """Whether reading the header again would give this machine, start and tier."""
    try:
        found = Header.parse(Path(workload.source), header, procs=None)
    except TraceError:
        return False
    machine = (found.procs, found.nodes or found.procs, found.start, found.timezone, found.tier)
    return machine == (
        workload.procs,
        workload.nodes,
        workload.start,
        workload.timezone,
        workload.tier,
    )


def fields(header: tuple[str, ...]) -> dict[str, str]:
    """Keys of a header and their first value."""
    found: dict[str, str] = {}
    for line in header:
        key, value = _key(line)
        if key:
            found.setdefault(key, value)
    return found


def _key(line: str) -> tuple[str, str]:
    key, colon, value = line.strip().lstrip(";").partition(":")
    return (key.strip(), value.strip()) if colon else ("", "")


def _whole(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return int(text[:18]) or None


def _start(text: str | None) -> pd.Timestamp | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    try:
        return pd.Timestamp(int(text), unit="s", tz="UTC")
    except (ValueError, OverflowError):
        return None


def _timezone(keys: dict[str, str]) -> str | None:
    """Zone name: TimeZoneString, else a fixed offset of whole hours from TimeZone [s]."""
    name = keys.get("TimeZoneString", "")
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        pass
    text = keys.get("TimeZone", "")
    if not text.removeprefix("-").isdigit() or int(text) % 3600 or abs(int(text)) > 14 * 3600:
        return None
    hours = int(text) // 3600
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
