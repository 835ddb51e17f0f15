"""Command line of the simulator: ``exawatt batsim run`` and ``exawatt batsim serve``."""

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from exawatt.batsim.external import read_events
from exawatt.batsim.hosts import MASTER_HOST, read_hosts
from exawatt.batsim.job_file import read_job_file
from exawatt.batsim.run import DEFAULT_ENDPOINT, DEFAULT_TIMEOUT_S, Progress, Summary
from exawatt.batsim.run import run as run_both
from exawatt.batsim.run import serve as serve_one
from exawatt.batsim.simulator import Options
from exawatt.terminal import AsJson, amount, facts_table, plainly

batsim = typer.Typer(
    no_args_is_help=True,
    help="Simulate a workload for a scheduler that speaks Batsim's protocol, as Batsim would.",
)

WorkloadFile = Annotated[Path, typer.Option("--workload", "-w", help="Batsim JSON, or .json.gz.")]
PlatformFile = Annotated[Path, typer.Option("--platform", "-p", help="SimGrid XML, or .xml.gz.")]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Folder for out_jobs.csv and the others: new, or of an earlier run."
    ),
]
Energy = Annotated[
    bool, typer.Option("--energy", "-E", help="Count joules, and let hosts change pstates.")
]
Events = Annotated[
    Path | None, typer.Option(help="External events, one JSON object a line: hosts that leave.")
]
Dynamic = Annotated[
    bool, typer.Option("--enable-dynamic-jobs", help="Let the scheduler register jobs.")
]
Acknowledge = Annotated[
    bool, typer.Option("--acknowledge-dynamic-jobs", help="Announce those jobs back to it.")
]
Forward = Annotated[
    bool,
    typer.Option(
        "--forward-profiles-on-submission", help="Send profiles with the jobs, not at the start."
    ),
]
ForwardUnknown = Annotated[
    bool, typer.Option("--forward-unknown-events", help="Pass other external events on.")
]
Master = Annotated[
    str, typer.Option("--master-host", "-m", help="Host of the platform that computes nothing.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Longest wait for one reply, in seconds.")]
NoTrace = Annotated[bool, typer.Option("--disable-schedule-tracing", help="Write no Pajé trace.")]

#: What else than Batsim's files a run may leave.
_OURS = {"workload.json", "platform.xml", "options.json", "scheduler.log", "batsim.log"}
#: Between two lines of progress, where there is no terminal [s].
_EVERY_S = 30.0
_DIFFERENT = (
    "Not to be compared with 'exawatt compare' as they stand: slowdown takes short jobs as they "
    "are, where avebsld counts them as 10 s; makespan counts from second 0, not from the first "
    "submission; energy is that of the platform's file, from the first submission to the last "
    "job's end."
)


@batsim.command("run")
@plainly
def batsim_run(
    workload: WorkloadFile,
    platform: PlatformFile,
    scheduler: Annotated[
        str,
        typer.Option(
            "--scheduler", "-s", help="Its command, such as 'pybatsim easyBackfill'; -s is added."
        ),
    ],
    output: Output,
    energy: Energy = False,
    events: Events = None,
    enable_dynamic_jobs: Dynamic = False,
    acknowledge_dynamic_jobs: Acknowledge = False,
    forward_profiles_on_submission: Forward = False,
    forward_unknown_events: ForwardUnknown = False,
    master_host: Master = MASTER_HOST,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    disable_schedule_tracing: NoTrace = False,
    as_json: AsJson = False,
) -> None:
    """Start a scheduler, simulate against it, and stop it."""
    options = Options(
        energy,
        enable_dynamic_jobs,
        acknowledge_dynamic_jobs,
        forward_profiles_on_submission,
        forward_unknown_events,
    )
    trace = not disable_schedule_tracing
    simulate = partial(run_both, options=options, timeout_s=timeout, trace=trace)
    _simulate(
        simulate, scheduler, workload, platform, master_host, events, output, options, as_json
    )


@batsim.command("serve")
@plainly
def batsim_serve(
    workload: WorkloadFile,
    platform: PlatformFile,
    output: Output,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Where the scheduler listens.")
    ] = DEFAULT_ENDPOINT,
    energy: Energy = False,
    events: Events = None,
    enable_dynamic_jobs: Dynamic = False,
    acknowledge_dynamic_jobs: Acknowledge = False,
    forward_profiles_on_submission: Forward = False,
    forward_unknown_events: ForwardUnknown = False,
    master_host: Master = MASTER_HOST,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    disable_schedule_tracing: NoTrace = False,
    as_json: AsJson = False,
) -> None:
    """Simulate for a scheduler that is started apart, before or shortly after."""
    options = Options(
        energy,
        enable_dynamic_jobs,
        acknowledge_dynamic_jobs,
        forward_profiles_on_submission,
        forward_unknown_events,
    )
    trace = not disable_schedule_tracing
    simulate = partial(serve_one, options=options, timeout_s=timeout, trace=trace)
    _simulate(simulate, endpoint, workload, platform, master_host, events, output, options, as_json)


