"""Energy of a recorded device between two instants, with its uncertainty and its gaps.

RAPL gives energy counters: their difference is the energy. NVML gives a counter that steps
about every 100 ms, so that differences over short windows come out too small, and power
readings of a sensor that looks away most of the time on some GPUs [1]_: over short windows
readings are integrated, each put at the middle of the time that it stands for.

References
----------
.. [1] Z. Yang, K. Adamek, W. Armour, "Part-Time Power Measurements: nvidia-smi's Lack of
   Attention", arXiv:2312.02741; at SC'24 as "Accurate and Convenient Energy Measurements for
   GPUs: A Detailed Study of NVIDIA GPU's Built-In Power Sensor", 10.1109/SC41406.2024.00028.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exawatt.telemetry.meter import COMPONENTS, Sensor, meters
from exawatt.telemetry.recording import Recording

Method = Literal["auto", "counter", "integral"]


@dataclass(frozen=True)
class Energy:
    """Energy of a device over a window, and how well it is known.

    Parameters
    ----------
    energy_j : float
        Energy over the part of the window that was measured [J]; NaN where none was.
    method : str
        ``counter``, ``integral`` or ``none``.
    duration_s : float
        Length of the window [s].
    gap_share : float
        Share of the window whose energy was not measured [-].
    resolution_j, edges_j, sampling_j, sensor_j, gaps_j : float
        Standard uncertainty by what it comes from [J]: the counter's steps; what happened
        between two samples at the window's ends; the time at which the sensor did not look; its
        tolerance; and, where gaps were extrapolated, what may have happened there. What is not
        known is not in them: the accuracy of RAPL (``sensor_j`` is 0), nor, of a counter, what
        its sensor did not see (``sampling_j`` is 0).
    """

    energy_j: float
    method: str
    duration_s: float
    gap_share: float
    resolution_j: float = 0.0
    edges_j: float = 0.0
    sampling_j: float = 0.0
    sensor_j: float = 0.0
    gaps_j: float = 0.0

    @property
    def uncertainty_j(self) -> float:
        """Combined standard uncertainty [J], of RAPL without the sensor's own accuracy."""
        return float(np.linalg.norm([getattr(self, name) for name in COMPONENTS]))


def energy(
    recording: Recording,
    device: Any,
    begin_ns: int | None = None,
    end_ns: int | None = None,
    *,
    method: Method = "auto",
    sensor: Sensor | None = None,
    extrapolate: bool = False,
) -> Energy:
    """Energy of one device between two instants.

    Parameters
    ----------
    recording : Recording
    device : int or str
        GPU index or RAPL zone.
    begin_ns, end_ns : int, optional
        UTC instants [ns since 1970]; first and last sample of the recording when not given.
    method : {"auto", "counter", "integral"}
        Counter differences, or integrated power. By itself it takes the counter, unless the
        window is shorter than the sensor's ``least_counter_s`` or the counter has more gaps.
    sensor : Sensor, optional
        What the device's readings mean; by default what is known of RAPL and of NVML.
    extrapolate : bool
        Take mean power for the gaps too, and count the uncertainty of that. Otherwise their
        energy is left out.
    """
    times = recording.table["time_ns"]
    if times.empty or len(recording.rows(device)) < 2:
        raise ValueError(f"{recording.path} holds no two samples, between which energy could be.")
    begin = int(times.iloc[0]) if begin_ns is None else begin_ns
    end = int(times.iloc[-1]) if end_ns is None else end_ns
    table = energies(
        recording, device, [begin], [end], method=method, sensor=sensor, extrapolate=extrapolate
    )
    row = table.drop(columns="uncertainty_j").iloc[0].to_dict()
    return Energy(**{str(name): value for name, value in row.items()})


def energies(
    recording: Recording,
    device: Any,
    begin_ns: ArrayLike,
    end_ns: ArrayLike,
    *,
    method: Method = "auto",
    sensor: Sensor | None = None,
    extrapolate: bool = False,
) -> pd.DataFrame:
    """Energy of one device over many windows; see :func:`energy`.

    Returns
    -------
    DataFrame
        A row a window: the fields of :class:`Energy`, and ``uncertainty_j``.
    """
    begin, end = np.asarray(begin_ns, np.int64), np.asarray(end_ns, np.int64)
    if (end <= begin).any():
        at = int(np.argmax(end <= begin))
        raise ValueError(f"end_ns(={end[at]}) must lie after begin_ns(={begin[at]}).")
    found = {meter.method: meter for meter in meters(recording, device, sensor)}
    if method != "auto" and method not in found:
        raise ValueError(f"method(={method!r}) is not recorded of {device!r}; there is {[*found]}.")
    chosen = [found[method]] if method != "auto" else list(found.values())
    tables = [meter.between(begin, end, extrapolate) for meter in chosen]
    if len(tables) == 1:
        return tables[0]
    counter, integral = tables
    short = counter["duration_s"] < chosen[0].sensor.least_counter_s
    # The counter remains the better measure while it misses hardly more.
    worse = counter["gap_share"] > integral["gap_share"] + 0.005
    return counter.where(~(short | worse), integral)


def repeated(runs: Sequence[Energy]) -> Energy:
    """Mean of equal runs of one piece of work: the cure for a sensor that looks away.

    Repeating the work, each time at another phase of the sensor's period, lets the sensor see
    all of it [1]_. The spread of the runs then shows what sampling, edges and resolution do; the
    tolerance of the sensor is the same in all of them and stays.
    """
    if len(runs) < 2:
        raise ValueError(f"runs(={len(runs)}) must be at least 2, to have a spread.")
    joules = np.array([run.energy_j for run in runs])
    return Energy(
        energy_j=float(joules.mean()),
        method=runs[0].method,
        duration_s=float(np.mean([run.duration_s for run in runs])),
        gap_share=float(np.mean([run.gap_share for run in runs])),
        sampling_j=float(joules.std(ddof=1) / np.sqrt(joules.size)),
        sensor_j=float(np.mean([run.sensor_j for run in runs])),
        gaps_j=float(np.mean([run.gaps_j for run in runs])),
    )
