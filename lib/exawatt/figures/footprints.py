"""The whole footprint of a schedule: an example of every method, and bills by user."""

from dataclasses import replace

import numpy as np
import pandas as pd

from exawatt.carbon import account
from exawatt.facility import Pue
from exawatt.footprint import Footprint
from exawatt.intensity import Intensity
from exawatt.market import flat, market_based
from exawatt.power import power
from exawatt.replay import Schedule
from exawatt.uncertainty import Estimate, Uncertainty

#: An example of a facility: 8 % more for each watt, a tenth of the machine's full power whatever
#: the load, half of that overhead again in summer.
PROPORTIONAL, FIXED_PART = 1.08, 0.1
SUMMER, SUMMER_FACTOR = (6, 7, 8), 1.5
#: An example of a contract that claims zero, for part of the energy, and of a residual mix.
COVERED, RESIDUAL_GCO2_PER_KWH = 0.6, 350.0
MOST_USERS = 8
ROWS = {
    "energy_kwh": ("energy [MWh]", 1e-3),
    "carbon_kgco2e": ("location-based [t]", 1e-3),
    "market_kgco2e": ("market-based, beside it [t]", 1e-3),
    "embodied_kgco2e": ("embodied [t]", 1e-3),
    "total_kgco2e": ("location-based and embodied [t]", 1e-3),
}


def facility(schedule: Schedule) -> Pue:
    """Facility of the example, for a machine of this size."""
    season = tuple(SUMMER_FACTOR if month in SUMMER else 1.0 for month in range(1, 13))
    return Pue(PROPORTIONAL, FIXED_PART * schedule.platform.full_w, season)


def example(plain: Schedule, intensity: Intensity) -> tuple[Footprint, Footprint]:
    """Footprint of the machine alone, and with a facility and a contract.

    Parameters
    ----------
    plain : Schedule
        What is accounted for.
    intensity : Intensity
        Mean intensity of its grid.
    """
    watts = power(plain)
    alone = Footprint(plain, account(watts, intensity))
    whole = replace(watts, pue=facility(plain))
    contract = market_based(
        intensity, covered=COVERED, residual=flat(intensity, RESIDUAL_GCO2_PER_KWH)
    )
    return alone, Footprint(plain, account(whole, intensity), account(whole, contract))


def totals(told: dict[str, tuple[Footprint, Footprint]]) -> pd.DataFrame:
    """Every total with its uncertainty; two columns a trace."""
    table: dict[str, list[str]] = {"": [name for name, _ in ROWS.values()]}
    table[""] += [f"SCI [g per {unit}]" for unit in ("job", "core-hour")]
    for name, pair in told.items():
        for title, found in zip((name, f"{name}, facility and contract"), pair, strict=True):
            cells = [_scaled(found.total.get(key), scale) for key, (_, scale) in ROWS.items()]
            table[title] = [*cells, str(found.sci("job")), str(found.sci("core-hour"))]
    return pd.DataFrame(table)


def _scaled(found: Estimate | None, scale: float) -> str:
    return "–" if found is None else str(Estimate(found.value * scale, found.u * scale))


def users(found: Footprint) -> pd.DataFrame:
    """Bills of the users with the most carbon, and of all others together."""
    table = found.by("user").sort_values("carbon_kgco2e", ascending=False)
    first, rest = table.head(MOST_USERS), table.iloc[MOST_USERS:]
    sums = ["jobs", "core_hours", "energy_kwh", "carbon_kgco2e", "u_energy_kwh", "u_carbon_kgco2e"]
    # Errors of power and of factors, which decide here, are common to all: they add up.
    others = rest[sums].sum().to_frame().T.assign(user=f"{len(rest)} others")
    rows = pd.concat([first, others] if len(rest) else [first], ignore_index=True)
    both = {
        name: [str(Estimate(*pair)) for pair in zip(rows[key], rows[f"u_{key}"], strict=True)]
        for name, key in {"energy [kWh]": "energy_kwh", "carbon [kg]": "carbon_kgco2e"}.items()
    }
    return pd.DataFrame(
        {
            "user": rows["user"].astype(str),
            "jobs": rows["jobs"].astype(int),
            **both,
            "share of core-hours": rows["core_hours"] / table["core_hours"].sum(),
            "share of carbon": rows["carbon_kgco2e"] / table["carbon_kgco2e"].sum(),
        }
    )


def facts(pair: tuple[Footprint, Footprint]) -> dict[str, str]:
    """What the prose tells of them."""
    found, whole = pair
    errors, total = found.uncertainty, found.total["carbon_kgco2e"]
    still = replace(errors, half_hour=0.0)
    without = replace(found, uncertainty=still).total["carbon_kgco2e"]
    half_hours = np.sqrt(max(total.u**2 - without.u**2, 0.0))
    billed = found.by("user")["carbon_kgco2e"].sum()
    it_kwh = found.location.energy_kwh
    pue = Pue.of(whole.location.pue)
    return {
        "covered": f"{COVERED:.0%}",
        "residual": f"{RESIDUAL_GCO2_PER_KWH:g}",
        "pue_proportional": f"{pue.proportional:g}",
        "pue_mean": f"{whole.location.energy_kwh / it_kwh:.2f}",
        "embodied_told": found.embodied.label.removeprefix("stand-in, "),
        **_percentages(errors),
        "u_carbon_part": f"{total.u / total.value:.1%}",
        "u_half_hours_part": f"{half_hours / total.value:.2%}",
        "bills_error": f"{abs(billed / total.value - 1):.0e}",
    }


def _percentages(errors: Uncertainty) -> dict[str, str]:
    parts = ("power", "intensity", "half_hour", "embodied")
    told = {f"u_{name}": f"{getattr(errors, name):.0%}" for name in parts}
    return told | {"u_correlation": f"{errors.autocorrelation:g}"}
