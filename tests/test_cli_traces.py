"""The verbs of ``exawatt traces``: what they list, tell and fetch."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import SWF_HEADER, swf_row
from command import parse, run
from publisher import Publisher

import exawatt as ew
from exawatt import cli_traces
from exawatt.readers.catalog import Entry

LIBRARY = Path(__file__).parents[1] / "lib"


def test_traces_are_listed_and_described() -> None:
    status, out, _ = run("traces", "list")
    assert status == 0
    for name in ("KTH-SP2", "KTH-SP2-raw", "LLNL-Thunder", "LLNL-Atlas", "SDSC-SP2", "HPC2N"):
        assert name in out
    for name in ("UniLu-Gaia", "Theta-2022", "Lublin-1", "tiny"):
        assert name in out
    status, out, _ = run("traces", "info", "tiny")
    assert status == 0
    assert str(len(ew.load("tiny").jobs)) in out.replace(",", "")


def test_info_says_where_a_trace_is_from() -> None:
    out = run("traces", "info", "tiny")[1]
    assert "tests/data/make_tiny.py" in out
    report = parse(run("traces", "info", "tiny", "--json")[1])
    assert report["jobs"] == len(ew.load("tiny").jobs)
    assert report["catalog"]["lacks"] == ["waits"]
    assert report["catalog"]["here"] == "yes"


def test_info_takes_a_series() -> None:
    report = parse(run("traces", "info", "GB-2022", "--json")[1])
    assert report["half_hours"] > 0
    assert report["catalog"]["citation"] == "neso_api"
    status, out, _ = run("traces", "info", "GB-2022")
    assert status == 0
    assert "https://carbonintensity.org.uk" in out


def test_info_of_a_file_has_no_entry_in_the_catalog(write_swf_text: Callable[..., Path]) -> None:
    path = write_swf_text(swf_row(1), name="mine.swf")
    report = parse(run("traces", "info", path, "--json")[1])
    assert (report["trace"], report["catalog"]) == ("mine", None)


TEXT = (SWF_HEADER + swf_row(1) + swf_row(2)).encode()
PACKED = gzip.compress(TEXT, mtime=0)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publisher: Publisher) -> Path:
    """Put a catalog of three traces and a series in the place of ours; return the data folder.

    GOOD and LIE have an address, and so has the series; NOWHERE has none.
    """
    addresses = {
        "LIE": publisher.serve("/lie.swf.gz", b"no log"),
        "GOOD": publisher.serve("/good.swf.gz", PACKED),
        "NOWHERE": "",
        "SERIES": publisher.serve("/series.swf.gz", PACKED),
    }
    known = {"sha256": hashlib.sha256(PACKED).hexdigest()}
    known["sha256_text"] = hashlib.sha256(TEXT).hexdigest()
    page = "https://example.org/logs"
    entries = {
        name: Entry(name=name, file=f"{name}-x.swf.gz", terms="", url=url, page=page, **known)
        for name, url in addresses.items()
    }
    series = {"SERIES": entries.pop("SERIES")}
    kinds = {"traces": entries, "intensity": series}
    monkeypatch.setattr(cli_traces, "catalog", kinds.__getitem__)
    monkeypatch.setenv("EXAWATT_CACHE", str(tmp_path / "downloads"))
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def states(out: str) -> dict[str, str]:
    """State of each entry in what `fetch` printed."""
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    return {name: rest.split(":")[0] for name, rest in lines}


def test_fetch_goes_on_after_a_failure(shelf: Path, publisher: Publisher) -> None:
    downloads = shelf.with_name("downloads")
    status, out, _ = run("traces", "fetch", "--all")
    assert status == 1
    assert states(out) == {
        "LIE": "failed",
        "GOOD": "fetched",
        "NOWHERE": "no address",
        "SERIES": "fetched",
    }
    assert hashlib.sha256(b"no log").hexdigest() in out
    assert "https://example.org/logs" in out
    assert sorted(path.name for path in downloads.iterdir()) == [
        "GOOD-x.swf.gz",
        "SERIES-x.swf.gz",
    ]
    publisher.serve("/lie.swf.gz", PACKED)
    status, out, _ = run("traces", "fetch", "--all")
    assert status == 0  # no address is no failure, unless it was asked for by name
    assert states(out) == {
        "LIE": "fetched",
        "GOOD": "already here",
        "NOWHERE": "no address",
        "SERIES": "already here",
    }
    assert publisher.requests.count("/good.swf.gz") == 1


def test_fetch_by_name(shelf: Path, publisher: Publisher) -> None:
    status, out, _ = run("traces", "fetch", "good", "series")
    assert (status, states(out)) == (0, {"GOOD": "fetched", "SERIES": "fetched"})
    status, out, _ = run("traces", "fetch", "NOWHERE")
    assert (status, states(out)) == (1, {"NOWHERE": "no address"})
    assert "/lie.swf.gz" not in publisher.requests


def test_fetch_leaves_the_users_own_copy_alone(shelf: Path, publisher: Publisher) -> None:
    own = shelf / "GOOD-x.swf.gz"
    own.write_bytes(gzip.compress(TEXT + swf_row(3).encode()))
    status, out, _ = run("traces", "fetch", "GOOD")
    assert (status, states(out)) == (0, {"GOOD": "already here"})
    assert f"{own}, differs from the catalog" in out
    assert publisher.requests == []


def test_fetch_replaces_a_damaged_download(shelf: Path) -> None:
    run("traces", "fetch", "GOOD")
    path = shelf.with_name("downloads") / "GOOD-x.swf.gz"
    path.write_bytes(PACKED[:-5])
    status, out, _ = run("traces", "fetch", "GOOD")
    assert (status, states(out)) == (0, {"GOOD": "fetched"})
    assert path.read_bytes() == PACKED


def test_the_list_tells_other_versions(shelf: Path) -> None:
    (shelf / "GOOD-x.swf.gz").write_bytes(gzip.compress(TEXT, compresslevel=1, mtime=9))
    (shelf / "LIE-x.swf.gz").write_bytes(gzip.compress(TEXT[:-1]))
    rows = {row["name"]: row for row in parse(run("traces", "list", "--json")[1])}
    assert {name: row["here"] for name, row in rows.items()} == {
        "GOOD": "yes",
        "LIE": "yes, differs from the catalog",
        "NOWHERE": "no",
        "SERIES": "no",
    }
    assert rows["GOOD"]["path"] == str(shelf / "GOOD-x.swf.gz")
    assert rows["NOWHERE"]["path"] is None
    assert "differs from the catalog" in run("traces", "list")[1]


def test_info_tells_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "UniLu-Gaia-2014-1.swf.gz"
    root = LIBRARY.parent
    if any((root / place / name).exists() for place in ("traces", "data/raw")):
        pytest.skip(f"{name} was dropped into the repository")
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path))
    (tmp_path / name).write_bytes(PACKED)
    status, out, _ = run("traces", "info", "UniLu-Gaia")
    assert status == 0
    assert "differs from the catalog" in out
