"""Batsim's JSON workloads to and from :class:`exawatt.Workload`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from exawatt.batsim.files import write_text
from exawatt.batsim.job_file import JobFile, read_job_file
from exawatt.batsim.profiles import Composed, Delay, Parallel, Profile, parse_profile
from exawatt.workload import COLUMNS, Workload

HOST_FLOPS = 1e8
"""Speed of the hosts for which compute profiles are written [flop/s]."""

_OWN = {"job": "id", "submit_s": "subtime", "requested_s": "walltime", "procs": "res"}
_ATTRIBUTES = ("name", "source", "sha256", "nodes", "timezone", "tier")


def job_file_of(workload: Workload, profile: Literal["delay", "compute"] = "delay") -> JobFile:
    """Batsim's form of a workload: each job holds its hosts for exactly its own runtime.

    Parameters
    ----------
    workload : Workload
        The trace.
    profile : {"delay", "compute"}
        Jobs that wait, for schedules alone, or that compute, which draws busy power, on hosts
        of 100 Mflop/s.

    Notes
    -----
    A missing request is a missing walltime. Batsim ends a delay job at its walltime when the
    two are equal, and a compute job successfully. Runtimes of compute profiles that are no
    whole number of seconds may come back changed in the last bit.
    """
    if profile not in ("delay", "compute"):
        raise ValueError(f"profile(={profile!r}) must be 'delay' or 'compute'.")
    jobs, profiles = [], {}
    for row in workload.jobs.to_dict(orient="records"):
        runtime_s = row["runtime_s"]
        name = f"d{runtime_s!r}".removesuffix(".0")
        if profile == "delay":
            profiles[name] = {"type": "delay", "delay": runtime_s}
        else:
            cpu = runtime_s * HOST_FLOPS
            profiles[name] = {"type": "parallel_homogeneous", "cpu": cpu, "com": 0}
        jobs.append(_job_of({str(key): value for key, value in row.items()}, name))
    about: dict[str, Any] = {name: getattr(workload, name) for name in _ATTRIBUTES}
    about["header"] = list(workload.header)
    about["start"] = None if workload.start is None else workload.start.isoformat()
    return JobFile(tuple(jobs), profiles, workload.procs, workload.name, about)


def _job_of(row: Mapping[str, Any], profile: str) -> dict[str, Any]:
    job = {key: row[own] for own, key in _OWN.items()} | {"profile": profile}
    if np.isnan(row["requested_s"]):
        del job["walltime"]
    for column, value in row.items():
        unknown = COLUMNS[column][1] if column in COLUMNS else None
        known = value == value and value != unknown  # NaN differs from itself
        if column in (*_OWN.values(), "profile"):
            raise ValueError(f"column {column!r} has a name of Batsim's own; rename it.")
        if column not in _OWN and column != "runtime_s" and known:
            job[column] = value
    return job


def workload_of(job_file: JobFile) -> Workload:
    """Workload of a Batsim file's jobs; see :func:`job_file_of` for the way back.

    A compute profile's runtime is that on hosts of 100 Mflop/s. A job whose identifier is no
    number is numbered by its place in the file.
    """
    read = {name: parse_profile(name, raw) for name, raw in job_file.profiles.items()}
    rows = []
    for i, job in enumerate(job_file.jobs):
        row = {key: value for key, value in job.items() if key not in _OWN.values()}
        del row["profile"]
        row = {name: unknown for name, (_, unknown) in COLUMNS.items()} | row
        row |= {own: job[key] for own, key in _OWN.items() if key in job}
        row["job"] = _number_of(job["id"], i + 1)
        if row.get("requested_s", -1) == -1:
            row["requested_s"] = np.nan
        row["runtime_s"] = _runtime_s(job["profile"], read, job["res"])
        rows.append(row)
    about = dict(job_file.about or {"name": Path(job_file.path).name.split(".")[0]})
    start = about.pop("start", None)
    about["header"] = tuple(about.get("header", ()))
    return Workload(
        pd.DataFrame(rows, columns=None if rows else list(COLUMNS)),
        procs=job_file.hosts,
        start=None if start is None else pd.Timestamp(start),
        **about,
    )


def _number_of(identifier: Any, default: int) -> int:
    text = str(identifier).rpartition("!")[2]
    return int(text) if text.isdecimal() else default


def _runtime_s(name: str, profiles: dict[str, Profile], hosts: int) -> float:
    match profiles.get(name):
        case Delay(delay_s):
            return delay_s
        case Parallel() as work:
            return max(work.flops_of(hosts)) / HOST_FLOPS
        case Composed(sequence, repeat):
            return repeat * sum(_runtime_s(one, profiles, hosts) for one in sequence)
        case None:
            raise ValueError(f"profile {name!r} is named in a sequence and not in the file.")
        case _:
            raise ValueError(f"profile {name!r} exchanges messages: its runtime is not known.")


def read_workload(path: Path | str) -> Workload:
    """Read a Batsim workload (``.json`` or ``.json.gz``); see :func:`workload_of`."""
    return workload_of(read_job_file(path))


def write_workload(
    workload: Workload, path: Path | str, profile: Literal["delay", "compute"] = "delay"
) -> None:
    """Write a Batsim workload (``.json`` or ``.json.gz``); see :func:`job_file_of`."""
    job_file = job_file_of(workload, profile)
    content = {"nb_res": job_file.hosts, "jobs": job_file.jobs, "profiles": job_file.profiles}
    write_text(path, json.dumps(content | {"exawatt": job_file.about}, allow_nan=False))
