"""Slurm accounting: what is read, what is refused, and that every row is accounted for."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.readers import TraceError, read_sacct
from exawatt.readers.sacct import most_at_once

Write = Callable[..., Path]

DEFAULTS = {
    "JobID": "7",
    "User": "ann",
    "Group": "physics",
    "JobName": "relax",
    "Partition": "cpu",
    "QOS": "normal",
    "State": "COMPLETED",
    "Submit": "2024-06-24T12:00:00",
    "Start": "2024-06-24T12:01:00",
    "End": "2024-06-24T12:11:00",
    "ElapsedRaw": "600",
    "TimelimitRaw": "60",
    "AllocCPUS": "4",
    "ReqCPUS": "3",
    "ConsumedEnergyRaw": "",
}


@pytest.fixture
def write_sacct(tmp_path: Path) -> Write:
    """Write rows, given as what differs from a sound job; return the path."""

    def write(
        *rows: dict[str, str], without: str = "", separator: str = "|", end: str = "\n"
    ) -> Path:
        names = [name for name in DEFAULTS if name not in without.split()]
        names += list(dict.fromkeys(name for row in rows for name in row if name not in DEFAULTS))
        lines = [names] + [[(DEFAULTS | row).get(name, "") for name in names] for row in rows]
        path = tmp_path / "jobs.txt"
        path.write_text("".join(separator.join(line) + end for line in lines))
        return path

    return write


def count(workload: ew.Workload, action: str, reason: str = "") -> int:
    cleaning = workload.cleaning
    chosen = (cleaning["action"] == action) & cleaning["reason"].str.contains(reason)
    return int(cleaning.loc[chosen, "count"].sum())


def accounted(workload: ew.Workload) -> int:
    """Rows of the file: jobs, dropped rows, and steps merged into jobs."""
    return len(workload) + count(workload, "dropped") + count(workload, "noted", "merged")


def test_every_field_lands_in_its_column(write_sacct: Write) -> None:
    row = {
        "JobIDRaw": "1042",
        "JobID": "1040_2",
        "Eligible": "2024-06-24T12:00:30",
        "AllocNodes": "2",
        "ReqMem": "16G",
        "MaxRSS": "2048K",
        "AllocTRES": "billing=4,cpu=4,energy=77,gres/gpu=2,gres/gpu:a100=2,mem=16G,node=2",
        "TotalCPU": "00:20:00.000",
        "ConsumedEnergyRaw": "120000",
        "NodeList": "n[1-2]",
    }
    workload = read_sacct(write_sacct(row))
    expected = {
        "job": 1042,
        "submit_s": 0.0,
        "runtime_s": 600.0,
        "requested_s": 3600.0,
        "procs": 4,
        "gpus": 2.0,
        "partition": 1,
        "user": 1,
        "group": 1,
        "app": 1,
        "status": 1,
        "power_w": 200.0,  # 120 kJ in 600 s
        "wait_s": 60.0,
        "eligible_s": 30.0,
        "requested_procs": 3,
        "nodes": 2,
        "cpu_s": 300.0,  # 1200 s on four processors
        "requested_memory_kb": 4194304.0,  # 16 GiB for four processors
        "max_rss_kb": 2048.0,
        "energy_j": 120000.0,
        "queue": 1,
        "hosts": "n[1-2]",
    }
    assert workload.jobs.iloc[0].to_dict() == expected
    assert workload.start == pd.Timestamp("2024-06-24 12:00", tz="UTC")


def test_names_are_kept_on_request_alone(write_sacct: Write) -> None:
    rows = [{"User": "bob", "JobID": "7"}, {"User": "alice", "JobID": "8"}]
    path = write_sacct(*rows)
    assert not [name for name in read_sacct(path).jobs if name.endswith("_name")]
    jobs = read_sacct(path, names=True).jobs
    assert list(jobs["user_name"]) == ["bob", "alice"]
    assert list(jobs["user"]) == [1, 2]
    assert {"group_name", "app_name"} < set(jobs)


def test_the_columns_that_a_file_does_not_tell_are_left_out(write_sacct: Write) -> None:
    workload = read_sacct(write_sacct({}))
    assert {"energy_j", "hosts", "cpu_s", "nodes"}.isdisjoint(workload.jobs)
    assert np.isnan(workload.jobs["power_w"]).all()


@pytest.mark.parametrize("strict", [True, False])
def test_a_trailing_bar_and_widths_in_the_header_are_no_matter(
    write_sacct: Write, strict: bool
) -> None:
    path = write_sacct({}, {"JobID": "8"}, end="|\n")
    path.write_text(path.read_text().replace("JobID|", "JobID%30|", 1))
    assert list(read_sacct(path, strict=strict).jobs["job"]) == [7, 8]


def test_quoted_commas_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        "JobID,State,Submit,ElapsedRaw,AllocCPUS,NodeList,JobName\n"
        '1,COMPLETED,2024-06-24T12:00:00,60,4,"n[1,3]","two\nlines"\n'
        "2,COMPLETED,2024-06-24T12:00:01,60,4,n2,plain\n"
    )
    workload = ew.load(path)
    assert list(workload.jobs["hosts"]) == ["n[1,3]", "n2"]
    assert list(workload.jobs["app"]) == [1, 2]


def test_names_are_numbered_in_order_and_forgotten(write_sacct: Write) -> None:
    rows = [
        {"JobID": "1", "User": "zoe", "State": "CANCELLED by 4711"},
        {"JobID": "2", "User": "ann"},
        {"JobID": "3", "User": ""},
        {"JobID": "4", "User": "zoe", "State": "RUNNING"},
        {"JobID": "5", "User": "zoe"},
    ]
    workload = read_sacct(write_sacct(*rows))
    assert list(workload.jobs["user"]) == [1, 2, -1, 1]
    everything = workload.jobs.to_csv() + workload.cleaning.to_csv() + repr(workload)
    for name in ("zoe", "ann", "relax", "physics", "4711"):
        assert name not in everything


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("COMPLETED", 1),
        ("CANCELLED by 1234", 5),
        ("CANCELLED", 5),
        ("FAILED", 0),
        ("TIMEOUT", 0),
        ("OUT_OF_MEMORY", 0),
        ("PREEMPTED", 0),
    ],
)
def test_status_numbers_are_those_of_the_standard_format(
    write_sacct: Write, state: str, status: int
) -> None:
    assert list(read_sacct(write_sacct({"State": state})).jobs["status"]) == [status]


def test_an_unknown_state_is_noted(write_sacct: Write) -> None:
    workload = read_sacct(write_sacct({"State": "BAFFLED"}))
    assert list(workload.jobs["status"]) == [-1]
    assert count(workload, "noted", "state without a number") == 1


# Which energy counts: see the notes of job_energy.
STEPS = {"extern": "7.extern", "batch": "7.batch", "0": "7.0", "1": "7.1"}


@pytest.mark.parametrize(
    ("job_j", "steps_j", "energy_j"),
    [
        ("900", {}, 900),
        ("900", {"extern": "900", "batch": "880", "0": "700"}, 900),
        ("", {"extern": "900", "batch": "880", "0": "700"}, 900),
        ("0", {"batch": "880", "0": "700"}, 880),
        ("1580", {"batch": "880", "0": "700"}, 880),  # Slurm added both, of one node
        ("", {"batch": "880", "0": "700", "1": "600"}, 1300),
        ("1300", {"0": "700", "1": "600"}, 1300),
        ("900", {"batch": "0", "0": ""}, 900),
        ("18446744073709551614", {"batch": "4294967294", "0": "700"}, 700),
    ],
    ids=str,
)
def test_energy_of_steps_is_counted_once(
    write_sacct: Write, job_j: str, steps_j: dict[str, str], energy_j: float
) -> None:
    steps = [
        {"JobID": STEPS[step], "User": "", "ConsumedEnergyRaw": joules}
        for step, joules in steps_j.items()
    ]
    workload = read_sacct(write_sacct({"ConsumedEnergyRaw": job_j}, *steps))
    assert list(workload.jobs["energy_j"]) == [energy_j]
    assert_allclose(workload.jobs["power_w"], energy_j / 600)
    assert accounted(workload) == 1 + len(steps)


def step(id_: str, joules: float, begin: str, end: str, **more: str) -> dict[str, str]:
    """Step from one minute of the hour to another."""
    times = {"Start": f"2024-06-24T12:{begin}:00", "End": f"2024-06-24T12:{end}:00"}
    times = times if begin else dict.fromkeys(times, "Unknown")
    return {"JobID": f"7.{id_}", "ConsumedEnergyRaw": str(joules), **times} | more


ONE, TWO = {"AllocNodes": "1"}, {"AllocNodes": "2"}
WHOLE = ("01", "11")  # all of the job


@pytest.mark.parametrize(
    ("job", "steps", "energy_j", "noted"),
    [
        # The same node, seen by the batch step and by each of four others.
        (ONE, [step(i, 1e5, *WHOLE, **ONE) for i in ("batch", *"0123")], 1e5, "side by side"),
        (ONE, [step(i, 1e5, *WHOLE) for i in ("batch", *"0123")], 1e5, "side by side"),
        (ONE, [step(i, 1e5, "", "") for i in ("batch", *"0123")], 1e5, "side by side"),
        (ONE, [step(i, 1e5, *WHOLE, **ONE) for i in "0123"], 1e5, "side by side"),
        # 100 W on one node: 6 and 6 of its ten minutes, two of them at once.
        (ONE, [step("0", 36e3, "01", "07"), step("1", 36e3, "05", "11")], 6e4, "side by side"),
        (ONE, [step("0", 3e4, "01", "06"), step("1", 3e4, "06", "11")], 6e4, ""),
        # Two nodes, each of two steps on one of them; or both on both.
        (TWO, [step(i, 1e5, *WHOLE, **ONE) for i in "01"], 2e5, ""),
        (TWO, [step(i, 2e5, *WHOLE, **TWO) for i in "01"], 2e5, "side by side"),
        (TWO, [step(i, 2e5, *WHOLE) for i in "01"], 2e5, "side by side"),
        # Nobody tells the nodes, or the times: added, and noted.
        ({}, [step(i, 1e5, *WHOLE) for i in "01"], 2e5, "may have run at once"),
        (ONE, [step(i, 1e5, "", "") for i in "01"], 2e5, "may have run at once"),
        # What covers all of it cannot have less than a part.
        ({}, [step("extern", 12, *WHOLE), step("batch", 5e5, *WHOLE), step("0", 1e6, *WHOLE)],
         1e6, "extern step has less energy"),
        (TWO, [step("extern", 12, *WHOLE), step("0", 1e6, *WHOLE)], 1e6, "extern step has less"),
        ({}, [step("extern", 899, *WHOLE), step("batch", 900, *WHOLE), step("0", 700, *WHOLE),
              step("1", 600, *WHOLE)], 900, "extern step has less energy"),
        (ONE, [step("extern", 9e5, *WHOLE), step("batch", 8e5, *WHOLE)], 9e5, ""),
    ],
)  # fmt: skip
def test_a_node_seen_by_several_steps_counts_once(
    write_sacct: Write, job: dict[str, str], steps: list[dict[str, str]], energy_j: float,
    noted: str,
) -> None:  # fmt: skip
    workload = read_sacct(write_sacct(job, *steps))
    assert_allclose(workload.jobs["energy_j"], energy_j)
    notes = workload.cleaning["reason"].str.extract(
        "(side by side|may have run at once|extern step has less energy)"
    )[0]
    assert noted in " ".join(notes.dropna()) if noted else notes.isna().all()


@pytest.mark.parametrize("joules", ["0", "", "18446744073709551614", "18446744073709551615"])
def test_no_energy_is_unknown_and_not_zero(write_sacct: Write, joules: str) -> None:
    other = {"JobID": "8", "ConsumedEnergyRaw": "60"}
    workload = read_sacct(write_sacct({"ConsumedEnergyRaw": joules}, other))
    assert np.isnan(workload.jobs["power_w"].iloc[0])
    assert workload.jobs["power_w"].iloc[1] == 0.1
    assert count(workload, "noted", "energy 0 or unknown") == 1


def test_the_largest_memory_of_the_steps_is_the_jobs(write_sacct: Write) -> None:
    steps = [{"JobID": "7.batch", "MaxRSS": "1180K"}, {"JobID": "7.0", "MaxRSS": "5.5M"}]
    assert list(read_sacct(write_sacct({"MaxRSS": ""}, *steps)).jobs["max_rss_kb"]) == [5632]


def test_steps_without_their_job_are_dropped(write_sacct: Write) -> None:
    workload = read_sacct(write_sacct({}, {"JobID": "6.batch"}, {"JobID": "7.0"}))
    assert count(workload, "dropped", "step without its job") == 1
    assert (len(workload), accounted(workload)) == (1, 3)


def test_attempts_of_a_requeued_job_are_jobs_with_their_own_steps(write_sacct: Write) -> None:
    rows = [
        {"State": "NODE_FAIL", "ElapsedRaw": "100"},
        {"JobID": "7.extern", "ConsumedEnergyRaw": "1000"},
        {"Submit": "2024-06-24T13:00:00", "Start": "2024-06-24T13:00:00"},
        {"JobID": "7.extern", "ConsumedEnergyRaw": "6000"},
    ]
    workload = read_sacct(write_sacct(*rows))
    assert list(workload.jobs["energy_j"]) == [1000, 6000]
    assert list(workload.jobs["status"]) == [0, 1]
    assert count(workload, "noted", "a later attempt") == 1


def test_overlapping_exports_count_once(write_sacct: Write) -> None:
    rows = [{}, {"JobID": "7.extern", "ConsumedEnergyRaw": "900"}]
    workload = read_sacct(write_sacct(*rows, *rows))
    assert list(workload.jobs["energy_j"]) == [900]
    assert count(workload, "dropped", "line repeated") == 1
    assert accounted(workload) == 4


def test_equal_lines_without_job_ids_are_kept_and_noted(write_sacct: Write) -> None:
    workload = read_sacct(write_sacct({}, {}, {"State": "FAILED"}, without="JobID"))
    assert list(workload.jobs["job"]) == [1, 2, 3]
    assert count(workload, "noted", "equal to an earlier line") == 1


def test_arrays_and_heterogeneous_jobs(write_sacct: Write) -> None:
    rows = [
        {"JobID": "10_1", "JobIDRaw": "11"},
        {"JobID": "10_1.batch", "JobIDRaw": "11.batch"},
        {"JobID": "10_2", "JobIDRaw": "10"},
        {"JobID": "10_[3-9%2]", "JobIDRaw": "12", "State": "PENDING", "ElapsedRaw": "0"},
        {"JobID": "20+0", "JobIDRaw": "20"},
        {"JobID": "20+1", "JobIDRaw": "21"},
    ]
    workload = read_sacct(write_sacct(*rows))
    assert list(workload.jobs["job"]) == [11, 10, 20, 21]
    assert count(workload, "noted", "heterogeneous") == 2
    assert accounted(workload) == 6


def test_jobs_that_did_not_run_are_dropped_by_reason(write_sacct: Write) -> None:
    never = {"Start": "Unknown", "ElapsedRaw": "0", "AllocCPUS": "0"}
    rows = [
        {},
        {"JobID": "8", "State": "RUNNING", "End": "Unknown", "ElapsedRaw": "300"},
        {"JobID": "9", "State": "PENDING", "End": "Unknown", **never},
        {"JobID": "10", "State": "CANCELLED by 1234", **never},
        {"JobID": "11", "State": "CANCELLED by 1234", **never, "Start": "None"},
        {"JobID": "12", "State": "FAILED", "ElapsedRaw": "0"},
    ]
    workload = read_sacct(write_sacct(*rows))
    assert list(workload.jobs["job"]) == [7]
    assert count(workload, "dropped", "still pending or running") == 2
    assert count(workload, "dropped", "never started") == 2
    assert count(workload, "dropped", "no positive runtime") == 1
    assert accounted(workload) == 6


@pytest.mark.parametrize(
    ("without", "row", "runtime_s"),
    [
        ("ElapsedRaw", {"Elapsed": "1-02:03:04"}, 93784),
        ("ElapsedRaw", {}, 600),
        ("ElapsedRaw Start End", {"CPUTimeRAW": "4800"}, 1200),
    ],
)
def test_where_the_runtime_comes_from(
    write_sacct: Write, without: str, row: dict[str, str], runtime_s: float
) -> None:
    assert list(read_sacct(write_sacct(row, without=without)).jobs["runtime_s"]) == [runtime_s]


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", "INVALID", ""])
def test_no_time_limit_is_no_request(write_sacct: Write, limit: str) -> None:
    path = write_sacct({"TimelimitRaw": limit, "Timelimit": limit})
    assert read_sacct(path).jobs["requested_s"].isna().all()


@pytest.mark.parametrize(
    ("request_", "kb"),
    [
        ("4000Mc", 4000 * 1024),
        ("4Gn", 2 * 4 * 1024**2 / 4),
        ("16G", 16 * 1024**2 / 4),
        ("1.5T", 1.5 * 1024**3 / 4),
    ],
)
def test_memory_requests_are_per_processor(write_sacct: Write, request_: str, kb: float) -> None:
    workload = read_sacct(write_sacct({"ReqMem": request_, "NNodes": "2"}))
    assert list(workload.jobs["requested_memory_kb"]) == [kb]


def test_requested_processors_stand_in_for_allocated_ones(write_sacct: Write) -> None:
    workload = read_sacct(write_sacct({}, {"JobID": "8", "AllocCPUS": "0"}))
    assert list(workload.jobs["procs"]) == [4, 3]
    assert count(workload, "repaired", "requested ones taken") == 1


# Summer time of Zurich in 2024: from 31 March 01:00 to 27 October 01:00 UTC.
@pytest.mark.parametrize(
    ("written", "zone", "utc"),
    [
        ("2024-06-24T12:00:00", None, "2024-06-24 12:00"),
        ("2024-06-24T12:00:00", "Europe/Zurich", "2024-06-24 10:00"),
        ("2024-06-24T12:00:00Z", "Europe/Zurich", "2024-06-24 12:00"),
        ("2024-06-24T12:00:00-0600", "Europe/Zurich", "2024-06-24 18:00"),
        ("1719230400", "Europe/Zurich", "2024-06-24 12:00"),
        ("2024-10-27T02:30:00", "Europe/Zurich", "2024-10-27 00:30"),
        ("2024-03-31T02:30:00", "Europe/Zurich", "2024-03-31 01:00"),
    ],
)
def test_instants(write_sacct: Write, written: str, zone: str | None, utc: str) -> None:
    path = write_sacct({"Submit": written}, without="Start End")
    workload = read_sacct(path, timezone=zone)
    assert workload.start == pd.Timestamp(utc, tz="UTC")
    assert workload.timezone == (zone or "UTC")


def test_an_hour_shown_twice_is_resolved_by_the_order_of_events(write_sacct: Write) -> None:
    # Submitted in the first of the two hours and started in the second, 20 minutes later.
    row = {"Submit": "2024-10-27T02:50:00", "Start": "2024-10-27T02:10:00", "End": "Unknown"}
    workload = read_sacct(write_sacct(row), timezone="Europe/Zurich")
    assert list(workload.jobs["wait_s"]) == [1200]
    assert count(workload, "noted", "twice") == 2


def test_a_run_through_the_end_of_summer_time(write_sacct: Write) -> None:
    row = {"Submit": "2024-10-27T01:30:00", "Start": "2024-10-27T01:30:00"}
    path = write_sacct(row | {"End": "2024-10-27T03:30:00"}, without="ElapsedRaw")
    assert list(read_sacct(path, timezone="Europe/Zurich").jobs["runtime_s"]) == [10800]


def test_the_absence_of_a_time_zone_is_noted(write_sacct: Write) -> None:
    assert count(read_sacct(write_sacct({})), "noted", "no time zone given") == 3
    assert count(read_sacct(write_sacct({}), timezone="UTC"), "noted", "no time zone") == 0


def test_an_unknown_time_zone_is_refused(write_sacct: Write) -> None:
    with pytest.raises(ValueError, match=r"timezone\(='Mars/Olympus'\)"):
        read_sacct(write_sacct({}), timezone="Mars/Olympus")


def test_the_machine_is_given_or_what_was_used_at_once(write_sacct: Write) -> None:
    rows = [{}, {"JobID": "8"}, {"JobID": "9", "Start": "2024-06-24T12:11:00"}]
    path = write_sacct(*rows)
    estimated = read_sacct(path)
    assert estimated.procs == 8  # the third begins at the instant at which the others end
    assert count(estimated, "noted", "no machine size") == 1
    assert read_sacct(path, procs=64).procs == 64
    with pytest.raises(TraceError, match=r"line 2, procs='4': is larger than the machine of 3"):
        read_sacct(path, procs=3)
    assert len(read_sacct(write_sacct({}, {"JobID": "8", "AllocCPUS": "2"}), procs=3, strict=False))


def test_without_starts_the_largest_job_stands_for_the_machine() -> None:
    jobs = pd.DataFrame({"submit_s": [0.0, 0.0], "runtime_s": [9.0, 9.0], "procs": [3, 5]})
    assert most_at_once(jobs) == 5
    assert most_at_once(jobs.assign(wait_s=[0.0, 0.0])) == 8


def test_out_of_order_submissions_are_sorted(write_sacct: Write) -> None:
    rows = [{}, {"JobID": "8", "Submit": "2024-06-24T11:00:00"}]
    workload = read_sacct(write_sacct(*rows))
    assert list(workload.jobs["job"]) == [8, 7]
    assert workload.start == pd.Timestamp("2024-06-24 11:00", tz="UTC")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("Submit", "yesterday", "no instant"),
        ("ElapsedRaw", "-5", "no number"),
        ("Elapsed", "1:2:3:4", "no duration"),
        ("AllocCPUS", "four", "no number"),
        ("ReqMem", "4Xn", "letters K, M, G"),
        ("AllocTRES", "cpu", "no list of resources"),
        ("ConsumedEnergyRaw", "1.5W", "letters K, M, G"),
    ],
)
def test_a_bad_value_is_refused_or_taken_as_unknown(
    write_sacct: Write, field: str, value: str, problem: str
) -> None:
    path = write_sacct({}, {"JobID": "8", field: value})
    with pytest.raises(TraceError, match=problem) as caught:
        read_sacct(path)
    assert (caught.value.line, caught.value.value) == (3, value)
    assert caught.value.field == field
    assert "taken as unknown" not in str(caught.value)  # it was not: it was refused
    workload = read_sacct(path, strict=False)
    assert count(workload, "repaired", f"{problem}.*, taken as unknown") == 1
    assert accounted(workload) == 2


def test_a_line_with_other_fields_is_refused_or_dropped(write_sacct: Write) -> None:
    path = write_sacct({"JobName": "a|b"}, {"JobID": "8"}, {"JobID": "9"})
    path.write_text(path.read_text() + "10|cut\n\n")
    with pytest.raises(TraceError, match="other than the header's 15 fields") as caught:
        read_sacct(path)
    assert (caught.value.line, caught.value.value) == (2, "16")
    workload = read_sacct(path, strict=False)
    assert list(workload.jobs["job"]) == [8, 9]
    assert accounted(workload) == 4


def test_missing_columns_are_named_with_the_command_that_exports_them(
    write_sacct: Write,
) -> None:
    path = write_sacct({}, without="Submit ElapsedRaw End")
    with pytest.raises(TraceError) as caught:
        read_sacct(path)
    message = str(caught.value)
    assert "lacks Submit, ElapsedRaw (or Elapsed, or Start and End)" in message
    assert "sacct --allusers --parsable2" in message and "ConsumedEnergyRaw" in message


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x7fELF\x00\x01\x02|\x00\xff",
        bytes(range(256)) * 9,
        b"7|ann|COMPLETED|2024-06-24T12:00:00|600|4\n",
        b"JobID State Submit ElapsedRaw AllocCPUS\n7 COMPLETED 2024-06-24T12:00:00 600 4\n",
        b"JobID|State|Submit|ElapsedRaw|AllocCPUS\n",
        b"JobID|State|Submit|ElapsedRaw|AllocCPUS\n7|PENDING|2024-06-24T12:00:00|0|0\n",
        b"JobID|State|State|Submit|ElapsedRaw|AllocCPUS\n7|A|B|2024-06-24T12:00:00|0|0\n",
        b'JobID,State,Submit,ElapsedRaw,AllocCPUS\n"7,COMPLETED,2024-06-24T12:00:00,6,4\n',
    ],
    ids=[
        "empty",
        "blank",
        "binary",
        "all bytes",
        "no header",
        "wrong separator",
        "header only",
        "no job ran",
        "column twice",
        "open quote",
    ],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes, strict: bool) -> None:
    path = tmp_path / "jobs.txt"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"jobs\.txt"):
        read_sacct(path, strict=strict)


def test_a_truncated_file_is_refused_or_read_as_far_as_it_goes(
    write_sacct: Write, tmp_path: Path
) -> None:
    rows = [{"JobID": str(i), "User": f"u{i * 7919 % 1000}"} for i in range(3000)]
    packed = tmp_path / "jobs.txt.gz"
    packed.write_bytes(gzip.compress(write_sacct(*rows).read_bytes())[:-3000])
    with pytest.raises(TraceError, match="ends early"):
        read_sacct(packed)
    workload = read_sacct(packed, strict=False)
    assert 0 < len(workload) < 3000
    assert list(workload.jobs["job"]) == list(range(len(workload)))
    assert count(workload, "dropped", "ends early") == 1


def test_windows_line_ends_are_refused_or_repaired(write_sacct: Write) -> None:
    path = write_sacct({}, {"JobID": "8"})
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(TraceError, match="carriage return"):
        read_sacct(path)
    assert len(read_sacct(path, strict=False)) == 2


def test_names_in_any_encoding_are_told_apart(write_sacct: Write) -> None:
    path = write_sacct({}, {"JobID": "8", "User": "bob"})
    path.write_bytes(path.read_bytes().replace(b"ann", b"J\xfcrg"))
    assert list(read_sacct(path).jobs["user"]) == [1, 2]


@pytest.mark.parametrize("separator", ["|", ",", ";", "\t"])
def test_load_knows_accounting_by_its_content(write_sacct: Write, separator: str) -> None:
    path = write_sacct({}, separator=separator)
    path = path.rename(path.with_suffix(".swf"))
    assert list(ew.load(path, procs=8).jobs["runtime_s"]) == [600]
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert ew.load(packed).procs == 4


def test_eagle(real_data: Path) -> None:
    """The 1,000 rows of the sample, counted from the file without the library."""
    workload = ew.load("Eagle-2019")
    assert (len(workload), accounted(workload)) == (1000, 1000)
    assert (workload.name, workload.tier, workload.timezone) == (
        "Eagle-2019",
        "real",
        "America/Denver",
    )
    assert workload.start == pd.Timestamp("2019-01-01 15:55:55", tz="UTC")  # 08:55:55 MST
    assert int((workload.jobs["status"] == 1).sum()) == 985
    assert workload.jobs["user"].nunique() == 15
    assert sorted(workload.jobs["gpus"].unique()) == [0, 2, 16]
    first = workload.jobs.iloc[0]
    assert (first["job"], first["procs"], first["nodes"]) == (532209, 10, 10)
    assert (first["runtime_s"], first["wait_s"], first["requested_s"]) == (99825, 1, 172800)
    assert count(workload, "noted", "equal to an earlier line") == 41
    assert count(workload, "noted", "job number of an earlier row") == 451


def test_kabre(real_data: Path) -> None:
    """What the 30,376 rows tell, counted from the file without the library."""
    workload = ew.load("Kabre-2024")
    assert accounted(workload) == 30_376
    assert count(workload, "dropped", "no positive runtime") == 958  # CPUTimeRAW = 0
    assert count(workload, "dropped", "belie") == 2109
    assert count(workload, "dropped", "past its limit") == 35
    assert count(workload, "repaired", "size inferred") == len(workload) == 27_274
    assert count(workload, "noted", "equal to an earlier line") == 641
    assert workload.start == pd.Timestamp("2024-06-24 18:33:26", tz="UTC")  # 12:33:26 local


def test_kabre_jobs_on_whole_nodes(real_data: Path) -> None:
    """Nodes of partitions nu-* have 256 threads, which draw 0.4 to 0.5 W each."""
    raw = pd.read_csv(real_data / "power" / "kabre_slurm_sacct_energy.csv.gz")
    jobs = ew.load("Kabre-2024").jobs
    whole = jobs[jobs["procs"] % 256 == 0]
    on_nu = raw["Partition"].str.fullmatch("nu(-.*)?") & (raw["CPUTimeRAW"] > 0)
    assert len(whole) == on_nu.sum()
    assert (whole["procs"] >= 256 * whole["nodes"]).all()
    per_thread_w = (whole["power_w"] / whole["procs"]).dropna()
    assert 0.4 < per_thread_w.median() < 0.5
    # Those that timed out ran for their limit, within a minute.
    first = jobs.iloc[0]
    assert (first["procs"], first["runtime_s"]) == (256, 158517504 / 256)
    assert 0 <= first["runtime_s"] - first["requested_s"] <= 60


def test_a_machine_has_the_gpus_that_were_used_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.txt"
    path.write_text(
        "JobID|State|Submit|Start|ElapsedRaw|AllocCPUS|AllocTRES\n"
        "1|COMPLETED|100|100|50|4|cpu=4,gres/gpu=2\n"
        "2|COMPLETED|100|120|50|4|cpu=4,gres/gpu=3\n"
        "3|COMPLETED|100|150|50|4|cpu=4,gres/gpu=1\n"
    )
    workload = read_sacct(path, procs=16)
    assert workload.gpus == 5
    assert ew.replay(workload, "easy").platform.gpus == 5
    [noted] = workload.cleaning.loc[workload.cleaning["field"] == "gpus", "value"]
    assert noted == "5"
