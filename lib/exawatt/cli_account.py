"""The verb ``exawatt account``: energy and carbon of a trace by every method, with ±."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import pandas as pd
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import exawatt as ew
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
from exawatt.embodied import STAND_IN_GPU_KGCO2E, STAND_IN_NODE_KGCO2E, Embodied
from exawatt.facility import Pue
from exawatt.footprint import By, Footprint, FunctionalUnit
from exawatt.market import flat, market_based
from exawatt.terminal import (
    AsJson,
    Lenient,
    Procs,
    Timezone,
    Trace,
    amount,
    check_csv,
    facts_table,
    plainly,
)
from exawatt.uncertainty import Estimate, Uncertainty

MOST_ROWS = 24
#: Heading of each column of amounts, and what the summary says of it.
HEADINGS = {
    "energy_kwh": ("energy\nkWh", "energy, kWh"),
    "carbon_kgco2e": ("location-based\nkgCO2e", "carbon, location-based, kgCO2e"),
    "market_kgco2e": ("market-based\nkgCO2e", "beside it, market-based, kgCO2e"),
    "marginal_kgco2e": ("marginal\nkgCO2e", "beside it, marginal, kgCO2e"),
    "embodied_kgco2e": ("embodied\nkgCO2e", "carbon, embodied, kgCO2e"),
    "total_kgco2e": ("both\nkgCO2e", "location-based and embodied, kgCO2e"),
}


@plainly
def account(
    trace: Trace,
    policy: PolicyName = "easy",
    intensity: SeriesName = "GB-2023",
    fill: Fill = None,
    by: Annotated[
        By,
        typer.Option(
            help="A row of the table. Hour is that of the day, times are those of the machine's "
            "wall clock, users the log's own anonymous numbers."
        ),
    ] = "month",
    pue: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|FILE",
            help="Power of the facility over that of its computers: a constant, or a JSON file by "
            'load and season, {"proportional": 1.1, "fixed_w": 20000, "by_month": [12 factors]}.',
        ),
    ] = "1",
    market: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|SERIES",
            help="Market-based carbon beside: gCO2/kWh of the contracts, or a series.",
        ),
    ] = None,
    covered: Annotated[
        float, typer.Option(help="Part of the energy that these contracts cover, 0 to 1.")
    ] = 1.0,
    residual: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|SERIES", help="Residual mix for the rest. Default: the grid's mean."
        ),
    ] = None,
    marginal: Annotated[
        str | None,
        typer.Option(metavar="NUMBER|SERIES", help="Carbon by marginal intensity beside."),
    ] = None,
    embodied: Annotated[
        float,
        typer.Option(help="Embodied kgCO2e of a node; the default is a stand-in, 0 leaves it out."),
    ] = STAND_IN_NODE_KGCO2E,
    lifetime: Annotated[
        float, typer.Option(help="Years over which embodied carbon is spread.")
    ] = 5.0,
    uncertainty: Annotated[
        str,
        typer.Option(
            help="Relative standard uncertainties to change, such as power=0.02,embodied=0.3; "
            "also intensity, half_hour, and autocorrelation from one half-hour to the next."
        ),
    ] = "",
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    platform: Machine = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file for the whole table.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="CSV file for the account by half-hour.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Account for a trace's energy and carbon, each with its standard uncertainty.

    Carbon is operational (location-based; market-based and marginal beside it, if asked for) and
    embodied. Each job pays for what it adds, and for its share of what no job adds.
    """
    check_csv(csv, "--csv")
    check_csv(output, "--output")
    chosen, facility, errors = ew.Policy.of(policy), _facility(pue), _uncertainty(uncertainty)
    made = Embodied(embodied, STAND_IN_GPU_KGCO2E if embodied else 0.0, lifetime)
    workload = load(trace, lenient, procs, timezone)
    machine = machine_of(platform, workload)
    series = ew.load_intensity(intensity, fill=fill)  # type: ignore[arg-type]
    others = _others(series, fill, market, covered, residual, marginal)
    schedule = ew.replay(workload, chosen, machine, forecast=forecast_for(chosen, series))
    power = replace(ew.power(schedule), pue=facility)
    location = ew.account(power, series)
    accounts = {name: ew.account(power, each) for name, each in others.items()}
    footprint = Footprint(schedule, location, **accounts, embodied=made, uncertainty=errors)
    table = footprint.by(by)
    if output is not None:
        half_hours = location.half_hours.assign(
            **{
                f"{name}_kgco2e": each.half_hours["carbon_kgco2e"]
                for name, each in accounts.items()
            }
        )
        half_hours.to_csv(output, index=False)
    if csv is not None:
        table.to_csv(csv, index=False)
    if as_json:
        by_month = {"by_month": location.by_month().to_dict(orient="records")}
        full = {"footprint": _plain(footprint, by, table)}
        print(json.dumps(record_of(schedule, location) | by_month | full, indent=2))
        return
    _show(footprint, by, table)
    print_notes(workload)
    for what, path in (("table", csv), ("half-hours", output)):
        if path is not None:
            Console().print(f"{what}: {path}")


