"""Meters: the energy of a recorded device as a function of time, from one kind of reading.

References
----------
.. [1] K. Wolter, "Introduction to Variance Estimation", Springer 2007, chapter 8.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exawatt.stats import Floats
from exawatt.telemetry.recorder import RESTARTED
from exawatt.telemetry.recording import GAP_INTERVALS, Recording, usual_spacing

Nanoseconds = NDArray[np.int64]

#: The components of an uncertainty, by name.
COMPONENTS = ("resolution_j", "edges_j", "sampling_j", "sensor_j", "gaps_j")


@dataclass(frozen=True)
class Sensor:
    """What a reading of a power sensor, or of an energy counter, means.

    Parameters
    ----------
    window_s : float
        A reading is the mean power over this long before it was taken [s].
    update_s : float
        A reading stands until the next is taken, so long after [s].
    duty : float
        Share of the window in which the sensor looks [-].
    counter_step_s : float
        Time between two steps of the energy counter [s].
    least_counter_s : float
        Shortest window over which counter differences are taken without being asked for [s].
    tolerance : float
        The true power lies within this share of the measured one [-]; 0 where nobody states it,
        and then no uncertainty has the sensor's own accuracy in it.
    """

    window_s: float = 0.0
    update_s: float = 0.0
    duty: float = 1.0
    counter_step_s: float = 0.0
    least_counter_s: float = 0.0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sensors that cannot be."""
        for name, value in asdict(self).items():
            if not 0 <= value < np.inf:
                raise ValueError(f"{name}(={value}) must be finite, not negative.")
        if not 0 < self.duty <= 1:
            raise ValueError(f"duty(={self.duty}) must lie between 0 and 1, and not be 0.")

    @property
    def lag_s(self) -> float:
        """Mean age of what a reading tells [s]: half its window, and half its standing time."""
        return (self.window_s + self.update_s) / 2


#: RAPL: a counter that steps every millisecond. Its maker publishes no tolerance, and studies
#: against power meters do not agree on one: uncertainties are without the sensor's own accuracy.
RAPL = Sensor(counter_step_s=1e-3)

#: NVML's mean over a second (from Ampere on, but for GA100). The duty is that of A100 and H100:
#: elsewhere it makes the uncertainty too large rather than too small. Counter differences over
#: 0.5, 1, 2 and 5 s were about 26, 12, 4 and 0 % too small in one public measurement. The
#: tolerance is the ±5 % of NVML's reference.
NVML_MEAN = Sensor(1.0, 0.1, 0.25, counter_step_s=0.1, least_counter_s=5.0, tolerance=0.05)

#: NVML's instant power, and what GA100 and GPUs before Ampere call power: a quarter of every
#: 100 ms on A100 and H100.
NVML_INSTANT = Sensor(0.025, 0.1, 1.0, counter_step_s=0.1, least_counter_s=5.0, tolerance=0.05)


