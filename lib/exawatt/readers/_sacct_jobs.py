"""Jobs of a workload, from the fields of an accounting file."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from exawatt.readers._sacct_allocation import infer
from exawatt.readers._sacct_fields import Fields
from exawatt.readers._sacct_rows import job_numbers, words
from exawatt.stats import Floats
from exawatt.workload import Finding

COMPLETED, FAILED, CANCELLED, UNKNOWN = 1, 0, 5, -1
#: How a job ended, in the numbers of the Standard Workload Format.
STATUS = {
    "COMPLETED": COMPLETED,
    "CANCELLED": CANCELLED,
    "REVOKED": CANCELLED,
    **dict.fromkeys(
        "BOOT_FAIL DEADLINE FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED "
        "RECONFIG_FAIL REQUEUED TIMEOUT".split(),
        FAILED,
    ),
}
#: Names that are numbered, and then forgotten.
NUMBERED = ("partition", "user", "group", "app", "queue")
#: Those that are kept on request, as ``user_name`` and so on.
KEPT = ("user", "group", "app")


class Size(NamedTuple):
    """Processors and elapsed time of each job, and which jobs the two cannot be told of."""

    procs: Floats
    runtime_s: Floats
    unclear: np.ndarray
    findings: list[Finding]


def make_jobs(
    fields: Fields, rows: np.ndarray, names: bool
) -> tuple[pd.DataFrame, np.ndarray, list[Finding]]:
    """Table of the jobs in the given rows, submissions in seconds since 1970.

    Returns
    -------
    jobs : DataFrame
        The columns of a workload, and ``wait_s eligible_s requested_procs nodes cpu_s
        requested_memory_kb max_rss_kb energy_j queue hosts`` where the file tells them, with
        `names` the texts of :data:`KEPT` too. Memory requested and processor time are per
        processor, as in the Standard Workload Format.
    unclear : ndarray of bool
        Jobs whose elapsed time and size cannot be told.
    findings : list of Finding
    """
    numbers = {name: values[rows] for name, values in fields.numbers.items()}
    texts = {name: column.iloc[rows] for name, column in fields.texts.items()}
    state = words(texts["state"])
    codes = {name: _numbered(texts[name]) for name in NUMBERED if name in texts}
    nowhere = np.full(len(rows), UNKNOWN)
    size = _size(numbers, state, codes.get("partition", nowhere))
    wait_s, findings = _wait(numbers)
    nodes = _first(numbers["allocated_nodes"], numbers["requested_nodes"])
    status = state.map(STATUS).fillna(UNKNOWN).to_numpy().astype(np.int64)
    energy_j = numbers["energy_j"]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "submit_s": numbers["submit"],
            "runtime_s": size.runtime_s,
            "requested_s": numbers["requested_s"],
            "procs": _whole(size.procs),
            "gpus": np.nan_to_num(numbers["gpus"]),
            **{name: codes.get(name, nowhere) for name in NUMBERED if name != "queue"},
            "status": status,
            "power_w": energy_j / size.runtime_s,
        }
        further = {
            "wait_s": wait_s,
            "eligible_s": numbers["eligible"],
            "requested_procs": numbers["requested_procs"],
            "nodes": nodes,
            "cpu_s": numbers["cpu_s"] / size.procs,
            "requested_memory_kb": _memory(numbers, size.procs, nodes),
            "max_rss_kb": numbers["max_rss_kb"],
            "energy_j": energy_j,
        }
    columns |= {name: values for name, values in further.items() if np.isfinite(values).any()}
    for name in {"requested_procs", "nodes"} & columns.keys():
        columns[name] = _whole(columns[name])
    columns |= {"queue": codes["queue"]} if "queue" in codes else {}
    jobs = pd.DataFrame(columns)
    if "job" in texts:
        jobs["job"] = job_numbers(texts["job"])
    if "hosts" in texts:
        jobs["hosts"] = texts["hosts"].to_numpy()
    for name in KEPT if names else ():
        if name in texts:
            jobs[f"{name}_name"] = texts[name].to_numpy()
    findings += size.findings + _unnamed(state, status)
    return jobs, size.unclear, findings


def _numbered(names: pd.Series) -> np.ndarray:
    """Numbers from 1 in order of appearance; -1 where there is no name."""
    codes, distinct = pd.factorize(names)
    numbers = np.cumsum(distinct != "")
    return np.where(distinct == "", UNKNOWN, numbers)[codes]


def _first(best: Floats, other: Floats) -> Floats:
    """The one value where it is positive, else the other."""
    return np.where(best > 0, best, np.where(other > 0, other, np.nan))


def _whole(values: Floats) -> np.ndarray:
    return np.nan_to_num(values, nan=UNKNOWN).astype(np.int64)


def _size(numbers: dict[str, Floats], state: pd.Series, partition: np.ndarray) -> Size:
    """Allocated processors, else requested ones; elapsed time as logged, else from cpu time."""
    given, asked = numbers["allocated_procs"].copy(), numbers["requested_procs"]
    cpu_s, elapsed_s = numbers["allocated_cpu_s"], numbers["elapsed_s"]
    elapsed_s = np.where(np.isnan(elapsed_s), numbers["end"] - numbers["start"], elapsed_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        elapsed_s = np.where(np.isnan(elapsed_s), cpu_s / given, elapsed_s)
    unclear, findings = np.zeros(len(state), dtype=bool), []
    if (blind := np.isnan(elapsed_s) & np.isnan(given) & np.isfinite(cpu_s + asked)).any():
        found = infer(
            cpu_s[blind],
            asked[blind],
            numbers["requested_nodes"][blind],
            partition[blind],
            numbers["requested_s"][blind],
            (state == "TIMEOUT").to_numpy()[blind],
        )
        given[blind], elapsed_s[blind], unclear[blind] = found[:3]
        findings += found.findings
    if replaced := int((~(given > 0) & (asked > 0)).sum()):
        reason = "allocated processors unknown, the requested ones taken"
        findings.append(Finding("repaired", reason, replaced, 0, "procs"))
    return Size(_first(given, asked), elapsed_s, unclear, findings)


def _wait(numbers: dict[str, Floats]) -> tuple[Floats, list[Finding]]:
    """Seconds from submission to start; where no start is known, from when it could start."""
    wait_s, findings = numbers["start"] - numbers["submit"], []
    if early := int((wait_s < 0).sum()):
        reason = "started before its submission, wait taken as unknown"
        findings.append(Finding("repaired", reason, early, 0, "Start"))
        wait_s = np.where(wait_s < 0, np.nan, wait_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        planned_s = numbers["waited_cpu_s"] / numbers["requested_procs"]
    taken = np.isnan(numbers["start"]) & np.isfinite(planned_s)
    if taken.any():
        reason = "no start: waiting counted from when the job was eligible, not from submission"
        findings.append(Finding("noted", reason, int(taken.sum()), 0, "wait_s"))
    return np.where(taken, planned_s, wait_s), findings


def _memory(numbers: dict[str, Floats], procs: Floats, nodes: Floats) -> Floats:
    """Memory asked for per processor [kB]."""
    whole = np.where(np.isnan(numbers["kb"]), numbers["kb_per_node"] * nodes, numbers["kb"])
    return np.where(np.isnan(numbers["kb_per_cpu"]), whole / procs, numbers["kb_per_cpu"])


def _unnamed(state: pd.Series, status: np.ndarray) -> list[Finding]:
    """Note words for the end of a job that have no number."""
    if not (unknown := state[status == UNKNOWN]).size:
        return []
    reason = "state without a number in the Standard Workload Format, status unknown"
    return [Finding("noted", reason, unknown.size, 0, "State", str(unknown.iloc[0]))]
