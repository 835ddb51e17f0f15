"""One job's carbon, as different accountants find it; codecarbon [1]_ is really called.

References
----------
.. [1] CodeCarbon, https://codecarbon.io
"""

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd

from exawatt.carbon import account, mean_over, origin_on
from exawatt.intensity import HALF_HOUR_S, Intensity
from exawatt.power import J_PER_KWH, PowerProfile
from exawatt.stats import Floats

#: A day of 2023 without much wind in its evening: 76 g/kWh at 13:00 local time, 221 at 18:30.
DAY = "2023-10-15"
IDLE_W, BUSY_W = 120.0, 400.0
#: How finely the ramp of :func:`evening_job` is cut: no whole number of seconds, so that reading
#: it every second is a check of its own.
STEPS = 10_000


def evening_job(day: str = DAY, timezone: str = "Europe/London") -> PowerProfile:
    """Job of one node from 13:00 to 19:00, whose power ramps from idle to busy.

    Parameters
    ----------
    day : str
        Local date on which it runs.
    timezone : str
        Zone of the node's wall clock.
    """
    begin = pd.Timestamp(f"{day} 13:00", tz=timezone).tz_convert("UTC")
    watts = IDLE_W + (BUSY_W - IDLE_W) * (np.arange(STEPS) + 0.5) / STEPS
    edges_s = np.linspace(0, 6 * 3600, STEPS + 1)
    return PowerProfile(edges_s, watts, start=begin, timezone=timezone, label=f"job of {day}")


def bursts(
    on_s: float, off_s: float, *, drawn: bool = False, duration_s: int = 1800
) -> PowerProfile:
    """Power that jumps between idle and busy.

    Parameters
    ----------
    on_s, off_s : float
        Time that it is busy, then idle, in turn [s].
    drawn : bool
        These are means of exponential distributions; else they are exact.
    duration_s : int
        Length of the whole [s].
    """
    lengths = np.tile([float(on_s), off_s], int(2 * duration_s / (on_s + off_s)) + 1)
    if drawn:
        lengths *= np.random.default_rng(0).exponential(size=lengths.size)
    edges = np.append(0.0, np.cumsum(lengths))
    edges = np.append(edges[edges < duration_s], duration_s)
    watts = np.where(np.arange(edges.size - 1) % 2 == 0, BUSY_W, IDLE_W)
    return PowerProfile(edges, watts, label="bursts")


def methods(job: PowerProfile, intensity: Intensity) -> pd.DataFrame:
    """Carbon of one job by the methods in use, against the exact integral.

    Parameters
    ----------
    job : PowerProfile
        Its power, exactly known to all methods, and one PUE.
    intensity : Intensity
        Half-hourly means: generation only where they are Great Britain's.

    Returns
    -------
    DataFrame
        ``method``, ``carbon [kg]``, ``error`` [-].

    Notes
    -----
    The trapezoid takes half-hourly means for values at the beginnings of their half-hours, as
    CATS does. The constant of codecarbon 3 for Great Britain, 237.589 g/kWh in 2023, is that of
    a life cycle: it counts what was emitted to build and to fuel power stations as well. No other
    row does, so its error is not that of a constant alone; the mean of the series is.
    """
    exact = account(job, intensity)
    overhead = exact.energy_kwh / job.energy_kwh
    grams = intensity.gco2_per_kwh
    first, last = (job.edges_s[[0, -1]] - origin_on(job, intensity)) / HALF_HOUR_S
    days = intensity.times.tz_convert(intensity.timezone).normalize()
    window = mean_over(job, intensity, job.edges_s[:1], job.edges_s[-1:])[0]
    factors = {
        "energy × mean of the window": window,
        "energy × mean of the day": np.nanmean(grams[days == days[int(first)]]),
        "energy × value at the start (as carbontracker)": grams[int(first)],
        "energy × trapezoid over the window (as CATS)": _trapezoid(grams, first, last),
        "energy × mean of the series": np.nanmean(grams),
    }
    table = {
        "exact": exact.carbon_kgco2e,
        "brute force, second by second": overhead * _second_by_second(job, intensity),
        **{name: exact.energy_kwh * float(factor) / 1e3 for name, factor in factors.items()},
        "codecarbon (its constant, life cycle)": codecarbon_kgco2e(exact.energy_kwh),
    }
    carbon = np.array(list(table.values()))
    error = carbon / exact.carbon_kgco2e - 1
    return pd.DataFrame({"method": list(table), "carbon [kg]": carbon, "error": error})


