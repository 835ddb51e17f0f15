"""Windows of a recording: no joule is lost or made, and what was not seen stays unseen."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.telemetry.aggregate import aggregate

START_NS = 1_700_000_000 * 10**9  # a multiple of 1, 10 and 20 s


def recording(seconds: np.ndarray, **columns: object) -> pd.DataFrame:
    """Return samples of one GPU at these seconds."""
    time_ns = START_NS + np.round(np.asarray(seconds) * 1e9).astype(np.int64)
    return pd.DataFrame({"time_ns": time_ns, "device": 0, **columns, "status": "ok"})


def test_constant_power() -> None:
    samples = recording(np.arange(0, 20.05, 0.1), power_w=100.0)
    windows = aggregate(samples, window_s=10)
    assert list(windows) == [
        "device", "time_ns", "window_s", "power_w", "energy_j", "samples", "missing_s", "spread_s",
    ]  # fmt: skip
    assert list(windows["time_ns"]) == [START_NS, START_NS + 10 * 10**9, START_NS + 20 * 10**9]
    np.testing.assert_allclose(windows["energy_j"], [1000, 1000, np.nan])
    np.testing.assert_allclose(windows["power_w"], [100, 100, np.nan])
    assert list(windows["samples"]) == [100, 100, 1]
    np.testing.assert_allclose(windows["missing_s"], [0, 0, 10], atol=1e-9)


def test_an_interval_is_split_where_it_crosses_into_the_next_window() -> None:
    # 3 J from second 8 to 11: 2 J before second 10, 1 J after; then 4 W for 2 s.
    samples = recording([8, 11, 13], energy_mj=[500, 3500, 11500])
    windows = aggregate(samples, window_s=10)
    np.testing.assert_allclose(windows["energy_j"], [2.0, 1.0 + 8.0])
    np.testing.assert_allclose(windows["power_w"], [1.0, 3.0])
    np.testing.assert_allclose(windows["missing_s"], [8, 7])


def test_power_between_two_samples_is_their_mean() -> None:
    windows = aggregate(recording([0, 1, 2], power_w=[100.0, 200.0, 400.0]), window_s=1)
    np.testing.assert_allclose(windows["energy_j"], [150, 300, np.nan])


def test_a_counter_goes_before_power() -> None:
    samples = recording([0, 1], power_w=50.0, energy_mj=[0, 60_000])
    assert aggregate(samples, window_s=1)["energy_j"][0] == 60.0


def test_power_serves_where_the_device_has_no_counter() -> None:
    samples = recording([0, 1], power_w=50.0, energy_mj=pd.array([None, None], dtype="Int64"))
    assert aggregate(samples, window_s=1)["energy_j"][0] == 50.0


def test_a_failed_sample_leaves_a_gap_and_no_zero() -> None:
    samples = recording(np.arange(0, 5, 0.5), power_w=10.0)
    samples.loc[3, ["power_w", "status"]] = [np.nan, "gpu is lost"]  # second 1.5
    windows = aggregate(samples, window_s=1)
    np.testing.assert_allclose(windows["energy_j"], [10, np.nan, 10, 10, 5])
    np.testing.assert_allclose(windows["missing_s"], [0, 1, 0, 0, 0.5])
    assert list(windows["samples"]) == [2, 1, 2, 2, 2]


def test_a_counter_that_was_read_counts_though_another_column_failed() -> None:
    samples = recording(np.arange(0, 3), energy_mj=[0, 1000, 3000])
    samples.loc[1, "status"] = "not enough space"
    np.testing.assert_allclose(aggregate(samples, window_s=1)["energy_j"], [1, 2, np.nan])


def test_a_counter_spans_whatever_the_logger_missed() -> None:
    # 100 W throughout: stopped for 3 s, then a row that could not be read, then a lost second.
    seconds = np.array([0, 1, 2, 5, 6, 7, 8, 9.6, 10])
    samples = recording(seconds, energy_mj=pd.array(100_000 * seconds, dtype="Int64"))
    samples.loc[4, ["energy_mj", "status"]] = [pd.NA, "unknown error"]
    windows = aggregate(samples, window_s=5)
    np.testing.assert_allclose(windows["energy_j"], [500, 500, np.nan])
    np.testing.assert_allclose(windows["missing_s"], [0, 0, 5], atol=1e-9)
    # From 2 to 5 s power was taken as even; from 5 to 7 s as well, but two ticks are no gap.
    np.testing.assert_allclose(windows["spread_s"], [3, 0, 0], atol=1e-9)
    assert list(windows["samples"]) == [3, 4, 1]


def test_what_follows_a_restart_counts_and_what_lies_before_it_does_not() -> None:
    samples = recording([0, 1, 2, 3], energy_mj=[0, 5000, 6000, 9000])
    samples.loc[2, "status"] = "restarted"
    np.testing.assert_allclose(aggregate(samples, window_s=1)["energy_j"], [5, np.nan, 3, np.nan])


def test_power_serves_for_the_time_in_which_the_counter_failed() -> None:
    counts = pd.array([0, 1000, None, None], dtype="Int64")
    samples = recording([0, 1, 2, 3], power_w=[9.0, 9.0, 9.0, 5.0], energy_mj=counts)
    np.testing.assert_allclose(aggregate(samples, window_s=1)["energy_j"], [1, 9, 7, np.nan])


def test_gaps_of_power_are_judged_by_the_ticks_of_their_run() -> None:
    # A file that was continued at another interval: a run every 10 s, then one every 0.1 s.
    seconds = np.concatenate([np.arange(0, 100, 10), 100 + np.arange(0, 40, 0.1)])
    seconds = seconds[(seconds <= 120) | (seconds > 130)]
    samples = recording(seconds, power_w=10.0)
    samples.loc[10, "status"] = "restarted"
    windows = aggregate(samples, window_s=10)
    # From 120 to 130.1 s there is a gap among ticks of 0.1 s; the last one is at 139.9 s.
    expected = [100.0] * 12 + [0.0, 98.0]
    np.testing.assert_allclose(windows["energy_j"].fillna(0), expected, atol=1e-6)


def test_a_clock_that_was_set_loses_no_energy_where_the_other_clock_tells() -> None:
    samples = recording([0, 1, 0.5, 1.5], energy_mj=[0, 1000, 2000, 3000])  # 1 W, set back 1.5 s
    samples["monotonic_ns"] = np.arange(4) * 10**9
    assert aggregate(samples, window_s=1)["energy_j"].sum() == pytest.approx(3.0)
    samples = recording([0, 1, 50, 51], energy_mj=[0, 1000, 2000, 3000])  # set forward 48 s
    samples["monotonic_ns"] = np.arange(4) * 10**9
    windows = aggregate(samples, window_s=10)
    np.testing.assert_allclose(windows["energy_j"], [1, np.nan, np.nan, np.nan, 1, 1])


def test_a_pause_of_the_logger_is_missing() -> None:
    seconds = np.concatenate([np.arange(0, 4, 0.1), np.arange(20, 24, 0.1)])
    windows = aggregate(recording(seconds, power_w=10.0), window_s=2)
    assert (windows["spread_s"] == 0).all()
    assert windows["missing_s"].sum() == pytest.approx(24 - 2 * 3.9)
    assert windows["energy_j"].sum() == pytest.approx(10 * 2 * 3.9)
    assert windows["energy_j"].isna().sum() == 8  # from second 4 to 20
    assert (windows["samples"][windows["energy_j"].isna()] == 0).all()


def test_a_counter_that_goes_back_is_a_gap() -> None:
    samples = recording([0, 1, 2, 3], energy_mj=[5000, 6000, 10, 1010])
    np.testing.assert_allclose(aggregate(samples, window_s=1)["energy_j"], [1, np.nan, 1, np.nan])


def test_a_clock_that_is_set_back_shows_seconds_twice() -> None:
    samples = recording([0, 1, 2, 0.5, 1.5], power_w=10.0)
    windows = aggregate(samples, window_s=2, interval_s=1)
    np.testing.assert_allclose(windows["energy_j"], [30, np.nan])
    np.testing.assert_allclose(windows["missing_s"], [0, 2])


def test_each_device_has_windows_of_its_own() -> None:
    one = recording([0, 1, 2], power_w=10.0)
    both = pd.concat([one, one.assign(device=1, power_w=30.0)]).sort_values("time_ns")
    windows = aggregate(both, window_s=2)
    assert list(windows["device"]) == [0, 0, 1, 1]
    np.testing.assert_allclose(windows["energy_j"], [20, np.nan, 60, np.nan])


@pytest.mark.parametrize("window_s", [0.5, 0.999, 60.1, -10, np.nan])
def test_windows_are_1_to_60_seconds(window_s: float) -> None:
    with pytest.raises(ValueError, match=r"window_s\(=.*\) must lie between 1 and 60\."):
        aggregate(recording([0, 1], power_w=1.0), window_s=window_s)


def test_tables_that_cannot_be_aggregated() -> None:
    with pytest.raises(ValueError, match=r"one of the columns \['host', 'zone', 'device'\]"):
        aggregate(recording([0, 1], power_w=1.0).drop(columns="device"))
    with pytest.raises(ValueError, match=r"total_uj.*energy_mj.*power_w"):
        aggregate(recording([0, 1], temperature_c=1.0))
    with pytest.raises(ValueError, match="no rows"):
        aggregate(recording([], power_w=[]))


steps = st.lists(
    st.tuples(st.integers(10**6, 40 * 10**9), st.integers(0, 10**10)), min_size=1, max_size=60
)


@given(steps=steps, window_ms=st.integers(1000, 60_000), offset_ns=st.integers(0, 10**11))
def test_aggregation_conserves_the_energy_of_a_counter(
    steps: list[tuple[int, int]], window_ms: int, offset_ns: int
) -> None:
    spans, increments = np.array(steps).T
    time_ns = START_NS + offset_ns + np.concatenate([[0], np.cumsum(spans)])
    total_uj = 7 + np.concatenate([[0], np.cumsum(increments)])
    samples = pd.DataFrame(
        {"time_ns": time_ns, "zone": "package-0", "total_uj": total_uj, "status": "ok"}
    )
    windows = aggregate(samples, window_ms / 1000, interval_s=40)
    energy_j = increments.sum() * 1e-6
    assert windows["energy_j"].sum() == pytest.approx(energy_j, rel=1e-12, abs=1e-12)
    # Each window by itself: the counter, read at the window's ends.
    edges = np.append(windows["time_ns"], windows["time_ns"].iloc[-1] + window_ms * 10**6)
    between = np.diff(np.interp(edges - time_ns[0], time_ns - time_ns[0], total_uj)) * 1e-6
    np.testing.assert_allclose(windows["energy_j"].fillna(0), between, atol=1e-6 * energy_j + 1e-9)
    seen_s = (time_ns[-1] - time_ns[0]) / 1e9
    assert (windows["window_s"] - windows["missing_s"]).sum() == pytest.approx(seen_s)
    assert windows["samples"].sum() == len(samples)


@given(
    powers=st.lists(st.one_of(st.floats(0, 1000), st.none()), min_size=2, max_size=80),
    window_s=st.integers(1, 60),
)
def test_aggregation_conserves_the_energy_of_power_with_gaps(
    powers: list[float | None], window_s: int
) -> None:
    watts = np.array([np.nan if power is None else power for power in powers])
    samples = recording(np.arange(len(powers)) * 0.7, power_w=watts)
    samples.loc[samples["power_w"].isna(), "status"] = "unknown error"
    windows = aggregate(samples, window_s, interval_s=0.7)
    intervals = (watts[:-1] + watts[1:]) / 2 * 0.7
    assert windows["energy_j"].sum() == pytest.approx(np.nansum(intervals), abs=1e-6)
    known_s = 0.7 * np.isfinite(intervals).sum()
    assert (windows["window_s"] - windows["missing_s"]).sum() == pytest.approx(known_s, abs=1e-6)
