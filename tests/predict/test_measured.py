"""What was measured on real logs comes out again."""

from pathlib import Path

import pytest

import exawatt as ew
from exawatt.predict import (
    Conformal,
    LastRuntimes,
    Predictor,
    Request,
    bootstrap,
    features,
    quartile,
    score,
    split,
)


@pytest.fixture(scope="module")
def kth(real_data: Path) -> ew.Schedule:
    return ew.replay(ew.load("KTH-SP2-raw"), "easy")


# Minutes: mean and median absolute error of the last 8,545 jobs, in round figures.
@pytest.mark.parametrize(
    ("predictor", "mean", "median"), [(Request(), 98.2, 9.8), (LastRuntimes(2), 108.2, 7.0)]
)
def test_errors_of_baselines(
    kth: ew.Schedule, predictor: Predictor, mean: float, median: float
) -> None:
    table, (train, test) = features(kth), split(kth)
    assert (train.size, test.size) == (19_921, 8_545)
    fitted = predictor.fit(table.iloc[train], kth.runtime_s[train])
    predicted = fitted.predict_distribution(table.iloc[test])
    point = fitted.predict(table.iloc[test])
    found = score(predicted, kth.runtime_s[test], point).loc["all"]
    assert found["mae"] / 60 == pytest.approx(mean, abs=0.05)
    assert found["median_ae"] / 60 == pytest.approx(median, abs=0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_calibrated_trees_beat_the_request_and_cover_what_they_say(kth: ew.Schedule) -> None:
    table, runtime, (train, test) = features(kth), kth.runtime_s, split(kth)
    crps = {}
    for predictor in (Request(), Conformal()):
        fitted = predictor.fit(table.iloc[train], runtime[train])
        predicted = fitted.predict_distribution(table.iloc[test])
        crps[type(predictor)] = predicted.crps(runtime[test])
    assert crps[Conformal].mean() < 0.78
    gain = bootstrap(crps[Request] - crps[Conformal], kth.submit_s[test])
    assert 0.1 < gain.low < gain.high < 0.3
    assert 0.88 < score(predicted, runtime[test]).loc["all", "cover_90"] < 0.92
    by_size = score(predicted, runtime[test], by=quartile(kth.procs[test]))["cover_90"]
    assert len(by_size) == 4
    assert by_size.between(0.80, 0.97).all()
