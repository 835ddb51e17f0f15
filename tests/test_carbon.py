"""Carbon of a power profile: literal grams, brute force, the calendar, tiling and gaps."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from builders import JobTuple, make_workload
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import exawatt as ew
from exawatt.intensity import lay_on

BUSY_KW, IDLE_KW = 0.190738, 0.095  # the stand-in node
Make = Callable[..., ew.Intensity]


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def series(values: np.ndarray, start: str = "2023-01-01 00:00") -> ew.Intensity:
    return ew.Intensity(start=utc(start), gco2_per_kwh=np.asarray(values, dtype=float), name="made")


def year(start: str = "2023-01-01 00:00") -> ew.Intensity:
    """365 days, each day's intensity its number: 1, 2, … 365 gCO2/kWh."""
    return series(np.repeat(np.arange(1.0, 366.0), 48), start)


def profile(jobs: list[JobTuple], procs: int, start: str, zone: str = "Europe/London") -> object:
    workload = make_workload(jobs, procs, start=utc(start), timezone=zone)
    return ew.power(ew.replay(workload, policy="easy"))


def test_an_hour_over_two_half_hours(make_intensity: Make) -> None:
    # One node busy 00:00-01:00 (winter, so UTC): 0.095369 kWh at 100 g and as much at 300 g.
    intensity = make_intensity("2023-01-18 00:00", [100.0, 300.0, 500.0])
    account = ew.account(profile([(0, 1, 3600, 3600)], 1, "2023-01-18 00:00"), intensity)
    assert account.energy_kwh == pytest.approx(BUSY_KW, rel=1e-12)
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW / 2 * (0.1 + 0.3), rel=1e-12)
    assert account.mean_gco2_per_kwh == pytest.approx(200.0, rel=1e-12)


def test_a_start_inside_a_half_hour(make_intensity: Make) -> None:
    # Busy 00:15-01:15: a quarter of an hour at 100, half at 300, a quarter at 500:
    # 0.190738 kW * (0.25 * 100 + 0.5 * 300 + 0.25 * 500) h g/kWh = 57.2214 g.
    intensity = make_intensity("2023-01-18 00:00", [100.0, 300.0, 500.0])
    account = ew.account(profile([(0, 1, 3600, 3600)], 1, "2023-01-18 00:15"), intensity)
    assert account.carbon_kgco2e == pytest.approx(0.0572214, rel=1e-12)


def test_a_first_submission_after_the_origin_keeps_its_distance(make_intensity: Make) -> None:
    # The trace begins at 00:00, its only job is submitted 1800 s later: all of it at 300 g.
    intensity = make_intensity("2023-01-18 00:00", [100.0, 300.0, 500.0])
    account = ew.account(profile([(1800, 1, 1800, 1800)], 1, "2023-01-18 00:00"), intensity)
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW / 2 * 0.3, rel=1e-12)


def test_half_hours_add_up(make_intensity: Make) -> None:
    # Busy 00:15-01:15 on one of two nodes; the window is that hour.
    intensity = make_intensity("2023-01-18 00:00", [100.0, 300.0, 500.0])
    account = ew.account(profile([(0, 1, 3600, 3600)], 2, "2023-01-18 00:15"), intensity)
    table = account.half_hours
    assert list(table["gco2_per_kwh"]) == [100, 300, 500]
    whole = BUSY_KW + IDLE_KW
    assert list(table["energy_kwh"]) == pytest.approx([whole / 4, whole / 2, whole / 4])
    assert table["energy_kwh"].sum() == pytest.approx(account.energy_kwh, rel=1e-12)
    assert table["carbon_kgco2e"].sum() == pytest.approx(account.carbon_kgco2e, rel=1e-12)


