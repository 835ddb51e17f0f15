"""Tables of the chapter on prediction, of jobs made at random."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_jobs import random_workload
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.experiment import prediction, scheduling
from exawatt.experiment.code import fingerprint
from exawatt.experiment.moved import moved
from exawatt.experiment.trial import Case, trial
from exawatt.experiment.units import Units
from exawatt.predict import SJBF, BoostedMedian, BoostedQuantiles, Conformal, LastRuntimes, score

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def workload() -> ew.Workload:
    """Return 600 jobs over ten weeks."""
    made = random_workload(600, seed=1)
    return replace(made, jobs=made.jobs.assign(submit_s=made.jobs["submit_s"] * 40))


@pytest.fixture(scope="module")
def case(workload: ew.Workload) -> Case:
    return Case.of(workload)


def quick(schedule: ew.Schedule, seed: int) -> dict[str, object]:
    trees = BoostedQuantiles((0.1, 0.5, 0.9), n_trees=5, random_state=seed)
    return {"LAST2": LastRuntimes(2), prediction.MEAN: trees, "calibrated": Conformal(trees)}


@pytest.fixture(scope="module")
def tables(
    workload: ew.Workload, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pd.DataFrame]:
    code = fingerprint([prediction.__name__])
    units = Units(tmp_path_factory.mktemp("units"), code, lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "predictors", quick)
        patch.setattr(prediction, "SEEDS", SEEDS)
        made = prediction.make({"a": workload, "b": workload}, units)
        again = prediction.make({"a": workload, "b": workload}, units)
    # What was kept gives the same, processor time included.
    for name, table in made.items():
        pd.testing.assert_frame_equal(table, again[name])
    return made


def test_a_case_learns_from_the_latest_jobs(
    workload: ew.Workload, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exawatt.experiment.trial.N_TRAIN", 50)
    few = Case.of(workload)
    assert few.train.tolist() == case.train[-50:].tolist()
    assert few.test.tolist() == case.test.tolist() == list(range(420, 600))


def test_scores_are_those_of_the_predictor(case: Case, tables: dict[str, pd.DataFrame]) -> None:
    scores = tables["scores"]
    assert list(scores)[:5] == ["log", "predictor", "seed", "n_train", "n"]
    assert len(scores) == 2 * len(SEEDS) * 3
    runtime_s = case.schedule.runtime_s
    predictor = LastRuntimes(2).fit(case.table.iloc[case.train], runtime_s[case.train])
    rows, actual = case.table.iloc[case.test], runtime_s[case.test]
    point_s = predictor.predict(rows)
    expected = score(predictor.predict_distribution(rows), actual, point_s).loc["all"]
    row = scores.iloc[0]
    assert row[["log", "predictor", "seed", "n"]].tolist() == ["a", "LAST2", 0, 180]
    assert row["n_train"] == len(case.train)
    assert row["mae_min"] == pytest.approx(np.abs(point_s - actual).mean() / 60)
    assert row["median_ae_min"] == pytest.approx(expected["median_ae"] / 60)
    same = [name for name in expected.index if name in row.index and name != "n"]
    assert len(same) == 10
    assert_allclose(row[same].astype(float), expected[same])


def test_gains_are_over_the_mean_function_of_the_same_seed(
    tables: dict[str, pd.DataFrame],
) -> None:
    scores = tables["scores"].set_index(["log", "seed", "predictor"])
    for (log, seed, name), row in scores.iterrows():
        alone = scores.loc[(log, seed, prediction.MEAN)]
        assert row["gain"] == pytest.approx(alone["crps"] - row["crps"], abs=1e-12)
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
        if name == prediction.MEAN:
            assert (row["gain_low"], row["gain_high"]) == (0, 0)
    assert scores.loc[("a", 0, "boosted"), "crps"] != scores.loc[("a", 1, "boosted"), "crps"]


def test_groups_are_parts_of_all_jobs(tables: dict[str, pd.DataFrame]) -> None:
    key = ["log", "predictor", "seed"]
    scores = tables["scores"].set_index(key)
    by = tables["scores_by"]
    for (*which, _), part in by.groupby([*key, "by"]):
        whole = scores.loc[tuple(which)]
        assert part["n"].sum() == whole["n"] == 180
        assert np.average(part["crps"], weights=part["n"]) == pytest.approx(whole["crps"])
    groups = tables["groups"].set_index(["log", "by", "group"])
    sizes = by.groupby(["log", "by", "group"])["n"].unique()
    assert all(len(n) == 1 and n[0] == groups.loc[at, "n"] for at, n in sizes.items())


def test_groupings_are_as_named(case: Case) -> None:
    users = case.schedule.workload.jobs["user"].to_numpy()
    found = prediction.groupings(case)
    for at, job in enumerate(case.test):
        learnt = (users[case.train] == users[job]).sum()
        ended = case.schedule.end_s[:job] <= case.schedule.submit_s[job]
        completed = (ended & (users[:job] == users[job])).sum()
        if users[job] < 0:
            assert found["user"].group[at] == found["history"].group[at] == "unknown"
        else:
            assert found["user"].values[at] == learnt
            assert found["history"].values[at] == completed
    assert set(found["age"].group[:45]) == {"1"}
    assert set(found["age"].group[-45:]) == {"4"}


def test_users_are_grouped_by_jobs() -> None:
    numbers = np.array([np.nan, 0.0, 1.0, 10.0, 11.0])
    expected = ["unknown", "0", "1 to 10", "1 to 10", "over 10"]
    assert prediction._little_known(numbers).tolist() == expected


def test_reliability_is_the_share_at_or_below_each_level(
    case: Case, tables: dict[str, pd.DataFrame]
) -> None:
    pit = trial(case, LastRuntimes(2))["pit"]
    part = tables["reliability"].query("log == 'a' and predictor == 'LAST2' and seed == 0")
    assert part["level"].tolist() == [round(0.05 * i, 2) for i in range(1, 20)]
    assert_allclose(part["observed"], [(pit <= level).mean() for level in part["level"]])


def test_all_predictors_are_compared(case: Case) -> None:
    names = [set(prediction.predictors(case.schedule, seed)) for seed in prediction.SEEDS]
    assert names[0] - names[1] == set(prediction.ONCE)
    assert names[1] == names[2] >= {"boosted", "NeighbourGP"}
    process = prediction.predictors(case.schedule, 2)["NeighbourGP"]
    homes = prediction._homes(process)
    assert homes == ["exawatt.predict.boosting", "exawatt.predict.neighbours"]
    given = dict(prediction._settings(process))
    assert given["random_state"] == given["mean__random_state"] == "2"
    assert "schedule" not in given


def test_scheduling(workload: ew.Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = BoostedMedian(n_trees=3)
    monkeypatch.setattr(scheduling, "LEARNT", {"trees": trees})
    monkeypatch.setattr(scheduling, "DRAWS", 1)
    units = Units(tmp_path, fingerprint([scheduling.__name__]), lambda line: None)
    table = scheduling.make({"a": workload}, units)["slowdown"]
    assert list(table)[:5] == ["log", "policy", "estimate", "correction", "draw"]
    # Two orders; of two draws: request, actual, four of LAST2, one of the trees; three without.
    assert len(table) == 2 * (2 * (2 + 4 + 1) + 3)
    assert not table.duplicated(["policy", "estimate", "correction", "draw"]).any()
    row = table.set_index(["policy", "estimate", "correction", "draw"])["avebsld"]
    last = replace(SJBF, estimate="last2", missing_request="runtime")
    assert row["EASY-SJBF", "LAST2", "request", 0] == ew.replay(workload, last).metrics()["avebsld"]
    easy = ew.Policy(backfill="easy", missing_request="runtime")
    other = ew.replay(moved(workload, 1), easy).metrics()["avebsld"]
    assert row["EASY", "request", "none", 1] == other


def test_submissions_are_moved_by_up_to_a_minute(workload: ew.Workload) -> None:
    assert moved(workload, 0) is workload
    here = moved(workload, 3).jobs.set_index("job")["submit_s"]
    off = here - workload.jobs.set_index("job")["submit_s"]
    assert here.is_monotonic_increasing
    assert 0 <= off.min() < 5 < 55 < off.max() <= 60
