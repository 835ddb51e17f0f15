"""The replay on real logs: published tables, and the reference on their first jobs."""

from pathlib import Path

import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from reference import Job, replay

import exawatt as ew

# AVEbsld of EASY, Gaussier et al., "Improving Backfilling by Using Machine Learning to Predict
# Running Times", SC'15 (the authors' campaign files); runtimes above the request were cut at it.
# Their filters keep 28,481 jobs of the raw KTH log and 54,006 (here 54,034) of SDSC-SP2.
PUBLISHED_EASY = [("KTH-SP2-raw", 92.6), ("SDSC-SP2", 87.9)]


@pytest.mark.parametrize(("trace", "avebsld"), PUBLISHED_EASY)
def test_easy_reproduces_the_published_bounded_slowdown(
    real_data: Path, trace: str, avebsld: float
) -> None:
    policy = ew.Policy(backfill="easy", missing_request="runtime", kill_at_request=True)
    schedule = ew.replay(ew.load(trace), policy=policy)
    assert schedule.metrics()["avebsld"] == pytest.approx(avebsld, rel=0.01)


@pytest.mark.parametrize("trace", ["KTH-SP2", "LLNL-Thunder", "SDSC-SP2", "Lublin-1"])
@pytest.mark.parametrize("backfill", ["none", "easy"])
def test_the_first_thousand_jobs_equal_the_reference(
    real_data: Path, trace: str, backfill: str
) -> None:
    whole = ew.load(trace)
    table = whole.jobs.head(1000).reset_index(drop=True)
    jobs = [
        Job(*row)
        for row in table[["submit_s", "procs", "runtime_s", "requested_s"]].itertuples(
            index=False, name=None
        )
    ]
    machine = int(table["procs"].max())  # as small as can be, so that jobs queue
    part = ew.Workload(pd.DataFrame(table), procs=machine, name="first")
    schedule = ew.replay(part, policy=ew.Policy(backfill=backfill)).jobs
    expected = replay(jobs, machine, backfill)
    assert (schedule["wait_s"] > 0).any()
    assert_array_equal(schedule["start_s"], [run.start_s for run in expected])
    assert_array_equal(schedule["end_s"], [run.end_s for run in expected])
