"""The energy surrogate: its contract, what it learns, and how it is saved and read again."""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from exawatt.predict import BoostedQuantiles, cards, surrogates
from exawatt.predict.contract import OUTCOMES, Contract
from exawatt.predict.energy import (
    JOBS,
    KNOWN,
    MEDIAN,
    MODEL,
    POWER,
    Bounded,
    Trial,
    learn_jobs,
    measured_j,
    modelled_j,
    submitted,
    whole_node_jobs,
)
from exawatt.readers.catalog import load
from exawatt.workload import Workload


def logged(n: int = 400, seed: int = 0) -> Workload:
    """Accounting of a machine with 8 nodes of 4 threads: 10 W a thread, half in partition 2.

    Jobs that ask for more memory run longer.
    """
    rng = np.random.default_rng(seed)
    memory = rng.integers(1, 3, n)
    runtime_s = np.round(rng.lognormal(3 + 2 * memory, 0.5)) + 1
    partition = rng.integers(1, 3, n)
    asked = np.where(partition == 1, 1, rng.integers(1, 4, n))
    # Partition 1 hands out whole nodes.
    procs = np.where(partition == 1, 4, asked)
    jobs = pd.DataFrame(
        {
            "job": np.arange(n),
            "submit_s": np.sort(rng.uniform(0, 4000 * n, n)).round(),
            "runtime_s": runtime_s,
            "requested_s": 3600.0 * rng.integers(1, 5, n) + runtime_s,
            "procs": procs,
            "partition": partition,
            "status": 1,
            "requested_procs": asked,
            "nodes": 1,
            "requested_memory_kb": 1024.0 * memory,
            "energy_j": np.where(np.arange(n) % 10, 10.0 * procs * runtime_s, 0.0),
        }
    )
    return Workload(
        jobs, procs=32, nodes=8, name="made", start=pd.Timestamp("2024-07-01", tz="UTC")
    )


@pytest.fixture(scope="module")
def trial() -> Trial:
    workload = logged()
    return learn_jobs(workload, *submitted(workload), measured_j(workload), n_trees=5)


@pytest.fixture(scope="module")
def surrogate(trial: Trial) -> cards.Surrogate:
    data = (cards.Data("made", "0" * 64, "real", "invented"),)
    return trial.surrogate("Made", data, "Tests.", ("None is real.",), 0, "python train.py")


