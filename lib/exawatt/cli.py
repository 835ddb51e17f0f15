"""Command line: one verb per arrow, from a trace to its kWh and kgCO2e."""

import json
import warnings
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import exawatt as ew
from exawatt.batsim.commands import batsim
from exawatt.cli_account import account
from exawatt.cli_carbon import carbon
from exawatt.cli_predict import app as predict
from exawatt.cli_record import (
    Fill,
    Machine,
    PolicyName,
    SeriesName,
    forecast_for,
    load,
    machine_of,
    print_notes,
    record_of,
)
from exawatt.cli_traces import traces
from exawatt.power import common_window_s
from exawatt.telemetry.commands import telemetry
from exawatt.terminal import (
    AsJson,
    Lenient,
    Procs,
    Timezone,
    Trace,
    amount,
    facts_table,
    frame_table,
    plainly,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(traces, name="traces")
app.add_typer(batsim, name="batsim")
app.add_typer(telemetry, name="telemetry")
app.add_typer(carbon, name="carbon")
app.add_typer(predict, name="predict")
app.command()(account)


def _version(asked: bool) -> None:
    if asked:
        print(f"exawatt {ew.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")
    ] = False,
) -> None:
    """Replay a cluster's job trace, and account for its energy and carbon."""


_FORMATS = {
    "jobs": "{:,.0f}",
    "avebsld": "{:,.2f}",
    "utilisation": "{:.3f}",
    "mean_gco2_per_kwh": "{:.1f}",
    "replay_seconds": "{:.4f}",
    "nan_scores": "{:,d}",
}
#: The two tables of a comparison; all else is in its JSON.
_WAITS = ["avebsld", "mean_wait_s", "p99_wait_s", "max_wait_s", "utilisation"]
_ENERGY = ["makespan_s", "energy_kwh", "carbon_kgco2e"]


@app.command()
@plainly
def replay(
    trace: Trace,
    policy: PolicyName = "easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    platform: Machine = None,
    causes: Annotated[bool, typer.Option(help="Say what jobs waited for, on average.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay a trace under a policy: waits, slowdown, utilisation, energy and carbon."""
    chosen = ew.Policy.of(policy)
    workload = load(trace, lenient, procs, timezone)
    machine = machine_of(platform, workload)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    forecast = forecast_for(chosen, series)
    schedule = ew.replay(workload, chosen, machine, forecast=forecast, causes=causes)
    record = record_of(schedule, ew.account(ew.power(schedule), series))
    _warn_of_nan_scores([schedule])
    if as_json:
        print(json.dumps(record, indent=2))
        return
    Console().print(facts_table(_formatted(record)))
    print_notes(workload)


@app.command()
@plainly
def compare(
    trace: Trace,
    policies: Annotated[
        str,
        typer.Option(
            help="Policies, separated by commas: names as in 'exawatt replay', or JSON files as "
            "docs/policies.md describes them."
        ),
    ] = "fcfs,easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    platform: Machine = None,
    as_json: AsJson = False,
) -> None:
    """Replay a trace under several policies; energy and carbon over one common window."""
    names = [name.strip() for name in policies.split(",") if name.strip()]
    if not names:
        raise ValueError(f"policies(={policies!r}) names none; pass for example fcfs,easy.")
    chosen = [ew.Policy.of(name) for name in names]
    workload = load(trace, lenient, procs, timezone)
    machine = machine_of(platform, workload)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=len(chosen))
        schedules = []
        for one in chosen:
            progress.update(task, description=f"replaying {workload.name} under {one.name}")
            forecast = forecast_for(one, series)
            schedules.append(ew.replay(workload, one, machine, forecast=forecast))
            progress.advance(task)
    window = common_window_s(schedules)
    records = [record_of(s, ew.account(ew.power(s, window), series)) for s in schedules]
    _warn_of_nan_scores(schedules)
    if as_json:
        print(json.dumps({"window_s": window, "policies": records}, indent=2))
        return
    rows = pd.DataFrame(map(_formatted, records))
    title = f"{workload.label}: {len(workload):,} jobs"
    console = Console()
    console.print(frame_table(rows[["policy", *_WAITS]], title))
    title = (
        f"Over the common window of {(window[1] - window[0]) / 86400:,.1f} days, idle power "
        f"included; change: of carbon, against the first\n{machine.name} watts, {series.label}"
    )
    # No carbon at all, of a grid without any, has no relative change.
    first = records[0]["carbon_kgco2e"] or float("nan")
    change = [f"{each['carbon_kgco2e'] / first - 1:+.1%}" for each in records]
    console.print(frame_table(rows[["policy", *_ENERGY]].assign(change=change), title))
    print_notes(workload)


def _formatted(record: dict[str, Any]) -> dict[str, str]:
    shown = {}
    for name, value in record.items():
        if name in _FORMATS:
            shown[name] = _FORMATS[name].format(value)
        elif isinstance(value, float):
            shown[name] = amount(value, places=0 if name.endswith("_s") else 1)
        else:
            shown[name] = str(value)
    return shown


def _warn_of_nan_scores(schedules: list[ew.Schedule]) -> None:
    for schedule in schedules:
        if schedule.nan_scores:
            warnings.warn(
                f"{schedule.nan_scores:,} scores of policy {schedule.policy.name} were no number; "
                "such jobs came last. Look at the weights of its scorer.",
                stacklevel=2,
            )


if __name__ == "__main__":
    app()
