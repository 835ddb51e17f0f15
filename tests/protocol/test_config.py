"""Replays from a configuration: on a program named batsim where there is one, or without."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import exawatt as ew
from exawatt.batsim.config import Config, prepare
from exawatt.batsim.hosts import read_hosts
from exawatt.batsim.platform_xml import write_platform

pytestmark = pytest.mark.timeout(900)
FOLDER = Path(__file__).parents[2] / "batsim"
SCRIPT = FOLDER / "run_replay.sh"
# Stands for Batsim: takes its options, and answers with this project's simulator.
PROGRAM = f"""#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -p) platform=$2 ;; -w) workload=$2 ;; -s) endpoint=$2 ;; -e) export=$2 ;; -m) ;;
        *) echo "unknown option $1"; exit 64 ;;
    esac
    shift 2
done
exec {sys.executable} -m exawatt batsim serve -p "$platform" -w "$workload" \\
    --endpoint "$endpoint" -o "$(dirname "$export")" --timeout 300
"""


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    def write(**values: Any) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"trace": "tiny", "jobs": 60} | values))
        return path

    return write


def environment(program: Path | None = None, text: str = PROGRAM) -> dict[str, str]:
    """Return an environment in which the interpreter's programs are found, and one named batsim."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = os.environ | {"PATH": path, "COLUMNS": "300"}
    if program is not None:
        program.mkdir()
        (program / "batsim").write_text(text)
        (program / "batsim").chmod(0o755)
        found["PATH"] = f"{program}:{found['PATH']}"
    return found


def replayed(config: Path, output: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", SCRIPT, config, "--output", output],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )


def starts_s(output: Path) -> np.ndarray:
    return pd.read_csv(output / "out_jobs.csv").set_index("job_id")["starting_time"].to_numpy()


@pytest.mark.parametrize("installed", [False, True])
def test_the_script_gives_the_engines_schedule(
    installed: bool, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    env = environment(tmp_path / "bin" if installed else None)
    done = replayed(write_config(policy="easy-sjbf"), tmp_path / "out", env)
    assert done.returncode == 0, done.stderr
    assert "mean_waiting_time" in done.stdout
    assert str(tmp_path / "out") in done.stdout
    assert ("bin/batsim" in done.stderr) == installed
    whole = ew.load("tiny")
    first = ew.Workload(whole.jobs.iloc[:60], procs=whole.procs)
    machine = ew.Platform.uniform(nodes=whole.procs, procs=whole.procs)
    expected = np.sort(ew.replay(first, "easy-sjbf", machine).start_s)
    assert np.array_equal(np.sort(starts_s(tmp_path / "out")), expected)


def test_a_batsim_that_fails_is_one_clear_error(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    env = environment(tmp_path / "bin", "#!/bin/sh\necho broken; exit 3\n")
    done = replayed(write_config(), tmp_path / "out", env)
    assert done.returncode == 1
    assert "Batsim ended with status 3" in done.stderr.replace("\n", " ")
    assert (tmp_path / "out" / "batsim.log").read_text() == "broken\n"


def test_batsim_does_not_wait_for_a_dead_scheduler(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    env = environment(tmp_path / "bin", "#!/bin/sh\nexec sleep 600\n")
    config = write_config(policy={"sleep_after_s": 10, "power_cap_w": 1e9, "dvfs": {}})
    done = replayed(config, tmp_path / "out", env)
    assert done.returncode == 1
    assert "the scheduler ended with status 1" in done.stderr.replace("\n", " ")


def test_an_interrupt_leaves_no_process(write_config: Callable[..., Path], tmp_path: Path) -> None:
    env = environment(tmp_path / "bin", "#!/bin/sh\nexec sleep 616\n")
    process = subprocess.Popen(
        ["sh", SCRIPT, write_config(), "--output", tmp_path / "out"],
        env=env,
        stderr=subprocess.DEVNULL,
    )
    marks = ("sleep\x00616", str(tmp_path / "out" / "options.json"))
    while running(marks) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert running(marks) == 0


def running(marks: tuple[str, ...]) -> int:
    """Count processes whose command has one of these marks."""
    commands = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(entry.read_text())
        except OSError:
            continue
    return sum(any(mark in command for mark in marks) for command in commands)


def test_what_is_beside_the_configuration_is_found(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    whole = ew.load("tiny")
    write_platform(ew.Platform.uniform(whole.procs, whole.procs), tmp_path / "p.xml.gz")
    ew.Policy(backfill="easy", sleep_after_s=60).to_json(tmp_path / "mine.json")
    config = write_config(policy="mine.json", platform="p.xml.gz", profile="compute")
    prepared = prepare(Config.read(config), tmp_path / "out")
    assert prepared.energy  # hosts could not fall asleep without
    assert len(read_hosts(prepared.platform)) == whole.procs
    told = json.loads((tmp_path / "out" / "options.json").read_text())
    assert ew.Policy.of(told["policy"]).sleep_after_s == 60


@pytest.mark.parametrize(
    ("hosts", "speed", "words"), [(3, "100Mf", "3 hosts"), (64, "200Mf", "2e\\+08 flop/s")]
)
def test_a_platform_that_does_not_fit_is_refused(
    hosts: int, speed: str, words: str, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "p.xml").write_text(
        f"""<?xml version='1.0'?><platform version="4.1"><zone id="z" routing="None">
        <cluster id="c" prefix="h" suffix="" radical="0-{hosts - 1}" speed="{speed}"/>
        </zone></platform>"""
    )
    config = Config.read(write_config(platform="p.xml", profile="compute"))
    with pytest.raises(ValueError, match=words):
        prepare(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "JSON object that names a trace"),
        ("{", "is no JSON"),
        ('{"trace": 3}', r"trace\(=3\)"),
        ('{"trace": "tiny", "polcy": "easy"}', "'polcy' is unknown.*policy"),
        ('{"trace": "tiny", "jobs": -1}', r"jobs\(=-1\)"),
        ('{"trace": "tiny", "jobs": true}', r"jobs\(=True\)"),
        ('{"trace": "tiny", "profile": "ssd"}', r"profile\(='ssd'\)"),
    ],
)
def test_a_bad_configuration_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        Config.read(path)


def test_the_configurations_of_the_project_are_sound() -> None:
    for name, trace in {"kth": "KTH-SP2", "llnl": "LLNL-Thunder"}.items():
        assert Config.read(FOLDER / f"config_{name}.json").trace == trace
