"""Pseudonyms: names become keyed hashes, with one key a release that nobody else may read.

It needs the standard library alone, for compute nodes tag recordings with it.

References
----------
.. [1] J.-P. Aumasson et al., "BLAKE2: Simpler, Smaller, Fast as MD5", ACNS 2013.
"""

import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: What a pseudonym stands for: equal names of different kinds get different pseudonyms.
PERSONS = {
    "user": b"user-id",
    "group": b"group-id",
    "account": b"account-id",
    "app": b"app-id",
    "job": b"job-id",
    "host": b"host-id",
    "class": b"class-id",
}

#: 128 bits: among a thousand million names, two share a pseudonym with probability 1.5e-21.
DIGEST_BYTES = 16
KEY_BYTES = 32

#: What makes a folder a repository or a release, from where a key could be published.
REPOSITORIES = ((".git",), (".hg",), (".svn",), ("HEAD", "objects", "refs"))
RELEASE = ("publication_report.json",)

#: Top of the checkout, where the package is installed editable.
CHECKOUT = Path(__file__).resolve().parents[3]


class KeyFileError(ValueError):
    """A key that must not be used as it lies: says why, and the command that mends it."""


def create_key(path: Path | str) -> Path:
    """Write a new random key that only its owner can read; return its path.

    Raises
    ------
    KeyFileError
        The path lies inside a repository or a release.
    FileExistsError
        There is something already: a key that was overwritten could never be used again.
    """
    path = expanded(path)
    _refuse_inside(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(
            f"{path} exists already, and keys are never overwritten: pass another path, or "
            f"destroy the old key with 'shred -u {path}'."
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{path.parent} is no folder: make it with 'mkdir -p {path.parent}'."
        ) from None
    except OSError as error:
        raise OSError(f"{path} cannot be written: {str(error.strerror).lower()}.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return path


def read_key(path: Path | str) -> bytes:
    """Read the key of a release.

    Parameters
    ----------
    path : path-like
        A file of 32 to 64 random bytes, as :func:`create_key` writes it.

    Raises
    ------
    KeyFileError
        The key lies in a repository or a release, links followed; it belongs neither to who
        reads it nor to root, or others may read or change it; or it is too short to be a key, or
        too long.
    FileNotFoundError
    """
    path = expanded(path)
    _refuse_inside(path)
    if not os.path.isfile(path):  # unlike Path.is_file it bears a link to itself
        raise FileNotFoundError(
            f"{path} is no file: make a key with 'exawatt telemetry key {path}'."
        )
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        key = file.read(hashlib.blake2b.MAX_KEY_SIZE + 1)
    if status.st_uid not in (0, os.geteuid()):
        raise KeyFileError(
            f"{path} belongs to user {status.st_uid}, who may read and change it: make it yours "
            f"with 'chown {os.geteuid()} {path}'."
        )
    if status.st_mode & 0o077:
        raise KeyFileError(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, open to others: close it with "
            f"'chmod 600 {path}'."
        )
    if not KEY_BYTES <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise KeyFileError(
            f"{path} must hold {KEY_BYTES} to {hashlib.blake2b.MAX_KEY_SIZE} random bytes, not "
            f"{len(key)}{'' if len(key) < 65 else ' or more'}: make another key with "
            "'exawatt telemetry key PATH'."
        )
    return key


def expanded(path: Path | str) -> Path:
    """Path with ``~`` or ``~user`` at its begin expanded."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise KeyFileError(f"{path} names no user's folder: pass a path without '~'.") from None


def _refuse_inside(path: Path) -> None:
    """Raise if a path, links followed, lies in a repository, a release or the checkout."""
    real = Path(os.path.realpath(path))
    for folder in real.parents:
        marks = any(
            all(os.path.lexists(folder / name) for name in names)
            for names in (*REPOSITORIES, RELEASE)
        )
        if marks or folder == CHECKOUT:
            advice = "pass a path outside, such as ~/release.key."
            if os.path.lexists(real):
                advice = (
                    f"move it out with 'mv {real} ~/', or make one elsewhere with 'exawatt "
                    "telemetry key PATH'."
                )
            raise KeyFileError(
                f"{path} lies inside {folder}, from where it could be published: {advice}"
            )


def pseudonym(name: str, key: bytes, person: bytes = b"user-id") -> str:
    """Keyed hash of one name, 32 hexadecimal digits.

    Parameters
    ----------
    name : str
    key : bytes
        Key of the release; the same name has another pseudonym under another key.
    person : bytes
        What kind of name it is, see :data:`PERSONS`.
    """
    if len(key) < KEY_BYTES:
        raise KeyFileError(f"key has {len(key)} bytes; it needs {KEY_BYTES} at least.")
    # Names that no encoding can hold must not stop a release.
    text = name.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=key, person=person, digest_size=DIGEST_BYTES).hexdigest()


def pseudonyms(names: "pd.Series", key: bytes, person: bytes = b"user-id") -> "pd.Series":
    """Pseudonym of each name of a column; a missing name stays missing.

    Numbers are hashed as their digits. Missing are NaN, None, an empty text and the number -1,
    which is how job logs write "unknown".
    """
    known = ~unknown(names)
    distinct = {name: pseudonym(text_of(name), key, person) for name in names[known].unique()}
    return names.map(distinct).astype("object").where(known, None)


def unknown(names: "pd.Series") -> "pd.Series":
    """Whether each name of a column is missing."""
    return names.isna() | names.isin(["", -1])


def text_of(name: object) -> str:
    """Text of a name, which may be a number."""
    # A column with missing numbers holds 7.0 for 7.
    return str(int(name)) if isinstance(name, float) and name.is_integer() else str(name)