def brute_force(
    jobs: pd.DataFrame, procs: int, intensity: ew.Intensity, laid: pd.Timestamp
) -> float:
    """Sum power times intensity second by second [kgCO2e]; all times are whole seconds.

    `laid` is the instant of the trace's second 0; the series is tiled by 52 weeks.
    """
    first, last = int(jobs["submit_s"].min()), int(jobs["end_s"].max())
    watts = np.full(last - first, procs * 95.0)
    for row in jobs.itertuples():
        watts[int(row.start_s) - first : int(row.end_s) - first] += row.procs * (190.738 - 95.0)
    second = int((laid - intensity.start).total_seconds()) + np.arange(first, last)
    length, tile = 1800 * len(intensity.gco2_per_kwh), 52 * 7 * 86_400
    while (second >= length).any():
        second = np.where(second >= length, second - tile, second)
    while (second < 0).any():
        second = np.where(second < 0, second + tile, second)
    grams = intensity.gco2_per_kwh[second // 1800]
    return float((watts * grams).sum()) / 3.6e6 / 1000


@settings(max_examples=100)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4000), st.integers(1, 3), st.integers(1, 5000)),
        min_size=1,
        max_size=8,
    ),
    origin=st.integers(0, 86_399),
    day=st.sampled_from(["2023-01-01", "2023-06-14", "2023-03-26", "2023-10-29", "2023-12-31"]),
    seed=st.integers(0, 99),
)
def test_carbon_equals_a_sum_over_seconds(
    rows: list[tuple[int, int, int]], origin: int, day: str, seed: int
) -> None:
    intensity = series(np.random.default_rng(seed).uniform(20, 400, 365 * 48))
    start = utc(day) + pd.Timedelta(seconds=origin)
    jobs = [(submit, procs, runtime, runtime) for submit, procs, runtime in sorted(rows)]
    for instant in (start, start + pd.Timedelta(seconds=jobs[0][0])):
        # A London clock shows the hour set back twice: which of the two is meant is open.
        assume(not utc("2023-10-29 00:00") <= instant < utc("2023-10-29 02:00"))
    workload = make_workload(jobs, 3, start=start, timezone="Europe/London")
    schedule = ew.replay(workload, policy="easy")
    table = schedule.jobs.assign(
        procs=workload.jobs["procs"].to_numpy(), submit_s=workload.jobs["submit_s"].to_numpy()
    )
    expected = brute_force(table, 3, intensity, start)
    account = ew.account(ew.power(schedule), intensity)
    assert account.carbon_kgco2e == pytest.approx(expected, rel=1e-6)


def test_carbon_of_a_day_with_an_evening_peak_equals_a_sum_over_seconds() -> None:
    # A GB-like day: low at night, a shoulder at noon, a peak at 18:00; 150 jobs on 16 processors.
    hours = np.arange(48 * 5) / 2 % 24
    intensity = series(
        150 + 60 * np.exp(-((hours - 18) ** 2) / 4) - 40 * np.exp(-((hours - 3) ** 2) / 8),
        "2023-11-13 00:00",
    )
    rng = np.random.default_rng(7)
    submit = np.sort(rng.integers(0, 86_400, 150))
    jobs = [
        (int(s), int(p), int(r), int(2 * r))
        for s, p, r in zip(
            submit, rng.integers(1, 9, 150), rng.integers(10, 6000, 150), strict=True
        )
    ]
    start = utc("2023-11-14 00:07:13")
    workload = make_workload(jobs, 16, start=start, timezone="Europe/London")
    schedule = ew.replay(workload, policy="easy")
    table = schedule.jobs.assign(
        procs=workload.jobs["procs"].to_numpy(), submit_s=workload.jobs["submit_s"].to_numpy()
    )
    account = ew.account(ew.power(schedule), intensity)
    expected = brute_force(table, 16, intensity, start)
    assert account.carbon_kgco2e == pytest.approx(expected, rel=1e-6)


