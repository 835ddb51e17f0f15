"""What the verbs that replay share: options that name a replay, and its account as plain values."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import exawatt as ew
from exawatt.batsim.platform_xml import read_platform
from exawatt.power import J_PER_KWH, energy_by_state_kwh
from exawatt.replay.extras import CAUSES
from exawatt.replay.requests import FIRST_REQUEST_S

PolicyName = Annotated[
    str,
    typer.Option(
        help="easy, easy-sjbf, easy++, conservative, ORDER[+BACKFILL], a carbon hold such as "
        "carbon-threshold or lowest-window, or a JSON file as docs/policies.md describes it."
    ),
]
SeriesName = Annotated[
    str, typer.Option(help="Carbon intensity: GB-2023, GB-2022, tiny, or a CSV or JSON file.")
]
Fill = Annotated[
    str | None, typer.Option(help="Rule for gaps in a file's intensity: week. Default: refuse.")
]

Machine = Annotated[
    Path | None,
    typer.Option(
        "--platform",
        help="The machine and its watts: a platform in SimGrid's XML, such as "
        "batsim/platform.xml. Default: the trace's processors with stand-in watts.",
    ),
]


def load(trace: str, lenient: bool, procs: int | None, timezone: str | None) -> ew.Workload:
    """Load a trace as the options say."""
    return ew.load(trace, strict=not lenient, procs=procs, timezone=timezone)


def machine_of(path: Path | None, workload: ew.Workload) -> ew.Platform:
    """Platform of a file, or the trace's own machine with stand-in watts."""
    return ew.Platform.stand_in(workload) if path is None else read_platform(path)


def forecast_for(policy: ew.Policy, series: ew.Intensity) -> ew.Forecast | None:
    """What a policy that holds jobs back is told of the series: that days repeat themselves."""
    return None if policy.hold is None else ew.persistence(series)


def record_of(schedule: ew.Schedule, result: ew.Account) -> dict[str, Any]:
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


def print_notes(workload: ew.Workload) -> None:
    """What cleaning did to the jobs, and what is not known of them and of their machine."""
    console = Console()
    for action in ("dropped", "repaired"):
        rows = workload.cleaning.query("action == @action")
        if len(rows):
            found = ", ".join(f"{row[2]:,} {row[1]}" for row in rows.itertuples(index=False))
            console.print(f"Cleaning {action}: {found}. See 'exawatt traces info'.")
    for row in workload.cleaning.query("field == 'MaxProcs'").itertuples(index=False):
        console.print(f"Machine: {row.reason} ({row.value} processors); pass its size as --procs.")
    if "energy_j" in workload.jobs and workload.jobs["energy_j"].notna().any():
        measured_kwh = workload.jobs["energy_j"].sum() / J_PER_KWH
        console.print(
            f"The log has energies of its own, {measured_kwh:,.1f} kWh in all, which say nothing "
            "of idle nodes; those above are by the watts of the platform."
        )
    if workload.jobs["requested_s"].isna().all():
        console.print(
            f"No job has a request (requested_s): the scheduler takes {FIRST_REQUEST_S / 3600:g} h "
            "for each, and policies that go by runtimes can hardly differ."
        )
