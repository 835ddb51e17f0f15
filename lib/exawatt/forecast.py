"""Forecast: what was known of carbon intensity at each half-hour."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exawatt.intensity import Intensity, lay_on
from exawatt.stats import Floats
from exawatt.workload import Workload

DAY_HALF_HOURS = 48


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

    Raises
    ------
    ValueError
        The shape is wrong, or a value is missing or negative.
    """

    start: pd.Timestamp
    gco2_per_kwh: Floats
    name: str = "forecast"
    timezone: str = "Europe/London"

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

    def __repr__(self) -> str:
        """Return the forecast in one line."""
        issues, leads = self.gco2_per_kwh.shape
        return f"Forecast({self.name}: {issues:,} issues from {self.start}, {leads / 2:g} h ahead)"


def persistence(intensity: Intensity, horizon_h: float = 48.0) -> Forecast:
    """Forecast that the days to come will be like the last one.

    Parameters
    ----------
    intensity : Intensity
        Half-hourly actual values without gaps.
    horizon_h : float
        How far ahead [h].

    Returns
    -------
    Forecast
        Issued from one day after the series' start on: for each half-hour the actual value of
        the same half-hour on the latest day on which it had passed by then.
    """
    n_leads = round(horizon_h * 2)
    if n_leads < 1:
        raise ValueError(f"horizon_h(={horizon_h}) must be half an hour or more.")
    issues = np.arange(DAY_HALF_HOURS, len(intensity))
    if not issues.size:
        raise ValueError(f"{intensity.label} has {len(intensity)} half-hours; pass over a day.")
    leads = np.arange(n_leads)
    back = DAY_HALF_HOURS * (leads // DAY_HALF_HOURS + 1)
    values = intensity.gco2_per_kwh[issues[:, None] + (leads - back)[None, :]]
    start = intensity.start + pd.Timedelta(minutes=30 * DAY_HALF_HOURS)
    name = f"persistence of {intensity.label}"
    return Forecast(start, values, name, intensity.timezone)
