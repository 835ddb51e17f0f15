"""Nobody peeks: what comes after a moment changes no forecast and no decision up to it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_workload
from hypothesis import given, settings
from hypothesis import strategies as st
from made_series import DAY, MONDAY, WEEK, made, past, wavy
from numpy.testing import assert_array_equal
from strategies import Case, cases, replay_case

import exawatt as ew
from exawatt.forecast import Forecast, climatology, perfect, persistence, regression, synthetic
from exawatt.replay.policy import ALIASES

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)

HISTORY = past()
Forecaster = Callable[[ew.Intensity], Forecast]
FORECASTERS: dict[str, Forecaster] = {
    "persistence": lambda series: persistence(series, history=HISTORY),
    "climatology": lambda series: climatology(HISTORY, series),
    "regression": lambda series: regression(HISTORY, series),
}


def with_another_future(series: ew.Intensity, known: int, seed: int) -> ew.Intensity:
    """The series with other values, and another gap, from half-hour `known` on; filled."""
    rng = np.random.default_rng(seed)
    values = series.gco2_per_kwh.copy()
    values[known:] = rng.uniform(20, 400, values.size - known)
    values[known + 5 : known + 15] = np.nan
    return made(values).fill_gaps("week")


def gappy(n: int, seed: int) -> ew.Intensity:
    rng = np.random.default_rng(seed)
    values = wavy(n, seed).gco2_per_kwh.copy()
    values[DAY:][rng.random(n - DAY) < 0.05] = np.nan
    return made(values)


@pytest.mark.parametrize("name", FORECASTERS)
@settings(max_examples=15)
@given(known=st.integers(DAY, 3 * WEEK - 1), seed=st.integers(0, 99))
def test_no_forecast_knows_what_comes_after_its_issue(name: str, known: int, seed: int) -> None:
    # At the issue of half-hour `known` all before it has passed, and it itself has not.
    series = gappy(3 * WEEK, seed)
    issued = FORECASTERS[name](series.fill_gaps("week"))
    again = FORECASTERS[name](with_another_future(series, known, seed))
    rows = known + 1 - (issued.start - MONDAY) // pd.Timedelta("30min")
    assert_array_equal(issued.gco2_per_kwh[:rows], again.gco2_per_kwh[:rows])
    assert_array_equal(issued.quantile(0.9)[:rows], again.quantile(0.9)[:rows])


@pytest.mark.parametrize("forecaster", [perfect, synthetic])
def test_simulated_forecasts_peek_and_the_test_would_find_it(forecaster: Forecaster) -> None:
    series = wavy(3 * WEEK)
    issued = forecaster(series)
    again = forecaster(with_another_future(series, WEEK, 0))
    assert (issued.gco2_per_kwh[: WEEK + 1] != again.gco2_per_kwh[: WEEK + 1]).any()


def decided_before(schedule: ew.Schedule, moment_s: float) -> set[tuple[float, ...]]:
    """Row, choice, start and frequency of each job that was chosen before a moment."""
    columns = (schedule.chosen_s, schedule.start_s, schedule.frequency)
    decisions = np.column_stack([np.arange(schedule.start_s.size), *columns])
    return {tuple(row) for row in decisions[schedule.chosen_s < moment_s].tolist()}


@pytest.mark.slow
@settings(max_examples=100)
@given(case=cases(hold=True), known=st.integers(1, 39), seed=st.integers(0, 99))
def test_no_policy_knows_a_later_forecast(case: Case, known: int, seed: int) -> None:
    forecast = case.forecast
    assert forecast is not None
    rows, later = forecast.gco2_per_kwh[:known], forecast.gco2_per_kwh[known:]
    other = np.random.default_rng(seed).integers(1, 9, np.shape(later)).astype(float).tolist()
    changed = replace(forecast, gco2_per_kwh=(*rows, *(tuple(row) for row in other)))
    moment_s = forecast.origin_s + 1800.0 * known
    schedule = replay_case(case)
    again = replay_case(replace(case, forecast=changed))
    assert decided_before(schedule, moment_s) == decided_before(again, moment_s)


HOLD = ew.CarbonHold(budget_s=12 * 3600.0, min_saving=0.02)
POLICIES = {name: replace(policy, hold=policy.hold or HOLD) for name, policy in ALIASES.items()} | {
    "sjf": ew.Policy(order="sjf", hold=HOLD),
    "guarded": ew.Policy(backfill="easy", max_wait_s=6 * 3600.0, hold=HOLD),
}
AT_A_LEVEL = {
    f"{rule} at a level": ew.Policy(backfill="easy", hold=replace(HOLD, rule=rule, level=0.75))
    for rule in ("window", "slot", "carbon-time")
}


def weeks_jobs() -> ew.Workload:
    """Jobs over a week that seldom queue, so that holds decide."""
    rng = np.random.default_rng(4)
    submit = np.sort(rng.integers(0, 7 * 86_400, 120)).astype(float)
    runtime = rng.integers(1800, 20_000, 120).astype(float)
    procs = rng.integers(1, 9, 120)
    rows = zip(submit, procs.tolist(), runtime, 2 * runtime, strict=True)
    return make_workload(rows, 32, start=MONDAY, timezone="UTC")


@pytest.mark.parametrize("policy", POLICIES | AT_A_LEVEL)
@pytest.mark.parametrize("name", FORECASTERS)
def test_no_decision_rests_on_what_comes_after_it(name: str, policy: str) -> None:
    # Persistence is issued from the second day on; nothing is held before.
    series, workload = wavy(3 * WEEK, seed=7), weeks_jobs()
    chosen = (POLICIES | AT_A_LEVEL)[policy]
    schedule = ew.replay(workload, chosen, forecast=FORECASTERS[name](series))
    starts = schedule.start_s
    for known in (60, 100, 150, 200, 250):
        changed = FORECASTERS[name](with_another_future(series, known, seed=known))
        again = ew.replay(workload, chosen, forecast=changed)
        moment_s = 1800.0 * (known + 1)
        assert decided_before(schedule, moment_s) == decided_before(again, moment_s)
        if name != "climatology":
            assert (again.start_s != starts).any(), "the future made no difference at all"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_forecast_that_peeks_is_found_out(policy: str) -> None:
    series, workload = wavy(3 * WEEK, seed=7), weeks_jobs()
    found = []
    for known in (60, 100, 150, 200, 250):
        decided = [
            decided_before(
                ew.replay(workload, POLICIES[policy], forecast=perfect(each)), 1800.0 * (known + 1)
            )
            for each in (series, with_another_future(series, known, seed=known))
        ]
        found.append(decided[0] != decided[1])
    assert any(found)
