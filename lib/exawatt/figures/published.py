"""Figures that others published, beside ours."""

from typing import NamedTuple

import pandas as pd

from exawatt.readers.catalog import catalog, load
from exawatt.replay import Policy, replay


class Published(NamedTuple):
    """One published mean bounded slowdown."""

    trace: str
    avebsld: float
    jobs: int


#: E. Gaussier et al., "Improving Backfilling by Using Machine Learning to Predict Running
#: Times", SC'15, EASY with requested times; the numbers are those of the authors' campaign files.
GAUSSIER_EASY = (
    Published("KTH-SP2-raw", 92.6, 28_481),
    Published("SDSC-SP2", 87.9, 54_006),
)
#: Their settings.
GAUSSIER_POLICY = Policy(backfill="easy", kill_at_request=True, missing_request="runtime")


def compare(effort: str) -> pd.DataFrame:
    """Published mean bounded slowdown of EASY, and ours where the trace is on this machine.

    At effort ``test`` nothing is compared, so that outputs are the same everywhere.
    """
    rows = []
    for entry in GAUSSIER_EASY:
        row: dict[str, object] = {"trace": entry.trace}
        row |= {"published": entry.avebsld, "published jobs": entry.jobs}
        if effort != "test" and catalog("traces")[entry.trace].find():
            workload = load(entry.trace)
            here = replay(workload, GAUSSIER_POLICY).metrics()["avebsld"]
            row |= {"trace": workload.label, "jobs": len(workload), "here": here}
            row["difference"] = here / entry.avebsld - 1
        rows.append(row)
    columns = ["trace", "published jobs", "jobs", "published", "here", "difference"]
    return pd.DataFrame(rows).reindex(columns=columns)
