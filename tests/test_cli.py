"""The command line: what it prints, and that bad input ends in one clear line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import SWF_HEADER, neso_csv, swf_row
from command import parse, run

import exawatt as ew

METRICS = ["jobs", "avebsld", "mean_wait_s", "p99_wait_s", "max_wait_s", "mean_turnaround_s"]
METRICS += ["utilisation", "makespan_s"]
REPORT = ["trace", "sha256", "tier", "policy", *METRICS]
REPORT += ["idle_machine_w", "full_w", "energy_kwh", "carbon_kgco2e", "intensity"]
REPORT += ["nan_scores", "replay_seconds"]
LIBRARY = Path(__file__).parents[1] / "lib"


def run_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "exawatt.cli", *(str(argument) for argument in arguments)]
    path = os.pathsep.join([str(LIBRARY), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


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


def test_a_comparison_tells_the_change_of_carbon(trace: Path) -> None:
    _, out, _ = run("compare", trace, "--policies", "fcfs,easy", "--json")
    fcfs, easy = (entry["carbon_kgco2e"] for entry in parse(out)["policies"])
    _, out, _ = run("compare", trace, "--policies", "fcfs,easy")
    changes = re.findall(r"[-+]\d+\.\d%", out)
    assert changes == ["+0.0%", f"{easy / fcfs - 1:+.1%}"]


def test_five_policies_fit_into_eighty_columns(trace: Path) -> None:
    names = ["fcfs", "easy", "conservative", "easy++", "easy-sjbf"]
    status, out, _ = run("compare", trace, "--policies", ",".join(names), columns=80)
    assert status == 0
    assert "…" not in out
    words = out.split()
    assert {"avebsld", "mean_wait_s", "p99_wait_s", "utilisation", "energy_kwh"} <= set(words)
    assert [words.count(name) for name in names] == [2] * 5  # in both tables, whole
    assert max(map(len, out.splitlines())) <= 80


def test_small_amounts_keep_digits_that_matter(tmp_path: Path, intensity: Path) -> None:
    # One processor of two busy for a minute: (95 + 190.738) W * 60 s = 0.00476 kWh.
    path = tmp_path / "small.swf"
    path.write_text(SWF_HEADER.replace(": 10", ": 2").replace(": 5", ": 2") + swf_row(1))
    for verb in ("replay", "compare", "account"):
        out = run(verb, path, "--intensity", intensity)[1]
        assert "0.00476" in out
        assert "0.000952" in out


def test_replay_tells_the_watts_that_a_cap_may_be_chosen_from(trace: Path) -> None:
    report = parse(run("replay", trace, "--json")[1])
    assert (report["idle_machine_w"], report["full_w"]) == pytest.approx((475.0, 953.69))
    out = run("replay", trace)[1]
    assert re.search(r"idle_machine_w\W+475", out)


def test_scores_that_are_no_number_are_told(trace: Path, tmp_path: Path) -> None:
    policy = tmp_path / "odd.json"
    inf = float("inf")
    odd = ew.Scorer.linear((inf, 0.0, 0.0, -inf, 0.0, 0.0, 0.0, 0.0), name="odd")
    ew.Policy(order=odd).to_json(policy)
    path = tmp_path / "four.swf"
    path.write_text(trace.read_text() + swf_row(4, submit_s=300, procs=10))
    status, out, err = run("replay", path, "--policy", policy, "--json")
    assert status == 0
    assert parse(out)["nan_scores"] > 0
    for verb in (("replay", path, "--policy", policy), ("compare", path, "--policies", policy)):
        err = run(*verb)[2]
        assert re.search(r"note: \d+ scores of policy odd were no number", err)
    assert parse(run("replay", path, "--json")[1])["nan_scores"] == 0


@pytest.mark.parametrize("verb", ["replay", "compare"])
def test_a_trace_without_requests_says_so(tmp_path: Path, trace: Path, verb: str) -> None:
    path = tmp_path / "silent.swf"
    path.write_text(SWF_HEADER + swf_row(1, requested_s=-1))
    assert "No job has a request (requested_s): the scheduler takes 24 h" in run(verb, path)[1]
    assert "requested_s" not in run(verb, trace)[1]


def test_a_machine_size_that_was_guessed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bare.swf"
    path.write_text(swf_row(1, procs=3) + swf_row(2))
    out = run("replay", path, "--lenient")[1]
    assert "the largest job taken (3 processors); pass its size as --procs" in out
    assert "Machine" not in run("replay", path, "--procs", 3)[1]


@pytest.mark.parametrize("verb", ["replay", "compare"])
def test_help_says_where_policy_files_are_described(verb: str) -> None:
    assert "docs/policies.md" in run(verb, "--help")[1]


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
    "no such policy file": ("compare", "tiny", "--policies", "easy,missing.json"),
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
    "no such policy file": "missing.json: no such policy file; pass",
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
