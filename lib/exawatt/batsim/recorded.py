"""Runs recorded with Batsim, fed to the simulator, which should say and write the same."""

import csv
import gzip
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from math import isclose
from pathlib import Path
from time import perf_counter
from typing import Any

from exawatt.batsim.hosts import Hosts, read_hosts
from exawatt.batsim.job_file import read_job_file
from exawatt.batsim.outputs import Outputs
from exawatt.batsim.simulator import Options, Simulator

TRANSCRIPT = "transcript.jsonl.gz"
#: What depends on the program and on the machine that it ran on.
_OWN = ("batsim_version", "scheduling_time", "simulation_time")
_TIME_S = 1e-6


@dataclass(frozen=True)
class Conformance:
    """A recorded run beside the simulator's.

    Parameters
    ----------
    messages, same_messages : int
        Messages of Batsim, and how many of them the simulator sent too, times to a microsecond.
    rows, same_rows : dict of str to int
        By output file, rows of Batsim's and how many of them the simulator wrote too.
    seconds : float
        Time that the simulator took, with its files [s].
    """

    messages: int
    same_messages: int
    rows: dict[str, int]
    same_rows: dict[str, int]
    seconds: float


def recorded_runs(folder: Path) -> list[Path]:
    """Folders of the recorded runs under ``folder/runs``; none if there is no such folder."""
    return sorted(path.parent for path in (folder / "runs").glob(f"*/{TRANSCRIPT}"))


def compare_run(run: Path) -> Conformance:
    """Feed the simulator with a recorded run's replies, and compare what it says and writes.

    Parameters
    ----------
    run : Path
        Folder of a transcript, one JSON object ``{"b": message, "s": reply}`` a line, and of
        Batsim's output files. From two folders above on, its workload lies where the first
        message says, and its platform is the one in ``platforms/`` with the hosts of that message.

    Raises
    ------
    ValueError
        There is no such platform.
    """
    with gzip.open(run / TRANSCRIPT, "rt", encoding="utf-8") as file:
        exchanges = [json.loads(line) for line in file]
    greeting = exchanges[0]["b"]["events"][0]["data"]
    [path] = greeting.pop("workloads").values()
    place = run.parents[1]
    jobs = read_job_file(place / path if (place / path).exists() else place / f"{path}.gz")
    hosts = _platform(place, greeting["compute_resources"])
    options = Options(energy=(run / "out_consumed_energy.csv.gz").exists())
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        began_s = perf_counter()
        with Outputs(output, len(hosts), energy=options.energy) as outputs:
            sent = list(_messages(Simulator(jobs, hosts, options, outputs), exchanges))
        seconds = perf_counter() - began_s
        read = [json.loads(text) for text in sent]
        del read[0]["events"][0]["data"]["workloads"]
        pairs = zip_longest((exchange["b"] for exchange in exchanges), read)
        same = sum(_equal(theirs, ours) for theirs, ours in pairs)
        rows, same_rows = {}, {}
        for table in sorted(run.glob("out_*.csv.gz")):
            theirs = _rows(gzip.decompress(table.read_bytes()).decode())
            ours = _rows((output / table.stem).read_text(encoding="utf-8"))
            rows[table.stem] = len(theirs)
            same_rows[table.stem] = sum(map(_equal, theirs, ours)) * (len(theirs) == len(ours))
    return Conformance(len(exchanges), same, rows, same_rows, seconds)


def _platform(place: Path, resources: list[dict[str, Any]]) -> Hosts:
    """Platform whose hosts have the names and properties that Batsim told of."""
    wanted = [one["properties"] | {"name": one["name"], "role": ""} for one in resources]
    for path in sorted((place / "platforms").glob("*.xml*")):
        hosts = read_hosts(path)
        if [host.properties | {"name": host.name, "role": ""} for host in hosts] == wanted:
            return hosts
    raise ValueError(f"{place / 'platforms'} has no platform with the hosts of the recorded run.")


def _messages(simulator: Simulator, exchanges: list[dict[str, Any]]) -> Iterator[str]:
    message: str | None = simulator.first()
    for exchange in exchanges:
        if message is None:
            return
        yield message
        message = simulator.reply(json.dumps(exchange["s"]))


def _rows(text: str) -> list[dict[str, Any]]:
    table = csv.DictReader(text.splitlines())
    return [{name: _value(v) for name, v in row.items() if name not in _OWN} for row in table]


def _value(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _equal(one: Any, other: Any) -> bool:
    """Whether two JSON values agree, numbers to a microsecond or to the ninth digit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isclose(one, other, rel_tol=1e-9, abs_tol=_TIME_S)
    return bool(one == other)
