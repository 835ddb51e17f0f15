"""The verbs of ``exawatt carbon``: fetch what was, and record what is forecast."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import typer
from rich.console import Console
from tqdm import tqdm

from exawatt.gridapi import ranges, saving
from exawatt.gridapi.history import History, area, fetch, fetch_window
from exawatt.gridapi.recording import record, record_issue
from exawatt.intensity import FillRule
from exawatt.terminal import AsJson, facts_table, plainly

carbon = typer.Typer(
    help="Carbon intensity of Great Britain, from the service of its system operator.",
    no_args_is_help=True,
)
ATTRIBUTION = "National Energy System Operator, Carbon Intensity API, CC BY 4.0"
LEAST_EVERY_S = 300.0

What = Literal["intensity", "generation", "regional", "statistics", "forecast"]


@carbon.command("fetch")
@plainly
def carbon_fetch(
    output: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz or .parquet.")],
    start: Annotated[
        str | None, typer.Option("--from", help="Begin, UTC: 2023-01-01 or 2023-01-01T00:30Z.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="End, itself not included. Default: now.")
    ] = None,
    what: Annotated[What, typer.Option(help="What to fetch.")] = "intensity",
    region: Annotated[
        int | None, typer.Option(help="Number of a region, 1 to 17, of regional or forecast.")
    ] = None,
    postcode: Annotated[
        str | None, typer.Option(help="Or the first half of a postcode in it, such as EH9.")
    ] = None,
    block: Annotated[int, typer.Option(help="Hours in a block of statistics, 1 to 24.")] = 24,
    fill: Annotated[
        Literal["week"] | None,
        typer.Option(help="Rule for gaps of the intensity; filled rows say so. Default: none."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch intensity, generation mix, regions or statistics of any range, or the forecast of now.

    What is fetched is kept: an interrupted fetch goes on where it ended.
    """
    saving.check_ending(output)
    where = area(region, postcode)
    if where and what not in ("regional", "forecast"):
        raise ValueError(f"--what {what} is national; a region goes with regional or forecast.")
    if fill and what != "intensity":
        raise ValueError(f"--fill {fill} is for intensity; {what} has no actual values.")
    if what == "forecast":
        if start or end:
            raise ValueError("--what forecast is that of now; leave out --from and --to.")
        facts = _save_forecast(output, where)
    else:
        begin, until = _instant("--from", start), _instant("--to", end or _now_text())
        facts = _save_history(output, what, (begin, until), where, block, fill)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        Console().print(facts_table({name: value for name, value in facts.items() if value}))


@carbon.command("record")
@plainly
def carbon_record(
    output: Annotated[Path, typer.Option(help="Folder for the forecasts, one file each.")],
    every: Annotated[str, typer.Option(help="Time between two, such as 30min or 1h.")] = "30min",
    once: Annotated[bool, typer.Option("--once", help="Record one and end: for cron.")] = False,
) -> None:
    """Record the service's forecast of the next 48 hours, again and again, until Ctrl-C."""
    every_s = _duration_s(every)
    with _client() as client:
        if once:
            print(record_issue(client, output))
            return
        try:
            for path in record(client, output, every_s, _say):
                print(path, flush=True)
        except KeyboardInterrupt:
            _say("ended; what was recorded is kept")


def _save_history(
    output: Path,
    what: Literal["intensity", "generation", "regional", "statistics"],
    range_: tuple[pd.Timestamp, pd.Timestamp],
    where: str,
    block_h: int,
    rule: FillRule | None,
) -> dict[str, Any]:
    """Fetch a range into a file; return what there is to say of it."""
    try:
        with _client() as client:
            got = fetch(client, what, *range_, where=where, block_h=block_h)
            requests = client.requests_sent
    except KeyboardInterrupt:
        _say("interrupted; what came is kept, and the same command goes on from there")
        raise typer.Exit(130) from None
    table = got.table if rule is None else ranges.fill(got.table, *range_, rule)
    saving.save(table, output)
    return (
        _facts(output, what, table)
        | _findings(got)
        | {
            "fill": rule,
            "filled": 0 if rule is None else int(table["fill"].notna().sum()),
            "requests": requests,
            "source": ATTRIBUTION,
        }
    )


def _save_forecast(output: Path, where: str) -> dict[str, Any]:
    """Fetch the forecast of now into a file; return what there is to say of it."""
    now = pd.Timestamp.now("UTC")
    with _client() as client:
        table = fetch_window(client, "fw48h", now, where=where)
    # Its column actual is empty by nature, and would pass for a series of gaps.
    table = table.drop(columns="actual", errors="ignore")
    table.insert(0, "issued_at", now.ceil("min"))
    saving.save(table, output)
    return _facts(output, "forecast", table) | {"source": ATTRIBUTION}


def _facts(output: Path, what: str, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "output": str(output),
        "what": what,
        "first": table["from"].iloc[0].isoformat(),
        "last": table["from"].iloc[-1].isoformat(),
        "rows": len(table),
    }


def _findings(got: History) -> dict[str, Any]:
    return {
        "absent": got.absent,
        "unknown": got.unknown,
        "faulty_zeros": got.faulty_zeros,
        "contested": [instant.isoformat() for instant in got.contested],
    }


def _client() -> Any:
    # With requests and its cache half a second, which no other verb should pay.
    from exawatt.gridapi.client import Client

    return Client(say=_say)


def _say(text: str) -> None:
    tqdm.write(f"exawatt: {text}", file=sys.stderr)  # above a bar, where there is one


def _now_text() -> str:
    return pd.Timestamp.now("UTC").floor("30min").isoformat()


def _instant(option: str, text: str | None) -> pd.Timestamp:
    """UTC instant of a text, which has a zone or else is UTC."""
    if text is None:
        raise ValueError(f"{option} is missing; pass the begin of the range, such as 2023-01-01.")
    try:
        instant = pd.Timestamp(text)
    except ValueError:
        raise ValueError(f"{option} {text!r} is no time; pass one such as 2023-01-01.") from None
    return instant.tz_localize("UTC") if instant.tzinfo is None else instant.tz_convert("UTC")


def _duration_s(text: str) -> float:
    try:
        seconds = pd.Timedelta(text).total_seconds()
    except ValueError:
        raise ValueError(f"--every {text!r} is no duration; pass one such as 30min.") from None
    if not seconds >= LEAST_EVERY_S:
        raise ValueError(f"--every {text!r} must be {LEAST_EVERY_S / 60:g} min or more.")
    return seconds
