"""Attacks succeed where nothing was done against them, and fail on what the project makes."""

import hashlib
import secrets

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exawatt.telemetry.anonymity import anonymise
from exawatt.telemetry.attack import Linkage, guess_names, linkage, singled_out
from exawatt.telemetry.pseudonyms import PERSONS, pseudonym

NAMES = [f"user{number:05}" for number in range(1000)]


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


PLAIN = {
    "sha256": sha256,
    "sha256, cut": lambda name: sha256(name)[:16],
    "md5": lambda name: hashlib.md5(name.encode()).hexdigest(),
    "blake2b": lambda name: hashlib.blake2b(name.encode()).hexdigest(),
    "blake2b, our length and person, no key": lambda name: hashlib.blake2b(
        name.encode(), digest_size=16, person=b"user-id"
    ).hexdigest(),
    "ours, with a key of zeros": lambda name: pseudonym(name, bytes(32)),
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN)
def test_every_name_is_recovered_from_plain_hashes(plain) -> None:  # type: ignore[no-untyped-def]
    table = {plain(name): name for name in NAMES}
    assert guess_names(table, NAMES) == table


@settings(max_examples=20)
@given(names=st.lists(st.text(), min_size=1, max_size=50, unique=True))
def test_nothing_is_recovered_without_the_key(names: list[str]) -> None:
    key = secrets.token_bytes(32)
    ids = [pseudonym(name, key, person) for name in names for person in PERSONS.values()]
    assert guess_names(ids, names) == {}
    plain = {sha256(name): name for name in names}
    assert guess_names([*ids, *plain], names) == plain


def test_another_release_is_no_help() -> None:
    # Who got hold of one key can undo that release, and learns nothing of another.
    key, other = secrets.token_bytes(32), secrets.token_bytes(32)
    ids = {pseudonym(name, other) for name in NAMES}
    assert not ids & {pseudonym(name, key) for name in NAMES}


def test_linkage_of_a_table_counted_by_hand() -> None:
    jobs = pd.DataFrame(
        {"procs": [1, 1, 2, 4, 4, 4, 1], "user": ["a", "b", "a", "c", "c", "c", "b"]}
    )
    # 2 is alone; 2 and the three 4s are of one user; so a and c are exposed, 5 of 7 rows.
    assert linkage(jobs, ["procs"]) == Linkage(unique=1 / 7, one_user=4 / 7, exposed=5 / 7)
    assert linkage(jobs.head(0), ["procs"]) == Linkage(0.0, 0.0, 0.0)


def test_unknown_users_are_not_told_apart() -> None:
    jobs = pd.DataFrame({"procs": [1, 1], "user": [-1, -1]})
    assert linkage(jobs, ["procs"]).one_user == 1.0


def test_several_known_jobs_single_out_whom_one_does_not() -> None:
    # Each size is of two users, each pair of sizes of one.
    jobs = pd.DataFrame({"procs": [1, 2, 2, 3, 3, 1], "user": ["a", "a", "b", "b", "c", "c"]})
    assert singled_out(jobs, ["procs"], known=1) == 0.0
    assert singled_out(jobs, ["procs"], known=2) == 1.0
    assert singled_out(jobs.head(0), ["procs"]) == 0.0


rows = st.lists(
    st.tuples(st.integers(1, 64), st.sampled_from("abc"), st.integers(1, 9)), min_size=1
)


@settings(max_examples=50)
@given(rows=rows)
def test_nothing_is_unique_afterwards(rows: list[tuple[int, str, int]]) -> None:
    jobs = pd.DataFrame(rows, columns=["procs", "partition", "user"])
    after = anonymise(jobs, ["procs", "partition"]).table
    assert linkage(after, ["procs", "partition"]) == Linkage(0.0, 0.0, 0.0)
    assert singled_out(after, ["procs", "partition"], known=1) == 0.0
