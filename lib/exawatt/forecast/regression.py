"""A model of our own: intensity returns to the usual day, at a pace learnt for each lead."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exawatt.forecast.climate import anomaly, folds, slots_of, usual
from exawatt.forecast.known import DAY_HALF_HOURS, actual_only, ahead, leads_of, refuse_later
from exawatt.forecast.values import Forecast, Spread
from exawatt.intensity import WEEK_HALF_HOURS, Intensity
from exawatt.stats import Floats

#: Spans of the past week whose mean is a predictor, as half-hours back: the last four one by one,
#: then the hours of two days, then the rest of the week.
SPANS = (
    *((back, back + 1) for back in range(4)),
    *((back, back + 2) for back in range(4, 2 * DAY_HALF_HOURS, 2)),
    (2 * DAY_HALF_HOURS, WEEK_HALF_HOURS),
)
#: Cycles a day of the sines and cosines that describe the hour.
HARMONICS = (1, 2, 3)
MIN_WEEKS = 8


def regression(history: Intensity, intensity: Intensity, horizon_h: float = 48.0) -> Forecast:
    r"""Forecast by linear regression on the week before, lead by lead.

    Parameters
    ----------
    history : Intensity
        Earlier series to fit on, of eight weeks or more.
    intensity : Intensity
        Series to forecast; each issue uses the half-hours that had passed by then.
    horizon_h : float
        How far ahead [h].

    Returns
    -------
    Forecast
        Issued from the series' start on; before it, the usual is taken for what was. The spread
        is that of each tenth of the history under a fit to the rest.

    Notes
    -----
    With :math:`c_i` the mean of the history by half-hour of the local day, workdays and weekends
    apart (see :func:`climatology`), and :math:`x_i = y_i - c_i` what a half-hour differs from it,

    .. math:: \hat y_{i,k} = \max\Bigl(0,\; c_{i+k} + \sum_s a_{k,s} \bar x_{i,s}
              + \sum_h (b_{k,h} x_{i-1} + d_{k,h} + e_{k,h} w_i) \varphi_h(i) + f_k w_i + g_k\Bigr)

    is issued at the beginning of half-hour :math:`i` for half-hour :math:`i + k`. Here
    :math:`\bar x_{i,s}` are the means over spans of the week before, :math:`\varphi_h` the sines
    and cosines of the hour and :math:`w_i` whether it is a weekend. Coefficients are those of
    ordinary least squares, for each lead its own (the direct method [1]_). On tenths of GB's 2022
    left out in turn, grams did better than their root or logarithm.

    References
    ----------
    .. [1] M. Marcellino, J. Stock, M. Watson, "A comparison of direct and iterated multistep AR
       methods for forecasting macroeconomic time series", Journal of Econometrics 135, 2006.
    """
    refuse_later(history, intensity)
    if len(history) < MIN_WEEKS * WEEK_HALF_HOURS:
        weeks = len(history) / WEEK_HALF_HOURS
        raise ValueError(f"{history.label} has {weeks:.1f} weeks; pass {MIN_WEEKS} or more to fit.")
    actual = ahead(actual_only(history), leads_of(horizon_h))
    error = np.empty(actual.shape)
    for fold in folds(len(history)):
        held_out = _Fit.of(history, actual, left_out=fold).predict(history)
        error[fold] = (actual - held_out)[fold]
    fit = _Fit.of(history, actual, left_out=np.zeros(len(history), dtype=bool))
    fitted = slice(WEEK_HALF_HOURS, None)
    # By what the final fit would have said: the fit to the rest lies high where the part is low.
    spread = Spread.of(fit.predict(history)[fitted], error[fitted])
    values = fit.predict(intensity)
    name = f"regression on {history.label}"
    return Forecast(intensity.start, values, name, intensity.timezone, spread)


@dataclass(frozen=True, eq=False)
class _Fit:
    """The usual by slot of the week, and coefficients of shape (n_predictors, n_leads)."""

    profile: Floats
    coefficients: Floats

    @classmethod
    def of(cls, history: Intensity, actual: Floats, left_out: NDArray[np.bool_]) -> Self:
        """Fit to a history, of which no predictor or target lies in the part left out."""
        n, n_leads = actual.shape
        profile = usual(history, ~np.isnan(actual[:, 0]) & ~left_out)
        reach = np.ones(WEEK_HALF_HOURS + n_leads)
        near = np.convolve(left_out, reach)[n_leads - 1 :][:n] > 0
        rows = ~near & ~np.isnan(actual).any(axis=1)
        rows[:WEEK_HALF_HOURS] = False
        change = (actual - _expected(history, profile, n_leads))[rows]
        predictors = _predictors(history, profile)[rows]
        coefficients = np.linalg.lstsq(predictors, change, rcond=None)[0]
        return cls(profile, coefficients.astype(np.float64))

    def predict(self, intensity: Intensity) -> Floats:
        """Values of each issue, shape (n_issues, n_leads) [gCO2/kWh]."""
        expected = _expected(intensity, self.profile, self.coefficients.shape[1])
        change = _predictors(intensity, self.profile) @ self.coefficients
        return np.maximum(expected + change, 0.0)


def _expected(intensity: Intensity, profile: Floats, n_leads: int) -> Floats:
    """The usual at and after each issue, shape (n_issues, n_leads) [gCO2/kWh]."""
    return ahead(profile[slots_of(intensity, n_leads - 1)], n_leads)[: len(intensity)]


def _predictors(intensity: Intensity, profile: Floats) -> Floats:
    """What each issue is forecast from, shape (n_issues, n_predictors)."""
    n = len(intensity)
    before = np.concatenate([np.zeros(WEEK_HALF_HOURS), anomaly(intensity, profile)])
    # Sums begin a week early: that of all half-hours before issue i is number i + a week.
    sums = np.concatenate([[0.0], np.cumsum(before)])

    def summed(back: int) -> Floats:
        return sums[WEEK_HALF_HOURS - back :][:n]

    means = [(summed(last) - summed(first)) / (first - last) for last, first in SPANS]
    slot = slots_of(intensity)
    hour = 2 * np.pi * slot / DAY_HALF_HOURS
    waves = np.stack([wave(m * hour) for m in HARMONICS for wave in (np.cos, np.sin)])
    ones, weekend = np.ones(n), (slot >= DAY_HALF_HOURS).astype(np.float64)
    rows = [means, means[0] * waves, waves, weekend * waves, [weekend, ones]]
    return np.concatenate(rows).T
