"""Forecasts that never existed: the one without error, and one of simulated accuracy."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from exawatt.forecast.known import leads_of
from exawatt.forecast.values import Forecast
from exawatt.intensity import Intensity, tiled
from exawatt.stats import Floats

#: Mean absolute error of the service's forecasts 0 to 48 h ahead, March to June 2023 [gCO2/kWh].
PUBLISHED_MAE = 25.7
PUBLISHED_IN = (pd.Timestamp("2023-03-01", tz="UTC"), pd.Timestamp("2023-07-01", tz="UTC"))
#: The same of the forecast before delivery that its history of 2023 keeps [gCO2/kWh], and the
#: correlation of that forecast's errors from one half-hour to the next [-].
DELIVERY_MAE = 9.9
DELIVERY_CORRELATION = 0.74
#: News about two half-hours is alike by exp(-distance / this) [h].
CORRELATION_H = 24.0


def perfect(intensity: Intensity, horizon_h: float = 48.0) -> Forecast:
    """Forecast without error: the bound of what any forecast could do.

    Parameters
    ----------
    intensity : Intensity
        Half-hourly actual values, gaps filled.
    horizon_h : float
        How far ahead [h].

    Returns
    -------
    Forecast
        Issued at each half-hour for which it is known what comes. After its end a series goes on
        as it was 52 weeks earlier, as it does for an account.
    """
    values = _future(intensity, leads_of(horizon_h))
    return Forecast(intensity.start, values, f"perfect, of {intensity.label}", intensity.timezone)


def synthetic(
    intensity: Intensity,
    seed: int = 0,
    mae_gco2_per_kwh: float = PUBLISHED_MAE,
    horizon_h: float = 48.0,
) -> Forecast:
    r"""Forecast of simulated accuracy: what came, with errors as large as the service's.

    No such forecast was ever issued. The service's vintages are not kept by anyone who may pass
    them on; only how much they erred is published.

    Parameters
    ----------
    intensity : Intensity
        Half-hourly actual values, gaps filled.
    seed : int
        Seed of the errors.
    mae_gco2_per_kwh : float
        Mean absolute error over all leads, from March to June 2023 where the series has these
        months, else over all of it [gCO2/kWh].
    horizon_h : float
        How far ahead [h].

    Returns
    -------
    Forecast
        Issued as that of :func:`perfect`.

    Notes
    -----
    What is issued at :math:`i` for half-hour :math:`v = i + k` is off by what was not yet known:

    .. math:: e_{i,v} = \sigma_0 z_v + \sigma \sum_{s=i+1}^{v} \eta_{s,v}

    News :math:`\eta_{s,v} \sim N(0, 1)` comes at :math:`s` about all half-hours ahead, correlated
    by :math:`e^{-|v - v'| / 24\,\mathrm{h}}`, and never about what earlier news told (the
    martingale model of forecast evolution [1]_). The variance of errors thus grows in proportion
    to the lead, errors of successive issues about one half-hour are alike, and the last one
    stays at :math:`\sigma_0 z_v`, of first-order autocorrelation 0.74. Values stay between the
    least and the greatest of the series. Deviation :math:`\sigma_0` is such that the mean
    absolute error at lead 0 is 9.9 g, that of the service's last forecasts of 2023, and
    :math:`\sigma` such that it is 25.7 g over all leads [2]_. Errors are in grams because those
    last forecasts err by 8 to 12 g in each fifth of the actual values. On single days of these
    months the mean absolute error is 15 to 53 g (means over ten seeds; 11 to 55 g published).

    Real forecasts vary less than what comes; these vary more, errors being added to it. How the
    published error grows with the lead is not known.

    References
    ----------
    .. [1] D. Heath, P. Jackson, "Modeling the Evolution of Demand Forecasts with Application to
       Safety Stock Analysis in Production/Distribution Systems", IIE Transactions 26(3), 1994.
    .. [2] N. Powell, "Carbon Intensity Forecast Tracking",
       https://github.com/nmpowell/carbon-intensity-forecast-tracking
    """
    actual = perfect(intensity, horizon_h).gco2_per_kwh
    n, n_leads = actual.shape
    noise, news = _errors(n, n_leads, np.random.default_rng(seed))
    least, most = float(actual.min()), float(actual.max())
    chosen = _published_rows(intensity, n)
    came, noise_then, news_then = actual[chosen], noise[chosen], news[chosen]

    def issued(base: Floats, error: Floats) -> Floats:
        return np.clip(base + error, least, most)

    def mae(actual: Floats, error: Floats) -> float:
        return float(np.abs(issued(actual, error) - actual).mean())

    last, last_noise = came[:, 0], noise_then[:, 0]
    delivery_mae = DELIVERY_MAE * mae_gco2_per_kwh / PUBLISHED_MAE
    sigma_0 = _scale(lambda scale: mae(last, scale * last_noise), delivery_mae)
    noise_then = sigma_0 * noise_then
    sigma = _scale(lambda scale: mae(came, noise_then + scale * news_then), mae_gco2_per_kwh)
    values = issued(actual, sigma_0 * noise + sigma * news)
    name = f"synthetic, {mae_gco2_per_kwh:g} g off, seed {seed}, of {intensity.label}"
    return Forecast(intensity.start, values, name, intensity.timezone)


def _future(intensity: Intensity, n_leads: int) -> Floats:
    """What came at and after each half-hour, shape (n_issues, n_leads) [gCO2/kWh]."""
    slots = tiled(np.arange(len(intensity) + n_leads - 1), len(intensity))
    n = int(np.argmin(slots)) if (slots < 0).any() else slots.size
    if n < n_leads:
        raise ValueError(
            f"{intensity.label} has {len(intensity)} half-hours; pass {n_leads} or more, or a "
            "shorter horizon_h."
        )
    return np.lib.stride_tricks.sliding_window_view(intensity.gco2_per_kwh[slots[:n]], n_leads)


def _published_rows(intensity: Intensity, n: int) -> slice:
    """Issues of the months whose error is published, or all of them."""
    half_hour = pd.Timedelta(minutes=30)
    first, last = ((when - intensity.start) // half_hour for when in PUBLISHED_IN)
    return slice(first, last) if first >= 0 and last <= n else slice(0, n)


def _errors(n: int, n_leads: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Standard noise at delivery, and the news to come; both of shape (n, n_leads)."""
    alike = float(np.exp(-0.5 / CORRELATION_H))
    n_valid = n + n_leads - 1
    # Row s + n_leads is the news at s, its column j that about half-hour s + j.
    news = _correlated(rng.standard_normal((n_valid + n_leads, n_leads)), alike)
    noise = _correlated(rng.standard_normal((1, n_valid)), DELIVERY_CORRELATION)[0]
    valid, back = np.arange(n_valid)[:, None], np.arange(n_leads)
    to_come = np.zeros((n_valid, n_leads))
    np.cumsum(news[valid - back[:-1] + n_leads, back[:-1]], axis=1, out=to_come[:, 1:])
    issue = np.arange(n)[:, None]
    return noise[issue + back], to_come[issue + back, back]


def _correlated(white: Floats, alike: float) -> Floats:
    """First-order autoregression along rows, of variance 1 from the first value on."""
    from scipy.signal import lfilter  # slow to import, and few forecasts are simulated

    white[:, 1:] *= np.sqrt(1 - alike**2)
    return lfilter([1.0], [1.0, -alike], white, axis=1)


def _scale(error: Callable[[float], float], wanted: float) -> float:
    """Scale at which a mean absolute error, which grows with it, is the one wanted."""
    from scipy.optimize import brentq

    most = 10 * wanted
    if not 0 <= wanted <= error(most):
        raise ValueError(
            f"errors of {wanted:g} gCO2/kWh in the mean are below 0, or more than the series "
            "itself varies; pass another mae_gco2_per_kwh."
        )
    return float(brentq(lambda scale: error(scale) - wanted, 0.0, most, xtol=1e-6))
