"""What was known of a series at each half-hour, and the forecast that days repeat themselves."""

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from exawatt.forecast.values import Forecast, Spread
from exawatt.intensity import Intensity
from exawatt.stats import Floats

DAY_HALF_HOURS = 48


def leads_of(horizon_h: float) -> int:
    """Half-hours of a horizon."""
    n_leads = round(horizon_h * 2)
    if n_leads < 1:
        raise ValueError(f"horizon_h(={horizon_h}) must be half an hour or more.")
    return n_leads


def actual_only(intensity: Intensity) -> Floats:
    """Values that were measured [gCO2/kWh]; NaN in gaps, filled or not."""
    return np.where(intensity.filled, np.nan, intensity.gco2_per_kwh)


def known_then(intensity: Intensity) -> Floats:
    """Values as they were known when their half-hours had passed [gCO2/kWh].

    A gap takes the value of the same half-hour on the latest day before that knows it. The rule
    by which a series is filled for accounting looks at the week after, which nobody knew. What
    is unknown from the first day on stays NaN.
    """
    actual = actual_only(intensity)
    padded = np.full(-(-actual.size // DAY_HALF_HOURS) * DAY_HALF_HOURS, np.nan)
    padded[: actual.size] = actual
    days = pd.DataFrame(padded.reshape(-1, DAY_HALF_HOURS))
    return days.ffill().to_numpy().ravel()[: actual.size]


def ahead(values: Floats, n_leads: int) -> Floats:
    """Row `i`: the `n_leads` values from half-hour `i` on, NaN past the end; read only."""
    padded = np.concatenate([values, np.full(n_leads - 1, np.nan)])
    return sliding_window_view(padded, n_leads)


def refuse_later(history: Intensity, intensity: Intensity) -> None:
    """Refuse to learn from what had not happened yet."""
    end = history.start + pd.Timedelta(minutes=30 * len(history))
    if end > intensity.start:
        raise ValueError(
            f"{history.label} ends at {end}, after {intensity.label} begins ({intensity.start}); "
            "pass a history that ended before."
        )


def persistence(
    intensity: Intensity, horizon_h: float = 48.0, history: Intensity | None = None
) -> Forecast:
    """Forecast that the days to come will be like the last one.

    Parameters
    ----------
    intensity : Intensity
        Half-hourly actual values; those of the first day must be known.
    horizon_h : float
        How far ahead [h].
    history : Intensity, optional
        An earlier series, whose errors tell the spread.

    Returns
    -------
    Forecast
        Issued from one day after the series' start on: for each half-hour the actual value of
        the same half-hour on the latest day on which it had passed by then, and was known.
    """
    spread = None
    if history is not None:
        refuse_later(history, intensity)
        issued = _repeated(history, horizon_h)
        came = ahead(actual_only(history), issued.shape[1])[DAY_HALF_HOURS:]
        spread = Spread.of(issued, came - issued)
    values = _repeated(intensity, horizon_h)
    start = intensity.start + pd.Timedelta(minutes=30 * DAY_HALF_HOURS)
    name = f"persistence of {intensity.label}"
    return Forecast(start, values, name, intensity.timezone, spread)


def _repeated(intensity: Intensity, horizon_h: float) -> Floats:
    """Values of the persistence forecast, from the second day on."""
    known, leads = known_then(intensity), np.arange(leads_of(horizon_h))
    issues = np.arange(DAY_HALF_HOURS, known.size)
    if not issues.size:
        raise ValueError(f"{intensity.label} has {known.size} half-hours; pass over a day.")
    if np.isnan(known).any():
        first = intensity.times[np.isnan(known)][0]
        raise ValueError(f"{intensity.label} is unknown at {first}; begin with a day without gaps.")
    back = DAY_HALF_HOURS * (leads // DAY_HALF_HOURS + 1)
    return known[issues[:, None] + (leads - back)[None, :]]
