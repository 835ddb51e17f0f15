"""Replays that a JSON file describes: trace, platform and policy, on Batsim or the simulator."""

import csv
import dataclasses
import json
import shlex
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, Self, get_args

from exawatt.batsim.files import read_text, write_text
from exawatt.batsim.hosts import MASTER_HOST, Hosts, read_hosts
from exawatt.batsim.job_file import read_job_file
from exawatt.batsim.outputs import remove
from exawatt.batsim.platform_xml import write_platform
from exawatt.batsim.protocol import SchedulerError
from exawatt.batsim.run import Progress, Summary, run, scheduler_process
from exawatt.batsim.simulator import Options
from exawatt.batsim.workload import HOST_FLOPS, write_workload
from exawatt.platform import Platform
from exawatt.readers import load
from exawatt.replay.policy import Policy
from exawatt.workload import Workload

#: Long enough to compile a policy.
TIMEOUT_S = 600.0
Jobs = Literal["delay", "compute"]
_KINDS: dict[str, tuple[type, ...]] = {"jobs": (int,), "energy": (bool,), "policy": (str, dict)}


@dataclass(frozen=True)
class Config:
    """What to replay.

    Parameters
    ----------
    trace : str
        Name of a trace, or a file of one.
    policy : str or dict
        A policy's name, its JSON file beside the configuration, or its fields; see
        :class:`~exawatt.replay.policy.Policy`.
    platform : str
        SimGrid XML of one host a processor, beside the configuration; when empty, hosts with the
        stand-in's watts.
    jobs : int
        Only so many jobs, the first; 0 for all.
    profile : {"delay", "compute"}
        Whether jobs only take time, or compute, which draws busy power.
    energy : bool
        Whether to count joules.
    intensity : str
        Carbon intensity to hold jobs by.
    folder : Path
        Where the configuration was read.
    """

    trace: str
    policy: str | dict[str, Any] = "easy"
    platform: str = ""
    jobs: int = 0
    profile: Jobs = "delay"
    energy: bool = False
    intensity: str = ""
    folder: Path = Path()

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a configuration.

        Raises
        ------
        ValueError
            It is no JSON object, or has what is unknown or of the wrong kind.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise ValueError(f"{path}: is no JSON ({error}).") from None
        known = [field.name for field in fields(cls) if field.name != "folder"]
        if not isinstance(values, dict) or "trace" not in values:
            raise ValueError(f"{path}: a configuration is a JSON object that names a trace.")
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{path}: {name!r} is unknown; pass some of {', '.join(known)}.")
            kinds = _KINDS.get(name, (str,))
            if not isinstance(value, kinds) or (name == "jobs" and value is True):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{path}: {name}(={value!r}) must be a JSON {wanted}.")
        if values.get("jobs", 0) < 0:
            raise ValueError(f"{path}: jobs(={values['jobs']}) must be 0, for all, or more.")
        if values.get("profile", "delay") not in get_args(Jobs):
            raise ValueError(f"{path}: profile(={values['profile']!r}) must be delay or compute.")
        return cls(**values, folder=path.parent)


@dataclass(frozen=True)
class Prepared:
    """Files of a replay, and the command of its scheduler."""

    workload: Path
    platform: Path
    scheduler: str
    energy: bool


def prepare(config: Config, output: Path) -> Prepared:
    """Write what Batsim and the scheduler read into the output folder."""
    whole = load(config.trace)
    trace = dataclasses.replace(whole, jobs=whole.jobs.iloc[: config.jobs or None])
    output.mkdir(parents=True, exist_ok=True)
    workload, platform, options = (
        output / name for name in ("workload.json", "platform.xml", "options.json")
    )
    write_workload(trace, workload, config.profile)
    if config.platform:
        write_text(platform, read_text(config.folder / config.platform))
        _refuse_platform(config, trace, read_hosts(platform))
    else:
        write_platform(Platform.uniform(nodes=trace.procs, procs=trace.procs), platform)
    policy = config.policy
    if isinstance(policy, str) and policy.endswith(".json"):
        policy = str((config.folder / policy).resolve())
    told = {
        "policy": policy,
        "platform": str(platform.resolve()),
        "timezone": trace.timezone,
        "intensity": config.intensity or None,
        "start": None if trace.start is None else trace.start.isoformat(),
    }
    options.write_text(
        json.dumps({name: value for name, value in told.items() if value is not None}, indent=2)
    )
    scheduler = f"pybatsim exawatt.batsim.scheduler -O {shlex.quote(str(options.resolve()))}"
    # Batsim lets hosts change their states only where energy counts.
    energy = config.energy or Policy.of(policy).sleep_after_s is not None
    return Prepared(workload, platform, scheduler, energy)