@pytest.fixture(scope="module")
def written(surrogate: cards.Surrogate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "made"
    cards.save(surrogate, folder)
    return folder


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    """Copy of a saved model, for a test to spoil."""
    return Path(shutil.copytree(written, tmp_path / "model"))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return submitted(logged())[1]


# What is known at submission


def test_a_job_s_outcome_changes_nothing_of_its_row_or_those_before(rows: pd.DataFrame) -> None:
    workload = logged()
    changed = workload.jobs.copy()
    later = changed.index >= 300
    changed.loc[later, "runtime_s"] = 7.0
    changed.loc[later, ["energy_j", "power_w", "status", "cpu_s"]] = 1.0
    found = submitted(replace(workload, jobs=changed))[1]
    pd.testing.assert_frame_equal(found.iloc[:301], rows.iloc[:301])
    assert not found.iloc[301:].equals(rows.iloc[301:])


def test_sizes_are_those_asked_for_and_not_those_given(rows: pd.DataFrame) -> None:
    asked = logged().jobs["requested_procs"]
    np.testing.assert_allclose(rows["procs_ln"], np.log(asked))


def test_without_requests_of_processors_the_size_counts() -> None:
    workload = logged(5)
    table = submitted(replace(workload, jobs=workload.jobs.drop(columns="requested_procs")))[1]
    np.testing.assert_allclose(table["procs_ln"], np.log(workload.jobs["procs"]))


def test_partitions_and_requests_stand_in_for_users_and_applications() -> None:
    jobs = pd.DataFrame(
        {
            "submit_s": [0.0, 1e5, 2e5, 3e5],
            "runtime_s": [100.0, 200.0, 300.0, 400.0],
            "procs": 1,
            "partition": [1, 2, 1, 1],
            "nodes": [1, 1, 1, 2],
        }
    )
    table = submitted(Workload(jobs, procs=4))[1]
    last = np.exp(table["user_last_ln_s"])
    np.testing.assert_allclose(last, [np.nan, np.nan, 100.0, 300.0])
    # The last job asks for another number of nodes: its request was never seen.
    np.testing.assert_allclose(np.exp(table["app_last_ln_s"]), [np.nan, np.nan, 100.0, np.nan])


def test_logged_users_are_kept() -> None:
    jobs = pd.DataFrame(
        {"submit_s": [0.0, 1e5], "runtime_s": 100.0, "procs": 1, "partition": 1, "user": [1, 2]}
    )
    table = submitted(Workload(jobs, procs=4))[1]
    assert table["user_last_ln_s"].isna().all()


def test_numbers_of_partitions_mean_nothing(rows: pd.DataFrame) -> None:
    workload = logged()
    other = workload.jobs.assign(partition=workload.jobs["partition"].map({1: 9, 2: 4}))
    pd.testing.assert_frame_equal(submitted(replace(workload, jobs=other))[1], rows)


# The contract


def test_columns_may_come_in_any_order(rows: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(JOBS.table(rows[rows.columns[::-1]]), JOBS.table(rows))


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes_are_refused(rows: pd.DataFrame, name: str) -> None:
    with pytest.raises(ValueError, match=f"column '{name}' is an outcome .*leave it out"):
        JOBS.table(rows.assign(**{name: 1.0}))


def test_other_columns_are_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"'colour' is not in the contract of jobs; .*procs_ln"):
        JOBS.table(rows.assign(colour=1.0))
    with pytest.raises(ValueError, match="column 3 is not in the contract"):
        JOBS.table(rows.rename(columns={"hour": 3}))


@pytest.mark.parametrize("name", JOBS.features)
def test_missing_columns_are_refused(rows: pd.DataFrame, name: str) -> None:
    with pytest.raises(ValueError, match=f"column '{name}' is missing .*NaN where unknown"):
        JOBS.table(rows.drop(columns=name))


def test_a_column_that_is_there_twice_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'hour' is there 2 times"):
        JOBS.table(pd.concat([rows, rows[["hour"]]], axis=1))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused(rows: pd.DataFrame, value: float) -> None:
    spoilt = rows.copy()
    spoilt.loc[7, "request_ln_s"] = value
    with pytest.raises(ValueError, match="column 'request_ln_s' is infinite in row 7"):
        JOBS.table(spoilt)


def test_texts_are_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"'hour' must hold numbers .*'noon'"):
        JOBS.table(rows.assign(hour="noon"))


def test_what_is_no_table_or_empty_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="ndarray"):
        JOBS.table(rows.to_numpy())
    with pytest.raises(ValueError, match="no row"):
        JOBS.table(rows.iloc[:0])


def test_texts_become_places_among_categories() -> None:
    contract = Contract("runs", {"gpu": "its model"}, {"gpu": ("A40", "V100")})
    table = contract.table(pd.DataFrame({"gpu": ["V100", "A40", "new", None]}))
    np.testing.assert_array_equal(table["gpu"], [1.0, 0.0, np.nan, np.nan])


# Learning


def test_what_is_learnt_and_tried(trial: Trial) -> None:
    known = np.flatnonzero(logged().jobs["energy_j"] > 0)
    np.testing.assert_array_equal(trial.rows, known[251:])  # the last 30 % of 360
    assert 240 <= trial.n_train <= 251
    assert set(trial.predictions) == {MODEL, POWER, KNOWN, MEDIAN}
    scores = trial.scores()
    # Power is constant by processor: with the runtime nothing is left to predict.
    assert scores.loc[KNOWN, "median_ae_ln"] < 1e-9
    assert scores.loc[KNOWN, "total"] == pytest.approx(1)
    assert scores.loc[MODEL, "crps"] < scores.loc[MEDIAN, "crps"]


def test_scores_by_hand(trial: Trial) -> None:
    guess = trial.predictions[MODEL].median
    found = trial.scores().loc[MODEL]
    assert found["mae_j"] == pytest.approx(np.abs(guess - trial.energy_j).mean())
    assert found["total"] == pytest.approx(
        trial.predictions[MODEL].mean.sum() / trial.energy_j.sum()
    )


def test_energies_of_later_jobs_change_no_prediction_of_training(trial: Trial) -> None:
    workload = logged()
    energy_j = measured_j(workload)
    energy_j[trial.rows] *= 1000.0
    again = learn_jobs(workload, *submitted(workload), energy_j, n_trees=5)
    for name in (MODEL, POWER, KNOWN, MEDIAN):
        np.testing.assert_array_equal(
            again.predictions[name].ln_quantiles, trial.predictions[name].ln_quantiles
        )


