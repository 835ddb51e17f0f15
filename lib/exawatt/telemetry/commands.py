"""The verbs of ``exawatt telemetry``: record, convert, measure, aggregate, publish."""

import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console, Group
from rich.progress import track

from exawatt.readers import load, read_sacct
from exawatt.readers.catalog import locate
from exawatt.readers.files import TraceError, read_start
from exawatt.readers.sacct import clock_unknown, is_sacct
from exawatt.telemetry.aggregate import DEFAULT_WINDOW_S, Seen, aggregate_recordings
from exawatt.telemetry.anonymity import Rule
from exawatt.telemetry.joining import job_energy
from exawatt.telemetry.pseudonyms import create_key, pseudonym, read_key
from exawatt.telemetry.publish import FileFormat, Publication, publish
from exawatt.telemetry.recording import Recording, clock_steps, convert, gaps, read_recording
from exawatt.telemetry.release import untold
from exawatt.telemetry.released_power import read_windows
from exawatt.telemetry.tables import J_PER_KWH, device_table, flaw_table, job_table, measured
from exawatt.terminal import (
    AsJson,
    Lenient,
    Procs,
    Trace,
    amount,
    facts_table,
    frame_table,
    plainly,
)
from exawatt.workload import Workload

telemetry = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Record power and energy, measure from recordings, and publish what may be published.",
    no_args_is_help=True,
)

#: Rows of a table that may have any number.
_SHOWN = 10
LOGGERS = ("nvml", "rapl")
# What stands behind a logger's name is read by the logger itself, which knows its options.
_WHOLE_LINE: dict[str, Any] = {
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
}

Recordings = Annotated[
    list[Path], typer.Argument(help="Recordings: CSV, also while they grow, or Parquet.")
]


def log(name: str, arguments: list[str]) -> int:
    """Run a logger with its own arguments; return the exit status."""
    status: int = import_module(f"exawatt.telemetry.{name}").main(arguments)
    return status


@telemetry.command("nvml", **_WHOLE_LINE)
def telemetry_nvml(context: typer.Context) -> None:
    """Record power, energy and use of NVIDIA GPUs (--help: its own options)."""
    raise typer.Exit(log("nvml", context.args))


@telemetry.command("rapl", **_WHOLE_LINE)
def telemetry_rapl(context: typer.Context) -> None:
    """Record the energy counters of processors and memory (--help: its own options)."""
    raise typer.Exit(log("rapl", context.args))


@telemetry.command("convert")
@plainly
def telemetry_convert(
    recordings: Recordings,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; that of each recording if none.")
    ] = None,
) -> None:
    """Convert recordings to Parquet, a fraction of their size; the CSV files stay."""
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    for path in _progress(recordings, "converting"):
        print(convert(path, (output or path.parent) / f"{path.stem}.parquet"))