@batsim.command("replay")
@plainly
def batsim_replay(
    config: Annotated[Path, typer.Argument(help="Trace, platform and policy as JSON.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for all files: new, or of an earlier run. Default: batsim-CONFIG here.",
        ),
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="Use the project's simulator, even if Batsim is here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replay a configuration, on Batsim where it is installed, else on the simulator."""
    from exawatt.batsim.config import Config, replay  # reads traces, which takes more memory

    read = Config.read(config)
    program = None if own else shutil.which("batsim")
    folder = output or Path(f"batsim-{config.stem}")
    _check_folder(folder)
    Console(stderr=True).print(f"{program or 'the simulator of exawatt'}: {read.trace} to {folder}")
    with _told_if_interrupted(folder), _progress() as progress:
        summary = replay(read, folder, program, progress)
    _show(summary, folder, as_json)


def _simulate(
    simulate: Callable[..., Summary],
    other_side: str,
    workload: Path,
    platform: Path,
    master_host: str,
    events: Path | None,
    output: Path,
    options: Options,
    as_json: bool,
) -> None:
    """Read the files, simulate against a scheduler's command or endpoint, and show the summary."""
    hosts = read_hosts(platform, master_host)
    external = None
    if events is not None:
        external = read_events(events, len(hosts), options.forward_unknown_events)
    jobs = read_job_file(workload)
    _check_folder(output)
    with _told_if_interrupted(output), _progress() as progress:
        summary = simulate(jobs, hosts, other_side, output, external=external, progress=progress)
    _show(summary, output, as_json)


def _check_folder(folder: Path) -> None:
    """Refuse a folder with files of somebody's own; tell where an earlier run is replaced."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--output {folder} is no folder: pass another.")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if "out_jobs.csv" in names:
        warnings.warn(f"the files of the earlier run in {folder} are replaced.", stacklevel=2)
    elif names - _OURS:
        raise FileExistsError(
            f"--output {folder} holds other files ({min(names - _OURS)}): pass a new folder."
        )


@contextmanager
def _told_if_interrupted(folder: Path) -> Iterator[None]:
    """Say what an interrupt leaves behind."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"exawatt: interrupted: without out_schedule.csv, the run in {folder} is not whole.",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """Progress on stderr: a bar where somebody looks, else a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines()
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs, {task.fields[days]:.1f} simulated days"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, days=0.0)
        yield lambda ended, jobs, now_s: bar.update(
            task, completed=ended, total=jobs, days=now_s / 86400
        )


def lines(every_s: float = _EVERY_S) -> Progress:
    """Progress as lines on stderr, one every so often [s]."""
    begun_s = said_s = monotonic()

    def say(ended: int, jobs: int, now_s: float) -> None:
        nonlocal said_s
        if monotonic() - said_s >= every_s:
            said_s = monotonic()
            told = f"{ended:,} of {jobs:,} jobs, {now_s / 86400:.1f} simulated days"
            print(f"{told}, {said_s - begun_s:.0f} s", file=sys.stderr, flush=True)

    return say


def _show(summary: Summary, output: Path, as_json: bool) -> None:
    if as_json:
        # A job killed as it starts has an infinite slowdown, for which JSON has no number.
        finite = {name: None if value == inf else value for name, value in summary.items()}
        print(json.dumps(finite, indent=2))
        return
    energy = (output / "out_consumed_energy.csv").exists()
    console = Console()
    console.print(facts_table(_with_units(summary, energy) | {"files": output}))
    console.print(_DIFFERENT)


def _with_units(summary: Summary, energy: bool) -> dict[str, str]:
    """Texts of a summary; joules only where energy was counted, and then in kWh too."""
    shown = {}
    for name, value in summary.items():
        if name == "batsim_version":
            continue
        unit = " host s" if name.startswith("time_") else ""
        unit = " s" if name == "makespan" or name.endswith("_time") else unit
        shown[name] = (f"{value:,.3f}" if isinstance(value, float) else str(value)) + unit
        if name == "consumed_joules":
            shown[name] = f"{float(value):,.0f} J" if energy else "–"
            shown["energy"] = f"{amount(float(value) / 3.6e6)} kWh" if energy else "–"
    return shown