# Trace start (UTC), its zone, and the UTC instant of a 2023 series at which it is laid.
CALENDAR = [
    # KTH-SP2: Monday 1996-09-23 14:00:31 in Stockholm. 2023-09-23 is a Saturday, the nearest
    # Monday is the 25th; 14:00:31 BST is 13:00:31 UTC.
    ("1996-09-23 12:00:31", "Europe/Stockholm", "2023-09-25 13:00:31"),
    # LLNL-Thunder: Tuesday 2007-01-30 08:37:58 PST; 2023-01-30 is a Monday; GMT.
    ("2007-01-30 16:37:58", "US/Pacific", "2023-01-31 08:37:58"),
    # Thursday 2007-03-15 12:00 PDT (summer time there), Thursday 16 March 2023 12:00 GMT here.
    ("2007-03-15 19:00:00", "US/Pacific", "2023-03-16 12:00:00"),
    # A trace of the grid's own zone and year stays where it is, in summer and winter.
    ("2023-06-14 00:00:00", "Europe/London", "2023-06-14 00:00:00"),
    ("2023-12-31 23:00:00", "Europe/London", "2023-12-31 23:00:00"),
    # A zone without summer time: Wednesday midnight UTC is Wednesday midnight BST.
    ("2023-06-14 00:00:00", "UTC", "2023-06-13 23:00:00"),
    # Thursday 1998-12-31: 2023-12-31 is a Sunday, three days after a Thursday.
    ("1998-12-31 12:00:00", "Europe/London", "2023-12-28 12:00:00"),
    # Saturday 2005-01-01: 2023-01-01 is a Sunday, one day after a Saturday of the year before.
    ("2005-01-01 12:00:00", "Europe/London", "2022-12-31 12:00:00"),
    # Sunday 2004-02-29: 26 February is the Sunday nearest to 28 February and to 1 March.
    ("2004-02-29 12:00:00", "Europe/London", "2023-02-26 12:00:00"),
]


@pytest.mark.parametrize(("start", "zone", "expected"), CALENDAR)
@pytest.mark.parametrize("first", ["2023-01-01 00:00", "2022-12-31 23:30"])
def test_calendar(start: str, zone: str, expected: str, first: str) -> None:
    # The second series begins in the year before, as GB-2023 does; its year is 2023 all the same.
    laid = lay_on(utc(start), zone, year(first))
    assert laid == utc(expected)
    assert str(laid.tz) == "UTC"


def test_a_trace_without_a_start_begins_on_the_first_monday() -> None:
    assert lay_on(None, "UTC", year()) == utc("2023-01-02 00:00")


def test_a_local_time_that_summer_time_skips_is_laid_beside_it() -> None:
    # Sunday 2007-03-25 01:30 UTC would be Sunday 2023-03-26 01:30 in London, which does not exist.
    laid = lay_on(utc("2007-03-25 01:30"), "UTC", year())
    assert utc("2023-03-26 00:30") <= laid <= utc("2023-03-26 01:30")


def test_a_local_time_that_comes_twice_is_laid_on_one_of_them() -> None:
    laid = lay_on(utc("2006-10-29 01:30"), "UTC", year())
    assert laid in (utc("2023-10-29 00:30"), utc("2023-10-29 01:30"))


@settings(max_examples=200)
@given(
    st.datetimes(pd.Timestamp("1990-01-01"), pd.Timestamp("2030-12-31")),
    st.sampled_from(["Europe/Stockholm", "US/Pacific", "UTC", "Europe/London", "Asia/Kolkata"]),
)
def test_the_shift_is_of_whole_weeks_and_keeps_the_clock(moment: object, zone: str) -> None:
    start = pd.Timestamp(moment).floor("s").tz_localize("UTC")  # type: ignore[arg-type]
    there = start.tz_convert(zone).tz_localize(None)
    here = lay_on(start, zone, year()).tz_convert("Europe/London").tz_localize(None)
    skipped = (there.weekday(), there.hour) == (6, 1)  # may not exist on that Sunday in London
    assume(not skipped)
    assert (here - there) % pd.Timedelta(weeks=1) == pd.Timedelta(0)
    assert (here.weekday(), here.time()) == (there.weekday(), there.time())
    same_date = pd.Timestamp(2023, there.month, min(there.day, 28))
    assert abs((here.normalize() - same_date).days) <= 3 + (there.day - min(there.day, 28))


def test_after_its_end_the_series_goes_on_52_weeks_earlier() -> None:
    # 23:00 on the last day (365) to 01:00 on 2024-01-01, which is 2023-01-02 (2) again.
    account = ew.account(profile([(0, 1, 7200, 7200)], 1, "2023-12-31 23:00"), year())
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW * (365 + 2) / 1000, rel=1e-12)


