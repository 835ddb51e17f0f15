"""Online use: a replay whose scheduler works with predictions that are learned in it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from exawatt.platform import Platform
from exawatt.predict.past import Past, ends_s
from exawatt.replay import Policy, Schedule, new_engines, replay
from exawatt.replay.demand import Demand, demands
from exawatt.replay.state import Integers
from exawatt.stats import Floats
from exawatt.workload import Workload

#: Column of the workload that predictions are put into.
COLUMN = "predicted_s"
#: EASY that backfills what is predicted to be shortest first. Of a job that runs longer than
#: predicted it expects the request.
SJBF = Policy(backfill="easy", backfill_order="sjf", correction="request")
WEEK_S = 7 * 86400.0
#: Jobs that must have been completed before anything is learned.
MIN_JOBS = 30
#: Jobs that are run and predicted together until both agree; any number gives the same schedule.
BLOCK = 128


class Regressor(Protocol):
    """What can be trained and asked: a predictor of this package, or a regressor of scikit-learn.

    It must be one that scikit-learn's ``clone`` copies, and must predict each row by itself.
    """

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn from rows of features and the runtimes that came [s]."""

    def predict(self, X: Any) -> Any:
        """Runtime for each row of features [s]."""


@dataclass(frozen=True, eq=False)
class Online:
    """A replay, and the predictions that were learned in it and used by it.

    Parameters
    ----------
    schedule : Schedule
        The replay; the predictions are the column ``predicted_s`` of its workload.
    predicted_s : ndarray, shape (n_jobs,)
        What was predicted when each job was submitted [s]; NaN before anything was learned.
    trained : DataFrame
        One row for each time that the predictor was trained: ``moment_s``, on the trace's clock;
        ``row`` of the job whose submission it was, the first one predicted with it; ``jobs``
        that it learned from.
    passes : int
        How often a block of jobs was run.
    """

    schedule: Schedule
    predicted_s: Floats
    trained: pd.DataFrame
    passes: int


def replay_online(
    workload: Workload,
    predictor: Regressor,
    policy: str | Path | Policy = SJBF,
    platform: Platform | None = None,
    every_s: float = WEEK_S,
    window: int | None = None,
) -> Online:
    """Replay a workload under predictions of a model that learns as jobs end in that replay.

    Parameters
    ----------
    workload : Workload
        The jobs.
    predictor : Regressor
        What learns and predicts, from the table that :func:`~exawatt.predict.features.features`
        makes. A prediction that is no positive number counts as the request, and one above the
        request too.
    policy : str, path or Policy
        Its ``estimate`` is replaced by the predictions; ``correction`` says what to expect of
        jobs that run longer.
    platform : Platform, optional
        The machine; the trace's own when not given.
    every_s : float
        The predictor is trained anew at the first submission of each period of this length,
        counted from the first job's submission [s].
    window : int, optional
        Learn from so many jobs, those completed last; from all when not given.

    Returns
    -------
    Online

    Raises
    ------
    ValueError
        There is no job, a parameter is out of range, or the predictor is none, or predicts a row
        by looking at others.

    Notes
    -----
    Which jobs are completed at a submission depends on the schedule, and this on the predictions
    made before. Blocks of jobs are run with guesses first, then with what is predicted from the
    features that this gives, until no prediction changes: the first job's features rest on
    nothing that is still open, so that each pass settles one job more at least, and the result
    is the one that predicting job by job would give. Nothing that happens after a submission
    changes its prediction.
    """
    _refuse(predictor, every_s, window)
    policy = replace(Policy.of(policy), estimate=COLUMN)
    platform = platform or Platform.stand_in(workload)
    if len(workload) == 0:
        raise ValueError(f"{workload.name} has no job to replay; see its cleaning report.")
    state = _State(_with(workload, np.full(len(workload), np.nan)), policy, platform)
    submit = workload.jobs["submit_s"].to_numpy()
    period = np.floor((submit - submit[0]) / every_s)
    model, trained, passes = None, [], 0
    for first, last in _blocks(period):
        if first > 0 and period[first] > period[first - 1]:
            rows = state.completed(first)[-(window or 0) :]
            if rows.size >= MIN_JOBS:
                model = clone(predictor).fit(state.past.features(rows), state.runtime_s[rows])
                trained.append((submit[first], first, rows.size))
        passes += state.advance(first, last, model)
    schedule = replay(_with(workload, state.predicted_s), policy, platform)
    state.refuse_other(schedule)
    table = pd.DataFrame(trained, columns=["moment_s", "row", "jobs"])
    return Online(schedule, state.predicted_s, table, passes)


