"""The whole account: by hand, row by row against the total, and its ± against random errors."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.attribution import Shares
from exawatt.footprint import METHODS, ByJobs, ByTime, Footprint
from exawatt.halfhours import spread_of_jobs
from exawatt.market import flat

MONDAY = pd.Timestamp("2023-01-02", tz="UTC")
EMBODIED = ew.Embodied(1314.9, 0.0, lifetime_years=5)  # 0.03 kg an hour, 43,830 hours


def jobs_of(*rows: tuple[float, float, int, int, int]) -> pd.DataFrame:
    names = ["submit_s", "runtime_s", "procs", "user", "partition"]
    return pd.DataFrame(rows, columns=names).assign(requested_s=lambda table: table["runtime_s"])


def footprint_of(
    jobs: pd.DataFrame, series: ew.Intensity, platform: ew.Platform, **keywords: object
) -> Footprint:
    workload = ew.Workload(jobs, procs=platform.procs, nodes=platform.nodes, start=MONDAY)
    policy = ew.Policy(backfill="easy", sleep_after_s=keywords.pop("sleep_s", None))  # type: ignore[arg-type]
    schedule = ew.replay(workload, policy, platform)
    location = ew.account(ew.power(schedule), series)
    return Footprint(schedule, location, **keywords)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def by_hand() -> Footprint:
    # One node of two processors, 100 W idle and 200 W busy, PUE 1.5. User 7's job holds both
    # processors for an hour at 100 g, then nothing runs for an hour at 200 g, then user 8's holds
    # one for two hours at 300 g.
    grams = np.array([100.0] * 2 + [200.0] * 2 + [300.0] * 4)
    series = ew.Intensity(MONDAY, grams, timezone="UTC")
    platform = ew.Platform.uniform(1, 2, pue=1.5, idle_w=100, busy_w=200)
    jobs = jobs_of((0, 3600, 2, 7, 1), (7200, 7200, 1, 8, 2))
    market = replace(series, gco2_per_kwh=0.4 * grams)
    errors = ew.Uncertainty(0.03, 0.04, half_hour=0.0, embodied=0.2)
    footprint = footprint_of(jobs, series, platform, embodied=EMBODIED, uncertainty=errors)
    power = ew.power(footprint.schedule)
    others = {"market": ew.account(power, market), "marginal": ew.account(power, flat(series, 500))}
    return replace(footprint, **others)


# Energy: 1.5 * (200 Wh + 100 Wh + 2 * 150 Wh) = 0.3, 0.15 and 0.45 kWh: 0.9 kWh.
# Carbon: 0.03 + 0.03 + 0.135 = 0.195 kg. Embodied: four hours at 0.03 kg.


def test_totals_by_hand(by_hand: Footprint) -> None:
    values = {name: each.value for name, each in by_hand.total.items()}
    assert values == pytest.approx(
        {
            "energy_kwh": 0.9,
            "carbon_kgco2e": 0.195,
            "market_kgco2e": 0.4 * 0.195,
            "marginal_kgco2e": 0.45,
            "embodied_kgco2e": 0.12,
            "total_kgco2e": 0.195 + 0.12,
        }
    )


def test_uncertainties_by_hand(by_hand: Footprint) -> None:
    found = {name: each.u for name, each in by_hand.total.items()}
    assert found["energy_kwh"] == pytest.approx(0.03 * 0.9)
    assert found["carbon_kgco2e"] == pytest.approx(0.05 * 0.195)
    assert found["market_kgco2e"] == pytest.approx(0.05 * 0.078)
    assert found["embodied_kgco2e"] == pytest.approx(0.2 * 0.12)
    assert found["total_kgco2e"] == pytest.approx(np.hypot(0.05 * 0.195, 0.024))


@pytest.mark.parametrize(
    ("unit", "units"),
    # Two jobs; 2 + 2 processor-hours, of a node of two processors.
    [("job", 2), ("core-hour", 4), ("node-hour", 2)],
)
def test_sci_by_hand(by_hand: Footprint, unit: str, units: int) -> None:
    found = by_hand.sci(unit)  # type: ignore[arg-type]
    assert found.value == pytest.approx((195 + 120) / units)
    assert found.u == pytest.approx(1e3 * np.hypot(0.05 * 0.195, 0.024) / units)
    marginal = by_hand.sci(unit, method="marginal")  # type: ignore[arg-type]
    assert marginal.value == pytest.approx((450 + 120) / units)


def test_sci_refuses_the_market(by_hand: Footprint) -> None:
    with pytest.raises(ValueError, match=r"method\(='market'\).*location.*marginal"):
        by_hand.sci(method="market")
    with pytest.raises(ValueError, match=r"unit\(='hour'\).*core-hour"):
        by_hand.sci("hour")  # type: ignore[arg-type]


def test_users_by_hand(by_hand: Footprint) -> None:
    # Both jobs held two processor-hours, so that the empty hour is shared evenly.
    table = by_hand.by("user").set_index("user")
    assert list(table.index) == [7, 8]
    assert list(table["jobs"]) == [1, 1]
    assert list(table["core_hours"]) == [2, 2]
    assert list(table["energy_kwh"]) == pytest.approx([0.375, 0.525])
    assert list(table["carbon_kgco2e"]) == pytest.approx([0.045, 0.15])
    assert list(table["embodied_kgco2e"]) == pytest.approx([0.03 + 0.015, 0.06 + 0.015])
    assert list(table["total_kgco2e"]) == pytest.approx([0.09, 0.225])
    assert list(table["u_energy_kwh"]) == pytest.approx([0.03 * 0.375, 0.03 * 0.525])


def test_hours_by_hand(by_hand: Footprint) -> None:
    table = by_hand.by("hour")
    assert list(table["hour"]) == [0, 1, 2, 3]
    assert list(table["energy_kwh"]) == pytest.approx([0.3, 0.15, 0.225, 0.225])
    assert list(table["carbon_kgco2e"]) == pytest.approx([0.03, 0.03, 0.0675, 0.0675])
    assert list(table["embodied_kgco2e"]) == pytest.approx([0.03] * 4)
    assert list(by_hand.by("calendar-hour")["calendar-hour"]) == list(
        pd.date_range(MONDAY, periods=4, freq="h")
    )
    assert list(by_hand.by("month")["month"]) == ["2023-01"]
    assert list(by_hand.by("day")["day"]) == ["2023-01-02"]


def test_jobs_are_in_the_order_of_the_workload(by_hand: Footprint) -> None:
    table = by_hand.by("job")
    assert list(table["job"]) == [1, 2]
    assert list(table["user"]) == [7, 8]
    assert list(table["partition"]) == [1, 2]
    attributed = ew.attribute(by_hand.schedule, by_hand.location)
    for name in ("energy_kwh", "carbon_kgco2e"):
        assert_allclose(table[name], attributed[name], rtol=1e-12)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 200_000), st.integers(1, 30_000), st.integers(1, 8), *[st.integers(0, 3)] * 2
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module")
def random_series() -> ew.Intensity:
    grams = np.random.default_rng(1).uniform(20, 400, 365 * 48)
    return ew.Intensity(MONDAY - pd.Timedelta(days=1), grams)


@settings(max_examples=50)
@given(ROWS, st.sampled_from([None, 900.0]), st.sampled_from([1.0, ew.Pue(1.2, 300)]))
def test_every_table_adds_up_to_the_total(
    random_series: ew.Intensity,
    rows: list[tuple[int, int, int, int, int]],
    sleep_s: float | None,
    pue: float | ew.Pue,
) -> None:
    platform = ew.Platform.uniform(4, 8, pue=pue)
    footprint = footprint_of(jobs_of(*sorted(rows)), random_series, platform, sleep_s=sleep_s)
    marginal = ew.account(ew.power(footprint.schedule), flat(random_series, 450))
    footprint = replace(footprint, marginal=marginal)
    begin_s, end_s = footprint.schedule.window_s
    hours = (end_s - begin_s) / 3600
    assert footprint.total["energy_kwh"].value == pytest.approx(footprint.location.energy_kwh)
    expected = 4 * 1313 / (5 * 365.25 * 24) * hours
    assert footprint.total["embodied_kgco2e"].value == pytest.approx(expected, rel=1e-9)
    for key in (*get_args(ByTime), *get_args(ByJobs)):
        table = footprint.by(key)
        for name, each in footprint.total.items():
            assert_allclose(table[name].sum(), each.value, rtol=1e-9, err_msg=f"{name} by {key}")


def costs_of_jobs(footprint: Footprint) -> np.ndarray:
    """Carbon of each job in each half-hour, from what it pays of each half-hour alone."""
    table = footprint.location.half_hours
    costs = []
    for h in range(len(table)):
        grams = table["gco2_per_kwh"].where(table.index == h, 0.0)
        alone = replace(footprint.location, half_hours=table.assign(gco2_per_kwh=grams))
        shares = Shares.of(footprint.schedule, alone)
        costs.append(shares.paid(shares.carbon_prices(alone)))
    return np.array(costs).T


@settings(max_examples=30)
@given(ROWS, st.sampled_from([0.0, 0.73]), st.sampled_from([None, 900.0]))
def test_spread_of_jobs_is_the_sum_over_all_pairs(
    random_series: ew.Intensity,
    rows: list[tuple[int, int, int, int, int]],
    decay: float,
    sleep_s: float | None,
) -> None:
    platform = ew.Platform.uniform(4, 8)
    footprint = footprint_of(jobs_of(*sorted(rows)), random_series, platform, sleep_s=sleep_s)
    shares = Shares.of(footprint.schedule, footprint.location)
    runs = shares.runs(shares.carbon_prices(footprint.location))
    costs = costs_of_jobs(footprint)
    h = np.arange(costs.shape[1])
    correlation = decay ** np.abs(h[:, None] - h)
    groups = np.random.default_rng(len(rows)).integers(0, 3, len(rows))
    groups = np.unique(groups, return_inverse=True)[1]
    for each in (np.arange(len(rows)), groups):
        of_group = np.array([costs[each == group].sum(axis=0) for group in range(each.max() + 1)])
        expected = np.einsum("gi,ij,gj->g", of_group, correlation, of_group)
        assert_allclose(spread_of_jobs(runs, each, decay), expected, rtol=1e-7)


def test_uncertainty_is_that_of_random_errors(random_series: ew.Intensity) -> None:
    # Errors are drawn 20,000 times: power, intensity and embodied once each, half-hours as an
    # autoregressive series. A standard deviation of as many draws is known to 0.5 %.
    rng = np.random.default_rng(3)
    drawn_rows = sorted(rng.integers(1, 9, (30, 3)).tolist())
    rows = [(7200 * hour, 9000, procs, user, 0) for hour, procs, user in drawn_rows]
    errors = ew.Uncertainty(0.05, 0.04, half_hour=0.3, autocorrelation=0.7, embodied=0.2)
    platform = ew.Platform.uniform(4, 8)
    footprint = footprint_of(jobs_of(*rows), random_series, platform, uncertainty=errors)
    n, half_hours = 20_000, len(footprint.location.half_hours)
    power, intensity, embodied = (1 + u * rng.standard_normal(n) for u in (0.05, 0.04, 0.2))
    noise = rng.standard_normal((half_hours, n))
    for h in range(1, half_hours):
        noise[h] = 0.7 * noise[h - 1] + np.sqrt(1 - 0.7**2) * noise[h]

    def drawn(costs: np.ndarray) -> np.ndarray:
        """Carbon of each row of costs by half-hour, with its errors, to first order."""
        clean = costs.sum(axis=1)[:, None]
        return clean * (power + intensity - 1) + 0.3 * (costs @ noise)

    costs = costs_of_jobs(footprint)
    users, labels = pd.factorize(footprint.schedule.workload.jobs["user"], sort=True)
    of_user = np.array([costs[users == user].sum(axis=0) for user in range(len(labels))])
    hours = footprint.location.half_hours["time"].dt.hour
    by_hour = pd.get_dummies(hours).to_numpy().T * costs.sum(axis=0)
    for key, rows_ in (("job", costs), ("user", of_user), ("hour", by_hour)):
        table = footprint.by(key)  # type: ignore[arg-type]
        carbon = drawn(rows_)
        assert_allclose(carbon.std(axis=1), table["u_carbon_kgco2e"], rtol=0.03)
        made = table["embodied_kgco2e"].to_numpy()[:, None] * embodied
        assert_allclose((carbon + made).std(axis=1), table["u_total_kgco2e"], rtol=0.03)
    [total] = drawn(costs.sum(axis=0)[None])
    assert total.std() == pytest.approx(footprint.total["carbon_kgco2e"].u, rel=0.03)
    both = total + footprint.total["embodied_kgco2e"].value * embodied
    sci = footprint.sci("core-hour")
    core_hours = footprint.by("user")["core_hours"].sum()
    assert 1e3 * both.std() / core_hours == pytest.approx(sci.u, rel=0.03)


def test_an_account_of_other_energy_is_refused(by_hand: Footprint) -> None:
    market = by_hand.market
    assert market is not None
    with pytest.raises(ValueError, match=r"market.*is not of the energy of location"):
        replace(by_hand, market=replace(market, energy_kwh=2 * market.energy_kwh))
    shorter = replace(market, half_hours=market.half_hours.iloc[1:])
    with pytest.raises(ValueError, match="half-hour by half-hour"):
        replace(by_hand, market=shorter)


def test_the_schedule_of_another_account_is_refused(by_hand: Footprint) -> None:
    platform = ew.Platform.uniform(1, 2, idle_w=100, busy_w=900)
    other = ew.replay(by_hand.schedule.workload, "easy", platform)
    with pytest.raises(ValueError, match="is not the account's"):
        replace(by_hand, schedule=other).by("user")


def test_an_unknown_key_is_refused(by_hand: Footprint) -> None:
    with pytest.raises(ValueError, match=r"key\(='owner'\).*user"):
        by_hand.by("owner")  # type: ignore[arg-type]


def test_methods_are_never_added_up(by_hand: Footprint) -> None:
    without = replace(by_hand, market=None, marginal=None)
    assert without.total["total_kgco2e"] == by_hand.total["total_kgco2e"]
    assert set(by_hand.total) - set(without.total) == {METHODS["market"], METHODS["marginal"]}


def test_a_real_trace_adds_up(real_data: object) -> None:
    schedule = ew.replay(ew.load("KTH-SP2"), "easy")
    location = ew.account(ew.power(schedule), ew.load_intensity("GB-2023"))
    footprint = Footprint(schedule, location)
    for key in ("job", "user", "hour", "calendar-hour"):
        table = footprint.by(key)  # type: ignore[arg-type]
        for name, each in footprint.total.items():
            assert_allclose(table[name].sum(), each.value, rtol=1e-9)
    # Errors of half-hours average out over eleven months, and hardly over a short job.
    total = footprint.total["carbon_kgco2e"]
    jobs = footprint.by("job")
    relative = jobs["u_carbon_kgco2e"] / jobs["carbon_kgco2e"]
    assert total.u / total.value == pytest.approx(np.hypot(0.05, 0.05), rel=0.01)
    assert relative.max() == pytest.approx(np.sqrt(2 * 0.05**2 + 0.09**2), rel=0.01)
