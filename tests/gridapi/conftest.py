"""The local service, clients that do not dawdle, and the recorded exchanges."""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gridservice import Service

from exawatt.gridapi.client import BASE_URL_VARIABLE, Client


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Return a service of this machine, which the command line finds too."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Service() as running:
        monkeypatch.setenv(BASE_URL_VARIABLE, running.address(""))
        yield running


@pytest.fixture
def make_client(service: Service, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Open clients of the service that wait hardly at all and share one cache."""
    opened = []

    def make(**keywords: Any) -> Client:
        quick = {"pause_s": 0.0, "backoff_s": 0.001, "timeout_s": 5.0}
        client = Client(cache=tmp_path / "cache.sqlite", **(quick | keywords))
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def samples(real_data: Path) -> Path:
    """Return the folder of recorded answers."""
    return real_data / "carbon-gb" / "api-samples"


@pytest.fixture(scope="session")
def recorded(samples: Path) -> dict[str, Any]:
    """Return the recorded bodies of 2021 by the path asked for."""
    with gzip.open(samples / "recorded_http_exchanges.json.gz") as file:
        exchanges = json.load(file)
    host = "https://api.carbonintensity.org.uk"
    return {exchange["uri"].removeprefix(host): exchange["body"] for exchange in exchanges}