def _trapezoid(grams: Floats, first: float, last: float) -> float:
    """Mean between two moments, counted in half-hours, of straight lines between beginnings."""
    knots = np.unique([first, *np.arange(np.ceil(first), last), last])
    lines = np.interp(knots, np.arange(grams.size), grams)
    return float(np.trapezoid(lines, knots)) / (last - first)


def _second_by_second(job: PowerProfile, intensity: Intensity) -> float:
    """Carbon of IT power by power and intensity in the middle of each second [kg]."""
    moments_s = np.arange(job.edges_s[0], job.edges_s[-1]) + 0.5
    half_hours = (moments_s - origin_on(job, intensity)) // HALF_HOUR_S
    grams = intensity.gco2_per_kwh[half_hours.astype(np.int64)]
    return float((_watts_at(job, moments_s) * grams).sum()) / J_PER_KWH / 1e3


def _watts_at(job: PowerProfile, moments_s: Floats) -> Floats:
    after = np.searchsorted(job.edges_s, moments_s, side="right")
    return job.watts[np.minimum(after, job.watts.size) - 1]


def codecarbon_kgco2e(energy_kwh: float) -> float:
    """Carbon of an energy in Great Britain, as codecarbon finds it without a network [kg]."""
    # Slow to import, and no part of the package needs it but these comparisons.
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    energy = Energy.from_energy(energy_kwh)
    place = GeoMetadata(country_iso_code="GBR")
    return float(Emissions(DataSource()).get_private_infra_emissions(energy, place))


def codecarbon_kwh(job: PowerProfile) -> float:
    """Energy that codecarbon's tracker finds in a load that is read by its power [kWh].

    Parameters
    ----------
    job : PowerProfile
        Power of the only device that the tracker sees.

    Notes
    -----
    The tracker is the real one, for Great Britain and without a network, but for its clock and
    for what its device reads, which are ours. It runs in simulated time: its two timers call what
    they call, one each second for a sample of power, the other every 15 s for the energy. This is
    how it reads processors and GPUs that have no counter of energy; where there is a counter, it
    takes the counter's differences.
    """
    from codecarbon import OfflineEmissionsTracker, emissions_tracker
    from codecarbon.core.units import Power
    from codecarbon.external import hardware

    clock = SimpleNamespace(now_s=float(job.edges_s[0]))
    clock.perf_counter = lambda: clock.now_s

    class Device(hardware.CPU):
        def _get_power_from_cpu_load(self) -> Power:
            return Power.from_watts(float(_watts_at(job, clock.now_s)))

    emissions_tracker.logger.setLevel("CRITICAL")  # it speaks before it has read its own level
    # Said outright, so that no configuration file of a user can change it.
    unset = ["region", "cloud_provider", "cloud_region", "emissions_endpoint"]
    unset += ["electricitymaps_api_token", "force_carbon_intensity_g_co2e_kwh"]
    with patch.object(emissions_tracker, "time", clock), patch.object(hardware, "time", clock):
        tracker = OfflineEmissionsTracker(
            country_iso_code="GBR",
            measure_power_secs=15,
            pue=1.0,
            output_methods=[],
            allow_multiple_runs=True,  # takes no lock file
            log_level="critical",
            **dict.fromkeys(unset),
        )
        device = Device(output_dir=".", mode=hardware.MODE_CPU_LOAD, model="", tdp=0)
        tracker._hardware, tracker._hardware_initialized = [device], True
        tracker.start()
        timers = [tracker._scheduler_monitor_power, tracker._scheduler]
        for timer in timers:
            timer.stop()  # they count real time
        for second in range(1, int(np.ptp(job.edges_s)) + 1):
            clock.now_s = job.edges_s[0] + second
            for timer in timers:
                if second % timer.interval == 0:
                    timer.function()
        tracker.stop()
    return float(tracker.final_emissions_data.energy_consumed)


def sampled() -> pd.DataFrame:
    """Energy that codecarbon's tracker finds by samples of power, against the exact integral.

    Returns
    -------
    DataFrame
        ``load``, ``energy [kWh]``, ``codecarbon [kWh]``, ``error`` [-].
    """
    loads = {
        "ramp over six hours": evening_job(),
        "bursts of 5 s and pauses of 5 s in the mean, drawn": bursts(5, 5, drawn=True),
        "bursts of 0.5 s, one each 1.02 s": bursts(0.5, 0.52),
        "bursts of 0.5 s, one each second": bursts(0.5, 0.5),
    }
    energy = np.array([load.energy_kwh for load in loads.values()])
    found = np.array([codecarbon_kwh(load) for load in loads.values()])
    columns = {"energy [kWh]": energy, "codecarbon [kWh]": found, "error": found / energy - 1}
    return pd.DataFrame({"load": list(loads), **columns})