def _refuse(predictor: Any, every_s: Any, window: Any) -> None:
    """Refuse what cannot learn, and periods and windows without jobs."""
    if isinstance(predictor, type) or not all(
        hasattr(predictor, name) for name in ("fit", "predict", "get_params")
    ):
        raise ValueError(
            f"predictor(={predictor!r}) must have fit, predict and get_params, such as "
            "LastRuntimes(2)."
        )
    number = isinstance(every_s, Real) and not isinstance(every_s, bool)
    if not number or not 0 < every_s < np.inf:
        raise ValueError(f"every_s(={every_s!r}) must be a positive, finite number of seconds.")
    whole = isinstance(window, Integral) and not isinstance(window, bool)
    if window is not None and not (whole and window >= MIN_JOBS):
        raise ValueError(f"window(={window!r}) must be a whole number from {MIN_JOBS}, or None.")


def _with(workload: Workload, predicted_s: Floats) -> Workload:
    return replace(workload, jobs=workload.jobs.assign(**{COLUMN: predicted_s}))


def _blocks(period: Floats) -> Iterator[tuple[int, int]]:
    """First and one past the last row of consecutive blocks, none across two periods."""
    edges = np.append(np.flatnonzero(np.diff(period, prepend=-1.0)), period.size)
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for first in range(start, stop, BLOCK):
            yield first, min(first + BLOCK, stop)


class _State:
    """A replay up to the last submission of a block, and what was known until then."""

    def __init__(self, workload: Workload, policy: Policy, platform: Platform) -> None:
        """Empty machines."""
        n = len(workload)
        self.submit_s = workload.jobs["submit_s"].to_numpy()
        self.start_s, self.runtime_s = np.full(n, np.inf), np.full(n, np.nan)
        self.predicted_s = np.full(n, np.nan)
        self.past = Past(workload, platform.procs)
        self._demands = demands(workload, platform, policy)
        self._engines = new_engines(workload, policy, platform, None, causes=False)

    def completed(self, row: int) -> Integers:
        """Rows of the jobs completed by the submission of a job, the latest last."""
        self._run(self.submit_s[row])
        end = ends_s(self.start_s[:row], self.runtime_s[:row])
        rows = np.flatnonzero(end <= self.submit_s[row])
        return rows[np.argsort(end[rows], kind="stable")]

    def advance(self, first: int, last: int, model: Regressor | None) -> int:
        """Predict a block of jobs, and run up to its last submission; return the passes taken."""
        for passes in range(1, last - first + 2):
            branch = self._branch()
            for engine, demand in zip(branch._engines, self._demands, strict=True):
                engine.add(_part(demand, first, last, self.predicted_s))
            branch._run(self.submit_s[last - 1])
            branch.past.tell(first, last, branch.start_s, branch.runtime_s)
            if model is None or not self._changes(first, last, model):
                vars(self).update(vars(branch))
                return passes
        raise ValueError(
            f"predictor {model!r} does not predict each row by itself: predictions of rows {first} "
            f"to {last - 1} still change after {passes} passes."
        )

    def _branch(self) -> "_State":
        """Return another state that goes on from here."""
        branch = copy.copy(self)
        branch.past = self.past.copy()
        branch.start_s, branch.runtime_s = self.start_s.copy(), self.runtime_s.copy()
        branch._engines = copy.deepcopy(self._engines)
        return branch

    def _changes(self, first: int, last: int, model: Regressor) -> bool:
        """Predict a block; return whether that is other than before."""
        found = np.asarray(model.predict(self.past.features(slice(first, last))), np.float64)
        if found.shape != (last - first,):
            raise ValueError(
                f"predictor {model!r} gives shape {found.shape}; it must be ({last - first},), "
                "one runtime a row."
            )
        before = self.predicted_s[first:last].copy()
        self.predicted_s[first:last] = found
        return not np.array_equal(found, before, equal_nan=True)

    def _run(self, until_s: float) -> None:
        """Run every instant before a moment [s]; note what has started since the last block."""
        for engine in self._engines:
            engine.run(until_s)
            started = engine.take_started()
            if started is not None:
                self.start_s[started.row] = started.start_s
                self.runtime_s[started.row] = started.runtime_s

    def refuse_other(self, schedule: Schedule) -> None:
        """Run to the end, and refuse a replay with all predictions known that differs."""
        self._run(np.inf)
        if not np.array_equal(self.start_s, schedule.start_s):
            raise RuntimeError(
                "the replay with the predictions differs from the one that they were learned in; "
                "please report this with the policy and the trace."
            )


def _part(demand: Demand, first: int, last: int, predicted_s: Floats) -> Demand:
    """Jobs of a block that go to one partition, with their predictions."""
    rows = slice(*np.searchsorted(demand.row, [first, last]))
    part = {name: column[rows] for name, column in vars(demand).items()}
    predicted, request = predicted_s[part["row"]], part["request_s"]
    known = np.isfinite(predicted) & (predicted > 0)
    part["estimate_s"] = np.where(known, np.minimum(predicted, request), request)
    return Demand(**part)
