"""The verbs of ``exawatt predict``: energy of jobs before they start, and scores of runtimes."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console

import exawatt as ew
from exawatt.cli_record import load
from exawatt.power import J_PER_KWH
from exawatt.terminal import (
    AsJson,
    Lenient,
    Procs,
    Timezone,
    Trace,
    amount,
    check_csv,
    facts_table,
    frame_table,
    plainly,
)

app = typer.Typer(
    no_args_is_help=True, help="What jobs will take, from what is known when they are submitted."
)
MOST_ROWS = 12
#: Predictors of runtimes by name.
PREDICTORS = ("request", "last2", "boosted", "gp")
#: Columns of a file of predictions; quantiles by level.
INTERVALS = {"low50": 0.25, "median": 0.5, "high50": 0.75, "low90": 0.05, "high90": 0.95}

Output = Annotated[Path | None, typer.Option(help="File for the prediction of each job: .csv.")]


@app.command("energy")
@plainly
def predict_energy(
    trace: Trace,
    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a model, as scripts/train_energy_surrogate.py writes it. Loading one "
            "runs what it contains: only from people whom you trust."
        ),
    ],
    output: Output = None,
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    as_json: AsJson = False,
) -> None:
    """Predict the energy of each job of a trace, with intervals.

    From what is known at submission: the request, and the runtimes of earlier jobs as a replay of
    the trace completes them. Which energy of a job that is, the model's card says: what its nodes
    draw while it runs, as a rule. 'exawatt account' shares out what no job draws as well.
    """
    # Here, for trees are slow to import, and no other verb should pay that.
    from exawatt.predict import cards
    from exawatt.predict.energy import JOBS, submitted

    check_csv(output, "--output")
    surrogate = cards.load(model)
    if dict(surrogate.card.contract.features) != dict(JOBS.features):
        raise ValueError(
            f"--model {model} predicts {surrogate.card.contract.name} "
            f"({surrogate.card.title}), and not the jobs of a trace."
        )
    workload = load(trace, lenient, procs, timezone)
    _, table = submitted(workload)
    prediction = surrogate.predict_distribution(table)
    rows = _rows(workload, prediction, "j")
    facts: dict[str, Any] = {
        "trace": workload.label,
        "model": surrogate.card.title,
        "trained_on": ", ".join(f"{each.name} ({each.tier})" for each in surrogate.card.data),
        "jobs": f"{len(rows):,}" if not as_json else len(rows),
        "total_of_medians_kwh": rows["median_j"].sum() / J_PER_KWH,
        "total_of_means_kwh": rows["mean_j"].sum() / J_PER_KWH,
    }
    facts |= _measured(workload, rows)
    if output is not None:
        rows.to_csv(output, index=False)
        facts["output"] = str(output)
    if as_json:
        print(json.dumps({**facts, "limits": list(surrogate.card.limits)}, indent=2))
        return
    console = Console()
    shown = {
        name: amount(each) if isinstance(each, float) else each for name, each in facts.items()
    }
    console.print(facts_table(shown))
    console.print(_largest(rows))
    if "measured_kwh" in facts:
        console.print(
            "Jobs with measured energy: all of the log, those that the model learnt from and those "
            "outside of what its card names among them. The card has the scores of unseen jobs."
        )
    for limit in surrogate.card.limits:
        console.print(f"Limit: {limit}")


@app.command("runtime")
@plainly
def predict_runtime(
    trace: Trace,
    predictor: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What predicts, separated by commas: request, last2 (mean of the user's last two "
            "jobs), boosted (trees), gp (a Gaussian process on these, which takes minutes).",
        ),
    ] = "request,last2,boosted",
    share: Annotated[float, typer.Option(help="Part of the jobs, the first, to learn from.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    output: Output = None,
    lenient: Lenient = False,
    procs: Procs = None,
    timezone: Timezone = None,
    as_json: AsJson = False,
) -> None:
    """Score predictors of runtimes on a trace: learn from its first jobs, and try on the others."""
    from exawatt.predict import features, score, split

    check_csv(output, "--output")
    names = _named(predictor)
    if output is not None and len(names) > 1:
        raise ValueError(
            f"--output {output} is for the predictions of one predictor; pass --predictor "
            f"{names[-1]}, for example."
        )
    workload = load(trace, lenient, procs, timezone)
    schedule = ew.replay(workload, "easy")
    table, runtime_s = features(schedule), schedule.runtime_s
    train, test = split(schedule, share)
    scores = {}
    console = Console(stderr=True)
    for name in names:
        with console.status(f"learning from {len(train):,} jobs: {name}"):
            chosen = _predictor(name, schedule, seed).fit(table.iloc[train], runtime_s[train])
            some = table.iloc[test]
            prediction = chosen.predict_distribution(some)
            # What a baseline guesses is not the median of its distribution.
            point_s = chosen.predict(some)
        scores[name] = score(prediction, runtime_s[test], point_s).loc["all"].drop("n")
        if output is not None:
            rows = _rows(workload, prediction, "s", test).assign(guess_s=point_s)
            rows.to_csv(output, index=False)
    found = pd.DataFrame(scores).T
    if as_json:
        record = {"trace": workload.label, "train": len(train), "test": len(test)}
        print(json.dumps(record | {"scores": found.to_dict(orient="index")}, indent=2))
        return
    title = (
        f"{workload.label}: learnt from {len(train):,} jobs, tried on the last {len(test):,}.\n"
        "Errors, scores of the logarithm, parts within intervals, width of that of 90 %:"
    )
    Console().print(frame_table(_shown(found), title))
    if output is not None:
        Console().print(f"predictions: {output}")


def _named(predictors: str) -> list[str]:
    names = [name.strip() for name in predictors.split(",")]
    unknown = [name for name in names if name not in PREDICTORS]
    if unknown:
        raise ValueError(
            f"--predictor {unknown[0]!r} is unknown; pass some of {', '.join(PREDICTORS)}."
        )
    return names


def _predictor(name: str, schedule: ew.Schedule, seed: int) -> Any:
    from exawatt import predict

    if name == "request":
        return predict.Request()
    if name == "last2":
        return predict.LastRuntimes(2)
    trees = predict.BoostedQuantiles(random_state=seed)
    if name == "boosted":
        return predict.Conformal(trees)
    return predict.NeighbourGP(schedule, trees, random_state=seed)


def _rows(
    workload: ew.Workload, prediction: Any, unit: str, which: np.ndarray | slice = slice(None)
) -> pd.DataFrame:
    """Job, submission, and quantiles of what is predicted, in a unit."""
    jobs = workload.jobs.iloc[which]
    columns = {f"{name}_{unit}": prediction.quantile(each) for name, each in INTERVALS.items()}
    columns[f"mean_{unit}"] = prediction.mean
    rows = jobs[["job", "submit_s", "procs"]].reset_index(drop=True)
    return rows.assign(**columns)


def _measured(workload: ew.Workload, rows: pd.DataFrame) -> dict[str, Any]:
    """How predictions compare with the energies of the log, where it has any."""
    if "energy_j" not in workload.jobs:
        return {}
    measured = workload.jobs["energy_j"].to_numpy()
    known = measured > 0
    if not known.any():
        return {}
    within = (rows["low90_j"] <= measured) & (measured <= rows["high90_j"])
    return {
        "jobs_with_measured_energy": int(known.sum()),
        "measured_kwh": float(measured[known].sum() / J_PER_KWH),
        "of_these_total_of_medians_kwh": float(rows.loc[known, "median_j"].sum() / J_PER_KWH),
        "of_these_total_of_means_kwh": float(rows.loc[known, "mean_j"].sum() / J_PER_KWH),
        "of_these_within_90_percent": float(within[known].mean()),
    }


def _largest(rows: pd.DataFrame) -> Any:
    """Jobs of most energy, in kWh."""
    largest = rows.nlargest(MOST_ROWS, "median_j")
    columns: dict[str, Any] = {"job": largest["job"], "processors": largest["procs"]}
    for name, heading in {
        "median": "median kWh",
        "low50": "50 % from",
        "high50": "to",
        "low90": "90 % from",
        "high90": "up to",
    }.items():
        columns[heading] = [amount(each) for each in largest[f"{name}_j"] / J_PER_KWH]
    title = f"The {len(largest)} jobs of most energy, by the median; --output has all."
    return frame_table(pd.DataFrame(columns), title)


def _shown(scores: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "predictor": scores.index,
            "MAE min": [f"{each / 60:,.1f}" for each in scores["mae"]],
            "median min": [f"{each / 60:,.1f}" for each in scores["median_ae"]],
            "CRPS": [f"{each:.3f}" for each in scores["crps"]],
            "NLPD": [f"{each:.3f}" for each in scores["nlpd"]],
            "50 %": [f"{each:.3f}" for each in scores["cover_50"]],
            "90 %": [f"{each:.3f}" for each in scores["cover_90"]],
            "width": [f"{each:.2f}" for each in scores["width_90"]],
        }
    )
