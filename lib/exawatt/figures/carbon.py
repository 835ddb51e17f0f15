"""Figures and tables of power, intensity and carbon."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.carbon import Account, account, mean_over
from exawatt.figures.replay import dates
from exawatt.intensity import Intensity
from exawatt.power import common_window_s, power
from exawatt.replay import Schedule

SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}
#: Idle power over busy power, over which every energy claim is repeated.
IDLE_RATIOS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def intensity_year(intensity: Intensity) -> Figure:
    """Daily means over the year, and the mean day of each season."""
    figure, (year, day) = plt.subplots(1, 2, figsize=(7.2, 3.0), width_ratios=(1.5, 1), sharey=True)
    local = intensity.times.tz_convert(intensity.timezone).tz_localize(None)
    table = pd.DataFrame({"intensity": intensity.gco2_per_kwh, "filled": intensity.filled})
    daily = table.groupby(local.normalize()).mean()
    year.plot(daily.index, daily["intensity"].to_numpy(), linewidth=0.9)
    for moment in daily.index[daily["filled"] > 0]:
        year.axvspan(moment, moment + pd.Timedelta(days=1), color="C3", alpha=0.35, linewidth=0)
    year.set(ylabel="intensity [gCO₂/kWh]")
    year.set_ylim(bottom=0)
    dates(year)
    for season, months in SEASONS.items():
        inside = local.month.isin(months)
        if inside.any():
            hour = (local.hour + local.minute / 60)[inside]
            hours = table["intensity"][inside].groupby(hour).mean()
            day.plot(hours.index, hours.to_numpy(), label=season)
    day.set(xlabel="local hour", xlim=(0, 24))
    day.set_xticks(range(0, 25, 6))
    day.set_ylim(bottom=0)
    day.legend(ncols=2)
    return figure


def week(result: Account, first_half_hour: int) -> Figure:
    """One week of an account: power, intensity, and the carbon that follows from both."""
    rows = result.half_hours.iloc[first_half_hour : first_half_hour + 7 * 48]
    figure, axes = plt.subplots(3, 1, figsize=(7.2, 4.8), sharex=True)
    panels = {
        "power [kW]": rows["energy_kwh"] * 2,
        "intensity\n[gCO₂/kWh]": rows["gco2_per_kwh"],
        "carbon [kg/h]": rows["carbon_kgco2e"] * 2,
    }
    instants = rows["time"].dt.tz_localize(None)
    for i, (axis, (label, values)) in enumerate(zip(axes, panels.items(), strict=True)):
        axis.step(instants, values, where="post", color=f"C{i}", linewidth=1.1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    figure.align_ylabels(axes)
    dates(axes[-1])
    return figure


def liveliest_week(result: Account) -> int:
    """First half-hour of the week in which intensity varied most."""
    spread = result.half_hours["gco2_per_kwh"].rolling(7 * 48).std()
    return max(0, int(spread.fillna(0).to_numpy().argmax()) - 7 * 48 + 1)


def daily(result: Account) -> Figure:
    """Energy, mean intensity and carbon of each day of the trace."""
    rows = result.half_hours
    sums = rows.groupby(rows["time"].dt.tz_localize(None).dt.floor("D"))[
        ["energy_kwh", "carbon_kgco2e"]
    ].sum()
    panels = {
        "energy [kWh/d]": sums["energy_kwh"],
        "intensity\n[gCO₂/kWh]": 1e3 * sums["carbon_kgco2e"] / sums["energy_kwh"],
        "carbon [kg/d]": sums["carbon_kgco2e"],
    }
    figure, axes = plt.subplots(3, 1, figsize=(7.2, 4.8), sharex=True)
    for i, (axis, (label, values)) in enumerate(zip(axes, panels.items(), strict=True)):
        axis.step(values.index, values.to_numpy(), where="post", color=f"C{i}", linewidth=1.1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    figure.align_ylabels(axes)
    dates(axes[-1])
    return figure


def totals(results: dict[tuple[str, str], Account]) -> pd.DataFrame:
    """One row an account, by trace and policy."""
    rows = [
        {
            "trace": trace,
            "policy": policy,
            "energy [MWh]": result.energy_kwh / 1e3,
            "carbon [tCO₂e]": result.carbon_kgco2e / 1e3,
            "mean intensity [gCO₂/kWh]": result.mean_gco2_per_kwh,
            "in filled gaps": result.filled_kwh / result.energy_kwh,
        }
        for (trace, policy), result in results.items()
    ]
    return pd.DataFrame(rows)


def months(results: dict[str, Account]) -> Figure:
    """Energy and carbon of each month, one pair of panels an account."""
    figure, axes = plt.subplots(2, len(results), figsize=(7.2, 3.8), squeeze=False, sharex="col")
    for column, (name, result) in zip(axes.T, results.items(), strict=True):
        table = result.by_month()
        column[0].bar(table["month"], table["energy_kwh"] / 1e3, color="C0")
        column[1].bar(table["month"], table["carbon_kgco2e"] / 1e3, color="C2")
        column[0].set_title(name)
        column[1].tick_params(axis="x", rotation=90)
        column[0].grid(axis="x", visible=False)
        column[1].grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("energy [MWh]")
    axes[1, 0].set_ylabel("carbon [tCO₂e]")
    return figure


def idle_ratio_table(
    pairs: dict[str, tuple[Schedule, Schedule]], intensity: Intensity
) -> pd.DataFrame:
    """Energy and carbon of one schedule, and how they differ from another's, by idle/busy ratio.

    Parameters
    ----------
    pairs : dict
        By trace: the schedule, and the one it is compared with, over their common window.
    intensity : Intensity
        Series on which they are laid.
    """
    rows = []
    for trace, (schedule, baseline) in pairs.items():
        window = common_window_s([schedule, baseline])
        for ratio in IDLE_RATIOS:
            one, other = (
                account(power(_at_ratio(each, ratio), window), intensity)
                for each in (schedule, baseline)
            )
            rows.append(
                {
                    "trace": trace,
                    "idle/busy": ratio,
                    "energy [MWh]": one.energy_kwh / 1e3,
                    # Adding zero turns the -0.0 of a rounded difference into 0.0.
                    "energy differs": round(one.energy_kwh / other.energy_kwh - 1, 9) + 0.0,
                    "carbon [tCO₂e]": one.carbon_kgco2e / 1e3,
                    "carbon differs": one.carbon_kgco2e / other.carbon_kgco2e - 1,
                }
            )
    return pd.DataFrame(rows)


def _at_ratio(schedule: Schedule, ratio: float) -> Schedule:
    return replace(schedule, platform=schedule.platform.with_idle_ratio(ratio))


def shortcuts(result: Account) -> pd.DataFrame:
    """Carbon by the usual shortcuts, against the exact integral.

    Notes
    -----
    The shortcuts multiply the energy of each day by that day's mean intensity or by that of its
    first half-hour, or all energy by the mean intensity of the whole time.
    """
    rows = result.half_hours
    energy, grams = rows["energy_kwh"], rows["gco2_per_kwh"]
    day = rows["time"].dt.tz_localize(None).dt.floor("D")
    exact = result.carbon_kgco2e
    daily_mean = grams.groupby(day).transform("mean")
    first_of_day = grams.groupby(day).transform("first")
    table = {
        "exact, half-hour by half-hour": exact,
        "daily energy × daily mean intensity": float((energy * daily_mean).sum()) / 1e3,
        "daily energy × intensity at midnight": float((energy * first_of_day).sum()) / 1e3,
        "total energy × mean intensity": float(energy.sum() * grams.mean()) / 1e3,
    }
    return pd.DataFrame(
        {
            "method": list(table),
            "carbon [tCO₂e]": [value / 1e3 for value in table.values()],
            "error": [value / exact - 1 for value in table.values()],
        }
    )


def job_shortcuts(
    schedule: Schedule, intensity: Intensity, shortest_s: float = 3600.0
) -> pd.DataFrame:
    """Error of the shortcuts job by job: of those that run at least an hour.

    Returns
    -------
    DataFrame
        One row a shortcut: median absolute and 95th percentile of the relative error of a
        job's carbon [-].
    """
    profile = power(schedule)
    long = schedule.runtime_s >= shortest_s
    begin, end = schedule.start_s[long], schedule.end_s[long]
    exact = mean_over(profile, intensity, begin, end)
    guesses = {
        "intensity at the job's start": mean_over(profile, intensity, begin, begin + 1),
        "mean intensity of the series": np.full(exact.shape, np.nanmean(intensity.gco2_per_kwh)),
    }
    errors = {name: np.abs(guess / exact - 1) for name, guess in guesses.items()}
    return pd.DataFrame(
        {
            "shortcut": list(errors),
            "median error": [float(np.median(error)) for error in errors.values()],
            "95 % of jobs below": [float(np.quantile(error, 0.95)) for error in errors.values()],
        }
    )