@telemetry.command("energy")
@plainly
def telemetry_energy(
    recordings: Recordings,
    jobs: Annotated[
        Path | None, typer.Option(help="Slurm accounting: measure each of its jobs instead.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of the accounting's times, such as Europe/Zurich.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="CSV file, not there yet, for the energy of every measured job."),
    ] = None,
    lenient: Lenient = False,
    procs: Procs = None,
    as_json: AsJson = False,
) -> None:
    """Measure the energy of each device, or of jobs, with its uncertainty and its gaps."""
    for option, value in (("--output", output), ("--timezone", timezone), ("--procs", procs)):
        if value is not None and jobs is None:
            raise ValueError(f"{option} {value} is for the energy of jobs: pass --jobs too.")
    if output is not None and output.exists():
        raise FileExistsError(f"{output} exists already: pass another --output.")
    read = [read_recording(path) for path in recordings]
    if jobs is not None:
        workload = read_sacct(jobs, strict=not lenient, procs=procs, timezone=timezone)
        _refuse_local_times(workload, jobs)
        _print_jobs(read, workload, output, as_json)
        return
    for one in read:
        if one.table.empty:
            raise ValueError(f"{one.path} holds no samples: leave it out.")
    rows = [measured(one, device) for one in read for device in one.devices]
    if as_json:
        print(_json(rows))
        return
    console = Console()
    _print_devices(console, rows)
    _print_accuracy(console, read)
    seen = Seen()
    for overlap in filter(None, map(seen.overlap, read)):
        console.print(f"{overlap}: do not add their energies.")
    for one in read:
        _print_flaws(console, one)


def _print_devices(console: Console, rows: list[dict[str, Any]]) -> None:
    """One table, or where a host has several recordings, a table of each."""
    hosts = sorted({row["host"] for row in rows})
    files = {row["recording"]: row["host"] for row in rows}
    tables = {f" of {hosts[0]}" if len(hosts) == 1 else "": rows}
    if len(files) > len(hosts):
        tables = {
            f" of {host}, {path}": [row for row in rows if row["recording"] == path]
            for path, host in files.items()
        }
    for of, mine in tables.items():
        title = f"Energy by device{of}, ± its standard uncertainty"
        console.print(frame_table(device_table(mine), title))


def _progress(paths: list[Path], doing: str) -> Iterable[Path]:
    console = Console(stderr=True)
    # Where nobody looks, it would leave empty lines.
    return track(paths, doing, console=console, transient=True, disable=not console.is_terminal)


def _print_accuracy(console: Console, recordings: list[Recording]) -> None:
    """Say what the uncertainties contain of the sensors' accuracy."""
    kinds = {one.key for one in recordings}
    if "zone" in kinds:
        console.print(
            "± of RAPL is of times and counter steps, without the sensor's own accuracy: no "
            "tolerance is published."
        )
    if "device" in kinds:
        console.print(
            "± of NVML has the sensor's tolerance in it, but of a counter not what its sensor "
            "did not see."
        )


def _print_flaws(console: Console, recording: Recording) -> None:
    for what, found in (("Gaps", gaps(recording)), ("Clock steps", clock_steps(recording))):
        if len(found):
            more = f", the first {_SHOWN}" if len(found) > _SHOWN else ""
            title = f"{what} in {recording.path.name}: {len(found):,}{more}"
            console.print(frame_table(flaw_table(found.head(_SHOWN)), title))
    if recording.torn:
        console.print(f"{recording.path.name} ends in half a line, which does not count.")


def _refuse_local_times(workload: Workload, jobs: Path) -> None:
    """Raise where times of a wall clock were taken for UTC: other hours would be measured."""
    if clock_unknown(workload):
        raise ValueError(
            f"{jobs} has times without a zone: pass --timezone, such as Europe/Zurich, or UTC."
        )


def _print_jobs(
    read: list[Recording], workload: Workload, output: Path | None, as_json: bool
) -> None:
    found = job_energy(read, workload)
    table = pd.concat([workload.jobs[["job"]], found], axis=1)
    known = table[table["energy_j"].notna()]
    if output is not None:
        known.to_csv(output, index=False)
    totals = {
        "jobs": len(table),
        "measured": len(known),
        "wholly": int((known["coverage"] > 0.99).sum()),
        "sharing their nodes": int(known["shared"].sum()),
        "energy_kwh": float(known["energy_j"].sum()) / J_PER_KWH,
    }
    if as_json:
        print(_json(totals | {"rows": known.to_dict("records")}))
        return
    console = Console()
    if known.empty:
        console.print(f"None of the {len(table):,} jobs was measured.")
    else:
        console.print(facts_table(totals | {"energy_kwh": amount(totals["energy_kwh"])}))
        more = f", the first {_SHOWN} of {len(known):,}" if len(known) > _SHOWN else ""
        title = f"Energy by job{more}, ± its standard uncertainty"
        console.print(frame_table(job_table(known.head(_SHOWN)), title))
        _print_accuracy(console, read)
    if output is not None:
        print(f"{len(known):,} jobs written to {output}")
    elif len(known) > _SHOWN:
        print("All of them: --output FILE, or --json.")


@telemetry.command("aggregate")
@plainly
def telemetry_aggregate(
    recordings: Recordings,
    output: Annotated[
        Path, typer.Option(help="File for the windows, not there yet: .csv or .parquet.")
    ],
    window: Annotated[
        float, typer.Option(help="Length of a window, 1 to 60 s; that of 'publish' to publish it.")
    ] = DEFAULT_WINDOW_S,
) -> None:
    """Aggregate recordings to mean power and energy by window; no counted energy is lost."""
    if output.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--output {output} must end in .csv or .parquet.")
    if output.exists():
        raise FileExistsError(f"{output} exists already: pass another --output.")
    read = map(read_recording, _progress(recordings, "aggregating"))
    table = aggregate_recordings(read, window)
    if output.suffix == ".csv":
        table.to_csv(output, index=False)
    else:
        table.to_parquet(output, index=False)
    missing, spread = table[["missing_s", "spread_s"]].sum() / table["window_s"].sum()
    print(
        f"{output}: {len(table):,} windows, {missing:.1%} of their time without a measurement, "
        f"{spread:.1%} between readings far apart"
    )


@telemetry.command("key")
@plainly
def telemetry_key(
    path: Annotated[Path, typer.Argument(help="A file that is not there yet, in no repository.")],
    user: Annotated[
        str | None,
        typer.Option(help="With a key that is there: print this user's hash, to find the rows."),
    ] = None,
) -> None:
    """Make the key of a release, which only you can read. Keep it apart, or destroy it."""
    print(create_key(path) if user is None else pseudonym(user, read_key(path)))


def _five(number: int) -> int:
    """Refuse what would let few people stand for one."""
    if number < 5:
        raise typer.BadParameter(
            f"{number} is too few: among fewer than 5, people can be recognised. Pass 5 or more. "
            "(The function exawatt.telemetry.publish.publish takes less, to study what it costs.)"
        )
    return number


@telemetry.command("publish")
@plainly
def telemetry_publish(
    trace: Trace,
    folder: Annotated[Path, typer.Argument(help="Folder of the release, not there yet.")],
    key: Annotated[Path, typer.Option(help="Key of this release: 'exawatt telemetry key PATH'.")],
    quasi_identifiers: Annotated[
        str,
        typer.Option(
            help="Columns by which somebody could recognise a job, with commas between, the one "
            "to keep most exact first, such as procs,requested_s."
        ),
    ],
    k: Annotated[
        int, typer.Option(callback=_five, help="Least number of rows of a cell, 5 or more.")
    ] = 5,
    min_users: Annotated[
        int, typer.Option(callback=_five, help="Least number of users of a cell, 5 or more.")
    ] = 5,
    max_suppressed: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of rows, and of energy, given up.")
    ] = 0.02,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Generalise nothing: refuse what does not satisfy.")
    ] = False,
    window: Annotated[
        float,
        typer.Option(
            help="Times are rounded to this, 1 to 60 s. The finer, the more jobs can be recognised."
        ),
    ] = DEFAULT_WINDOW_S,
    columns: Annotated[
        str | None, typer.Option(help="Columns to publish, with commas between; all if none.")
    ] = None,
    power: Annotated[
        Path | None,
        typer.Option(help="File of 'exawatt telemetry aggregate', with windows as long as those."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence, for the release's README.")] = "",
    contact: Annotated[str, typer.Option(help="Whom to ask, for the release's README.")] = "",
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Format of the tables of jobs and power.")
    ] = "csv",
    timezone: Annotated[
        str | None, typer.Option(help="Zone of the accounting's times, such as Europe/Zurich.")
    ] = None,
    lenient: Lenient = False,
    procs: Procs = None,
) -> None:
    """Publish a job log: hashed, generalised, and only if every cell hides its users.

    A data set that fails is not written; the cells that fail are named.
    """
    workload = _with_names(trace, timezone, not lenient, procs)
    told = {name: text for name, text in (("licence", licence), ("contact", contact)) if text}
    with Console(stderr=True).status("looking for the generalisation that loses least"):
        done = publish(
            workload,
            folder,
            key,
            _listed(quasi_identifiers),
            rule=Rule(k, min_users),
            max_suppressed=max_suppressed,
            as_is=as_is,
            window_s=window,
            columns=None if columns is None else _listed(columns),
            power=None if power is None else read_windows(power),
            file_format=file_format,
            **told,
        )
    _print_release(Console(), done)


