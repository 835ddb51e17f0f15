"""Which columns of a table may leave, and why the others stay."""

from collections.abc import Collection, Sequence

import pandas as pd

from exawatt.telemetry.anonymity import Rule, refuse_none_or_twice
from exawatt.telemetry.fields import FIELDS, telltales
from exawatt.telemetry.pseudonyms import unknown


def chosen(
    table: pd.DataFrame, columns: Sequence[str] | None, quasi_identifiers: Sequence[str], rule: Rule
) -> list[str]:
    """Columns to publish, in the order of the fields.

    Parameters
    ----------
    table : DataFrame
        One row a job.
    columns : sequence of str or None
        What to publish; every field of which the table knows anything when None.
    quasi_identifiers : sequence of str
    rule : Rule

    Raises
    ------
    ValueError
        A column is not there, must not leave, or would tell a quasi-identifier in another way.
    """
    if rule.user != "user":
        raise ValueError(f"the rule's user(={rule.user!r}) must be 'user' in a release.")
    refuse_none_or_twice(quasi_identifiers)
    telling = telltales(quasi_identifiers)
    if columns is None:
        there = (set(FIELDS) & set(table.columns)) - telling
        columns = [name for name in there if not unknown(table[name]).all()]
    wanted = {*columns, *quasi_identifiers, rule.user}
    for name in sorted(wanted, key=str):
        _refuse(table, name, telling)
    return [name for name in FIELDS if name in wanted]


def _refuse(table: pd.DataFrame, name: str, telling: Collection[str]) -> None:
    if name not in table:
        known = [str(one) for one in table if one in FIELDS]
        raise ValueError(f"jobs has no column {name!r}; of the fields it has {', '.join(known)}.")
    if name not in FIELDS:
        raise ValueError(f"column {name!r} must not leave: only {', '.join(FIELDS)} may.")
    if name in telling:
        raise ValueError(
            f"column {name!r} would tell a quasi-identifier in another way: leave it out, or "
            "name it a quasi-identifier too."
        )


def left_out(
    table: pd.DataFrame, published: Collection[str], quasi_identifiers: Sequence[str]
) -> dict[str, str]:
    """Columns that are not published, each with the reason."""
    telling = telltales(quasi_identifiers)
    return {str(name): _why(table[name], telling) for name in table if name not in published}


def _why(column: pd.Series, telling: Collection[str]) -> str:
    if column.name not in FIELDS:
        return "no field that may leave"
    if unknown(column).all():
        return "no value is known"
    if column.name in telling:
        return "would tell a quasi-identifier in another way"
    return "not asked for"
