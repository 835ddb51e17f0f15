"""Releases: a published table, read back as a workload that can be replayed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from exawatt.telemetry.anonymity import NOT_PUBLISHED
from exawatt.telemetry.fields import FIELDS
from exawatt.workload import REQUIRED, Finding, Tier, Workload
from exawatt.workload import report as cleaning_report

FORMAT = "exawatt-release-1"
REPORT = "publication_report.json"


def untold(report: Mapping[str, Any]) -> list[str]:
    """Columns that a replay needs, and that a release does not tell by its report."""
    levels, fields = report["quasi_identifiers"], report["fields"]
    return [name for name in REQUIRED if name not in fields or levels.get(name) == NOT_PUBLISHED]


def read_release(folder: Path | str, *, procs: int | None = None) -> Workload:
    """Read the jobs of a release back, ready to be replayed if it tells what a replay needs.

    Parameters
    ----------
    folder : path-like
        A release as :func:`exawatt.telemetry.publish.publish` writes it.
    procs : int, optional
        Processors of the machine, where the release does not tell them.

    Raises
    ------
    ValueError
        The release does not tell ``submit_s``, ``runtime_s`` or ``procs``, or the machine's size.

    Notes
    -----
    Pseudonyms and names of categories are numbered. The origin is Monday 00:00 of a week that
    is not told.
    """
    folder = Path(folder).expanduser()
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    if report.get("format") != FORMAT:
        raise ValueError(f"{folder / REPORT}: format {report.get('format')!r} is not {FORMAT!r}.")
    machine = {"tier": "real", "procs": procs, **report["machine"]}
    if machine["procs"] is None:
        raise ValueError(f"procs(=None) must be passed: {folder} does not tell the machine's size.")
    if lacking := untold(report):
        raise ValueError(
            f"{folder} does not tell {', '.join(lacking)}, without which no job can run."
        )
    name = next(name for name in report["files"] if name.startswith("jobs."))
    path = folder / name
    if path.suffix == ".csv":
        jobs = pd.read_csv(path, keep_default_na=False, na_values=[""])
    else:
        jobs = pd.read_parquet(path)
    for column in map(str, jobs):
        if not pd.api.types.is_numeric_dtype(jobs[column]):
            # Missing becomes -1, which is what a workload calls unknown.
            jobs[column] = pd.factorize(jobs[column])[0]
        elif FIELDS[column].role == "duration":
            jobs[column] = jobs[column].mask(jobs[column] < 0)
    tier: Tier = machine["tier"]
    energy = [Finding("noted", report["energy"], len(jobs))] if report.get("energy") else []
    return Workload(
        jobs,
        procs=machine["procs"],
        nodes=machine.get("nodes"),
        name=folder.name,
        source=str(path),
        sha256=report["files"][name]["sha256"],
        tier=tier,
        cleaning=cleaning_report(energy),
    )
