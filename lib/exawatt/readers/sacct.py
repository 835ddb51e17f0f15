"""Slurm accounting: what ``sacct --parsable2`` prints, jobs with their energy.

References
----------
.. [1] A. Yoo, M. Jette, M. Grondona, "SLURM: Simple Linux Utility for Resource Management",
   JSSPP 2003.
"""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.readers._faults import Fault, counted, mend_lines, refuse
from exawatt.readers._sacct_fields import NAMES, missing, parse_fields
from exawatt.readers._sacct_jobs import make_jobs
from exawatt.readers._sacct_rows import job_rows
from exawatt.readers._sacct_steps import merge_steps, split_steps
from exawatt.readers._sacct_table import COMMAND, header, read_table, spelling
from exawatt.readers.files import TraceError, bare_name, read_file, read_start
from exawatt.workload import Finding, Workload, as_table, clean, report

#: Noted of every file with energy.
WHOLE_NODES = "energy is of whole nodes: a job that shared one is charged its neighbours' too"

#: A file whose first line has so many known names is taken for accounting.
_ENOUGH_NAMES = 3


def is_sacct(path: Path) -> bool:
    """Whether a file looks like Slurm accounting, by its first line."""
    first = read_start(path).partition(b"\n")[0]
    names, _ = header(first)
    return b"|" in first or len(NAMES.intersection(names)) >= _ENOUGH_NAMES


def read_sacct(
    path: Path | str,
    *,
    strict: bool = True,
    procs: int | None = None,
    timezone: str | None = None,
    name: str | None = None,
    names: bool = False,
) -> Workload:
    """Read Slurm accounting, the output of ``sacct --parsable2``, plain or compressed.

    Parameters
    ----------
    path : path-like
        Fields between ``|``, ``,``, ``;`` or tabs below one line with their names. Only
        ``Submit``, ``State``, a size (``AllocCPUS``, else ``ReqCPUS``) and a time
        (``ElapsedRaw``, ``Elapsed``, ``Start`` and ``End``, else ``CPUTimeRAW``) are needed.
    strict : bool
        Raise on the first defect; otherwise work around every one of them, and count it in the
        cleaning report.
    procs : int, optional
        Processors of the machine. The file does not tell: without it the most that jobs used at
        once is taken, which is noted.
    timezone : str, optional
        IANA zone of the wall clock in the file; UTC when not given. Times with an offset, or in
        seconds since 1970 (``SLURM_TIME_FORMAT=%s``), need none.
    name : str, optional
        What to call the trace; the file's name when not given.
    names : bool
        Keep the names of users, groups and jobs, as ``user_name``, ``group_name`` and
        ``app_name``: they are what a release hashes, so that a person can be found in it again.

    Returns
    -------
    Workload
        ``submit_s`` counts from the first submission. ``power_w`` is ``energy_j`` over
        ``runtime_s``, NaN where the energy is 0 or unknown. Users, groups, job names,
        partitions and QOS are numbered from 1 in order of appearance, and the names forgotten
        unless `names`.

    Raises
    ------
    TraceError
        Naming file, line, field and value. Where columns are missing it tells the command that
        exports them. A file without any job that ran raises even when not strict.

    Notes
    -----
    Each row of the file is a job, or is dropped, or is a step merged into its job; the cleaning
    report counts the last two. The tasks of an array and the parts of a heterogeneous job are
    jobs, for each has an allocation of its own; so is each attempt of a requeued job.

    Energy of steps counts once: that of the ``extern`` step, which covers the whole allocation;
    else the larger of the ``batch`` step's and the sum of the numbered steps'; else that on the
    job's own line. Slurm measures whole nodes: for jobs that share a node, ``energy_j`` and
    ``power_w`` contain what their neighbours used.

    Where there is no elapsed time and no allocation, both are inferred from ``CPUTimeRAW`` and
    the request, see :mod:`exawatt.readers._sacct_allocation`.
    """
    path = Path(path)
    if not path.is_file():
        raise TraceError(path, "is no file.")
    text, sha256, broken = read_file(path)
    text, faults = mend_lines(text, broken)
    # A half line may hold names, and the report forgets names.
    faults = [replace(fault, value="") for fault in faults]
    _refuse_header(path, text)
    table, malformed = read_table(path, text, NAMES)
    spelled = spelling(text)
    del text
    allocations, steps, owner, findings = split_steps(table)
    fields = parse_fields(allocations, timezone)
    found = malformed + fields.faults + merge_steps(fields, steps, owner)
    faults += [replace(fault, field=spelled.get(fault.field, fault.field)) for fault in found]
    if strict:
        refuse(path, faults)
    rows, dropped = job_rows(allocations, fields)
    if rows.size == 0:
        raise TraceError(path, f"none of its {len(table.lines):,} rows is a job that ran.")
    jobs, unclear, derived = make_jobs(fields, rows, names)
    jobs, lines = jobs[~unclear], allocations.lines[rows][~unclear]
    origin = jobs["submit_s"].min()
    if not np.isfinite(origin):
        raise TraceError(path, "none of its jobs has a known size, elapsed time and submission.")
    instants = [name for name in ("submit_s", "eligible_s") if name in jobs]
    jobs = as_table(jobs.assign(**{name: jobs[name] - origin for name in instants}))
    size, sized = _machine(jobs, procs)
    if strict:
        refuse(path, _too_large(jobs, lines, size))
    jobs, cleaning = clean(jobs, size, lines)
    gpus = most_at_once(jobs, "gpus")
    if gpus:
        reason = "no machine size in the file, the most GPUs used at once taken"
        sized = [*sized, Finding("noted", reason, 1, 0, "gpus", str(gpus))]
    noted = [*counted(faults), *fields.findings, *findings, *dropped, *derived, *sized, *cleaning]
    return Workload(
        jobs,
        procs=size,
        gpus=gpus,
        name=name or bare_name(path),
        source=str(path),
        sha256=sha256,
        start=pd.Timestamp(origin, unit="s", tz="UTC"),
        timezone=timezone or "UTC",
        cleaning=report(noted + _energy(jobs)),
    )


