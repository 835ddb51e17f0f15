"""The script a centre runs: stock Python, an allow-list, names as keyed hashes."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import exawatt as ew
from exawatt.readers.sacct import read_sacct
from exawatt.telemetry.attack import guess_names
from exawatt.telemetry.pseudonyms import PERSONS, create_key, pseudonym, read_key
from exawatt.telemetry.publish import publish
from exawatt.telemetry.release import read_release

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "telemetry" / "export_jobs.py"
JOB_ID = ROOT / "telemetry" / "slurm" / "job_id.py"
LETTER = ROOT / "docs" / "data_request_letter.md"

FIELDS = (
    "JobIDRaw User Account JobName State AllocTRES ReqTRES Submit Eligible Start End ElapsedRaw "
    "TimelimitRaw AllocCPUS ReqCPUS AllocNodes ReqNodes ReqMem MaxRSS CPUTimeRAW TotalCPU "
    "ConsumedEnergyRaw Partition QOS"
).split()
TRES = "billing=32,cpu=32,energy=9100000,gres/gpu:a100=2,license/ansys=1,mem=64G,node=1"
JOBS = [
    f"481516|jdoe|chem-42|thesis chapter|COMPLETED|{TRES}|cpu=32,mem=64G,node=1|1709280000"
    "|1709280000|1709280120|1709287320|7200|240|32|32|1|1|64G||230400|1-14:00:00|9100000|gpu|normal",
    "481516.batch|||batch|COMPLETED|cpu=32,mem=64G,node=1||1709280120|1709280120|1709280120"
    "|1709287320|7200||32|32|1|1||41238512K|230400|1-14:00:00|9100000||",
    "481517|asmith|chem-42|thesis chapter|CANCELLED by 5001|cpu=8,mem=16G,node=1"
    "|cpu=8,mem=16G,node=1|1709280060|1709280060|1709280180|1709280780|600|60|8|8|1|1|16G||4800"
    "|01:10:00|212000|batch|normal",
]
SECRETS = "jdoe asmith chem thesis 5001 ansys billing 481516".split()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return create_key(tmp_path / "release.key")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return what sacct --parsable2 printed."""
    path = tmp_path / "sacct.psv"
    path.write_text("\n".join(["|".join(FIELDS), *JOBS]) + "\n")
    return path


