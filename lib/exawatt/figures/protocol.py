"""Tables and figures about Batsim: recorded runs, the same policy both ways, and speed."""

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.batsim.config import TIMEOUT_S
from exawatt.batsim.hosts import Hosts, read_hosts
from exawatt.batsim.platform_xml import read_platform, write_platform
from exawatt.batsim.recorded import Conformance, compare_run, recorded_runs
from exawatt.batsim.run import run
from exawatt.batsim.simulator import Options
from exawatt.batsim.workload import job_file_of
from exawatt.forecast import Forecast
from exawatt.platform import Platform
from exawatt.replay import Policy, replay
from exawatt.workload import Workload

#: Batsim 4.2.1 and its schedulers on the 27,992 jobs of KTH-SP2: jobs a second on two shared cores.
PEERS = {
    "Batsim + batsched easy_bf_fast": 4689.0,
    "Batsim + batsched easy_bf": 3808.0,
    "Batsim + pybatsim easyBackfill": 3013.0,
}
#: Policies that are run both ways, as the options of the pybatsim scheduler take them.
POLICIES: dict[str, Any] = {
    "easy": "easy",
    "conservative": "conservative",
    "easy++": "easy++",
    "easy, sleep after 10 min": {"backfill": "easy", "sleep_after_s": 600},
    "easy, hold 4 h": {"backfill": "easy", "hold": {"budget_s": 14400}},
}


def recorded_folder() -> Path | None:
    """Folder of runs recorded with Batsim, beside $EXAWATT_DATA; None where there is none."""
    data = os.environ.get("EXAWATT_DATA")
    folder = Path(data).parent / "reference" / "batsim" if data else None
    return folder if folder is not None and recorded_runs(folder) else None


def conformance(folder: Path | None) -> tuple[pd.DataFrame, list[Conformance]]:
    """Each recorded run beside the simulator's; an empty table without any."""
    rows, found = [], []
    for path in recorded_runs(folder) if folder is not None else []:
        one = compare_run(path)
        found.append(one)
        rows.append(
            {
                "recorded run": path.name,
                "messages": one.messages,
                "the same": one.same_messages,
                "rows of files": sum(one.rows.values()),
                "the same ": sum(one.same_rows.values()),
            }
        )
    columns = ["recorded run", "messages", "the same", "rows of files", "the same "]
    return pd.DataFrame(rows, columns=columns), found


def both_ways(
    workload: Workload, n_jobs: int, names: list[str], series: str, forecast: Forecast
) -> pd.DataFrame:
    """Starts of a trace's first jobs under the engine, and under pybatsim and the simulator."""
    part = replace(workload, jobs=workload.jobs.iloc[:n_jobs])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        platform = folder / "platform.xml"
        write_platform(Platform.uniform(nodes=part.procs, procs=part.procs), platform)
        hosts = read_hosts(platform)
        for label in names:
            values = POLICIES[label]
            policy = Policy.of(values)
            mine = replay(part, policy, read_platform(platform), forecast=forecast)
            options = {"policy": values, "platform": str(platform), "timezone": part.timezone}
            if policy.hold is not None:
                options["intensity"] = series
            if part.start is not None:
                options["start"] = part.start.isoformat()
            starts_s, seconds = _under_pybatsim(part, hosts, options, policy, folder)
            apart = np.abs(starts_s - mine.start_s)
            rows.append(
                {
                    "policy": label,
                    "jobs": len(part),
                    "starts that differ": int((apart > 0).sum()),
                    "largest difference [s]": float(apart.max()),
                    "mean wait [h]": mine.metrics()["mean_wait_s"] / 3600,
                    "pybatsim [jobs/s]": len(part) / seconds,
                    "engine [jobs/s]": len(part) / max(mine.replay_seconds, 1e-9),
                }
            )
    return pd.DataFrame(rows)


def _under_pybatsim(
    workload: Workload, hosts: Hosts, options: dict[str, Any], policy: Policy, folder: Path
) -> tuple[np.ndarray, float]:
    (folder / "options.json").write_text(json.dumps(options))
    command = f"{sys.executable} -m batsim.cmds.launcher exawatt.batsim.scheduler"
    summary = run(
        job_file_of(workload),
        hosts,
        f"{command} -O {folder / 'options.json'} -v error -t {TIMEOUT_S * 1000:.0f}",
        folder / "out",
        Options(energy=policy.sleep_after_s is not None),
        timeout_s=TIMEOUT_S,
        trace=False,
    )
    jobs = pd.read_csv(folder / "out" / "out_jobs.csv").set_index("job_id")
    return jobs.loc[workload.jobs["job"], "starting_time"].to_numpy(), float(
        summary["simulation_time"]
    )


def speeds(jobs_per_s: dict[str, float]) -> Figure:
    """Jobs a second of several programs, on a logarithmic axis; measured here, and Batsim's own."""
    figure, axes = plt.subplots(figsize=(6.4, 0.36 * len(jobs_per_s) + 0.9), layout="constrained")
    names = sorted(jobs_per_s, key=lambda name: jobs_per_s[name])
    colours = ["C7" if name in PEERS else "C0" for name in names]
    bars = axes.barh(names, [jobs_per_s[name] for name in names], color=colours)
    axes.bar_label(bars, labels=[f"{jobs_per_s[name]:,.0f}" for name in names], padding=3)
    axes.set_xscale("log")
    axes.set_xlim(right=5 * max(jobs_per_s.values()))
    axes.set_xlabel("jobs per second (blue: here; grey: Batsim, recorded)")
    return figure
