"""Climatology: the usual day, of workdays and of weekends."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exawatt.forecast.known import (
    DAY_HALF_HOURS,
    actual_only,
    ahead,
    known_then,
    leads_of,
    refuse_later,
)
from exawatt.forecast.values import Forecast, Spread
from exawatt.intensity import Intensity
from exawatt.stats import Floats

#: Parts of a history that are left out in turn to find how large errors are.
FOLDS = 10


def slots_of(intensity: Intensity, beyond: int = 0) -> NDArray[np.int64]:
    """Half-hour of the local day, 0 to 47 on workdays and 48 to 95 at weekends.

    Parameters
    ----------
    intensity : Intensity
        The series.
    beyond : int
        How many half-hours after its end are wanted as well.
    """
    times = pd.date_range(intensity.start, periods=len(intensity) + beyond, freq="30min")
    local = times.tz_convert(intensity.timezone)
    half_hour = 2 * local.hour + local.minute // 30
    return np.asarray(half_hour + DAY_HALF_HOURS * (local.day_of_week >= 5), dtype=np.int64)


def usual(intensity: Intensity, known: np.ndarray) -> Floats:
    """Mean of each slot of :func:`slots_of` over the half-hours that are `known` [gCO2/kWh]."""
    slots, n_slots = slots_of(intensity)[known], 2 * DAY_HALF_HOURS
    sums = np.bincount(slots, intensity.gco2_per_kwh[known], n_slots)
    counts = np.bincount(slots, minlength=n_slots)
    if not counts.all():
        raise ValueError(
            f"{intensity.label} has too few values to tell a usual workday and a usual weekend "
            "with a tenth of it left out; pass a history of several weeks."
        )
    return sums / counts


def folds(n: int) -> Iterator[np.ndarray]:
    """Masks of successive tenths of `n` half-hours."""
    edges = np.linspace(0, n, FOLDS + 1).astype(int)
    for first, last in pairwise(edges):
        mask = np.zeros(n, dtype=bool)
        mask[first:last] = True
        yield mask


def climatology(history: Intensity, intensity: Intensity, horizon_h: float = 48.0) -> Forecast:
    """Forecast that each half-hour will be the usual one of an earlier series.

    Parameters
    ----------
    history : Intensity
        The earlier series; its spread is that of tenths of it about the rest.
    intensity : Intensity
        The series to forecast, of which it uses the calendar alone.
    horizon_h : float
        How far ahead [h].

    Returns
    -------
    Forecast
        Issued from the series' start on.

    Notes
    -----
    The mean by half-hour of the local day, of workdays and of weekends. Of GB's 2022, a month
    left out in turn is 54.5 g off a constant, 53.5 g off the mean by half-hour of the day, 51.3 g
    with weekends apart, no less with each weekday apart (51.4 g), and more with seasons (55.4 g
    by half-hour of the day and season): one year does not tell season from weather.
    """
    refuse_later(history, intensity)
    n_leads, actual = leads_of(horizon_h), actual_only(history)
    known = ~np.isnan(actual)
    slots, profile = slots_of(history), usual(history, known)
    error = np.empty(len(history))
    for fold in folds(len(history)):
        error[fold] = (actual - usual(history, known & ~fold)[slots])[fold]
    whole = slice(0, max(len(history) - n_leads + 1, 0))
    spread = Spread.of(ahead(profile[slots], n_leads)[whole], ahead(error, n_leads)[whole])
    values = ahead(profile[slots_of(intensity, n_leads - 1)], n_leads)[: len(intensity)]
    name = f"climatology of {history.label}"
    return Forecast(intensity.start, values, name, intensity.timezone, spread)


def anomaly(intensity: Intensity, profile: Floats) -> Floats:
    """What was known at each half-hour, less the usual [gCO2/kWh]; 0 where nothing was."""
    return np.nan_to_num(known_then(intensity) - profile[slots_of(intensity)])
