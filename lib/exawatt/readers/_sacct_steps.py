"""Steps of a job, each with a line of its own, merged into the job."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from exawatt.readers._faults import Fault
from exawatt.readers._sacct_fields import SOURCES, Fields, find_text, parse_quantity
from exawatt.readers._sacct_table import Table
from exawatt.readers._sacct_times import parse_instants, zone
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
    """Bring the energy of steps, and the largest of their memories, into their jobs' fields.

    What is to be said of the energies goes into the fields' findings.
    """
    if not owner.size:
        return []
    ids = find_text(steps, "job")
    assert ids is not None
    numbers = fields.numbers
    nodes = numbers["allocated_nodes"]
    nodes = np.where(nodes > 0, nodes, numbers["requested_nodes"])
    energies, faults = _energies(steps, ids, owner)
    numbers["energy_j"], notes = job_energy(numbers["energy_j"], nodes, energies)
    for reason, jobs in notes.items():
        if jobs.any():
            fields.findings.append(Finding("noted", reason, int(jobs.sum()), 0, "energy_j"))
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


class Steps(NamedTuple):
    """Steps whose energy is known, in the order of their jobs and begins."""

    owner: Rows
    """Row of the job."""
    kind: np.ndarray
    """``batch``, ``interactive``, ``extern`` or a number, as text."""
    energy_j: Floats
    nodes: Floats
    """NaN where unknown."""
    start_s: Floats
    end_s: Floats
    """On any clock; NaN where unknown."""

    def take(self, chosen: Rows) -> "Steps":
        """Some of them."""
        return Steps(*(column[chosen] for column in self))


def _energies(steps: Table, ids: pd.Series, owner: Rows) -> tuple[Steps, list[Fault]]:
    """Steps with an energy, and what was wrong with energies; times are only compared."""
    energy_j, faults = parse_quantity(steps, SOURCES["energy_j"])
    known = np.flatnonzero(np.isfinite(energy_j))
    nodes, _ = parse_quantity(steps, SOURCES["allocated_nodes"])
    unknown = np.full(known.size, np.nan)
    start_s, end_s = (
        parse_instants(steps.texts[name].iloc[known], zone(None), None).utc_s
        if name in steps.texts
        else unknown
        for name in ("start", "end")
    )
    lasting = end_s > start_s
    start_s, end_s = (np.where(lasting, values, np.nan) for values in (start_s, end_s))
    kind = ids.iloc[known].str.replace(r"^[^.]*\.", "", regex=True).to_numpy()
    found = Steps(owner[known], kind, energy_j[known], nodes[known], start_s, end_s)
    return found.take(np.lexsort([start_s, found.owner])), faults


#: What a cleaning report says of jobs whose steps' energies do not simply add up.
ONCE = "steps ran side by side on the same nodes, whose energy counts once"
PERHAPS = "steps may have run at once on the same nodes, whose energy then counts several times"
SMALL = "extern step has less energy than another, and does not count"


def job_energy(job_j: Floats, nodes: Floats, steps: Steps) -> tuple[Floats, dict[str, Rows]]:
    """Energy of each job, every joule counted once.

    Parameters
    ----------
    job_j : ndarray, shape (n_jobs,)
        Energy on the jobs' own lines [J].
    nodes : ndarray, shape (n_jobs,)
        Nodes of the jobs; NaN where unknown.
    steps : Steps

    Returns
    -------
    energy_j : ndarray, shape (n_jobs,)
    notes : dict of str to ndarray of bool, shape (n_jobs,)
        Which jobs :data:`ONCE`, :data:`PERHAPS` and :data:`SMALL` are true of.

    Notes
    -----
    Slurm measures whole nodes for as long as a step runs. The ``extern`` step is there on all
    nodes from begin to end, so its energy is the job's, unless it is less than that of another
    step. Where there is none, the ``batch`` step (``interactive`` likewise) covers the first
    node, which of a job of one node is all, and steps that ran inside the batch script cover
    their nodes for a part of the same time. Slurm adds all these up for the line of the job, and
    so counts a node twice. Here the larger of the batch step's and of the numbered steps' is
    taken: what other nodes used before and after their steps may be missing. Of numbered steps
    that ran at one time on more nodes than the job had, power is scaled down to those it had.
    The job's own line serves where no step has an energy.
    """
    extern = steps.kind == "extern"
    batch = np.isin(steps.kind, ["batch", "interactive"])
    size = len(job_j)
    whole = _gathered(np.fmax, steps.energy_j[extern], steps.owner[extern], size)
    first = _gathered(np.fmax, steps.energy_j[batch], steps.owner[batch], size)
    numbered = steps.take(~extern & ~batch)
    added = _gathered(np.add, numbered.energy_j, numbered.owner, size)
    largest = _gathered(np.fmax, numbered.energy_j, numbered.owner, size)
    once, unclear = _side_by_side(numbered, nodes, added)
    alone = (nodes == 1) & np.isfinite(first)
    once[alone] = largest[alone]
    small = whole < np.fmax(first, largest)
    # An extern step that misses a little is no reason to count a node twice.
    once = np.where(small & unclear, largest, once)
    best = np.fmax(first, once)
    covered = np.isfinite(whole) & ~small
    notes = {
        ONCE: ~covered & (added > best * (1 + 1e-9)),  # but for rounding
        PERHAPS: np.isnan(whole) & unclear & ~alone & (added >= best),
        SMALL: small,
    }
    best = np.where(covered, whole, best)
    return np.where(np.isnan(best), job_j, best), notes


def _side_by_side(steps: Steps, nodes: Floats, added: Floats) -> tuple[Floats, Rows]:
    """Energy of each job's numbered steps, and of which jobs it may contain a node twice."""
    energy_j, unclear = added.copy(), np.zeros(added.size, dtype=bool)
    several = np.flatnonzero(np.bincount(steps.owner, minlength=added.size)[steps.owner] > 1)
    jobs = np.split(several, np.flatnonzero(np.diff(steps.owner[several])) + 1)
    for rows in jobs if several.size else ():
        own = steps.take(rows)
        job = own.owner[0]
        timed = np.isfinite(own.start_s).all()
        if timed and (own.start_s[1:] >= np.maximum.accumulate(own.end_s)[:-1]).all():
            continue  # one after the other
        # A step that does not tell its nodes may have had all of them.
        wanted = np.where(np.isnan(own.nodes), nodes[job], own.nodes)
        if timed and np.isfinite(wanted).all() and np.isfinite(nodes[job]):
            energy_j[job] = _scaled(own, wanted, nodes[job])
        else:
            unclear[job] = True
    return energy_j, unclear


def _scaled(steps: Steps, wanted: Floats, nodes: float) -> float:
    """Energy of steps of one job, whose nodes count once at any time [J]."""
    times = np.concatenate([steps.start_s, steps.end_s])
    power_w = steps.energy_j / (steps.end_s - steps.start_s)
    order = np.argsort(times, kind="stable")
    total_w, total = (
        np.cumsum(np.concatenate([values, -values])[order])[:-1] for values in (power_w, wanted)
    )
    share = np.minimum(1.0, nodes / np.maximum(total, 1.0))
    return float((total_w * share * np.diff(times[order])).sum())


def _gathered(add: np.ufunc, values: Floats, owner: Rows, jobs: int) -> Floats:
    """Known values of each job brought together; NaN where there are none."""
    known = np.isfinite(values)
    total = np.zeros(jobs)
    add.at(total, owner[known], values[known])
    return np.where(np.bincount(owner[known], minlength=jobs) > 0, total, np.nan)