def _refuse_platform(config: Config, trace: Workload, hosts: Hosts) -> None:
    if len(hosts) < trace.procs:
        raise ValueError(
            f"platform(={config.platform!r}) has {len(hosts)} hosts, and {trace.name} was recorded "
            f"on {trace.procs} processors; pass a platform of as many."
        )
    speeds = {host.speeds_flops[host.pstate] for host in hosts} - {HOST_FLOPS}
    if config.profile == "compute" and speeds:
        raise ValueError(
            f"platform(={config.platform!r}) has hosts of {min(speeds):g} flop/s; compute jobs are "
            f"written for {HOST_FLOPS:g} flop/s. Pass such hosts, or profile 'delay'."
        )


def replay(
    config: Config, output: Path, batsim: str | None = None, progress: Progress | None = None
) -> Summary:
    """Replay a configuration.

    Parameters
    ----------
    config : Config
        What to replay.
    output : Path
        Folder for all files.
    batsim : str, optional
        Program of Batsim; the project's own simulator when there is none.
    progress : callable, optional
        Called now and then by the simulator; see :func:`~exawatt.batsim.run.run`.

    Returns
    -------
    dict
        The row of ``out_schedule.csv``.

    Raises
    ------
    SchedulerError
        Either side failed.
    """
    prepared = prepare(config, output)
    if batsim is not None:
        return _run_batsim(batsim, prepared, output)
    return run(
        read_job_file(prepared.workload),
        read_hosts(prepared.platform),
        prepared.scheduler,
        output,
        Options(energy=prepared.energy),
        timeout_s=TIMEOUT_S,
        progress=progress,
    )


def _run_batsim(batsim: str, prepared: Prepared, output: Path) -> Summary:
    """Start Batsim and the scheduler on a free port; neither outlives the other's failure."""
    port = _free_port()
    command = [batsim, "-p", str(prepared.platform), "-w", str(prepared.workload)]
    command += ["-m", MASTER_HOST, "-e", str(output / "out"), "-s", f"tcp://localhost:{port}"]
    command += ["-E"] * prepared.energy
    log, said = output / "scheduler.log", output / "batsim.log"
    remove(output)
    with (
        scheduler_process(prepared.scheduler, f"tcp://*:{port}", log, TIMEOUT_S) as scheduler,
        said.open("wb") as file,
    ):
        simulator = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            _await(simulator, scheduler, log, said)
        finally:
            simulator.kill()
            simulator.wait()
    with (output / "out_schedule.csv").open(newline="") as table:
        return {name: _number(value) for name, value in next(csv.DictReader(table)).items()}


def _await(
    simulator: "subprocess.Popen[bytes]",
    scheduler: "subprocess.Popen[bytes]",
    log: Path,
    said: Path,
) -> None:
    """Wait for both to end well; Batsim by itself would wait for a dead scheduler for ever."""
    died_s = None
    while (status := simulator.poll()) is None:
        if scheduler.poll():
            died_s = died_s or monotonic()
        if died_s is not None and monotonic() - died_s > 1:
            raise SchedulerError(
                f"the scheduler ended with status {scheduler.returncode}: see {log}"
            )
        sleep(0.05)
    if status:
        raise SchedulerError(f"Batsim ended with status {status}: see {said}.")
    with suppress(subprocess.TimeoutExpired):
        scheduler.wait(TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
