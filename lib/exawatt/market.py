"""Market-based intensity: what electricity bought by contract emits, beside the grid's own."""

from dataclasses import replace

import numpy as np

from exawatt.intensity import Intensity
from exawatt.units import doubt_intensity, require


def flat(series: Intensity, gco2_per_kwh: float) -> Intensity:
    """Constant intensity over the half-hours of a series, for numbers that are given by year."""
    require("gco2_per_kwh", gco2_per_kwh)
    return Intensity(
        start=series.start,
        gco2_per_kwh=np.full(len(series), float(gco2_per_kwh)),
        name=f"{gco2_per_kwh:g} gCO2/kWh",
        timezone=series.timezone,
    )


def market_based(
    grid: Intensity,
    contract: float | Intensity = 0.0,
    covered: float = 1.0,
    residual: float | Intensity | None = None,
) -> Intensity:
    r"""Intensity by the market-based method, half-hour by half-hour.

    Parameters
    ----------
    grid : Intensity
        The location's own mean; the others are laid on its half-hours.
    contract : float or Intensity
        What the electricity emits that contracts or certificates cover [gCO2/kWh].
    covered : float
        Part of the energy that they cover, the same at every hour [-].
    residual : float or Intensity, optional
        What the rest emits [gCO2/kWh]: the residual mix. Where none is published the method
        takes the grid's mean, which counts the certificates of others twice; say so.

    Returns
    -------
    Intensity
        For :func:`exawatt.carbon.account`, beside the account by `grid` and never added to it.

    Notes
    -----
    .. math:: I_\mathrm{market} = c \, I_\mathrm{contract} + (1 - c) \, I_\mathrm{residual}

    References
    ----------
    .. [1] M. Sotos, "GHG Protocol Scope 2 Guidance", World Resources Institute, 2015.
    """
    require("covered", covered, most=1, advice="it is the covered part of the energy, 0.6 for 60 %")
    rest = grid if residual is None else residual
    parts = [(covered, contract), (1.0 - covered, rest)]
    mixed = [(part, _on(grid, one)) for part, one in parts if part > 0]
    return replace(
        mixed[0][1],
        gco2_per_kwh=sum((part * one.gco2_per_kwh for part, one in mixed), np.zeros(len(grid))),
        filled=np.logical_or.reduce([one.filled for _, one in mixed]),
        fill=next((one.fill for _, one in mixed if one.fill), None),
        name=", ".join(f"{part:.0%} at {one.label}" for part, one in mixed),
        sha256="",
    )


def _on(grid: Intensity, one: float | Intensity) -> Intensity:
    """Return a number as a series of the grid's half-hours, and refuse a series of others."""
    if not isinstance(one, Intensity):
        # An account sees the mix alone, in which a number in kilograms may not show.
        doubt_intensity("gco2_per_kwh", one)
        return flat(grid, one)
    if one.start != grid.start or len(one) != len(grid):
        raise ValueError(
            f"{one!r} does not have the half-hours of {grid!r}; pass a number, or a series of the "
            "same time."
        )
    return one
