"""Energy surrogate: the energy of a job, as a distribution, from what is known at submission."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from exawatt.power import job_energy_j
from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.cards import Card, Data, Surrogate, versions
from exawatt.predict.conformal import Conformal
from exawatt.predict.contract import Contract
from exawatt.predict.estimator import Predictor, checked_columns, checked_target
from exawatt.predict.features import features
from exawatt.predict.scores import score
from exawatt.predict.values import LEVELS, Prediction, log_target
from exawatt.replay import Schedule, replay
from exawatt.stats import Floats
from exawatt.workload import Workload

#: What is told of jobs of the same kind; see :data:`exawatt.predict.history.TOLD`.
TOLD = {
    "last_ln_s": "logarithm of the runtime of the one completed last [s]",
    "recent_ln_s": "recent mean of the logarithm of their runtimes [s]",
    "recent_spread_ln_s": "its standard deviation [ln]",
    "since_end_ln_s": "logarithm of the time since the last completion [s]",
}
KINDS = {
    "user": "of the same user",
    "alike": "of the same user, size and request",
    "app": "of the same user and application",
}
#: Features of jobs. Numbers of users, partitions or queues are none of them: in another log they
#: mean others.
JOBS = Contract(
    "jobs",
    {
        "procs_ln": "logarithm of the processors asked for [-]",
        "request_ln_s": "logarithm of the time asked for [s]",
        "nodes_ln": "logarithm of the nodes asked for [-]",
        "memory_ln_kb": "logarithm of the memory asked for, by processor [kB]",
        "hour": "local hour of submission, with its fraction [h]",
        "weekday": "local day of the week, from 0 for Monday",
    }
    | {
        f"{kind}_{name}": f"of jobs {whose}: {text}"
        for kind, whose in KINDS.items()
        for name, text in TOLD.items()
    },
)
#: Columns that make two requests alike, where applications are not logged.
REQUESTS = ("procs", "nodes", "requested_memory_kb", "queue")
#: Least number of jobs in a partition that has an idea of its own.
MIN_JOBS = 30
#: Trees for each quantile: with twice as many, later jobs of Kabré are predicted worse.
N_TREES = 50
MEDIAN, POWER, MODEL = "median of its partition", "mean power × request", "surrogate"
KNOWN = "mean power × runtime, an outcome"


class Bounded(MetaEstimatorMixin, Predictor):
    """Any predictor of energy, with no job above what its request allows.

    A job ends at its limit, so that it can take no more than most power by the time asked for.
    Most power is the highest mean power over the time asked for that a job had in training, by
    node where nodes are known, else by processor.

    Parameters
    ----------
    estimator : Predictor
        What to bound, from the features of :data:`JOBS`.
    """

    def __init__(self, estimator: Predictor) -> None:
        """Keep the predictor."""
        self.estimator = estimator

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the predictor, and learn most power; see :class:`Predictor`."""
        most = log_target(checked_target(y, len(X))) - self._asked_ln(X)
        self.most_ln_w_ = float(np.max(most[np.isfinite(most)], initial=-np.inf))
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        """Quantiles of the predictor, those above the bound at the bound."""
        check_is_fitted(self)
        expected = self.estimator_.predict_distribution(X)
        bound = self._asked_ln(X) + self.most_ln_w_
        # Without a request there is no bound; nor where none was learnt from one.
        bound = np.where(np.isfinite(bound), bound, np.inf)
        return Prediction(expected.levels, np.minimum(expected.ln_quantiles, bound[:, None]))

    def _asked_ln(self, X: Any) -> Floats:
        """Logarithm of nodes or processors by the time asked for; NaN without a request."""
        request, nodes, procs = checked_columns(X, ["request_ln_s", "nodes_ln", "procs_ln"]).T
        return request + np.where(np.isnan(nodes), procs, nodes)


