"""Fixtures shared by the tests, and where the real data lie."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import exawatt as ew

# Helper modules beside the tests: pytest's importlib mode puts no folder on the path.
for folder in ("replay", "."):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from builders import SWF_HEADER, neso_csv  # noqa: E402
from publisher import Publisher  # noqa: E402

settings.register_profile(
    "exawatt",
    derandomize="CI" in os.environ,  # there the same examples every time
    deadline=None,  # the first replay of a process compiles the kernel
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("exawatt")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests that passed have to say."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "log":
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line(str(text))


@pytest.fixture
def write_swf_text(tmp_path: Path) -> Callable[..., Path]:
    """Write rows under the small header (ten processors on five nodes); return the path."""

    def write(*rows: str, header: str = SWF_HEADER, name: str = "trace.swf") -> Path:
        path = tmp_path / name
        path.write_bytes((header + "".join(rows)).encode())
        return path

    return write


@pytest.fixture
def make_intensity(tmp_path: Path) -> Callable[..., ew.Intensity]:
    """Load a series made of the given half-hours through a NESO file."""

    def make(start: str, values: Iterable[float | None], **keywords: object) -> ew.Intensity:
        path = tmp_path / "series.csv"
        path.write_text(neso_csv(start, values))
        return ew.load_intensity(path, **keywords)

    return make


@pytest.fixture(scope="session", autouse=True)
def no_downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what was downloaded to this machine out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXAWATT_CACHE", str(tmp_path_factory.mktemp("downloads")))
        yield


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Return a web server of this machine that can misbehave."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Publisher() as server:
        yield server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real traces and series; skip where there is none."""
    folder = os.environ.get("EXAWATT_DATA", "")
    if not folder:
        pytest.skip("EXAWATT_DATA is not set: the real traces are not on this machine")
    path = Path(folder)
    if not (path / "swf").is_dir():
        pytest.fail(f"EXAWATT_DATA={folder} has no folder swf")
    return path
