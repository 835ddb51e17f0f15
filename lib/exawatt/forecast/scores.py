"""Scores of forecasts by lead: how far off, how sure, and whether rightly so."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from exawatt.forecast.known import actual_only, ahead
from exawatt.forecast.values import LEVELS, Forecast, Spread
from exawatt.intensity import WEEK_HALF_HOURS, HalfHours, Intensity
from exawatt.stats import Floats

HALF_HOUR = pd.Timedelta(minutes=30)
RESAMPLES = 1000


def crps_of_quantiles(levels: Floats, quantiles: Iterable[Floats], actual: Floats) -> Floats:
    r"""Continuous ranked probability score of a distribution known by its quantiles.

    Parameters
    ----------
    levels : ndarray, shape (n_levels,)
        Equally spaced, from :math:`1/m` to :math:`(m-1)/m` [-].
    quantiles : iterable of ndarray
        The quantile at each level.
    actual : ndarray
        What came.

    Returns
    -------
    ndarray
        In the unit of the quantiles.

    Notes
    -----
    .. math:: \mathrm{CRPS} = 2 \int_0^1 \rho_\tau(y - q_\tau) \, d\tau,
              \qquad \rho_\tau(u) = u \, (\tau - 1_{u < 0})

    by the trapezoidal rule [1]_ [2]_; the integrand is taken to vanish at both ends.

    References
    ----------
    .. [1] T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
       Journal of the American Statistical Association 102(477), 2007.
    .. [2] F. Laio, S. Tamea, "Verification tools for probabilistic forecasts of continuous
       hydrological variables", Hydrology and Earth System Sciences 11, 2007.
    """
    total = np.zeros_like(actual, dtype=np.float64)
    for level, quantile in zip(levels, quantiles, strict=True):
        error = actual - quantile
        total += np.maximum(level * error, (level - 1) * error)
    return 2 * total / (len(levels) + 1)


def score(forecasts: Sequence[Forecast], intensity: Intensity, seed: int = 0) -> pd.DataFrame:
    """Scores of forecasts by lead, over the issues that all of them have.

    Parameters
    ----------
    forecasts : sequence of Forecast
        The first is what the others are compared with.
    intensity : Intensity
        What came. Half-hours that are unknown, or filled by a rule, do not count.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        A row for each forecast and lead: ``lead_h``, from the issue to the end of the half-hour;
        ``n`` issues; ``mae``, ``bias`` (forecast minus actual) and ``crps`` [gCO2/kWh];
        ``skill``, the part of the first forecast's CRPS that it saves; ``cover_50``,
        ``cover_90`` and ``width_90`` of its central intervals [-, gCO2/kWh]. Names ending in
        ``_low`` and ``_high`` bound 95 % of 1,000 bootstraps of whole weeks, the same weeks for
        all forecasts. A forecast without a spread is a single value: its CRPS is its MAE.

    Raises
    ------
    ValueError
        No half-hour was forecast by all.
    """
    n_leads = min(each.gco2_per_kwh.shape[1] for each in forecasts)
    first, n = _common([intensity, *forecasts])
    if n < 1:
        names = ", ".join(each.name for each in forecasts)
        raise ValueError(f"{names}: no issue is common to all of them and {intensity.label}.")
    begin = (first - intensity.start) // HALF_HOUR
    actual = ahead(actual_only(intensity), n_leads)[begin : begin + n]
    tables: list[pd.DataFrame] = []
    reference = None
    for each in forecasts:
        skip = (first - each.start) // HALF_HOUR
        values = each.gco2_per_kwh[skip : skip + n, :n_leads]
        weekly = _Weekly(_losses(values, each.spread, actual), ~np.isnan(actual), seed)
        reference = weekly if reference is None else reference
        tables.append(weekly.table(each.name, reference))
    return pd.concat(tables, ignore_index=True)


def _common(series: Sequence[HalfHours]) -> tuple[pd.Timestamp, int]:
    """Beginning and number of the half-hours that all series have."""
    first = max(each.start for each in series)
    last = min(each.start + len(each) * HALF_HOUR for each in series)
    return first, (last - first) // HALF_HOUR


def _losses(values: Floats, spread: Spread | None, actual: Floats) -> dict[str, Floats]:
    """Score of each value by name; NaN where it is unknown what came."""
    losses = {"mae": np.abs(values - actual), "bias": values - actual}
    if spread is None:
        return losses | {"crps": losses["mae"]}
    losses["crps"] = crps_of_quantiles(LEVELS, spread.quantiles(values, LEVELS), actual)
    for percent in (50, 90):
        low, high = spread.quantiles(values, [0.5 - percent / 200, 0.5 + percent / 200])
        losses[f"cover_{percent}"] = ((low <= actual) & (actual <= high)).astype(np.float64)
    return losses | {"width_90": high - low}


class _Weekly:
    """Scores by lead whose sums over each week can be drawn anew."""

    def __init__(self, losses: dict[str, Floats], known: np.ndarray, seed: int) -> None:
        """Add up what is known, week by week."""
        starts = np.arange(0, len(known), WEEK_HALF_HOURS)
        self.counts = np.add.reduceat(known, starts, axis=0, dtype=np.float64)
        self.sums = {
            name: np.add.reduceat(np.where(known, loss, 0.0), starts, axis=0)
            for name, loss in losses.items()
        }
        rng = np.random.default_rng(seed)
        self.drawn = rng.multinomial(starts.size, np.full(starts.size, 1 / starts.size), RESAMPLES)

    def bootstrap(self, name: str) -> Floats:
        """Mean of a score by lead in each resample, shape (n_resamples, n_leads)."""
        return (self.drawn @ self.sums[name]) / (self.drawn @ self.counts)

    def mean(self, name: str) -> Floats:
        """Mean of a score by lead."""
        return self.sums[name].sum(axis=0) / self.counts.sum(axis=0)

    def table(self, name: str, reference: "_Weekly") -> pd.DataFrame:
        """Rows of :func:`score` for one forecast."""
        n = self.counts.sum(axis=0)
        columns: dict[str, Any] = {"forecast": name, "lead_h": np.arange(1, n.size + 1) / 2}
        columns["n"] = n.astype(np.int64)
        for score_name in self.sums:
            columns[score_name] = self.mean(score_name)
            drawn = self.bootstrap(score_name)
            low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
            columns |= {f"{score_name}_low": low, f"{score_name}_high": high}
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing is saved of nothing
            saved = 1 - self.bootstrap("crps") / reference.bootstrap("crps")
            columns["skill"] = 1 - self.mean("crps") / reference.mean("crps")
        columns["skill_low"], columns["skill_high"] = np.quantile(saved, [0.025, 0.975], axis=0)
        return pd.DataFrame(columns)
