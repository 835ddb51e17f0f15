"""The verbs of ``exawatt traces``: list, fetch, info."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import typer
from rich.console import Console
from rich.table import Table

import exawatt as ew
from exawatt.readers.catalog import Entry, Kind, cache_folder, catalog, named
from exawatt.readers.fetch import cached, fetch
from exawatt.terminal import (
    AsJson,
    Lenient,
    Procs,
    Timezone,
    Trace,
    facts_table,
    frame_table,
    plainly,
)

traces = typer.Typer(
    help="Traces known by name: list them, fetch them, or look at one (or at any file)."
)
DIFFERS = "differs from the catalog"


@traces.callback(invoke_without_command=True)
@plainly
def traces_default(context: typer.Context) -> None:
    """List the traces when no verb is given."""
    if context.invoked_subcommand is None:
        traces_list(as_json=False)


@traces.command("list")
@plainly
def traces_list(as_json: AsJson = False) -> None:
    """List the traces and carbon-intensity series of the catalog, and where they are."""
    rows = [_described(entry) for entry in _entries()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "tier", "what", "lacks", "here")
    for row in rows:
        lacks = ", ".join(row["lacks"])
        table.add_row(row["name"], row["tier"], row["what"], lacks, row["here"])
    Console().print(table)


@traces.command("info")
@plainly
def traces_info(
    trace: Trace,
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    as_json: AsJson = False,
) -> None:
    """Show a trace's machine, span and load, what cleaning did to it, and where it is from."""
    entry = named(trace, "traces")
    if entry is None and (series := named(trace, "intensity")):
        _print_series(series, as_json)
        return
    workload = ew.load(trace, strict=not lenient, procs=procs, timezone=timezone)
    load = workload.offered_load
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
        "offered_load": None if math.isnan(load) else round(load, 4),
    }
    about = _described(entry) if entry else None
    if as_json:
        cleaning = json.loads(workload.cleaning.to_json(orient="records"))
        print(json.dumps(facts | {"cleaning": cleaning, "catalog": about}, indent=2))
        return
    console = Console()
    console.print(facts_table(facts))
    if workload.cleaning.empty:
        console.print("Cleaning found nothing to drop, repair or note.")
    else:
        console.print(frame_table(workload.cleaning, "Cleaning report"))
    if about:
        console.print(_about_table(about))


def _print_series(entry: Entry, as_json: bool) -> None:
    """Facts of a carbon-intensity series, and what the catalog says of it."""
    series = ew.load_intensity(entry.name)
    facts = {
        "series": series.name,
        "tier": series.tier,
        "source": series.source,
        "sha256": series.sha256,
        "start": series.start.isoformat(),
        "half_hours": len(series.gco2_per_kwh),
        "filled": int(series.filled.sum()),
        "mean_gco2_per_kwh": round(float(series.gco2_per_kwh.mean()), 1),
        "notes": list(series.notes),
    }
    about = _described(entry)
    if as_json:
        print(json.dumps(facts | {"catalog": about}, indent=2))
        return
    console = Console()
    console.print(facts_table(facts | {"notes": "; ".join(series.notes)}))
    console.print(_about_table(about))


def _about_table(about: dict[str, Any]) -> Table:
    """Show what the catalog knows of an entry; what it does not know is left out."""
    shown = about | {"lacks": ", ".join(about["lacks"])}
    known = {name: value for name, value in shown.items() if value}
    return facts_table(known, f"{about['name']} in the catalog")


@traces.command("fetch")
@plainly
def traces_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Names of traces or series.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that has an address in the catalog.")
    ] = False,
) -> None:
    """Download traces and series from their publishers, and check them.

    What is here already is left alone, and one that fails does not stop the others.
    """
    if not (names or everything):
        raise ValueError("no name given: pass names from 'exawatt traces list', or --all.")
    outcomes = []
    for entry in _entries() if everything else _chosen(names or []):
        outcome = _obtain(entry)
        print(f"{entry.name:12}  {outcome.state}: {outcome.detail}")
        outcomes.append(outcome)
    # An entry may have no address: that is a failure only where one was asked for by name.
    missing = {"failed"} if everything else {"failed", "no address"}
    if any(outcome.state in missing for outcome in outcomes):
        raise typer.Exit(1)


class _Outcome(NamedTuple):
    """What became of one entry that was to be fetched."""

    state: Literal["fetched", "already here", "no address", "failed"]
    detail: str


def _obtain(entry: Entry) -> _Outcome:
    """Fetch an entry, unless a copy of the user's or a sound download is here."""
    cache = cache_folder()
    here = entry.find()
    if here is not None and here in entry.downloads(cache):
        here = cached(entry, cache)
    if here is not None:
        return _Outcome("already here", f"{here}{_doubt(entry, here)}")
    if not entry.url:
        return _Outcome("no address", f"no single file to download; see {entry.page}")
    try:
        return _Outcome("fetched", str(fetch(entry)))
    except OSError as error:
        return _Outcome("failed", str(error))


def _entries() -> list[Entry]:
    return [entry for kind in get_args(Kind) for entry in catalog(kind).values()]


def _chosen(names: list[str]) -> list[Entry]:
    """Entries of these names: one that a trace and a series share means both."""
    chosen = []
    for name in names:
        found = [entry for entry in _entries() if entry.name.lower() == name.lower()]
        if not found:
            known = ", ".join(dict.fromkeys(entry.name for entry in _entries()))
            raise ValueError(f"{name} is no name of the catalog; pass some of {known}.")
        chosen += found
    return chosen


def _described(entry: Entry) -> dict[str, Any]:
    """What the catalog says of an entry, and whether it is here."""
    path = entry.find()
    return {
        "name": entry.name,
        "tier": entry.tier,
        "what": entry.machine or entry.source,
        "lacks": list(entry.lacks),
        "here": f"yes{_doubt(entry, path)}" if path else "no",
        "path": str(path) if path else None,
        "donor": entry.donor,
        "terms": entry.terms,
        "citation": entry.citation,
        "page": entry.page,
        "url": entry.url,
        "sha256": entry.sha256,
        "sha256_text": entry.sha256_text,
    }


def _doubt(entry: Entry, path: Path) -> str:
    return f", {DIFFERS}" if entry.matches(path) is False else ""
