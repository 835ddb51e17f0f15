"""Made series of intensity for the tests of forecasts."""

import numpy as np
import pandas as pd

import exawatt as ew

DAY, WEEK = 48, 7 * 48
MONDAY = pd.Timestamp("2023-01-02", tz="UTC")


def wavy(
    n: int, seed: int = 0, start: pd.Timestamp = MONDAY, timezone: str = "UTC"
) -> ew.Intensity:
    """A daily wave and slow noise about 200 g."""
    rng = np.random.default_rng(seed)
    noise = np.zeros(n)
    for i in range(1, n):
        noise[i] = 0.98 * noise[i - 1] + 8 * rng.standard_normal()
    values = 200 + 40 * np.sin(np.arange(n) * 2 * np.pi / DAY) + noise
    return made(np.maximum(values, 20.0), start, timezone)


def made(
    values: np.ndarray | list[float], start: pd.Timestamp = MONDAY, timezone: str = "UTC"
) -> ew.Intensity:
    return ew.Intensity(start, np.asarray(values, dtype=float), name="made", timezone=timezone)


def past(n_weeks: int = 10, seed: int = 9) -> ew.Intensity:
    """Weeks that ended when the other series begin."""
    return wavy(n_weeks * WEEK, seed, MONDAY - pd.Timedelta(weeks=n_weeks))
