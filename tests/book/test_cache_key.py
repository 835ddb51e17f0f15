"""The execution cache is keyed by everything that a chapter's numbers depend on."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load_extension():
    spec = importlib.util.spec_from_file_location("book_cache", ROOT / "_ext" / "book_cache.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


book_cache = load_extension()


@pytest.fixture
def root(tmp_path):
    for name in ("lib/exawatt/power.py", "traces/a.swf", "data/raw/gb.csv", "tests/data/tiny.swf"):
        (tmp_path / "book" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "book" / name).write_text(name)
    (tmp_path / "book" / "requirements.txt").write_text("numpy==2.4.6\n")
    return tmp_path / "book"


@pytest.fixture
def published(tmp_path):
    """Make a folder of published data, outside the book."""
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "kth.swf").write_text("1 0 1\n")
    return tmp_path / "published"


@pytest.mark.parametrize(
    "name",
    [
        "lib/exawatt/power.py",
        "traces/a.swf",
        "data/raw/gb.csv",
        "tests/data/tiny.swf",
        "requirements.txt",
    ],
)
def test_an_edit_changes_the_key_and_its_reversal_restores_it(root, name):
    before, text = book_cache.fingerprint(root, {}), (root / name).read_text()
    (root / name).write_text(text.swapcase() or "x")
    assert book_cache.fingerprint(root, {}) != before
    (root / name).write_text(text)
    assert book_cache.fingerprint(root, {}) == before


@pytest.mark.parametrize("name", ["lib/new.py", "batsim/platform.xml", "experiments/a.toml"])
def test_a_new_file_changes_the_key(root, name):
    before = book_cache.fingerprint(root, {})
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("")
    assert book_cache.fingerprint(root, {}) != before


def test_a_renamed_file_changes_the_key(root):
    before = book_cache.fingerprint(root, {})
    (root / "traces/a.swf").rename(root / "traces/b.swf")
    assert book_cache.fingerprint(root, {}) != before


def test_compiled_files_and_touched_files_do_not_count(root):
    before = book_cache.fingerprint(root, {})
    (root / "lib/exawatt/__pycache__").mkdir()
    (root / "lib/exawatt/__pycache__/power.pyc").write_text("compiled")
    (root / "lib/exawatt.egg-info").mkdir()
    (root / "lib/exawatt.egg-info/PKG-INFO").write_text("installed")
    os.utime(root / "lib/exawatt/power.py", (1, 1))
    assert book_cache.fingerprint(root, {}) == before


def test_the_effort_changes_the_key_and_full_is_the_default(root):
    keys = [book_cache.fingerprint(root, {"EXAWATT_EFFORT": e}) for e in ("full", "quick", "test")]
    assert len(set(keys)) == 3
    assert book_cache.fingerprint(root, {}) == keys[0]


def test_published_data_change_the_key(root, published):
    environ = {"EXAWATT_DATA": str(published)}
    before = book_cache.fingerprint(root, environ)
    assert before != book_cache.fingerprint(root, {})
    (published / "kth.swf").write_text("1 0 2\n")
    assert book_cache.fingerprint(root, environ) != before


def test_downloads_change_the_key(root, tmp_path):
    environ = {"EXAWATT_CACHE": str(tmp_path / "downloads")}
    before = book_cache.fingerprint(root, environ)
    (tmp_path / "downloads").mkdir()
    assert book_cache.fingerprint(root, environ) == before
    (tmp_path / "downloads" / "kth.swf").write_text("1 0 2\n")
    assert book_cache.fingerprint(root, environ) != before


def test_published_data_count_by_content_not_by_place(root, published):
    before = book_cache.fingerprint(root, {"EXAWATT_DATA": str(published)})
    published.rename(published.with_name("elsewhere"))
    assert book_cache.fingerprint(root, {"EXAWATT_DATA": "../elsewhere"}) == before


def test_a_large_file_counts_by_size_and_time(root, monkeypatch):
    monkeypatch.setattr(book_cache, "LARGE_BYTES", 4)
    before = book_cache.fingerprint(root, {})
    os.utime(root / "data/raw/gb.csv", (1, 1))
    assert book_cache.fingerprint(root, {}) != before


def test_a_missing_library_is_an_error(root):
    (root / "lib").rename(root / "library")
    with pytest.raises(FileNotFoundError, match="lib is missing"):
        book_cache.fingerprint(root, {})


def test_this_repository_has_what_the_key_requires():
    assert len(book_cache.fingerprint(ROOT, {})) == 16


def test_the_most_recent_caches_are_kept(tmp_path):
    for age, name in enumerate("abcdefg"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    book_cache.prune(tmp_path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == list("abcde")
