"""Energy between instants: literal joules, gaps, and a simulated sensor that looks away."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from exawatt.stats import Floats
from exawatt.telemetry.aggregate import aggregate
from exawatt.telemetry.energy import energies, energy, repeated
from exawatt.telemetry.meter import NVML_INSTANT, NVML_MEAN, Sensor
from exawatt.telemetry.recording import FORMATS, Recording

S = 10**9
DAY = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
PLAIN = Sensor()  # reads the power of the moment, without error


def recording(kind: str, interval_s: float, seconds: Any, **columns: Any) -> Recording:
    """Recording of one device; what is not given is missing."""
    key, dtypes = FORMATS[kind]
    instants = np.round(np.asarray(seconds, np.float64) * S).astype(np.int64)
    given = {"time_ns": DAY + instants, "monotonic_ns": 7 * S + instants, "status": "ok"}
    given[key] = "package-0" if key == "zone" else 0
    table = pd.DataFrame(given | columns, index=range(len(instants)))
    table = table.reindex(columns=list(dtypes)).astype(dtypes)
    sidecar = {"format": kind, "host": "n1", "interval_s": interval_s, "devices": [{"device": 0}]}
    return Recording(table, sidecar, Path("run.csv"))


def rapl(seconds: Any, total_uj: Any, **columns: Any) -> Recording:
    return recording("exawatt-rapl-1", 1.0, seconds, total_uj=total_uj, **columns)


def gpu(seconds: Any, interval_s: float = 0.1, **columns: Any) -> Recording:
    return recording("exawatt-nvml-1", interval_s, seconds, **columns)


def at(second: float) -> int:
    return DAY + round(second * S)


def test_a_counter_between_samples() -> None:
    one = rapl([0, 1, 2, 3], [0, 100_000_000, 300_000_000, 400_000_000])  # 100, 200, 100 W
    found = energy(one, "package-0", at(1), at(3))
    assert (found.energy_j, found.method, found.gap_share) == (300.0, "counter", 0.0)
    assert found.edges_j == 0  # both ends are samples
    # From the middle of a second: half of its 100 J, plus the 200 J, plus a quarter of 100 J.
    found = energy(one, "package-0", at(0.5), at(2.25))
    assert found.energy_j == pytest.approx(275.0)
    # A share spread evenly about a half has the deviation 1/sqrt(12); about a quarter sqrt(1/16).
    assert found.edges_j == pytest.approx(np.hypot(100 / np.sqrt(12), 100 / np.sqrt(16)))
    # Either end is off by up to a step of 1 ms at 100 W.
    assert found.resolution_j == pytest.approx(0.1 / np.sqrt(12) * np.sqrt(2))
    assert found.uncertainty_j == pytest.approx(np.hypot(found.edges_j, found.resolution_j))


def test_a_counter_spans_missed_samples_but_no_restart() -> None:
    ok, lost, anew = "ok", "unreadable", "restarted"
    one = rapl(
        [0, 1, 2, 10, 11, 12],
        [0, 50_000_000, None, 500_000_000, 0, 50_000_000],
        status=[ok, ok, lost, ok, anew, ok],
    )
    whole = energy(one, "package-0")
    assert whole.energy_j == pytest.approx(550.0)  # 12 s at 50 W, less the second of the restart
    assert whole.gap_share == pytest.approx(1 / 12)
    assert energy(one, "package-0", at(0), at(10)).gap_share == 0
    filled = energy(one, "package-0", extrapolate=True)
    assert filled.energy_j == pytest.approx(600.0)
    assert filled.gaps_j == 0  # power never was any other than 50 W
    inside = energy(one, "package-0", at(10.2), at(10.8))
    assert np.isnan(inside.energy_j)
    assert (inside.method, inside.gap_share) == ("none", 1.0)


def test_what_was_not_recorded_is_a_gap() -> None:
    one = rapl([0, 1, 2], [0, 100_000_000, 400_000_000])
    found = energy(one, "package-0", at(-2), at(6))
    assert (found.energy_j, found.gap_share) == (pytest.approx(400.0), pytest.approx(0.75))
    filled = energy(one, "package-0", at(-2), at(6), extrapolate=True)
    # Mean power of 200 W for 8 s; power was between 100 and 300 W, and anything for 6 s.
    assert filled.energy_j == pytest.approx(1600.0)
    assert filled.gaps_j == pytest.approx(6 * 200 / np.sqrt(12))
    assert filled.gap_share == pytest.approx(0.75)


def test_readings_are_joined_by_lines() -> None:
    one = gpu([0, 1, 2, 3], 1.0, power_w=[100, 100, 300, 300])
    found = energy(one, 0, at(0), at(3), sensor=PLAIN)
    assert found.energy_j == pytest.approx(100 + 200 + 300)
    assert found.method == "integral"
    # Half of the rise: from 100 to 200 W within half a second.
    assert energy(one, 0, at(1), at(1.5), sensor=PLAIN).energy_j == pytest.approx(75.0)
    # Had the power jumped right there, the line would be wrong by 25 J.
    assert energy(one, 0, at(0), at(1.5), sensor=PLAIN).edges_j == pytest.approx(25.0)


def test_readings_stand_for_the_time_before_them() -> None:
    # A 1 s mean that is 0.1 s old at most tells of 0.55 s ago; instant power of 62.5 ms ago.
    ramp = np.arange(0, 20, 0.1)
    means = gpu(ramp, power_w=100 * ramp)
    assert energy(means, 0, at(5), at(10)).energy_j == pytest.approx(5 * 100 * (7.5 + 0.55))
    instants = gpu(ramp, instant_power_w=100 * ramp)
    assert energy(instants, 0, at(5), at(10)).energy_j == pytest.approx(5 * 100 * (7.5 + 0.0625))
    # The last 0.55 s were not told of yet.
    assert energy(means, 0, at(10), at(19.9)).gap_share == pytest.approx(0.55 / 9.9)


def test_which_power_is_read() -> None:
    both = {"power_w": 200.0, "instant_power_w": 300.0}
    times = np.arange(0, 60, 0.1)
    assert energy(gpu(times, **both), 0, at(1), at(4)).energy_j == pytest.approx(900.0)
    times = np.arange(0.0, 60.0)
    rare = gpu(times, 1.0, **both)
    assert energy(rare, 0, at(1), at(4)).energy_j == pytest.approx(600.0)
    rare.sidecar["devices"][0]["power_w_is_1s_mean"] = False  # type: ignore[index]
    assert energy(rare, 0, at(1), at(4)).energy_j == pytest.approx(900.0)


def test_an_unread_power_is_a_gap() -> None:
    watts = np.full(100, 200.0)
    watts[30:40] = np.nan
    found = energy(gpu(np.arange(100) * 0.1, power_w=watts), 0, at(0), at(9), sensor=PLAIN)
    assert found.energy_j == pytest.approx(200 * (9 - 1.1))
    assert found.gap_share == pytest.approx(1.1 / 9)


def test_counter_and_integral_agree_and_the_counter_is_kept_for_long_windows() -> None:
    times = np.arange(0, 60.05, 0.1)
    one = gpu(times, power_w=np.full(601, 300.0), energy_mj=np.round(300_000 * times))
    for method in ("counter", "integral"):
        found = energy(one, 0, at(10), at(40), method=method)
        assert (found.method, found.energy_j) == (method, pytest.approx(9000.0))
        assert found.sensor_j == pytest.approx(9000 * 0.05 / np.sqrt(3))
    assert energy(one, 0, at(10), at(15)).method == "counter"
    short = energy(one, 0, at(10), at(14.9))
    assert short.method == "integral"
    # A counter that steps every 0.1 s can miss about a step in a window as short as that.
    forced = energy(one, 0, at(10), at(12), method="counter")
    assert 30 < forced.resolution_j < 50
    table = energies(one, 0, [at(10), at(10)], [at(15), at(14.9)])
    assert table["method"].tolist() == ["counter", "integral"]
    assert_allclose(table["energy_j"], [1500, 1470])


def test_a_file_continued_at_another_interval_has_no_false_gaps() -> None:
    times = np.concatenate([np.arange(0, 100, 10), 100 + np.arange(0, 20, 0.1)])
    status = np.where(times == 100, "restarted", "ok")
    one = gpu(times, power_w=200.0, status=status)  # the sidecar tells the last interval, 0.1 s
    found = energy(one, 0, sensor=PLAIN)
    assert found.gap_share == 0
    assert found.energy_j == pytest.approx(200 * times[-1])


def test_one_sample_has_no_energy() -> None:
    for one in (rapl([0], [0]), rapl([], [])):
        with pytest.raises(ValueError, match=r"run\.csv holds no two samples, between which"):
            energy(one, "package-0")


def test_a_counter_with_gaps_gives_way_to_power() -> None:
    times = np.arange(0, 60.05, 0.1)
    counter = pd.array(np.round(300_000 * times), dtype="Int64")
    counter[100:] = pd.NA
    one = gpu(times, power_w=np.full(601, 300.0), energy_mj=counter)
    found = energy(one, 0, at(5), at(55))
    assert (found.method, found.energy_j) == ("integral", pytest.approx(15_000.0))


def test_what_cannot_be_asked() -> None:
    one = rapl([0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"end_ns\(=.*\) must lie after begin_ns"):
        energy(one, "package-0", at(1), at(1))
    with pytest.raises(ValueError, match=r"method\(='integral'\) is not recorded of 'package-0'"):
        energy(one, "package-0", method="integral")
    with pytest.raises(ValueError, match="holds neither energy nor power of GPU 0"):
        energy(gpu([0, 1]), 0)
    with pytest.raises(ValueError, match=r"duty\(=0\)"):
        Sensor(duty=0)
    with pytest.raises(ValueError, match=r"window_s\(=-1\) must be finite, not negative"):
        Sensor(window_s=-1)


def test_instants_follow_a_wall_clock_that_was_set() -> None:
    # Set an hour forward between the samples at 1 s and 2 s of a steady 100 W.
    one = rapl([0, 1, 2, 3], [0, 100_000_000, 200_000_000, 300_000_000])
    one.table.loc[2:, "time_ns"] += 3600 * S
    found = energy(one, "package-0", at(0.5), at(3602.5))
    assert (found.duration_s, found.energy_j) == (pytest.approx(2.0), pytest.approx(200.0))


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=30),
    st.lists(st.floats(-5, 35), min_size=3, max_size=3, unique_by=lambda x: round(x, 3)),
)
def test_energy_adds_up_over_adjacent_windows(steps: list[int], cuts: list[float]) -> None:
    one = rapl(range(len(steps)), np.cumsum(steps))
    first, middle, last = sorted(cuts)
    begin, end = [at(first), at(middle), at(first)], [at(middle), at(last), at(last)]
    table = energies(one, "package-0", begin, end)
    joules = table["energy_j"].fillna(0)
    assert joules[0] + joules[1] == pytest.approx(joules[2], abs=1e-6)
    assert (table["gap_share"].between(0, 1)).all()
    assert (table["energy_j"].dropna() >= -1e-9).all()


def sensed(power_w: Floats, step_s: float, phase_s: float) -> Floats:
    """Instant power as a sensor shows it that looks for 25 ms of every 100 ms.

    `power_w` is the true power every `step_s`; `phase_s` is the end of the first look.
    """
    looks = np.arange(phase_s, power_w.size * step_s, 0.1)
    ends = np.round(looks / step_s).astype(int)
    width = round(0.025 / step_s)
    seen = np.array([power_w[max(end - width, 0) : max(end, 1)].mean() for end in ends])
    newest = np.searchsorted(ends, np.arange(power_w.size), side="right") - 1
    return np.where(newest >= 0, seen[np.maximum(newest, 0)], power_w[0])


STEP_S = 0.0025
TICKS = slice(None, None, 40)  # every 100 ms


def bursts(rng: np.random.Generator, period_s: float = 0.0) -> tuple[Floats, float, float, float]:
    """A job of bursts within idle time: true power, begin, end, and its energy."""
    power_w = np.full(round(12 / STEP_S), 60.0)
    begin_s, length_s = rng.uniform(3, 5), rng.uniform(1, 4)
    times = np.arange(power_w.size) * STEP_S
    inside = (times >= begin_s) & (times < begin_s + length_s)
    if period_s:
        high = (times - begin_s) % period_s < period_s / 2
    else:
        lengths = rng.exponential(0.2, 2000)
        high = np.searchsorted(np.cumsum(lengths), times) % 2 == 0
    power_w[inside] = np.where(high[inside], 400.0, 150.0)
    return power_w, begin_s, begin_s + length_s, float(power_w[inside].sum() * STEP_S)


def test_the_correction_for_part_time_sampling_lowers_the_error() -> None:
    # Against readings taken as the power of their moment, over jobs at any phase of the sensor.
    rng = np.random.default_rng(0)
    corrected, plain, told = [], [], []
    for _ in range(120):
        power_w, begin_s, end_s, true_j = bursts(rng)
        shown = sensed(power_w, STEP_S, rng.uniform(0.025, 0.125))
        times = np.arange(power_w.size) * STEP_S
        one = gpu(times[TICKS], instant_power_w=shown[TICKS])
        window = (0, at(begin_s), at(end_s))
        found = energy(one, *window)
        corrected.append(found.energy_j - true_j)
        plain.append(energy(one, *window, sensor=PLAIN).energy_j - true_j)
        told.append(np.sqrt(found.uncertainty_j**2 - found.sensor_j**2))
    assert np.abs(corrected).mean() < 0.9 * np.abs(plain).mean()
    # Late readings miss the job's beginning. What is left is blurred over its two ends.
    assert np.mean(plain) < -12
    assert abs(np.mean(corrected)) < 0.8 * abs(np.mean(plain))
    # The stated uncertainty is not too small, and not far too large.
    assert np.mean(np.abs(corrected) < 2 * np.array(told)) > 0.95
    assert 1 < np.sqrt(np.mean(np.square(told))) / np.std(corrected) < 3


def test_repeating_at_other_phases_cures_what_one_run_cannot_show() -> None:
    # Bursts as long as the sensor's period: a run sees always the same quarter of them.
    rng = np.random.default_rng(1)
    one_run, means, spreads = [], [], []
    for _ in range(15):
        runs = []
        power_w, begin_s, end_s, true_j = bursts(rng, period_s=0.1)
        for phase in np.arange(8) / 80:
            shown = sensed(power_w, STEP_S, 0.025 + phase)
            times = np.arange(power_w.size) * STEP_S
            one = gpu(times[TICKS], instant_power_w=shown[TICKS])
            runs.append(energy(one, 0, at(begin_s), at(end_s)))
        mean = repeated(runs)
        one_run.append(runs[0].energy_j / true_j - 1)
        means.append(mean.energy_j / true_j - 1)
        spreads.append(mean.sampling_j / true_j)
    assert np.abs(one_run).mean() > 0.2
    assert np.abs(means).mean() < 0.05
    assert np.mean(np.abs(means) < 2 * np.array(spreads)) > 0.9


def test_repeated_runs() -> None:
    one = gpu(np.arange(0, 60, 0.1), power_w=np.full(600, 300.0))
    runs = [energy(one, 0, at(10), at(10 + length)) for length in (2, 3, 4)]
    mean = repeated(runs)
    assert (mean.energy_j, mean.duration_s) == (pytest.approx(900.0), pytest.approx(3.0))
    assert mean.sampling_j == pytest.approx(300 / np.sqrt(3))  # standard deviation of 300 J
    assert mean.sensor_j == pytest.approx(900 * 0.05 / np.sqrt(3))
    with pytest.raises(ValueError, match=r"runs\(=1\) must be at least 2"):
        repeated(runs[:1])


def test_sampling_uncertainty_is_the_same_however_often_one_polls() -> None:
    # The same independent looks, a tenth of a second apart, polled at 10 Hz and at 50 Hz.
    looks = np.random.default_rng(2).normal(300, 50, 600)
    slow = gpu(np.arange(600) * 0.1, instant_power_w=looks)
    fast = gpu(np.arange(3000) * 0.02, 0.02, instant_power_w=np.repeat(looks, 5))
    window = (0, at(5), at(55))
    expected = np.sqrt(500 * 0.75) * 0.1 * 50  # 500 looks of 0.1 s, three quarters unseen
    for one in (slow, fast):
        assert energy(one, *window).sampling_j == pytest.approx(expected, rel=0.1)
    # And from the running mean over ten of them.
    mean = np.convolve(looks, np.full(10, 0.1))[: looks.size]
    means = gpu(np.arange(600) * 0.1, power_w=mean)
    assert energy(means, *window).sampling_j == pytest.approx(expected, rel=0.25)
    assert (NVML_INSTANT.lag_s, NVML_MEAN.lag_s) == (0.0625, 0.55)


@given(
    st.lists(
        st.tuples(
            st.integers(50, 5000),  # ms since the row before
            st.integers(0, 10**9),
            st.sampled_from(["ok", "ok", "ok", "lost", "elsewhere", "restarted"]),
        ),
        min_size=2,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_windows_have_the_energy_of_the_counter(
    rows: list[tuple[int, int, str]], window_s: int
) -> None:
    # Whatever the logger missed, or was asked for, "aggregate" and "energy" tell one energy.
    spans, steps, status = zip(*rows, strict=True)
    total = pd.array(np.cumsum(steps), dtype="Int64")
    total[np.array(status) == "lost"] = pd.NA
    one = rapl(np.cumsum(spans) / 1000, total, status=status)
    found = energy(one, "package-0")
    windows = aggregate(one.table, window_s)
    assert windows["energy_j"].sum() == pytest.approx(np.nan_to_num(found.energy_j), abs=1e-6)
    known_s = (windows["window_s"] - windows["missing_s"]).sum()
    assert known_s == pytest.approx(found.duration_s * (1 - found.gap_share), abs=1e-6)
    assert (windows["spread_s"] <= windows["window_s"] - windows["missing_s"] + 1e-6).all()
