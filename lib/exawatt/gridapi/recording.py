"""Forecasts as they are issued, recorded one by one.

The service keeps no forecast that a newer one has replaced: what was known earlier can only be
had by whoever wrote it down.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from exawatt.gridapi.answers import TIME_FORMAT, AnswerError, forecasts
from exawatt.readers.files import write_file

if TYPE_CHECKING:
    from exawatt.gridapi.client import Client

_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d{4}Z)\.json(\.(gz|bz2|xz|zst))?")
_NAME_FORMAT = "%Y-%m-%dT%H%MZ"


def record(
    client: "Client", folder: Path | str, every_s: float, say: Callable[[str], None]
) -> Iterator[Path]:
    """Record one issue after another; yield the path of each file when it is written.

    Parameters
    ----------
    client : Client
        Asks the service.
    folder : path-like
        Continued when it holds issues already: the next is due when it would have been.
    every_s : float
        Time between issues [s]; they are asked for at whole multiples of it.
    say : callable
        Is told of issues that could not be had, in one line. The next is tried when it is due.
    """
    folder = Path(folder)
    times = [at for _, at in issue_files(folder)]
    last_s = times[-1].timestamp() if times else 0.0
    while True:
        _sleep_until(last_s // every_s * every_s + every_s)
        try:
            yield record_issue(client, folder)
        except OSError as error:
            say(f"missed: {error}")
        last_s = time.time()


def record_issue(client: "Client", folder: Path | str) -> Path:
    """Write the forecast that the service gives now to a file named by the minute.

    Returns
    -------
    Path
        The minute is that of the answer, rounded up: never does an issue seem older than it is.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    now = pd.Timestamp.now("UTC").strftime(TIME_FORMAT)
    data = client.get(f"/intensity/{now}/fw48h", _checked)
    answered = pd.Timestamp.now("UTC").ceil("min")
    path = folder / f"{answered.strftime(_NAME_FORMAT)}.json.gz"
    write_file(path, json.dumps({"data": data}, separators=(",", ":")).encode())
    return path


def issue_files(folder: Path) -> list[tuple[Path, pd.Timestamp]]:
    """Files below a folder that are named by a time of issue, in the order of those times."""
    named = ((path, _NAME.fullmatch(path.name)) for path in folder.rglob("*Z.json*"))
    found = [
        (path, pd.Timestamp(pd.to_datetime(match[1], format=_NAME_FORMAT, utc=True)))
        for path, match in named
        if match
    ]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _checked(data: Any) -> Any:
    """Return the data unless there is no forecast in it."""
    if not forecasts(data)[1].size:
        raise AnswerError("without any forecast")
    return data


def _sleep_until(due_s: float) -> None:
    """Sleep in short pieces: the clock of a machine that was suspended has moved on."""
    while (wait_s := due_s - time.time()) > 0:
        time.sleep(min(wait_s, 60.0))