def _print_release(console: Console, done: Publication) -> None:
    levels = done.report["quasi_identifiers"]
    title = f"{done.folder}: what was done to each quasi-identifier"
    console.print(facts_table(levels, title))
    console.print(facts_table(done.report["lost"], "What was lost"))
    console.print(_linkage_table(done.report["linkage"]))
    files = {name: f"{file['rows']:,} rows" for name, file in done.report["files"].items()}
    console.print(facts_table(files, "Files"))
    if done.left_out:
        console.print(facts_table(done.left_out, "Left out"))
    if lacking := untold(done.report):
        console.print(f"No replay is possible: the release does not tell {', '.join(lacking)}.")
    if done.report["energy"]:
        console.print(f"Mind that {done.report['energy']}. The release's README says so.")


def _with_names(trace: str, timezone: str | None, strict: bool, procs: int | None) -> Workload:
    """Read a trace; accounting of one's own with its names, which a release hashes."""
    path, entry = locate(trace, "traces")
    if path is not None and not read_start(path):
        raise TraceError(path, "is empty.")
    if path is not None and entry is None and is_sacct(path):
        return read_sacct(path, strict=strict, procs=procs, timezone=timezone, names=True)
    if timezone is not None:
        raise ValueError(
            f"--timezone {timezone} is for Slurm accounting: a log in the Standard Workload Format "
            "tells its zone in the header (TimeZoneString)."
        )
    return load(trace, strict=strict, procs=procs)


def _linkage_table(shares: dict[str, dict[str, float]]) -> Group:
    """Show what attacks find before and after, and after for who knows every published field."""
    found = pd.DataFrame(shares).map("{:.1%}".format).rename_axis("share").reset_index()
    return frame_table(found, "What linking finds, knowing the quasi-identifiers or all fields")


def _json(value: Any) -> str:
    """JSON text, in which what is not known is null: there is no NaN in JSON."""

    def known(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: known(item) for key, item in one.items()}
        if isinstance(one, list):
            return [known(item) for item in one]
        one = one.item() if hasattr(one, "item") else one
        return None if one != one else one

    return json.dumps(known(value), indent=2)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
