"""Command line: one verb per arrow, from a trace to its kWh and kgCO2e."""

import functools
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import pandas as pd
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import exawatt as ew
from exawatt.power import common_window_s
from exawatt.readers.catalog import Kind, catalog

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    help="Replay a cluster's job trace, and account for its energy and carbon.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
traces = typer.Typer(help="Traces known by name: list them, or look at one (or at any file).")
app.add_typer(traces, name="traces")

Trace = Annotated[str, typer.Argument(help="Name from 'exawatt traces', or an SWF file's path.")]
PolicyName = Annotated[str, typer.Option(help="fcfs, easy, ORDER+BACKFILL, or a JSON file.")]
SeriesName = Annotated[
    str, typer.Option(help="Carbon intensity: GB-2023, GB-2022, tiny, or a CSV or JSON file.")
]
Fill = Annotated[
    str | None, typer.Option(help="Rule for gaps in a file's intensity: week. Default: refuse.")
]
Procs = Annotated[
    int | None, typer.Option(min=1, help="Processors, when the header does not tell them.")
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Work around defects of the file, and count them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

_METRIC_FORMATS = {
    "jobs": "{:,.0f}",
    "avebsld": "{:,.2f}",
    "mean_wait_s": "{:,.0f}",
    "p99_wait_s": "{:,.0f}",
    "max_wait_s": "{:,.0f}",
    "mean_turnaround_s": "{:,.0f}",
    "utilisation": "{:.3f}",
    "makespan_s": "{:,.0f}",
    "energy_kwh": "{:,.1f}",
    "carbon_kgco2e": "{:,.1f}",
    "mean_gco2_per_kwh": "{:.1f}",
    "replay_seconds": "{:.4f}",
}


def _note(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


def _plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Turn bad input into one line on stderr and exit status 1; show warnings as one line."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            try:
                return command(*args, **kwargs)
            except (ValueError, OSError) as error:
                print(f"exawatt: {error}", file=sys.stderr)
                raise typer.Exit(1) from None

    return wrapped


@traces.callback(invoke_without_command=True)
@_plainly
def traces_default(context: typer.Context) -> None:
    """List the traces when no verb is given."""
    if context.invoked_subcommand is None:
        traces_list(as_json=False)


@traces.command("list")
@_plainly
def traces_list(as_json: AsJson = False) -> None:
    """List the traces and carbon-intensity series of the catalog, and where they are."""
    rows = []
    kinds: tuple[Kind, ...] = ("traces", "intensity")
    for kind in kinds:
        for entry in catalog(kind).values():
            path = entry.find()
            where = str(path) if path else None
            what = entry.machine or entry.source
            rows.append({"name": entry.name, "tier": entry.tier, "what": what, "path": where})
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "tier", "what", "here")
    for row in rows:
        table.add_row(row["name"], row["tier"], row["what"], "yes" if row["path"] else "no")
    Console().print(table)


@traces.command("info")
@_plainly
def traces_info(
    trace: Trace, lenient: Lenient = False, procs: Procs = None, as_json: AsJson = False
) -> None:
    """Show a trace's machine, span and load, and what cleaning did to it."""
    workload = ew.load(trace, strict=not lenient, procs=procs)
    facts = {
        "trace": workload.name,
        "tier": workload.tier,
        "source": workload.source,
        "sha256": workload.sha256,
        "jobs": len(workload),
        "procs": workload.procs,
        "nodes": workload.nodes,
        "start": None if workload.start is None else workload.start.isoformat(),
        "timezone": workload.timezone,
        "days": round(workload.days, 2),
        "offered_load": round(workload.offered_load, 4),
    }
    if as_json:
        cleaning = json.loads(workload.cleaning.to_json(orient="records"))
        print(json.dumps(facts | {"cleaning": cleaning}, indent=2))
        return
    console = Console()
    console.print(_facts_table(facts))
    if workload.cleaning.empty:
        console.print("Cleaning found nothing to drop, repair or note.")
    else:
        console.print(_frame_table(workload.cleaning, "Cleaning report"))


@app.command()
@_plainly
def replay(
    trace: Trace,
    policy: PolicyName = "easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    as_json: AsJson = False,
) -> None:
    """Replay a trace under a policy: waits, slowdown, utilisation, energy and carbon."""
    chosen = ew.Policy.of(policy)
    workload = ew.load(trace, strict=not lenient, procs=procs)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    schedule = ew.replay(workload, chosen)
    record = _record(schedule, ew.account(ew.power(schedule), series))
    if as_json:
        print(json.dumps(record, indent=2))
        return
    console = Console()
    console.print(_facts_table(_formatted(record)))
    _print_dropped(workload)


@app.command()
@_plainly
def compare(
    trace: Trace,
    policies: Annotated[str, typer.Option(help="Policies, separated by commas.")] = "fcfs,easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    as_json: AsJson = False,
) -> None:
    """Replay a trace under several policies; energy and carbon over one common window."""
    names = [name.strip() for name in policies.split(",") if name.strip()]
    if not names:
        raise ValueError(f"policies(={policies!r}) names none; pass for example fcfs,easy.")
    chosen = [ew.Policy.of(name) for name in names]
    workload = ew.load(trace, strict=not lenient, procs=procs)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=len(chosen))
        schedules = []
        for one in chosen:
            progress.update(task, description=f"replaying {workload.name} under {one.name}")
            schedules.append(ew.replay(workload, one))
            progress.advance(task)
    window = common_window_s(schedules)
    records = [_record(s, ew.account(ew.power(s, window), series)) for s in schedules]
    if as_json:
        print(json.dumps({"window_s": window, "policies": records}, indent=2))
        return
    shown = ["policy", *_METRIC_FORMATS]
    rows = [_formatted({name: record[name] for name in shown}) for record in records]
    title = f"{workload.label}, stand-in watts, {series.label}"
    Console().print(_frame_table(pd.DataFrame(rows).set_index("policy").T.reset_index(), title))
    _print_dropped(workload)


