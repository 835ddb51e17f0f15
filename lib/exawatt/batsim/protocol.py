"""Messages of Batsim's protocol: how they are written, and what a reply must hold."""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quote
from math import inf
from typing import Any, NoReturn

PAST_S = 1e-6
"""How far a reply may lie in the past [s]: times are written with six decimals."""


class SchedulerError(ValueError):
    """A scheduler did what the protocol forbids; the message says what."""


def encode(value: Any) -> str:
    """JSON text in Batsim's manner: floats with six decimals, whole numbers as they are."""
    if type(value) is str:
        return _quote(value)
    if type(value) is float:
        return f"{value:f}"
    if type(value) is int:
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{_quote(k)}:{encode(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([encode(one) for one in value]) + "]"
    return json.dumps(value)


def event(now_s: float, kind: str, data: str = "{}") -> str:
    """Text of one event; `data` is JSON already."""
    return f'{{"timestamp":{now_s:f},"type":"{kind}","data":{data}}}'


def message(now_s: float, events: list[str]) -> str:
    """Text of a message of events."""
    return f'{{"now":{now_s:f},"events":[{",".join(events)}]}}'


class Decision:
    """One event of a scheduler's reply, with checked access to its data.

    Parameters
    ----------
    raw : dict
        The event: ``timestamp`` [s], ``type`` and ``data``.
    """

    __slots__ = ("data", "kind", "timestamp_s")

    def __init__(self, raw: Any) -> None:
        try:
            self.timestamp_s: float = raw["timestamp"]
            self.kind: str = raw["type"]
        except (KeyError, TypeError):
            raise SchedulerError(
                f"event {_short(raw)} of the reply has no timestamp and type."
            ) from None
        self.data: Any = raw.get("data", {})
        if type(self.timestamp_s) not in (int, float) or type(self.kind) is not str:
            raise SchedulerError(
                f"event {_short(raw)} of the reply: timestamp must be a number and type a text."
            )
        if type(self.data) is not dict:
            self.refuse(f"data(={_short(self.data)}) must be an object")

    def text(self, key: str) -> str:
        """Text field of the data."""
        value = self.data.get(key)
        if type(value) is not str:
            self.refuse(f"{key}(={_short(value)}) must be a text")
        return value

    def number(self, key: str) -> float:
        """Number of the data."""
        value = self.data.get(key)
        if type(value) not in (int, float):
            self.refuse(f"{key}(={_short(value)}) must be a number")
        return float(value)

    def object(self, key: str) -> dict[str, Any]:
        """Object in the data."""
        value = self.data.get(key)
        if type(value) is not dict:
            self.refuse(f"{key}(={_short(value)}) must be an object")
        return value

    def texts(self, key: str) -> list[str]:
        """List of texts in the data."""
        value = self.data.get(key)
        if type(value) is not list or not all(type(one) is str for one in value):
            self.refuse(f"{key}(={_short(value)}) must be a list of texts")
        return value

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that names this event."""
        raise SchedulerError(f"{self.kind} at {self.timestamp_s} s: {reason}.")


def parse_reply(text: str | bytes, now_s: float) -> tuple[float, list[Decision]]:
    """Time of a reply and its events.

    Parameters
    ----------
    text : str or bytes
        What the scheduler sent.
    now_s : float
        Time of the message that it answers [s].

    Raises
    ------
    SchedulerError
        The reply is no JSON of the right shape, lies in the past, or is not in order of time.
    """
    try:
        reply = json.loads(text if isinstance(text, str) else text.decode())
        end_s, raw = reply["now"], reply["events"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SchedulerError(
            f"the reply {_short(text)} is no JSON object with 'now' and 'events'."
        ) from None
    if type(end_s) not in (int, float) or type(raw) is not list:
        raise SchedulerError(f"the reply {_short(text)}: now must be a number and events a list.")
    decisions = [Decision(one) for one in raw]
    before_s = now_s
    for decision in decisions:
        if not before_s - PAST_S <= decision.timestamp_s:
            decision.refuse(f"its timestamp lies before {before_s} s: no calls into the past")
        before_s = decision.timestamp_s
    if not before_s - PAST_S <= end_s < inf:
        raise SchedulerError(f"the reply's now(={end_s}) lies before {before_s} s.")
    return end_s, decisions


def _short(value: Any) -> str:
    try:
        text = repr(value.decode(errors="replace") if isinstance(value, bytes) else value)
    except RecursionError:
        text = f"a {type(value).__name__} nested too deeply"
    return text if len(text) <= 100 else f"{text[:97]}..."
