"""Carbon intensity of electricity: what was, half-hour by half-hour, gaps left open."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import pandas as pd

from exawatt.stats import Floats
from exawatt.workload import Tier, label

HALF_HOUR_S = 1800.0
WEEK_HALF_HOURS = 7 * 48
FillRule = Literal["week"]


class GapError(ValueError):
    """Energy was used in a half-hour whose carbon intensity is unknown."""


@dataclass(frozen=True, eq=False)
class Intensity:
    """Half-hourly means of carbon intensity, actual values only.

    Parameters
    ----------
    start : Timestamp
        UTC instant at which the first half-hour begins.
    gco2_per_kwh : ndarray, shape (n,)
        Mean of each half-hour [gCO2/kWh]; NaN where unknown.
    name, source, sha256 : str
        What to call the series, where it was read, and the checksum of that file.
    timezone : str
        Zone of the wall clock that the grid's people live by.
    tier : {"real", "twin", "tiny"}
        Whether it was measured or generated.
    filled : ndarray of bool, shape (n,)
        Half-hours whose value a fill rule supplied.
    fill : str or None
        Name of that rule.
    notes : tuple of str
        What the reader found: gaps, faulty zeros, duplicates.

    Notes
    -----
    A history's stored forecast was issued just before delivery; it is no forecast that a policy
    could have used, so a series does not carry it.
    """

    start: pd.Timestamp
    gco2_per_kwh: Floats
    name: str = "intensity"
    source: str = ""
    sha256: str = ""
    timezone: str = "Europe/London"
    tier: Tier = "real"
    filled: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    fill: FillRule | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check units and shapes."""
        values = np.asarray(self.gco2_per_kwh, dtype=np.float64)
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"gco2_per_kwh needs shape (n,), n > 0, not {values.shape}.")
        if self.start.tzinfo is None:
            raise ValueError(f"start(={self.start}) needs a time zone; pass UTC.")
        if (values < 0).any():
            raise ValueError(f"gco2_per_kwh(={values.min():g}) must not be negative.")
        filled = self.filled if self.filled.size else np.zeros(values.size, dtype=bool)
        if filled.shape != values.shape:
            raise ValueError(f"filled has shape {filled.shape}, gco2_per_kwh {values.shape}.")
        object.__setattr__(self, "gco2_per_kwh", values)
        object.__setattr__(self, "filled", filled)

    def __len__(self) -> int:
        """Number of half-hours."""
        return int(self.gco2_per_kwh.size)

    def __repr__(self) -> str:
        """Return the series in one line."""
        gaps = int(np.isnan(self.gco2_per_kwh).sum())
        return f"Intensity({self.label}: {len(self):,} half-hours from {self.start}, {gaps} gaps)"

    @property
    def label(self) -> str:
        """Name, provenance and the first digits of the checksum, for captions."""
        return label(self.name, self.tier, self.sha256)

    @property
    def times(self) -> pd.DatetimeIndex:
        """UTC instant at which each half-hour begins."""
        return pd.date_range(self.start, periods=len(self), freq="30min")

    def fill_gaps(self, rule: FillRule) -> Self:
        """Return the series with its gaps filled by a named rule, and marked as filled.

        Parameters
        ----------
        rule : {"week"}
            Mean of the same half-hour in the nearest week before and after that knows it, or
            the one of them that does.

        Raises
        ------
        ValueError
            The rule is unknown.
        """
        if rule != "week":
            raise ValueError(f"fill(={rule!r}) is no rule; pass 'week', or None to keep gaps.")
        values = self.gco2_per_kwh
        padded = np.full(-(-len(self) // WEEK_HALF_HOURS) * WEEK_HALF_HOURS, np.nan)
        padded[: len(self)] = values
        weeks = pd.DataFrame(padded.reshape(-1, WEEK_HALF_HOURS))
        around = np.stack([weeks.ffill().to_numpy(), weeks.bfill().to_numpy()])
        known = ~np.isnan(around)
        sums = np.where(known, around, 0.0).sum(axis=0)
        counts = known.sum(axis=0)
        supplied = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        gaps = np.isnan(values)
        merged = np.where(gaps, supplied.ravel()[: len(self)], values)
        return replace(self, gco2_per_kwh=merged, filled=gaps & ~np.isnan(merged), fill=rule)
