"""Figures of prediction: the same jobs for all, and dependence and coverage that are known."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import exawatt as ew
from exawatt.experiment import Manifest, Result
from exawatt.figures import calibrating, dependence, predicting, trained
from exawatt.figures.predicting import PROCESS, RECALIBRATED, TREES, Fitted, Trial
from exawatt.predict import FEATURES, Prediction, Request, features


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Every predictor of the chapter on the tiny trace."""
    return predicting.tried(predicting.log(effort="test"), "test")


def made_trial(scores: np.ndarray, spread: float = 1.0) -> Trial:
    """Return one user's jobs, whose normal scores under standard lognormal predictions are given.

    The process is the same prediction, its deviation times `spread`.
    """
    n = scores.size
    runtime_s = np.exp(8 + scores)
    jobs = pd.DataFrame(
        {"submit_s": 1e6 * np.arange(n), "runtime_s": runtime_s, "procs": 1, "user": 7}
    ).assign(requested_s=2 * runtime_s)
    schedule = ew.replay(ew.Workload(jobs, procs=4, name="made"), "fcfs")
    rows = np.arange(n)
    said = {
        name: Prediction.normal(np.full(n, 8.0), np.full(n, sd))
        for name, sd in {
            "LAST2": 1.0,
            TREES: 1.0,
            PROCESS: spread,
            RECALIBRATED: spread,
        }.items()
    }
    fitted = {name: Fitted(Request(), each, each.median, 0.0) for name, each in said.items()}
    return Trial(schedule, features(schedule), rows[:0], rows, fitted, {})


def test_every_predictor_is_scored_on_the_same_jobs(trial: Trial) -> None:
    table = predicting.score_table(trial)
    assert table["predictor"].tolist() == [*predicting.COLOURS, RECALIBRATED]
    assert {len(each.prediction) for each in trial.fitted.values()} == {trial.test.size}
    assert trial.train.max() < trial.test.min()
    # Recalibration changes how sure a guess is, and not the guess.
    guesses = [trial.fitted[name].point_s for name in (PROCESS, RECALIBRATED)]
    assert guesses[0] == pytest.approx(guesses[1])
    at = table.set_index("predictor")
    assert at.loc[TREES, "CRPS"] == pytest.approx(trial.crps(TREES).mean())
    error_min = np.abs(trial.fitted["LAST2"].point_s - trial.runtime_s).mean() / 60
    assert at.loc["LAST2", "MAE [min]"] == pytest.approx(error_min)


def test_families_add_up_to_all_features(trial: Trial) -> None:
    table = predicting.families_table(trial)
    assert (np.diff(table["features"]) > 0).all()
    assert table["features"].iloc[-1] == len(FEATURES)
    assert table["CRPS"].iloc[-1] == pytest.approx(trial.crps(TREES).mean())
    assert table["gain"].iloc[1:].to_numpy() == pytest.approx(-np.diff(table["CRPS"]))
    told = predicting.facts(trial, table)
    assert told["history_gain"] == f"{table['CRPS'].iloc[0] - table['CRPS'].iloc[1]:.3f}"


def test_dependence_that_was_put_in_is_found() -> None:
    rng = np.random.default_rng(5)
    scores = np.zeros(4000)
    for at in range(1, scores.size):
        scores[at] = 0.6 * scores[at - 1] + 0.8 * rng.normal()
    table = dependence.correlations(made_trial(scores))
    assert table[TREES].iloc[:3].to_numpy() == pytest.approx([0.6, 0.36, 0.216], abs=0.06)
    alone = dependence.correlations(made_trial(rng.normal(size=4000)))
    assert np.abs(alone[TREES]).max() < 0.06


def test_gains_are_grouped_by_the_time_since_the_last_completion(trial: Trial) -> None:
    table = dependence.gains(trial)
    assert set(table["since"]) <= {"< 6 min", "< 1 h", "< 6 h", "< a day", "longer", "none yet"}
    assert (table["low"] <= table["mean"]).all() and (table["mean"] <= table["high"]).all()
    slow = dependence.gains(made_trial(np.random.default_rng(1).normal(size=300), 1.5))
    # A million seconds between two jobs: all but the first come long after the one before.
    assert slow["since"].tolist() == ["longer"]
    assert slow["jobs"].item() == pytest.approx(299 / 300)
    assert slow["mean"].item() < 0


