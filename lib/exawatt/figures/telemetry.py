"""Counters and sensors of power: a simulated GPU whose true power is known, and recordings."""

from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.figures.chapter import effort_of
from exawatt.figures.simulated import (
    CYCLED_S,
    IDLE_W,
    PERIOD_S,
    SPACE_S,
    STEP_S,
    bursts_power,
    cycled_power,
    instant_ns,
    simulate,
    true_j,
)
from exawatt.stats import Floats
from exawatt.telemetry.energy import Energy, Method, energies, energy, repeated
from exawatt.telemetry.meter import NVML_INSTANT, NVML_MEAN, Sensor
from exawatt.telemetry.rapl import MOST_W, Turns
from exawatt.telemetry.recording import Recording

#: RAPL counts in units of 2⁻¹⁶ J or 2⁻¹⁴ J, in 32 bits.
UNITS_J = (2.0**-16, 2.0**-14)
POWERS_W = (50.0, 125.0, 250.0)

#: What one public measurement found of counter differences, by length of the window [s].
REPORTED = {0.5: -0.26, 1.0: -0.12, 2.0: -0.04, 5.0: 0.0}

#: No burst is a multiple of the sensor's period: flat ones that are would be measured exactly.
BURSTS_S = (0.02, 0.035, 0.06, 0.13, 0.23, 0.43, 0.83, 1.63)
PHASES = 8
#: How exactly a run can be begun at a wanted phase [s].
JITTER_S = 0.005
#: Sets of eight runs, by effort.
SETS = {"full": 4, "quick": 2, "test": 1}

_MARGIN_S = 0.6  # idle that is measured with a burst, on either side


def wraps() -> pd.DataFrame:
    """How soon a 32-bit counter begins again, and the longest gap after which turns are known."""
    rows: list[dict[str, float]] = []
    for unit_j in UNITS_J:
        range_j = unit_j * 2**32
        row = {"unit [µJ]": unit_j * 1e6, "range [kJ]": range_j / 1e3}
        row |= {f"at {watts:g} W [min]": range_j / watts / 60 for watts in POWERS_W}
        rows.append(row | {"longest gap [min]": range_j / MOST_W / 60})
    return pd.DataFrame(rows)


def hour_of_wraps(power_w: float, interval_s: float = 10.0) -> tuple[float, float, float]:
    """Energy of an hour [J]: true, as unwrapped, and as last reading less first."""
    range_uj = round(UNITS_J[0] * 2**32 * 1e6)
    turns = Turns(range_uj)
    moments_s = np.arange(0, 3600 + interval_s, interval_s)
    readings = [round(power_w * moment * 1e6) % range_uj for moment in moments_s]
    for moment, reading in zip(moments_s, readings, strict=True):
        turns.add(reading, round(moment * 1e9))
    return power_w * 3600, turns.total_uj / 1e6, (readings[-1] - readings[0]) / 1e6


#: Part of the generated job that is shown [s].
SHOWN_S = (9.0, 16.0)

#: Ways to measure the generated job: name, interval [s], whether instant power is there, method.
READINGS: tuple[tuple[str, float, bool, Method], ...] = (
    ("counter", 0.1, True, "counter"),
    ("instant power, each 0.1 s", 0.1, True, "integral"),
    ("mean of 1 s, each 0.1 s", 0.1, False, "integral"),
    ("mean of 1 s, each 1 s", 1.0, False, "integral"),
    ("mean of 1 s, each 5 s", 5.0, False, "integral"),
)


def job_energies(power_w: Floats, folder: Path) -> pd.DataFrame:
    """Energy of the generated job from each kind of reading, and its stated uncertainty."""
    begin_s, end_s = 10.0, power_w.size * STEP_S - 10.0
    first, last = true_j(power_w, np.array([begin_s, end_s]))
    rows = []
    for number, (name, interval_s, instant, method) in enumerate(READINGS):
        path = folder / f"job-{number}.csv"
        one = simulate(power_w, path, interval_s=interval_s, instant=instant)
        found = energy(one, 0, instant_ns(begin_s), instant_ns(end_s), method=method)
        timing_j = np.sqrt(found.uncertainty_j**2 - found.sensor_j**2)
        rows.append(
            {
                "reading": name,
                "energy [J]": found.energy_j,
                "stated uncertainty [J]": found.uncertainty_j,
                "of it timing [J]": timing_j,
                "error [J]": found.energy_j - (last - first),
                "error": found.energy_j / (last - first) - 1,
            }
        )
    return pd.DataFrame(rows)


