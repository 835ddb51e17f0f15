"""Carbon: power over time and carbon intensity over time become kgCO2e, integrated exactly."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exawatt.facility import Pue
from exawatt.intensity import HALF_HOUR_S, GapError, Intensity, lay_on, tiled
from exawatt.power import J_PER_KWH, PowerProfile
from exawatt.stats import Floats, step_integral
from exawatt.units import doubt_intensity


@dataclass(frozen=True, eq=False)
class Account:
    """Energy and location-based carbon of a machine.

    Parameters
    ----------
    energy_kwh, carbon_kgco2e : float
        Facility energy (IT energy times PUE) and the emissions of generating it.
    half_hours : DataFrame
        One row a half-hour: ``time_s`` (its beginning, the trace's own origin), ``time`` (the
        same on the machine's wall clock), ``series_time`` (the UTC half-hour of the series whose
        intensity was taken), ``energy_kwh``, ``gco2_per_kwh``, ``carbon_kgco2e``, ``filled``.
    window_s : tuple of float
        First and last moment [s, the trace's own origin].
    power_label, intensity_label : str
        What drew the energy, and whose intensity was used.
    fill : str or None
        Rule that supplied intensity in the series' gaps.
    pue : float or Pue
        What made the facility's energy of that of the computers.
    """

    energy_kwh: float
    carbon_kgco2e: float
    half_hours: pd.DataFrame
    window_s: tuple[float, float]
    power_label: str
    intensity_label: str
    fill: str | None
    pue: float | Pue = 1.0

    def __repr__(self) -> str:
        """Return the account in one line."""
        return (
            f"Account({self.power_label}: {self.energy_kwh:,.1f} kWh, "
            f"{self.carbon_kgco2e:,.1f} kgCO2e by {self.intensity_label})"
        )

    @property
    def mean_gco2_per_kwh(self) -> float:
        """Carbon over energy [gCO2e/kWh]."""
        return 1e3 * self.carbon_kgco2e / self.energy_kwh

    @property
    def filled_kwh(self) -> float:
        """Energy used in half-hours whose intensity a fill rule supplied [kWh]."""
        return float(self.half_hours.loc[self.half_hours["filled"], "energy_kwh"].sum())

    def by_month(self) -> pd.DataFrame:
        """Energy and carbon by calendar month, on the machine's wall clock."""
        month = self.half_hours["time"].dt.strftime("%Y-%m")
        sums = self.half_hours.groupby(month)[["energy_kwh", "carbon_kgco2e"]].sum()
        return sums.rename_axis("month").reset_index()


def account(power: PowerProfile, intensity: Intensity) -> Account:
    r"""Energy and carbon of a power profile.

    Parameters
    ----------
    power : PowerProfile
        IT power; its PUE makes it the facility's. For another PUE,
        ``dataclasses.replace(power, pue=...)``.
    intensity : Intensity
        Half-hourly means. The trace is laid on it by :func:`lay_on`, and beyond its ends the
        series repeats every 52 weeks.

    Returns
    -------
    Account

    Raises
    ------
    GapError
        Energy was used in a half-hour whose intensity is unknown.

    Notes
    -----
    .. math:: C = \sum_k I_k \, \bigl(E(t_{k+1}) - E(t_k)\bigr)

    with the cumulative energy :math:`E` evaluated at the edges of the half-hours: power is
    piecewise constant and intensity a mean over half-hours, so nothing is approximated. A PUE by
    load and season is affine in the power of a month, and a half-hour is of the month in which it
    begins.
    """
    origin = origin_on(power, intensity)
    bins, slots, grams = _half_hours(intensity, origin, power.edges_s[0], power.edges_s[-1])
    edges_s = bins * HALF_HOUR_S + origin
    # A trace without a start has no calendar of its own and takes the one it is laid on.
    clock = power.start or intensity.start - pd.Timedelta(seconds=origin)
    times = (clock + pd.to_timedelta(edges_s[:-1], unit="s")).tz_convert(power.timezone)
    it_kwh, overhead_kwh = _energy_kwh(power, edges_s, times.month)
    energy_kwh = it_kwh + overhead_kwh
    doubt_intensity("gco2_per_kwh", intensity.gco2_per_kwh)
    _refuse_gaps(intensity, bins, energy_kwh, grams)
    carbon = np.where(energy_kwh > 0, energy_kwh * np.nan_to_num(grams) / 1e3, 0.0)
    half_hours = pd.DataFrame(
        {
            "time_s": edges_s[:-1],
            "time": times,
            "series_time": intensity.start + pd.to_timedelta(slots * HALF_HOUR_S, unit="s"),
            "energy_kwh": energy_kwh,
            "gco2_per_kwh": grams,
            "carbon_kgco2e": carbon,
            "filled": (slots >= 0) & intensity.filled[slots],
        }
    )
    return Account(
        energy_kwh=power.energy_kwh + float(overhead_kwh.sum()),
        carbon_kgco2e=float(carbon.sum()),
        half_hours=half_hours,
        window_s=(float(power.edges_s[0]), float(power.edges_s[-1])),
        power_label=power.label,
        intensity_label=intensity.label,
        fill=intensity.fill,
        pue=power.pue,
    )


def _energy_kwh(power: PowerProfile, edges_s: Floats, month: pd.Index) -> tuple[Floats, Floats]:
    """Energy of the computers in each half-hour, and what the facility adds [kWh]."""
    it_kwh = np.diff(power.cumulative_j(edges_s)) / J_PER_KWH
    inside_s = np.diff(np.clip(edges_s, power.edges_s[0], power.edges_s[-1]))
    factor, fixed_w = Pue.of(power.pue).coefficients(month)
    return it_kwh, (factor - 1.0) * it_kwh + fixed_w * inside_s / J_PER_KWH


def mean_over(power: PowerProfile, intensity: Intensity, begin_s: Floats, end_s: Floats) -> Floats:
    """Mean intensity over intervals of a trace, such as the times its jobs ran [gCO2/kWh].

    Parameters
    ----------
    power : PowerProfile
        Of the trace, which lays it on the series.
    intensity : Intensity
        Half-hourly means.
    begin_s, end_s : ndarray, shape (n,)
        Intervals [s, the trace's own origin], each longer than nothing.

    Returns
    -------
    ndarray, shape (n,)
        NaN from the first half-hour without a value onwards; fill the gaps first.
    """
    origin = origin_on(power, intensity)
    bins, _, grams = _half_hours(intensity, origin, begin_s.min(), end_s.max())
    integral = step_integral(bins * HALF_HOUR_S + origin, grams, np.stack([begin_s, end_s]))
    return np.diff(integral, axis=0)[0] / (end_s - begin_s)


def _half_hours(
    intensity: Intensity, origin: float, first_s: float, last_s: float
) -> tuple[Floats, np.ndarray, Floats]:
    """Edges (n + 1,), counted from the series' start, slots (n,) and intensities (n,) of a span."""
    first, last = (first_s - origin) / HALF_HOUR_S, (last_s - origin) / HALF_HOUR_S
    bins = np.arange(np.floor(first), np.ceil(last) + 1)
    slots = tiled(bins[:-1].astype(np.int64), len(intensity))
    return bins, slots, np.where(slots >= 0, intensity.gco2_per_kwh[slots], np.nan)


def _refuse_gaps(intensity: Intensity, bins: Floats, energy_kwh: Floats, grams: Floats) -> None:
    lost = np.isnan(grams) & (energy_kwh > 0)
    if lost.any():
        first = intensity.start + pd.Timedelta(seconds=bins[:-1][lost][0] * HALF_HOUR_S)
        advice = "name a fill rule: load_intensity(..., fill='week'), or --fill week"
        if intensity.fill:
            advice = f"rule {intensity.fill!r} does not reach there: take a series of a whole year"
        raise GapError(
            f"{energy_kwh[lost].sum():,.1f} kWh fall in {lost.sum()} half-hours of "
            f"{intensity.label} that have no value, first {first}; {advice}."
        )


def origin_on(power: PowerProfile, intensity: Intensity) -> float:
    """Moment of the trace at which the series begins [s, the trace's own origin]."""
    laid = lay_on(power.start, power.timezone, intensity, power.first_submit_s)
    return power.first_submit_s - (laid - intensity.start).total_seconds()
