"""Standard Workload Format: 18 numbers a line, -1 for unknown, header lines that begin with ;.

References
----------
.. [1] S. Chapin et al., "Benchmarks and Standards for the Evaluation of Parallel Job
   Schedulers", JSSPP 1999.
.. [2] D. Feitelson, D. Tsafrir, D. Krakov, "Experience with Using the Parallel Workloads
   Archive", JPDC 74(10), 2014.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.readers._faults import Fault, counted, mend_lines, refuse
from exawatt.readers._swf_header import Header
from exawatt.readers._swf_parser import DATA, HEADER, N_FIELDS, ODD, split_lines
from exawatt.readers.files import TraceError, bare_name, read_file, write_file
from exawatt.stats import Floats
from exawatt.workload import Finding, Workload, as_table, clean, report

#: The 18 fields in file order, by the names a workload gives them.
FIELDS = (
    "job submit_s wait_s runtime_s allocated_procs cpu_s memory_kb requested_procs requested_s "
    "requested_memory_kb status user group app queue partition preceding_job think_time_s"
).split()
WHOLE = (
    "job allocated_procs requested_procs status user group app queue partition preceding_job"
).split()
MEASURED = [name for name in FIELDS if name not in WHOLE]
assert len(FIELDS) == N_FIELDS


def read_swf(
    path: Path | str, *, strict: bool = True, procs: int | None = None, name: str | None = None
) -> Workload:
    """Read a trace in Standard Workload Format, plain or compressed.

    Parameters
    ----------
    path : path-like
        ``.swf``, also with ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` behind.
    strict : bool
        Raise on the first defect; otherwise work around every one of them, and count it in the
        cleaning report.
    procs : int, optional
        Processors of the machine; the header's MaxProcs, else MaxNodes, when not given.
    name : str, optional
        What to call the trace; the file's name when not given.

    Raises
    ------
    TraceError
        Naming file, line, field and value. A file without any job raises even when not strict.

    Notes
    -----
    Defects are: a wrong number of fields, what is no finite number, a damaged or truncated
    stream, CRLF line ends, a header that is not UTF-8, jobs larger than the machine,
    submissions out of time order, negative quantities other than -1, and a header without the
    machine's size. Unknown (-1) or zero
    runtimes and sizes are ordinary content of the format: such jobs are dropped and counted
    whether strict or not.
    """
    path = Path(path)
    text, sha256, broken = read_file(path)
    text, faults = mend_lines(text, broken)
    values, lines, header, line_faults = _parse(text)
    faults += line_faults
    del text
    if lines.size == 0:
        first = f" (line {faults[0].line}: {faults[0].problem})" if faults else ""
        wanted = "an SWF file has one line of 18 numbers a job"
        raise TraceError(path, f"holds no job that can be read{first}: {wanted}.")
    faults += _negatives(values, lines)
    if strict:
        refuse(path, faults)
    jobs, missing_sizes = _jobs(values)
    del values
    largest_job = None if strict or jobs.empty else int(jobs["procs"].max())
    machine = Header.parse(path, header, procs, largest_job)
    if strict:
        refuse(path, _misfits(jobs, lines, machine.procs))
    jobs, cleaning = clean(jobs, machine.procs, lines, unknown="-1")
    noted = missing_sizes + cleaning + _requests(jobs) + machine.findings
    return Workload(
        jobs,
        procs=machine.procs,
        name=name or bare_name(path),
        source=str(path),
        sha256=sha256,
        nodes=machine.nodes,
        start=machine.start,
        timezone=machine.timezone,
        tier=machine.tier,
        header=header,
        cleaning=report(counted(faults) + noted),
    )


def _parse(text: bytes) -> tuple[Floats, np.ndarray, tuple[str, ...], list[Fault]]:
    """Fields (18, n) and line numbers of the sound rows, header lines, and faults."""
    values, begin, kind = split_lines(text)
    header, faults = _header_lines(text, begin, kind)
    for line in np.flatnonzero(kind == ODD):
        row = text[begin[line] : begin[line + 1]].decode("latin-1")
        fault = _parse_odd(row, values[:, line])
        if fault is None:
            kind[line] = DATA
        else:
            faults.append(Fault("dropped", fault[0], int(line) + 1, *fault[1:]))
    sound = kind == DATA
    whole = np.isin(FIELDS, WHOLE)
    for line in np.flatnonzero(sound & (values[whole] % 1 != 0).any(axis=0)):
        field = next(i for i in np.flatnonzero(whole) if values[i, line] % 1 != 0)
        problem = "is not a whole number"
        value = f"{values[field, line]:g}"
        faults.append(Fault("dropped", problem, int(line) + 1, FIELDS[field], value))
        sound[line] = False
    lines = np.flatnonzero(sound) + 1
    # A slice is a view, and most files have their rows in one run; others need a copy.
    in_one_run = lines.size > 0 and lines[-1] - lines[0] + 1 == lines.size
    rows = slice(lines[0] - 1, lines[-1]) if in_one_run else sound
    return values[:, rows], lines, header, faults


def _header_lines(
    text: bytes, begin: np.ndarray, kind: np.ndarray
) -> tuple[tuple[str, ...], list[Fault]]:
    header, faults = [], []
    for line in np.flatnonzero(kind == HEADER):
        raw = text[begin[line] : begin[line + 1]].rstrip(b"\n")
        try:
            header.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            header.append(raw.decode("latin-1"))
            problem = "the header is not UTF-8, read as Latin-1"
            faults.append(Fault("repaired", problem, int(line) + 1, "header", header[-1]))
    return tuple(header), faults


def _parse_odd(row: str, values: Floats) -> tuple[str, str, str] | None:
    """Fill `values` from a line the fast loop would not take, or say what is wrong with it."""
    texts = row.split()
    if len(texts) != N_FIELDS:
        return f"has {len(texts)} fields instead of {N_FIELDS}", "line", row.strip()[:80]
    for i, text in enumerate(texts):
        try:
            number = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not abs(number) < 2**53:
            return "is not a number", FIELDS[i], text[:80]
        values[i] = number
    return None


def _negatives(values: Floats, lines: np.ndarray) -> list[Fault]:
    """Turn -1 into NaN in measured quantities; other negative values too, with a fault."""
    faults = []
    for name in MEASURED:
        column = values[FIELDS.index(name)]
        for row in np.flatnonzero((column < 0) & (column != -1)):
            value, remedy = f"{column[row]:g}", "taken as unknown"
            faults.append(
                Fault("repaired", "is negative", int(lines[row]), name, value, remedy=remedy)
            )
        column[column < 0] = np.nan
    return sorted(faults, key=lambda fault: fault.line)


def _jobs(values: Floats) -> tuple[pd.DataFrame, list[Finding]]:
    """Workload table of parsed fields; requested processors stand in for allocated ones."""
    columns = {
        name: values[i].astype(np.int64) if name in WHOLE else values[i]
        for i, name in enumerate(FIELDS)
    }
    allocated = columns.pop("allocated_procs")
    unallocated = (allocated <= 0) & (columns["requested_procs"] > 0)
    columns["procs"] = np.where(unallocated, columns["requested_procs"], allocated)
    findings = []
    if unallocated.any():
        reason = "allocated processors unknown, the requested ones taken"
        findings.append(Finding("repaired", reason, int(unallocated.sum()), 0, "procs"))
    return as_table(pd.DataFrame(columns, copy=False)), findings


def _misfits(jobs: pd.DataFrame, lines: np.ndarray, procs: int) -> list[Fault]:
    """First job larger than the machine, and first submission before an earlier one."""
    faults: list[Fault] = []
    usable = (jobs["runtime_s"] > 0).to_numpy() & np.isfinite(jobs["submit_s"]).to_numpy()
    large = np.flatnonzero(usable & (jobs["procs"] > procs).to_numpy())
    if large.size:
        value = str(jobs["procs"].iloc[large[0]])
        problem = f"is larger than the machine of {procs} processors"
        faults.append(Fault("dropped", problem, int(lines[large[0]]), "procs", value))
    known = np.flatnonzero(np.isfinite(jobs["submit_s"]))
    submit = jobs["submit_s"].to_numpy()[known]
    early = np.flatnonzero(np.diff(submit) < 0)
    if early.size:
        row = known[early[0] + 1]
        value = f"{submit[early[0] + 1]:g}"
        problem = f"lies before the previous submission at {submit[early[0]]:g}"
        faults.append(Fault("repaired", problem, int(lines[row]), "submit_s", value))
    return sorted(faults, key=lambda fault: fault.line)


def _requests(jobs: pd.DataFrame) -> list[Finding]:
    """Note what a scheduler would want to know of the requested times."""
    missing = int(jobs["requested_s"].isna().sum())
    above = int((jobs["runtime_s"] > jobs["requested_s"]).sum())
    notes = {"no requested time": missing, "runtime above the request": above}
    return [Finding("noted", what, n, 0, "requested_s") for what, n in notes.items() if n]


def write_swf(workload: Workload, path: Path | str) -> None:
    """Write a workload in Standard Workload Format, compressed by the path's ending.

    Reading the file back gives the same jobs and header.

    Raises
    ------
    ValueError
        The workload has GPUs or per-job power, for which the format has no field.
    """
    jobs = workload.jobs
    for name, unset in (("gpus", jobs["gpus"] == 0), ("power_w", jobs["power_w"].isna())):
        if not unset.all():
            raise ValueError(f"SWF has no field for {name}, which {workload.name} has.")
    table = {}
    for name in FIELDS:
        source = "procs" if name == "allocated_procs" else name
        column = jobs[source] if source in jobs else pd.Series(-1, index=jobs.index)
        table[name] = column.map(_swf_number)
    body = pd.DataFrame(table).to_csv(sep=" ", header=False, index=False, lineterminator="\n")
    head = "".join(f"{line}\n" for line in Header.lines(workload))
    write_file(Path(path), (head + body).encode())


def _swf_number(value: float) -> str:
    if value != value:
        return "-1"
    return str(int(value)) if value == int(value) else repr(float(value))
