"""External events: hosts that leave and return, and whatever else a scheduler is to be told."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exawatt.batsim import intervals
from exawatt.batsim.files import read_text
from exawatt.batsim.profiles import number

_KINDS = {"event_machine_available": True, "event_machine_unavailable": False}


@dataclass(frozen=True)
class External:
    """One external event.

    Parameters
    ----------
    timestamp_s : float
        When it happens [s].
    data : dict
        What the scheduler is told.
    hosts : int
        The hosts it is about, as bits.
    available : bool or None
        Whether they become available or unavailable; None for an event of another kind.
    """

    timestamp_s: float
    data: dict[str, Any]
    hosts: int = 0
    available: bool | None = None


def read_events(
    path: Path | str, hosts: int, forward_unknown: bool = False
) -> tuple[External, ...]:
    """Read external events, one JSON object a line, in the format of Batsim's ``--events``.

    Parameters
    ----------
    path : Path or str
        Lines such as ``{"type": "event_machine_unavailable", "resources": "0-3", "timestamp": 9}``.
    hosts : int
        Hosts of the platform.
    forward_unknown : bool
        Whether events of other types are passed on, not refused.

    Raises
    ------
    ValueError
        A line is no event; the message gives its number.
    """
    events = []
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            events.append(_event(json.loads(line), hosts, forward_unknown))
        except RecursionError:
            raise ValueError(f"{path}, line {i}: {line[:60]!r} is nested too deeply.") from None
        except ValueError as error:
            raise ValueError(f"{path}, line {i}: {error}.") from None
    return tuple(sorted(events, key=lambda one: one.timestamp_s))


def check_events(events: Iterable[External]) -> None:
    """Refuse events by which hosts leave that are away, or return that are there.

    Parameters
    ----------
    events : iterable of External
        In order of time.

    Raises
    ------
    ValueError
        They do; the message names the hosts and the time.
    """
    away = 0
    for one in events:
        if one.available is None:
            continue
        wrong = one.hosts & (~away if one.available else away)
        if wrong:
            state, other = ("available", "leave") if one.available else ("unavailable", "return")
            raise ValueError(
                f"external event {one.data.get('type')} at {one.timestamp_s} s: hosts "
                f"{intervals.text(wrong)} are {state} already; let them {other} first."
            )
        away ^= one.hosts


def _event(raw: Any, hosts: int, forward_unknown: bool) -> External:
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise ValueError(f"{raw!r} is no object with a type")
    kind = raw["type"]
    timestamp_s = number(raw, "timestamp")
    if kind not in _KINDS:
        if not forward_unknown:
            raise ValueError(
                f"type(={kind!r}) is unknown; known are {', '.join(_KINDS)}, and with "
                "--forward-unknown-events any other"
            )
        return External(timestamp_s, raw)
    resources = raw.get("resources")
    if not isinstance(resources, str):
        raise ValueError(f"resources(={resources!r}) must be a text such as '0-3 7'")
    try:
        bits = intervals.parse(resources, hosts)
    except IndexError:
        bits = 0
    if not bits:
        raise ValueError(f"resources(={resources!r}) must name some of the hosts 0-{hosts - 1}")
    told = {"type": kind, "resources": intervals.text(bits)}
    return External(timestamp_s, told, bits, _KINDS[kind])
