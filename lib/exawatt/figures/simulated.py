"""A simulated GPU: work of known power, and what its counter and sensor show of it."""

from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.stats import Floats
from exawatt.telemetry import sidecar
from exawatt.telemetry.recording import FORMATS, Recording, read_recording

#: The simulated GPU: idle, at work, and in the pauses of its work [W].
IDLE_W, BUSY_W, PAUSE_W = 60.0, 320.0, 120.0
#: Its sensor takes a reading so often, and looks so long for it [s].
PERIOD_S, LOOK_S = 0.1, 0.025
#: Idle time between two bursts, and length of the work that keeps time with the sensor [s].
SPACE_S = 2.0
CYCLED_S = 10.0
#: True power is told by the millisecond [s].
STEP_S = 1e-3
START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z, when nothing was recorded


def job_power(seed: int, busy_s: float = 30.0) -> Floats:
    """True power of one generated job, idle before and after it; a value a millisecond [W]."""
    rng = np.random.default_rng(seed)
    parts = [_hold(IDLE_W, 10.0)]
    while sum(part.size for part in parts) * STEP_S < 10.0 + busy_s:
        parts.append(_hold(BUSY_W * rng.uniform(0.9, 1.0), rng.uniform(0.6, 1.4)))
        parts.append(_hold(PAUSE_W, rng.uniform(0.1, 0.5)))
    return np.concatenate([*parts, _hold(IDLE_W, 10.0)])


def bursts_power(lengths_s: Floats) -> tuple[Floats, Floats]:
    """True power of bursts of work between idle stretches [W], and when each begins [s]."""
    parts, begins, now_s = [_hold(IDLE_W, SPACE_S)], [], SPACE_S
    for length_s in lengths_s:
        begins.append(now_s)
        # The next one begins at a whole tick again, as if each were measured by itself.
        rest_s = SPACE_S + np.ceil(length_s / PERIOD_S) * PERIOD_S - length_s
        parts += [_hold(BUSY_W, length_s), _hold(IDLE_W, rest_s)]
        now_s += length_s + rest_s
    return np.concatenate(parts), np.array(begins)


def cycled_power() -> Floats:
    """Work whose period is the sensor's: half of each busy, half idle [W]."""
    period = [_hold(BUSY_W, PERIOD_S / 2), _hold(IDLE_W, PERIOD_S / 2)]
    inside = np.tile(np.concatenate(period), round(CYCLED_S / PERIOD_S))
    return np.concatenate([_hold(IDLE_W, SPACE_S), inside, _hold(IDLE_W, SPACE_S)])


def _hold(power_w: float, length_s: float) -> Floats:
    return np.full(round(length_s / STEP_S), power_w)


def true_j(power_w: Floats, moments_s: Floats) -> Floats:
    """True energy from the beginning to each moment [J]."""
    grid_s = np.arange(power_w.size + 1) * STEP_S
    whole_j = np.append(0.0, np.cumsum(power_w) * STEP_S)
    # Before the beginning the GPU was idle.
    return np.interp(moments_s, grid_s, whole_j) + np.minimum(moments_s, 0.0) * power_w[0]


def simulate(
    power_w: Floats,
    path: Path,
    *,
    interval_s: float = 0.1,
    phase_s: float = 0.03,
    late_steps: int = 1,
    instant: bool = True,
) -> Recording:
    """Record a known power by a simulated sensor, write it as the logger would, and read it back.

    Parameters
    ----------
    power_w : ndarray
        True power, a value a millisecond [W].
    path : Path
        CSV file to write; its sidecar lies beside it.
    interval_s : float
        Time between ticks [s].
    phase_s : float
        When the sensor takes its readings, after the ticks [s].
    late_steps : int
        Steps by which the energy counter is behind.
    instant : bool
        Whether the GPU offers instant power.

    Notes
    -----
    Every 100 ms the sensor takes the mean of the last 25 ms: instant power. Power is the mean of
    the last ten of these, and the counter steps to the true energy. No reading has noise, nor an
    error of scale: what is left is what time does.
    """
    ticks_s = np.arange(0.0, power_w.size * STEP_S, interval_s)
    newest = np.floor((ticks_s - phase_s) / PERIOD_S + 1e-9)
    number = np.arange(newest[0] - 10, newest[-1] + 1)
    taken_s = number * PERIOD_S + phase_s
    look_w = (true_j(power_w, taken_s) - true_j(power_w, taken_s - LOOK_S)) / LOOK_S
    at = (newest - number[0]).astype(np.int64)
    summed_w = np.append(0.0, np.cumsum(look_w))
    counted_s = newest * PERIOD_S + phase_s - late_steps * PERIOD_S
    rows = {
        "time_ns": START_NS + np.round(ticks_s * 1e9).astype(np.int64),
        "monotonic_ns": np.round(ticks_s * 1e9).astype(np.int64),
        "device": 0,
        "power_w": (summed_w[at + 1] - summed_w[at - 9]) / 10,
        "instant_power_w": look_w[at] if instant else np.nan,
        "energy_mj": np.round((true_j(power_w, counted_s) + 1e4) * 1e3).astype(np.int64),
        "status": "ok",
    }
    columns = list(FORMATS["exawatt-nvml-1"][1])
    table = pd.DataFrame(rows).reindex(columns=columns)
    table.to_csv(path, index=False, na_rep="nan", lineterminator="\n", float_format="%.3f")
    about = {"format": "exawatt-nvml-1", "host": "simulated", "interval_s": interval_s}
    device = {"device": 0, "name": "simulated GPU", "power_w_is_1s_mean": True}
    sidecar.write(sidecar.path_of(path), about | {"devices": [device]})
    return read_recording(path)


def instant_ns(moment_s: float) -> int:
    """Instant that a moment of a simulation has in its recording [ns since 1970, UTC]."""
    return START_NS + round(moment_s * 1e9)
