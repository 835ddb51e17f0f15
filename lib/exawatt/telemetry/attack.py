"""Attacks: what somebody who holds a release, and this code, can learn without the key.

References
----------
.. [1] Y.-A. de Montjoye et al., "Unique in the Crowd: The Privacy Bounds of Human Mobility",
   Scientific Reports 3:1376, 2013.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from exawatt.telemetry.anonymity import Cells, codes, user_codes
from exawatt.telemetry.pseudonyms import DIGEST_BYTES, KEY_BYTES, PERSONS


def guess_names(ids: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Try every name against identifiers that were made from names; return whom it gave away.

    Parameters
    ----------
    ids : iterable of str
        Identifiers of a release, hexadecimal; an empty one stands for no name.
    names : iterable of str
        All names there may be, such as a directory of staff or every login of a pattern.

    Returns
    -------
    dict
        Name by identifier, for each identifier that was found.

    Notes
    -----
    An identifier falls if it is, or begins, an unkeyed hash of its name: MD5, SHA-1, SHA-256,
    BLAKE2b, or this project's own hash without a key or with a key of zeros.
    """
    wanted = {name for name in ids if name}
    lengths = {len(name) for name in wanted}
    found = {}
    for name in names:
        for digest in _plain_hashes(name.encode("utf-8", "surrogatepass")):
            found.update({digest[:n]: name for n in lengths if digest[:n] in wanted})
    return found


def _plain_hashes(text: bytes) -> Iterator[str]:
    for algorithm in (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.blake2b):
        yield algorithm(text).hexdigest()
    for key in (b"", bytes(KEY_BYTES)):
        for person in (b"", *PERSONS.values()):
            digest = hashlib.blake2b(text, key=key, person=person, digest_size=DIGEST_BYTES)
            yield digest.hexdigest()


@dataclass(frozen=True)
class Linkage:
    """Shares of the rows of a table that quasi-identifiers give away [-].

    Attributes
    ----------
    unique : float
        Rows that are alone in their cell: who knows these values of a job knows its row.
    one_user : float
        Rows in cells of one user: who knows them knows the user's pseudonym.
    exposed : float
        Rows of users who have such a cell: the pseudonym leads from it to all they ever ran.
    """

    unique: float
    one_user: float
    exposed: float


def linkage(table: pd.DataFrame, quasi_identifiers: Sequence[str], user: str = "user") -> Linkage:
    """Link a table to somebody who knows the quasi-identifiers of one job.

    Parameters
    ----------
    table : DataFrame
        One row a job.
    quasi_identifiers : sequence of str
        What the attacker knows of a job.
    user : str
        Column that tells users apart.
    """
    if not len(table):
        return Linkage(0.0, 0.0, 0.0)
    users = user_codes(table, user)
    counts = Cells([table[name] for name in quasi_identifiers], users)
    one_user = (counts.users == 1)[counts.cell]
    exposed = np.isin(users, users[one_user])
    unique = (counts.rows == 1)[counts.cell]
    return Linkage(float(unique.mean()), float(one_user.mean()), float(exposed.mean()))


def singled_out(
    table: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    known: int = 3,
    user: str = "user",
    seed: int = 1,
) -> float:
    """Share of the users whom somebody finds who knows several of their jobs [-].

    Parameters
    ----------
    table : DataFrame
        One row a job.
    quasi_identifiers : sequence of str
        What the attacker knows of each job.
    known : int
        Jobs of one user that the attacker knows, drawn at random; all if there are fewer.
    user : str
        Column that tells users apart.
    seed : int

    Notes
    -----
    A pseudonym links a user's jobs, so the users of each job's cell can be intersected [1]_.
    Distinct users in each cell do not prevent this; coarser cells make it rarer.
    """
    if not len(table):
        return 0.0
    users = user_codes(table, user)
    cell = Cells([table[name] for name in quasi_identifiers], users).cell
    pairs = pd.DataFrame({"cell": cell, "user": codes(users)})
    users_of_cell = pairs.groupby("cell")["user"].agg(set)
    shuffled = pairs.sample(frac=1, random_state=seed)
    drawn = shuffled.groupby("user").head(known).groupby("user")["cell"].unique()
    alone = [len(set.intersection(*users_of_cell[cells])) == 1 for cells in drawn]
    return float(np.mean(alone))
