"""Steps of a job, each with a line of its own, merged into the job."""

import numpy as np
import pandas as pd

from exawatt.readers._faults import Fault
from exawatt.readers._sacct_fields import SOURCES, Fields, find_text, parse_quantity
from exawatt.readers._sacct_table import Table
from exawatt.stats import Floats
from exawatt.workload import Finding

Rows = np.ndarray


def split_steps(table: Table) -> tuple[Table, Table, Rows, list[Finding]]:
    """Jobs and steps of a file.

    Returns
    -------
    jobs, steps : Table
    owner : ndarray of int
        Row among `jobs` that each step belongs to.
    findings : list of Finding
        How many steps there are, and how many belong to no job.
    """
    ids = find_text(table, "job")
    if ids is None:
        return table, table.take(np.arange(0)), np.arange(0), []
    is_step, owner = owners(ids)
    jobs, steps = np.flatnonzero(~is_step), np.flatnonzero(is_step & (owner >= 0))
    lost = np.flatnonzero(is_step & (owner < 0))
    findings = []
    if steps.size:
        reason = "job step, merged into its job"
        findings.append(Finding("noted", reason, steps.size, int(table.lines[steps[0]]), "JobID"))
    if lost.size:
        line, value = int(table.lines[lost[0]]), str(ids.iloc[lost[0]])
        reason = "job step without its job"
        findings.append(Finding("dropped", reason, lost.size, line, "JobID", value))
    among_jobs = np.cumsum(~is_step) - 1
    return table.take(jobs), table.take(steps), among_jobs[owner[steps]], findings


def merge_steps(fields: Fields, steps: Table, owner: Rows) -> list[Fault]:
    """Bring the energy of steps, and the largest of their memories, into their jobs' fields."""
    if not owner.size:
        return []
    ids = find_text(steps, "job")
    assert ids is not None
    numbers = fields.numbers
    energy_j, faults = parse_quantity(steps, SOURCES["energy_j"])
    numbers["energy_j"] = job_energy(
        numbers["energy_j"], energy_j, ids.str.replace(r"^[^.]*\.", "", regex=True), owner
    )
    rss_kb, found = parse_quantity(steps, SOURCES["max_rss_kb"])
    largest_kb = _gathered(np.fmax, rss_kb, owner, len(numbers["max_rss_kb"]))
    numbers["max_rss_kb"] = np.fmax(numbers["max_rss_kb"], largest_kb)
    return faults + found


def owners(ids: pd.Series) -> tuple[Rows, Rows]:
    """Which rows are steps, and the row of the job that each row belongs to.

    Returns
    -------
    is_step : ndarray of bool
        A step's id has a dot: ``123.batch``, ``123.extern``, ``123.0``.
    owner : ndarray of int
        Of a job its own row; of a step that of its job, -1 where the file has no such job.

    Notes
    -----
    Slurm prints the steps below their job, and with --duplicates a job that was requeued comes
    several times under one id: a step belongs to the nearest job above it, if that has its id,
    else to the first job that has.
    """
    is_step = ids.str.contains(".", regex=False).to_numpy()
    rows = np.arange(len(ids))
    if not is_step.any():
        return is_step, rows
    codes, _ = pd.factorize(ids.str.replace(r"\..*", "", regex=True))
    above = np.maximum.accumulate(np.where(is_step, -1, rows))
    owner = np.where((above >= 0) & (codes[above] == codes), above, -1)
    first = np.full(codes.max() + 1, -1)
    jobs = rows[~is_step][::-1]
    first[codes[jobs]] = jobs
    return is_step, np.where(owner < 0, first[codes], owner)


def job_energy(job_j: Floats, step_j: Floats, kind: pd.Series, owner: Rows) -> Floats:
    """Energy of each job, every joule counted once.

    Parameters
    ----------
    job_j : ndarray, shape (n_jobs,)
        Energy on the jobs' own lines [J].
    step_j : ndarray, shape (n_steps,)
        Energy of the steps [J].
    kind : Series of str, shape (n_steps,)
        ``batch``, ``interactive``, ``extern`` or a number.
    owner : ndarray of int, shape (n_steps,)
        Job of each step.

    Notes
    -----
    Slurm measures whole nodes for as long as a step runs. The ``extern`` step is there on all
    nodes from begin to end, so its energy is the job's. Where there is none, the ``batch`` step
    (``interactive`` likewise) covers the first node, and steps that ran inside the batch script
    cover their nodes for a part of the same time. Slurm adds all these up for the line of the
    job, and so counts a node twice. Here the larger of the batch step's and of the sum of the
    numbered steps' is taken: what other nodes used before and after their steps may be missing,
    and nothing is counted twice as long as numbered steps follow one another. The job's own line
    serves where no step has an energy.
    """
    extern = (kind == "extern").to_numpy()
    batch = kind.isin(["batch", "interactive"]).to_numpy()

    def gathered(add: np.ufunc, chosen: Rows) -> Floats:
        return _gathered(add, step_j[chosen], owner[chosen], len(job_j))

    steps = np.fmax(gathered(np.fmax, batch), gathered(np.add, ~extern & ~batch))
    whole = gathered(np.fmax, extern)
    best = np.where(np.isnan(whole), steps, whole)
    return np.where(np.isnan(best), job_j, best)


def _gathered(add: np.ufunc, values: Floats, owner: Rows, jobs: int) -> Floats:
    """Known values of each job brought together; NaN where there are none."""
    known = np.isfinite(values)
    total = np.zeros(jobs)
    add.at(total, owner[known], values[known])
    return np.where(np.bincount(owner[known], minlength=jobs) > 0, total, np.nan)
