"""How good predictors are: every log, every seed, by user, by size, and by age of the model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from exawatt.experiment.contents import contents
from exawatt.experiment.trial import N_TRAIN, Case, mean_scores, trial
from exawatt.predict.baselines import LastRuntimes, Request
from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.conformal import Conformal
from exawatt.predict.estimator import Predictor
from exawatt.predict.neighbours import NeighbourGP
from exawatt.predict.recalibration import Recalibrated
from exawatt.predict.scores import bootstrap, quartile
from exawatt.predict.svgp import VariationalGP
from exawatt.replay.schedule import Schedule
from exawatt.stats import Floats

if TYPE_CHECKING:  # what keeps tables is no part of what is in them
    from exawatt.experiment.units import Units
    from exawatt.workload import Workload

LOGS = ("KTH-SP2-raw", "LLNL-Thunder", "SDSC-SP2", "HPC2N")
SEEDS = (0, 1, 2)
#: What gains are measured over: the mean function of the process of neighbours.
MEAN = "boosted"
#: Predictors with the first seed alone, for nothing in them is drawn.
ONCE = ("request", "LAST2")
#: Earlier jobs up to which a user is little known.
FEW = 10
LEVELS: Floats = np.arange(1, 20) / 20
#: What readers have to know of the tables.
SETTINGS = {"logs": LOGS, "seeds": SEEDS, "first seed alone": ONCE, "n_train at most": N_TRAIN}


class _Trial(NamedTuple):
    """Losses of one predictor."""

    predictor: str
    seed: int
    found: pd.DataFrame


class _Grouping(NamedTuple):
    """Group of each job to try, and the value that it is in that group for."""

    values: Floats
    group: np.ndarray


def make(workloads: "Mapping[str, Workload]", units: "Units") -> dict[str, pd.DataFrame]:
    """Score all predictors.

    Parameters
    ----------
    workloads : mapping of Workload
        The logs, by name.
    units : Units
        Keeps each log × predictor × seed.

    Returns
    -------
    dict of DataFrame
        ``scores``: a row for each log, predictor and seed. ``scores_by``: one for each group of
        jobs as well. ``groups``: which jobs these are. ``reliability``: how often what came lay
        at or below each level.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for log, workload in workloads.items():
        case = Case.of(workload)
        for name, table in _tables(case, _trials(log, case, units)).items():
            table.insert(0, "log", log)
            tables.setdefault(name, []).append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def predictors(schedule: Schedule, seed: int) -> dict[str, Predictor]:
    """Return what is compared on a log, by name."""
    trees = BoostedQuantiles(random_state=seed)
    process = NeighbourGP(schedule, trees, random_state=seed)
    every: dict[str, Predictor] = {
        "request": Request(),
        "LAST2": LastRuntimes(2),
        MEAN: trees,
        "boosted, calibrated": Conformal(trees),
        "NeighbourGP": process,
        "NeighbourGP, recalibrated": Recalibrated(schedule, process),
        "SVGP": VariationalGP(objective="evidence", random_state=seed),
        "PPGPR": VariationalGP(random_state=seed),
    }
    return {name: each for name, each in every.items() if seed == SEEDS[0] or name not in ONCE}


def _trials(log: str, case: Case, units: "Units") -> list[_Trial]:
    """Try every predictor, unless that was done before."""
    trace = contents(case.schedule.workload)
    done = []
    for seed in SEEDS:
        for name, predictor in predictors(case.schedule, seed).items():
            found = units.get(
                f"{log}, {name}, seed {seed}",
                ["exawatt.experiment.trial", *_homes(predictor)],
                (trace, _settings(predictor)),
                lambda predictor=predictor: trial(case, _ready(case, predictor)),  # type: ignore[misc]
            )
            done.append(_Trial(name, seed, found))
    return done


def _ready(case: Case, predictor: Predictor) -> Predictor:
    """Predictor whose process, if it recalibrates one, is fitted, and is not fitted twice."""
    process = predictor.estimator if isinstance(predictor, Recalibrated) else None
    if process is None:
        return predictor
    try:
        check_is_fitted(process)
    except NotFittedError:
        process.fit(case.table.iloc[case.train], case.schedule.runtime_s[case.train])
    return clone(predictor).set_params(estimator=FrozenEstimator(process))


