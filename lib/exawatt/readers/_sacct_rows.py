"""Which lines of an accounting file are jobs that ran, and what becomes of the others."""

import numpy as np
import pandas as pd

from exawatt.readers._sacct_fields import INSTANTS, Fields
from exawatt.readers._sacct_table import Table
from exawatt.workload import Finding

Rows = np.ndarray

_GOING_ON = (
    "CONFIGURING PENDING REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD RUNNING SIGNALING STOPPED SUSPENDED"
).split()


def words(states: pd.Series) -> pd.Series:
    """First word of each state: who cancelled a job (``CANCELLED by 1234``) is not kept."""
    codes, distinct = pd.factorize(states)
    first = np.array([(*state.split(), "")[0].upper() for state in distinct], dtype=object)
    return pd.Series(first[codes], index=states.index, dtype=object)


def job_numbers(ids: pd.Series) -> np.ndarray:
    """Number that each job id begins with: 123 of ``123``, ``123_4`` and ``123+0``; else -1."""
    plain = ids.str.replace(r"[^0-9].*", "", regex=True).str.slice(0, 18)
    return pd.to_numeric(plain, errors="coerce").fillna(-1).to_numpy().astype(np.int64)


def job_rows(table: Table, fields: Fields) -> tuple[Rows, list[Finding]]:
    """Rows of the jobs that ran, of a table without steps.

    Returns
    -------
    rows : ndarray of int
    findings : list of Finding
        Every row that is not among them counts once.
    """
    kept = np.ones(len(table.lines), dtype=bool)
    findings = []

    state = words(fields.texts["state"])

    def drop(reason: str, out: Rows) -> None:
        if (lost := np.flatnonzero(kept & out)).size:
            line, value = int(table.lines[lost[0]]), str(state.iloc[lost[0]])
            findings.append(Finding("dropped", reason, lost.size, line, "State", value))
            kept[lost] = False

    if _own_ids(table):
        drop("line repeated", _repeated(table, fields.texts["job"]))
    drop("still pending or running", state.isin(_GOING_ON).to_numpy())
    starts = any(name in table.texts for name in INSTANTS["start"])
    ran = np.isfinite(fields.numbers["start"]) | (fields.numbers["elapsed_s"] > 0)
    drop("never started", starts & ~ran)
    return np.flatnonzero(kept), findings + _look_alikes(table, fields, kept)


def _own_ids(table: Table) -> bool:
    """Whether ids are Slurm's own, which differ from one task of an array to the next."""
    return "jobid" in table.texts or "jobidraw" in table.texts


def _repeated(table: Table, ids: pd.Series) -> Rows:
    """Jobs whose whole line stood there before, as where two exports overlap."""
    suspects = np.flatnonzero(ids.duplicated(keep=False))
    repeated = np.zeros(len(ids), dtype=bool)
    repeated[suspects] = pd.Series(
        [table.line(row) for row in suspects.tolist()], dtype=object
    ).duplicated()
    return repeated


def _look_alikes(table: Table, fields: Fields, kept: Rows) -> list[Finding]:
    """Note jobs kept that share a number, are parts of one job, or look like another."""
    findings = []
    if not _own_ids(table):
        every = pd.Series([table.line(row) for row in np.flatnonzero(kept).tolist()], dtype=object)
        reason = "equal to an earlier line, kept: without Slurm's JobID it may be another job"
        findings += _noted(reason, every.duplicated())
    if "job" not in fields.texts:
        return findings
    numbers = pd.Series(job_numbers(fields.texts["job"][kept]))
    shared = "job number of an earlier row, kept: task of an array, or a later attempt"
    findings += _noted(shared, numbers.duplicated())
    if "jobid" in table.texts:
        parts = table.texts["jobid"][kept].str.contains("+", regex=False)
        findings += _noted("part of a heterogeneous job, kept as a job of its own", parts)
    return findings


def _noted(reason: str, rows: pd.Series) -> list[Finding]:
    count = int(rows.sum())
    return [Finding("noted", reason, count, 0, "JobID")] if count else []