def test_no_prediction_is_above_what_the_request_allows(rows: pd.DataFrame) -> None:
    table, energy_j = rows.iloc[:200], np.exp(rows["request_ln_s"].iloc[:200]) * 5.0
    bounded = Bounded(BoostedQuantiles(n_trees=3, levels=(0.1, 0.5, 0.999))).fit(table, energy_j)
    short = rows.assign(request_ln_s=np.log(10.0))
    assert bounded.predict_distribution(short).quantile(0.999).max() == pytest.approx(50.0)
    free = bounded.predict_distribution(rows.assign(request_ln_s=np.nan))
    assert free.quantile(0.5).min() > 50.0


def test_bounds_need_requests_to_learn_from(rows: pd.DataFrame) -> None:
    table = rows.iloc[:50].assign(request_ln_s=np.nan)
    bounded = Bounded(BoostedQuantiles(n_trees=1)).fit(table, np.full(50, 100.0))
    np.testing.assert_allclose(bounded.predict_distribution(rows).median, 100.0)


def test_a_log_without_energies_teaches_nothing() -> None:
    workload = logged(20)
    for jobs in (workload.jobs.drop(columns="energy_j"), workload.jobs.assign(energy_j=0.0)):
        with pytest.raises(ValueError, match="made has no job with a measured energy"):
            measured_j(replace(workload, jobs=jobs))


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_jobs_teach_nothing(n: int) -> None:
    workload = logged(n)
    with pytest.raises(ValueError, match="2 or more are needed"):
        learn_jobs(workload, *submitted(workload), np.full(n, 5.0))


def test_energies_of_the_wrong_shape_or_sign_are_refused() -> None:
    workload = logged(20)
    known = submitted(workload)
    with pytest.raises(ValueError, match=r"energy_j needs shape \(20,\), not \(3,\)"):
        learn_jobs(workload, *known, np.ones(3))
    with pytest.raises(ValueError, match="must not be negative"):
        learn_jobs(workload, *known, np.full(20, -1.0), n_trees=1)
    with pytest.raises(ValueError, match=r"share\(=1.0\) must lie between 0 and 1"):
        learn_jobs(workload, *known, np.ones(20), share=1.0)


def test_without_requests_there_is_no_guess_by_request() -> None:
    workload = logged(60)
    workload = replace(workload, jobs=workload.jobs.assign(requested_s=np.nan))
    found = learn_jobs(workload, *submitted(workload), measured_j(workload), n_trees=2)
    assert set(found.predictions) == {MODEL, KNOWN, MEDIAN}


def test_whole_nodes_are_those_of_partitions_with_nothing_less() -> None:
    workload = logged()
    np.testing.assert_array_equal(
        whole_node_jobs(workload, threads=4), workload.jobs["partition"] == 1
    )
    assert not whole_node_jobs(workload, threads=3).any()
    assert not whole_node_jobs(logged(20), threads=4).any()  # too few to tell


def test_modelled_energy_is_the_job_s_share_of_the_machine_s_power() -> None:
    jobs = pd.DataFrame({"submit_s": [0.0], "runtime_s": [100.0], "procs": [32]})
    schedule, _ = submitted(Workload(jobs, procs=32, nodes=8))
    # On all of the machine: all that it draws.
    np.testing.assert_allclose(modelled_j(schedule), 100.0 * schedule.platform.full_w)


# Cards


def test_a_saved_model_predicts_the_same(
    surrogate: cards.Surrogate, saved: Path, rows: pd.DataFrame
) -> None:
    again = cards.load(saved)
    np.testing.assert_array_equal(
        again.predict_distribution(rows).ln_quantiles,
        surrogate.predict_distribution(rows).ln_quantiles,
    )
    assert replace(again.card, weights_sha256="") == surrogate.card
    assert "Made" in repr(again)


def test_one_row_is_enough_to_predict(saved: Path, rows: pd.DataFrame) -> None:
    model = cards.load(saved)
    one = model.predict_distribution(rows.iloc[[5]]).ln_quantiles
    np.testing.assert_array_equal(one, model.predict_distribution(rows).ln_quantiles[[5]])


