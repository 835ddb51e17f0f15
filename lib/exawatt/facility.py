"""Facility: what cooling and supply of power add to the power of the computers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from exawatt.stats import Floats
from exawatt.units import doubt, require

YEAR_ROUND = (1.0,) * 12


@dataclass(frozen=True)
class Pue:
    r"""Power usage effectiveness by load and by season.

    Parameters
    ----------
    proportional : float
        Facility power that one more watt of IT power brings [-]; by itself, a constant PUE.
    fixed_w : float
        Power that the facility draws whatever the load [W].
    by_month : tuple of float, shape (12,)
        What the overhead is times in January, February, … on the machine's wall clock [-].

    Notes
    -----
    .. math:: P_\mathrm{facility} = P + s_m \, \bigl((p - 1) \, P + P_0\bigr)

    is affine in the IT power :math:`P` within a month :math:`m`, so that energy by half-hours
    stays an exact integral. Losses of a supply that passes on :math:`\eta` of what it draws, less
    a constant :math:`c`, are of this form: :math:`(P + c) / \eta` has :math:`p = 1 / \eta` and
    :math:`P_0 = c / \eta`.
    """

    proportional: float = 1.0
    fixed_w: float = 0.0
    by_month: tuple[float, ...] = YEAR_ROUND

    def __post_init__(self) -> None:
        """Refuse a facility that draws less than its computers."""
        object.__setattr__(self, "by_month", tuple(self.by_month))
        advice = "a facility draws no less than its computers"
        require("pue", self.proportional, least=1, advice=advice)
        require("fixed_w", self.fixed_w)
        if len(self.by_month) != 12:
            raise ValueError(f"by_month(={self.by_month}) needs 12 factors, January first.")
        for factor in self.by_month:
            require("by_month", factor)
        doubt("pue", self.proportional, 1, 3, "a PUE is a ratio such as 1.2, not a percentage")

    @classmethod
    def of(cls, pue: "float | Pue") -> "Pue":
        """Make one of a constant, or return it as it is."""
        return pue if isinstance(pue, Pue) else cls(pue)

    def coefficients(self, month: ArrayLike) -> tuple[Floats, Floats]:
        """Facility power for each watt of IT power [-], and beside it [W], in months 1 to 12."""
        season = np.asarray(self.by_month)[np.asarray(month) - 1]
        return 1.0 + season * (self.proportional - 1.0), season * self.fixed_w
