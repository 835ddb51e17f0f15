"""Fed with the replies of recorded schedulers, the simulator says and writes what Batsim did."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exawatt.batsim.hosts import read_hosts
from exawatt.batsim.job_file import JobFile, read_job_file
from exawatt.batsim.outputs import Outputs
from exawatt.batsim.protocol import SchedulerError
from exawatt.batsim.run import run
from exawatt.batsim.simulator import Options, Simulator

RUNS = (
    "kth1000-exact-pybatsim-easyBackfill",
    "kth1000-exact-pybatsim-fillerSched",
    "kth1000-kills-pybatsim-easyBackfill",
    "kth1000-computeE-pybatsim-easyBackfill",
    "kth1000-computeE-batsched-easy_bf",
    "kth1000-computeE-batsched-energy_bf_idle_sleeper",
    "kth1000-exact-batsched-killer",
)
OUR_OWN = ("batsim_version", "scheduling_time", "simulation_time")
Exchanges = list[dict[str, Any]]


def transcript(folder: Path) -> Exchanges:
    with gzip.open(folder / "transcript.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def inputs(reference: Path, name: str) -> tuple[Any, Any, Options]:
    kind = name.split("-")[1]
    file = {"exact": "delay.exact", "kills": "delay.kills", "computeE": "compute.exact"}[kind]
    return (
        read_job_file(reference / "workloads" / f"kth-1000.{file}.json.gz"),
        read_hosts(reference / "platforms" / "energy_homo_nonet_100.xml.gz"),
        Options(energy=kind == "computeE"),
    )


def rows(text: str) -> list[dict[str, str]]:
    table = list(csv.DictReader(text.splitlines()))
    return [{name: v for name, v in row.items() if name not in OUR_OWN} for row in table]


def assert_same_files(written: Path, folder: Path) -> None:
    recorded = sorted(folder.glob("out_*.csv.gz"))
    assert [path.stem for path in recorded] == sorted(p.name for p in written.glob("*.csv"))
    for path in recorded:
        with gzip.open(path, "rt") as file:
            theirs = file.read()
        ours = (written / path.stem).read_text()
        assert ours.splitlines()[0] == theirs.splitlines()[0]
        for got, wanted in zip(rows(ours), rows(theirs), strict=True):
            assert got == wanted or numbers(got) == nearly(wanted), path.stem


def numbers(row: dict[str, str]) -> dict[str, Any]:
    """Return a row with its numbers as such."""
    return {
        name: text if isinstance(nearly(row)[name], str) else float(text)
        for name, text in row.items()
    }


def nearly(row: dict[str, str]) -> Any:
    """Return a row to compare: sums are made in another order, and written with six decimals."""

    def value(name: str, text: str) -> Any:
        try:
            return pytest.approx(float(text), rel=1e-9 if name == "epower" else 1e-12, abs=2e-6)
        except ValueError:
            return text

    return {name: value(name, text) for name, text in row.items()}


def replay(reference: Path, name: str, exchanges: Exchanges, output: Path | None) -> list[str]:
    """Feed recorded replies; return the messages that came."""
    jobs, hosts, options = inputs(reference, name)
    with Outputs(output, len(hosts), energy=options.energy) as outputs:
        simulator = Simulator(jobs, hosts, options, outputs)
        messages = [simulator.first()]
        for exchange in exchanges:
            message = simulator.reply(json.dumps(exchange["s"]))
            if message is None:
                break
            messages.append(message)
    return messages


@pytest.mark.parametrize("name", RUNS)
def test_messages_and_files_are_those_of_batsim(reference: Path, tmp_path: Path, name: str) -> None:
    exchanges = transcript(reference / "runs" / name)
    messages = [json.loads(text) for text in replay(reference, name, exchanges, tmp_path)]
    # The path of the workload is wherever it lies.
    for message in (messages[0], exchanges[0]["b"]):
        del message["events"][0]["data"]["workloads"]
    assert messages == [exchange["b"] for exchange in exchanges]
    assert_same_files(tmp_path, reference / "runs" / name)


def moved_start(exchanges: Exchanges) -> None:
    """Let one job in the middle start a second late."""
    for exchange in exchanges[500:]:
        starts = [e for e in exchange["s"]["events"] if e["type"] == "EXECUTE_JOB"]
        if starts:
            exchange["s"]["now"] = starts[-1]["timestamp"] = exchange["b"]["now"] + 0.25
            return


def other_hosts(exchanges: Exchanges) -> None:
    """Let the first job run on the last hosts."""
    exchanges[1]["s"]["events"][0]["data"]["alloc"] = "96-99"


@pytest.mark.parametrize("mutate", [moved_start, other_hosts])
def test_a_changed_reply_changes_what_follows(
    reference: Path, mutate: Callable[[Exchanges], None]
) -> None:
    name = "kth1000-exact-pybatsim-easyBackfill"
    exchanges = transcript(reference / "runs" / name)
    expected = [exchange["b"] for exchange in exchanges]
    mutate(exchanges)
    try:
        messages = [json.loads(text) for text in replay(reference, name, exchanges, None)]
    except SchedulerError:
        return
    assert messages[1:] != expected[1:]


# fillerSched walks through a set of objects, in the order of their addresses: never the same twice.
@pytest.mark.parametrize("name", [RUNS[0], RUNS[2], RUNS[3]])
def test_pybatsim_makes_the_recorded_schedule(
    reference: Path, tmp_path: Path, pybatsim: Callable[..., str], name: str
) -> None:
    jobs, hosts, options = inputs(reference, name)
    run(jobs, hosts, pybatsim(name.rsplit("-", 1)[1]), tmp_path, options, trace=False)
    assert_same_files(tmp_path, reference / "runs" / name)


@pytest.mark.parametrize("scheduler", ["fillerSched", "schedFcfs", "schedFiller"])
def test_other_schedulers_of_pybatsim_run_to_the_end(
    reference: Path,
    pybatsim: Callable[..., str],
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # they write files where they are
    jobs, hosts, options = inputs(reference, RUNS[0])
    few = JobFile(jobs.jobs[:200], jobs.profiles, jobs.hosts)
    summary = run(few, hosts, pybatsim(scheduler), None, options)
    assert summary["nb_jobs_finished"] == 200
