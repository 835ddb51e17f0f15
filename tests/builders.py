"""Small SWF rows, workloads and intensity files, made by hand for the tests."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

import exawatt as ew

SWF_HEADER = (
    "; Version: 2.2\n; Computer: Test machine\n; UnixStartTime: 1686700800\n"
    "; TimeZoneString: Europe/London\n; MaxNodes: 5\n; MaxProcs: 10\n"
)


def swf_row(job: int, **fields: object) -> str:
    """One SWF line of an ordinary one-processor job, with fields replaced by name."""
    row: dict[str, object] = {
        "job": job,
        "submit_s": 10 * job,
        "wait_s": 3,
        "runtime_s": 60,
        "procs": 1,
        "cpu_s": -1,
        "memory_kb": -1,
        "requested_procs": 1,
        "requested_s": 100,
        "requested_memory_kb": -1,
        "status": 1,
        "user": 7,
        "group": 2,
        "app": 5,
        "queue": 1,
        "partition": 1,
        "preceding_job": -1,
        "think_time_s": -1,
    }
    unknown = set(fields) - set(row)
    assert not unknown, f"no such SWF field: {unknown}"
    return " ".join(str(value) for value in (row | fields).values()) + "\n"


JobTuple = tuple[float, int, float, float]
"""(submit_s, procs, runtime_s, requested_s)."""


def make_workload(jobs: Iterable[JobTuple], procs: int, **keywords: object) -> ew.Workload:
    """Build a workload of (submit_s, procs, runtime_s, requested_s) jobs numbered from 1."""
    rows = list(jobs)
    table = pd.DataFrame(
        {
            "job": np.arange(1, len(rows) + 1),
            "submit_s": [float(row[0]) for row in rows],
            "runtime_s": [float(row[2]) for row in rows],
            "requested_s": [float(row[3]) for row in rows],
            "procs": [int(row[1]) for row in rows],
        }
    )
    return ew.Workload(table, procs=procs, name="handmade", **keywords)


def neso_csv(start: str, values: Iterable[float | None], *, api_times: bool = True) -> str:
    """Write half-hours from `start` as the text of a NESO national intensity file.

    `api_times` writes `2022-01-01T00:00Z`, else `2022-12-31 23:30:00+00:00` with a `to` column:
    the two formats in which the service's histories are found.
    """
    lines = ["from,forecast,actual,index" if api_times else "from,to,forecast,actual,index"]
    time = pd.Timestamp(start, tz="UTC")
    half_hour = pd.Timedelta(minutes=30)
    for value in values:
        actual = "" if value is None else repr(float(value))
        if api_times:
            lines.append(f"{time:%Y-%m-%dT%H:%MZ},100,{actual},low")
        else:
            lines.append(f"{time},{time + half_hour},100,{actual},low")
        time += half_hour
    return "\n".join(lines) + "\n"