@app.command()
@_plainly
def account(
    trace: Trace,
    policy: PolicyName = "easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    output: Annotated[
        Path | None, typer.Option(help="CSV file for the account by half-hour.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Account for a trace's energy and carbon, month by month."""
    chosen = ew.Policy.of(policy)
    workload = ew.load(trace, strict=not lenient, procs=procs)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    schedule = ew.replay(workload, chosen)
    result = ew.account(ew.power(schedule), series)
    months = result.half_hours.groupby(result.half_hours["instant"].dt.strftime("%Y-%m"))
    by_month = months[["energy_kwh", "carbon_kgco2e"]].sum().rename_axis("month").reset_index()
    if output is not None:
        result.half_hours.to_csv(output, index=False)
    if as_json:
        record = _record(schedule, result) | {"by_month": by_month.to_dict(orient="records")}
        print(json.dumps(record, indent=2))
        return
    shown = {"energy_kwh": "{:,.1f}".format, "carbon_kgco2e": "{:,.1f}".format}
    table = by_month.assign(**{name: by_month[name].map(form) for name, form in shown.items()})
    total = {"month": "total", "energy_kwh": f"{result.energy_kwh:,.1f}"}
    total["carbon_kgco2e"] = f"{result.carbon_kgco2e:,.1f}"
    table.loc[len(table)] = total
    console = Console()
    console.print(_frame_table(table, f"{result.power_label}, {result.intensity_label}"))
    if result.filled_kwh:
        console.print(
            f"{result.filled_kwh:,.1f} kWh fell in gaps of the series, filled by rule "
            f"{result.fill!r}."
        )
    if output is not None:
        console.print(f"half-hours: {output}")


def _record(schedule: ew.Schedule, result: ew.Account) -> dict[str, Any]:
    """One replay and its account as plain values."""
    workload = schedule.workload
    return {
        "trace": workload.name,
        "sha256": workload.sha256,
        "tier": workload.tier,
        "policy": schedule.policy.name,
        "clairvoyant": schedule.policy.clairvoyant,
        **schedule.metrics(),
        "platform": schedule.platform.name,
        "energy_kwh": result.energy_kwh,
        "carbon_kgco2e": result.carbon_kgco2e,
        "mean_gco2_per_kwh": result.mean_gco2_per_kwh,
        "intensity": result.intensity_label,
        "fill": result.fill,
        "filled_kwh": result.filled_kwh,
        "replay_seconds": schedule.replay_seconds,
    }


def _formatted(record: dict[str, Any]) -> dict[str, str]:
    formats = _METRIC_FORMATS | {"filled_kwh": "{:,.1f}"}
    return {name: formats.get(name, "{}").format(value) for name, value in record.items()}


def _facts_table(facts: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    return table


def _frame_table(frame: pd.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(frame.columns):
        table.add_column("" if name == "index" else str(name), justify="right" if i else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    return table


def _print_dropped(workload: ew.Workload) -> None:
    dropped = workload.cleaning.query("action == 'dropped'")
    if len(dropped):
        reasons = ", ".join(f"{row[2]:,} {row[1]}" for row in dropped.itertuples(index=False))
        Console().print(f"Cleaning dropped: {reasons}. See 'exawatt traces info'.")


if __name__ == "__main__":
    app()