def _homes(predictor: Predictor) -> list[str]:
    """Modules of a predictor, and of those in it."""
    inside = predictor.get_params().values()
    parts = [predictor, *(each for each in inside if isinstance(each, Predictor))]
    return sorted({type(each).__module__ for each in parts})


def _settings(predictor: Predictor) -> list[tuple[str, str]]:
    """Settings of a predictor, and of those in it, as text; not its schedule."""
    given = predictor.get_params().items()
    return [
        (name, repr(value)) for name, value in given if not isinstance(value, Schedule | Predictor)
    ]


def groupings(case: Case) -> dict[str, _Grouping]:
    """Ways to group the jobs to try.

    Returns
    -------
    dict
        By ``size``: quarters of the jobs by processors. By ``age`` of the model: quarters by
        days since the first of them. By ``user``: how many of the user's jobs were learnt from,
        0 for an unseen user. By ``history``: how many of the user's jobs were completed when
        the job was submitted, whether learnt from or not.
    """
    jobs = case.schedule.workload.jobs
    procs = case.schedule.procs[case.test].astype(np.float64)
    days = (case.submit_s - case.submit_s[0]) / 86400.0
    learnt = jobs["user"].iloc[case.train].value_counts()
    users = jobs["user"].iloc[case.test]
    seen = np.where(users >= 0, users.map(learnt).fillna(0.0), np.nan)
    completed = case.table["user_completed"].iloc[case.test].to_numpy(np.float64)
    return {
        "size": _Grouping(procs, quartile(procs).astype(str)),
        "age": _Grouping(days, quartile(days).astype(str)),
        "user": _Grouping(seen, _little_known(seen)),
        "history": _Grouping(completed, _little_known(completed)),
    }


def _little_known(n: Floats) -> np.ndarray:
    """Group of each job by its user's earlier jobs; NaN where the user is unknown."""
    cases = [np.isnan(n), n == 0, n <= FEW]
    return np.select(cases, ["unknown", "0", f"1 to {FEW}"], f"over {FEW}")


def _tables(case: Case, trials: Sequence[_Trial]) -> dict[str, pd.DataFrame]:
    """Tables of one log."""
    grouping = groupings(case)
    alone = {each.seed: each.found["crps"] for each in trials if each.predictor == MEAN}
    return {
        "scores": _each(trials, lambda each: _score(case, each.found, alone[each.seed])),
        "scores_by": _each(trials, lambda each: _scores_by(each.found, grouping)),
        "groups": _groups(grouping),
        "reliability": _each(trials, lambda each: _reliability(each.found)),
    }


def _each(trials: Sequence[_Trial], tell: Callable[[_Trial], pd.DataFrame]) -> pd.DataFrame:
    """Tables of all trials, one below the other, with columns that name them."""
    parts = []
    for each in trials:
        part = tell(each)
        part.insert(0, "predictor", each.predictor)
        part.insert(1, "seed", each.seed)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _score(case: Case, found: pd.DataFrame, alone: pd.Series) -> pd.DataFrame:
    """Scores of all jobs, and the gain in CRPS over the mean function with its interval."""
    gain = bootstrap(alone - found["crps"], case.submit_s)
    scores = (
        mean_scores(found)
        .drop(columns="group")
        .assign(gain=gain.mean, gain_low=gain.low, gain_high=gain.high, cpu_s=found.attrs["cpu_s"])
    )
    scores.insert(0, "n_train", len(case.train))
    return scores


def _scores_by(found: pd.DataFrame, grouping: Mapping[str, _Grouping]) -> pd.DataFrame:
    parts = []
    for name, each in grouping.items():
        part = mean_scores(found, each.group)
        part.insert(0, "by", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _groups(grouping: Mapping[str, _Grouping]) -> pd.DataFrame:
    """Jobs of each group, and the lowest and highest value that they are in it for."""
    parts = []
    for name, each in grouping.items():
        values = pd.Series(each.values).groupby(each.group)
        part = pd.DataFrame({"n": values.size(), "low": values.min(), "high": values.max()})
        part = part.rename_axis("group").reset_index()
        part.insert(0, "by", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _reliability(found: pd.DataFrame) -> pd.DataFrame:
    observed = [float((found["pit"] <= level).mean()) for level in LEVELS]
    return pd.DataFrame({"level": LEVELS, "observed": observed})