def clock_unknown(workload: Workload) -> bool:
    """Whether times were taken for UTC because neither the file nor the caller told their zone."""
    return bool(workload.cleaning["reason"].str.startswith("no time zone given").any())


def whole_nodes(workload: Workload) -> bool:
    """Whether the energy of jobs is that of their whole nodes, also where they shared one."""
    return bool((workload.cleaning["reason"] == WHOLE_NODES).any())


def _refuse_header(path: Path, text: bytes) -> None:
    names, _ = header(text)
    if lacking := missing(set(names)):
        found = text[:80].partition(b"\n")[0].decode("latin-1")
        problem = (
            f"the first line must name the fields, and lacks {', '.join(lacking)}. Export with\n"
            f"  {COMMAND}"
        )
        raise TraceError(path, problem, 1, "header", found)


def _machine(jobs: pd.DataFrame, procs: int | None) -> tuple[int, list[Finding]]:
    """Processors of the machine: those given, else the most that jobs used at once."""
    if procs is not None:
        return procs, []
    used = most_at_once(jobs)
    reason = "no machine size in the file, the most used at once taken: pass procs= (--procs)"
    return used, [Finding("noted", reason, 1, 0, "procs", str(used))]


def most_at_once(jobs: pd.DataFrame, what: str = "procs") -> int:
    """Most processors or GPUs in use at one time; the largest job's where no start is known."""
    usable = jobs[(jobs["runtime_s"] > 0) & (jobs[what] > 0) & jobs["submit_s"].notna()]
    least = 1 if what == "procs" else 0
    largest = max(least, ceil(usable[what].max())) if len(usable) else least
    if "wait_s" not in usable:
        return largest
    begin = usable["submit_s"] + usable["wait_s"].fillna(0)
    instants = np.concatenate([begin, begin + usable["runtime_s"]])
    change = np.concatenate([usable[what], -usable[what]])
    # At one instant, jobs that end make room for those that begin.
    return ceil(max(largest, np.cumsum(change[np.lexsort([change, instants])]).max(initial=0)))


def _too_large(jobs: pd.DataFrame, lines: np.ndarray, procs: int) -> list[Fault]:
    runs = (jobs["runtime_s"] > 0).to_numpy()
    large = np.flatnonzero(runs & (jobs["procs"] > procs).to_numpy())[:1]
    problem = f"is larger than the machine of {procs} processors"
    return [
        Fault("dropped", problem, int(lines[row]), "procs", str(jobs["procs"].iloc[row]))
        for row in large
    ]


def _energy(jobs: pd.DataFrame) -> list[Finding]:
    """Note how far the energies go, and what they are of."""
    if "energy_j" not in jobs:
        return []
    known = int(jobs["energy_j"].notna().sum())
    notes = {
        "energy 0 or unknown": len(jobs) - known,
        WHOLE_NODES: known,
    }
    return [Finding("noted", what, n, 0, "energy_j") for what, n in notes.items() if n]
