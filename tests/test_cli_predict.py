"""The verbs of exawatt predict: tables, files, and clear refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import SWF_HEADER, swf_row
from command import parse, plain
from typer.testing import CliRunner

from exawatt.cli_predict import app
from exawatt.predict import cards, surrogates
from exawatt.predict.applications import learn_runs


def run(*arguments: object, columns: int = 200) -> tuple[int, str, str]:
    """Run a verb in this process; return its exit status, stdout and stderr."""
    texts = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, texts, env={"COLUMNS": str(columns)})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, plain(result.stdout), plain(result.stderr)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "twin"
    cards.save(surrogates.train_twin("python train.py", n_jobs=300, n_trees=3), folder)
    return folder


def test_energy_is_shown_with_intervals_totals_and_limits(model: Path) -> None:
    status, out, err = run("energy", "tiny", "--model", model)
    assert (status, err) == (0, "")
    for part in ("594", "KTH-SP2 twin (twin)", "total_of_means_kwh", "90 % from", "Limit: Twin:"):
        assert part in out


def test_energy_in_a_file_is_that_of_the_model(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "energy.csv"
    status, out, _ = run("energy", "tiny", "--model", model, "--output", output, "--json")
    assert status == 0
    facts, rows = parse(out), pd.read_csv(output)
    assert len(rows) == facts["jobs"] == 594
    order = ["low90_j", "low50_j", "median_j", "high50_j", "high90_j"]
    assert (np.diff(rows[order].to_numpy(), axis=1) >= 0).all()
    assert facts["total_of_medians_kwh"] == pytest.approx(rows["median_j"].sum() / 3.6e6)
    assert facts["total_of_means_kwh"] == pytest.approx(rows["mean_j"].sum() / 3.6e6)
    assert facts["limits"] == list(cards.load(model).card.limits)
    assert "measured_kwh" not in facts


def test_measured_energies_are_set_beside(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(
        "JobID|Submit|Start|ElapsedRaw|AllocCPUS|State|ConsumedEnergyRaw|TimelimitRaw\n"
        "1|2024-01-01T00:00:00|2024-01-01T00:00:00|600|4|COMPLETED|3600000|60\n"
        "2|2024-01-01T01:00:00|2024-01-01T01:00:00|600|4|COMPLETED|0|60\n"
    )
    status, out, err = run("energy", path, "--model", model, "--json")
    assert status == 0, err
    facts = parse(out)
    assert facts["jobs_with_measured_energy"] == 1
    assert facts["measured_kwh"] == pytest.approx(1.0)
    assert facts["of_these_within_90_percent"] in (0.0, 1.0)


def test_one_job_is_predicted(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.swf"
    path.write_text(SWF_HEADER + swf_row(1, submit_s=0, runtime_s=60, procs=2))
    status, out, _ = run("energy", path, "--model", model, "--json")
    assert (status, parse(out)["jobs"]) == (0, 1)


def test_models_of_something_else_are_refused(tmp_path: Path) -> None:
    runs = pd.DataFrame(
        {"dataset": "d", "network": "n", "optimizer": "o", "gpu": "G", "application": "a"}
        | {"batch_ln": np.arange(8.0), "limit_w": 1.0, "limit_share": 1.0, "energy_j": 5.0}
    )
    data = (cards.Data("made", "", "real", "invented"),)
    trial = learn_runs(runs, n_trees=1)
    cards.save(trial.surrogate("Epochs", data, "Tests.", (), 0, "make"), tmp_path)
    status, out, err = run("energy", "tiny", "--model", tmp_path)
    assert (status, out) == (1, "")
    assert "predicts training runs (Epochs), and not the jobs of a trace" in err


def test_broken_models_are_refused_in_a_line(model: Path, tmp_path: Path) -> None:
    status, _, err = run("energy", "tiny", "--model", tmp_path)
    assert status == 1
    assert "holds no card.json" in err
    card = json.loads((model / cards.CARD).read_text())
    card["versions"]["scikit-learn"] = "0.1.0"
    (tmp_path / cards.CARD).write_text(json.dumps(card))
    status, _, err = run("energy", "tiny", "--model", tmp_path)
    assert status == 1
    assert "Install scikit-learn==0.1.0" in err


def test_energy_needs_a_model() -> None:
    status, _, err = run("energy", "tiny")
    assert status == 2
    assert "--model" in err


def test_runtimes_are_scored() -> None:
    status, out, err = run("runtime", "tiny")
    assert (status, err) == (0, "")
    for part in ("request", "last2", "boosted", "CRPS", "learnt from 394 jobs", "last 179"):
        assert part in out


def test_the_table_fits_a_narrow_terminal() -> None:
    _, out, _ = run("runtime", "tiny", "--predictor", "request,last2", columns=80)
    assert "request " in out
    assert max(map(len, out.splitlines())) <= 80


def test_scores_and_predictions_agree(tmp_path: Path) -> None:
    output = tmp_path / "runtime.csv"
    options = ("--predictor", "last2", "--output", output, "--json")
    status, out, _ = run("runtime", "tiny", *options)
    assert status == 0
    found, rows = parse(out), pd.read_csv(output)
    assert found["test"] == len(rows) == 179
    assert {"median_s", "low90_s", "guess_s"} <= set(rows.columns)
    assert set(found["scores"]) == {"last2"}
    assert found["scores"]["last2"]["mae"] == pytest.approx(32.3 * 60, rel=0.01)


@pytest.mark.slow
def test_a_process_is_scored_too() -> None:
    status, out, err = run("runtime", "tiny", "--predictor", "gp", "--json")
    assert status == 0, err
    assert 0 < parse(out)["scores"]["gp"]["crps"] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--predictor", "oracle"), "'oracle' is unknown; pass some of request, last2"),
        (("--predictor", ""), "'' is unknown"),
        (("--share", "1.5"), "leaves none on one side"),
        (("--output", "all.csv"), "is for the predictions of one"),
        (("--output", "all.txt"), "must end in .csv"),
        (("--output", "nowhere/all.csv"), "there is no folder nowhere"),
    ],
)
def test_bad_options_are_refused(options: tuple[str, ...], message: str) -> None:
    status, out, err = run("runtime", "tiny", *options)
    assert (status, out) == (1, "")
    assert message in err


def test_help_tells_of_every_option() -> None:
    for verb, words in {"energy": "--model --output --json", "runtime": "--predictor gp"}.items():
        status, out, _ = run(verb, "--help")
        assert status == 0
        assert all(word in out for word in words.split())