def test_coverage_is_that_of_the_normal_distribution() -> None:
    made = made_trial(np.random.default_rng(3).normal(size=20_000), 0.5)
    table = calibrating.coverage_table(made).set_index("predictor")
    assert table.loc[TREES, "all"] == pytest.approx(0.9, abs=0.01)
    # Half the deviation: 2 Φ(1.645 / 2) - 1.
    assert table.loc[PROCESS, "all"] == pytest.approx(0.589, abs=0.01)
    assert calibrating.facts(calibrating.coverage_table(made))["gp_cover"].startswith("0.5")


def test_figures_are_drawn(trial: Trial) -> None:
    for draw in (
        predicting.requests_figure,
        dependence.why_figure,
        dependence.fans_figure,
        calibrating.calibration_figure,
    ):
        figure = draw(trial)
        figure.canvas.draw()
        assert all(axis.has_data() for axis in figure.axes)
        plt.close(figure)


def stored(**tables: pd.DataFrame) -> Result:
    """Return a result with tables of our own."""
    made_by = ("make train", "", (), {}, (), {}, {}, (), 0.0, "", "2026-01-01", {})
    return Result("made", Manifest(*made_by), tables)


def test_seeds_become_one_row() -> None:
    keys = pd.DataFrame(
        [("KTH-SP2-raw", name, seed) for name in trained.NAMES for seed in (0, 1)],
        columns=["log", "predictor", "seed"],
    )
    scores = keys.assign(
        crps=np.where(keys["seed"] == 0, 0.7, 0.8),
        gain=0.1,
        gain_low=0.05,
        gain_high=0.2,
        cover_90=np.where(keys["seed"] == 0, 0.88, 0.92),
    )
    scores.loc[scores["seed"] == 1, "gain_low"] = -0.01
    by = pd.concat([keys.assign(by="size", group=g, cover_90=0.8 + g / 10) for g in (0, 1)])
    table = trained.score_table(stored(scores=scores, scores_by=by)).set_index("predictor")
    row = table.loc[PROCESS]
    assert (row["CRPS"], row["gain"], row["within 90 %"]) == pytest.approx((0.75, 0.1, 0.9))
    assert row["seeds"] == "0.700 to 0.800"
    assert row["interval"] == "-0.010 to +0.200"
    assert row["by size"] == "0.800 to 0.900"
    assert np.isnan(table.loc[TREES, "gain"])


def test_published_slowdowns_stand_beside_the_same_policy() -> None:
    # E. Gaussier et al., SC'15: the authors' campaign files.
    kth = trained.published("KTH-SP2-raw")
    assert kth["EASY", "request", "none"] == 92.6
    assert kth["EASY-SJBF", "LAST2", "increments"] == 63.5
    assert kth["EASY-SJBF", "LAST2", "request"] == 62.9
    assert trained.published("SDSC-SP2")["EASY-SJBF", "actual", "none"] == 56.8
    assert trained.published("HPC2N") == {}
    rows = [
        {
            "log": "KTH-SP2-raw",
            "policy": policy,
            "estimate": estimate,
            "correction": correction,
            "draw": draw,
            "avebsld": 50.0 + draw,
        }
        for policy in ("EASY", "EASY-SJBF")
        for estimate, correction in trained.SETTINGS
        for draw in range(3)
    ]
    result = stored(slowdown=pd.DataFrame(rows))
    table = trained.slowdown_table(result)
    row = table[table["estimate"] == "boosted median"].iloc[0]
    assert (row["here"], row["moved"], row["range"]) == (50.0, 51.5, "50.0 to 52.0")
    assert table.set_index(["estimate", "overrun"]).loc[("LAST2", "request"), "published"] == 62.9
    figure = trained.slowdown_figure(result)
    assert figure.axes[0].has_data()
    plt.close(figure)


def test_a_log_without_users_has_no_correlation() -> None:
    made = made_trial(np.random.default_rng(2).normal(size=50))
    jobs = made.schedule.workload.jobs.assign(user=-1)
    schedule = replace(made.schedule, workload=replace(made.schedule.workload, jobs=jobs))
    table = dependence.correlations(replace(made, schedule=schedule))
    assert table[TREES].isna().all()