@dataclass(frozen=True, eq=False)
class Meter:
    """Energy of one device as a function of time, from one kind of reading.

    Parameters
    ----------
    method : {"counter", "integral"}
    sensor : Sensor
    ticks : DataFrame
        ``time_ns`` and ``elapsed_s`` of the recording's rows, to find instants by.
    moments_s : ndarray, shape (n,)
        Moments that the readings stand for, since the first row [s].
    begin_w, end_w : ndarray, shape (n - 1,)
        Power just after a moment and just before the next, straight between [W].
    known : ndarray of bool, shape (n - 1,)
        Whether the energy between two moments was measured.
    """

    method: str
    sensor: Sensor
    ticks: pd.DataFrame
    moments_s: Floats
    begin_w: Floats
    end_w: Floats
    known: NDArray[np.bool_]

    @cached_property
    def _lengths_s(self) -> Floats:
        return np.diff(self.moments_s)

    @cached_property
    def _cumulative_j(self) -> Floats:
        mean_w = (self.begin_w + self.end_w) / 2
        return np.append(0.0, np.cumsum(np.where(self.known, mean_w * self._lengths_s, 0.0)))

    @cached_property
    def _cumulative_known_s(self) -> Floats:
        return np.append(0.0, np.cumsum(np.where(self.known, self._lengths_s, 0.0)))

    @cached_property
    def _cumulative_sampling_j2(self) -> Floats:
        """Variance of the integral, for the time at which the sensor did not look [J²].

        Readings are a systematic sample of the true power, and half the mean square of
        successive differences estimates the variance in one [1]_. Readings whose windows
        overlap are compared only with those that share nothing with them.
        """
        if self.method == "counter":  # it does not show what its sensor missed
            return np.zeros(self.moments_s.size)
        lengths, sensor = self._lengths_s, self.sensor
        typical_s = float(np.median(lengths)) if lengths.size else 0.0
        apart_s = max(sensor.window_s, sensor.update_s)
        steps = max(1, round(apart_s / typical_s)) if typical_s else 1
        watts = np.append(self.begin_w[:1], self.end_w)
        difference_w = watts[1:] - watts[np.maximum(np.arange(lengths.size) + 1 - steps, 0)]
        seen = sensor.duty * sensor.window_s / np.maximum(lengths, apart_s)
        variance_j2 = lengths**2 * steps * difference_w**2 / 2 * (1 - np.minimum(seen, 1.0))
        return np.append(0.0, np.cumsum(np.where(self.known, variance_j2, 0.0)))

    def between(
        self, begin_ns: Nanoseconds, end_ns: Nanoseconds, extrapolate: bool = False
    ) -> pd.DataFrame:
        """Energy over windows; see :func:`exawatt.telemetry.energy.energies`."""
        begin, end = self._moment_s(begin_ns), self._moment_s(end_ns)
        first, last = self._energy_at(begin), self._energy_at(end)
        length = end - begin
        energy_j, known_s = last.energy_j - first.energy_j, last.known_s - first.known_s
        missing_s = np.maximum(length - known_s, 0.0)
        energy_j = np.where(known_s > 0, energy_j, np.nan)
        gaps_j = np.zeros(length.size)
        if extrapolate and self.known.any():
            energy_j = energy_j * length / np.where(known_s > 0, known_s, np.nan)
            gaps_j = missing_s * self._range_w / np.sqrt(12)
        # Over short windows a counter loses about one step's energy, and does not just blur it.
        short = length < self.sensor.least_counter_s
        lost_j = np.where(short, (first.resolution_j + last.resolution_j) * np.sqrt(3), 0.0)
        table = pd.DataFrame(
            {
                "energy_j": energy_j,
                "method": np.where(known_s > 0, self.method, "none"),
                "duration_s": length,
                "gap_share": np.divide(
                    missing_s, length, out=np.ones_like(length), where=length > 0
                ),
                "resolution_j": np.hypot(first.resolution_j, last.resolution_j) + lost_j,
                "edges_j": np.hypot(first.edge_j, last.edge_j),
                "sampling_j": np.sqrt(np.maximum(last.sampling_j2 - first.sampling_j2, 0.0)),
                "sensor_j": np.abs(energy_j) * self.sensor.tolerance / np.sqrt(3),
                "gaps_j": gaps_j,
            }
        )
        return table.assign(uncertainty_j=np.linalg.norm(table[list(COMPONENTS)], axis=1))

    @property
    def _range_w(self) -> float:
        """Difference between the most and the least that the device is known to have drawn [W]."""
        watts = np.concatenate([self.begin_w[self.known], self.end_w[self.known]])
        return float(np.ptp(watts))

    def _moment_s(self, instant_ns: Nanoseconds) -> Floats:
        """Time since the first row [s] of instants of the wall clock, as it was just before."""
        wall = np.maximum.accumulate(self.ticks["time_ns"].to_numpy())
        elapsed_s = self.ticks["elapsed_s"].to_numpy()
        at = np.clip(np.searchsorted(wall, instant_ns, side="right") - 1, 0, wall.size - 1)
        # Where the clock was set forward, instants between two rows never were.
        upper_s = np.append(elapsed_s[1:], np.inf)[at]
        return np.minimum(elapsed_s[at] + (instant_ns - wall[at]) / 1e9, upper_s)

    def _energy_at(self, moment_s: Floats) -> "_Edge":
        """Cumulative quantities at each moment, and what is uncertain about them there."""
        if self.moments_s.size < 2:
            nothing = np.zeros(moment_s.size)
            return _Edge(nothing, nothing, nothing, nothing, nothing)
        at = np.clip(np.searchsorted(self.moments_s, moment_s, "right") - 1, 0, self.known.size - 1)
        share = np.clip((moment_s - self.moments_s[at]) / self._lengths_s[at], 0.0, 1.0)
        passed_s = np.where(self.known[at], share * self._lengths_s[at], 0.0)
        rise_w = self.end_w[at] - self.begin_w[at]
        watts = self.begin_w[at] + rise_w * share
        inside = self.known[at] & (moment_s >= self.moments_s[0])
        inside &= moment_s <= self.moments_s[-1]
        sampling = self._cumulative_sampling_j2
        return _Edge(
            energy_j=self._cumulative_j[at] + (self.begin_w[at] + rise_w * share / 2) * passed_s,
            known_s=self._cumulative_known_s[at] + passed_s,
            sampling_j2=sampling[at] + share * np.diff(sampling)[at],
            resolution_j=np.where(inside, watts * self._step_s / np.sqrt(12), 0.0),
            edge_j=np.where(inside, self._edge_j(moment_s, at, share), 0.0),
        )

    @property
    def _step_s(self) -> float:
        return self.sensor.counter_step_s if self.method == "counter" else 0.0

    def _edge_j(self, moment_s: Floats, at: NDArray[np.intp], share: Floats) -> Floats:
        """Standard uncertainty of the energy between the sample before and each moment [J].

        Of a counter's difference, any part may fall before the moment: half way between two
        samples its share is taken as evenly spread between none and all, and less so nearer to
        a sample. A line between two readings errs by at most an eighth of the change in power
        times the time between them if the power jumped at the moment, and so does a mean over
        a window.
        """
        length = self._lengths_s[at]
        if self.method == "counter":
            between = self.begin_w[at] * length / np.sqrt(12)
            return between * 2 * np.sqrt(share * (1 - share))
        between = np.abs(self.end_w[at] - self.begin_w[at]) * length / 8
        width = self.sensor.window_s + self.sensor.update_s
        watts = np.append(self.begin_w[:1], self.end_w)
        after = np.interp(moment_s + width / 2, self.moments_s, watts)
        before = np.interp(moment_s - width / 2, self.moments_s, watts)
        return np.hypot(between * 4 * share * (1 - share), np.abs(after - before) * width / 8)


