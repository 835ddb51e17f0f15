"""Command line: one verb per arrow, from a trace to its kWh and kgCO2e."""

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import exawatt as ew
from exawatt.batsim.commands import batsim
from exawatt.cli_traces import traces
from exawatt.power import common_window_s, energy_by_state_kwh
from exawatt.replay.extras import CAUSES
from exawatt.terminal import AsJson, Lenient, Procs, Trace, facts_table, frame_table, plainly

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(traces, name="traces")
app.add_typer(batsim, name="batsim")


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
    typer.Option(help="easy, easy-sjbf, easy++, conservative, ORDER[+BACKFILL], or a JSON file."),
]
SeriesName = Annotated[
    str, typer.Option(help="Carbon intensity: GB-2023, GB-2022, tiny, or a CSV or JSON file.")
]
Fill = Annotated[
    str | None, typer.Option(help="Rule for gaps in a file's intensity: week. Default: refuse.")
]
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
    if as_json:
        print(json.dumps(record, indent=2))
        return
    console = Console()
    console.print(facts_table(_formatted(record)))
    _print_cleaning(workload)


@app.command()
@plainly
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
            schedules.append(ew.replay(workload, one, forecast=_forecast(one, series)))
            progress.advance(task)
    window = common_window_s(schedules)
    records = [_record(s, ew.account(ew.power(s, window), series)) for s in schedules]
    if as_json:
        print(json.dumps({"window_s": window, "policies": records}, indent=2))
        return
    shown = ["policy", *_METRIC_FORMATS]
    rows = [_formatted({name: record[name] for name in shown}) for record in records]
    title = f"{workload.label}, stand-in watts, {series.label}"
    Console().print(frame_table(pd.DataFrame(rows).set_index("policy").T.reset_index(), title))
    _print_cleaning(workload)


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
    shown = {"energy_kwh": "{:,.1f}".format, "carbon_kgco2e": "{:,.1f}".format}
    table = by_month.assign(**{name: by_month[name].map(form) for name, form in shown.items()})
    total = {"month": "total", "energy_kwh": f"{result.energy_kwh:,.1f}"}
    total["carbon_kgco2e"] = f"{result.carbon_kgco2e:,.1f}"
    table.loc[len(table)] = total
    console = Console()
    console.print(frame_table(table, f"{result.power_label}, {result.intensity_label}"))
    if result.filled_kwh:
        console.print(
            f"{result.filled_kwh:,.1f} kWh fell in gaps of the series, filled by rule "
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
        "window_s": result.window_s,
        **waits,
        "energy_kwh": result.energy_kwh,
        **{f"{state}_kwh": energy for state, energy in states.items()},
        "carbon_kgco2e": result.carbon_kgco2e,
        "mean_gco2_per_kwh": result.mean_gco2_per_kwh,
        "intensity": result.intensity_label,
        "fill": result.fill,
        "filled_kwh": result.filled_kwh,
        "replay_seconds": schedule.replay_seconds,
    }


def _formatted(record: dict[str, Any]) -> dict[str, str]:
    shown = {}
    for name, value in record.items():
        default = "{:,.0f}" if name.startswith("mean_wait_") else "{}"
        default = "{:,.1f}" if name.endswith("_kwh") and "_per_" not in name else default
        shown[name] = _METRIC_FORMATS.get(name, default).format(value)
    return shown


def _print_cleaning(workload: ew.Workload) -> None:
    for action in ("dropped", "repaired"):
        rows = workload.cleaning.query("action == @action")
        if len(rows):
            found = ", ".join(f"{row[2]:,} {row[1]}" for row in rows.itertuples(index=False))
            Console().print(f"Cleaning {action}: {found}. See 'exawatt traces info'.")


if __name__ == "__main__":
    app()
