"""Defects of a file: the first stops strict reading; otherwise each kind is counted."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exawatt.readers.files import TraceError
from exawatt.workload import Finding

_ADVICE = "mend the file, or pass strict=False (--lenient) to have it counted and worked around"


@dataclass(frozen=True)
class Fault:
    """One defect: where it is, what it is, and what becomes of it when not strict."""

    action: Literal["dropped", "repaired"]
    problem: str
    line: int
    field: str
    value: str
    count: int = 1
    remedy: str = ""
    """What is done about it when not strict, where the problem does not say so."""


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise the defect that comes first in the file, if there is any."""
    if faults:
        first = min(faults, key=lambda fault: fault.line)
        problem = f"{first.problem}; {_ADVICE}."
        raise TraceError(path, problem, first.line, first.field, first.value)


def counted(faults: Sequence[Fault]) -> list[Finding]:
    """Faults of one kind as one row, with the first line and value."""
    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        reason = f"{fault.problem}, {fault.remedy}" if fault.remedy else fault.problem
        kinds[reason, fault.field].append(fault)
    return [
        Finding(first.action, reason, sum(f.count for f in same), first.line, field, first.value)
        for (reason, field), same in kinds.items()
        for first in same[:1]
    ]


def mend_lines(text: bytes, broken: str | None) -> tuple[bytes, list[Fault]]:
    """Text with Unix line ends and, where the stream broke off, without its half line."""
    faults = []
    if broken is not None:
        whole = text[: text.rfind(b"\n") + 1]
        rest = text[len(whole) :].decode("latin-1")
        action: Literal["dropped", "repaired"] = "dropped" if rest.strip() else "repaired"
        faults.append(Fault(action, broken, whole.count(b"\n") + 1, "line", rest[:80]))
        text = whole
    if b"\r" in text:
        line = text[: text.index(b"\r")].count(b"\n") + 1
        problem, count = "carriage return at the line end", text.count(b"\r")
        faults.append(Fault("repaired", problem, line, "line", "\\r", count))
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text, faults
