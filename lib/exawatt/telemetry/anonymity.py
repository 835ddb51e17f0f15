"""Anonymity: each combination of what identifies is shared by k rows and by several users.

References
----------
.. [1] L. Sweeney, "k-Anonymity: A Model for Protecting Privacy", IJUFKS 10(5), 2002.
.. [2] K. LeFevre, D. DeWitt, R. Ramakrishnan, "Incognito: Efficient Full-Domain K-Anonymity",
   SIGMOD 2005.
.. [3] A. Gionis, T. Tassa, "k-Anonymization with Minimal Loss of Information", IEEE TKDE 21(2),
   2009.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

from exawatt.telemetry.pseudonyms import unknown

#: How a column is generalised. A duration is told by the end of its bin: a request that
#: became shorter would end jobs before their time.
Kind = Literal["number", "duration", "time", "category"]

#: Ways to say one column less and less exactly: what is done, and the column it makes.
Levels = list[tuple[str, pd.Series]]

#: Lengths of the bins of time [s].
TIMES_S = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month of 28 days": 28 * 86400}

AS_IS = "as it is"
OTHER = "other"
ANY = "*"
NOT_PUBLISHED = "not published"


class AnonymityError(ValueError):
    """A table that does not satisfy what was asked of it.

    Attributes
    ----------
    cells : DataFrame
        The cells that fail, see :func:`cells`.
    """

    def __init__(self, message: str, cells: pd.DataFrame) -> None:
        super().__init__(message)
        self.cells = cells


@dataclass(frozen=True)
class Rule:
    """What every cell of a table must have. Less than five of either is for study.

    Parameters
    ----------
    k : int
        Rows.
    min_users : int
        Distinct users. Rows of unknown users count as one user together.
    user : str
        Column that tells users apart.
    """

    k: int = 5
    min_users: int = 5
    user: str = "user"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("k", "min_users"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name}(={getattr(self, name)}) must be at least 2; 5 is usual.")


@dataclass(frozen=True, eq=False)
class Anonymised:
    """A table that satisfies a rule, and what that cost.

    Parameters
    ----------
    table : DataFrame
        The rows kept, their quasi-identifiers generalised; index and other columns as they were.
    levels : dict
        What was done to each quasi-identifier.
    suppressed : DataFrame
        The cells removed, after generalising. They are small: not for publication.
    """

    table: pd.DataFrame
    levels: dict[str, str]
    suppressed: pd.DataFrame


def cells(
    table: pd.DataFrame, quasi_identifiers: Sequence[str], user: str = "user"
) -> pd.DataFrame:
    """Count the rows and the distinct users of each combination of quasi-identifiers.

    Returns
    -------
    DataFrame
        The quasi-identifiers, ``rows`` and ``users``; a missing value is a value.
    """
    names = list(quasi_identifiers)
    by_cell = table.assign(user_=user_codes(table, user)).groupby(names, dropna=False)["user_"]
    return by_cell.agg(rows="size", users="nunique").reset_index()


def failing(table: pd.DataFrame, quasi_identifiers: Sequence[str], rule: Rule) -> pd.DataFrame:
    """Cells with too few rows or users, smallest first; none if the table satisfies the rule."""
    found = cells(table, quasi_identifiers, rule.user)
    small = (found["rows"] < rule.k) | (found["users"] < rule.min_users)
    return found[small].sort_values(["users", "rows"], kind="stable", ignore_index=True)


def refuse(table: pd.DataFrame, quasi_identifiers: Sequence[str], rule: Rule) -> None:
    """Raise :class:`AnonymityError` if a table does not satisfy a rule, naming its cells."""
    small = failing(table, quasi_identifiers, rule)
    if len(small):
        shown = small.head(10).to_string(index=False)
        more = f"\n... and {len(small) - 10:,} more" if len(small) > 10 else ""
        raise AnonymityError(
            f"{len(small):,} cells have fewer than k={rule.k} rows or {rule.min_users} users; let "
            f"them be generalised, or name fewer quasi-identifiers:\n{shown}{more}",
            small,
        )


def number_levels(column: pd.Series, *, up: bool = False) -> Levels:
    """Put numbers into ever larger bins, named by their lower or upper end.

    Sign, zero and missing are kept.

    Three significant bits leave 4, 5, 6, 7, 8, 10, 12, 14, 16 and so on; two 4, 6, 8, 12, 16. The
    ends of each level are among those of the one before, so that cells only ever merge.
    """
    values = column.to_numpy(np.float64, na_value=np.nan)
    size = np.where((np.abs(values) < 1e-300) | np.isinf(values), np.nan, np.abs(values))
    rounding = np.ceil if up else np.floor
    exponent = np.floor(np.log2(size))
    found = {}
    for bits in (3, 2):
        step = 2.0 ** (exponent - bits + 1)
        found[f"numbers of {bits} significant bits"] = rounding(size / step) * step
    for base in (2, 4, 16):
        power = rounding(np.log2(size) / np.log2(base))
        found[f"powers of {base}"] = float(base) ** power
    levels: Levels = [(AS_IS, column)]
    for name, rounded in found.items():
        kept = np.where(np.isnan(rounded), values, np.sign(values) * rounded)
        level = pd.Series(kept, column.index, name=column.name)
        if column.dtype.kind == "i":
            level = level.astype(column.dtype)
        levels.append((f"{'rounded up to' if up else 'mean of a bin between'} {name}", level))
    return [*levels, _any(column)]


def time_levels(column: pd.Series) -> Levels:
    """Begin of the hour, day, week or month that a moment lies in [s]."""
    bins = [(name, column // length_s * length_s) for name, length_s in TIMES_S.items()]
    return [(AS_IS, column), *bins, _any(column)]


def category_levels(column: pd.Series, users: pd.Series, rule: Rule) -> Levels:
    """Merge values that are rare by themselves into one: ``other``, or -1 for numbers."""
    merged = ("rare values merged", merge_rare(column, users, rule))
    return [(AS_IS, column), merged, _any(column)]


def merge_rare(column: pd.Series, users: pd.Series, rule: Rule) -> pd.Series:
    """Put ``other`` (-1 for numbers) for each value with too few rows or users.

    Where all these together are still too few, the next smallest value joins them.
    """
    other = -1 if _is_numeric(column) else OTHER
    while len(rare := _rare(pd.DataFrame({"value": column, rule.user: users}), rule, other)):
        column = column.mask(column.isin(rare) | (column.isna() & bool(rare.isna().any())), other)
    return column


def _rare(pairs: pd.DataFrame, rule: Rule, other: str | int) -> pd.Series:
    """Values that are to become `other`."""
    small = failing(pairs, ["value"], rule)["value"]
    if len(small) != 1 or small[0] != other:
        return small[small != other]
    found = cells(pairs, ["value"], rule.user).sort_values(["users", "rows"], kind="stable")
    return found["value"][found["value"] != other].head(1)


def _any(column: pd.Series) -> tuple[str, pd.Series]:
    says_nothing = -1 if _is_numeric(column) else ANY
    return NOT_PUBLISHED, pd.Series(says_nothing, index=column.index, name=column.name)


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def anonymise(
    table: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    rule: Rule | None = None,
    *,
    max_suppressed: float = 0.02,
    weights: pd.Series | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Anonymised:
    """Generalise quasi-identifiers as little as possible, then suppress what still fails.

    Parameters
    ----------
    table : DataFrame
        One row a job.
    quasi_identifiers : sequence of str
        Columns by which somebody could recognise a job, the one to keep most exact first.
    rule : Rule, optional
        Rows and users of each cell; five of both when not given.
    max_suppressed : float
        Largest share of the rows, and of the weights, that may be suppressed instead of
        generalising further.
    weights : Series, optional
        What else each row counts, such as its energy: few rows may hold much of it.
    kinds : mapping, optional
        How columns are generalised: ``number``, ``duration``, ``time`` (both seconds) or
        ``category``; numbers as numbers and all else as categories when not given.

    Returns
    -------
    Anonymised
        A table that satisfies the rule; without rows if even the whole table is too small.

    Notes
    -----
    A column is generalised as a whole, to one of its levels, so that its values stay comparable.
    A bin of numbers is told by the mean of the rows kept, which several users share.
    The loss of a level is the share of its column's entropy that is gone, from 0 (as it is) to 1
    (not published), and the loss of a choice of levels is the mean over the columns [3]_. Among the
    choices that need no more than `max_suppressed` suppressed, the one of least loss is taken;
    among equals the one that suppresses least, then the one that keeps the
    columns named first most exact. A coarser choice never suppresses more rows, so whatever is
    finer than a choice that failed is not tried [2]_.
    """
    rule = rule or Rule()
    _check(table, quasi_identifiers, rule, max_suppressed)
    names = list(quasi_identifiers)
    kinds = kinds or {}
    levels = {name: _levels(table, name, kinds.get(name), rule) for name in names}
    shares = _shares(table, weights)
    choice = _least_loss([levels[name] for name in names], table, rule, max_suppressed, shares)
    chosen = {name: levels[name][level] for name, level in zip(names, choice, strict=True)}
    wide = table.assign(**{name: column for name, (_, column) in chosen.items()})
    counts = Cells([column for _, column in chosen.values()], user_codes(table, rule.user))
    keep = ~counts.small_rows(rule)
    means = {
        name: _bin_means(table[name][keep], wide[name][keep])
        for name in names
        if chosen[name][0].startswith("mean")
    }
    return Anonymised(
        table=wide[keep].assign(**means),
        levels={name: done for name, (done, _) in chosen.items()},
        suppressed=failing(wide, names, rule),
    )


def _bin_means(values: pd.Series, bins: pd.Series) -> pd.Series:
    """Mean of each bin in place of its end, so that totals stay; whole for whole numbers."""
    means = values.groupby(bins).transform("mean")
    return means.round().astype(values.dtype) if values.dtype.kind == "i" else means


def refuse_none_or_twice(quasi_identifiers: Sequence[str]) -> None:
    """Raise if there are no quasi-identifiers, or one is there twice."""
    names = list(quasi_identifiers)
    if not names or len({*names}) < len(names):
        raise ValueError(
            f"quasi_identifiers(={','.join(names)!r}) must name one column or more, each once."
        )


def _check(
    table: pd.DataFrame, quasi_identifiers: Sequence[str], rule: Rule, max_suppressed: float
) -> None:
    refuse_none_or_twice(quasi_identifiers)
    for name in [*quasi_identifiers, rule.user]:
        if name not in table:
            raise ValueError(
                f"the table has no column {name!r}; it has {', '.join(map(str, table))}."
            )
    if rule.user in quasi_identifiers:
        raise ValueError(f"{rule.user!r} tells users apart and cannot be a quasi-identifier too.")
    if not 0 <= max_suppressed <= 1:
        raise ValueError(f"max_suppressed(={max_suppressed}) must lie between 0 and 1.")


def _levels(table: pd.DataFrame, name: str, kind: Kind | None, rule: Rule) -> Levels:
    column = table[name]
    kind = kind or ("number" if _is_numeric(column) else "category")
    if kind == "category":
        return category_levels(column.astype("object"), table[rule.user], rule)
    return time_levels(column) if kind == "time" else number_levels(column, up=kind == "duration")


def _shares(table: pd.DataFrame, weights: pd.Series | None) -> np.ndarray:
    """Share of each row in the number of rows, and in the weights where these are known."""
    shares = [np.full(len(table), 1 / max(len(table), 1))]
    if weights is not None and (total := weights.clip(lower=0).sum()) > 0:
        shares.append(weights.clip(lower=0).fillna(0).to_numpy() / total)
    return np.array(shares)


def _least_loss(
    levels: list[Levels],
    table: pd.DataFrame,
    rule: Rule,
    max_suppressed: float,
    shares: np.ndarray,
) -> tuple[int, ...]:
    """Level of each column, see :func:`anonymise`."""
    users = user_codes(table, rule.user)
    numbered = [[codes(column) for _, column in of_column] for of_column in levels]
    losses = [_losses(of_column) for of_column in numbered]
    last = tuple(len(of_column) - 1 for of_column in levels)
    most = max_suppressed + 1e-12  # shares are sums of rounded numbers

    @cache
    def suppressed(choice: tuple[int, ...]) -> float:
        """Largest share to suppress; infinite if a coarser choice already needs too much."""
        for i, level in enumerate(choice):
            coarser = (*choice[:i], last[i], *choice[i + 1 :])
            if level < last[i] and suppressed(coarser) > most:
                return np.inf
        chosen = [of_column[level] for of_column, level in zip(numbered, choice, strict=True)]
        return float(shares[:, Cells(chosen, users).small_rows(rule)].sum(axis=1).max())

    def loss(choice: tuple[int, ...]) -> float:
        parts = [of_column[level] for of_column, level in zip(losses, choice, strict=True)]
        return round(float(np.mean(parts)), 9)  # equal means must be equal, whatever the order

    best, best_rank = last, (np.inf, np.inf, last)
    for choice in sorted(product(*(range(top + 1) for top in last)), key=loss):
        if loss(choice) > best_rank[0]:
            break
        rank = (loss(choice), suppressed(choice), choice)
        if rank[1] <= most and rank < best_rank:
            best, best_rank = choice, rank
    return best


def _losses(numbered: list[np.ndarray]) -> list[float]:
    """Share of a column's entropy that each of its levels takes away."""
    entropies = []
    for values in numbered:
        share = np.bincount(values) / values.size
        entropies.append(-float((share[share > 0] * np.log2(share[share > 0])).sum()))
    return [1 - entropy / entropies[0] if entropies[0] else 0.0 for entropy in entropies]


