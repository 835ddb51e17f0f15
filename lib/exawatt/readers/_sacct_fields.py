"""The fields of sacct that are read, and of two published tables that name them otherwise."""

from collections.abc import Mapping
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd

from exawatt.readers import _sacct_values as values
from exawatt.readers._faults import Fault
from exawatt.readers._sacct_table import Table
from exawatt.readers._sacct_times import parse_instants, zone
from exawatt.readers._sacct_values import Parser, parse_column, tres
from exawatt.stats import Floats
from exawatt.workload import Finding

#: Which fields give a quantity, the best first, and how their text is read.
SOURCES: dict[str, dict[str, Parser]] = {
    "elapsed_s": {
        "elapsedraw": values.number,
        "elapsed": values.duration,
        "run_time": values.number,
    },
    "requested_s": {
        "timelimitraw": values.minutes,
        "timelimit": values.duration,
        "wallclock_req": values.number,
    },
    "allocated_procs": {
        "alloccpus": values.count,
        "ncpus": values.count,
        "alloctres": tres("cpu", values.count),
    },
    "requested_procs": {
        "reqcpus": values.count,
        "processors_req": values.count,
        "reqtres": tres("cpu", values.count),
    },
    "allocated_nodes": {
        "allocnodes": values.count,
        "nnodes": values.count,
        "alloctres": tres("node", values.count),
    },
    "requested_nodes": {
        "reqnodes": values.count,
        "nodes_req": values.count,
        "reqtres": tres("node", values.count),
    },
    "gpus": {
        "alloctres": values.tres_gpus,
        "allocgres": values.gres_gpus,
        "reqtres": values.tres_gpus,
        "gpus_req": values.number,
    },
    "kb_per_cpu": {"reqmem": values.request("c")},
    "kb_per_node": {"reqmem": values.request("n")},
    "kb": {"reqmem": values.request(""), "mem_req": values.request("")},
    "max_rss_kb": {"maxrss": values.size("")},
    "cpu_s": {"totalcpu": values.duration},
    "allocated_cpu_s": {"cputimeraw": values.number, "cputime": values.duration},
    "waited_cpu_s": {"plannedcpuraw": values.number, "resvcpuraw": values.number},
    "energy_j": {
        "consumedenergyraw": values.energy,
        "consumedenergy": values.energy,
        "alloctres": tres("energy", values.energy),
    },
}
#: In the order in which they happen to a job.
INSTANTS = {
    "submit": ("submit", "submit_time"),
    "eligible": ("eligible", "eligible_time"),
    "start": ("start", "start_time"),
    "end": ("end", "end_time"),
}
TEXTS = {
    "job": ("jobidraw", "jobid", "job_id"),
    "state": ("state",),
    "hosts": ("nodelist",),
    "user": ("user", "uid"),
    "group": ("group", "gid", "account"),
    "app": ("jobname", "name"),
    "partition": ("partition",),
    "queue": ("qos",),
}
NAMES = frozenset(
    name for group in (SOURCES, INSTANTS, TEXTS) for names in group.values() for name in names
)


class Fields(NamedTuple):
    """Rows of a file as numbers and texts."""

    numbers: dict[str, Floats]
    """Of every quantity of SOURCES and INSTANTS; NaN where the file has none."""
    texts: dict[str, pd.Series]
    """Of those of TEXTS that the file has."""
    faults: list[Fault]
    findings: list[Finding]


def missing(names: set[str]) -> list[str]:
    """What a header lacks that no job can do without."""
    has = {
        what: not names.isdisjoint(sources)
        for what, sources in {**SOURCES, **INSTANTS, **TEXTS}.items()
    }
    sized = has["allocated_procs"] or has["requested_procs"]
    timed = has["elapsed_s"] or (has["start"] and has["end"]) or has["allocated_cpu_s"]
    needs = {
        "Submit": has["submit"],
        "State": has["state"],
        "AllocCPUS (or NCPUS, ReqCPUS)": sized,
        "ElapsedRaw (or Elapsed, or Start and End)": timed,
    }
    return [what for what, there in needs.items() if not there]


def find_text(table: Table, what: str) -> pd.Series | None:
    """Return the best column that a table has of one of TEXTS."""
    return next((table.texts[name] for name in TEXTS[what] if name in table.texts), None)


def parse_fields(table: Table, timezone: str | None) -> Fields:
    """Read every known column of a table."""
    numbers, faults = {}, []
    for quantity, sources in SOURCES.items():
        numbers[quantity], found = parse_quantity(table, sources)
        faults += found
    instants, found, findings = _instants(table, timezone)
    texts = {what: text for what in TEXTS if (text := find_text(table, what)) is not None}
    return Fields(numbers | instants, texts, _once(faults + found), findings)


def parse_quantity(table: Table, sources: Mapping[str, Parser]) -> tuple[Floats, list[Fault]]:
    """The first known value of each row."""
    best, faults = np.full(len(table.texts), nan), []
    for name, parse in sources.items():
        if name in table.texts:
            found, problems = parse_column(table.texts[name], parse)
            best = np.where(np.isnan(best), found, best)
            faults += _faults(table, name, problems)
    return best, faults


def _instants(
    table: Table, timezone: str | None
) -> tuple[dict[str, Floats], list[Fault], list[Finding]]:
    clock, before = zone(timezone), None
    instants: dict[str, Floats] = {}
    faults: list[Fault] = []
    seen = dict.fromkeys(("local", "twice", "never"), 0)
    for instant, names in INSTANTS.items():
        instants[instant] = np.full(len(table.texts), nan)
        for name in names:
            if name not in table.texts:
                continue
            found = parse_instants(table.texts[name], clock, before)
            instants[instant] = before = found.utc_s
            faults += _faults(table, name, found.problems)
            for what in seen:
                seen[what] += int(getattr(found, what).sum())
    reasons = {
        "local": "no time zone given, the wall clock taken for UTC: pass timezone= (--timezone)",
        "twice": "the wall clock showed this hour twice, the first taken where possible",
        "never": "the wall clock never showed this hour, the next one taken",
    }
    if timezone is not None:
        seen["local"] = 0
    noted = [Finding("noted", reasons[what], n, 0, "time") for what, n in seen.items() if n]
    return instants, faults, noted


def _faults(table: Table, name: str, problems: Mapping[int, str]) -> list[Fault]:
    return [
        Fault(
            "repaired",
            problem,
            int(table.lines[row]),
            name,
            table.texts[name].iloc[row][:80],
            remedy="taken as unknown",
        )
        for row, problem in problems.items()
    ]


def _once(faults: list[Fault]) -> list[Fault]:
    """One fault for each text, though several quantities may have been looked for in it."""
    return list({(fault.line, fault.field): fault for fault in reversed(faults)}.values())[::-1]
