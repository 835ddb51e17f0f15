"""Keys that nobody else may read, and names that nobody without the key can guess."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.telemetry import pseudonyms as module
from exawatt.telemetry.pseudonyms import (
    PERSONS,
    KeyFileError,
    create_key,
    pseudonym,
    pseudonyms,
    read_key,
)

KEY = bytes(range(32))
keys = st.binary(min_size=32, max_size=64)


def test_a_new_key(tmp_path: Path) -> None:
    path = create_key(tmp_path / "key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read_key(path)) == 32
    assert read_key(path) != read_key(create_key(tmp_path / "other"))


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = create_key(tmp_path / "key")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=f"'shred -u {path}'"):
        create_key(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = create_key(tmp_path / "key")
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"{mode:04o}.*'chmod 600 {path}'"):
        read_key(path)
    path.chmod(0o400)
    read_key(path)


def test_a_key_inside_a_repository_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "repository"], check=True)
    inside = tmp_path / "repository" / "data" / "private"
    inside.mkdir(parents=True)
    with pytest.raises(KeyFileError, match=r"lies inside .*: pass a path outside"):
        create_key(inside / "key")
    assert not (inside / "key").exists()
    path = create_key(tmp_path / "key")
    moved = path.rename(inside / "key")
    with pytest.raises(KeyFileError, match=f"'mv {moved} ~/'"):
        read_key(moved)


def test_a_link_to_a_key_inside_a_repository_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "repository"], check=True)
    key = create_key(tmp_path / "key").rename(tmp_path / "repository" / "key")
    (tmp_path / "link").symlink_to(key)
    with pytest.raises(KeyFileError, match="lies inside"):
        read_key(tmp_path / "link")
    (tmp_path / "folder").symlink_to(tmp_path / "repository")
    with pytest.raises(KeyFileError, match="lies inside"):
        read_key(tmp_path / "folder" / "key")


def test_a_key_inside_a_linked_work_tree_is_refused(tmp_path: Path) -> None:
    # There .git is a file.
    (tmp_path / ".git").write_text("gitdir: /elsewhere\n")
    with pytest.raises(KeyFileError, match="lies inside"):
        create_key(tmp_path / "key")


def test_a_key_inside_a_bare_repository_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "bare.git"], check=True)
    with pytest.raises(KeyFileError, match="lies inside"):
        create_key(tmp_path / "bare.git" / "hooks" / "key")


@pytest.mark.parametrize("mark", [".hg/", ".svn/", "publication_report.json"])
def test_a_key_inside_another_repository_or_a_release_is_refused(tmp_path: Path, mark: str) -> None:
    path = create_key(tmp_path / "key")
    if mark.endswith("/"):
        (tmp_path / mark).mkdir()
    else:
        (tmp_path / mark).touch()
    for use in (read_key, create_key):
        with pytest.raises(KeyFileError, match=f"lies inside {tmp_path}"):
            use(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = create_key(tmp_path / "key")
    os.chown(path, 65534, -1)
    with pytest.raises(KeyFileError, match="belongs to user 65534"):
        read_key(path)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_key(tmp_path / "loop")
    for use in (read_key, create_key):
        with pytest.raises(KeyFileError, match="names no user's folder"):
            use("~nobody-has-this-name/key")


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_key_in_no_folder(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=f"{folder} is no folder: make it with 'mkdir -p"):
        create_key(tmp_path / folder / "key")


def test_the_standard_library_is_enough() -> None:
    """Compute nodes have no other."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import exawatt.telemetry.pseudonyms"
    lib = module.CHECKOUT / "lib"
    subprocess.run([sys.executable, "-I", "-S", "-c", program, lib], check=True)


def test_a_key_inside_the_checkout_is_refused_even_without_git() -> None:
    assert (module.CHECKOUT / "lib" / "exawatt").is_dir()
    with pytest.raises(KeyFileError, match="lies inside"):
        create_key(module.CHECKOUT / "data" / "key")


@pytest.mark.parametrize("length", [0, 31, 65, 1000])
def test_what_is_no_key_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(bytes(length))
    with pytest.raises(KeyFileError, match="must hold 32 to 64 random bytes"):
        read_key(path)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="exawatt telemetry key"):
        read_key(tmp_path / "key")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_key(tmp_path / "fifo")


def test_known_values() -> None:
    # By OpenSSL 3.0.19, which calls the person "custom": printf alice | openssl mac
    # -macopt hexkey:000102...1f -macopt custom:user-id -macopt size:16 BLAKE2BMAC
    assert pseudonym("alice", KEY) == "7cc7982b420c15ed962b20df25f7a5a3"


def test_a_column() -> None:
    names = pd.Series(["bob", None, "", "alice", "bob"], index=[9, 8, 7, 6, 5])
    ids = pseudonyms(names, KEY)
    assert list(ids.index) == [9, 8, 7, 6, 5]
    assert ids[9] == ids[5] == pseudonym("bob", KEY)
    assert ids[6] == pseudonym("alice", KEY)
    assert ids.isna().tolist() == [False, True, True, False, False]


def test_numbers_are_hashed_as_their_digits() -> None:
    ids = pseudonyms(pd.Series([7, -1, 12]), KEY)
    assert ids.tolist() == [pseudonym("7", KEY), None, pseudonym("12", KEY)]
    with_missing = pseudonyms(pd.Series([7.0, float("nan")]), KEY)
    assert with_missing.tolist() == [pseudonym("7", KEY), None]


def test_a_short_key_is_refused() -> None:
    with pytest.raises(KeyFileError, match="needs 32"):
        pseudonym("alice", b"secret")


@given(name=st.text(), key=keys, other=keys)
def test_the_same_id_never_appears_under_two_keys(name: str, key: bytes, other: bytes) -> None:
    # A shorter key that is filled up with zeros is another key: BLAKE2b hashes its length.
    assert (pseudonym(name, key) == pseudonym(name, other)) == (key == other)


@given(names=st.lists(st.text(), unique=True, max_size=30), key=keys)
def test_names_and_kinds_have_ids_of_their_own(names: list[str], key: bytes) -> None:
    ids = {pseudonym(name, key, person) for name in names for person in PERSONS.values()}
    assert len(ids) == len(names) * len(PERSONS)
    assert all(len(found) == 32 for found in ids)
