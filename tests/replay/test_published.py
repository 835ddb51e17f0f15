"""The replay on real logs: published tables, and the reference on their first jobs."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from reference import Job, replay

import exawatt as ew

# AVEbsld, Gaussier et al., "Improving Backfilling by Using Machine Learning to Predict Running
# Times", SC'15 (the authors' campaign files); runtimes above the request were cut at it. Their
# filters keep 28,481 jobs of the raw KTH log and 54,006 (here 54,034) of SDSC-SP2.
EASY = ew.Policy(backfill="easy", missing_request="runtime", kill_at_request=True)
SJBF = replace(EASY, backfill_order="sjf")
POLICIES = {
    "easy": EASY,
    "easy-sjbf": SJBF,
    "easy++": replace(SJBF, estimate="last2", correction="increments"),
    "last2, request": replace(SJBF, estimate="last2", correction="request"),
    "easy-sjbf, actual": replace(SJBF, estimate="actual"),
    "easy, actual": replace(EASY, estimate="actual"),
}
PUBLISHED = [
    ("KTH-SP2-raw", "easy", 92.6),
    ("KTH-SP2-raw", "last2, request", 62.9),
    ("KTH-SP2-raw", "easy, actual", 71.7),
    ("SDSC-SP2", "easy", 87.9),
    ("SDSC-SP2", "easy++", 79.4),
    ("SDSC-SP2", "last2, request", 65.1),
    ("SDSC-SP2", "easy-sjbf, actual", 56.8),
    ("SDSC-SP2", "easy, actual", 70.5),
]
# Four cells differ by more than 2 %: the value here, the published one, and how far apart they may
# be. The replay chapter moves each submission by up to a minute and shows where the published
# values lie in the spread that this makes; KTH EASY++ and clairvoyant SJBF lie at or beyond its
# edge. No setting was tuned to come closer.
APART = [
    ("KTH-SP2-raw", "easy-sjbf", 67.957, 69.4, 0.025),
    ("KTH-SP2-raw", "easy++", 68.719, 63.5, 0.085),
    ("KTH-SP2-raw", "easy-sjbf, actual", 48.709, 49.8, 0.025),
    ("SDSC-SP2", "easy-sjbf", 82.953, 84.9, 0.025),
]


def slowdown(trace: str, policy: str) -> float:
    return ew.replay(ew.load(trace), policy=POLICIES[policy]).metrics()["avebsld"]


@pytest.mark.parametrize(("trace", "policy", "published"), PUBLISHED)
def test_a_published_bounded_slowdown_is_reproduced(
    real_data: Path, trace: str, policy: str, published: float
) -> None:
    # EASY holds within 1 %, the others within 2 %.
    rel = 0.01 if policy == "easy" else 0.02
    assert slowdown(trace, policy) == pytest.approx(published, rel=rel)


@pytest.mark.parametrize(("trace", "policy", "here", "published", "rel"), APART)
def test_a_published_bounded_slowdown_is_not_reproduced(
    real_data: Path, trace: str, policy: str, here: float, published: float, rel: float
) -> None:
    found = slowdown(trace, policy)
    assert found == pytest.approx(here, abs=0.001)
    assert 0.02 < abs(found / published - 1) < rel


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
