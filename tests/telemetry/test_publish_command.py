"""``exawatt telemetry publish`` from accounting with names to the removal of a user's rows."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command import run

from exawatt.telemetry.pseudonyms import create_key
from exawatt.telemetry.release import read_release

SCRIPT = Path(__file__).parents[2] / "telemetry" / "export_jobs.py"
BEGIN = pd.Timestamp("2024-05-16 09:00")  # a Thursday, by the wall clock


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return create_key(tmp_path / "release.key")


def accounting(path: Path, first: int = 0, form: str = "%Y-%m-%dT%H:%M:%S") -> Path:
    """Write an export that begins at one of its jobs, six users in turn."""
    lines = ["JobIDRaw|User|Account|JobName|Partition|State|Submit|Start|End|ElapsedRaw|AllocCPUS"]
    for n in range(first, 60):
        times = [BEGIN + pd.Timedelta(minutes=n + later) for later in (0, 1, 11)]
        told = "|".join(time.strftime(form) for time in times)
        lines.append(f"{n}|login{n % 6}|chem|run|batch|COMPLETED|{told}|600|{1 + n % 2}")
    path.write_text("\n".join(lines) + "\n")
    return path


def publish(*arguments: object) -> tuple[int, str, str]:
    status, out, said = run("telemetry", "publish", *arguments)
    return status, out, said


def test_a_user_can_be_removed(tmp_path: Path, key: Path) -> None:
    """Wherever the export began, the name leads to the rows, and to all of them."""
    status, out, _ = run("telemetry", "key", key, "--user", "login3")
    assert status == 0
    for first in (0, 4):
        source, folder = accounting(tmp_path / f"{first}.psv", first), tmp_path / f"{first}"
        arguments = ("--key", key, "--quasi-identifiers", "procs", "--procs", 64)
        status, _, said = publish(source, folder, *arguments)
        assert status == 0, said
        table = pd.read_csv(folder / "jobs.csv")
        mine = table["user"] == out.strip()
        assert mine.sum() == len([n for n in range(first, 60) if n % 6 == 3])
        assert table["user"].nunique() == 6
        assert "login" not in (folder / "jobs.csv").read_text()
        assert "user_name" not in said


def test_a_user_can_be_removed_from_the_release_of_an_extract(tmp_path: Path, key: Path) -> None:
    """The centre holds the key of the extract, somebody else that of the release."""
    script = [sys.executable, str(SCRIPT), "--key", str(create_key(tmp_path / "extract.key"))]
    saved, extract = accounting(tmp_path / "sacct.psv"), tmp_path / "extract.psv"
    subprocess.run([*script, "--input", saved, "--output", extract], check=True)
    asked = subprocess.run(
        [*script, "--user", "login3"], check=True, capture_output=True, text=True
    )
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--procs", 64)
    status, _, said = publish(extract, tmp_path / "release", *arguments)
    assert status == 0, said
    _, out, _ = run("telemetry", "key", key, "--user", asked.stdout.strip())
    table = pd.read_csv(tmp_path / "release" / "jobs.csv")
    assert (table["user"] == out.strip()).sum() == 10


def test_a_new_key_is_not_made_for_a_question(tmp_path: Path) -> None:
    status, _, said = run("telemetry", "key", tmp_path / "none", "--user", "login3")
    assert status == 1
    assert "is no file" in said
    assert not (tmp_path / "none").exists()


def test_second_0_is_what_the_release_says(tmp_path: Path, key: Path) -> None:
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--procs", 64)
    epoch = accounting(tmp_path / "epoch.psv", form="%s")
    first_s = {}
    for name, source, more, says in [
        ("utc", epoch, (), "Second 0 is Monday 00:00, UTC,"),
        ("zone", epoch, ("--timezone", "Asia/Tokyo"), "Second 0 is Monday 00:00, local time,"),
        ("wall", accounting(tmp_path / "wall.psv"), (), "by the clock of the source"),
    ]:
        status, _, said = publish(source, tmp_path / name, *arguments, *more)
        assert status == 0, said
        readme = (tmp_path / name / "README.md").read_text()
        assert says in readme.replace("\n", " ")
        assert "Tokyo" not in readme
        first_s[name] = pd.read_csv(tmp_path / name / "jobs.csv")["submit_s"].iloc[0]
    morning_s = (3 * 24 + 9) * 3600
    assert first_s == {"utc": morning_s, "zone": morning_s + 9 * 3600, "wall": morning_s}


def test_the_zone_of_a_log_stands_in_its_header(tmp_path: Path, key: Path) -> None:
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--timezone", "Asia/Tokyo")
    status, _, said = publish("tiny", tmp_path / "release", *arguments)
    assert (status, "header" in said) == (1, True)


def test_power_is_not_joined_to_a_clock_of_no_zone(tmp_path: Path, key: Path) -> None:
    power = tmp_path / "power.csv"
    begin_ns = int(pd.Timestamp("2024-05-16", tz="UTC").as_unit("ns").value)
    row = {"host": "n1", "zone": "package-0", "time_ns": begin_ns, "window_s": 60.0}
    row |= {"power_w": 100.0, "energy_j": 6000.0, "samples": 60, "missing_s": 0.0}
    pd.DataFrame([row]).to_csv(power, index=False)
    source = accounting(tmp_path / "wall.psv")
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--procs", 64, "--power", power)
    status, _, said = publish(source, tmp_path / "release", *arguments)
    assert (status, "--timezone" in said) == (1, True)
    status, _, said = publish(source, tmp_path / "release", *arguments, "--timezone", "UTC")
    assert status == 0, said


@pytest.mark.parametrize("option", ["--k", "--min-users"])
def test_the_command_publishes_no_cell_of_less_than_five(
    tmp_path: Path, key: Path, option: str
) -> None:
    arguments = ("--key", key, "--quasi-identifiers", "procs", option, 4)
    status, _, said = publish("tiny", tmp_path / "release", *arguments)
    assert status == 2
    assert "4 is too few: among fewer than 5" in " ".join(said.split())
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize(
    ("named", "says"),
    [("procs,procs", "each once"), (",", "each once"), ("procs,foo", "no column 'foo'")],
)
def test_quasi_identifiers_that_make_no_sense(
    tmp_path: Path, key: Path, named: str, says: str
) -> None:
    arguments = ("--key", key, "--quasi-identifiers", named)
    status, _, said = publish("tiny", tmp_path / "release", *arguments)
    assert (status, says in said) == (1, True)
    assert "[" not in said


def test_wrong_files_are_told_in_a_line(tmp_path: Path, key: Path) -> None:
    wrong = accounting(tmp_path / "jobs.psv")
    empty = tmp_path / "empty.csv"
    empty.touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    named = ("--quasi-identifiers", "procs")
    for more, says in [
        (("--key", key, "--power", wrong), "power has no column"),
        (("--key", key, "--power", empty), "holds no windows of"),
        (("--key", key, "--power", tmp_path / "absent.csv"), "absent.csv: is no file"),
        (("--key", tmp_path / "loop"), "is no file"),
        (("--key", "~nobody-has-this-name/key"), "names no user's folder"),
    ]:
        status, _, said = publish("tiny", tmp_path / "release", *named, *more)
        assert (status, says in said) == (1, True), said
        assert said.count("\n") == 1
    status, _, said = publish(empty, tmp_path / "release", "--key", key, *named)
    assert (status, said) == (1, f"exawatt: {empty}: is empty.\n")
    status, _, said = publish("tiny", "~nobody-has-this-name/release", "--key", key, *named)
    assert (status, "names no user's folder" in said) == (1, True)


def test_energy_of_whole_nodes_is_told_with_the_data(tmp_path: Path, key: Path) -> None:
    source = accounting(tmp_path / "jobs.psv")
    head, *rows = source.read_text().splitlines()
    source.write_text(
        "\n".join([f"{head}|ConsumedEnergyRaw", *(f"{r}|60000" for r in rows)]) + "\n"
    )
    folder = tmp_path / "release"
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--procs", 64)
    status, out, said = publish(source, folder, *arguments)
    assert status == 0, said
    caveat = "a job that shared one is charged its neighbours' too"
    assert caveat in " ".join(out.split())
    readme = (folder / "README.md").read_text()
    assert caveat in readme
    assert "| `power_w` | W | mean power of the job, of its whole nodes: see below |" in readme
    assert read_release(folder).cleaning["reason"].str.contains(caveat).tolist() == [True]
    without = publish(source, tmp_path / "without", *arguments, "--columns", "submit_s,runtime_s")
    assert caveat not in " ".join(without[1].split())
    assert caveat not in (tmp_path / "without" / "README.md").read_text()


def test_a_release_that_cannot_be_replayed_says_so(tmp_path: Path, key: Path) -> None:
    arguments = ("--key", key, "--quasi-identifiers", "procs", "--columns", "procs,runtime_s")
    status, out, _ = publish("tiny", tmp_path / "release", *arguments)
    assert status == 0
    assert "No replay is possible: the release does not tell submit_s." in out
    assert re.search(r"queue\W+not asked for", out)
