"""Forecasts with vintages: what was known of carbon intensity at each half-hour.

The actual value of a half-hour is known from its end on, so to the issue at the beginning of the
next. The service publishes it some minutes later; a forecaster that waited for it would be one
half-hour further behind.
"""

from exawatt.forecast.climate import climatology
from exawatt.forecast.known import persistence
from exawatt.forecast.regression import regression
from exawatt.forecast.scores import crps_of_quantiles, score
from exawatt.forecast.simulated import perfect, synthetic
from exawatt.forecast.values import LEVELS, Forecast, Spread

__all__ = [
    "LEVELS",
    "Forecast",
    "Spread",
    "climatology",
    "crps_of_quantiles",
    "perfect",
    "persistence",
    "regression",
    "score",
    "synthetic",
]
