"""Twins: the same seed gives the same jobs, and they look like what they stand in for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_the_intensity_twin_keeps_its_means_and_is_positive() -> None:
    twin = intensity_twins()["GB-2023"]
    series = [twin.generate("GB-2023", seed=seed) for seed in range(6)]
    assert all(one.tier == "twin" and (one.gco2_per_kwh > 0).all() for one in series)
    mean = np.mean([one.gco2_per_kwh.mean() for one in series])
    np.testing.assert_allclose(mean, np.mean(twin.means), rtol=0.05)
    again = twin.generate("GB-2023", seed=3)
    np.testing.assert_array_equal(again.gco2_per_kwh, series[3].gco2_per_kwh)


def test_the_twin_of_kth_is_within_its_bounds(real_data: object) -> None:
    from exawatt.figures.twins import judge

    table = judge().set_index(["series", "measure"])
    kept = ["runtime, KS distance", "size, KS distance", "gap, KS distance"]
    for measure in kept:
        assert table.loc[("KTH-SP2", measure), "twin"] <= 0.10
    assert table.loc[("LLNL-Thunder", "size, KS distance"), "twin"] <= 0.10
    assert table.loc[("GB-2023", "lag-1 autocorrelation, difference"), "twin"] <= 0.02
