"""Transport: polite, patient requests to the Carbon Intensity API, and a cache on disk."""

import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pandas as pd
import requests
import requests_cache
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from exawatt.gridapi.answers import AnswerError, complaint, data_of
from exawatt.readers.catalog import cache_folder

BASE_URL = "https://api.carbonintensity.org.uk"
#: Environment variable that names another address of the service.
BASE_URL_VARIABLE = "EXAWATT_CARBON_API"
LONGEST_WAIT_S = 300.0
T = TypeVar("T")
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


class GridError(OSError):
    """The service did not give what was asked for: names the address and the service's words."""


class _PassingError(GridError):
    """What may be better in a moment; `retry_after_s` is when the service says so [s]."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Client:
    """Asks the service for one path at a time.

    Parameters
    ----------
    base_url : str, optional
        Address of the service; that in $EXAWATT_CARBON_API, else the public one.
    cache : path-like, optional
        SQLite file of answers about the settled past; one among the downloads when not given.
    pause_s : float
        Least time between two requests [s]. The service publishes no limit, so be gentle.
    timeout_s : float
        Give up an attempt when the service sends nothing for so long [s].
    tries : int
        Attempts at one request before it fails.
    backoff_s : float
        Wait after the first failed attempt [s]; it doubles with each, and a little chance is
        added. A ``Retry-After`` of the service goes before.
    say : callable, optional
        Is told in one line why and how long a request waits.

    Attributes
    ----------
    requests_sent : int
        Requests that went to the service; the others were answered by the cache.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        cache: Path | str | None = None,
        pause_s: float = 1.0,
        timeout_s: float = 30.0,
        tries: int = 6,
        backoff_s: float = 2.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.base_url = (base_url or os.environ.get(BASE_URL_VARIABLE) or BASE_URL).rstrip("/")
        self._cache = Path(cache or cache_folder() / "carbon-intensity.sqlite")
        self._timeout_s = timeout_s
        self._tries = tries
        self._backoff = wait_exponential_jitter(
            multiplier=backoff_s, max=60.0, jitter=backoff_s / 2
        )
        self._say = say
        self._adapter = _PacedAdapter(pause_s)
        self._session = self._opened()

    @property
    def requests_sent(self) -> int:
        """Requests that went to the service."""
        return self._adapter.sent

    def get(
        self, path: str, read: Callable[[Any], T], *, keep: Callable[[T], bool] | None = None
    ) -> T:
        """Return what a request gives.

        Parameters
        ----------
        path : str
            Such as ``/intensity/2023-01-01T00:00Z/2023-01-14T00:00Z``.
        read : callable
            Makes the result of what stands under ``data`` in the answer; it may raise
            :class:`~exawatt.gridapi.answers.AnswerError`.
        keep : callable, optional
            Whether this result will never change, so that the cache may answer from now on. An
            answer is not kept when there is no such function.

        Raises
        ------
        GridError
            The service refuses the request, or fails at it again and again.
        """

        def lasting(response: requests.Response) -> bool:
            try:
                return keep is not None and keep(read(data_of(response.content)))
            except AnswerError:
                return False

        self._session.settings.filter_fn = lasting
        attempts = Retrying(
            stop=stop_after_attempt(self._tries),
            wait=self._wait_s,
            retry=retry_if_exception_type(_PassingError),
            before_sleep=self._tell,
            reraise=True,
        )
        return attempts(self._attempt, self.base_url + path, read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and cache."""
        self._session.close()  # type: ignore[no-untyped-call]

    def _opened(self) -> requests_cache.CachedSession:
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        try:
            session = requests_cache.CachedSession(
                str(self._cache), backend="sqlite", serializer="json"
            )
        except sqlite3.Error as error:
            raise self._bad_cache(error) from None
        version = sys.modules["exawatt"].__version__  # in memory: this is a part of it
        session.headers["User-Agent"] = f"exawatt/{version} (carbon accounting of job traces)"
        for scheme in ("https://", "http://"):
            session.mount(scheme, self._adapter)
        return session

    def _bad_cache(self, error: sqlite3.Error) -> GridError:
        return GridError(f"{self._cache}: the cache cannot be used ({error}); delete it.")

    def _attempt(self, url: str, read: Callable[[Any], T]) -> T:
        try:
            response = self._session.get(url, timeout=(10.0, self._timeout_s))
        except requests.RequestException as error:
            raise _PassingError(f"{url}: {_why(error, self._timeout_s)}") from error
        except sqlite3.Error as error:
            raise self._bad_cache(error) from None
        said = complaint(response.content)
        # An error has been seen under status 200 too; its own code then counts.
        status = int(said[0][:3]) if said and said[0][:3].isdigit() else response.status_code
        if status != 200 or said:
            words = ": ".join(filter(None, said or (f"{status} {response.reason}",)))
            raise self._refusal(f"{url}: the service answered {words}", status, response)
        try:
            return read(data_of(response.content))
        except AnswerError as error:
            raise _PassingError(f"{url}: the answer is {error}") from None

    def _refusal(self, text: str, status: int, response: requests.Response) -> GridError:
        if status not in _PASSING_STATUS:
            return GridError(text)
        wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
        if wait_s is not None and wait_s > LONGEST_WAIT_S:
            return GridError(f"{text}; it asks to come back in {wait_s:.0f} s")
        return _PassingError(text, wait_s)

    def _wait_s(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        asked = error.retry_after_s if isinstance(error, _PassingError) else None
        return self._backoff(state) if asked is None else asked

    def _tell(self, state: RetryCallState) -> None:
        if self._say and state.outcome and state.next_action:
            error, wait_s = state.outcome.exception(), state.next_action.sleep
            attempt = f"attempt {state.attempt_number} of {self._tries}"
            self._say(f"{error} ({attempt}, the next in {wait_s:.0f} s)")


class _PacedAdapter(HTTPAdapter):
    """Lets a pause pass between requests; what the cache answers does not come here."""

    def __init__(self, pause_s: float) -> None:
        super().__init__()
        self.sent = 0
        self._pause_s = pause_s
        self._last_s = -pause_s

    def send(self, *args: Any, **keywords: Any) -> requests.Response:
        """Send a request when its time has come."""
        time.sleep(max(0.0, self._last_s + self._pause_s - time.monotonic()))
        self._last_s = time.monotonic()
        self.sent += 1
        return super().send(*args, **keywords)


def _retry_after_s(text: str) -> float | None:
    """Seconds that a Retry-After header asks for, which may name a date instead."""
    if re.fullmatch(r"\d+", text.strip()):
        return float(text)
    try:
        date = pd.Timestamp(parsedate_to_datetime(text))
    except (ValueError, TypeError):
        return None
    return max(0.0, (date.tz_convert("UTC") - pd.Timestamp.now("UTC")).total_seconds())


def _why(error: requests.RequestException, timeout_s: float) -> str:
    """What went wrong on the way, in a user's words."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return f"the service sent nothing for {timeout_s:g} s (time-out)"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended before the answer did"
    if "without response" in str(error):
        return "the service hung up without an answer"
    if isinstance(error, requests.ConnectionError):
        reason = getattr(error.args[0], "reason", error) if error.args else error
        return f"no connection ({str(reason).rsplit(': ', 1)[-1]})"
    return f"{type(error).__name__}: {error}"
