"""Forecast: what was known of carbon intensity at each half-hour, and how surely."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from exawatt.intensity import lay_on
from exawatt.stats import Floats
from exawatt.workload import Workload

#: Levels of the quantiles that a spread keeps; central 50 % and 90 % intervals are among them.
LEVELS = np.arange(1, 40) / 40
#: A band of fewer past errors than this takes those of all bands.
MIN_ERRORS = 100


@dataclass(frozen=True, eq=False)
class Spread:
    """How far the actual values fell from a forecaster's earlier forecasts.

    Parameters
    ----------
    edges_gco2_per_kwh : ndarray, shape (n_leads, 2)
        Forecasts between which are low, middling and high ones at each lead [gCO2/kWh].
    errors_gco2_per_kwh : ndarray, shape (n_leads, 3, n_levels)
        Quantiles, at ``LEVELS``, of actual minus forecast in each of these bands [gCO2/kWh].

    Notes
    -----
    Errors of intensity depend on its level: near its least and its greatest value there is
    little room on one side. Quantiles of held-out errors, taken group by group, are split
    conformal prediction [1]_ with groups, without its correction for few samples.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer
       2005.
    """

    edges_gco2_per_kwh: Floats
    errors_gco2_per_kwh: Floats

    @classmethod
    def of(cls, forecast: Floats, error: Floats) -> Self:
        """Spread of past forecasts.

        Parameters
        ----------
        forecast : ndarray, shape (n, n_leads)
            What was forecast [gCO2/kWh].
        error : ndarray, shape (n, n_leads)
            Actual minus forecast, of a forecaster that had not learnt from the actual value; NaN
            where that is unknown [gCO2/kWh].
        """
        edges = np.quantile(forecast, [1 / 3, 2 / 3], axis=0).T
        errors = np.empty((edges.shape[0], 3, LEVELS.size))
        for lead, off in enumerate(error.T):
            known = ~np.isnan(off)
            if not known.any():
                raise ValueError(
                    f"no forecast {(lead + 1) / 2:g} h ahead was followed by an actual value; pass "
                    "a longer history or a shorter horizon_h."
                )
            band = np.searchsorted(edges[lead], forecast[:, lead])
            for number in range(3):
                inside = off[known & (band == number)]
                enough = inside if inside.size >= MIN_ERRORS else off[known]
                errors[lead, number] = np.quantile(enough, LEVELS)
        return cls(edges, errors)

    def quantiles(self, forecast: Floats, levels: Iterable[float]) -> Iterator[Floats]:
        """Quantile of what will come at each of some levels; see :meth:`Forecast.quantile`."""
        low, high = self.edges_gco2_per_kwh.T
        band = (forecast > low).astype(np.intp) + (forecast > high)
        band += 3 * np.arange(forecast.shape[1])
        errors = self.errors_gco2_per_kwh.reshape(-1, LEVELS.size)
        for level in levels:
            number = np.flatnonzero(np.isclose(LEVELS, level))
            if not number.size:
                raise ValueError(f"level(={level}) must be one of 0.025, 0.05 … 0.975.")
            yield np.maximum(forecast + errors[:, number[0]].take(band), 0.0)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Half-hourly means of carbon intensity by the time of issue.

    Parameters
    ----------
    start : Timestamp
        UTC instant of the first issue; one follows every half-hour.
    gco2_per_kwh : ndarray, shape (n_issues, n_leads)
        Row `i` was issued at the beginning of half-hour `i`; its column `k` is for half-hour
        ``i + k`` [gCO2/kWh].
    name : str
        What to call it.
    timezone : str
        Zone of the wall clock that the grid's people live by.
    spread : Spread, optional
        How far the actual values fell from earlier forecasts of its kind.

    Raises
    ------
    ValueError
        The shape is wrong, or a value is missing or negative.
    """

    start: pd.Timestamp
    gco2_per_kwh: Floats
    name: str = "forecast"
    timezone: str = "Europe/London"
    spread: Spread | None = None

    def __post_init__(self) -> None:
        """Check shapes and values."""
        values = np.asarray(self.gco2_per_kwh, dtype=np.float64)
        if values.ndim != 2 or values.size == 0:
            raise ValueError(
                f"gco2_per_kwh needs shape (n_issues, n_leads), none of them 0, not {values.shape}."
            )
        if self.start.tzinfo is None:
            raise ValueError(f"start(={self.start}) needs a time zone; pass UTC.")
        bad = ~(values >= 0) | ~np.isfinite(values)
        if bad.any():
            issue, lead = np.argwhere(bad)[0]
            raise ValueError(
                f"gco2_per_kwh[{issue}, {lead}](={values[issue, lead]:g}) must be finite and not "
                "negative; fill the gaps of a series first."
            )
        object.__setattr__(self, "gco2_per_kwh", values)
        if self.spread is not None and len(self.spread.edges_gco2_per_kwh) != values.shape[1]:
            raise ValueError(
                f"spread has {len(self.spread.edges_gco2_per_kwh)} leads, gco2_per_kwh "
                f"{values.shape[1]}; take both of one forecaster."
            )

    def __len__(self) -> int:
        """Number of issues."""
        return int(self.gco2_per_kwh.shape[0])

    def first_issue_s(self, workload: Workload) -> float:
        """First issue on the clock of a trace whose first submission is laid on the forecast [s].

        Parameters
        ----------
        workload : Workload
            The trace, or its beginning; see :func:`~exawatt.intensity.lay_on`.
        """
        first_s = float(workload.jobs["submit_s"].iloc[0])
        laid = lay_on(workload.start, workload.timezone, self, first_s)
        return first_s - (laid - self.start).total_seconds()

    def quantile(self, level: float) -> Floats:
        """Value that what comes stays below with a probability [gCO2/kWh].

        Parameters
        ----------
        level : float
            The probability: one of 0.025, 0.05 … 0.975.

        Returns
        -------
        ndarray, shape (n_issues, n_leads)

        Raises
        ------
        ValueError
            The forecast has no spread, or the level is none of its own.
        """
        if self.spread is None:
            raise ValueError(f"{self.name} has no spread; pass a history to the forecaster.")
        return next(self.spread.quantiles(self.gco2_per_kwh, [level]))

    def __repr__(self) -> str:
        """Return the forecast in one line."""
        issues, leads = self.gco2_per_kwh.shape
        return f"Forecast({self.name}: {issues:,} issues from {self.start}, {leads / 2:g} h ahead)"
