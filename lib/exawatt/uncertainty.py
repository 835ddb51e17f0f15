"""Uncertainty: of power, intensity and embodied carbon, carried to every sum, to first order."""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from exawatt.stats import Floats
from exawatt.units import require


class Estimate(NamedTuple):
    """A value and its standard uncertainty, in the same unit."""

    value: float
    u: float

    def __str__(self) -> str:
        """Value ± uncertainty: two digits of it, and at least three of the value."""
        places = max(_places(self.u, 2), _places(self.value, 3))
        value, u = (round(number, places) for number in self)
        return f"{value:,.{max(places, 0)}f} ± {u:,.{max(places, 0)}f}"


def _places(number: float, digits: int) -> int:
    """Decimal places that show so many digits of a number; negative where it is large."""
    if not (number and math.isfinite(number)):
        return -9
    return digits - 1 - math.floor(math.log10(abs(number)))


@dataclass(frozen=True)
class Uncertainty:
    r"""Relative standard uncertainties of what an account rests on [-].

    Parameters
    ----------
    power : float
        Of the facility's power, the same at all times: the meter's. The default is the ±5 % found
        of GPU sensors [1]_. Of a trace's stand-in watts it says nothing: those are assumed.
    intensity : float
        Of the intensity, the same at all times: emission factors. The default is an assumption;
        that of biomass alone, 120 ± 120 g/kWh for some 5 % of the British supply, makes 4 % of
        the mean.
    half_hour : float
        Of one half-hour's intensity beside that: errors that average out. The default is the
        r.m.s. difference between the last forecast and the actual value in the British series of
        2023, over its mean: two estimates of one quantity, so a bound rather than an error.
    autocorrelation : float
        Of these errors from one half-hour to the next; that of the same differences.
    embodied : float
        Of embodied carbon. The default is an assumption: sheets of comparable servers differ by a
        quarter either way, and no trace says what its machine was made of.

    Notes
    -----
    Energy :math:`E`, carbon :math:`C = \sum_h C_h` and embodied carbon :math:`M` have

    .. math::
        u_E = E\,u_P, \qquad
        u_C^2 = C^2 (u_P^2 + u_I^2) + u_h^2 \sum_{h,k} C_h C_k \, \rho^{|h-k|}, \qquad
        u_{C+M}^2 = u_C^2 + (M u_M)^2 .

    Errors of power, intensity and embodied carbon are common to all rows of a table, so rows do
    not add up in quadrature.

    References
    ----------
    .. [1] Z. Yang, K. Adamek, W. Armour, "Part-time Power Measurements: nvidia-smi's Lack of
       Attention", arXiv:2312.02741, 2023.
    """

    power: float = 0.05
    intensity: float = 0.05
    half_hour: float = 0.09
    autocorrelation: float = 0.73
    embodied: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no relative uncertainty."""
        for field in fields(self):
            advice = "it is a part of the value, 0.05 for 5 %"
            require(field.name, getattr(self, field.name), most=1, advice=advice)

    def of_energy(self, energy_kwh: ArrayLike) -> Floats:
        """Standard uncertainty of energy [kWh]."""
        return self.power * np.asarray(energy_kwh)

    def of_carbon(self, carbon_kgco2e: ArrayLike, spread: ArrayLike) -> Floats:
        """Standard uncertainty of carbon [kgCO2e], with its sum over pairs of half-hours."""
        common = math.hypot(self.power, self.intensity) * np.asarray(carbon_kgco2e)
        return np.sqrt(common**2 + self.half_hour**2 * np.asarray(spread))

    def of_embodied(self, embodied_kgco2e: ArrayLike) -> Floats:
        """Standard uncertainty of embodied carbon [kgCO2e]."""
        return self.embodied * np.asarray(embodied_kgco2e)