def test_a_saved_model_refuses_what_is_out_of_contract(saved: Path, rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'CPUTimeRAW' is an outcome"):
        cards.load(saved).predict_distribution(rows.assign(CPUTimeRAW=1.0))


def test_the_card_says_it_all(surrogate: cards.Surrogate, saved: Path) -> None:
    card = json.loads((saved / cards.CARD).read_text())
    assert card["metrics"][MODEL]["crps"] == pytest.approx(surrogate.card.metrics[MODEL]["crps"])
    assert set(card["versions"]) == set(cards.PACKAGES)
    text = (saved / cards.READABLE).read_text()
    for part in (*JOBS.features, "invented", "None is real.", "python train.py", "trusted source"):
        assert part in text
    assert card["weights_sha256"] in text


def test_unknown_scores_are_null_and_come_back(surrogate: cards.Surrogate, tmp_path: Path) -> None:
    card = replace(surrogate.card, metrics={"a": {"crps": np.nan}})
    cards.save(cards.Surrogate(surrogate.predictor, card), tmp_path)
    assert json.loads((tmp_path / cards.CARD).read_text())["metrics"] == {"a": {"crps": None}}
    assert "nan" in cards.read_card(tmp_path).to_markdown()


def edited(**values: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / cards.CARD
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


VERSIONS = cards.versions()
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "format": (edited(format=99), "has format 99, and this version of exawatt reads 1"),
    "exawatt": (
        edited(versions=VERSIONS | {"exawatt": "9.9.0"}),
        r"saved with exawatt 9\.9\.0.*\n  python train.py",
    ),
    "scikit-learn": (
        edited(versions=VERSIONS | {"scikit-learn": "0.1.2"}),
        "Install scikit-learn==0.1.2, or train",
    ),
    "no versions": (edited(versions={}), "saved with exawatt unknown"),
    "no contract": (edited(contract={}), "no whole card"),
    "an unknown part": (edited(colour="red"), "no whole card"),
    "no JSON": (lambda folder: (folder / cards.CARD).write_text("{"), "no card of a model"),
    "a list": (lambda folder: (folder / cards.CARD).write_text("[]"), "no card of a model"),
    "no card": (lambda folder: (folder / cards.CARD).unlink(), "holds no card.json"),
    "no weights": (lambda folder: (folder / cards.WEIGHTS).unlink(), "is missing; copy the whole"),
    "cut weights": (
        lambda folder: (folder / cards.WEIGHTS).write_bytes(b"x"),
        "it was changed or damaged",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_spoilt_models_are_refused(saved: Path, what: str) -> None:
    spoil, message = SPOILT[what]
    spoil(saved)
    with pytest.raises(cards.ModelError, match=message):
        cards.load(saved)


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_other_weights_are_not_unpickled(saved: Path, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    joblib.dump(Touch(flag), saved / cards.WEIGHTS)
    with pytest.raises(cards.ModelError, match="changed or damaged"):
        cards.load(saved)
    assert not flag.exists()
    joblib.load(saved / cards.WEIGHTS)  # it would have
    assert flag.exists()


def test_the_last_number_of_a_version_is_free(saved: Path) -> None:
    major, minor = VERSIONS["scikit-learn"].split(".")[:2]
    edited(versions=VERSIONS | {"scikit-learn": f"{major}.{minor}.987"})(saved)
    assert cards.load(saved).card.title == "Made"


def test_a_file_is_no_folder(surrogate: cards.Surrogate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(cards.ModelError, match="is no folder"):
        cards.save(surrogate, tmp_path / "file")


# The surrogates of this project


def test_a_twin_says_that_it_is_one(tmp_path: Path) -> None:
    model = surrogates.train_twin("make", n_jobs=300, n_trees=2)
    assert [each.tier for each in model.card.data] == ["twin"]
    cards.save(model, tmp_path)
    assert "nothing that is said of a machine" in (tmp_path / cards.READABLE).read_text()
    table = submitted(load("tiny"))[1]
    assert len(cards.load(tmp_path).predict_distribution(table)) == len(table)


def test_seeds_give_the_same_model_again() -> None:
    first, again, other = (
        surrogates.train_twin("make", n_jobs=300, n_trees=2, seed=seed).card.metrics[MODEL]
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_kabre(real_data: Path) -> None:
    workload = load("Kabre-2024", strict=False)
    assert (whole_node_jobs(workload) & (workload.jobs["energy_j"] > 0)).sum() == 4826
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = surrogates.kabre_trial(workload, n_trees=20).scores()
    assert found.loc[MODEL, "crps"] < 1.85
    assert found.loc[POWER, "crps"] == pytest.approx(2.340, abs=0.01)
    assert found.loc[MEDIAN, "crps"] == pytest.approx(2.784, abs=0.01)
    assert found.loc[KNOWN, "crps"] == pytest.approx(0.181, abs=0.005)
    assert 0.86 < found.loc[MODEL, "cover_90"] < 0.95
