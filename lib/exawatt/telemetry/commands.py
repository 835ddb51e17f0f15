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
from exawatt.telemetry.aggregate import aggregate
from exawatt.telemetry.anonymity import Rule
from exawatt.telemetry.energy import energy
from exawatt.telemetry.joining import job_energy
from exawatt.telemetry.pseudonyms import create_key
from exawatt.telemetry.publish import FileFormat, publish
from exawatt.telemetry.recording import Recording, clock_steps, convert, gaps, read_recording
from exawatt.terminal import AsJson, Lenient, Procs, Trace, facts_table, frame_table, plainly

telemetry = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Record power and energy, measure from recordings, and publish what may be published.",
    no_args_is_help=True,
)

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
    output: Annotated[Path | None, typer.Option(help="CSV file for the energy of jobs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the energy of each device, or of jobs, with its uncertainty and its gaps."""
    read = [read_recording(path) for path in recordings]
    if jobs is not None:
        _print_jobs(read, jobs, timezone, output, as_json)
        return
    rows = [_measured(one, device) for one in read for device in one.devices]
    if as_json:
        print(_json(rows))
        return
    shown = pd.DataFrame(rows).drop(columns="recording")
    formats = dict.fromkeys(("duration_s", "energy_j", "uncertainty_j", "mean_w"), "{:,.1f}")
    for name, form in (formats | {"gap_share": "{:.2%}"}).items():
        shown[name] = [form.format(value) for value in shown[name]]
    console = Console()
    console.print(frame_table(shown, "Energy by device, with its standard uncertainty"))
    for one in read:
        _print_flaws(console, one)


def _progress(paths: list[Path], doing: str) -> Iterable[Path]:
    return track(paths, doing, console=Console(stderr=True), transient=True)


def _measured(recording: Recording, device: Any) -> dict[str, Any]:
    found = energy(recording, device)
    seen_s = found.duration_s * (1 - found.gap_share)
    return {
        "recording": str(recording.path),
        "host": recording.host,
        recording.key: device,
        "duration_s": found.duration_s,
        "method": found.method,
        "energy_j": found.energy_j,
        "uncertainty_j": found.uncertainty_j,
        "mean_w": found.energy_j / seen_s if seen_s else float("nan"),
        "gap_share": found.gap_share,
    }


def _print_flaws(console: Console, recording: Recording) -> None:
    for what, found in (("Gaps", gaps(recording)), ("Clock steps", clock_steps(recording))):
        if len(found):
            title = f"{what} in {recording.path.name}: {len(found):,}, the first ten"
            console.print(frame_table(found.head(10), title))
    if recording.torn:
        console.print(f"{recording.path.name} ends in half a line, which does not count.")


def _print_jobs(
    read: list[Recording], jobs: Path, timezone: str | None, output: Path | None, as_json: bool
) -> None:
    workload = read_sacct(jobs, timezone=timezone)
    found = job_energy(read, workload)
    table = pd.concat([workload.jobs[["job"]], found], axis=1)
    measured = table[table["energy_j"].notna()]
    if output is not None:
        measured.to_csv(output, index=False)
    totals = {
        "jobs": len(table),
        "measured": len(measured),
        "wholly": int((measured["coverage"] > 0.99).sum()),
        "sharing their nodes": int(measured["shared"].sum()),
        "energy_kwh": float(measured["energy_j"].sum()) / 3.6e6,
    }
    if as_json:
        print(_json(totals | {"rows": measured.to_dict("records")}))
        return
    Console().print(facts_table(totals))
    if output is not None:
        print(f"{len(measured):,} jobs written to {output}")


@telemetry.command("aggregate")
@plainly
def telemetry_aggregate(
    recordings: Recordings,
    output: Annotated[Path, typer.Option(help="File for the windows: .csv or .parquet.")],
    window: Annotated[float, typer.Option(help="Length of a window, 1 to 60 s.")] = 10.0,
) -> None:
    """Aggregate recordings to mean power and energy by window; no energy is lost."""
    if output.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--output {output} must end in .csv or .parquet.")
    if output.exists():
        raise FileExistsError(f"{output} exists already: pass another --output.")
    parts = []
    for path in _progress(recordings, "aggregating"):
        one = read_recording(path)
        parts.append(aggregate(one.table.assign(host=one.host), window, one.interval_s))
    table = pd.concat(parts, ignore_index=True)
    if output.suffix == ".csv":
        table.to_csv(output, index=False)
    else:
        table.to_parquet(output, index=False)
    missing = table["missing_s"].sum() / (table["window_s"].sum() or 1)
    print(f"{output}: {len(table):,} windows, {missing:.1%} of their time without a measurement")


@telemetry.command("key")
@plainly
def telemetry_key(
    path: Annotated[Path, typer.Argument(help="A file that is not there yet, in no repository.")],
) -> None:
    """Make the key of a release, which only you can read. Keep it apart, or destroy it."""
    print(create_key(path))


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
    k: Annotated[int, typer.Option(min=2, help="Least number of rows of a cell.")] = 5,
    min_users: Annotated[int, typer.Option(min=2, help="Least number of users of a cell.")] = 5,
    max_suppressed: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of rows, and of energy, given up.")
    ] = 0.02,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Generalise nothing: refuse what does not satisfy.")
    ] = False,
    window: Annotated[float, typer.Option(help="Times are rounded to this, 1 to 60 s.")] = 60.0,
    columns: Annotated[
        str | None, typer.Option(help="Columns to publish, with commas between; all if none.")
    ] = None,
    power: Annotated[
        Path | None, typer.Option(help="Windows of 'exawatt telemetry aggregate', of that length.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence, for the release's README.")] = "",
    contact: Annotated[str, typer.Option(help="Whom to ask, for the release's README.")] = "",
    file_format: Annotated[FileFormat, typer.Option("--format", help="Of the tables.")] = "csv",
    lenient: Lenient = False,
    procs: Procs = None,
) -> None:
    """Publish a job log: hashed, generalised, and only if every cell hides its users.

    A data set that fails is not written; the cells that fail are named.
    """
    workload = load(trace, strict=not lenient, procs=procs)
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
            power=None if power is None else _windows(power),
            file_format=file_format,
            **told,
        )
    console = Console()
    levels = done.report["quasi_identifiers"]
    title = f"{done.folder}: what was done to each quasi-identifier"
    console.print(facts_table(levels, title))
    console.print(facts_table(done.report["lost"], "What was lost"))
    console.print(_linkage_table(done.report["linkage"]))
    files = {name: f"{file['rows']:,} rows" for name, file in done.report["files"].items()}
    console.print(facts_table(files, "Files"))
    if done.left_out:
        console.print(f"Left out: {', '.join(done.left_out)}.")


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


def _windows(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
