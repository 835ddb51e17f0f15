"""Carbon intensity of electricity: what was, half-hour by half-hour, gaps left open."""

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

import numpy as np
import pandas as pd

from exawatt.stats import Floats
from exawatt.workload import Tier, label

HALF_HOUR_S = 1800.0
WEEK_HALF_HOURS = 7 * 48
#: A series shorter or longer than the time it must cover is repeated after this many half-hours.
YEAR_HALF_HOURS = 52 * WEEK_HALF_HOURS
FillRule = Literal["week"]


class HalfHours(Protocol):
    """Anything that has a value, or some, for each half-hour from a start on."""

    @property
    def start(self) -> pd.Timestamp:
        """UTC instant at which the first half-hour begins."""

    @property
    def timezone(self) -> str:
        """Zone of the wall clock that the grid's people live by."""

    def __len__(self) -> int:
        """Number of half-hours."""


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
        filled = self.filled | (gaps & ~np.isnan(merged))
        return replace(self, gco2_per_kwh=merged, filled=filled, fill=rule)


def tiled(bins: np.ndarray, n: int) -> np.ndarray:
    """Slot of a series of `n` half-hours for each bin; -1 where repeating does not reach.

    Bins within the series keep their own slot. Others move by whole multiples of 52 weeks, the
    fewest that bring them inside, so that the weekday is kept.
    """
    below = -(bins // YEAR_HALF_HOURS)
    above = -((n - 1 - bins) // YEAR_HALF_HOURS)
    years = np.where(bins < 0, below, np.where(bins >= n, -above, 0))
    slots = bins + years * YEAR_HALF_HOURS
    return np.where((slots >= 0) & (slots < n), slots, -1)


def lay_on(
    start: pd.Timestamp | None,
    timezone: str,
    series: HalfHours,
    first_submit_s: float = 0.0,
) -> pd.Timestamp:
    """Instant of a series on which a trace's first submission is laid.

    Parameters
    ----------
    start : Timestamp or None
        UTC instant of the trace's second 0.
    timezone : str
        Zone of the machine's wall clock.
    series : Intensity or Forecast
        The series, and the zone of its wall clock.
    first_submit_s : float
        First submission [s, the trace's own origin].

    Returns
    -------
    Timestamp
        UTC. Local weekday and hour are those of the first submission, and the date is the
        nearest such to the same day of the series' middle year: wall clocks shift by whole
        weeks. A trace without a start begins on the first Monday of that year, at midnight.
    """
    middle = series.start + pd.Timedelta(seconds=len(series) * HALF_HOUR_S / 2)
    year = middle.tz_convert(series.timezone).year
    if start is None:
        new_year = pd.Timestamp(year=year, month=1, day=1)
        summer = False
        target = new_year + pd.Timedelta(days=-new_year.weekday() % 7)
    else:
        first = (start + pd.Timedelta(seconds=first_submit_s)).tz_convert(timezone)
        summer = bool(first.dst())
        local = first.tz_localize(None)
        day = 28 if (local.month, local.day) == (2, 29) else local.day
        same_date = local.replace(year=year, day=day)
        target = same_date + pd.Timedelta(days=(local.weekday() - same_date.weekday() + 3) % 7 - 3)
    # The hour that comes twice when clocks go back is the one the machine's own clock had.
    zoned = target.tz_localize(series.timezone, ambiguous=summer, nonexistent="shift_forward")
    return zoned.tz_convert("UTC")
