"""What cannot be replayed is refused before the replay starts, with the value and the way out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import make_workload

import exawatt as ew
from exawatt.forecast import LEVELS, Spread

ONE = make_workload([(0, 2, 10, 10)], 4)


def with_columns(**columns: object) -> ew.Workload:
    return replace(ONE, jobs=ONE.jobs.assign(**columns))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"order": "shortest"}, "order.*shortest.*fcfs"),
        ({"head": "old"}, "head.*old.*fresh"),
        ({"backfill": "slack"}, "backfill.*slack.*conservative"),
        ({"backfill_order": "sjf"}, "backfill_order.*sjf.*easy"),
        ({"backfill": "easy", "backfill_order": "best"}, "backfill_order.*best"),
        ({"correction": "tripling"}, "correction.*tripling.*doubling"),
        ({"max_wait_s": -1.0}, "max_wait_s.*-1"),
        ({"max_wait_s": np.nan}, "max_wait_s.*nan"),
        ({"max_wait_s": "3"}, r"max_wait_s\(='3'\) must be a finite number"),
        ({"max_wait_s": True}, r"max_wait_s\(=True\) must be a finite number"),
        ({"sleep_after_s": -5.0}, "sleep_after_s.*-5"),
        ({"power_cap_w": -5.0}, "power_cap_w.*-5"),
        ({"backfill": "conservative", "head": "committed"}, "conservative.*fresh"),
        ({"backfill": "conservative", "dvfs": ew.Dvfs()}, "conservative.*levels"),
        ({"dvfs": 0.8}, "dvfs.*0.8.*Dvfs"),
        ({"hold": 3600.0}, "hold.*3600.*CarbonHold"),
    ],
)
def test_policies_that_make_no_sense(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ew.Policy(**policy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ew.CarbonHold(-3600.0), "budget_s.*-3600"),
        (lambda: ew.CarbonHold(1.0, min_saving=1.0), "min_saving.*1.0"),
        (lambda: ew.CarbonHold(1.0, rule="cleanest"), "rule.*cleanest.*window, carbon-time"),
        (lambda: ew.CarbonHold(1.0, deadline="friday"), "deadline.*friday.*next-workday or semi"),
        (
            lambda: ew.CarbonHold(1.0, rule="threshold"),
            r"threshold_gco2_per_kwh\(=None\) must be a number, 0 g/kWh or more, for rule='thr",
        ),
        (lambda: ew.CarbonHold(1.0, rule="quantile"), r"quantile\(=None\) must.*between 0 and 1"),
        (lambda: ew.CarbonHold(1.0, rule="quantile", quantile=1.0), r"quantile\(=1.0\) must"),
        (
            lambda: ew.CarbonHold(1.0, threshold_gco2_per_kwh=90.0),
            r"threshold_gco2_per_kwh\(=90.0\) is of rule='threshold', not of 'window'",
        ),
        (
            lambda: ew.CarbonHold(1.0, rule="slot", quantile=0.5),
            r"quantile\(=0.5\) is of rule='quantile', not of 'slot'",
        ),
        (
            lambda: ew.CarbonHold(1.0, rule="threshold", threshold_gco2_per_kwh=1.0, level=0.5),
            r"level\(=0.5\).*looks at the present alone",
        ),
        (lambda: ew.CarbonHold(1.0, level=75), r"level\(=75\) must be between 0 and 1"),
        (
            lambda: ew.CarbonHold(1.0, 0.1, rule="quantile", quantile=0.5),
            r"min_saving\(=0.1\) is not of rule='quantile'; leave it out",
        ),
        (lambda: ew.Dvfs(levels=()), r"levels.*\(\)"),
        (lambda: ew.Dvfs(levels=(0.5, 1.0)), r"levels.*0.5, 1.0.*descending"),
        (lambda: ew.Dvfs(levels=(1.2,)), "levels.*1.2"),
        (lambda: ew.Dvfs(beta=-0.1), "beta.*-0.1"),
        (lambda: ew.Multifactor(half_life_s=0.0), "half_life_s.*0.0"),
        (lambda: ew.Multifactor(age=np.inf), "age.*inf"),
        (lambda: ew.Scorer.linear((1.0, 2.0)), "layer 0.*8 weights"),
        (lambda: ew.Scorer.linear((np.nan,) * 8), r"layer 0.*\(=nan\) must be a number, not NaN"),
        (lambda: ew.Scorer(((((0.0,) * 8,) * 2, (0.0, 0.0)),)), "2 outputs"),
        (lambda: ew.Platform(()), "partitions.*needs nodes"),
        (lambda: ew.Platform.uniform(nodes=0, procs=4), "nodes.*0"),
        (lambda: ew.Platform.uniform(nodes=2, procs=3, exclusive=True), "3 processors"),
        (lambda: ew.Platform.uniform(nodes=1, procs=1, gpus=-1), "gpus.*-1"),
        (lambda: ew.Platform.uniform(nodes=1, procs=1, wake_s=-1.0), "wake_s.*-1"),
        (lambda: ew.Platform((ew.Partition(1, 1), ew.Partition(2, 2))), r"numbers \[-1, -1\]"),
        (lambda: ew.Forecast(pd.Timestamp("2023"), np.ones((2, 2))), "time zone"),
        (lambda: ew.Forecast(pd.Timestamp("2023", tz="UTC"), np.ones(3)), r"\(3,\)"),
        (
            lambda: ew.Forecast(pd.Timestamp("2023", tz="UTC"), np.array([[1.0, np.nan]])),
            r"\[0, 1\].*nan.*fill the gaps",
        ),
    ],
)
def test_parts_that_make_no_sense(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


FOUR = ew.Platform.uniform(nodes=4, procs=4)
BUSY_W = 190.738


@pytest.mark.parametrize(
    ("workload", "platform", "policy", "message"),
    [
        (ONE, ew.Platform.uniform(nodes=1, procs=1), {}, "job 1 takes 2 processors.*the 1 of"),
        (with_columns(gpus=3.0), FOUR, {}, "job 1 takes 3 GPUs.*the 0 of"),
        (
            with_columns(gpus=1.0),
            ew.Platform.uniform(nodes=2, procs=4, gpus=2),
            {"sleep_after_s": 60.0},
            "sleep_after_s.*60.*exclusive=True",
        ),
        (
            with_columns(partition=7),
            ew.Platform((ew.Partition(4, 4, number=1), ew.Partition(4, 4, number=2))),
            {},
            r"job 1 names partition 7.*\[1, 2\]",
        ),
        (ONE, FOUR, {"estimate": "oracle_s"}, "estimate.*oracle_s.*request.*column"),
        (ONE, FOUR, {"power_cap_w": 4 * 95.0 - 1}, "379 W.*below what 4 nodes draw.*380 W"),
        (ONE, FOUR, {"power_cap_w": 4 * 95.0 + 1}, "381 W.*job 1 could never run.*571.476"),
        (ONE, FOUR, {"hold": ew.CarbonHold(3600.0)}, "pass a forecast"),
    ],
)
def test_replays_that_could_never_end(
    workload: ew.Workload, platform: ew.Platform, policy: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ew.replay(workload, ew.Policy(**policy), platform)


def test_a_level_needs_a_forecast_with_a_spread_and_that_level() -> None:
    start, values = pd.Timestamp("2023", tz="UTC"), np.ones((4, 4))
    spread = Spread(np.ones((4, 2)), np.zeros((4, 3, LEVELS.size)))
    bare = ew.Forecast(start, values, name="plain")
    with pytest.raises(ValueError, match=r"level\(=0.75\) needs.*plain has no spread"):
        ew.replay(ONE, ew.Policy(hold=ew.CarbonHold(60.0, level=0.75)), forecast=bare)
    with pytest.raises(ValueError, match=r"level\(=0.77\) must be one of"):
        ew.replay(
            ONE,
            ew.Policy(hold=ew.CarbonHold(60.0, level=0.77)),
            forecast=replace(bare, spread=spread),
        )


def test_a_trace_without_a_job() -> None:
    empty = ew.Workload(ONE.jobs.iloc[:0], procs=4, name="nothing")
    with pytest.raises(ValueError, match="nothing has no job"):
        ew.replay(empty, "easy")


def test_scores_that_are_no_number_come_last_and_are_counted() -> None:
    # inf - inf: the wait's weight and the free part's cancel into nothing that is a number.
    nan = ew.Scorer.linear((np.inf, 0.0, 0.0, -np.inf, 0.0, 0.0, 0.0, 0.0))
    workload = make_workload([(0, 4, 10, 10), (1, 4, 9, 9), (2, 4, 8, 8), (3, 4, 7, 7)], 4)
    schedule = ew.replay(workload, ew.Policy(order=nan))
    assert list(schedule.start_s) == list(ew.replay(workload, "fcfs").start_s)
    assert schedule.nan_scores > 0
