"""Scores of predictions, of a few jobs whose values are worked out by hand."""

from math import exp, log

import numpy as np
import pytest
from made_jobs import schedule_of
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.predict import (
    Prediction,
    bootstrap,
    losses,
    quartile,
    reliability,
    score,
    split,
)

# Central 50 % from e^4 to e^6, 80 % from e^3 to e^7, 90 % and 95 % in the tails.
THREE = Prediction([0.1, 0.25, 0.75, 0.9], [[3.0, 4.0, 6.0, 7.0]] * 3)
CAME = np.exp([5.0, 6.5, 9.0])


def test_losses_by_hand() -> None:
    table = losses(THREE, CAME)
    assert_allclose(table["absolute_error"], [0.0, exp(6.5) - exp(5), exp(9) - exp(5)], atol=1e-9)
    assert table["cover_50"].tolist() == [1, 0, 0]
    assert table["cover_80"].tolist() == [1, 1, 0]
    assert_allclose(table["width_50"], 2.0)
    assert_allclose(table["width_80"], 4.0)
    # The tails have scale 0.1 / 0.15: their 5 % quantile lies log(2) scales out.
    assert_allclose(table["width_90"], 4 + 2 * log(2) * 2 / 3)
    assert_allclose(table["width_95"], 4 + 2 * log(4) * 2 / 3)


def test_an_interval_holds_its_ends() -> None:
    assert losses(THREE, np.exp([4.0, 6.0, 6.0 + 1e-9]))["cover_50"].tolist() == [1, 1, 0]


def test_scores_are_means_of_all_jobs_or_of_groups() -> None:
    everyone = score(THREE, CAME).loc["all"]
    assert everyone["n"] == 3
    assert_allclose(everyone["cover_80"], 2 / 3)
    assert_allclose(everyone["median_ae"], exp(6.5) - exp(5))
    assert_allclose(everyone["mae"], losses(THREE, CAME)["absolute_error"].mean())
    by = score(THREE, CAME, by=["a", "b", "b"])
    assert by["n"].to_dict() == {"a": 1, "b": 2}
    assert by["cover_80"].to_dict() == {"a": 1.0, "b": 0.5}


def test_a_single_guess_may_be_another_than_the_median() -> None:
    assert score(THREE, CAME, point=CAME + 60.0).loc["all", "mae"] == 60.0


def test_reliability() -> None:
    table = reliability(THREE, CAME, [0.25, 0.5, 0.9])
    assert table["level"].tolist() == [0.25, 0.5, 0.9]
    assert_allclose(table["observed"], [0.0, 1 / 3, 2 / 3])


def test_quartiles_keep_equal_sizes_together() -> None:
    assert quartile([1, 2, 3, 4, 5, 6, 7, 8]).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert quartile([1, 1, 1, 1, 1, 8, 8, 9]).tolist() == [1, 1, 1, 1, 1, 2, 2, 3]


def test_bootstrap_draws_whole_blocks() -> None:
    # Two blocks, one all 0 and one all 1: the mean of a resample is 0, 1/2 or 1.
    times = np.repeat([0.0, 10.0], 50)
    found = bootstrap(times / 10, times, block_s=5.0)
    assert found == (0.5, 0.0, 1.0)
    narrow = bootstrap(np.tile([0.0, 1.0], 50), times, block_s=5.0)
    assert narrow == (0.5, 0.5, 0.5)


def test_a_paired_difference_is_surer_than_the_scores() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 1e7, 2000))
    level = np.repeat(rng.normal(5, 3, 20), 100)
    one, other = level + rng.normal(0, 0.1, 2000), level + 0.2 + rng.normal(0, 0.1, 2000)
    gain = bootstrap(other - one, times)
    alone = bootstrap(one, times)
    assert 0.1 < gain.low < gain.mean < gain.high < 0.3
    assert alone.high - alone.low > 10 * (gain.high - gain.low)
    assert bootstrap(one, times) == alone


def test_bad_input_of_the_bootstrap() -> None:
    with pytest.raises(ValueError, match=r"block_s\(=100\); pass shorter blocks"):
        bootstrap([1.0, 2.0], [0.0, 1.0], block_s=100.0)
    with pytest.raises(ValueError, match=r"values\[1\] is missing"):
        bootstrap([1.0, np.nan], [0.0, 1e9])


def test_split_learns_from_no_job_that_had_not_ended() -> None:
    job = {"procs": 1, "runtime_s": 10.0}
    rows = [job | {"submit_s": float(at)} for at in range(0, 100, 10)]
    rows[5]["runtime_s"] = 20.0 + 1e-3
    schedule = schedule_of(rows, starts=range(0, 100, 10))
    train, test = split(schedule, 0.7)
    assert train.tolist() == [0, 1, 2, 3, 4, 6]
    assert test.tolist() == [7, 8, 9]


@pytest.mark.parametrize("share", [0.0, 1.0, 0.001])
def test_a_split_that_leaves_nothing_is_refused(schedule: ew.Schedule, share: float) -> None:
    with pytest.raises(ValueError, match=r"share\(=.*leaves none on one side"):
        split(schedule, share)
