"""Carbon-aware baselines in a machine with a queue: what they save, and what waiting they cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.carbon import account
from exawatt.figures.chapter import effort_of
from exawatt.figures.forecasts import forecasters, past_and_present
from exawatt.forecast import Forecast, perfect, persistence
from exawatt.intensity import HALF_HOUR_S, WEEK_HALF_HOURS, Intensity
from exawatt.platform import Platform
from exawatt.power import J_PER_KWH, common_window_s, power
from exawatt.replay import Policy, Schedule, replay
from exawatt.replay.policy import ALIASES
from exawatt.stats import Floats
from exawatt.workload import Workload

#: The rule that knows one number and no forecast, and those that look ahead.
SIMPLE = "carbon-threshold"
AHEAD = ("lets-wait-awhile", "lowest-window", "lowest-slot", "carbon-time", "forecast-quantile")
RULES = (SIMPLE, *AHEAD)
#: Longest hold of a job [h]; with its longest, a hold has a day.
BUDGETS_H = {"full": (6, 12, 24), "quick": (24,), "test": (6, 24)}
DAY_H = 24
BASE = "easy"
SLEEP = "nodes sleep"
#: Idle nodes fall asleep after this long, under the policy that holds nothing back [s].
SLEEP_AFTER_S = 600.0
PERFECT = "perfect"
RESAMPLES = 2000
#: Simple policies capture *most* of a saving if they capture more than this part of it.
MOST = 0.5


class Trial(NamedTuple):
    """One policy under one forecast."""

    rule: str
    forecast: str
    budget_h: float
    schedule: Schedule


@dataclass(frozen=True, eq=False)
class Trials:
    """Baselines on one trace.

    Attributes
    ----------
    workload : Workload
        The trace.
    table : DataFrame
        A row for each policy and forecast: ``rule``, ``forecast``, ``budget_h``, ``wait_h`` and
        ``avebsld`` (means), ``energy_kwh`` and ``carbon_kgco2e`` over the common window, and the
        part of the carbon saved against the first row, EASY: ``saved``, of the machine's, and
        ``saved_own``, of what its jobs add to an idle machine.
    weekly_kgco2e : ndarray, shape (n_rows, n_weeks)
        Carbon by week of the common window, for the bootstrap.
    window_s : tuple of float
        That window [s, the trace's own origin].
    """

    workload: Workload
    table: pd.DataFrame
    weekly_kgco2e: Floats
    window_s: tuple[float, float]

    def row(self, rule: str, forecast: str = "–", budget_h: float = 0.0) -> int:
        """Number of a row."""
        table = self.table
        same = (table["rule"] == rule) & (table["forecast"] == forecast)
        return int(np.flatnonzero(same & (table["budget_h"] == budget_h))[0])

    def saved(self, rule: str, forecast: str, budget_h: float) -> float:
        """Part of the machine's carbon that a policy saved [-]."""
        return float(self.table["saved"].iloc[self.row(rule, forecast, budget_h)])


def known(intensity: Intensity, effort: str = "") -> dict[str, Forecast]:
    """Forecasts that the holds are tried with: the best honest one first, the perfect one last.

    In a test the first is persistence, which learns from no other series.
    """
    if effort_of(effort) == "test":
        honest = {"persistence": persistence(intensity)}
    else:
        issued = forecasters(past_and_present(effort)[0], intensity)
        honest = {name: issued[name] for name in ("regression", "persistence")}
    return honest | {PERFECT: perfect(intensity)}


def threshold_gco2_per_kwh(effort: str = "") -> float:
    """Median of the year before: a threshold that needs no hindsight [gCO2/kWh]."""
    return float(np.nanmedian(past_and_present(effort)[0].gco2_per_kwh))


def tried(
    workload: Workload,
    platform: Platform,
    intensity: Intensity,
    forecasts: Mapping[str, Forecast],
    threshold: float,
    effort: str = "",
) -> Trials:
    """Replay a trace under every baseline, and account for it over one common window.

    Parameters
    ----------
    workload, platform : Workload, Platform
        The trace and its machine.
    intensity : Intensity
        What was.
    forecasts : mapping of str to Forecast
        What :func:`known` returns.
    threshold : float
        Of the simple rule [gCO2/kWh].
    effort : {"full", "quick", "test", ""}
        How many budgets are tried.
    """
    easy = replay(workload, BASE, platform)
    sleepy = replace(easy.policy, sleep_after_s=SLEEP_AFTER_S)
    trials = [Trial(BASE, "–", 0.0, easy)]
    trials.append(Trial(SLEEP, "–", 0.0, replay(workload, sleepy, platform)))
    for name, forecast, policy in _policies(forecasts, threshold, effort):
        schedule = replay(workload, policy, platform, forecast=forecasts[forecast])
        assert policy.hold is not None
        trials.append(Trial(name, forecast, policy.hold.budget_s / 3600, schedule))
    return _accounted(workload, trials, intensity)


def _policies(
    forecasts: Mapping[str, Forecast], threshold: float, effort: str
) -> Iterator[tuple[str, str, Policy]]:
    """Each rule with each forecast and budget; between the first and the last, a day alone."""
    first, *_, last = forecasts
    for rule, forecast, hours in product(RULES, forecasts, BUDGETS_H[effort_of(effort)]):
        if forecast not in (first, last) and hours != DAY_H:
            continue
        hold = ALIASES[rule].hold
        assert hold is not None
        hold = replace(hold, budget_s=3600.0 * hours)
        if rule == SIMPLE:
            hold = replace(hold, threshold_gco2_per_kwh=threshold)
        yield rule, forecast, replace(ALIASES[rule], hold=hold)


def _accounted(workload: Workload, trials: list[Trial], intensity: Intensity) -> Trials:
    window_s = common_window_s([trial.schedule for trial in trials])
    rows, weekly = [], []
    for rule, forecast, budget_h, schedule in trials:
        found = account(power(schedule, window_s), intensity)
        metrics = schedule.metrics()
        rows.append(
            {
                "rule": rule,
                "forecast": forecast,
                "budget_h": budget_h,
                "wait_h": metrics["mean_wait_s"] / 3600,
                "avebsld": metrics["avebsld"],
                "energy_kwh": found.energy_kwh,
                "carbon_kgco2e": found.carbon_kgco2e,
            }
        )
        half_hours = found.half_hours
        week = np.arange(len(half_hours)) // WEEK_HALF_HOURS
        weekly.append(np.bincount(week, half_hours["carbon_kgco2e"]))
    table = pd.DataFrame(rows)
    base = table["carbon_kgco2e"].iloc[0]
    saved = base - table["carbon_kgco2e"]
    # An idle machine would have emitted the rest, whatever the policy.
    idle = _idle_kgco2e(trials[0].schedule, window_s, intensity)
    table = table.assign(saved=saved / base, saved_own=saved / (base - idle))
    return Trials(workload, table, np.array(weekly), window_s)


def _idle_kgco2e(schedule: Schedule, window_s: tuple[float, float], intensity: Intensity) -> float:
    """Carbon of the machine, of PUE 1, if it had been idle throughout."""
    found = account(power(schedule, window_s), intensity).half_hours
    edges_s = np.append(found["time_s"], found["time_s"].iloc[-1] + HALF_HOUR_S)
    seconds = np.diff(np.clip(edges_s, *window_s))
    kwh = seconds * schedule.platform.idle_machine_w / J_PER_KWH
    return float(kwh @ found["gco2_per_kwh"] / 1e3)


def pareto(trials: list[Trials], forecast: str) -> Figure:
    """Carbon saved against waiting: a line a rule, a point a budget.

    Full lines are with an honest forecast, dotted ones with the perfect one.
    """
    figure, axes = plt.subplots(1, len(trials), figsize=(7.2, 4.2), squeeze=False)
    for axis, one in zip(axes[0], trials, strict=True):
        for (i, rule), name in product(enumerate(RULES), (forecast, PERFECT)):
            rows = one.table.query("rule == @rule and forecast == @name")
            honest = name == forecast
            axis.plot(
                rows["wait_h"],
                100 * rows["saved"],
                color=f"C{i}",
                linestyle="-" if honest else ":",
                marker="osD^vP"[i] if honest else "",
                markersize=4,
                linewidth=1.2,
                label=rule if honest else None,
            )
        axis.plot(one.table["wait_h"].iloc[0], 0, "*", color="0.2", markersize=10, label="EASY")
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_title(one.workload.name)
        axis.set_xlabel("mean wait [h]")
    axes[0, 0].set_ylabel("carbon saved against EASY [%]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def day_table(trials: list[Trials], forecast: str) -> pd.DataFrame:
    """EASY, nodes that sleep, and every rule with a budget of a day.

    Parameters
    ----------
    trials : list of Trials
        One a trace.
    forecast : str
        The honest forecast whose waits and savings are shown.

    Returns
    -------
    DataFrame
        ``trace``, ``policy``, ``wait [h]``, ``slowdown``, ``saved`` and ``of the jobs' own`` [-]
        under that forecast, and ``perfect forecast``, what is saved with that one [-].
    """
    rows = []
    for one in trials:
        for rule in (BASE, SLEEP, *RULES):
            held = rule in RULES
            place = (forecast, DAY_H) if held else ("–", 0)
            row = one.table.iloc[one.row(rule, *place)]
            rows.append(
                {
                    "trace": one.workload.name,
                    "policy": rule,
                    "wait [h]": row["wait_h"],
                    "slowdown": row["avebsld"],
                    "saved": row["saved"],
                    "of the jobs' own": np.nan if rule == SLEEP else row["saved_own"],
                    "perfect forecast": one.saved(rule, PERFECT, DAY_H) if held else np.nan,
                }
            )
    return pd.DataFrame(rows)


class Captured(NamedTuple):
    """Part of a saving that another policy has too, and its 95 % interval over weeks."""

    part: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether that is most of it."""
        if self.low > MOST:
            return "most"
        return "not most" if self.high < MOST else "undecided"


def best_ahead(trials: Trials, forecast: str) -> str:
    """Rule that looks ahead and saves most with a budget of a day."""
    return max(AHEAD, key=lambda rule: trials.saved(rule, forecast, DAY_H))


def captured(trials: Trials, forecast: str, rule: str, other: str, seed: int = 0) -> Captured:
    """Part of a rule's saving that the simple one has too, both with a budget of a day.

    Parameters
    ----------
    trials : Trials
        Of one trace.
    forecast : str
        That of the simple rule, which takes the present half-hour from it.
    rule, other : str
        The rule that looks ahead, and its forecast.
    seed : int
        Seed of the bootstrap, which draws whole weeks, the same ones for both rules.
    """
    rows = [(BASE, "–", 0), (SIMPLE, forecast, DAY_H), (rule, other, DAY_H)]
    base, simple, ahead = (trials.weekly_kgco2e[trials.row(*row)] for row in rows)
    saved = np.stack([base - simple, base - ahead])
    weeks = np.random.default_rng(seed).integers(saved.shape[1], size=(RESAMPLES, saved.shape[1]))
    simple_kg, ahead_kg = saved[:, weeks].sum(axis=2)
    # A resample in which looking ahead saves nothing leaves nothing to capture: all of it is.
    part = np.where(ahead_kg > 0, simple_kg / np.where(ahead_kg > 0, ahead_kg, 1), np.inf)
    low, high = np.quantile(part, [0.025, 0.975], method="nearest")
    total = saved.sum(axis=1)
    return Captured(float(total[0] / total[1]), float(low), float(high))


def captured_table(trials: list[Trials], forecast: str, seed: int = 0) -> pd.DataFrame:
    """How much of what looking ahead saves the simple rule saves too.

    Beside it stands, for each trace, the best of the others with the same forecast, and the best
    with a perfect one. They are chosen for their savings, which favours them.
    """
    rows = []
    for one in trials:
        for other in (forecast, PERFECT):
            rule = best_ahead(one, other)
            part = captured(one, forecast, rule, other, seed)
            rows.append(
                {
                    "trace": one.workload.name,
                    "simple rule saves": one.saved(SIMPLE, forecast, DAY_H),
                    "compared with": f"{rule}, {other}",
                    "that saves": one.saved(rule, other, DAY_H),
                    "captured": part.part,
                    "95 % interval": f"{part.low:.2f} to {part.high:.2f}",
                    "verdict": part.verdict,
                }
            )
    return pd.DataFrame(rows)


def facts(trials: list[Trials], forecast: str, captured: pd.DataFrame) -> dict[str, str]:
    """What the prose tells of the baselines."""
    tables = [one.table.iloc[2:] for one in trials]
    day = pd.concat([table[table["budget_h"] == DAY_H] for table in tables])
    held = day[day["forecast"] == forecast]
    yesterday = day[(day["forecast"] == "persistence") & day["rule"].isin(AHEAD)]["saved"]
    sleeping = [100 * one.table["saved"].iloc[one.row(SLEEP)] for one in trials]
    verdicts = captured["verdict"].value_counts()
    refuted = "not most" in verdicts
    same = captured[captured["compared with"].str.endswith(f", {forecast}")]["captured"]
    return {
        "budgets": ", ".join(f"{hours:g}" for hours in sorted(set(tables[0]["budget_h"]))),
        "most_saved": f"{max(table['saved'].max() for table in tables):.1%}",
        "most_own": f"{max(table['saved_own'].max() for table in tables):.1%}",
        "base_waits": " and ".join(f"{one.table['wait_h'].iloc[0]:.1f}" for one in trials),
        "held_waits": _range(held["wait_h"], ".0f"),
        "persistence_range": _range(100 * yesterday, ".1f", " and ") + " %",
        "sleep_minutes": f"{SLEEP_AFTER_S / 60:g}",
        "sleep_saved": " and ".join(f"{saved:.0f}" for saved in sleeping) + " %",
        "verdicts": ", ".join(f"{name} in {count}" for name, count in verdicts.items()),
        "refuted": (
            "Here the null hypothesis falls."
            if refuted
            else "Nowhere does the null hypothesis fall."
        ),
        "captured_range": _range(same, ".1f"),
    }


def _range(values: pd.Series, form: str, to: str = " to ") -> str:
    """Least and greatest value; one where they do not differ."""
    least, most = format(values.min(), form), format(values.max(), form)
    return least if least == most else f"{least}{to}{most}"