@dataclass(frozen=True, eq=False)
class Trial:
    """A model and simpler ones that learnt from some rows, and were tried on others.

    Parameters
    ----------
    contract : Contract
    predictor : Predictor
        Fitted to tables that the contract makes.
    rows : ndarray of int64
        Rows that were tried.
    energy_j : ndarray
        Their energy [J].
    predictions : mapping of str to Prediction
        What each model says of them.
    n_train : int
        Rows learnt from.
    split : str
        What was split how.
    """

    contract: Contract
    predictor: Predictor
    rows: np.ndarray
    energy_j: Floats
    predictions: Mapping[str, Prediction]
    n_train: int
    split: str

    def scores(self) -> pd.DataFrame:
        """Scores by model.

        Returns
        -------
        DataFrame
            ``mae_j`` and ``median_ae_j`` of medians; ``crps`` of the logarithm; ``cover_50``,
            ``cover_90`` and ``width_90``; ``median_ae_ln``, the median error of logarithms; and
            ``total``, the sum of the mean of each prediction over the energy of all.
        """
        return pd.DataFrame({name: self._score(each) for name, each in self.predictions.items()}).T

    def _score(self, prediction: Prediction) -> dict[str, float]:
        found: dict[Any, Any] = score(prediction, self.energy_j).loc["all"].to_dict()
        off = prediction.ln_quantile(0.5) - log_target(self.energy_j)
        return {
            "mae_j": float(found["mae"]),
            "median_ae_j": float(found["median_ae"]),
            "crps": float(found["crps"]),
            "cover_50": float(found["cover_50"]),
            "cover_90": float(found["cover_90"]),
            "width_90": float(found["width_90"]),
            "median_ae_ln": float(np.median(np.abs(off))),
            "total": float(prediction.mean.sum() / self.energy_j.sum()),
        }

    def surrogate(
        self,
        title: str,
        data: tuple[Data, ...],
        use: str,
        limits: tuple[str, ...],
        seed: int,
        command: str,
    ) -> Surrogate:
        """Model with its card; the arguments are those of :class:`~exawatt.predict.cards.Card`."""
        metrics = {str(name): dict(row) for name, row in self.scores().iterrows()}
        card = Card(
            title=title,
            target="the energy of a job [J]",
            data=data,
            contract=self.contract,
            split=self.split,
            n_train=self.n_train,
            n_test=len(self.rows),
            metrics=metrics,
            intended_use=use,
            limits=limits,
            seed=seed,
            command=command,
            versions=versions(),
        )
        return Surrogate(self.predictor, card)


def submitted(workload: Workload) -> tuple[Schedule, pd.DataFrame]:
    """What is known of each job when it is submitted: the features of :data:`JOBS`.

    Parameters
    ----------
    workload : Workload
        The jobs, logged or drawn by a twin.

    Returns
    -------
    schedule : Schedule
        Replay under EASY in which earlier jobs completed: no log's own start times are used, and
        sizes are those asked for where the log has both (``requested_procs``).
    table : DataFrame
        One row a job, NaN where unknown.

    Notes
    -----
    Where no user is logged, jobs of a partition count as those of one user; where no application
    is, requests for the same processors, nodes, memory and queue as one application. What is
    known of earlier jobs is their runtime, so that a log without energies can be predicted too.
    """
    asked = _as_asked(workload)
    schedule = replay(asked, "easy")
    known, jobs = features(schedule), asked.jobs
    own = {
        "nodes_ln": _ln(jobs, "nodes"),
        "memory_ln_kb": _ln(jobs, "requested_memory_kb"),
    }
    return schedule, known.assign(**own)[list(JOBS.features)]


def _as_asked(workload: Workload) -> Workload:
    """Jobs with the sizes that they asked for, and with stand-ins for users and applications."""
    jobs = workload.jobs
    changed = {}
    if "requested_procs" in jobs:
        asked = jobs["requested_procs"]
        fits = (asked > 0) & (asked <= workload.procs)
        changed["procs"] = asked.where(fits, jobs["procs"])
    jobs = jobs.assign(**changed)
    if (jobs["user"] < 0).all():
        changed["user"] = jobs["partition"]
    if (jobs["app"] < 0).all():
        columns = [name for name in REQUESTS if name in jobs]
        changed["app"] = 1 + jobs.groupby(columns, dropna=False).ngroup()
    return replace(workload, jobs=jobs.assign(**changed))


def _ln(jobs: pd.DataFrame, name: str) -> Floats | float:
    """Logarithm of a column; NaN where it is unknown or not there."""
    if name not in jobs:
        return np.nan
    values = jobs[name].to_numpy(dtype=np.float64)
    return np.log(np.where(values > 0, values, np.nan))


def measured_j(workload: Workload) -> Floats:
    """Energy that a log has of each job [J]; NaN where it has none, or says 0.

    Raises
    ------
    ValueError
        It has none of any job.
    """
    jobs = workload.jobs
    if "energy_j" not in jobs or not (jobs["energy_j"] > 0).any():
        raise ValueError(
            f"{workload.name} has no job with a measured energy: there is nothing to learn. Pass "
            "Slurm accounting with ConsumedEnergyRaw, or a twin."
        )
    joules = jobs["energy_j"].to_numpy(dtype=np.float64)
    return np.where(joules > 0, joules, np.nan)


def modelled_j(schedule: Schedule) -> Floats:
    """Energy of each job by the power model of the platform [J]: no measurement.

    It is what the job adds to an idle machine, and its share of what that draws anyway.
    """
    platform = schedule.platform
    idle_j = schedule.procs * schedule.runtime_s * platform.idle_machine_w / platform.procs
    return job_energy_j(schedule) + idle_j


