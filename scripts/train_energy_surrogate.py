"""Train a model of the energy of jobs, and save it with its card.

python scripts/train_energy_surrogate.py --data twin --output models/energy-twin
"""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from exawatt.predict import cards, surrogates
from exawatt.terminal import plainly

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@plainly
def train(
    data: Annotated[
        Literal["kabre", "zeus", "twin"],
        typer.Option(help="Kabré's log, Zeus's training runs, or a twin of the KTH log."),
    ],
    output: Annotated[Path, typer.Option(help="Folder to save to, made if need be.")],
    seed: Annotated[int, typer.Option(help="Seed of the model, and of what is drawn.")] = 0,
) -> None:
    """Train a model of the energy of jobs, and save it with its card."""
    command = (
        f"python scripts/train_energy_surrogate.py --data {data} --output {output.name} "
        f"--seed {seed}"
    )
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        progress.add_task(f"training on {data}")
        surrogate = getattr(surrogates, f"train_{data}")(command, seed=seed)
    card = cards.save(surrogate, output)
    print(card.to_markdown())


if __name__ == "__main__":
    app()
