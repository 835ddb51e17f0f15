"""Why jobs waited, and what the machine drew meanwhile."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from exawatt.carbon import account
from exawatt.figures.carbon import IDLE_RATIOS
from exawatt.forecast import persistence
from exawatt.intensity import Intensity
from exawatt.platform import Platform
from exawatt.power import common_window_s, energy_by_state_kwh, power
from exawatt.replay import CarbonHold, Dvfs, Policy, Schedule, replay
from exawatt.replay.extras import CAUSES
from exawatt.workload import Workload

HOUR_S = 3600.0
SLEEP_AFTER_S = 600.0
CAP = 0.8
HOLD_S = 12 * HOUR_S


def policies(platform: Platform) -> dict[str, Policy]:
    """Policies whose waits are taken apart."""
    return {
        "FCFS": Policy(),
        "EASY": Policy(backfill="easy"),
        "conservative": Policy(backfill="conservative"),
        "EASY, sleep": Policy(backfill="easy", sleep_after_s=SLEEP_AFTER_S),
        "EASY, cap and DVFS": Policy(
            backfill="easy", power_cap_w=CAP * platform.full_w, dvfs=Dvfs()
        ),
        "EASY, carbon hold": Policy(backfill="easy", hold=CarbonHold(HOLD_S)),
    }


def schedules(workload: Workload, platform: Platform, intensity: Intensity) -> dict[str, Schedule]:
    """Schedules of one trace under all of them, with causes."""
    forecast = persistence(intensity)
    return {
        name: replay(workload, policy, platform, forecast if policy.hold else None, causes=True)
        for name, policy in policies(platform).items()
    }


def waits(found: dict[str, Schedule]) -> pd.DataFrame:
    """Mean wait by cause [h], one row a policy."""
    parts = {}
    for name, schedule in found.items():
        assert schedule.waits_s is not None
        parts[name] = schedule.waits_s.mean(axis=0) / HOUR_S
    return pd.DataFrame(parts, index=list(CAUSES)).T


def waits_figure(by_trace: dict[str, dict[str, Schedule]]) -> Figure:
    """Share of all waiting by cause, one bar a policy; beside it the mean wait [h]."""
    figure, axes = plt.subplots(1, len(by_trace), figsize=(7.2, 3.3), sharey=True, squeeze=False)
    colours = sns.color_palette("colorblind", len(CAUSES))
    for axis, (trace, found) in zip(axes[0], by_trace.items(), strict=True):
        table = waits(found)
        total = table.sum(axis=1)
        shares = table.div(total, axis=0).fillna(0.0)
        places = np.arange(len(table))[::-1]
        left = np.zeros(len(table))
        for cause, colour in zip(CAUSES, colours, strict=True):
            axis.barh(places, shares[cause], left=left, color=colour, label=cause)
            left += shares[cause].to_numpy()
        for place, hours in zip(places, total, strict=True):
            axis.text(1.02, place, f"{hours:.2f} h", va="center", fontsize=8)
        axis.set(title=trace, xlabel="share of all waiting [-]", xlim=(0, 1.22))
        axis.set_xticks(np.linspace(0, 1, 5))
        axis.set_yticks(places, table.index)
        axis.grid(visible=False, axis="y")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def saved(workload: Workload, platform: Platform, policy_name: str) -> list[float]:
    """Part of EASY's energy that a policy saves, by ratio of idle to busy power [-]."""
    found = []
    for ratio in IDLE_RATIOS:
        machine = platform.with_idle_ratio(ratio)
        pair = [
            replay(workload, policies(machine)[name], machine) for name in ("EASY", policy_name)
        ]
        window = common_window_s(pair)
        easy, other = (power(schedule, window).energy_kwh for schedule in pair)
        found.append(1 - other / easy)
    return found


def energies(by_trace: dict[str, dict[str, Schedule]], intensity: Intensity) -> pd.DataFrame:
    """Energy by state [MWh] and carbon, one row a policy and trace.

    The policies of one trace are compared over their common window.
    """
    rows = []
    for trace, found in by_trace.items():
        window = common_window_s(list(found.values()))
        for name, schedule in found.items():
            row: dict[str, object] = {"trace": trace, "policy": name}
            for state, energy in energy_by_state_kwh(schedule, window).items():
                row[f"{state} [MWh]"] = energy / 1e3
            result = account(power(schedule, window), intensity)
            row["total [MWh]"] = result.energy_kwh / 1e3
            row["carbon [tCO₂e]"] = result.carbon_kgco2e / 1e3
            row["mean slowdown"] = schedule.metrics()["avebsld"]
            rows.append(row)
    return pd.DataFrame(rows)


def effects(table: pd.DataFrame, traces: dict[str, str]) -> dict[str, float]:
    """What the cap and the hold do to slowdown, energy and carbon of EASY, for the prose.

    Parameters
    ----------
    table : DataFrame
        Of :func:`energies`.
    traces : dict
        Trace by the word that its keys begin with.

    Returns
    -------
    dict
        Slowdowns [-], how many times that of EASY they are [-], and savings [%].
    """
    found: dict[str, float] = {}
    for word, trace in traces.items():
        rows = table[table["trace"] == trace].set_index("policy").to_dict("index")
        easy = rows["EASY"]
        found[f"{word}_easy_slowdown"] = easy["mean slowdown"]
        for short, name in (("cap", "EASY, cap and DVFS"), ("hold", "EASY, carbon hold")):
            row = rows[name]
            found[f"{word}_{short}_slowdown"] = row["mean slowdown"]
            found[f"{word}_{short}_times"] = row["mean slowdown"] / easy["mean slowdown"]
            for key, column in (("energy", "total [MWh]"), ("carbon", "carbon [tCO₂e]")):
                found[f"{word}_{short}_{key}"] = 100 * (1 - row[column] / easy[column])
    return found