def _facility(text: str) -> Pue:
    """PUE of a number, or of a JSON file of its parts."""
    path = Path(text)
    if path.suffix != ".json":
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"--pue {text}: pass a number such as 1.2, or a .json file.") from None
        return Pue(number)
    try:
        return Pue(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        names = ", ".join(field.name for field in fields(Pue))
        raise ValueError(f"{text}: no PUE, which is one object of {names}: {error}.") from None


def _others(
    grid: ew.Intensity,
    fill: str | None,
    market: str | None,
    covered: float,
    residual: str | None,
    marginal: str | None,
) -> dict[str, ew.Intensity]:
    """Intensities by other methods than the grid's mean, as far as they are asked for."""
    others = {}

    def series_of(text: str) -> ew.Intensity:
        """Of a number, flat over the half-hours of the grid's, or of a name or file."""
        try:
            number = float(text)
        except ValueError:
            return ew.load_intensity(text, fill=fill)  # type: ignore[arg-type]
        return flat(grid, number)

    if market is not None:
        rest = None if residual is None else series_of(residual)
        others["market"] = market_based(grid, series_of(market), covered, rest)
    elif residual is not None or covered != 1:
        raise ValueError("--covered and --residual go with --market: pass that too.")
    if marginal is not None:
        others["marginal"] = series_of(marginal)
    return others


def _uncertainty(text: str) -> Uncertainty:
    """Uncertainty with what `text` changes in it."""
    known = {field.name for field in fields(Uncertainty)}
    changed = {}
    for entry in filter(None, text.split(",")):
        name, _, value = entry.strip().partition("=")
        try:
            changed[name] = float(value)
        except ValueError:
            name = ""
        if name not in known:
            raise ValueError(f"--uncertainty {entry}: pass NAME=PART, NAME of {sorted(known)}.")
    return Uncertainty(**changed)


def _sci(footprint: Footprint) -> dict[str, Estimate]:
    return {unit: footprint.sci(unit) for unit in get_args(FunctionalUnit)}


def _plain(footprint: Footprint, by: str, table: pd.DataFrame) -> dict[str, Any]:
    """A footprint, what it assumes, and its table, as plain values."""
    return {
        **{name: each._asdict() for name, each in footprint.total.items()},
        "sci_gco2e": {unit: each._asdict() for unit, each in _sci(footprint).items()},
        "intensities": {name: each.intensity_label for name, each in footprint.accounts.items()},
        "pue": asdict(Pue.of(footprint.location.pue)),
        "embodied": {**asdict(footprint.embodied), "label": footprint.embodied.label},
        "uncertainty": asdict(footprint.uncertainty),
        "by": by,
        "rows": json.loads(table.to_json(orient="records", date_format="iso", double_precision=15)),
    }


def _show(footprint: Footprint, by: str, table: pd.DataFrame) -> None:
    """Print the summary, the table, and what they rest on."""
    console, location = Console(), footprint.location
    facts = {HEADINGS[name][1]: each for name, each in footprint.total.items()}
    facts |= {f"SCI, gCO2e per {unit}": each for unit, each in _sci(footprint).items()}
    console.print(facts_table(facts, f"{location.power_label}, {location.intensity_label}"))
    console.print(_rows(footprint, by, table))
    if len(table) > MOST_ROWS:
        console.print(f"{MOST_ROWS} of {len(table):,} rows, those of most carbon; --csv has all.")
    if location.filled_kwh:
        console.print(
            f"{amount(location.filled_kwh)} kWh fell in gaps of the series, filled by rule "
            f"{location.fill!r}."
        )
    for line in _assumptions(footprint):
        console.print(line)


def _rows(footprint: Footprint, by: str, table: pd.DataFrame) -> Table:
    """Rows and their sum, as values ± their uncertainties; of a long table those of most carbon."""
    names = list(footprint.total)
    shown = Table(by, *(HEADINGS[name][0] for name in names), box=SIMPLE_HEAD, show_edge=False)
    shown.columns[0].no_wrap = True
    for column in shown.columns[1:]:
        column.justify = "right"  # where space is scarce a cell wraps, and no digit is lost
    rows = table if len(table) <= MOST_ROWS else table.nlargest(MOST_ROWS, "total_kgco2e")
    for row in rows.to_dict(orient="records"):
        cells = (str(Estimate(row[name], row[f"u_{name}"])) for name in names)
        shown.add_row(str(row[by]), *cells)
    shown.add_section()
    shown.add_row("total", *(str(each) for each in footprint.total.values()))
    return shown


def _assumptions(footprint: Footprint) -> list[str]:
    """What the numbers rest on, and what ± does not cover."""
    errors, location = footprint.uncertainty, footprint.location
    lines = [
        f"± is one standard uncertainty: power {errors.power:.1%}, intensity "
        f"{errors.intensity:.1%} and {errors.half_hour:.1%} of each half-hour (correlation "
        f"{errors.autocorrelation:g} with the next), embodied {errors.embodied:.0%}.",
        f"Embodied: {footprint.embodied.label}.",
    ]
    if "stand-in" in footprint.schedule.platform.name:
        lines.append("The watts are the stand-in's: an assumption, which ± does not cover.")
    others = {name: each for name, each in footprint.accounts.items() if each is not location}
    return [
        *lines,
        *(f"Beside it, {name}: {each.intensity_label}." for name, each in others.items()),
    ]
