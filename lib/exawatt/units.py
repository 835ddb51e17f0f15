"""Quantities at the public boundaries: what cannot be is refused, what is unlikely is doubted."""

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

#: No grid, and no plant, emits more: lignite comes to some 1,200 gCO2/kWh.
MOST_GCO2_PER_KWH = 2000.0
#: A series whose greatest value is below this is likelier in kg/kWh, or in t/MWh.
LEAST_GCO2_PER_KWH = 2.0


class UnitWarning(UserWarning):
    """A quantity that is possible, but looks as if it were in another unit."""


def require(
    name: str, value: float, least: float = 0.0, most: float = math.inf, advice: str = ""
) -> None:
    """Refuse a value that is no finite number, or lies outside its bounds.

    Raises
    ------
    ValueError
        Naming the value, the bounds and the advice.
    """
    if math.isfinite(value) and least <= value <= most:
        return
    bounds = f"at least {least:g}" if math.isinf(most) else f"between {least:g} and {most:g}"
    raise ValueError(f"{name}(={value}) must be {bounds}{advice and f': {advice}'}.")


def doubt(name: str, value: float, least: float, most: float, advice: str) -> None:
    """Warn of a value outside the bounds of what is likely; zero is never doubted."""
    if value and not least <= value <= most:
        # Up from here and from whoever checks, to who passed the value.
        warnings.warn(f"{name}(={value:g}) is not likely: {advice}.", UnitWarning, stacklevel=4)


def doubt_intensity(name: str, gco2_per_kwh: ArrayLike) -> None:
    """Warn of a carbon intensity that may be in kilograms, or per megawatt-hour."""
    values = np.asarray(gco2_per_kwh, dtype=np.float64)
    greatest = float(np.max(values, initial=0.0, where=~np.isnan(values)))
    advice = "carbon intensity is in gCO2 per kWh; 1 kg/kWh and 1 t/MWh are 1000 of them"
    doubt(name, greatest, LEAST_GCO2_PER_KWH, MOST_GCO2_PER_KWH, advice)
