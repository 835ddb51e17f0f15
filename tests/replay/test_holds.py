"""Carbon holds on examples worked by hand, by the library and by the reference."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_workload
from hypothesis import given
from hypothesis import strategies as st
from reference import CarbonHold, Forecast, Job, Partition, Policy
from strategies import MONDAY, Case, replay_case
from test_reference import assert_equals_reference

import exawatt as ew
from exawatt.replay.deadlines import latest_starts, next_workday, semi_weekly

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)

HOUR = 3600.0
#: Half-hours from a Monday's midnight on, told without error.
COMING = (100, 90, 60, 95, 100, 20, *[100] * 40)
LEADS = 16


def told(errors: float | None = None) -> Forecast:
    rows = tuple(tuple(map(float, COMING[i : i + LEADS])) for i in range(len(COMING) - LEADS + 1))
    return Forecast(0.0, rows, () if errors is None else ((errors,) * 3,) * LEADS)


def starts(hold: CarbonHold, *jobs: Job, errors: float | None = None) -> list[float]:
    """Starts of jobs on a machine of two processors, which the reference confirms."""
    case = Case(
        list(jobs),
        (Partition(nodes=2, procs=2),),
        Policy(backfill="easy", hold=hold),
        told(errors),
    )
    assert_equals_reference(case)
    return list(replay_case(case).start_s)


def job(length_s: float, procs: int = 1) -> Job:
    return Job(0.0, procs, length_s, length_s)


#: Means over an hour from each half-hour on: 95, 75, 77.5, 97.5, 60, 60, 100 ...
WINDOWS = CarbonHold(3 * HOUR)


def test_window_waits_for_the_lowest_mean_over_the_run() -> None:
    # From 60 on, nothing is 5 % lower.
    assert starts(WINDOWS, job(HOUR)) == [4 * 1800]
    # At 1800 s 75 g are the present; 60 is not below 0.75 * 75 = 56.25.
    assert starts(replace(WINDOWS, min_saving=0.25), job(HOUR)) == [1800]


def test_slot_waits_for_the_lowest_half_hour_however_long_the_run() -> None:
    slot = replace(WINDOWS, rule="slot")
    assert starts(slot, job(HOUR)) == starts(slot, job(20 * HOUR)) == [5 * 1800]
    # Two hours reach to the half-hour of 100; at 3600 s nothing later is below 0.95 * 60.
    assert starts(replace(slot, budget_s=2 * HOUR), job(HOUR)) == [2 * 1800]


def test_carbon_time_weighs_what_is_saved_against_the_time_to_completion() -> None:
    # Of an hour: (95 - 75) / (1800 + 3600) = 0.0037 g/s beats (95 - 60) / (7200 + 3600) = 0.0032,
    # also when it is looked at again at 1800 s, where 75 would be the present.
    rule = replace(WINDOWS, rule="carbon-time")
    assert starts(rule, job(HOUR)) == [1800]
    # Of half an hour: (100 - 60) / 5400 equals (100 - 20) / 10800; the earlier is taken.
    assert starts(rule, job(1800)) == [3600]
    # What is planned, 20 of 95 g, must be worth it: 75 is not below 0.75 * 95 = 71.25.
    assert starts(replace(rule, min_saving=0.25), job(HOUR)) == [0]


def test_threshold_waits_for_it_without_looking_ahead() -> None:
    rule = CarbonHold(3 * HOUR, rule="threshold", threshold_gco2_per_kwh=60.0)
    assert starts(rule, job(HOUR)) == [2 * 1800]
    # 50 comes with the half-hour of 20; 10 never, so that the budget is spent in vain.
    assert starts(replace(rule, threshold_gco2_per_kwh=50.0), job(HOUR)) == [5 * 1800]
    assert starts(replace(rule, threshold_gco2_per_kwh=10.0), job(HOUR)) == [3 * HOUR]


def test_quantile_waits_while_enough_half_hours_are_lower() -> None:
    # At 0 the seven are 100, 90, 60, 95, 100, 20, 100: four are lower, and 0.25 * 7 = 1.75. At
    # 1800 s, of 90, 60, 95, 100, 20, 100 two, and 1.5. At 3600 s, of five one, and 1.25.
    rule = CarbonHold(3 * HOUR, rule="quantile", quantile=0.25)
    assert starts(rule, job(HOUR)) == [2 * 1800]
    # 0.2 * 5 = 1: 60 is above the first smallest, 20.
    assert starts(replace(rule, quantile=0.2), job(HOUR)) == [5 * 1800]


def test_a_level_makes_later_half_hours_look_worse() -> None:
    # With 45 g more, the half-hour of 20 counts as 65: enough for 100 and 90, not for 60.
    slot = replace(WINDOWS, rule="slot", level=0.75)
    assert starts(slot, job(HOUR), errors=45.0) == [2 * 1800]
    # An hour from 1800 s on counts as 120, one from 7200 s on as 105: more than the 95 of now.
    assert starts(replace(WINDOWS, level=0.75), job(HOUR), errors=45.0) == [0]
    assert starts(replace(WINDOWS, level=0.75), job(HOUR), errors=0.0) == [4 * 1800]


@pytest.mark.parametrize(
    ("deadline", "length_h", "start_s"),
    [
        (None, 8.0, 3 * HOUR),
        ("next-workday", 8.0, HOUR),  # from 01:00 to 09:00
        ("next-workday", 8.75, 0.0),  # until 00:15, before the next half-hour
        ("next-workday", 10.0, 0.0),  # ends in working hours
        ("next-workday", 18.0, 3 * HOUR),  # has until Tuesday
        ("semi-weekly", 8.0, HOUR),
        ("semi-weekly", 10.0, 3 * HOUR),  # has until Thursday
    ],
)
def test_a_deadline_ends_holds(deadline: str | None, length_h: float, start_s: float) -> None:
    never = CarbonHold(3 * HOUR, rule="threshold", threshold_gco2_per_kwh=1.0, deadline=deadline)
    assert starts(never, job(length_h * HOUR)) == [start_s]


def test_deadlines_are_of_the_wall_clock() -> None:
    # Second 0 is Friday, 24 March 2023, 12:00 in London; on Sunday clocks go forward. A job of
    # 6 h ends at 18:00, so that it has until Monday, 09:00 there, 08:00 UTC: 68 h on.
    origin = pd.Timestamp("2023-03-24 12:00", tz="UTC")
    for deadline in (next_workday, semi_weekly):
        found = latest_starts(np.zeros(1), np.array([6 * HOUR]), deadline, origin, "Europe/London")
        assert found == [62 * HOUR]


def alone(coming: Sequence[float], hold: ew.CarbonHold, submit_s: float, length_s: float) -> float:
    """Start of a job that finds a free machine; the forecast, without error, reaches far."""
    leads = len(coming) // 2
    rows = np.array([coming[i : i + leads] for i in range(leads)], np.float64)
    # A job without processors to share at the origin lays the trace on the forecast.
    first = (0.0, 1, 1.0, 1.0)
    workload = make_workload([first, (submit_s, 1, length_s, length_s)], 2)
    policy = ew.Policy(backfill="easy", hold=hold)
    return float(ew.replay(workload, policy, forecast=ew.Forecast(MONDAY, rows)).start_s[1])


def mean(coming: Sequence[float], start_s: float, length_s: float) -> float:
    edges = np.append(0.0, np.cumsum(coming)) * 1800
    times = np.arange(len(coming) + 1) * 1800.0
    until = np.interp([start_s, start_s + length_s], times, edges)
    return float(until[1] - until[0]) / length_s


@given(
    coming=st.lists(st.integers(1, 9), min_size=60, max_size=60),
    submit_s=st.integers(0, 8).map(lambda n: 450.0 * n),
    length_s=st.integers(1, 16).map(lambda n: 900.0 * n),
    budget_s=st.integers(0, 8).map(lambda n: HOUR * n),
    min_saving=st.sampled_from([0.0, 0.25]),
)
def test_without_error_carbon_time_starts_as_planned_at_the_first_look(
    coming: list[int], submit_s: float, length_s: float, budget_s: float, min_saving: float
) -> None:
    ticks = 1800.0 * np.arange(len(coming))
    candidates = ticks[(ticks > submit_s) & (ticks <= submit_s + budget_s)]
    first = mean(coming, submit_s, length_s)
    planned, most = submit_s, 0.0
    for start in candidates.tolist():
        gain = (first - mean(coming, start, length_s)) / (start - submit_s + length_s)
        if gain > most:
            planned, most = start, gain
    if mean(coming, planned, length_s) >= (1 - min_saving) * first:
        planned = submit_s
    hold = ew.CarbonHold(budget_s, min_saving, rule="carbon-time")
    assert alone(coming, hold, submit_s, length_s) == planned