def sensor_figure(power_w: Floats, folder: Path) -> Figure:
    """Begin of the generated job: true power, and what each reading shows."""
    rows = simulate(power_w, folder / "shown.csv", interval_s=0.1).rows(0)
    ticks_s = rows["monotonic_ns"].to_numpy() / 1e9
    counted_w = np.diff(rows["energy_mj"].to_numpy(np.float64)) / 1e3 / 0.1
    figure, axis = plt.subplots(figsize=(7.2, 3.6))
    first, last = (round(moment / STEP_S) for moment in SHOWN_S)
    corners = np.flatnonzero(np.diff(power_w[first:last], append=0.0)) + first
    corners = np.unique(np.concatenate([[first], corners, corners + 1]))
    axis.fill_between(
        corners * STEP_S, power_w[corners], step="post", color="0.85", label="true power"
    )
    for i, (column, name) in enumerate(
        (("power_w", "mean of 1 s"), ("instant_power_w", "instant power"))
    ):
        axis.step(ticks_s, rows[column], color=f"C{i}", where="post", linewidth=1.3, label=name)
    axis.plot(ticks_s[1:] - 0.05, counted_w, "k.", markersize=4, label="counter, each 0.1 s")
    axis.set(xlim=SHOWN_S, ylim=(0, None), xlabel="time [s]", ylabel="power [W]")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.17), ncols=4)
    return figure


#: Ways to measure a short window: name, method, steps by which the counter is behind.
WINDOW_READINGS: tuple[tuple[str, Method, int], ...] = (
    ("counter, one step late", "counter", 1),
    ("counter, in time", "counter", 0),
    ("integral of instant power", "integral", 1),
)


@dataclass(frozen=True)
class Runs:
    """Energies of simulated runs, and of the same seen through eight phases of the sensor.

    Parameters
    ----------
    short : DataFrame
        A row a window of work and reading: ``length_s``, ``reading``, ``error``, ``covered``.
    bursts : DataFrame
        A row a burst: ``length_s``, ``error`` and ``stated`` as shares of the burst's energy,
        and ``mean_error`` of the eight runs that it is one of.
    cycled : DataFrame
        The same of work whose period is the sensor's.
    """

    short: pd.DataFrame
    bursts: pd.DataFrame
    cycled: pd.DataFrame


def runs(folder: Path, seed: int, effort: str = "") -> Runs:
    """Measure simulated work of many lengths, at many phases of the sensor."""
    rng = np.random.default_rng(seed)
    short, bursts, cycled = [], [], []
    for _ in range(SETS[effort_of(effort)]):
        even_s = (rng.uniform() + np.arange(PHASES) / PHASES) * PERIOD_S
        phases_s = (even_s + rng.uniform(-JITTER_S, JITTER_S, PHASES)) % PERIOD_S
        short += [_short_windows(folder, phase_s) for phase_s in phases_s]
        bursts.append(_bursts(folder, phases_s))
        cycled.append(_cycled(folder, phases_s))
    return Runs(*(pd.concat(parts, ignore_index=True) for parts in (short, bursts, cycled)))


def _short_windows(folder: Path, phase_s: float) -> pd.DataFrame:
    """Work from idle, measured from its begin to its end by each reading."""
    lengths = np.array([*REPORTED, 10.0])
    power_w, begins = bursts_power(lengths)
    truth = true_j(power_w, begins + lengths) - true_j(power_w, begins)
    parts = []
    for name, method, late_steps in WINDOW_READINGS:
        one = simulate(power_w, folder / "short.csv", phase_s=phase_s, late_steps=late_steps)
        sensor = NVML_INSTANT if method == "integral" else NVML_MEAN
        found = _measured(one, begins, begins + lengths, method, sensor)
        miss = found["energy_j"] - truth
        covered = miss.abs() <= 2 * found["uncertainty_j"]
        parts.append(
            pd.DataFrame(
                {"length_s": lengths, "reading": name, "error": miss / truth, "covered": covered}
            )
        )
    return pd.concat(parts)


def _measured(
    recording: Recording, begins_s: Floats, ends_s: Floats, method: Method, sensor: Sensor
) -> pd.DataFrame:
    """Energy of each window, the uncertainty without that of scale: these readings have none."""
    begin, end = ([instant_ns(moment) for moment in moments] for moments in (begins_s, ends_s))
    exact = replace(sensor, tolerance=0.0)
    return energies(recording, 0, begin, end, method=method, sensor=exact)


def _bursts(folder: Path, phases_s: Floats) -> pd.DataFrame:
    lengths = np.array(BURSTS_S)
    power_w, begins = bursts_power(lengths)
    return _phases(folder, phases_s, power_w, begins, lengths)


def _cycled(folder: Path, phases_s: Floats) -> pd.DataFrame:
    power_w = cycled_power()
    return _phases(folder, phases_s, power_w, np.array([SPACE_S]), np.array([CYCLED_S]))


