"""Baselines in a queue, and bills: tables that add up, and a bootstrap that can say no."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import exawatt as ew
from exawatt.figures import footprints, holds
from exawatt.figures.holds import AHEAD, BASE, DAY_H, PERFECT, RULES, SIMPLE, SLEEP, Trials


@pytest.fixture(scope="module")
def trials() -> Trials:
    """Every baseline on the tiny trace."""
    tiny = ew.load("tiny")
    series = ew.load_intensity("tiny")
    known = holds.known(series, "test")
    assert list(known) == ["persistence", PERFECT]
    threshold = holds.threshold_gco2_per_kwh("test")
    return holds.tried(tiny, ew.Platform.stand_in(tiny), series, known, threshold, "test")


def test_every_rule_is_tried_with_every_forecast_and_budget(trials: Trials) -> None:
    table = trials.table
    assert table["rule"].iloc[:2].tolist() == [BASE, SLEEP]
    held = table.iloc[2:]
    assert len(held) == len(RULES) * 2 * 2
    assert set(held["rule"]) == {SIMPLE, *AHEAD}
    # To hold jobs back changes when work is done, and no watt-second of it.
    assert np.ptp(table["energy_kwh"].drop(index=1)) < 1e-6
    assert (held["wait_h"] > table["wait_h"].iloc[0]).all()
    assert trials.weekly_kgco2e.sum(axis=1) == pytest.approx(table["carbon_kgco2e"])


def test_savings_are_those_of_two_accounts(trials: Trials) -> None:
    tiny, series = trials.workload, ew.load_intensity("tiny")
    easy = ew.power(ew.replay(tiny, "easy"), trials.window_s)
    base = ew.account(easy, series).carbon_kgco2e
    assert trials.table["carbon_kgco2e"].iloc[0] == pytest.approx(base)
    row = trials.table.iloc[trials.row(SIMPLE, "persistence", DAY_H)]
    assert row["saved"] == pytest.approx(1 - row["carbon_kgco2e"] / base)
    # What jobs add is less than all, so a saving is a larger part of it.
    assert abs(row["saved_own"]) > abs(row["saved"])


def made(simple: list[float], ahead: list[float]) -> Trials:
    """Trials whose rules saved so many kilograms in each week."""
    rows = [(BASE, "–", 0.0), (SIMPLE, "f", DAY_H), *((rule, "f", DAY_H) for rule in AHEAD)]
    saved = [np.zeros(len(simple)), np.array(simple), *([np.array(ahead)] * len(AHEAD))]
    weekly = 100.0 - np.array(saved)
    table = pd.DataFrame(rows, columns=["rule", "forecast", "budget_h"])
    return Trials(ew.load("tiny"), table.assign(saved=np.sum(saved, axis=1)), weekly, (0, 1))


@pytest.mark.parametrize(
    ("simple", "ahead", "verdict"),
    [
        ([9.0, 11.0] * 10, [10.0] * 20, "most"),
        ([1.0, 1.2] * 10, [10.0] * 20, "not most"),
        ([-20.0, 31.0] * 10, [10.0] * 20, "undecided"),
        ([1.0] * 20, [-10.0, 10.1] * 10, "undecided"),
    ],
)
def test_the_null_hypothesis_can_fall(
    simple: list[float], ahead: list[float], verdict: str
) -> None:
    part = holds.captured(made(simple, ahead), "f", AHEAD[0], "f")
    assert part.part == pytest.approx(sum(simple) / sum(ahead))
    assert part.verdict == verdict


def test_bills_add_up_to_the_meter() -> None:
    tiny, series = ew.load("tiny"), ew.load_intensity("tiny")
    alone, whole = footprints.example(ew.replay(tiny, "easy"), series)
    table = footprints.users(alone)
    assert table["share of carbon"].sum() == pytest.approx(1)
    assert table["jobs"].sum() == len(tiny)
    totals = footprints.totals({"tiny": (alone, whole)})
    assert totals["tiny"].iloc[2] == "–"  # no contract
    assert whole.location.energy_kwh > alone.location.energy_kwh
    # 60 % at zero, the rest at 350 g.
    energy_kwh = whole.location.energy_kwh
    assert whole.total["market_kgco2e"].value == pytest.approx(0.4 * energy_kwh * 0.350)


def test_facts_are_told_of_the_real_traces(real_data: Path) -> None:
    kth, series = ew.load("KTH-SP2"), ew.load_intensity("GB-2023")
    facts = footprints.facts(footprints.example(ew.replay(kth, "easy"), series))
    assert facts["embodied_told"] == "1313 kgCO2e a node over 5 years"
    assert float(facts["bills_error"]) < 1e-9