def whole_node_jobs(workload: Workload, threads: int = 256) -> np.ndarray:
    """Which jobs had nodes of so many threads to themselves.

    Parameters
    ----------
    workload : Workload
        Its numbers of processors are those given to the jobs.
    threads : int
        Hardware threads of a node. At 256 these are Kabré's partitions ``nu``, ``nu-debug``,
        ``nu-long`` and ``nu-wide``, whose names a workload does not have.

    Returns
    -------
    ndarray of bool
        Jobs of partitions with 30 jobs or more, all of which have multiples of `threads`.
    """
    jobs = workload.jobs
    whole = (jobs["procs"] % threads == 0).groupby(jobs["partition"]).transform("all")
    many = jobs.groupby("partition")["procs"].transform("size") >= MIN_JOBS
    return (whole & many).to_numpy()


def learn_jobs(
    workload: Workload,
    schedule: Schedule,
    table: pd.DataFrame,
    energy_j: ArrayLike,
    share: float = 0.7,
    n_trees: int = N_TREES,
    seed: int = 0,
) -> Trial:
    """Train on the first jobs, and try on the others.

    Parameters
    ----------
    workload : Workload
        The jobs as logged, for simpler guesses.
    schedule, table
        What :func:`submitted` makes of it.
    energy_j : array_like, shape (n_jobs,)
        Energy of each job [J]; those of which it is NaN are left out.
    share : float
        Part of the jobs, in order of submission, before those to try on.
    n_trees : int
        Trees for each quantile.
    seed : int

    Returns
    -------
    Trial
        Beside the model, the median energy of each partition; mean power by processor and time
        asked for; and the same by the time taken, which is an outcome: what could be predicted
        if runtimes were known.

    Raises
    ------
    ValueError
        There are too few jobs with energy.
    """
    joules = np.asarray(energy_j, dtype=np.float64)
    if joules.shape != (len(workload),):
        raise ValueError(f"energy_j needs shape ({len(workload)},), not {joules.shape}.")
    train, test = _parts(schedule, joules, share)
    rows = JOBS.table(table)
    trees = BoostedQuantiles(n_trees=n_trees, random_state=seed)
    predictor = Bounded(Conformal(trees))
    predictor.fit(rows.iloc[train], joules[train])
    predictions = {MODEL: predictor.predict_distribution(rows.iloc[test])}
    predictions |= {
        name: _around(guess, joules, train, test) for name, guess in _guesses(workload).items()
    }
    predictions[MEDIAN] = _by_group(workload.jobs["partition"].to_numpy(), joules, train, test)
    split = (
        f"The first {share:.0%} of the jobs with energy, in order of submission, of which those "
        "count that were completed when the first of the others was submitted."
    )
    return Trial(JOBS, predictor, test, joules[test], predictions, len(train), split)


def _parts(schedule: Schedule, joules: Floats, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Jobs with energy to learn from and to try on, in time order."""
    if not 0 < share < 1:
        raise ValueError(f"share(={share}) must lie between 0 and 1.")
    some = np.flatnonzero(np.isfinite(joules))
    first = int(some.size * share)
    train = some[:first]
    if train.size:
        train = train[schedule.end_s[train] <= schedule.submit_s[some[first]]]
    if train.size < 2:
        raise ValueError(
            f"{some.size} jobs with energy leave {train.size} to learn from; 2 or more are needed."
        )
    return train, some[first:]


def _guesses(workload: Workload) -> dict[str, Floats]:
    """Processors by the time asked for, and by the time taken [s]."""
    jobs = workload.jobs
    procs = jobs["procs"].to_numpy(dtype=np.float64)
    guesses = {
        POWER: procs * jobs["requested_s"].to_numpy(),
        KNOWN: procs * jobs["runtime_s"].to_numpy(),
    }
    return {name: guess for name, guess in guesses.items() if np.isfinite(guess).any()}


def _around(proc_s: Floats, joules: Floats, train: np.ndarray, test: np.ndarray) -> Prediction:
    """Mean power by processor times processors and time, with the errors made in training."""
    known = train[np.isfinite(proc_s[train])]
    if not known.size:
        return _by_group(np.zeros(len(joules)), joules, train, test)
    watts = joules[known].sum() / proc_s[known].sum()
    # A job without a request gets the median one.
    filled = np.where(np.isfinite(proc_s), proc_s, np.median(proc_s[known]))
    guess = log_target(watts * filled)
    errors = np.quantile(log_target(joules[train]) - guess[train], LEVELS)
    return Prediction.around(guess[test], LEVELS, errors)


def _by_group(group: np.ndarray, joules: Floats, train: np.ndarray, test: np.ndarray) -> Prediction:
    """Distribution of what jobs of the same group took; of all jobs in small groups."""
    ln = log_target(joules[train])
    quantiles = np.tile(np.quantile(ln, LEVELS), (test.size, 1))
    for each in np.unique(group[test]):
        some = ln[group[train] == each]
        if some.size >= MIN_JOBS:
            quantiles[group[test] == each] = np.quantile(some, LEVELS)
    return Prediction(LEVELS, quantiles)
