"""Publication: a job table becomes a release that satisfies its rule, or nothing is written."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from exawatt.readers.sacct import WHOLE_NODES, clock_unknown, whole_nodes
from exawatt.telemetry.aggregate import DEFAULT_WINDOW_S, WINDOWS_S
from exawatt.telemetry.anonymity import (
    AS_IS,
    Anonymised,
    AnonymityError,
    Rule,
    anonymise,
    failing,
    merge_rare,
    refuse,
)
from exawatt.telemetry.attack import linkage, singled_out
from exawatt.telemetry.choosing import chosen, left_out
from exawatt.telemetry.fields import FIELDS, KINDS, coarsened, hide_names, numbers, treatment
from exawatt.telemetry.pseudonyms import expanded, read_key, text_of, unknown
from exawatt.telemetry.release import FORMAT, REPORT
from exawatt.telemetry.release_readme import readme
from exawatt.telemetry.released_power import POWER_FIELDS, released_power
from exawatt.workload import Workload

WEEK_S = 7 * 86400
#: Jobs of one user that an attacker knows, in the report.
KNOWN_JOBS = 3
#: Columns whose names must not stand in a category.
NAMED = ("user", "group", "account")
#: Columns that whole nodes are charged in.
ENERGIES = ("energy_j", "power_w")
#: Columns of which a reader may keep the names, as ``user_name`` and so on.
NUMBERED = ("user", "group", "app")

FileFormat = Literal["csv", "parquet"]


@dataclass(frozen=True)
class Publication:
    """What was published, and where.

    Attributes
    ----------
    folder : Path
    report : dict
        As it stands in the release.
    left_out : dict
        Columns of the table that were not published, each with the reason. They stay here.
    """

    folder: Path
    report: dict[str, Any]
    left_out: dict[str, str]


def publish(
    jobs: Workload | pd.DataFrame,
    folder: Path | str,
    key: Path | str,
    quasi_identifiers: Sequence[str],
    *,
    rule: Rule | None = None,
    max_suppressed: float = 0.02,
    as_is: bool = False,
    window_s: float = DEFAULT_WINDOW_S,
    columns: Sequence[str] | None = None,
    power: pd.DataFrame | None = None,
    licence: str = "[licence: to be named by the provider]",
    contact: str = "[contact: to be named by the provider]",
    file_format: FileFormat = "csv",
) -> Publication:
    """Write a release: jobs, power where there is any, a report and a README.

    Parameters
    ----------
    jobs : Workload or DataFrame
        One row a job, in the columns of :data:`FIELDS`; ``user`` is needed. Names may be texts or
        numbers; where there is a ``user_name``, ``group_name`` or ``app_name``, as from
        ``read_sacct(..., names=True)``, it takes the number's place.
    folder : path-like
        Folder of the release, which must not exist yet.
    key : path-like
        Key of this release, see :func:`exawatt.telemetry.pseudonyms.read_key`.
    quasi_identifiers : sequence of str
        Columns by which somebody could recognise a job, the one to keep most exact first.
    rule : Rule, optional
        Rows and users of each cell; five of both when not given. Less is for study.
    max_suppressed : float
        Largest share of the rows, and of their energy (of their processor-seconds where energy
        is not known), that may be suppressed instead of generalising further.
    as_is : bool
        Neither generalise nor suppress: refuse a table that does not satisfy the rule as it is.
    window_s : float
        To which times and durations are rounded, 1 to 60 [s].
    columns : sequence of str, optional
        What to publish; every column of :data:`FIELDS` of which the table knows anything, but
        those that would tell a quasi-identifier in another way, when not given.
    power : DataFrame, optional
        Windows as :func:`exawatt.telemetry.aggregate.aggregate` makes them, of the same length;
        the workload must know the instant of its origin.
    licence, contact : str
        What the README says of them.
    file_format : {"csv", "parquet"}

    Raises
    ------
    AnonymityError
        The table does not satisfy the rule as it is, or nothing would be left of it; with the
        cells that fail.
    KeyFileError, FileExistsError, ValueError

    Notes
    -----
    Only the columns of :data:`FIELDS` leave. Rows are sorted by what is published of them, so
    that their order says nothing more. Everything is written beside the folder and renamed when
    it is whole.
    """
    folder = expanded(folder)
    _check(folder, window_s, file_format)
    rule = rule or Rule()
    secret = read_key(key)
    table = _with_names(jobs.jobs if isinstance(jobs, Workload) else jobs)
    names = chosen(table, columns, quasi_identifiers, rule)
    origin_s = _first_week_s(jobs)
    coarse = pd.DataFrame(
        {name: coarsened(table[name], name, secret, window_s, origin_s) for name in names}
    )
    persons = _names(table)
    for name in _categories(coarse):
        if not pd.api.types.is_numeric_dtype(coarse[name]):
            coarse[name] = hide_names(coarse[name], persons, secret)
    found = _anonymous(coarse, quasi_identifiers, rule, max_suppressed, as_is)
    files = {"jobs": _released(found.table, quasi_identifiers, rule)}
    if power is not None:
        files["power"] = released_power(power, secret, window_s, _origin_ns(jobs, origin_s))
    # The file, not the search, is what has to satisfy the rule.
    refuse(files["jobs"], quasi_identifiers, rule)
    energy = _energy(jobs, names)
    report = {
        "format": FORMAT,
        "rule": {"k": rule.k, "min_users": rule.min_users, "max_suppressed": max_suppressed},
        "window_s": window_s,
        "second_0": _second_0(jobs),
        "machine": _machine(jobs),
        "quasi_identifiers": dict(found.levels),
        "fields": _fields(coarse, found, bool(energy)),
        "energy": energy,
        "power_fields": POWER_FIELDS if power is not None else {},
        "columns_left_out": len(table.columns) - len(names),
        "lost": _lost(coarse, found),
        "linkage": _linkages(table, files["jobs"], quasi_identifiers),
    }
    _write(folder, files, file_format, report, licence, contact)
    return Publication(folder, report, left_out(table, names, quasi_identifiers))


def _check(folder: Path, window_s: float, file_format: str) -> None:
    shortest, longest = WINDOWS_S
    if not shortest <= window_s <= longest:
        raise ValueError(f"window_s(={window_s}) must lie between {shortest:g} and {longest:g}.")
    if file_format not in ("csv", "parquet"):
        raise ValueError(f"file_format(={file_format!r}) must be 'csv' or 'parquet'.")
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} exists already: pass the name of a new folder.")
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"{folder.parent} is no folder: make it with 'mkdir -p'.")


def _with_names(jobs: pd.DataFrame) -> pd.DataFrame:
    """Jobs with names in the place of the numbers that a reader gave them."""
    texts = {name: f"{name}_name" for name in NUMBERED if f"{name}_name" in jobs}
    table = jobs.assign(**{name: jobs[text] for name, text in texts.items()})
    return table.drop(columns=list(texts.values())).reset_index(drop=True)


def _names(table: pd.DataFrame) -> set[str]:
    """Names of users, groups and accounts that must not be told in another column."""
    columns = [table[name] for name in NAMED if name in table]
    return {text_of(name) for column in columns for name in column[~unknown(column)].unique()}


def _first_week_s(jobs: Workload | pd.DataFrame) -> float:
    """Second of the table at which the first week of the release begins [s]."""
    table = jobs.jobs if isinstance(jobs, Workload) else jobs
    if "submit_s" not in table or not table["submit_s"].notna().any():
        return 0.0
    first_s = float(numbers(table["submit_s"], "submit_s").min())
    if not isinstance(jobs, Workload) or jobs.start is None:
        return first_s // WEEK_S * WEEK_S
    local = (jobs.start + pd.Timedelta(first_s, "s")).tz_convert(jobs.timezone).tz_localize(None)
    monday = local.normalize() - pd.Timedelta(local.weekday(), "D")
    return first_s - (local - monday).total_seconds()


def _second_0(jobs: Workload | pd.DataFrame) -> str:
    if not isinstance(jobs, Workload) or jobs.start is None:
        return "whole weeks after the source's second 0, so that the first job is in the first week"
    clock = "local time" if jobs.timezone != "UTC" else "UTC"
    if clock_unknown(jobs):
        clock = "by the clock of the source, whose time zone is not known"
    return f"Monday 00:00, {clock}, of the first week; which week is not told"


def _origin_ns(jobs: Workload | pd.DataFrame, origin_s: float) -> int:
    """Instant at which the first week begins [ns since 1970, UTC]."""
    if not isinstance(jobs, Workload) or jobs.start is None:
        raise ValueError(
            "power needs the instant of the jobs' second 0: pass a Workload with start=."
        )
    if clock_unknown(jobs):
        raise ValueError(
            "the jobs' times are of a wall clock whose zone is not known, so no power belongs to "
            "them: pass timezone= (--timezone) when reading them."
        )
    return int(jobs.start.as_unit("ns").value) + round(origin_s * 1e9)


def _anonymous(
    coarse: pd.DataFrame, named: Sequence[str], rule: Rule, max_suppressed: float, as_is: bool
) -> Anonymised:
    _refuse_few_users(coarse, named, rule)
    if as_is:
        refuse(coarse, named, rule)
        return Anonymised(coarse, dict.fromkeys(named, AS_IS), coarse.head(0))
    kinds = {name: KINDS[FIELDS[name].role] for name in named}
    amounts = _amounts(coarse)
    weights = next(iter(amounts.values()), None)
    found = anonymise(
        coarse, named, rule, max_suppressed=max_suppressed, weights=weights, kinds=kinds
    )
    if found.table.empty:
        raise AnonymityError(
            f"nothing would be left: all {len(coarse):,} rows together have fewer than "
            f"k={rule.k} rows or {rule.min_users} users. Release a longer period.",
            found.suppressed,
        )
    return found


def _refuse_few_users(coarse: pd.DataFrame, named: Sequence[str], rule: Rule) -> None:
    """Raise if no cell can ever have enough users, whatever is generalised."""
    users = int(coarse["user"].nunique())
    unknown_users = bool(coarse["user"].isna().any())  # one user together
    if users + unknown_users >= rule.min_users:
        return
    who = f"only {users} user{'s' * (users > 1)}" if users else "no users"
    raise AnonymityError(
        f"the log names {who}: no cell can have {rule.min_users} distinct ones, and nothing of it "
        "may be published.",
        failing(coarse, named, rule),
    )


def _released(table: pd.DataFrame, named: Sequence[str], rule: Rule) -> pd.DataFrame:
    """Rows in an order, and categories with values, that give nobody away."""
    merged = {
        name: merge_rare(table[name], table[rule.user], rule)
        for name in _categories(table)
        if name not in named
    }
    names = [str(name) for name in table]
    order = sorted(names, key=lambda name: name != "submit_s")  # time first, then as they stand
    return table.assign(**merged).sort_values(order, ignore_index=True)


def _categories(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if FIELDS[str(name)].role == "category"]


def _machine(jobs: Workload | pd.DataFrame) -> dict[str, Any]:
    if not isinstance(jobs, Workload):
        return {}
    return {"procs": jobs.procs, "nodes": jobs.nodes, "tier": jobs.tier}


def _fields(coarse: pd.DataFrame, found: Anonymised, whole: bool) -> dict[str, dict[str, str]]:
    """Unit, meaning and treatment of each published field."""
    fields = {}
    for name in map(str, coarse):
        done = treatment(name, coarse[name], found.levels.get(name))
        fields[name] = {**asdict(FIELDS[name]), "done": done}
        if whole and name in ENERGIES:
            fields[name]["meaning"] += ", of its whole nodes: see below"
    return fields


def _energy(jobs: Workload | pd.DataFrame, names: Sequence[str]) -> str:
    """What to know before energies of the release are used; nothing where it has none."""
    told = isinstance(jobs, Workload) and whole_nodes(jobs) and {*ENERGIES} & {*names}
    return WHOLE_NODES if told else ""


def _lost(coarse: pd.DataFrame, found: Anonymised) -> dict[str, float]:
    """Rows, users, cells, work and energy that suppression took away."""
    lost: dict[str, float] = {
        "rows": len(coarse),
        "rows_suppressed": len(coarse) - len(found.table),
        "cells_suppressed": len(found.suppressed),
        "users": int(coarse["user"].nunique()),
        "users_suppressed": int(coarse["user"].nunique() - found.table["user"].nunique()),
    }
    for name, amount in _amounts(coarse).items():
        kept = amount[found.table.index].sum() / amount.sum()
        lost[f"{name}_share_suppressed"] = round(float(1 - kept), 4)
    return lost


def _amounts(coarse: pd.DataFrame) -> dict[str, pd.Series]:
    """Energy [J] and work [processor-seconds] of each job, as far as they are known."""
    products = {
        "energy": ["energy_j"] if "energy_j" in coarse else ["power_w", "runtime_s"],
        "work": ["procs", "runtime_s"],
    }
    amounts = {
        what: coarse[names].clip(lower=0).prod(axis=1, skipna=False).fillna(0.0)
        for what, names in products.items()
        if set(names) <= set(coarse)
    }
    return {what: amount for what, amount in amounts.items() if amount.sum() > 0}


def _linkages(
    before: pd.DataFrame, after: pd.DataFrame, named: Sequence[str]
) -> dict[str, dict[str, float]]:
    """What the attacks find before and after, and after for who knows every field; in shares."""
    every = [str(name) for name in after if FIELDS[str(name)].role != "id"]
    attacks = {"before": (before, named), "after": (after, named), "all fields": (after, every)}
    shares = {}
    for name, (table, known) in attacks.items():
        found = asdict(linkage(table, known))
        found[f"users_found_by_{KNOWN_JOBS}_jobs"] = singled_out(table, known, KNOWN_JOBS)
        shares[name] = {what: round(share, 4) for what, share in found.items()}
    return shares


def _write(
    folder: Path,
    files: dict[str, pd.DataFrame],
    file_format: FileFormat,
    report: dict[str, Any],
    licence: str,
    contact: str,
) -> None:
    """Write everything, or nothing."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".release-") as beside:
        partial = Path(beside) / folder.name
        partial.mkdir()
        report["files"] = {}
        for name, table in files.items():
            path = partial / f"{name}.{file_format}"
            if file_format == "csv":
                table.to_csv(path, index=False, lineterminator="\n")
            else:
                table.to_parquet(path, index=False)
            report["files"][path.name] = {
                "rows": len(table),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        (partial / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        text = readme(report, licence, contact)
        (partial / "README.md").write_text(text, encoding="utf-8")
        partial.rename(folder)
