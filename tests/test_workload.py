"""The workload contract: columns, order, what is unknown, and what is dropped."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from builders import make_workload

import exawatt as ew

CONTRACT = ["job", "submit_s", "runtime_s", "requested_s", "procs", "gpus", "partition"]
CONTRACT += ["user", "group", "app", "status", "power_w"]
MINIMAL = {"submit_s": [0, 1], "runtime_s": [10, 20], "procs": [1, 2]}


def test_a_minimal_table_gets_every_column_of_the_contract() -> None:
    jobs = ew.Workload(pd.DataFrame(MINIMAL), procs=2, name="mine").jobs
    assert set(CONTRACT) <= set(jobs.columns)
    assert jobs["requested_s"].isna().all()
    assert jobs["power_w"].isna().all()
    for name in ("partition", "user", "group", "app", "status"):
        assert (jobs[name] == -1).all()
    assert jobs["job"].is_unique


def test_defaults() -> None:
    workload = ew.Workload(pd.DataFrame(MINIMAL), procs=128, name="mine")
    assert (workload.name, workload.procs, workload.tier) == ("mine", 128, "real")
    assert workload.start is None
    assert len(workload.cleaning) == 0


def test_further_columns_are_kept() -> None:
    table = pd.DataFrame(MINIMAL | {"weather": ["sun", "rain"]})
    assert list(ew.Workload(table, procs=2).jobs["weather"]) == ["sun", "rain"]


def test_jobs_are_sorted_by_submission_with_ties_in_trace_order() -> None:
    table = pd.DataFrame(
        {
            "job": [5, 4, 3, 2, 1],
            "submit_s": [7, 3, 7, 3, 0],
            "runtime_s": [1] * 5,
            "procs": [1] * 5,
        }
    )
    workload = ew.Workload(table, procs=1)
    assert list(workload.jobs["job"]) == [1, 4, 2, 5, 3]
    assert list(workload.jobs.index) == [0, 1, 2, 3, 4]
    assert list(table["job"]) == [5, 4, 3, 2, 1]  # the caller's table is left alone


def test_ties_keep_the_trace_order_among_many_jobs() -> None:
    # Unstable sorts are stable by luck on a handful of rows.
    submit = np.random.default_rng(0).integers(0, 20, 1000)
    table = pd.DataFrame({"job": range(1000), "submit_s": submit, "runtime_s": 1, "procs": 1})
    expected = sorted(range(1000), key=lambda job: submit[job])
    assert list(ew.Workload(table, procs=1).jobs["job"]) == expected


def test_the_submission_times_keep_their_origin() -> None:
    # F1 to F4 are not shift-invariant: a window keeps the trace's own clock.
    jobs = make_workload([(10**6, 1, 5, 5), (10**6 + 9, 1, 5, 5)], 1).jobs
    assert list(jobs["submit_s"]) == [1_000_000, 1_000_009]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("runtime_s", 0),
        ("runtime_s", -1),
        ("runtime_s", np.nan),
        ("procs", 0),
        ("procs", 3),
        ("submit_s", np.nan),
    ],
)
def test_unusable_jobs_are_dropped_and_counted(column: str, value: float) -> None:
    table = pd.DataFrame(MINIMAL).astype({column: float})
    table.loc[0, column] = value
    workload = ew.Workload(table, procs=2)
    assert len(workload.jobs) == 1
    assert list(workload.cleaning["action"]) == ["dropped"]
    assert list(workload.cleaning["count"]) == [1]
    assert list(workload.cleaning["field"]) == [column]
    assert list(workload.cleaning.columns) == [
        "action",
        "reason",
        "count",
        "line",
        "field",
        "value",
    ]


def test_a_workload_is_frozen() -> None:
    workload = make_workload([(0, 1, 1, 1)], 1)
    with pytest.raises(FrozenInstanceError):
        workload.procs = 2  # type: ignore[misc]


@pytest.mark.parametrize("missing", ["submit_s", "runtime_s", "procs"])
def test_a_table_without_a_needed_column_is_refused_by_name(missing: str) -> None:
    table = pd.DataFrame(MINIMAL).drop(columns=missing)
    with pytest.raises(ValueError, match=missing):
        ew.Workload(table, procs=2)


def test_a_column_of_words_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="runtime_s"):
        ew.Workload(pd.DataFrame(MINIMAL | {"runtime_s": ["long", "short"]}), procs=2)


@pytest.mark.parametrize("procs", [0, -1])
def test_a_machine_without_processors_is_refused(procs: int) -> None:
    with pytest.raises(ValueError, match=str(procs)):
        ew.Workload(pd.DataFrame(MINIMAL), procs=procs)