def export(
    *arguments: object, path: str = os.environ["PATH"]
) -> "subprocess.CompletedProcess[str]":
    """Run the script by a Python that has its standard library alone."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_names_are_hashed_as_the_package_does(tmp_path: Path, key: Path, saved: Path) -> None:
    output = tmp_path / "jobs.psv"
    done = export("--key", key, "--input", saved, "--output", output)
    assert done.returncode == 0, done.stderr
    header, first, step, second = (line.split("|") for line in output.read_text().splitlines())
    assert header == FIELDS
    job = dict(zip(header, first, strict=True))
    assert job["User"] == pseudonym("jdoe", read_key(key), PERSONS["user"])
    assert job["Account"] == pseudonym("chem-42", read_key(key), PERSONS["account"])
    assert job["JobName"] == pseudonym("thesis chapter", read_key(key), PERSONS["app"])
    assert [line[0] for line in (first, step, second)] == ["1", "1.batch", "2"]
    assert job["AllocTRES"] == "cpu=32,energy=9100000,gres/gpu:a100=2,mem=64G,node=1"
    assert job["TotalCPU"] == "1-14:00:00"
    assert second[header.index("State")] == "CANCELLED"
    assert step[header.index("User")] == ""


def test_nothing_leaves_that_must_not(tmp_path: Path, key: Path, saved: Path) -> None:
    output = tmp_path / "jobs.psv"
    done = export("--key", key, "--input", saved, "--output", output)
    text = output.read_text()
    for secret in SECRETS:
        assert secret not in text, secret
    assert read_key(key).hex() not in text + done.stderr
    ids = {line.split("|")[1] for line in text.splitlines()[1:]}
    assert guess_names(ids, ["jdoe", "asmith"]) == {}


def test_other_columns_and_odd_values_are_left_out_and_told(tmp_path: Path, key: Path) -> None:
    saved, output = tmp_path / "sacct.psv", tmp_path / "jobs.psv"
    saved.write_text(
        "JobIDRaw|Comment|WorkDir|ElapsedRaw|Partition\n"
        "7|call J. Doe|/home/jdoe|60|my own queue\n"
        "8|a|b|sixty|batch\n"
        "9|a name with | in it|/home|60|batch\n"
    )
    done = export("--key", key, "--input", saved, "--output", output)
    assert output.read_text() == "JobIDRaw|ElapsedRaw|Partition\n1|60|\n2||batch\n"
    assert done.stderr.splitlines() == [
        "columns left out: Comment, WorkDir",
        "lines dropped: other than the header's fields: 1",
        "lines written: 2",
        "values emptied in ElapsedRaw: not of the expected form: 1",
        "values emptied in Partition: not of the expected form: 1",
    ]


def test_sacct_is_asked_for_the_fields_alone(tmp_path: Path, key: Path) -> None:
    """In the place of sacct stands a program that prints its arguments and two lines."""
    programs, output = tmp_path / "bin", tmp_path / "jobs.psv"
    programs.mkdir()
    stub = programs / "sacct"
    stub.write_text(
        f'#!/bin/sh\necho "$SLURM_TIME_FORMAT" "$@" > {tmp_path}/asked\n'
        "printf 'JobIDRaw\\037JobName\\037ElapsedRaw\\n7\\037a|b\\03760\\n'\n"
    )
    stub.chmod(0o755)
    options = ["--key", key, "--start", "2024-03-01", "--end", "2024-04-01", "--output", output]
    done = export(*options, path=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    # A name may hold the usual separator.
    name = pseudonym("a|b", read_key(key), PERSONS["app"])
    assert output.read_text() == f"JobIDRaw|JobName|ElapsedRaw\n1|{name}|60\n"
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("%s --allusers --duplicates --parsable2 --delimiter=\x1f")
    assert "--starttime=2024-03-01 --endtime=2024-04-01" in asked
    assert asked.rstrip().endswith("--format=" + ",".join(FIELDS))
    stub.write_text("#!/bin/sh\necho JobIDRaw\nexit 3\n")
    output.unlink()
    done = export(*options, path=f"{programs}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (1, "export_jobs.py: sacct ended with status 3.\n")
    assert not list(tmp_path.glob("jobs.psv*"))


def test_the_key_of_the_script_is_one_of_the_package(tmp_path: Path) -> None:
    key = tmp_path / "key"
    assert export("--create-key", key).returncode == 0
    first = read_key(key)
    again = export("--create-key", key)
    assert (again.returncode, read_key(key)) == (1, first)


def leave(key: Path) -> None:
    """Do no harm."""


def loop(key: Path) -> None:
    key.unlink()
    key.symlink_to(key)


def pipe(key: Path) -> None:
    key.unlink()
    os.mkfifo(key, 0o600)


def give_away(key: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(key, 65534, -1)


@pytest.mark.parametrize(
    "harm",
    [
        leave,
        lambda key: key.chmod(0o640),
        lambda key: key.write_bytes(b"short"),
        lambda key: key.write_bytes(bytes(65)),
        Path.unlink,
        loop,
        pipe,
        give_away,
        lambda key: (key.parent / ".git").mkdir(),
        lambda key: (key.parent / ".git").touch(),
        lambda key: (key.parent / ".hg").mkdir(),
        lambda key: [(key.parent / name).mkdir() for name in ("objects", "refs", "HEAD")],
        lambda key: (key.parent / "publication_report.json").touch(),
    ],
)
def test_scripts_and_package_accept_the_same_keys(
    tmp_path: Path, saved: Path, harm: Callable[[Path], object]
) -> None:
    (tmp_path / "keys").mkdir()
    key = create_key(tmp_path / "keys" / "key")
    harm(key)
    try:
        secret = read_key(key)
    except (OSError, ValueError):
        secret = b""
    assert bool(secret) == (harm is leave)
    exported = export("--key", key, "--user", "jdoe")
    tagged = subprocess.run(
        [sys.executable, "-I", "-S", str(JOB_ID), str(key)],
        capture_output=True, text=True, env={"SLURM_JOB_ID": "4711"}, timeout=20,
    )  # fmt: skip
    for done in (exported, tagged):
        assert done.returncode == (0 if secret else 1)
        assert "Traceback" not in done.stderr
    if secret:
        assert exported.stdout == pseudonym("jdoe", secret) + "\n"
        assert tagged.stdout == pseudonym("4711", secret, PERSONS["job"]) + "\n"


def test_partitions_and_qos_that_hold_a_name_are_hashed(tmp_path: Path, key: Path) -> None:
    # The name may come after the value that holds it, and in other letters.
    table = ["User|Account|Partition|QOS", "u1|smithlab|alice-p|batch"]
    table += ["alice|chem|SmithLab|priv-U1", "bob|chem|gpu1|chemistry"]
    saved, output = tmp_path / "sacct.psv", tmp_path / "jobs.psv"
    saved.write_text("\n".join(table) + "\n")
    done = export("--key", key, "--input", saved, "--output", output)
    values = [line.split("|")[2:] for line in output.read_text().splitlines()[1:]]

    def hashed(value: str) -> str:
        return pseudonym(value, read_key(key), PERSONS["class"])

    assert values == [
        [hashed("alice-p"), "batch"],
        [hashed("SmithLab"), hashed("priv-U1")],
        ["gpu1", hashed("chemistry")],  # a name of four letters counts within words too
    ]
    assert "values hashed in Partition or QOS: they hold a user's or account's name: 4" in (
        done.stderr.splitlines()
    )


def test_only_its_owner_can_read_an_export(tmp_path: Path, key: Path, saved: Path) -> None:
    output = tmp_path / "jobs.psv"
    export("--key", key, "--input", saved, "--output", output)
    assert output.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "jobs.psv", "release.key", "sacct.psv",
    ]  # fmt: skip


def test_an_unfinished_export_of_somebody_is_kept(tmp_path: Path, key: Path, saved: Path) -> None:
    partial = tmp_path / "jobs.psv.partial"
    partial.write_text("kept\n")
    done = export("--key", key, "--input", saved, "--output", tmp_path / "jobs.psv")
    assert done.returncode == 1
    assert f"{partial} exists" in done.stderr
    assert partial.read_text() == "kept\n"


def test_keys_that_are_refused(tmp_path: Path, key: Path, saved: Path) -> None:
    options = ["--input", saved, "--output", tmp_path / "jobs.psv"]
    key.chmod(0o640)
    assert f"'chmod 600 {key}'" in export("--key", key, *options).stderr
    key.chmod(0o600)
    (tmp_path / ".git").mkdir()
    assert "lies inside" in export("--key", key, *options).stderr
    assert "lies inside" in export("--create-key", tmp_path / "new").stderr
    (tmp_path / ".git").rmdir()
    key.write_bytes(b"secret")
    assert "is no key" in export("--key", key, *options).stderr
    assert not (tmp_path / "jobs.psv").exists()


def test_an_export_is_not_overwritten(tmp_path: Path, key: Path, saved: Path) -> None:
    (tmp_path / "jobs.psv").write_text("kept\n")
    done = export("--key", key, "--input", saved, "--output", tmp_path / "jobs.psv")
    assert done.returncode == 1
    assert (tmp_path / "jobs.psv").read_text() == "kept\n"


def test_the_script_is_of_python_3_6() -> None:
    """As on the management node of a cluster that runs a long-supported Linux."""
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 6))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imported == {
        "argparse", "collections", "hashlib", "os", "re", "secrets", "stat", "subprocess", "sys",
        "tempfile",
    }  # fmt: skip
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_the_sample_in_the_letter_is_what_the_script_writes(tmp_path: Path, saved: Path) -> None:
    key, output = tmp_path / "key", tmp_path / "jobs.psv"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))
    export("--key", key, "--input", saved, "--output", output)
    assert output.read_text() in LETTER.read_text()


def test_the_program_in_the_letter_hashes_as_the_package_does() -> None:
    program = LETTER.read_text().split("```python\n")[1].split("```")[0]
    defined: dict[str, object] = {}
    exec(program, defined)
    hashed = defined["pseudonym"]("jdoe", "user-id")  # type: ignore[operator]
    assert hashed == pseudonym("jdoe", defined["key"], PERSONS["user"])  # type: ignore[arg-type]


def test_an_export_can_be_read_published_and_replayed(
    tmp_path: Path, key: Path, saved: Path
) -> None:
    lines = [
        JOBS[2].replace("481517", str(500_000 + n)).replace("asmith", f"login{n % 6}")
        for n in range(30)
    ]
    saved.write_text("\n".join(["|".join(FIELDS), *lines]) + "\n")
    export("--key", key, "--input", saved, "--output", tmp_path / "jobs.psv")
    workload = read_sacct(tmp_path / "jobs.psv", procs=64)
    assert len(workload) == 30
    assert workload.jobs["user"].nunique() == 6
    publish(workload, tmp_path / "release", key, ["procs", "requested_s"])
    again = read_release(tmp_path / "release")
    assert len(ew.replay(again, policy="easy").jobs) == 30
