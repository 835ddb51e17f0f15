"""The verbs of ``exawatt telemetry``, from a logger's recording to a release."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from command import parse, run

import exawatt as ew
from exawatt.telemetry.pseudonyms import create_key
from exawatt.telemetry.release import read_release
from exawatt.telemetry.tables import job_table, with_uncertainty

TICKS = 11


@pytest.fixture
def recording(tmp_path: Path, two_zones, start, stop, wait_for) -> Path:
    """Return what the logger wrote while a package drew 3 J at each of ten steps."""
    path = tmp_path / "node.csv"
    process = start("--interval", 0.2, "--output", path)
    wait_for(lambda: path.exists() and path.read_text().count("\n") > 2)
    for step in range(1, TICKS):
        two_zones.set("intel-rapl:0", 3_000_000 * step)
        time.sleep(0.2)
    lines = path.read_text().count("\n")
    wait_for(lambda: path.read_text().count("\n") > lines + 4)
    stop(process)
    return path


def test_energy_is_that_of_the_counters(recording: Path) -> None:
    status, out, _ = run("telemetry", "energy", recording, "--json")
    assert status == 0
    by_zone = {row["zone"]: row for row in parse(out)}
    assert by_zone["package-0"]["energy_j"] == pytest.approx(30.0, abs=1e-6)
    assert by_zone["package-0"]["method"] == "counter"
    assert by_zone["package-0/dram"]["energy_j"] == 0
    status, out, _ = run("telemetry", "energy", recording)
    assert status == 0
    assert "30.0" in out


def test_a_converted_recording_measures_the_same(recording: Path, tmp_path: Path) -> None:
    status, out, said = run("telemetry", "convert", recording, "--output", tmp_path / "kept")
    assert (status, said) == (0, "")
    converted = Path(out.strip())
    assert converted == tmp_path / "kept" / "node.parquet"
    before = parse(run("telemetry", "energy", recording, "--json")[1])
    after = parse(run("telemetry", "energy", converted, "--json")[1])
    keys = ("zone", "energy_j", "uncertainty_j", "duration_s")
    assert [[row[key] for key in keys] for row in after] == [
        [row[key] for key in keys] for row in before
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_windows_hold_the_energy_of_the_recording(
    recording: Path, tmp_path: Path, ending: str
) -> None:
    output = tmp_path / f"windows.{ending}"
    status, _, said = run("telemetry", "aggregate", recording, "--output", output, "--window", 1)
    assert (status, said) == (0, "")
    windows = pd.read_csv(output) if ending == "csv" else pd.read_parquet(output)
    package = windows[windows["zone"] == "package-0"]
    assert package["energy_j"].sum() == pytest.approx(30.0, abs=1e-6)
    assert len(set(windows["host"])) == 1
    status, _, said = run("telemetry", "aggregate", recording, "--output", output)
    assert status == 1
    assert "exists already" in said


def test_jobs_are_measured_by_their_times_and_host(recording: Path, tmp_path: Path) -> None:
    table = pd.read_csv(recording)
    host = json.loads(Path(f"{recording}.json").read_text())["host"]
    begin_s = table["time_ns"].min() // 10**9 - 1
    accounting = tmp_path / "jobs.txt"
    accounting.write_text(
        "JobID|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NodeList\n"
        f"7|COMPLETED|{begin_s}|{begin_s}|{begin_s + 60}|60|4|{host}\n"
        f"8|COMPLETED|{begin_s}|{begin_s}|{begin_s + 60}|60|4|elsewhere\n"
    )
    output = tmp_path / "energy.csv"
    arguments = ("telemetry", "energy", recording, "--jobs", accounting)
    status, out, _ = run(*arguments, "--output", output, "--json")
    assert status == 0
    found = parse(out)
    assert (found["jobs"], found["measured"]) == (2, 1)
    [row] = pd.read_csv(output).to_dict("records")
    assert row["job"] == 7
    assert row["energy_j"] == pytest.approx(30.0, abs=0.1)
    assert row["coverage"] < 0.5
    status, out, _ = run(*arguments)
    assert status == 0
    shown = next(line for line in out.splitlines() if line.strip().startswith("7 "))
    assert shown.split()[1].startswith("30.")
    assert shown.split()[4:] == ["counter", "no"]
    assert re.search(r"energy_kwh\W+8\.33e-06", out)


ACCOUNTING = "JobID|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NodeList\n"


def test_local_times_of_jobs_need_a_zone(recording: Path, tmp_path: Path) -> None:
    accounting = tmp_path / "jobs.txt"
    begin, end = "2024-06-24T12:00:00", "2024-06-24T12:01:00"
    accounting.write_text(f"{ACCOUNTING}7|COMPLETED|{begin}|{begin}|{end}|60|4|n1\n")
    arguments = ("telemetry", "energy", recording, "--jobs", accounting)
    status, out, said = run(*arguments)
    assert (status, out) == (1, "")
    assert "pass --timezone" in said
    status, out, said = run(*arguments, "--timezone", "Europe/Zurich", "--json")
    assert status == 0
    assert parse(out)["measured"] == 0
    assert "recordings are of" in said  # n1 was not recorded
    status, out, _ = run(*arguments, "--timezone", "Europe/Zurich")
    assert (status, out) == (0, "None of the 1 jobs was measured.\n")


def test_defects_of_the_accounting_can_be_worked_around(recording: Path, tmp_path: Path) -> None:
    accounting = tmp_path / "jobs.txt"
    accounting.write_text(f"{ACCOUNTING}7|COMPLETED|1|1|61|60|4|n1\n8|COMPLETED|x|1|61|60|4|n1\n")
    arguments = ("telemetry", "energy", recording, "--jobs", accounting, "--json")
    assert "--lenient" in run(*arguments)[2]
    assert run(*arguments, "--lenient")[0] == 0
    accounting.write_text(f"{ACCOUNTING}7|COMPLETED|1|1|61|60|4|n1\n")
    status, _, said = run(*arguments, "--procs", 2)
    assert status == 1
    assert "larger than the machine of 2 processors" in said


def test_output_of_energy_is_of_jobs_and_never_overwritten(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "energy.csv"
    for option, value in [("--output", output), ("--timezone", "UTC"), ("--procs", 4)]:
        status, out, said = run("telemetry", "energy", recording, option, value)
        assert (status, out) == (1, "")
        assert said == f"exawatt: {option} {value} is for the energy of jobs: pass --jobs too.\n"
    status, _, said = run("telemetry", "energy", recording, "--jobs", tmp_path / "absent")
    assert (status, said) == (1, f"exawatt: {tmp_path / 'absent'}: is no file.\n")
    output.write_text("mine")
    arguments = ("telemetry", "energy", recording, "--jobs", tmp_path / "absent")
    status, _, said = run(*arguments, "--output", output)
    assert status == 1
    assert "exists already" in said
    assert output.read_text() == "mine"


def test_recordings_of_nothing_are_named(two_zones, once, tmp_path: Path) -> None:
    path = tmp_path / "node.csv"
    once("--once", "--output", path)
    status, _, said = run("telemetry", "energy", path)
    assert (status, said.count("\n")) == (1, 1)
    assert "node.csv holds no two samples" in said
    path.write_text(path.read_text().partition("\n")[0] + "\n")
    for verb in (["energy", path], ["aggregate", path, "--output", tmp_path / "windows.csv"]):
        status, _, said = run("telemetry", *verb)
        assert (status, said.count("\n")) == (1, 1)
        assert "node.csv holds no" in said
    assert not (tmp_path / "windows.csv").exists()


def test_the_energy_of_devices_fits_into_80_columns(recording: Path) -> None:
    status, out, _ = run("telemetry", "energy", recording, columns=80)
    assert status == 0
    header = next(line for line in out.splitlines() if "energy_j" in line)
    assert header.split() == "zone duration_s method energy_j ±_j mean_w gaps".split()
    [row] = [line for line in out.splitlines() if line.strip().startswith("package-0/dram ")]
    assert row.split()[2:5] == ["counter", "0.0", "0"]
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_accuracy_of_rapl_is_not_part_of_the_uncertainty(recording: Path) -> None:
    assert "without the sensor's own accuracy" in run("telemetry", "energy", recording)[1]
    rows = parse(run("telemetry", "energy", recording, "--json")[1])
    assert [row["sensor_j"] for row in rows] == [None, None]


def test_files_are_told_apart(recording: Path, tmp_path: Path) -> None:
    run("telemetry", "convert", recording)
    both = (recording, recording.with_suffix(".parquet"))
    status, out, _ = run("telemetry", "energy", *both)
    assert status == 0
    for path in both:
        _, _, below = out.partition(f", {path}, ± its standard uncertainty")
        assert below.split("package-0/dram")[0].count("package-0 ") == 1
    assert "overlap on zone package-0" in out
    assert "do not add their energies" in " ".join(out.split())
    assert "node.csv" not in run("telemetry", "energy", recording)[1]


@pytest.mark.parametrize(
    ("value", "uncertainty", "shown"),
    [
        (30.0, 0.04321, ("30.000", "0.043")),
        (123_456.7, 1_234.5, ("123,500", "1,200")),
        (12.345, 0.0996, ("12.35", "0.10")),
        (0.0, 4e-7, ("0.000", "4e-07")),
        (5.0, 0.0, ("5.0", "0")),
        (5.0, float("nan"), ("5.0", "nan")),
    ],
)
def test_two_digits_of_an_uncertainty_count(
    value: float, uncertainty: float, shown: tuple[str, str]
) -> None:
    assert with_uncertainty(value, uncertainty) == shown


def test_large_energies_are_in_kwh() -> None:
    jobs = pd.DataFrame({"job": [7, 8], "energy_j": [3.6e7, 1e3], "uncertainty_j": [3.6e5, 1e2]})
    shown = job_table(jobs.assign(coverage=1.0, method="counter", shared=[True, False]))
    assert shown["energy_kwh"].tolist() == ["10.00", "0.000"]
    assert shown["±_kwh"].tolist() == ["0.10", "2.8e-05"]
    assert shown["shared"].tolist() == ["yes", "no"]


def test_recordings_that_overlap_are_not_aggregated(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "windows.csv"
    status, _, said = run("telemetry", "aggregate", recording, recording, "--output", output)
    assert status == 1
    assert "overlap" in said
    assert not output.exists()


def test_recordings_that_follow_one_another_share_windows(recording: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    assert run("telemetry", "aggregate", recording, "--output", whole, "--window", 60)[0] == 0
    lines = recording.read_text().splitlines(keepends=True)
    cut = 1 + (len(lines) // 4) * 2
    halves = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, rows in zip(halves, (lines[1:cut], lines[cut:]), strict=True):
        path.write_text(lines[0] + "".join(rows))
        Path(f"{path}.json").write_text(Path(f"{recording}.json").read_text())
    status, _, said = run("telemetry", "aggregate", *halves, "--output", parts, "--window", 60)
    assert status == 0, said
    one, two = pd.read_csv(whole), pd.read_csv(parts)
    assert two[["zone", "time_ns", "samples"]].equals(one[["zone", "time_ns", "samples"]])
    joules = [table.loc[table["zone"] == "package-0", "energy_j"].sum() for table in (one, two)]
    assert 0 <= joules[0] - joules[1] <= 3.0 + 1e-6  # between the two nobody looked


def test_a_release_can_be_replayed(tmp_path: Path) -> None:
    key, folder = tmp_path / "key", tmp_path / "release"
    assert run("telemetry", "key", key)[0] == 0
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--licence", "CC BY 4.0")
    status, out, said = run("telemetry", "publish", "tiny", folder, *arguments)
    assert status == 0, said
    assert "rows_suppressed" in out
    assert "CC BY 4.0" in (folder / "README.md").read_text()
    assert len(ew.replay(read_release(folder), "easy").jobs) > 0


def test_what_fails_is_not_written_and_its_cells_are_named(tmp_path: Path) -> None:
    key, folder = create_key(tmp_path / "key"), tmp_path / "release"
    arguments = ("--key", key, "--quasi-identifiers", "procs,runtime_s", "--as-is")
    status, _, said = run("telemetry", "publish", "tiny", folder, *arguments)
    assert status == 1
    assert "cells have fewer than k=5 rows or 5 users" in said
    assert "procs  runtime_s  rows  users" in said
    assert not folder.exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    key.chmod(0o644)
    arguments = ("--key", key, "--quasi-identifiers", "procs")
    status, _, said = run("telemetry", "publish", "tiny", tmp_path / "release", *arguments)
    assert status == 1
    assert f"chmod 600 {key}" in said


@pytest.mark.parametrize("logger", ["nvml", "rapl"])
def test_a_logger_reads_its_own_options(logger: str) -> None:
    status, out, _ = run("telemetry", logger, "--help")
    assert status == 0
    assert "--prometheus" in out


def test_the_logger_starts_with_the_standard_library_alone(
    two_zones, rapl_command: list[str]
) -> None:
    program = (
        "import sys; from exawatt.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    arguments = ["telemetry", "rapl", "--once", "--root", rapl_command[-1]]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "package-0,0," in done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded.isdisjoint({"numpy", "pandas", "numba", "typer", "rich"})
