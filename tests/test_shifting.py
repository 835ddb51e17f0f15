"""Let's Wait Awhile, in its own setting: published figures, and what must always hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt import shifting

# P. Wiesner et al., Middleware 2021, figures of Great Britain in 2020: savings by flexibility
# [half-hours], with a perfect forecast and with one of 5 % error.
NIGHTLY = {4: 6.81, 8: 8.61, 12: 9.12, 16: 10.41}
NIGHTLY_WITH_ERROR = 7.95
MEAN = {0: 184.096, 4: 171.555, 8: 168.241, 12: 167.315, 16: 164.924}
PROJECT = {
    (shifting.next_day_at_nine, False): 6.57,
    (shifting.next_day_at_nine, True): 9.23,
    (shifting.semi_weekly, False): 14.75,
    (shifting.semi_weekly, True): 20.00,
}
DAYS = 365


@pytest.fixture(scope="module")
def britain(real_data: Path) -> np.ndarray:
    """Return the paper's series from 2020 on, its readings on the hour and half-hour."""
    path = real_data / "carbon-gb" / "lets-wait-awhile_gb_ci_2019-12_2021-01.csv.gz"
    series = pd.read_csv(path, index_col=0, parse_dates=True)["Carbon Intensity"]
    return series[series.index.minute % 30 == 0]["2020-01-01":].to_numpy()


@pytest.mark.parametrize("flexibility", MEAN)
def test_the_nightly_means_are_those_published(britain: np.ndarray, flexibility: int) -> None:
    load = shifting.nightly(britain, flexibility, DAYS)
    assert britain @ load / DAYS == pytest.approx(MEAN[flexibility], abs=5e-4)


@pytest.mark.parametrize("flexibility", NIGHTLY)
def test_the_nightly_savings_are_those_published(britain: np.ndarray, flexibility: int) -> None:
    before = britain @ shifting.nightly(britain, 0, DAYS)
    after = britain @ shifting.nightly(britain, flexibility, DAYS)
    assert 100 * (1 - after / before) == pytest.approx(NIGHTLY[flexibility], abs=0.1)


def test_the_nightly_saving_with_errors_is_that_published(britain: np.ndarray) -> None:
    before = britain @ shifting.nightly(britain, 0, DAYS)
    after = [
        britain @ shifting.nightly(shifting.with_error(britain, 0.05, seed), 16, DAYS)
        for seed in range(10)
    ]
    saving = 100 * (1 - np.mean(after) / before)
    assert saving == pytest.approx(NIGHTLY_WITH_ERROR, abs=0.1)


@pytest.mark.parametrize(("deadline", "interrupting"), PROJECT)
def test_the_projects_savings_are_those_published(
    britain: np.ndarray, deadline: shifting.Deadline, interrupting: bool
) -> None:
    jobs = shifting.machine_learning_project()
    before = britain @ shifting.shifted(jobs, britain)
    after = britain @ shifting.shifted(jobs, britain, deadline, interrupting=interrupting)
    assert 100 * (1 - after / before) == pytest.approx(PROJECT[deadline, interrupting], abs=0.5)


def test_deadlines_by_day_and_hour() -> None:
    # 2020-06-01 was a Monday.
    finish = pd.DatetimeIndex(
        [
            "2020-06-01 08:30",
            "2020-06-01 09:00",
            "2020-06-01 17:00",
            "2020-06-01 17:30",
            "2020-06-05 17:30",
            "2020-06-06 12:00",
            "2020-06-07 03:00",
        ]
    )
    nine = "2020-06-0{} 09:00".format
    assert [*shifting.next_workday(finish)] == [
        *pd.DatetimeIndex([nine(1), nine(1), finish[2], nine(2), nine(8), nine(8), nine(8)])
    ]
    assert shifting.next_day_at_nine(finish)[4] == pd.Timestamp(nine(6))
    assert [*shifting.next_day_at_nine(finish).delete(4)] == [
        *shifting.next_workday(finish).delete(4)
    ]
    assert [*shifting.semi_weekly(finish)] == [
        *pd.DatetimeIndex([nine(1), nine(1), nine(4), nine(4), nine(8), nine(8), nine(8)])
    ]


def test_a_small_case_by_hand() -> None:
    values = np.full(48 * 8, 9.0)
    values[[36, 38, 39]] = 3.0, 1.0, 2.0  # 18:00, 19:00 and 19:30 of Monday 2020-06-01
    jobs = shifting.Jobs(pd.Timestamp("2020-06-01"), np.array([32]), np.array([3]))
    on_arrival = shifting.shifted(jobs, values)
    assert [*np.flatnonzero(on_arrival)] == [32, 33, 34]
    stretch = shifting.shifted(jobs, values, shifting.next_workday)
    assert [*np.flatnonzero(stretch)] == [37, 38, 39]
    apart = shifting.shifted(jobs, values, shifting.next_workday, interrupting=True)
    assert [*np.flatnonzero(apart)] == [36, 38, 39]


@given(
    st.lists(st.integers(0, 500), min_size=48 * 9, max_size=48 * 9),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), min_size=1, max_size=5),
    st.booleans(),
)
def test_more_freedom_never_emits_more(
    values: list[int], drawn: list[tuple[int, int]], semi: bool
) -> None:
    actual = np.array(values, float)
    begin, length = np.array(drawn).T
    jobs = shifting.Jobs(pd.Timestamp("2020-06-01"), begin, length)
    deadline = shifting.semi_weekly if semi else shifting.next_workday
    loads = [
        shifting.shifted(jobs, actual),
        shifting.shifted(jobs, actual, deadline),
        shifting.shifted(jobs, actual, deadline, interrupting=True),
    ]
    assert [load.sum() for load in loads] == [length.sum()] * 3
    emitted = [actual @ load for load in loads]
    assert emitted[0] >= emitted[1] >= emitted[2]


@pytest.mark.parametrize(("flexibility", "days"), [(-1, 3), (0, 0), (2, 9)])
def test_what_cannot_be_shifted_is_refused(flexibility: int, days: int) -> None:
    with pytest.raises(ValueError, match=r"flexibility\(=-1\)|days\(=\d\)"):
        shifting.nightly(np.ones(96), flexibility, days)
