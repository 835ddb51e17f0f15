"""Twins: the same seed gives the same jobs, and they look like what they stand in for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exawatt.forecast import climatology, regression, score
from exawatt.intensity import Intensity
from exawatt.readers.catalog import load_intensity
from exawatt.readers.twin import intensity_twins, trace_twins

NAMES = sorted(trace_twins())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_jobs_and_another_does_not(name: str) -> None:
    twin = trace_twins()[name]
    one, same = twin.generate(name, 500, seed=7), twin.generate(name, 500, seed=7)
    other = twin.generate(name, 500, seed=8)
    pd.testing.assert_frame_equal(one.jobs, same.jobs)
    assert one.sha256 == same.sha256 != other.sha256
    assert not one.jobs["runtime_s"].equals(other.jobs["runtime_s"])


@settings(deadline=None, max_examples=30)
@given(name=st.sampled_from(NAMES), n=st.integers(1, 3000), seed=st.integers(0, 2**32))
def test_any_length_and_seed_give_jobs_that_fit_the_machine(name: str, n: int, seed: int) -> None:
    twin = trace_twins()[name]
    workload = twin.generate(name, n, seed)
    jobs = workload.jobs
    assert len(workload) == n  # nothing needed cleaning
    assert workload.cleaning.empty
    assert workload.tier == "twin"
    assert workload.label.startswith(f"{name} twin (generated, ")
    assert (jobs["submit_s"].diff().dropna() >= 0).all()
    assert jobs["procs"].between(1, twin.procs).all()
    assert (jobs["procs"] % twin.unit == 0).all()
    assert (jobs["runtime_s"] >= 1).all()
    known = jobs.dropna(subset="requested_s")
    assert (known["runtime_s"] <= known["requested_s"]).all()
    assert set(known["requested_s"]) <= set(twin.requests_s)


def test_a_twin_has_at_least_one_job() -> None:
    with pytest.raises(ValueError, match="0"):
        trace_twins()["KTH-SP2"].generate("KTH-SP2", 0)


def test_users_come_in_series_of_like_jobs() -> None:
    jobs = trace_twins()["LLNL-Thunder"].generate("LLNL-Thunder", 20_000).jobs
    # Of jobs of one kind, runtimes differ less than over all.
    within = np.log(jobs["runtime_s"]).groupby(jobs["app"]).transform("std").mean()
    assert within < 0.7 * np.log(jobs["runtime_s"]).std()
    shares = jobs["user"].value_counts(normalize=True)
    assert shares.iloc[0] > 5 / len(shares)


def test_even_time_and_arrivals_are_inverse() -> None:
    twin = trace_twins()["KTH-SP2"]
    moments = np.linspace(0, 30 * 86400, 1000)
    even = twin.even_s(moments)
    assert (np.diff(even) >= 0).all()
    # A week holds a week of even time, wherever it begins.
    week = twin.even_s(np.array([1e5, 1e5 + 7 * 86400]))
    np.testing.assert_allclose(week[1] - week[0], 7 * 86400)


@pytest.mark.parametrize("name", ["GB-2022", "GB-2023"])
def test_the_intensity_twin_keeps_its_means_and_is_positive(name: str) -> None:
    twin = intensity_twins()[name]
    series = [twin.generate(name, seed=seed) for seed in range(6)]
    assert all(one.tier == "twin" and (one.gco2_per_kwh > 0).all() for one in series)
    local = series[0].times.tz_convert(twin.timezone)
    means = np.asarray(twin.means)[local.month - 1, local.hour * 2 + local.minute // 30]
    mean = np.mean([one.gco2_per_kwh.mean() for one in series])
    np.testing.assert_allclose(mean, means.mean(), rtol=0.05)
    again = twin.generate(name, seed=3)
    np.testing.assert_array_equal(again.gco2_per_kwh, series[3].gco2_per_kwh)


def test_the_years_are_two_draws_of_one_grid() -> None:
    twins = intensity_twins()
    first, second = (twins[name].generate(name) for name in ("GB-2022", "GB-2023"))
    assert twins["GB-2022"].means == twins["GB-2023"].means
    # One noise for both would let a forecaster learn from the year that it foretells.
    assert _alike(first, second) < 0.5  # what is left is the daily cycle that both have
    assert _alike(twins["GB-2022"].generate("GB-2022", seed=1), second) > 0.8


def _alike(one: Intensity, other: Intensity) -> float:
    """Correlation of the relative steps of two series."""
    steps = [np.diff(np.log(each.gco2_per_kwh[:14_000])) for each in (one, other)]
    return float(np.corrcoef(*steps)[0, 1])


def test_a_forecaster_learns_from_the_twin_of_the_year_before() -> None:
    twins = intensity_twins()
    history, series = (twins[name].generate(name) for name in ("GB-2022", "GB-2023"))
    assert str(history.start) == "2022-01-01 00:00:00+00:00"
    forecasts = [climatology(history, series), regression(history, series, horizon_h=48)]
    table = score(forecasts, series).set_index(["forecast", "lead_h"])
    skill = table.loc[forecasts[1].name, "skill"]
    assert skill.loc[0.5] > 0.8
    assert 0 < skill.loc[48.0] < skill.loc[0.5]


def test_the_twin_of_2022_resembles_it(real_data: object) -> None:
    # Nothing of this year was held out: this checks the fit, and does not judge it.
    real, twin = load_intensity("GB-2022"), intensity_twins()["GB-2022"]
    made = [twin.generate("GB-2022", seed=seed) for seed in range(8)]
    assert len(made[0]) == len(real)
    mean = np.mean([one.gco2_per_kwh.mean() for one in made])
    assert mean == pytest.approx(real.gco2_per_kwh.mean(), rel=0.05)
    spread = np.mean([one.gco2_per_kwh.std() for one in made])
    # Its residual is log-normal, with a longer tail than the grid's: a fifth too wide.
    assert spread / real.gco2_per_kwh.std() == pytest.approx(1.21, abs=0.05)
    memories = [np.corrcoef(v[:-1], v[1:])[0, 1] for v in (one.gco2_per_kwh for one in made)]
    known = real.gco2_per_kwh
    assert np.mean(memories) == pytest.approx(np.corrcoef(known[:-1], known[1:])[0, 1], abs=0.01)


def test_the_twin_of_kth_is_within_its_bounds(real_data: object) -> None:
    from exawatt.figures.twins import judge

    table = judge().set_index(["series", "measure"])
    kept = ["runtime, KS distance", "size, KS distance", "gap, KS distance"]
    for measure in kept:
        assert table.loc[("KTH-SP2", measure), "twin"] <= 0.10
    assert table.loc[("LLNL-Thunder", "size, KS distance"), "twin"] <= 0.10
    assert table.loc[("GB-2023", "lag-1 autocorrelation, difference"), "twin"] <= 0.02
