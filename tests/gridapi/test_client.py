"""Requests: patience, politeness, plain errors, and a cache that keeps only what is settled."""

import sqlite3
import time
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from gridservice import FAULTS, Service, failure, national, send, utc

from exawatt.gridapi import answers
from exawatt.gridapi.client import Client, GridError

Make = Callable[..., Client]
PATH = "/intensity/2023-01-01T00:00Z/2023-01-02T00:00Z"
DAY = [national(utc("2022-12-31 23:30") + k * pd.Timedelta(minutes=30), 100) for k in range(49)]


@pytest.fixture
def served(service: Service) -> Service:
    """Return the service with one day."""
    service.windows = DAY
    return service


def keep(_: Any) -> bool:
    return True


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_outlived(served: Service, make_client: Make, fault: str) -> None:
    said: list[str] = []
    client = make_client(timeout_s=0.2, say=said.append)
    served.next_faults = [lambda handler: FAULTS[fault](served, handler)] * 2
    table = client.get(PATH, answers.national, keep=keep)
    assert len(table) == 49
    assert served.requests == [PATH] * 3
    assert len(said) == 2
    assert PATH in said[1]
    assert "attempt 2 of 6" in said[1]
    # Nothing of the faults is in the cache, the answer is.
    assert len(make_client().get(PATH, answers.national, keep=keep)) == 49
    assert served.requests == [PATH] * 3


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("500", "the service answered 500 Internal Server Error: No."),
        ("an error under status 200", "the service answered 500 Internal Server Error: No."),
        ("503 as a page", "the service answered 503 Service Unavailable"),
        ("429", "the service answered 429 Too Many Requests"),
        ("truncated", "the connection ended before the answer did"),
        ("cut without a word", "the answer is no JSON"),
        ("nothing", "the answer is empty, as in an outage or for a postcode"),
        ("another shape", "the answer is another shape than documented"),
        ("hung up", "the service hung up without an answer"),
        ("time-out", r"the service sent nothing for 0.2 s \(time-out\)"),
    ],
)
def test_a_fault_that_stays_is_told_in_one_line(
    served: Service, make_client: Make, fault: str, says: str
) -> None:
    served.next_faults = [lambda handler: FAULTS[fault](served, handler)] * 3
    with pytest.raises(GridError, match=f"^{served.address(PATH)}: {says}[^\n]*$"):
        make_client(tries=3, timeout_s=0.2).get(PATH, answers.national)
    assert len(served.requests) == 3


def test_a_refusal_is_final(served: Service, make_client: Make, samples: Path) -> None:
    message = "Please enter a valid region ID i.e. 1-17."
    served.next_faults = [failure("400 Bad Request", message)]
    with pytest.raises(GridError, match=f"400 Bad Request: {message}"):
        make_client().get(PATH, answers.national)
    assert len(served.requests) == 1


def test_no_service_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        Client("http://127.0.0.1:9", cache=tmp_path / "c", tries=2, backoff_s=0.001) as client,
        pytest.raises(GridError, match=r"no connection \(.*refused"),
    ):
        client.get(PATH, answers.national)


def test_retry_after_is_kept(served: Service, make_client: Make) -> None:
    served.next_faults = [failure("429 Too Many Requests", Retry_After="1")]
    began = time.monotonic()
    make_client().get(PATH, answers.national)
    assert 1.0 <= time.monotonic() - began < 3


def test_retry_after_may_be_a_date(served: Service, make_client: Make) -> None:
    soon = pd.Timestamp.now("UTC").floor("s") + pd.Timedelta(seconds=2)
    date = format_datetime(soon.to_pydatetime(), usegmt=True)
    served.next_faults = [failure("503 Service Unavailable", Retry_After=date)]
    make_client().get(PATH, answers.national)
    assert soon <= pd.Timestamp.now("UTC") < soon + pd.Timedelta(seconds=2)


def test_nobody_waits_for_hours(served: Service, make_client: Make) -> None:
    served.next_faults = [failure("429 Too Many Requests", "Slow down.", Retry_After="7200")]
    with pytest.raises(GridError, match=r"Slow down\.; it asks to come back in 7200 s"):
        make_client().get(PATH, answers.national)
    assert len(served.requests) == 1


def test_requests_keep_their_distance_and_the_cache_needs_none(
    served: Service, make_client: Make
) -> None:
    client = make_client(pause_s=0.3)
    began = time.monotonic()
    for _ in range(3):
        client.get(PATH, answers.national)
    assert 0.6 <= time.monotonic() - began < 3
    client.get(PATH, answers.national, keep=keep)
    began = time.monotonic()
    for _ in range(5):
        client.get(PATH, answers.national, keep=keep)
    assert time.monotonic() - began < 0.3
    assert client.requests_sent == len(served.requests) == 4


def test_only_what_will_not_change_is_kept(served: Service, make_client: Make) -> None:
    client = make_client()
    for kept in (lambda _: False, None):
        client.get(PATH, answers.national, keep=kept)
        client.get(PATH, answers.national, keep=kept)
    assert len(served.requests) == 4
    # Whether it is kept is decided on the result, not on the bytes.
    client.get(PATH, answers.national, keep=lambda table: len(table) == 49)
    client.get(PATH, answers.national, keep=lambda table: len(table) == 49)
    assert len(served.requests) == 5


def test_the_service_is_told_who_asks(served: Service, make_client: Make) -> None:
    agents: list[str] = []

    def look(handler: Any) -> None:
        agents.append(handler.headers["User-Agent"])
        send(handler, b'{"data": []}')

    served.next_faults = [look]
    make_client().get(PATH, answers.national)
    assert agents[0].startswith("exawatt/")


def test_a_damaged_cache_is_named(served: Service, tmp_path: Path) -> None:
    cache = tmp_path / "damaged.sqlite"
    cache.write_bytes(b"no database" * 1000)
    with pytest.raises(GridError, match=r"damaged\.sqlite.*delete it"), Client(cache=cache) as one:
        one.get(PATH, answers.national)


def test_the_cache_is_a_plain_database_of_json(
    served: Service, make_client: Make, tmp_path: Path
) -> None:
    # Not of pickles, which run code when read.
    make_client().get(PATH, answers.national, keep=keep)
    (value,) = sqlite3.connect(tmp_path / "cache.sqlite").execute("select value from responses")
    assert str(value[0]).startswith("{")
