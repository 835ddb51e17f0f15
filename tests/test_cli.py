"""The command line: what it prints, and that bad input ends in one clear line."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import SWF_HEADER, neso_csv, swf_row
from publisher import Publisher
from typer.testing import CliRunner

import exawatt as ew
from exawatt import cli_traces
from exawatt.cli import app
from exawatt.readers.catalog import Entry

METRICS = ["jobs", "avebsld", "mean_wait_s", "p99_wait_s", "max_wait_s", "mean_turnaround_s"]
METRICS += ["utilisation", "makespan_s"]
REPORT = ["trace", "sha256", "tier", "policy", *METRICS]
REPORT += ["energy_kwh", "carbon_kgco2e", "intensity", "replay_seconds"]
LIBRARY = Path(__file__).parents[1] / "lib"


def plain(text: str) -> str:
    """Text without the colours that some terminals and services ask for."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def run(*arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; return its exit status, stdout and stderr."""
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200"}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, plain(result.stdout), plain(result.stderr)


def run_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "exawatt.cli", *(str(argument) for argument in arguments)]
    path = os.pathsep.join([str(LIBRARY), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def parse(text: str) -> Any:
    """Parse strict JSON: NaN and Infinity are not."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace that starts on 2023-06-14: three jobs on ten processors, the second waits."""
    path = tmp_path / "mine.swf"
    rows = [
        swf_row(1, submit_s=0, runtime_s=1000, requested_s=1200, procs=10),
        swf_row(2, submit_s=100, runtime_s=100, requested_s=200, procs=10),
        swf_row(3, submit_s=200, runtime_s=600, requested_s=600, procs=1),
    ]
    path.write_text(SWF_HEADER + "".join(rows))
    return path


@pytest.fixture
def intensity(tmp_path: Path) -> Path:
    """Two days at 200 gCO2/kWh around that date."""
    path = tmp_path / "flat.csv"
    path.write_text(neso_csv("2023-06-13 00:00", [200.0] * 96))
    return path


def test_replay_prints_one_json_object(trace: Path) -> None:
    status, out, _ = run("replay", trace, "--policy", "easy", "--json")
    assert status == 0
    report = parse(out)
    assert set(REPORT) <= set(report)
    workload = ew.load(trace)
    schedule = ew.replay(workload, policy="easy")
    assert {name: report[name] for name in METRICS} == pytest.approx(schedule.metrics())
    assert report["trace"] == "mine"
    assert report["sha256"] == workload.sha256
    assert report["tier"] == "real"
    assert report["energy_kwh"] == pytest.approx(ew.power(schedule).energy_kwh)
    assert report["replay_seconds"] > 0


def test_replay_takes_either_policy(trace: Path) -> None:
    waits = {}
    for name in ("fcfs", "easy"):
        report = parse(run("replay", trace, "--policy", name, "--json")[1])
        assert name in str(report["policy"])
        waits[name] = report["mean_wait_s"]
    # Both: 0, 900 (1000 - 100), 900 (1100 - 200): the whole machine is busy, nothing backfills.
    assert waits == {"fcfs": pytest.approx(600), "easy": pytest.approx(600)}


def test_replay_prints_a_table_without_json(trace: Path) -> None:
    status, out, _ = run("replay", trace, "--policy", "easy")
    assert status == 0
    assert "mine" in out
    with pytest.raises(ValueError):
        json.loads(out)


def test_compare_has_one_entry_a_policy(trace: Path) -> None:
    status, out, _ = run("compare", trace, "--policies", "fcfs,easy", "--json")
    assert status == 0
    assert [entry["policy"] for entry in parse(out)["policies"]] == ["fcfs", "easy"]
    status, out, _ = run("compare", trace, "--policies", "fcfs,easy")
    assert status == 0
    assert re.search(r"\bfcfs\b", out)
    assert re.search(r"\beasy\b", out)


def test_compare_accounts_over_one_window(tmp_path: Path) -> None:
    # 4 processors on 2 nodes: FCFS ends at 16 (starts 0, 10, 15), EASY at 15 (0, 10, 2).
    path = tmp_path / "window.swf"
    jobs = [(0, 10, 3), (1, 5, 4), (2, 1, 1)]
    rows = [
        swf_row(i, submit_s=submit, runtime_s=run, requested_s=run, procs=procs)
        for i, (submit, run, procs) in enumerate(jobs, 1)
    ]
    path.write_text("; MaxNodes: 2\n; MaxProcs: 4\n" + "".join(rows))
    status, out, _ = run("compare", path, "--policies", "fcfs,easy", "--json")
    assert status == 0
    fcfs, easy = parse(out)["policies"]
    assert (fcfs["policy"], easy["policy"]) == ("fcfs", "easy")
    assert (fcfs["makespan_s"], easy["makespan_s"]) == (16, 15)
    # Both: idle 2 * 95 W for 16 s, and 51 processor-seconds at 95.738 / 2 W.
    joules = 2 * 95 * 16 + 51 * 95.738 / 2
    assert fcfs["energy_kwh"] == pytest.approx(joules / 3.6e6, rel=1e-9)
    assert easy["energy_kwh"] == pytest.approx(joules / 3.6e6, rel=1e-9)


def test_account_multiplies_energy_and_intensity(trace: Path, intensity: Path) -> None:
    # A flat series of 200 g: carbon is 0.2 kg a kWh.
    arguments = ("account", trace, "--policy", "easy", "--intensity", intensity, "--json")
    status, out, _ = run(*arguments)
    assert status == 0
    report = parse(out)
    energy = ew.power(ew.replay(ew.load(trace), policy="easy")).energy_kwh
    assert report["energy_kwh"] == pytest.approx(energy)
    assert report["carbon_kgco2e"] == pytest.approx(0.2 * energy)


def test_traces_are_listed_and_described() -> None:
    status, out, _ = run("traces", "list")
    assert status == 0
    for name in ("KTH-SP2", "KTH-SP2-raw", "LLNL-Thunder", "LLNL-Atlas", "SDSC-SP2", "HPC2N"):
        assert name in out
    for name in ("UniLu-Gaia", "Theta-2022", "Lublin-1", "tiny"):
        assert name in out
    status, out, _ = run("traces", "info", "tiny")
    assert status == 0
    assert str(len(ew.load("tiny").jobs)) in out.replace(",", "")


def test_info_says_where_a_trace_is_from() -> None:
    out = run("traces", "info", "tiny")[1]
    assert "tests/data/make_tiny.py" in out
    report = parse(run("traces", "info", "tiny", "--json")[1])
    assert report["jobs"] == len(ew.load("tiny").jobs)
    assert report["catalog"]["lacks"] == ["waits"]
    assert report["catalog"]["here"] == "yes"


def test_info_takes_a_series() -> None:
    report = parse(run("traces", "info", "GB-2022", "--json")[1])
    assert report["half_hours"] > 0
    assert report["catalog"]["citation"] == "neso_api"
    status, out, _ = run("traces", "info", "GB-2022")
    assert status == 0
    assert "https://carbonintensity.org.uk" in out


def test_info_of_a_file_has_no_entry_in_the_catalog(trace: Path) -> None:
    report = parse(run("traces", "info", trace, "--json")[1])
    assert (report["trace"], report["catalog"]) == ("mine", None)


TEXT = (SWF_HEADER + swf_row(1) + swf_row(2)).encode()
PACKED = gzip.compress(TEXT, mtime=0)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publisher: Publisher) -> Path:
    """Put a catalog of three traces and a series in the place of ours; return the data folder.

    GOOD and LIE have an address, and so has the series; NOWHERE has none.
    """
    addresses = {
        "LIE": publisher.serve("/lie.swf.gz", b"no log"),
        "GOOD": publisher.serve("/good.swf.gz", PACKED),
        "NOWHERE": "",
        "SERIES": publisher.serve("/series.swf.gz", PACKED),
    }
    known = {"sha256": hashlib.sha256(PACKED).hexdigest()}
    known["sha256_text"] = hashlib.sha256(TEXT).hexdigest()
    page = "https://example.org/logs"
    entries = {
        name: Entry(name=name, file=f"{name}-x.swf.gz", terms="", url=url, page=page, **known)
        for name, url in addresses.items()
    }
    series = {"SERIES": entries.pop("SERIES")}
    kinds = {"traces": entries, "intensity": series}
    monkeypatch.setattr(cli_traces, "catalog", kinds.__getitem__)
    monkeypatch.setenv("EXAWATT_CACHE", str(tmp_path / "downloads"))
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def states(out: str) -> dict[str, str]:
    """State of each entry in what `fetch` printed."""
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    return {name: rest.split(":")[0] for name, rest in lines}


def test_fetch_goes_on_after_a_failure(shelf: Path, publisher: Publisher) -> None:
    downloads = shelf.with_name("downloads")
    status, out, _ = run("traces", "fetch", "--all")
    assert status == 1
    assert states(out) == {
        "LIE": "failed",
        "GOOD": "fetched",
        "NOWHERE": "no address",
        "SERIES": "fetched",
    }
    assert hashlib.sha256(b"no log").hexdigest() in out
    assert "https://example.org/logs" in out
    assert sorted(path.name for path in downloads.iterdir()) == [
        "GOOD-x.swf.gz",
        "SERIES-x.swf.gz",
    ]
    publisher.serve("/lie.swf.gz", PACKED)
    status, out, _ = run("traces", "fetch", "--all")
    assert status == 0  # no address is no failure, unless it was asked for by name
    assert states(out) == {
        "LIE": "fetched",
        "GOOD": "already here",
        "NOWHERE": "no address",
        "SERIES": "already here",
    }
    assert publisher.requests.count("/good.swf.gz") == 1


def test_fetch_by_name(shelf: Path, publisher: Publisher) -> None:
    status, out, _ = run("traces", "fetch", "good", "series")
    assert (status, states(out)) == (0, {"GOOD": "fetched", "SERIES": "fetched"})
    status, out, _ = run("traces", "fetch", "NOWHERE")
    assert (status, states(out)) == (1, {"NOWHERE": "no address"})
    assert "/lie.swf.gz" not in publisher.requests


def test_fetch_leaves_the_users_own_copy_alone(shelf: Path, publisher: Publisher) -> None:
    own = shelf / "GOOD-x.swf.gz"
    own.write_bytes(gzip.compress(TEXT + swf_row(3).encode()))
    status, out, _ = run("traces", "fetch", "GOOD")
    assert (status, states(out)) == (0, {"GOOD": "already here"})
    assert f"{own}, differs from the catalog" in out
    assert publisher.requests == []


def test_fetch_replaces_a_damaged_download(shelf: Path) -> None:
    run("traces", "fetch", "GOOD")
    path = shelf.with_name("downloads") / "GOOD-x.swf.gz"
    path.write_bytes(PACKED[:-5])
    status, out, _ = run("traces", "fetch", "GOOD")
    assert (status, states(out)) == (0, {"GOOD": "fetched"})
    assert path.read_bytes() == PACKED


def test_the_list_tells_other_versions(shelf: Path) -> None:
    (shelf / "GOOD-x.swf.gz").write_bytes(gzip.compress(TEXT, compresslevel=1, mtime=9))
    (shelf / "LIE-x.swf.gz").write_bytes(gzip.compress(TEXT[:-1]))
    rows = {row["name"]: row for row in parse(run("traces", "list", "--json")[1])}
    assert {name: row["here"] for name, row in rows.items()} == {
        "GOOD": "yes",
        "LIE": "yes, differs from the catalog",
        "NOWHERE": "no",
        "SERIES": "no",
    }
    assert rows["GOOD"]["path"] == str(shelf / "GOOD-x.swf.gz")
    assert rows["NOWHERE"]["path"] is None
    assert "differs from the catalog" in run("traces", "list")[1]


def test_info_tells_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "UniLu-Gaia-2014-1.swf.gz"
    root = LIBRARY.parent
    if any((root / place / name).exists() for place in ("traces", "data/raw")):
        pytest.skip(f"{name} was dropped into the repository")
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path))
    (tmp_path / name).write_bytes(PACKED)
    status, out, _ = run("traces", "info", "UniLu-Gaia")
    assert status == 0
    assert "differs from the catalog" in out


