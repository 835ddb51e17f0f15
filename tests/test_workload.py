"""The workload contract: columns, order, what is unknown, and what is dropped."""

import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from builders import make_workload

import exawatt as ew
from exawatt.workload import CleaningWarning

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
    with pytest.warns(CleaningWarning, match=column):
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


@pytest.mark.parametrize("procs", ["8", 2.5, None, True])
def test_a_size_that_is_no_whole_number_is_refused(procs: object) -> None:
    with pytest.raises(ValueError, match=rf"procs\(={procs!r}\) must be a whole number"):
        ew.Workload(pd.DataFrame(MINIMAL), procs=procs)  # type: ignore[arg-type]


@pytest.mark.parametrize("nodes", ["2", 1.5])
def test_nodes_that_are_no_whole_number_are_refused(nodes: object) -> None:
    with pytest.raises(ValueError, match=rf"nodes\(={nodes!r}\) must be a whole number"):
        ew.Workload(pd.DataFrame(MINIMAL), procs=2, nodes=nodes)  # type: ignore[arg-type]


INSTANTS = pd.to_datetime(["2023-01-01 00:00", "2023-01-01 01:00"])
SPANS = pd.to_timedelta(["1h", "2h"])


@pytest.mark.parametrize(
    ("column", "values", "advice"),
    [
        ("submit_s", INSTANTS, r"jobs\.submit_s\.min\(\)\)\.dt\.total_seconds\(\).*start="),
        ("submit_s", INSTANTS.tz_localize("UTC"), r"\.min\(\)\)\.dt\.total_seconds\(\).*start="),
        ("runtime_s", SPANS, r"runtime_s\.dt\.total_seconds\(\)"),
        ("requested_s", SPANS, r"requested_s\.dt\.total_seconds\(\)"),
        ("runtime_s", SPANS.astype(object), r"runtime_s\.dt\.total_seconds\(\)"),
        ("user", INSTANTS, "seconds"),
    ],
)
def test_dates_and_spans_are_refused_with_the_way_to_seconds(
    column: str, values: pd.Index, advice: str
) -> None:
    table = pd.DataFrame(MINIMAL | {column: values})
    with pytest.raises(ValueError, match=f"column '{column}' holds .*{advice}"):
        ew.Workload(table, procs=2)


def test_names_of_users_are_refused_with_the_way_to_numbers() -> None:
    with pytest.raises(ValueError, match=r"column 'user'.*'ada'.*factorize"):
        ew.Workload(pd.DataFrame(MINIMAL | {"user": ["ada", "bob"]}), procs=2)


def test_dropped_rows_are_warned_about_and_shown() -> None:
    table = pd.DataFrame(MINIMAL | {"procs": [1, 8]})
    with pytest.warns(CleaningWarning, match=r"mine: 1 of 2 rows dropped: 1 larger.*procs=8"):
        workload = ew.Workload(table, procs=4, name="mine")
    assert "1 jobs" in repr(workload) and "1 row dropped" in repr(workload)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once: the rows that are left are sound
        assert repr(replace(workload, name="again")).endswith("1 row dropped)")


def test_a_table_without_a_usable_row_says_so() -> None:
    table = pd.DataFrame(MINIMAL | {"runtime_s": [np.nan, np.nan]})
    with pytest.warns(CleaningWarning, match="2 of 2 rows dropped: 2 no positive runtime"):
        workload = ew.Workload(table, procs=4)
    assert "2 rows dropped" in repr(workload)


def test_sound_tables_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = ew.Workload(pd.DataFrame(MINIMAL | {"weather": 1, "wait_s": 2}), procs=2)
    assert repr(workload) == "Workload(workload: 2 jobs, 2 processors, 0.0 days)"


@pytest.mark.parametrize(
    ("column", "meant"),
    [("request_s", "requested_s"), ("users", "user"), ("gpu", "gpus"), ("Partition", "partition")],
)
def test_a_column_that_is_nearly_one_of_the_contract_is_warned_about(
    column: str, meant: str
) -> None:
    with pytest.warns(CleaningWarning, match=f"column '{column}'.*did you mean '{meant}'"):
        ew.Workload(pd.DataFrame(MINIMAL | {column: [1, 2]}), procs=2)


def test_a_needed_column_that_is_misspelt_is_named() -> None:
    table = pd.DataFrame(MINIMAL).rename(columns={"runtime_s": "run_time_s"})
    with pytest.raises(ValueError, match=r"\['runtime_s'\].*run_time_s"):
        ew.Workload(table, procs=2)
