"""A service of this machine that answers as the recorded one does, faults and all."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pandas as pd
from publisher import Publisher

HALF_HOUR = pd.Timedelta(minutes=30)
Answer = Callable[[BaseHTTPRequestHandler], None]


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def stamp(instant: pd.Timestamp) -> str:
    return instant.strftime("%Y-%m-%dT%H:%MZ")


def national(begin: pd.Timestamp, actual: float | None, forecast: float | None = 100) -> Any:
    """One half-hour as the service writes it."""
    intensity = {"forecast": forecast, "actual": actual, "index": "moderate"}
    return {"from": stamp(begin), "to": stamp(begin + HALF_HOUR), "intensity": intensity}


def mix(begin: pd.Timestamp, gas: float = 40.0) -> Any:
    parts = [{"fuel": "gas", "perc": gas}, {"fuel": "wind", "perc": 100 - gas}]
    return {"from": stamp(begin), "to": stamp(begin + HALF_HOUR), "generationmix": parts}


def send(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    status: int = 200,
    promised: int | None = None,
    **headers: str,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body) if promised is None else promised))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def failure(status: str, message: str = "", **headers: str) -> Answer:
    """An error as the service tells it."""
    body = json.dumps({"error": {"code": status, "message": message}}).encode()
    return lambda handler: send(handler, body, int(status[:3]), **headers)


class Service(Publisher):
    """Answers any range from the windows that it has, and fails as told.

    Attributes
    ----------
    windows : list
        Half-hours in the service's own form, in the order of time; a range answers those that
        *end* within it, both ends included: one more than asked for.
    bodies : dict
        Whole answers by path, which go before.
    next_faults : list of callable
        Answers to the next requests, whatever these ask for.
    fault_share : float
        Share of the other requests that fail, each in one of the ways of `FAULTS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[Any] = []
        self.bodies: dict[str, Any] = {}
        self.next_faults: list[Answer] = []
        self.fault_share = 0.0
        self.faults: Counter[str] = Counter()
        self.random = random.Random(7)
        self.answers = _AnyPath(self)  # type: ignore[assignment]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.next_faults:
            self.next_faults.pop(0)(handler)
        elif self.random.random() < self.fault_share:
            name = self.random.choice(list(FAULTS))
            self.faults[name] += 1
            FAULTS[name](self, handler)
        else:
            send(handler, self.body(handler.path))

    def body(self, path: str) -> bytes:
        if path in self.bodies:
            return json.dumps(self.bodies[path]).encode()
        begin, end = re.findall(r"/(\d{4}-\d\d-\d\dT\d\d:\d\dZ)", path)
        if pd.Timedelta(days=14) < utc(end) - utc(begin):
            message = "Please enter a range of at most 14 days."
            return json.dumps({"error": {"code": "400 Bad Request", "message": message}}).encode()
        # Answers break off at the end of a year, as those to /generation and regions do.
        end = min(end, f"{int(begin[:4]) + 1}-01-01T00:00Z")
        inside = [window for window in self.windows if begin <= window["to"] <= end]
        return json.dumps({"data": inside}).encode()


class _AnyPath(dict[str, Answer]):
    def __init__(self, service: Service) -> None:
        self.service = service

    def get(self, path: str, default: Any = None) -> Answer:
        return self.service.answer


def _truncated(service: Service, handler: BaseHTTPRequestHandler) -> None:
    body = service.body(handler.path)
    send(handler, body[: len(body) // 2], promised=len(body))
    handler.close_connection = True


def _cut_without_a_word(service: Service, handler: BaseHTTPRequestHandler) -> None:
    body = service.body(handler.path)
    send(handler, body[: len(body) // 2])


FAULTS: dict[str, Callable[[Service, BaseHTTPRequestHandler], None]] = {
    "429": lambda _, handler: failure("429 Too Many Requests", Retry_After="0")(handler),
    "500": lambda _, handler: failure("500 Internal Server Error", "No.")(handler),
    "503 as a page": lambda _, handler: handler.send_error(503),
    "an error under status 200": lambda _, handler: send(
        handler, b'{"error": {"code": "500 Internal Server Error", "message": "No."}}'
    ),
    "truncated": _truncated,
    "cut without a word": _cut_without_a_word,
    "no JSON": lambda _, handler: send(handler, b"<html>Welcome to this hotel</html>"),
    "another shape": lambda _, handler: send(handler, b'{"data": null}'),
    "nothing": lambda _, handler: send(handler, b""),
    "hung up": lambda *_: None,
    "time-out": lambda service, _: service.closing.wait(60) and None,
}
