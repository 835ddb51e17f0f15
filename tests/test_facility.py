"""PUE by load and season: literal watts, a sum over seconds, and jobs that add up to the meter."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_workload
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.power import PowerProfile
from exawatt.units import UnitWarning

FLAT = ew.Intensity(pd.Timestamp("2023-01-01", tz="UTC"), np.full(365 * 48, 100.0))
SEASONS = (0.5, 0.5, 0.8, 1.0, 1.2, 1.6, 2.0, 2.0, 1.4, 1.0, 0.7, 0.5)


def at_1_kw(hours: float, start: str, pue: float | ew.Pue) -> PowerProfile:
    begin = pd.Timestamp(start, tz="UTC")
    edges_s = np.array([0.0, hours * 3600])
    return PowerProfile(edges_s, np.array([1000.0]), pue, begin, "Europe/London")


def test_a_constant_is_a_ratio() -> None:
    account = ew.account(at_1_kw(3, "2023-01-18", 1.5), FLAT)
    assert account.energy_kwh == pytest.approx(4.5, rel=1e-12)
    assert account.carbon_kgco2e == pytest.approx(0.45, rel=1e-12)


def test_load_and_season_by_hand() -> None:
    # January: 1 kW + 0.5 (0.2 * 1 kW + 400 W) = 1.3 kW; July: 1 kW + 2 (200 W + 400 W) = 2.2 kW.
    pue = ew.Pue(1.2, fixed_w=400, by_month=SEASONS)
    january = ew.account(at_1_kw(2, "2023-01-18", pue), FLAT)
    july = ew.account(at_1_kw(2, "2023-07-19", pue), FLAT)
    assert january.energy_kwh == pytest.approx(2.6, rel=1e-12)
    assert july.energy_kwh == pytest.approx(4.4, rel=1e-12)


def test_the_month_is_that_of_the_wall_clock() -> None:
    # From 22:00 UTC on 30 June, 23:00 in London: an hour of June at 1.16 kW, one of July at 1.2.
    pue = ew.Pue(1.1, by_month=SEASONS)
    account = ew.account(at_1_kw(2, "2023-06-30 22:00", pue), FLAT)
    assert list(account.half_hours["energy_kwh"]) == pytest.approx([0.58, 0.58, 0.6, 0.6])


def test_idle_overhead_counts_only_within_the_window() -> None:
    # 00:10 to 00:40: half an hour at 1 kW and 500 W beside, in two half-hours.
    account = ew.account(at_1_kw(0.5, "2023-01-18 00:10", ew.Pue(fixed_w=500)), FLAT)
    assert account.energy_kwh == pytest.approx(0.75, rel=1e-12)
    assert list(account.half_hours["energy_kwh"]) == pytest.approx([0.5, 0.25])


def test_losses_of_a_supply_are_of_this_form() -> None:
    # Two converters in a row: 13 W and 2 % lost in the first, 17 W and 4 % in the second.
    load_w = np.array([200.0, 1500.0])
    first, second = ew.Pue(1 / 0.98, 13 / 0.98), ew.Pue(1 / 0.96, 17 / 0.96)
    for converter in (first, second):
        factor, fixed_w = converter.coefficients(1)
        load_w = factor * load_w + fixed_w
    expected = ((np.array([200.0, 1500.0]) + 13) / 0.98 + 17) / 0.96
    assert_allclose(load_w, expected, rtol=1e-12)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(1, 3), st.integers(1, 5000)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["2023-01-31 22:40:11", "2023-06-30 22:59:59", "2023-09-30 21:00:00"]),
    st.floats(1, 2),
    st.floats(0, 1000),
    st.integers(0, 99),
)
def test_facility_carbon_equals_a_sum_over_seconds(
    rows: list[tuple[int, int, int]], start: str, proportional: float, fixed_w: float, seed: int
) -> None:
    begin = pd.Timestamp(start, tz="UTC")
    grams = np.random.default_rng(seed).uniform(20, 400, 365 * 48)
    series = ew.Intensity(FLAT.start, grams)
    pue = ew.Pue(proportional, fixed_w, SEASONS)
    jobs = [(submit, procs, runtime, runtime) for submit, procs, runtime in sorted(rows)]
    workload = make_workload(jobs, 3, start=begin, timezone="Europe/London")
    schedule = ew.replay(workload, "easy", ew.Platform.uniform(3, 3, pue=pue))
    account = ew.account(ew.power(schedule), series)

    first, last = (int(moment) for moment in schedule.window_s)
    watts = np.full(last - first, 3 * 95.0)
    for i in range(len(jobs)):
        run = slice(int(schedule.start_s[i]) - first, int(schedule.end_s[i]) - first)
        watts[run] += schedule.procs[i] * 95.738
    second = begin + pd.to_timedelta(np.arange(first, last), unit="s")
    season = np.array(SEASONS)[second.tz_convert("Europe/London").month - 1]
    facility_w = watts + season * ((proportional - 1) * watts + fixed_w)
    half_hour = ((second - FLAT.start).total_seconds() // 1800).astype(int)
    assert account.energy_kwh == pytest.approx(facility_w.sum() / 3.6e6, rel=1e-6)
    expected = (facility_w * grams[half_hour]).sum() / 3.6e9
    assert account.carbon_kgco2e == pytest.approx(expected, rel=1e-6)

    table = ew.attribute(schedule, account)
    assert_allclose(table["energy_kwh"].sum(), account.energy_kwh, rtol=1e-9)
    assert_allclose(table["carbon_kgco2e"].sum(), account.carbon_kgco2e, rtol=1e-9)


def test_what_a_facility_draws_beside_is_shared_as_overhead() -> None:
    # One node of 100 W idle and 200 W busy, an hour's job: 100 W of its own at a factor of 1.1,
    # and 1.1 * 100 W + 50 W of overhead.
    workload = make_workload([(0, 1, 3600, 3600)], 1)
    platform = ew.Platform.uniform(1, 1, pue=ew.Pue(1.1, 50), idle_w=100, busy_w=200)
    schedule = ew.replay(workload, "easy", platform)
    [row] = ew.attribute(schedule, ew.account(ew.power(schedule), FLAT)).itertuples()
    assert (row.own_kwh, row.shared_kwh) == pytest.approx((0.11, 0.16))


def test_an_account_may_be_made_anew_with_another_pue() -> None:
    schedule = ew.replay(make_workload([(0, 1, 3600, 3600)], 1), "easy")
    power = ew.power(schedule)
    account = ew.account(replace(power, pue=ew.Pue(1.3, 100)), FLAT)
    assert account.energy_kwh == pytest.approx(1.3 * 0.190738 + 0.1)
    table = ew.attribute(schedule, account)
    assert_allclose(table["energy_kwh"].sum(), account.energy_kwh, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"proportional": 0.9}, "0.9"),
        ({"proportional": float("nan")}, "nan"),
        ({"fixed_w": -5.0}, "-5.0"),
        ({"by_month": (1.0,) * 11}, "12 factors"),
        ({"by_month": (-1.0,) * 12}, "-1.0"),
    ],
)
def test_what_no_facility_can_be_is_refused(arguments: dict[str, object], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        ew.Pue(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("pue", [0.5, float("nan")])
def test_a_platform_refuses_the_same(pue: float) -> None:
    with pytest.raises(ValueError, match=f"pue.={pue}.*at least 1"):
        ew.Platform.uniform(1, 1, pue=pue)


def test_what_looks_like_another_unit_is_doubted() -> None:
    with pytest.warns(UnitWarning, match=r"pue\(=120\).*ratio"):
        ew.Pue(120.0)
    with pytest.warns(UnitWarning, match=r"busy_w\(=0.19\).*watts"):
        ew.Partition(1, 1, idle_w=0.095, busy_w=0.19)
    kilograms = replace(FLAT, gco2_per_kwh=FLAT.gco2_per_kwh / 1000)
    with pytest.warns(UnitWarning, match=r"gco2_per_kwh\(=0.1\)"):
        ew.account(at_1_kw(1, "2023-01-18", 1.0), kilograms)
    with pytest.warns(UnitWarning, match=r"gco2_per_kwh\(=100000\)"):
        ew.account(
            at_1_kw(1, "2023-01-18", 1.0), replace(FLAT, gco2_per_kwh=1000 * FLAT.gco2_per_kwh)
        )


@pytest.mark.parametrize("watts", [-1.0, float("nan")])
def test_power_below_zero_is_refused(watts: float) -> None:
    with pytest.raises(ValueError, match=f"watts.={watts:g}"):
        PowerProfile(np.array([0.0, 1, 2]), np.array([5.0, watts]))
