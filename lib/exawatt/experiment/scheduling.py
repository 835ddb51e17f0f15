"""What predictions buy the scheduler: EASY with each estimate and each correction."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from exawatt.experiment.contents import contents
from exawatt.experiment.moved import MOVED_S, WINDOW, measured
from exawatt.predict.baselines import LastRuntimes
from exawatt.predict.estimator import Predictor
from exawatt.predict.median import BoostedMedian
from exawatt.replay.policy import Correction, Policy

if TYPE_CHECKING:  # what keeps tables is no part of what is in them
    from exawatt.experiment.units import Units
    from exawatt.workload import Workload

LOGS = ("KTH-SP2-raw", "SDSC-SP2")
#: Order in which jobs are tried for backfilling; that of submission for EASY.
ORDERS = {"EASY": None, "EASY-SJBF": "sjf"}
CORRECTIONS: tuple[Correction, ...] = ("none", "request", "increments", "doubling")
#: Estimates that the replay itself knows.
KNOWN = {"request": "request", "actual": "actual", "LAST2": "last2"}
#: Estimates that no job outlives, so that there is nothing to correct.
SAFE = ("request", "actual")
#: Predictors that learn in the replay.
LEARNT: dict[str, Predictor] = {"mean of 5": LastRuntimes(5), "boosted median": BoostedMedian()}
#: Replays with submissions moved.
DRAWS = 5
#: Corrections under which these are made for learnt estimates, which take long.
MOVED_CORRECTIONS = ("request",)
#: What readers have to know of the table. In published ones a missing request is the runtime.
SETTINGS = {
    "logs": LOGS,
    "missing_request": "runtime",
    "window": WINDOW,
    "draws": DRAWS,
    "moved_s at most": MOVED_S,
}


class _Setting(NamedTuple):
    """What tells one replay of a log from another."""

    policy: str
    estimate: str
    correction: Correction
    draw: int


def make(workloads: "Mapping[str, Workload]", units: "Units") -> dict[str, pd.DataFrame]:
    """Replay all settings.

    Parameters
    ----------
    workloads : mapping of Workload
        The logs, by name.
    units : Units
        Keeps each replay.

    Returns
    -------
    dict of DataFrame
        ``slowdown``: a row for each log, policy, estimate, correction and draw. Draw 0 is the log
        as it is; in the others each submission is moved by up to a minute.
    """
    rows = []
    for log, workload in workloads.items():
        for setting in _settings():
            row = _replayed(log, workload, setting, units)
            for at, (name, value) in enumerate({"log": log, **setting._asdict()}.items()):
                row.insert(at, name, value)
            rows.append(row)
    return {"slowdown": pd.concat(rows, ignore_index=True)}


def _settings() -> Iterator[_Setting]:
    """Every replay of a log, the quick ones first."""
    for estimate in (*KNOWN, *LEARNT):
        for correction in CORRECTIONS[: 1 if estimate in SAFE else None]:
            moved = estimate in KNOWN or correction in MOVED_CORRECTIONS
            for policy in ORDERS:
                for draw in range(1 + DRAWS * moved):
                    yield _Setting(policy, estimate, correction, draw)


def _replayed(log: str, workload: "Workload", setting: _Setting, units: "Units") -> pd.DataFrame:
    """Replay one setting, unless that was done before."""
    predictor = LEARNT.get(setting.estimate)
    policy = Policy(
        backfill="easy",
        backfill_order=ORDERS[setting.policy],
        estimate=KNOWN.get(setting.estimate, "request"),
        correction=setting.correction,
        missing_request="runtime",
    )
    return units.get(
        f"{log}, {setting.policy}, {setting.estimate}, {setting.correction}, draw {setting.draw}",
        ["exawatt.experiment.moved", *([type(predictor).__module__] if predictor else [])],
        (contents(workload), policy, predictor, setting.draw),
        lambda: measured(workload, policy, predictor, setting.draw),
    )
