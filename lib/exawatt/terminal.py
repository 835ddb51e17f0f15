"""What all verbs of the command line share: options, plain errors, tables."""

import functools
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]\d+)?%?|nan%?")
P = ParamSpec("P")
R = TypeVar("R")

Trace = Annotated[
    str, typer.Argument(help="Name from 'exawatt traces', or a file: SWF or sacct output.")
]
Procs = Annotated[
    int | None, typer.Option(min=1, help="Processors, when the file does not tell them.")
]
Timezone = Annotated[
    str | None,
    typer.Option(
        help="Zone of the machine's wall clock, such as Europe/Stockholm, when the file does not "
        "tell it. Default: UTC."
    ),
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Work around defects of the file, and count them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def _note(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Turn bad input into one line on stderr and exit status 1; show warnings as one line."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            try:
                return command(*args, **kwargs)
            except BrokenPipeError:
                # Whoever read our output has seen enough; nothing is left to be written at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except (ValueError, OSError) as error:
                print(f"exawatt: {error}", file=sys.stderr)
                raise typer.Exit(1) from None

    return wrapped


def check_csv(path: Path | None, option: str) -> None:
    """Refuse a file that cannot become a table, before any work is done for it."""
    if path is not None and path.suffix != ".csv":
        raise ValueError(f"{option} {path} must end in .csv.")
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {path.parent}.")


def amount(value: float, places: int = 1) -> str:
    """Write a quantity with so many places, or if it is small, with three digits that matter."""
    return f"{value:,.{places}f}" if abs(value) >= 100 else f"{value:.3g}"


def facts_table(facts: dict[str, Any], title: str | None = None) -> Table:
    """Two columns: what, and its value."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # an address or a checksum is of use only when whole
    for name, value in facts.items():
        table.add_row(name, str(value))
    return table


def frame_table(frame: "pd.DataFrame", title: str) -> Group:
    """Show a data frame, texts to the left and numbers, which stay whole, to the right.

    Where space is scarce the texts give way, but no word of a header is broken.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in frame.columns:
        number = all(NUMBER.fullmatch(str(value)) for value in frame[name])
        justify: Literal["left", "right"] = "right" if number else "left"
        longest = max(map(len, str(name).split()), default=0)
        table.add_column(
            str(name), justify=justify, no_wrap=number, overflow="fold", min_width=longest
        )
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    # Above the table and not its title, which would wrap at the width of the table.
    return Group(title, table)
