"""Workload: the jobs of a trace as a table, and what was done to make them usable."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd

Tier = Literal["real", "twin", "tiny"]

#: The columns every workload has: dtype, and what stands for "unknown".
COLUMNS: dict[str, tuple[str, float]] = {
    "job": ("int64", -1),
    "submit_s": ("float64", np.nan),
    "runtime_s": ("float64", np.nan),
    "requested_s": ("float64", np.nan),
    "procs": ("int64", -1),
    "gpus": ("float64", 0),
    "partition": ("int64", -1),
    "user": ("int64", -1),
    "group": ("int64", -1),
    "app": ("int64", -1),
    "status": ("int64", -1),
    "power_w": ("float64", np.nan),
}
REQUIRED = ("submit_s", "runtime_s", "procs")


class CleaningWarning(UserWarning):
    """Rows or columns of a table that a workload was made of will not be used."""


@dataclass(frozen=True)
class Finding:
    """One row of a cleaning report: what was dropped, repaired or noted, and how often."""

    action: Literal["dropped", "repaired", "noted"]
    reason: str
    count: int
    line: int = 0
    field: str = ""
    value: str = ""


def label(name: str, tier: Tier, sha256: str) -> str:
    """Name of a trace or series for captions: whether generated, and which file it is."""
    parts = [] if tier == "real" else ["generated"]
    parts += [sha256[:8]] if sha256 else []
    return f"{name} ({', '.join(parts)})" if parts else name


def report(findings: Sequence[Finding]) -> pd.DataFrame:
    """Cleaning report as a table, one row a kind of finding."""
    return pd.DataFrame(findings, columns=[entry.name for entry in fields(Finding)])


@dataclass(frozen=True, eq=False)
class Workload:
    """The jobs of one trace, in order of submission, and the machine they were meant for.

    Parameters
    ----------
    jobs : DataFrame or anything that makes one
        One row a job. ``submit_s`` [s, the file's own origin], ``runtime_s`` [s] and ``procs``
        are needed; the other names of :data:`COLUMNS` are filled with "unknown" (-1, or NaN)
        when absent, and further columns are kept. All of :data:`COLUMNS` hold numbers: seconds
        instead of dates, and users, groups and applications numbered, for example by
        ``pandas.factorize``.
    procs : int
        Processors of the machine.
    name, source, sha256 : str
        What to call the trace, where it was read, and the checksum of that file.
    nodes : int, optional
        Nodes of the machine; as many as processors when not given.
    gpus : int
        GPUs of the machine.
    start : Timestamp, optional
        UTC instant of ``submit_s = 0``.
    timezone : str
        Zone of the machine's wall clock.
    tier : {"real", "twin", "tiny"}
        Whether people submitted these jobs, or a model did.
    header : tuple of str
        Comment lines of the file, as they stood there.
    cleaning : DataFrame
        What was done to the rows on the way here; see :class:`Finding`.

    Notes
    -----
    Jobs with no submission time, no positive runtime or size, or larger than the machine are
    dropped with a :class:`CleaningWarning`, and counted in `cleaning`. A missing request stays
    missing.
    """

    jobs: pd.DataFrame
    procs: int
    name: str = "workload"
    source: str = ""
    sha256: str = ""
    nodes: int | None = None
    gpus: int = 0
    start: pd.Timestamp | None = None
    timezone: str = "UTC"
    tier: Tier = "real"
    header: tuple[str, ...] = ()
    cleaning: pd.DataFrame = field(default_factory=lambda: report([]))

    def __post_init__(self) -> None:
        """Bring the table to its contract."""
        for name in ("procs", "nodes", "gpus"):
            size = getattr(self, name)
            whole = isinstance(size, Integral) and not isinstance(size, bool)
            if not whole and (name, size) != ("nodes", None):
                raise ValueError(f"{name}(={size!r}) must be a whole number: the machine's size.")
        if self.procs < 1:
            raise ValueError(f"procs(={self.procs}) must be at least 1: the machine's size.")
        if self.gpus < 0:
            raise ValueError(f"gpus(={self.gpus}) must not be negative: the machine's GPUs.")
        nodes = self.procs if self.nodes is None else self.nodes
        if not 1 <= nodes <= self.procs:
            raise ValueError(f"nodes(={nodes}) must lie between 1 and procs(={self.procs}).")
        table = as_table(self.jobs)
        jobs, findings = clean(table, self.procs)
        cleaning = self.cleaning
        if findings:
            cleaning = pd.concat([cleaning, report(findings)], ignore_index=True)
        if len(jobs) < len(table):
            dropped = [found for found in findings if found.action == "dropped"]
            reasons = ", ".join(f"{f.count:,} {f.reason} ({f.field}={f.value})" for f in dropped)
            lost = f"{len(table) - len(jobs):,} of {len(table):,} rows dropped: {reasons}"
            warnings.warn(f"{self.name}: {lost}.", CleaningWarning, stacklevel=3)
        object.__setattr__(self, "jobs", jobs)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "cleaning", cleaning)

    def __len__(self) -> int:
        """Number of jobs."""
        return len(self.jobs)

    def __repr__(self) -> str:
        """Return the trace in one line."""
        dropped = int(self.cleaning.loc[self.cleaning["action"] == "dropped", "count"].sum())
        lost = f", {dropped:,} row{'s' * (dropped > 1)} dropped" if dropped else ""
        return (
            f"Workload({self.label}: {len(self):,} jobs, {self.procs:,} processors, "
            f"{self.days:.1f} days{lost})"
        )

    @property
    def label(self) -> str:
        """Name, provenance and the first digits of the checksum, for captions."""
        return label(self.name, self.tier, self.sha256)

    @property
    def days(self) -> float:
        """Time from the first submission to the last [d]."""
        return float(np.ptp(self.jobs["submit_s"])) / 86400 if len(self) else 0.0

    @property
    def offered_load(self) -> float:
        """Processor-seconds asked for per processor-second of the submission span [-]."""
        work = float((self.jobs["procs"] * self.jobs["runtime_s"]).sum())
        return work / (self.procs * self.days * 86400) if self.days else np.nan


def as_table(jobs: pd.DataFrame | Mapping[str, Any] | Sequence[Any]) -> pd.DataFrame:
    """Table with every contract column, in contract order, further columns behind.

    Raises
    ------
    ValueError
        A needed column is absent, or a column holds what is no number.

    Warns
    -----
    CleaningWarning
        A further column has nearly the name of a column that is absent.
    """
    table = jobs if isinstance(jobs, pd.DataFrame) else pd.DataFrame(jobs)
    dtypes = {str(name): str(dtype) for name, dtype in table.dtypes.items()}
    if [*dtypes.items()][: len(COLUMNS)] == [(name, dtype) for name, (dtype, _) in COLUMNS.items()]:
        return table
    missing = [name for name in REQUIRED if name not in dtypes]
    if missing:
        raise ValueError(
            f"jobs has no column {missing}; it needs {list(REQUIRED)} and has {list(dtypes)}."
        )
    _warn_of_near_misses(list(dtypes))
    columns: dict[str, Any] = {}
    for name, (dtype, unknown) in COLUMNS.items():
        if name in table.columns:
            columns[name] = _typed(table[name], name, dtype, unknown)
        elif name == "job":
            columns[name] = np.arange(1, len(table) + 1)
        else:
            columns[name] = np.full(len(table), unknown, dtype=dtype)
    extra = {str(name): table[name] for name in table.columns if name not in COLUMNS}
    return pd.DataFrame(columns | extra, index=table.index)


def _warn_of_near_misses(names: list[str]) -> None:
    absent = [name for name in COLUMNS if name not in names]
    for name in names:
        meant = get_close_matches(name.lower(), absent, n=1, cutoff=0.75)
        if meant and name not in COLUMNS:
            problem = f"column {name!r} is kept, and means nothing to a replay"
            # Up from here, as_table, __post_init__ and __init__ to who made the workload.
            message = f"{problem}: did you mean {meant[0]!r}?"
            warnings.warn(message, CleaningWarning, stacklevel=5)


def _typed(column: pd.Series, name: str, dtype: str, unknown: float) -> pd.Series:
    if str(column.dtype) == dtype:
        return column
    column = column.infer_objects()
    if column.dtype.kind in "mM":
        raise ValueError(f"column {name!r} holds {column.dtype}; {_seconds_of(name, column)}.")
    try:
        numbers = pd.to_numeric(column).fillna(unknown)
    except (ValueError, TypeError):
        bad = next((value for value in column if not _is_number(value)), column.iloc[0])
        numbered = dtype == "int64" and name not in REQUIRED
        advice = "number its values, as pandas.factorize does" if numbered else "pass numbers"
        raise ValueError(f"column {name!r} must hold numbers, not {bad!r}: {advice}.") from None
    if dtype == "int64" and not np.all(np.isfinite(numbers) & (numbers % 1 == 0)):
        bad = column[~(np.isfinite(numbers) & (numbers % 1 == 0))].iloc[0]
        raise ValueError(f"column {name!r} must hold whole numbers, not {bad!r}.")
    return numbers.astype(np.int64 if dtype == "int64" else np.float64)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True


def _seconds_of(name: str, column: pd.Series) -> str:
    """How to make seconds of dates or of time spans."""
    if column.dtype.kind == "m":
        return f"pass seconds: jobs.{name}.dt.total_seconds()"
    since = f"(jobs.{name} - jobs.submit_s.min()).dt.total_seconds()"
    return f"pass seconds: {since}, and the UTC instant of jobs.submit_s.min() as start="


def clean(
    jobs: pd.DataFrame, procs: int, lines: np.ndarray | None = None, unknown: str = "nan"
) -> tuple[pd.DataFrame, list[Finding]]:
    """Drop the rows no replay can use, sort the rest by submission, and say what was done.

    Parameters
    ----------
    jobs : DataFrame
        A table as :func:`as_table` makes it.
    procs : int
        Processors of the machine.
    lines : ndarray of int, shape (n_jobs,), optional
        Line of each row in its file, for the report.
    unknown : str
        How that file writes an unknown value.

    Returns
    -------
    DataFrame
        The jobs kept, stably sorted by ``submit_s``.
    list of Finding
        Each dropped row counts once, under the first reason that applies.
    """
    runs = jobs["runtime_s"].between(0, np.inf, inclusive="neither")
    reasons = {
        "submission time unknown": ("submit_s", ~np.isfinite(jobs["submit_s"])),
        "no positive runtime": ("runtime_s", ~runs),
        "no positive size": ("procs", ~(jobs["procs"] > 0)),
        "larger than the machine": ("procs", jobs["procs"] > procs),
    }
    findings = []
    keep = np.ones(len(jobs), dtype=bool)
    for reason, (column, fails) in reasons.items():
        rows = np.flatnonzero(keep & fails.to_numpy())
        if rows.size:
            line = 0 if lines is None else int(lines[rows[0]])
            number = jobs[column].iloc[rows[0]]
            value = unknown if np.isnan(number) else f"{number:g}"
            findings.append(Finding("dropped", reason, rows.size, line, column, value))
            keep[rows] = False
    if not keep.all():
        jobs = jobs[keep]
    nonsense = (jobs["requested_s"] <= 0).to_numpy()
    if nonsense.any():
        value = f"{jobs['requested_s'][nonsense].iloc[0]:g}"
        reason = "request not positive, taken as missing"
        findings.append(Finding("repaired", reason, int(nonsense.sum()), 0, "requested_s", value))
        jobs = jobs.assign(requested_s=jobs["requested_s"].mask(nonsense))
    inversions = int((np.diff(jobs["submit_s"]) < 0).sum())
    if inversions:
        reason = "submissions out of time order, sorted"
        findings.append(Finding("repaired", reason, inversions, 0, "submit_s"))
        jobs = jobs.sort_values("submit_s", kind="stable")
    return jobs.reset_index(drop=True), findings