def test_before_its_start_the_series_is_that_of_52_weeks_later() -> None:
    # Laid on 2022-12-31 12:00; plus 364 days is 2023-12-30, day 364.
    account = ew.account(profile([(0, 1, 3600, 3600)], 1, "2005-01-01 12:00"), year())
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW * 364 / 1000, rel=1e-12)


def test_a_trace_longer_than_two_years_is_tiled_again() -> None:
    # One node idle between two jobs of an hour, the second 2 * 364 days after the first, on
    # 2023-01-04 (4) and again on 2023-01-04: brute force over days is exact, as both start at
    # midnight. Idle days: 4 ... 365, then 2 ... 365 twice over, until day 3 of the third round.
    gap = 2 * 364 * 86_400
    account = ew.account(
        profile([(0, 1, 3600, 3600), (gap, 1, 3600, 3600)], 1, "2023-01-04 00:00"), year()
    )
    days = [*range(4, 366), *range(2, 366), 2, 3]
    assert len(days) == 2 * 364
    idle = sum(days) * 24 * IDLE_KW - 4 * IDLE_KW
    assert account.carbon_kgco2e == pytest.approx((idle + 2 * 4 * BUSY_KW) / 1000, rel=1e-12)


def test_the_facility_pays_for_its_cooling(make_intensity: Make) -> None:
    # PUE 1.5 on a node busy for half an hour at 100 g.
    intensity = make_intensity("2023-01-18 00:00", [100.0])
    workload = make_workload(
        [(0, 1, 1800, 1800)], 1, start=utc("2023-01-18 00:00"), timezone="Europe/London"
    )
    platform = ew.Platform.uniform(nodes=1, procs=1, pue=1.5)
    account = ew.account(ew.power(ew.replay(workload, "easy", platform)), intensity)
    assert account.energy_kwh == pytest.approx(1.5 * BUSY_KW / 2, rel=1e-12)
    assert account.carbon_kgco2e == pytest.approx(1.5 * BUSY_KW / 2 * 0.1, rel=1e-12)


@pytest.mark.parametrize("busy", [0, 1], ids=["idle", "busy"])
def test_energy_in_a_gap_raises(make_intensity: Make, busy: int) -> None:
    # One node, busy 00:00-00:10 and again 01:00-01:10: the gap of 00:30 holds idle energy alone
    # unless the first job lasts into it.
    intensity = make_intensity("2023-01-18 00:00", [100.0, None, 300.0])
    first = 2400 if busy else 600
    power = profile([(0, 1, first, first), (3600, 1, 600, 600)], 1, "2023-01-18 00:00")
    with pytest.raises(ew.GapError, match="2023-01-18"):
        ew.account(power, intensity)


def test_a_gap_without_energy_does_not_matter(make_intensity: Make) -> None:
    intensity = make_intensity("2023-01-18 00:00", [100.0, None])
    account = ew.account(profile([(0, 1, 1800, 1800)], 1, "2023-01-18 00:00"), intensity)
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW / 2 * 0.1, rel=1e-12)


def test_a_filled_gap_counts_at_its_filled_value(make_intensity: Make) -> None:
    # The gap of 00:30 is filled with the 240 g of the week after.
    values: list[float | None] = [120.0] * (8 * 48)
    values[1], values[1 + 7 * 48] = None, 240.0
    intensity = make_intensity("2023-01-18 00:00", values)
    power = profile([(0, 1, 3600, 3600)], 1, "2023-01-18 00:00")
    with pytest.raises(ew.GapError):
        ew.account(power, intensity)
    account = ew.account(power, intensity.fill_gaps("week"))
    assert account.carbon_kgco2e == pytest.approx(BUSY_KW / 2 * 0.36, rel=1e-12)


@pytest.mark.parametrize("instant", ["2023-10-29 00:30", "2023-10-29 01:30"])
def test_the_hour_that_comes_twice_stays_the_same_instant_in_the_grids_own_zone(
    instant: str,
) -> None:
    # 01:30 on that day is first British Summer Time (00:30 UTC), then GMT (01:30 UTC).
    series = ew.Intensity(
        start=pd.Timestamp("2023-01-01", tz="UTC"), gco2_per_kwh=np.full(365 * 48, 100.0)
    )
    start = pd.Timestamp(instant, tz="UTC")
    assert lay_on(start, "Europe/London", series) == start