def test_tiny_says_that_it_is_tiny() -> None:
    report = parse(run("replay", "tiny", "--policy", "easy", "--json")[1])
    assert report["tier"] == "tiny"
    assert report["jobs"] == len(ew.load("tiny").jobs)


def test_lenient_reads_what_strict_refuses(tmp_path: Path) -> None:
    path = tmp_path / "odd.swf"
    path.write_text(SWF_HEADER + swf_row(1) + swf_row(2, runtime_s="long"))
    status, _, err = run("replay", path, "--policy", "easy", "--json")
    assert status != 0
    assert "long" in err
    status, out, _ = run("replay", path, "--policy", "easy", "--json", "--lenient")
    assert status == 0
    assert parse(out)["jobs"] == 1


def test_procs_supplies_a_missing_machine_size(tmp_path: Path) -> None:
    path = tmp_path / "bare.swf"
    path.write_text(swf_row(1) + swf_row(2))
    status, _, err = run("replay", path, "--policy", "easy", "--json")
    assert status != 0
    assert "--procs" in err
    status, out, _ = run("replay", path, "--policy", "easy", "--json", "--procs", 4)
    assert status == 0
    assert parse(out)["jobs"] == 2


BAD = {
    "no such trace": ("replay", "absent.swf", "--policy", "easy"),
    "no such policy": ("replay", "tiny", "--policy", "lifo"),
    "no such policy among them": ("compare", "tiny", "--policies", "fcfs,lifo"),
    "no such series": ("account", "tiny", "--policy", "easy", "--intensity", "MARS-2023"),
    "no such name": ("traces", "info", "KTH-SP3"),
    "no such name to fetch": ("traces", "fetch", "tiny", "KTH-SP3"),
    "nothing to fetch": ("traces", "fetch"),
    "option out of range": ("replay", "tiny", "--policy", "easy", "--procs", "0"),
    "option unknown": ("replay", "tiny", "--polcy", "easy"),
}
CULPRIT = {
    "no such trace": "absent.swf",
    "no such policy": "lifo",
    "no such policy among them": "lifo",
    "no such series": "MARS-2023",
    "no such name": "KTH-SP3",
    "no such name to fetch": "KTH-SP3",
    "nothing to fetch": "--all",
    "option out of range": "--procs",
    "option unknown": "--polcy",
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_clear_line(case: str) -> None:
    status, _, err = run(*BAD[case])
    assert status != 0
    if not case.startswith("option"):  # the parser of options frames its own complaint
        assert len(err.strip().splitlines()) == 1
    assert CULPRIT[case] in err
    assert "Traceback" not in err


def test_energy_in_a_gap_ends_in_one_clear_line(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "gap.csv"
    path.write_text(neso_csv("2023-06-13 00:00", [200.0] * 48 + [None] + [200.0] * 47))
    status, _, err = run("account", trace, "--policy", "easy", "--intensity", path)
    assert status != 0
    assert "2023-06-14" in err
    assert len(err.strip().splitlines()) == 1


def test_a_bad_file_as_a_user_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.swf"
    path.write_text(SWF_HEADER + swf_row(1) + "1 2 3\n")
    done = run_process("replay", path, "--policy", "easy", "--json")
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert str(SWF_HEADER.count("\n") + 2) in lines[0]


def test_json_of_a_process_is_all_of_its_standard_output(trace: Path) -> None:
    done = run_process("replay", trace, "--policy", "easy", "--json")
    assert done.returncode == 0, done.stderr
    assert set(REPORT) <= set(parse(done.stdout))


def test_help_names_every_verb() -> None:
    status, out, _ = run("--help")
    assert status == 0
    for verb in ("traces", "replay", "compare", "account"):
        assert verb in out
