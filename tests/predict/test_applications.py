"""Training runs: how few of them tell what an application takes."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exawatt.predict import Interval
from exawatt.predict.applications import (
    DESIGN,
    FEATURES,
    LINE,
    METHODS,
    MOVED,
    POOLED,
    PROCESS,
    TWO_TASKS,
    few_shot,
    learn_runs,
    ratio,
    read_runs,
    runs_contract,
    to_target,
)
from exawatt.predict.surrogates import ZEUS, train_zeus

HEAD = "dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power\n"


def write(folder: Path, gpus: tuple[str, ...] = ("A", "B")) -> dict[str, Path]:
    """Two networks on some GPUs, 6 batch sizes by 4 limits: energy is a product of powers."""
    files = {}
    for place, gpu in enumerate(gpus, start=1):
        lines = [
            f"data,{network},{batch},adam,{limit},{scale * 1e5 / batch},{0.8 * limit * place}\n"
            for scale, network in ((1, "small"), (30, "large"))
            for batch in (8, 16, 32, 64, 128, 256)
            for limit in (100, 150, 200, 250)
        ]
        files[gpu] = folder / f"{gpu}.csv.gz"
        files[gpu].write_bytes(gzip.compress((HEAD + "".join(lines)).encode()))
    return files


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return read_runs(write(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def errors(runs: pd.DataFrame) -> pd.DataFrame:
    names = sorted(runs["application"].unique())
    return few_shot(runs, (4, 12), applications=[names[0], names[3]])


def test_runs_are_read_with_what_they_are(runs: pd.DataFrame) -> None:
    assert len(runs) == 96
    assert runs["application"].nunique() == 4
    first = runs.iloc[0]
    assert first["application"] == "data/small/adam/A"
    assert first["energy_j"] == pytest.approx(1e5 / 8 * 80)
    assert first["limit_share"] == pytest.approx(0.4)
    assert first["batch_ln"] == pytest.approx(np.log(8))
    assert runs["repetition"].is_unique


def test_trainings_multiply_runs_by_their_epochs(runs: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    some = runs[runs["batch_size"] == 8].assign(network="ncf", task="data/ncf/adam")
    path.write_text(
        "dataset,network,batch_size,optimizer,learning_rate,run,target_metric,target_epoch\n"
        "data,ncf,8,adam,0.1,1,0.41,3\n"
        "data,ncf,8,adam,0.1,2,0.41,5\n"
        "data,ncf,8,adam,0.1,3,0.41,\n"  # never reached
        "data,ncf,8,adam,0.1,1,0.42,9\n"  # not the target
        "data,ncf,16,adam,0.1,1,0.41,7\n"  # never measured
    )
    whole = to_target(some, path)
    assert len(whole) == 2 * len(some)
    assert set(whole["epochs"]) == {3, 5}
    assert whole.groupby("repetition")["epochs"].nunique().eq(1).all()
    assert whole["energy_j"].sum() == pytest.approx(8 * some["energy_j"].sum())
    assert whole["epoch_s"].sum() == pytest.approx(8 * some["epoch_s"].sum())


def test_the_contract_takes_texts_and_refuses_outcomes(runs: pd.DataFrame) -> None:
    contract = runs_contract(runs)
    assert contract.table(runs[list(FEATURES)])["network"].isin([0.0, 1.0]).all()
    with pytest.raises(ValueError, match="'epoch_s' is an outcome"):
        contract.table(runs[[*FEATURES, "epoch_s"]])


def test_the_surrogate_of_runs_beats_the_median_of_their_application(runs: pd.DataFrame) -> None:
    trial = learn_runs(runs, n_trees=60)
    assert (trial.n_train, len(trial.rows)) == (67, 29)
    crps = trial.scores()["crps"]
    assert crps["surrogate"] < crps["median of its application"]
    np.testing.assert_array_equal(trial.energy_j, runs["energy_j"].to_numpy()[trial.rows])


def test_bad_shares_and_too_few_runs_are_refused(runs: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"share\(=0\)"):
        learn_runs(runs, share=0)
    with pytest.raises(ValueError, match="1 runs leave 0 to learn from"):
        learn_runs(runs.iloc[:1])


def test_few_runs_of_a_power_law_tell_the_rest(errors: pd.DataFrame) -> None:
    assert set(errors["method"]) == set(METHODS)
    assert len(errors) == 2 * 2 * len(METHODS)
    assert (errors["n_test"] == 24 - errors["k"]).all()
    middle = errors.groupby(["method", "k"])["error"].median()
    # A line is the truth here, and its pull to the flat is slight.
    assert middle[LINE, 12] < 0.06
    assert middle[PROCESS, 12] < 0.1
    assert middle[TWO_TASKS, 12] < 0.1
    assert middle[PROCESS, 12] < middle[PROCESS, 4]
    assert middle[POOLED, 4] == pytest.approx(middle[POOLED, 12], rel=0.5)


def test_what_is_left_out_teaches_nothing(runs: pd.DataFrame) -> None:
    changed = runs.copy()
    mine = changed["application"] == "data/large/adam/B"
    changed.loc[mine, "energy_j"] *= 1000.0
    names = ["data/large/adam/B"]
    found, other = (
        few_shot(table, (4,), 1, (POOLED,), applications=names)["error"].item()
        for table in (runs, changed)
    )
    # The model says the same, and the truth is 1000 times as much.
    assert other == pytest.approx(found + np.log(1000), rel=0.3)


def test_an_unseen_task_is_harder_than_an_unseen_gpu(runs: pd.DataFrame) -> None:
    gpu, task = (
        few_shot(runs, (4,), 1, (POOLED, MOVED), unseen=unseen).groupby("method")["error"].median()
        for unseen in ("application", "task")
    )
    assert task[POOLED] > np.log(10) > gpu[POOLED]
    assert task[MOVED] < task[POOLED]


def test_draws_are_the_same_whatever_else_is_tried(runs: pd.DataFrame) -> None:
    name = sorted(runs["application"].unique())[2]
    alone = few_shot(runs, (4,), 2, (LINE,), applications=[name])
    among = few_shot(runs, (4, 12), 2, (MOVED, LINE))
    mine = among[(among["application"] == name) & (among["k"] == 4) & (among["method"] == LINE)]
    np.testing.assert_array_equal(alone["error"], mine["error"])
    assert alone["error"].nunique() == 2
    other = few_shot(runs, (4,), 2, (LINE,), applications=[name], seed=1)
    assert not np.isin(other["error"], alone["error"]).any()


def test_repetitions_of_known_trainings_are_not_tried(runs: pd.DataFrame) -> None:
    shared = runs.assign(repetition=runs["batch_size"])
    found = few_shot(shared, (2,), 1, (MOVED,))
    # At most two of six batch sizes were touched, each with four runs.
    assert found["n_test"].isin([16, 20]).all()
    with pytest.raises(ValueError, match="touch every repetition"):
        few_shot(runs.assign(repetition=0), (2,), 1, (MOVED,))


def test_ratios_by_hand() -> None:
    table = pd.DataFrame(
        {
            "application": ["a/x/o/G", "a/x/o/H", "b/y/o/G"] * 2,
            "k": 20,
            "method": [PROCESS] * 3 + [POOLED] * 3,
            "error": [0.1, 0.2, 0.4, 0.2, 0.8, 3.2],
        }
    )
    found = ratio(table)
    assert found.mean == pytest.approx((0.5 * 0.25 * 0.125) ** (1 / 3))
    assert found.low == pytest.approx(0.125)
    assert found.high == pytest.approx(0.5)
    by_task = ratio(table, by="task")
    assert by_task.mean == pytest.approx(found.mean)
    assert by_task.high == pytest.approx((0.5 * 0.25) ** 0.5)
    same = ratio(table, method=POOLED)
    assert same == Interval(1.0, 1.0, 1.0)


def test_ratios_of_what_was_not_tried_are_refused(errors: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="no error of method 'GP' with k=7"):
        ratio(errors, 7)
    with pytest.raises(ValueError, match="one application only"):
        ratio(errors[errors["application"] == errors["application"].iloc[0]], 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": (24,)}, "k=24 is too many: data/large/adam/A has 24 runs"),
        ({"k": (1,)}, "numbers of runs from 2"),
        ({"k": ()}, "numbers of runs from 2"),
        ({"k": (4,), "n_draws": 0}, r"n_draws\(=0\)"),
        ({"k": (4,), "methods": ("magic",)}, "method 'magic' is unknown; pass some of pooled"),
        ({"k": (4,), "unseen": "gpu"}, r"unseen\(='gpu'\)"),
        ({"k": (4,), "applications": ["nobody"]}, "application 'nobody' has no run"),
    ],
)
def test_bad_options_are_refused(runs: pd.DataFrame, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        few_shot(runs, **options)


def test_one_application_leaves_nothing_to_learn(runs: pd.DataFrame) -> None:
    one = runs[runs["application"] == "data/small/adam/A"]
    with pytest.raises(ValueError, match="one application only"):
        few_shot(one, (4,))


def test_zeus_needs_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"EXAWATT_DATA .*zeus_summary_power_v100"):
        train_zeus("make")


def test_zeus_as_published(real_data: Path) -> None:
    runs = read_runs({name: real_data / "power" / file for name, file in ZEUS.items()})
    assert len(runs) == 1609
    sizes = runs.groupby("application").size()
    assert (len(sizes), sizes.min(), sizes.max()) == (25, 24, 117)
    assert runs["task"].nunique() == 7
    # Design points, not repetitions.
    assert not runs.duplicated(["application", *DESIGN]).any()


@pytest.mark.slow
def test_twenty_runs_halve_the_error_on_zeus(real_data: Path) -> None:
    runs = read_runs({name: real_data / "power" / file for name, file in ZEUS.items()})
    found = few_shot(runs, (5, 20), 1, (POOLED, MOVED, PROCESS))
    assert ratio(found, 20).high < 0.25
    # Against trees that know the 20 runs by a factor it is closer, and with 5 these win.
    assert ratio(found, 20, over=MOVED).high < 0.5
    assert ratio(found, 5, over=MOVED).low > 1.0