def _phases(
    folder: Path, phases_s: Floats, power_w: Floats, begins: Floats, lengths: Floats
) -> pd.DataFrame:
    """Errors of equal runs at each phase and of their mean, as shares of what the work added."""
    begins, ends = begins - _MARGIN_S, begins + lengths + _MARGIN_S
    truth = true_j(power_w, ends) - true_j(power_w, begins)
    added = truth - IDLE_W * (ends - begins)
    tables = [
        _measured(
            simulate(power_w, folder / "bursts.csv", phase_s=phase_s),
            begins,
            ends,
            "integral",
            NVML_INSTANT,
        )
        for phase_s in phases_s
    ]
    parts = []
    for i, length_s in enumerate(lengths):
        each = [_energy(table.iloc[i]) for table in tables]
        mean = repeated(each)
        parts.append(
            pd.DataFrame(
                {
                    "length_s": length_s,
                    "error": [(one.energy_j - truth[i]) / added[i] for one in each],
                    "stated": [one.uncertainty_j / added[i] for one in each],
                    "mean_error": (mean.energy_j - truth[i]) / added[i],
                }
            )
        )
    return pd.concat(parts)


def _energy(row: pd.Series) -> Energy:
    return Energy(**{str(name): value for name, value in row.drop("uncertainty_j").items()})


def errors_figure(found: Runs) -> Figure:
    """Error against length: of counters over short windows, and of a sensor that looks away."""
    figure, (counters, part_time) = plt.subplots(1, 2, figsize=(7.2, 3.6))
    _counter_errors(counters, found.short)
    _part_time_errors(part_time, found.bursts)
    return figure


def _counter_errors(axis: Axes, short: pd.DataFrame) -> None:
    for i, (name, rows) in enumerate(short.groupby("reading", sort=False)):
        errors = rows.groupby("length_s")["error"]
        middle, low, high = errors.mean(), errors.quantile(0.05), errors.quantile(0.95)
        spread = 100 * np.array([middle - low, high - middle])
        axis.errorbar(
            middle.index * (0.94, 1.0, 1.06)[i],
            100 * middle,
            spread,
            fmt="os^"[i] + "-",
            markersize=4,
            linewidth=1.1,
            capsize=2,
            label=str(name),
        )
    reported = [100 * share for share in REPORTED.values()]
    axis.plot(list(REPORTED), reported, "k*", markersize=9, label="reported of a real one")
    axis.set(xscale="log", xlabel="length of the window [s]", ylabel="error of its energy [%]")
    lengths = sorted(set(short["length_s"]))
    axis.set_xticks(lengths, [f"{length:g}" for length in lengths])
    axis.minorticks_off()
    axis.legend(loc="lower right")


def _part_time_errors(axis: Axes, bursts: pd.DataFrame) -> None:
    rms = 100 * root_mean_square(bursts)
    axis.plot(rms.index, rms["error"], "o-", color="C0", label="one run")
    axis.plot(rms.index, rms["stated"], ":", color="C0", label="stated for one run")
    axis.plot(rms.index, rms["mean_error"], "s-", color="C1", label="mean of eight phases")
    axis.set(xscale="log", yscale="log", xlabel="length of the burst [s]")
    axis.set_ylabel("error, share of the burst [%]")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.legend(loc="lower left")


def root_mean_square(bursts: pd.DataFrame) -> pd.DataFrame:
    """Errors by length of the burst, as shares of its energy."""
    squares = bursts.set_index("length_s")[["error", "stated", "mean_error"]].pow(2)
    return squares.groupby("length_s").mean().pow(0.5)


def run_facts(found: Runs) -> dict[str, float]:
    """Errors that the prose tells, in percent."""

    def percent(reading: int, length_s: float, column: str) -> float:
        rows = found.short[found.short["reading"] == WINDOW_READINGS[reading][0]]
        return 100 * float(rows.loc[rows["length_s"] == length_s, column].mean())

    late, in_time, integral = range(3)
    longest_s = max(REPORTED)
    rms = 100 * root_mean_square(found.bursts)
    return {
        "late_half": -percent(late, 0.5, "error"),
        "late_one": -percent(late, 1.0, "error"),
        "late_long": -percent(late, longest_s, "error"),
        "late_missed": 100 - percent(late, longest_s, "covered"),
        "in_time_half": -percent(in_time, 0.5, "error"),
        "integral_half": percent(integral, 0.5, "error"),
        "integral_inside": percent(integral, 0.5, "covered"),
        "burst_first_ms": 1e3 * BURSTS_S[0],
        "burst_first": rms["error"].iloc[0],
        "burst_first_mean": rms["mean_error"].iloc[0],
        "cycled_s": CYCLED_S,
        "cycled_worst": 100 * found.cycled["error"].abs().max(),
        "cycled_stated": 100 * found.cycled["stated"].max(),
        "cycled_mean": 100 * found.cycled["mean_error"].abs().max(),
    }