@dataclass(frozen=True)
class _Edge:
    energy_j: Floats
    known_s: Floats
    sampling_j2: Floats
    resolution_j: Floats
    edge_j: Floats


def meters(recording: Recording, device: Any, sensor: Sensor | None = None) -> list[Meter]:
    """What a recording can tell of a device's energy: a counter, power readings, or both."""
    rows = recording.rows(device)
    if recording.key == "zone":
        return [_counter(recording, rows, "total_uj", 1e-6, sensor or RAPL)]
    found = []
    if rows["energy_mj"].notna().any():
        found.append(_counter(recording, rows, "energy_mj", 1e-3, sensor or NVML_MEAN))
    power, means = _power_column(recording, device, rows)
    if rows[power].notna().any():
        found.append(_integral(recording, rows, power, sensor or means))
    if not found:
        raise ValueError(f"{recording.path} holds neither energy nor power of GPU {device}.")
    return found


def _power_column(recording: Recording, device: Any, rows: pd.DataFrame) -> tuple[str, Sensor]:
    """The better of the two power readings at this interval, and what it means.

    At ten samples a second instant power shows every look of the sensor, and where it ends; in
    rarer samples a mean over a second has seen more.
    """
    entries = recording.sidecar.get("devices", [])
    means = {entry.get("device"): entry.get("power_w_is_1s_mean") for entry in entries}
    averaged = means.get(device) is not False  # where it is not said, the GPU is likely a new one
    often = recording.interval_s <= NVML_INSTANT.update_s
    if rows["instant_power_w"].notna().any() and (often or not averaged):
        return "instant_power_w", NVML_INSTANT
    return "power_w", NVML_MEAN if averaged else NVML_INSTANT


def _counter(
    recording: Recording, rows: pd.DataFrame, column: str, joules: float, sensor: Sensor
) -> Meter:
    """Meter of a counter: missed samples cost nothing, unless it began anew."""
    usable = np.flatnonzero(rows[column].notna())
    counts = rows[column].to_numpy(np.int64, na_value=0)[usable]
    moments_s = recording.elapsed_s[rows.index].to_numpy()[usable]
    restarts = np.cumsum((rows["status"] == RESTARTED).to_numpy())[usable]
    steps = np.diff(counts)
    known = (steps >= 0) & (np.diff(restarts) == 0)
    watts = np.where(known, steps * joules / np.diff(moments_s), 0.0)
    return Meter("counter", sensor, _ticks(recording), moments_s, watts, watts, known)


def _integral(recording: Recording, rows: pd.DataFrame, column: str, sensor: Sensor) -> Meter:
    """Meter of power readings, joined by straight lines except over gaps.

    Lines rather than steps: held until the next, each reading would come half an interval late.
    """
    usable = np.flatnonzero(rows[column].notna())
    watts = rows[column].to_numpy()[usable]
    elapsed_s = recording.elapsed_s[rows.index].to_numpy()
    moments_s = elapsed_s[usable]
    usual_s = usual_spacing(elapsed_s, rows["status"].to_numpy())[usable]
    known = np.diff(moments_s) <= GAP_INTERVALS * np.maximum(usual_s[:-1], usual_s[1:])
    known &= np.diff(usable) == 1
    ticks = _ticks(recording)
    return Meter("integral", sensor, ticks, moments_s - sensor.lag_s, watts[:-1], watts[1:], known)


def _ticks(recording: Recording) -> pd.DataFrame:
    return pd.DataFrame({"time_ns": recording.table["time_ns"], "elapsed_s": recording.elapsed_s})