class Cells:
    """Rows and users of each cell, counted fast enough for a search.

    Parameters
    ----------
    columns : sequence of Series or ndarray of int64, shape (n_rows,)
        The quasi-identifiers, as they are or numbered by :func:`codes`.
    users : ndarray of int64, shape (n_rows,)
        Users, numbered by :func:`user_codes`.

    Attributes
    ----------
    cell : ndarray of int64, shape (n_rows,)
        Cell of each row.
    rows, users : ndarray of int64, shape (n_cells,)
        Counts of each cell.
    """

    def __init__(self, columns: Sequence[pd.Series | np.ndarray], users: np.ndarray) -> None:
        self.cell = np.zeros(len(users), np.int64)
        for column in columns:
            values = column if isinstance(column, np.ndarray) else codes(column)
            self.cell = codes(self.cell * (int(values.max(initial=0)) + 1) + values)
        self.rows = np.bincount(self.cell)
        n_users = int(users.max(initial=0)) + 1
        pairs = pd.unique(self.cell * n_users + users)
        self.users = np.bincount(pairs // n_users, minlength=self.rows.size)

    def small_rows(self, rule: Rule) -> np.ndarray:
        """Whether each row lies in a cell with too few rows or users."""
        small = (self.rows < rule.k) | (self.users < rule.min_users)
        return small[self.cell]


def codes(column: pd.Series | np.ndarray) -> np.ndarray:
    """Number the distinct values of a column; missing is one of them."""
    return np.asarray(pd.factorize(column, use_na_sentinel=False)[0], np.int64)


def user_codes(table: pd.DataFrame, user: str = "user") -> np.ndarray:
    """Number the users; all that are not known are one."""
    names = table[user]
    return codes(names.astype("object").mask(unknown(names), None))
