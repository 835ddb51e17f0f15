"""Every job's share of the meter: by hand, in sum, and at speed's expense of nothing."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.attribution import attribute


def jobs_of(*rows: tuple[float, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["submit_s", "runtime_s", "procs"]).assign(
        requested_s=lambda table: table["runtime_s"]
    )


def test_overhead_goes_to_who_runs_and_the_empty_hour_to_all(
    make_intensity: Callable[..., ew.Intensity],
) -> None:
    # Two nodes of one processor, 100 W idle and 200 W busy. One job of an hour on both, an hour
    # in which nothing runs, then one of half an hour on one.
    workload = ew.Workload(jobs_of((0, 3600, 2), (7200, 1800, 1)), procs=2)
    platform = ew.Platform.uniform(2, 2, idle_w=100, busy_w=200, pue=1.5)
    schedule = ew.replay(workload, "fcfs", platform)
    intensity = make_intensity("2024-01-01T00:00Z", [100.0, 300.0, 200.0, 400.0, 500.0] * 100)
    account = ew.account(ew.power(schedule), intensity)
    table = attribute(schedule, account)
    work = np.array([2 * 3600, 1800])
    assert_allclose(table["own_kwh"], np.array([200 * 1.0, 100 * 0.5]) * 1.5 / 1e3)
    assert_allclose(table["shared_kwh"], np.array([200 * 1.0, 200 * 0.5]) * 1.5 / 1e3)
    assert_allclose(table["empty_kwh"], 200 * 1.0 * work / work.sum() * 1.5 / 1e3)
    # Half-hours of 100 and 300 g, then 200 and 400 g empty, then 500 g.
    assert_allclose(table["own_kgco2e"], np.array([0.2 * 200, 0.05 * 500]) * 1.5 / 1e3)
    assert_allclose(table["shared_kgco2e"], np.array([0.2 * 200, 0.1 * 500]) * 1.5 / 1e3)
    assert_allclose(table["empty_kgco2e"], 0.2 * 300 * work / work.sum() * 1.5 / 1e3)


@pytest.fixture(scope="module")
def year() -> ew.Intensity:
    return ew.load_intensity("tiny")


@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(1, 20_000), st.integers(1, 8)),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([None, 0.0, 900.0]),
    st.sampled_from([1.0, 1.37]),
)
def test_the_jobs_sum_is_the_meter(
    year: ew.Intensity, rows: list[tuple[float, float, int]], sleep_s: float | None, pue: float
) -> None:
    workload = ew.Workload(jobs_of(*sorted(rows)), procs=8, nodes=4)
    policy = ew.Policy(backfill="easy", sleep_after_s=sleep_s)
    schedule = ew.replay(workload, policy, ew.Platform.uniform(4, 8, pue=pue))
    account = ew.account(ew.power(schedule), year)
    table = attribute(schedule, account)
    assert_allclose(table["energy_kwh"].sum(), account.energy_kwh, rtol=1e-9)
    assert_allclose(table["carbon_kgco2e"].sum(), account.carbon_kgco2e, rtol=1e-9)
    parts = table[["own_kwh", "shared_kwh", "empty_kwh"]]
    assert (parts.to_numpy() >= -1e-12).all()


def test_the_sum_holds_on_a_real_trace(real_data: object, year: ew.Intensity) -> None:
    schedule = ew.replay(ew.load("KTH-SP2"), "easy")
    account = ew.account(ew.power(schedule), ew.load_intensity("GB-2023"))
    table = attribute(schedule, account)
    assert_allclose(table["energy_kwh"].sum(), account.energy_kwh, rtol=1e-9)
    assert_allclose(table["carbon_kgco2e"].sum(), account.carbon_kgco2e, rtol=1e-9)


def test_the_account_of_another_schedule_is_refused(year: ew.Intensity) -> None:
    workload = ew.Workload(jobs_of((0, 3600, 2), (0, 3600, 2)), procs=2)
    one = ew.replay(workload, "fcfs")
    other = ew.replay(workload, "fcfs", ew.Platform.uniform(2, 2, busy_w=500))
    with pytest.raises(ValueError, match="is not the account's"):
        attribute(one, ew.account(ew.power(other), year))
