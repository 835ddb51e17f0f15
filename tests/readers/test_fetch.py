"""Downloads, against a server that serves, stalls, truncates and lies."""

import gzip
import hashlib
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from publisher import Publisher

from exawatt.readers import catalog as catalog_module
from exawatt.readers.catalog import Entry, cache_folder
from exawatt.readers.fetch import FetchError, cached, fetch

LIBRARY = Path(__file__).parents[2] / "lib"

# Several of the chunks in which a download is written, so that half of it reaches the disk.
TEXT = "".join(hashlib.sha256(bytes([i % 256, i // 256])).hexdigest() for i in range(5000)).encode()
PACKED = gzip.compress(TEXT, mtime=0)
REPACKED = gzip.compress(TEXT, compresslevel=1, mtime=1)
assert PACKED != REPACKED
PATH = "/l_log/log.swf.gz"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ENTRY = Entry(
    name="LOG", file="log.swf.gz", terms="", sha256=sha256(PACKED), sha256_text=sha256(TEXT)
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def left_in(folder: Path) -> list[str]:
    """Names of everything below a folder, hidden or not."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_fetched_once(publisher: Publisher, cache: Path) -> None:
    entry = replace(ENTRY, url=publisher.serve(PATH, PACKED))
    path = fetch(entry, cache=cache, progress=False)
    assert path == cache / "log.swf.gz"
    assert path.read_bytes() == PACKED
    assert left_in(cache) == ["log.swf.gz"]
    assert fetch(entry, cache=cache, progress=False) == path
    assert publisher.requests == [PATH]


def test_the_cache_is_used_without_a_publisher(cache: Path) -> None:
    cache.mkdir()
    (cache / "log.swf.gz").write_bytes(PACKED)
    assert fetch(ENTRY, cache=cache) == cache / "log.swf.gz"


def test_a_damaged_copy_is_fetched_again(publisher: Publisher, cache: Path) -> None:
    entry = replace(ENTRY, url=publisher.serve(PATH, PACKED))
    cache.mkdir()
    (cache / "log.swf").write_bytes(TEXT[:-1])
    (cache / "log.swf.gz").write_bytes(PACKED[:-9])
    assert cached(entry, cache) is None
    assert fetch(entry, cache=cache, progress=False).read_bytes() == PACKED
    assert left_in(cache) == ["log.swf.gz"]
    assert publisher.requests == [PATH]


@pytest.mark.parametrize(
    ("path", "body", "headers", "name"),
    [
        (PATH, REPACKED, {}, "log.swf.gz"),
        ("/raw/other-name.swf", TEXT, {}, "log.swf"),
        (PATH, TEXT, {}, "log.swf"),
        (PATH, PACKED, {"Content_Encoding": "gzip"}, "log.swf"),  # unpacked on the way
        (PATH + "?version=1", PACKED, {}, "log.swf.gz"),
    ],
    ids=["compressed anew", "plain", "plain in disguise", "encoded", "query"],
)
def test_the_same_text_in_another_wrapping_is_the_same(
    publisher: Publisher, cache: Path, path: str, body: bytes, headers: dict[str, str], name: str
) -> None:
    entry = replace(ENTRY, url=publisher.serve(path, body, **headers))
    got = fetch(entry, cache=cache, progress=False)
    assert got == cache / name
    content = got.read_bytes()
    assert (gzip.decompress(content) if name.endswith(".gz") else content) == TEXT
    assert cached(entry, cache) == got
    fetch(entry, cache=cache, progress=False)
    assert len(publisher.requests) == 1


@pytest.mark.parametrize("known", ["sha256", "sha256_text"])
def test_either_checksum_will_do(publisher: Publisher, cache: Path, known: str) -> None:
    other = {"sha256", "sha256_text"} - {known}
    entry = replace(ENTRY, url=publisher.serve(PATH, PACKED), **dict.fromkeys(other, ""))
    assert fetch(entry, cache=cache, progress=False).read_bytes() == PACKED


def test_a_redirection_is_followed(publisher: Publisher, cache: Path) -> None:
    entry = replace(ENTRY, url=publisher.redirect("/old", publisher.serve(PATH, PACKED)))
    assert fetch(entry, cache=cache, progress=False).read_bytes() == PACKED


LIE = b"<html>The log has moved.</html>"


@pytest.mark.parametrize(
    ("body", "found"),
    [(LIE, sha256(LIE)), (gzip.compress(TEXT[1:], mtime=0), sha256(TEXT[1:])), (b"", sha256(b""))],
    ids=["a page", "another log", "nothing"],
)
def test_a_lie_leaves_nothing_behind(
    publisher: Publisher, cache: Path, body: bytes, found: str
) -> None:
    entry = replace(ENTRY, url=publisher.serve(PATH, body))
    with pytest.raises(FetchError) as caught:
        fetch(entry, cache=cache, progress=False)
    assert left_in(cache) == []
    for needed in (entry.url, ENTRY.sha256, ENTRY.sha256_text, found):
        assert needed in str(caught.value)


@pytest.mark.parametrize("missing", [100, 4], ids=["text", "end mark"])
def test_a_file_cut_by_the_publisher_is_said_to_be_cut(
    publisher: Publisher, cache: Path, missing: int
) -> None:
    entry = replace(ENTRY, url=publisher.serve(PATH, PACKED[:-missing]))  # its length says so too
    with pytest.raises(FetchError, match="ends early"):
        fetch(entry, cache=cache, progress=False)
    assert left_in(cache) == []


def test_a_broken_connection_leaves_nothing_behind(publisher: Publisher, cache: Path) -> None:
    entry = replace(ENTRY, url=publisher.truncate(PATH, PACKED))
    with pytest.raises(FetchError, match="ended before the file did") as caught:
        fetch(entry, cache=cache, progress=False)
    assert entry.url in str(caught.value)
    assert left_in(cache) == []


@pytest.mark.parametrize("half", [False, True], ids=["from the start", "halfway"])
def test_a_stalled_server_ends_in_a_timeout(publisher: Publisher, cache: Path, half: bool) -> None:
    url = publisher.stall(PATH, PACKED) if half else publisher.stay_silent(PATH)
    begin = time.monotonic()
    with pytest.raises(FetchError, match=r"sent nothing for 0\.3 s") as caught:
        fetch(replace(ENTRY, url=url), cache=cache, progress=False, timeout_s=0.3)
    assert time.monotonic() - begin < 5
    assert url in str(caught.value)
    assert left_in(cache) == []


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (500, "500 Internal")])
def test_an_error_of_the_server_is_named(
    publisher: Publisher, cache: Path, status: int, words: str
) -> None:
    entry = replace(ENTRY, url=publisher.refuse(PATH, status))
    with pytest.raises(FetchError, match=words) as caught:
        fetch(entry, cache=cache, progress=False)
    assert entry.url in str(caught.value)
    assert "log.swf.gz" in str(caught.value)
    assert left_in(cache) == []


def test_no_connection_is_said_in_words(publisher: Publisher, cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/log.swf.gz"
        for url in (closed, publisher.hang_up(PATH)):
            with pytest.raises(FetchError, match="no connection") as caught:
                fetch(replace(ENTRY, url=url), cache=cache, progress=False)
            assert url in str(caught.value)
    assert left_in(cache) == []


def test_a_failed_download_can_be_repeated(publisher: Publisher, cache: Path) -> None:
    entry = replace(ENTRY, url=publisher.truncate(PATH, PACKED))
    with pytest.raises(FetchError):
        fetch(entry, cache=cache, progress=False)
    publisher.serve(PATH, PACKED)
    assert fetch(entry, cache=cache, progress=False).read_bytes() == PACKED


def test_without_an_address_it_says_so(cache: Path) -> None:
    entry = replace(ENTRY, page="https://example.org/logs/")
    with pytest.raises(FetchError, match=r"LOG has no address.*https://example\.org/logs/"):
        fetch(entry, cache=cache)
    assert not cache.exists()


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(cache: Path, timeout_s: float) -> None:
    with pytest.raises(ValueError, match=r"timeout_s\(="):
        fetch(ENTRY, cache=cache, timeout_s=timeout_s)


def test_the_bar_names_the_trace(
    publisher: Publisher, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = replace(ENTRY, url=publisher.serve(PATH, PACKED))
    fetch(entry, cache=cache, progress=False)
    assert capfd.readouterr() == ("", "")
    (cache / "log.swf.gz").unlink()
    fetch(entry, cache=cache)
    out, err = capfd.readouterr()
    assert out == ""
    assert "LOG" in err
    assert f"/{len(PACKED) / 1000:.0f}k" in err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_leaves_nothing_behind(publisher: Publisher, cache: Path) -> None:
    url = publisher.stall(PATH, PACKED)
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the parent does with it
sys.path.insert(0, {str(LIBRARY)!r})
from pathlib import Path
from exawatt.readers.catalog import Entry
from exawatt.readers.fetch import fetch
fetch(Entry(name="LOG", file="log.swf.gz", terms="", url={url!r}), cache=Path({str(cache)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in cache.rglob("download*")):
            assert process.poll() is None and time.monotonic() < deadline, "nothing was written"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    assert process.returncode != 0
    assert left_in(cache) == []


def test_the_cache_folder_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAWATT_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("EXAWATT_CACHE", "_build/downloads")
    assert cache_folder() == LIBRARY.parent / "_build" / "downloads"
    monkeypatch.delenv("EXAWATT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "exawatt"
    if sys.platform.startswith("linux"):
        assert cache_folder() == tmp_path / "xdg" / "exawatt"


def test_copies_are_looked_for_in_the_designs_order(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, data, downloads = tmp_path / "repository", tmp_path / "data", tmp_path / "downloads"
    monkeypatch.setattr(catalog_module, "REPOSITORY", repository)
    monkeypatch.setenv("EXAWATT_DATA", str(data))
    monkeypatch.setenv("EXAWATT_CACHE", str(downloads))
    entry = replace(ENTRY, folder="swf", dropped="mine.swf", url=publisher.serve(PATH, PACKED))
    fetched = fetch(entry, progress=False)
    assert fetched.parent == downloads
    places = [
        repository / "traces" / "log.swf.gz",
        repository / "traces" / "mine.swf.xz",
        repository / "traces" / "log.swf",
        repository / "data" / "raw" / "mine.swf",
        repository / "data" / "raw" / "log.swf.zst",
        data / "swf" / "log.swf.gz",
        data / "log.swf.gz",
    ]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in places:
        assert entry.find() == path
        path.unlink()
    assert entry.find() == fetched
    fetched.unlink()
    assert entry.find() is None


def test_a_file_matches_by_its_text(tmp_path: Path) -> None:
    for name, content, expected in [
        ("log.swf.gz", PACKED, True),
        ("anew.swf.gz", REPACKED, True),
        ("pwa_kth.swf", TEXT, True),
        ("cut.swf.gz", PACKED[:-4], False),  # the text is whole, the file is not
        ("other.swf", TEXT + b"\n", False),
    ]:
        (tmp_path / name).write_bytes(content)
        assert ENTRY.matches(tmp_path / name) is expected, name
    unknown = replace(ENTRY, sha256="", sha256_text="")
    assert unknown.matches(tmp_path / "log.swf.gz") is None
