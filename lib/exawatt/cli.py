"""Command line: one verb per arrow, from a trace to its kWh and kgCO2e."""

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import exawatt as ew
from exawatt.batsim.commands import batsim
from exawatt.cli_carbon import carbon
from exawatt.cli_traces import traces
from exawatt.power import common_window_s, energy_by_state_kwh
from exawatt.replay.extras import CAUSES
from exawatt.replay.requests import FIRST_REQUEST_S
from exawatt.telemetry.commands import telemetry
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

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(traces, name="traces")
app.add_typer(batsim, name="batsim")
app.add_typer(telemetry, name="telemetry")
app.add_typer(carbon, name="carbon")


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


PolicyName = Annotated[
    str,
    typer.Option(
        help="easy, easy-sjbf, easy++, conservative, ORDER[+BACKFILL], or a JSON file as "
        "docs/policies.md describes it."
    ),
]
SeriesName = Annotated[
    str, typer.Option(help="Carbon intensity: GB-2023, GB-2022, tiny, or a CSV or JSON file.")
]
Fill = Annotated[
    str | None, typer.Option(help="Rule for gaps in a file's intensity: week. Default: refuse.")
]
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
_ENERGY = ["makespan_s", "energy_kwh", "carbon_kgco2e", "mean_gco2_per_kwh"]


@app.command()
@plainly
def replay(
    trace: Trace,
    policy: PolicyName = "easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    lenient: Lenient = False,
    procs: Procs = None,
    causes: Annotated[bool, typer.Option(help="Say what jobs waited for, on average.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay a trace under a policy: waits, slowdown, utilisation, energy and carbon."""
    chosen = ew.Policy.of(policy)
    workload = ew.load(trace, strict=not lenient, procs=procs)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    schedule = ew.replay(workload, chosen, forecast=_forecast(chosen, series), causes=causes)
    record = _record(schedule, ew.account(ew.power(schedule), series))
    _warn_of_nan_scores([schedule])
    if as_json:
        print(json.dumps(record, indent=2))
        return
    Console().print(facts_table(_formatted(record)))
    _print_notes(workload)


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
            schedules.append(ew.replay(workload, one, forecast=_forecast(one, series)))
            progress.advance(task)
    window = common_window_s(schedules)
    records = [_record(s, ew.account(ew.power(s, window), series)) for s in schedules]
    _warn_of_nan_scores(schedules)
    if as_json:
        print(json.dumps({"window_s": window, "policies": records}, indent=2))
        return
    rows = pd.DataFrame(map(_formatted, records))
    title = f"{workload.label}: {len(workload):,} jobs"
    console = Console()
    console.print(frame_table(rows[["policy", *_WAITS]], title))
    title = f"Over the common window, stand-in watts, {series.label}"
    console.print(frame_table(rows[["policy", *_ENERGY]], title))
    _print_notes(workload)


@app.command()
@plainly
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
    schedule = ew.replay(workload, chosen, forecast=_forecast(chosen, series))
    result = ew.account(ew.power(schedule), series)
    by_month = result.by_month()
    if output is not None:
        result.half_hours.to_csv(output, index=False)
    if as_json:
        record = _record(schedule, result) | {"by_month": by_month.to_dict(orient="records")}
        print(json.dumps(record, indent=2))
        return
    amounts = ("energy_kwh", "carbon_kgco2e")
    table = by_month.assign(**{name: by_month[name].map(amount) for name in amounts})
    totals = {name: amount(getattr(result, name)) for name in amounts}
    table.loc[len(table)] = {"month": "total", **totals}
    console = Console()
    console.print(frame_table(table, f"{result.power_label}, {result.intensity_label}"))
    if result.filled_kwh:
        console.print(
            f"{amount(result.filled_kwh)} kWh fell in gaps of the series, filled by rule "
            f"{result.fill!r}."
        )
    if output is not None:
        console.print(f"half-hours: {output}")


def _forecast(policy: ew.Policy, series: ew.Intensity) -> ew.Forecast | None:
    """What a policy that holds jobs back is told of the series: that days repeat themselves."""
    return None if policy.hold is None else ew.persistence(series)


def _record(schedule: ew.Schedule, result: ew.Account) -> dict[str, Any]:
    """One replay and its account as plain values."""
    workload, waits = schedule.workload, {}
    if schedule.waits_s is not None:
        means = zip(CAUSES, schedule.waits_s.mean(axis=0), strict=True)
        waits = {f"mean_wait_{cause}_s": float(mean) for cause, mean in means}
    states = energy_by_state_kwh(schedule, result.window_s)
    return {
        "trace": workload.name,
        "sha256": workload.sha256,
        "tier": workload.tier,
        "policy": schedule.policy.name,
        "clairvoyant": schedule.policy.clairvoyant,
        **schedule.metrics(),
        "platform": schedule.platform.name,
        "idle_machine_w": schedule.platform.idle_machine_w,
        "full_w": schedule.platform.full_w,
        "window_s": result.window_s,
        **waits,
        "energy_kwh": result.energy_kwh,
        **{f"{state}_kwh": energy for state, energy in states.items()},
        "carbon_kgco2e": result.carbon_kgco2e,
        "mean_gco2_per_kwh": result.mean_gco2_per_kwh,
        "intensity": result.intensity_label,
        "fill": result.fill,
        "filled_kwh": result.filled_kwh,
        "nan_scores": schedule.nan_scores,
        "replay_seconds": schedule.replay_seconds,
    }


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


def _print_notes(workload: ew.Workload) -> None:
    """What cleaning did to the jobs, and what is not known of them and of their machine."""
    console = Console()
    for action in ("dropped", "repaired"):
        rows = workload.cleaning.query("action == @action")
        if len(rows):
            found = ", ".join(f"{row[2]:,} {row[1]}" for row in rows.itertuples(index=False))
            console.print(f"Cleaning {action}: {found}. See 'exawatt traces info'.")
    for row in workload.cleaning.query("field == 'MaxProcs'").itertuples(index=False):
        console.print(f"Machine: {row.reason} ({row.value} processors); pass its size as --procs.")
    if workload.jobs["requested_s"].isna().all():
        console.print(
            f"No job has a request (requested_s): the scheduler takes {FIRST_REQUEST_S / 3600:g} h "
            "for each, and policies that go by runtimes can hardly differ."
        )


if __name__ == "__main__":
    app()
