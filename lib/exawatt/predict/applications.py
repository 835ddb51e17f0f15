"""Applications: the energy of training runs, and how few runs tell what an application takes.

References
----------
.. [1] J. You, J.-W. Chung, M. Chowdhury, "Zeus: Understanding and Optimizing GPU Energy
   Consumption of DNN Training", NSDI 2023.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.conformal import Conformal
from exawatt.predict.contract import Contract
from exawatt.predict.energy import MIN_JOBS, Trial
from exawatt.predict.median import BoostedMedian
from exawatt.predict.scores import RESAMPLES, Interval
from exawatt.predict.values import LEVELS, Prediction, log_target
from exawatt.readers.power_data import read_zeus_power
from exawatt.stats import Floats

#: What is trained; with the GPU it makes an application.
TASK = ["dataset", "network", "optimizer"]
#: What a user chooses for a run of an application.
DESIGN = ["batch_ln", "limit_w"]
FEATURES = {
    "dataset": "what is trained on",
    "network": "what is trained",
    "optimizer": "and how",
    "gpu": "model of the GPU",
    "batch_ln": "logarithm of the batch size [-]",
    "limit_w": "power limit of the GPU [W]",
    "limit_share": "power limit over the highest one of that model of GPU [-]",
}
#: Metric at which a training counts as done: one that most of the published trainings reached.
TARGETS = {
    "shufflenetv2": 0.6,
    "resnet50": 0.65,
    "deepspeech2": 40.0,
    "ncf": 0.41,
    "sentiment140": 0.84,
    "squad": 84.0,
}
POOLED, MOVED, LINE = "pooled", "pooled, moved", "line"
PROCESS, RESIDUAL, TWO_TASKS = "GP", "GP on pooled", "two-task GP"
METHODS = (POOLED, MOVED, LINE, PROCESS, RESIDUAL, TWO_TASKS)
N_TREES = 100
#: Least share of what a line is fitted to, that keeps it near flat where runs are few.
RIDGE = 0.1


def read_runs(files: Mapping[str, Path | str]) -> pd.DataFrame:
    """Epochs of published training runs, by the configuration that was measured [1]_.

    Parameters
    ----------
    files : mapping of str to path
        Table of measured power of each model of GPU.

    Returns
    -------
    DataFrame
        One row a configuration: the columns of the contract of :func:`runs_contract`,
        ``batch_size``, ``application``, ``task``, ``repetition`` (its own number), and what came,
        ``epoch_s``, ``power_w`` and ``energy_j`` of an epoch.

    Notes
    -----
    An application is a task (data set, network, optimiser) on a model of GPU, and its runs
    differ in batch size and power limit. No configuration was published twice: these runs are
    points of a design, not repetitions.
    """
    runs = pd.concat(
        [read_zeus_power(path).assign(gpu=gpu) for gpu, path in files.items()], ignore_index=True
    )
    task = runs["dataset"] + "/" + runs["network"] + "/" + runs["optimizer"]
    return runs.assign(
        batch_ln=np.log(runs["batch_size"]),
        limit_share=runs["limit_w"] / runs.groupby("gpu")["limit_w"].transform("max"),
        task=task,
        application=task + "/" + runs["gpu"],
        repetition=np.arange(len(runs)),
        energy_j=runs["epoch_s"] * runs["power_w"],
    )


def to_target(runs: pd.DataFrame, trainings: Path | str) -> pd.DataFrame:
    """Whole trainings, until the metric of :data:`TARGETS`: epochs drawn apart from their energy.

    Parameters
    ----------
    runs : DataFrame
        From :func:`read_runs`.
    trainings : path
        Table of the epochs that repeated trainings took.

    Returns
    -------
    DataFrame
        One row a configuration and training of that batch size that reached the target, with
        ``epochs``; ``energy_j`` and ``epoch_s`` are those of all epochs. Here runs repeat:
        trainings differ in nothing but their random numbers. ``repetition`` says which rows go
        back to the same training, for it is published once for all GPUs and limits.
    """
    table = pd.read_csv(trainings)
    target = table["network"].map(TARGETS).fillna(table["dataset"].map(TARGETS))
    reached = np.isclose(table["target_metric"], target) & (table["target_epoch"] > 0)
    done = table.loc[reached, [*TASK, "batch_size", "target_epoch"]]
    done = done.rename(columns={"target_epoch": "epochs"}).reset_index(drop=True)
    done["repetition"] = np.arange(len(done))
    whole = runs.drop(columns="repetition").merge(done, on=[*TASK, "batch_size"])
    return whole.assign(
        energy_j=whole["energy_j"] * whole["epochs"], epoch_s=whole["epoch_s"] * whole["epochs"]
    )


def runs_contract(runs: pd.DataFrame) -> Contract:
    """Features of training runs, with the texts that occur among some."""
    texts = [*TASK, "gpu"]
    known = {name: tuple(sorted(map(str, runs[name].unique()))) for name in texts}
    return Contract("training runs", FEATURES, known)


def learn_runs(
    runs: pd.DataFrame, share: float = 0.7, n_trees: int = N_TREES, seed: int = 0
) -> Trial:
    """Train on some runs of every application, and try on the others.

    Parameters
    ----------
    runs : DataFrame
        From :func:`read_runs`.
    share : float
        Part of the runs, drawn at random: they have no dates.
    n_trees : int
        Trees for each quantile.
    seed : int

    Returns
    -------
    Trial
        Beside the model, the median energy of each application.
    """
    if not 0 < share < 1:
        raise ValueError(f"share(={share}) must lie between 0 and 1.")
    order = np.random.default_rng(seed).permutation(len(runs))
    first = int(len(runs) * share)
    if first < 2:
        raise ValueError(f"{len(runs)} runs leave {first} to learn from; 2 or more are needed.")
    train, test = order[:first], np.sort(order[first:])
    contract, joules = runs_contract(runs), runs["energy_j"].to_numpy(dtype=np.float64)
    rows = contract.table(runs[list(FEATURES)])
    trees = BoostedQuantiles(n_trees=n_trees, max_features=1.0, random_state=seed)
    predictor = Conformal(trees).fit(rows.iloc[train], joules[train])
    predictions = {
        "surrogate": predictor.predict_distribution(rows.iloc[test]),
        "median of its application": _by_application(runs, train, test),
    }
    split = f"{share:.0%} of the runs, drawn at random: the others are of applications seen."
    return Trial(contract, predictor, test, joules[test], predictions, first, split)


def _by_application(runs: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> Prediction:
    """Distribution of what runs of the same application took; of all if there are few."""
    ln = pd.Series(log_target(runs["energy_j"]))
    names = runs["application"].to_numpy()
    quantiles = np.tile(np.quantile(ln[train], LEVELS), (test.size, 1))
    for name in np.unique(names[test]):
        some = ln[train][names[train] == name]
        if len(some) >= MIN_JOBS // 3:
            quantiles[names[test] == name] = np.quantile(some, LEVELS)
    return Prediction(LEVELS, quantiles)


def few_shot(
    runs: pd.DataFrame,
    k: Sequence[int] = (5, 10, 20),
    n_draws: int = 1,
    methods: Sequence[str] = METHODS,
    unseen: str = "application",
    applications: Iterable[str] | None = None,
    n_trees: int = N_TREES,
    seed: int = 0,
) -> pd.DataFrame:
    """Errors on an application of models that know a few of its runs, or none.

    Parameters
    ----------
    runs : DataFrame
        From :func:`read_runs` or :func:`to_target`.
    k : sequence of int
        How many runs are known.
    n_draws : int
        How often they are drawn; draws are the same for every method, and the smaller ones are
        part of the larger.
    methods : sequence of str
        Of :data:`METHODS`. ``pooled``: boosted trees trained on what is not left out. ``pooled,
        moved``: the same by a factor, the median of the runs known. ``line``: a straight line of
        logarithms, slightly towards the flat. ``GP``: an exact process of the runs known. ``GP on
        pooled``: the same with the pooled trees as its mean. ``two-task GP``: of time and energy.
    unseen : {"application", "task"}
        What the pooled model has not seen: the application, while its task may be known from
        other GPUs; or all applications of the task.
    applications : iterable of str, optional
        Which to try; all when not given.
    n_trees : int
        Trees of the pooled model.
    seed : int

    Returns
    -------
    DataFrame
        One row an application, number, draw and method: ``error``, the median of the absolute
        errors of the logarithm of energy, over the application's ``n_test`` runs that were not
        drawn, nor share a repetition with one that was.
    """
    _refuse(runs, k, n_draws, methods, unseen)
    named = sorted(runs["application"].unique())
    chosen = named if applications is None else list(applications)
    unknown = sorted(set(chosen) - set(named))
    if unknown:
        raise ValueError(f"application {unknown[0]!r} has no run; pass some of {', '.join(named)}.")
    trees: dict[str, Pool] = {}
    found = []
    for name in chosen:
        mine = np.flatnonzero(runs["application"] == name)
        left_out = str(runs[unseen].iloc[mine[0]])
        if left_out not in trees:
            trees[left_out] = Pool(runs, (runs[unseen] == left_out).to_numpy(), n_trees, seed)
        # A draw is the application's own, whichever others are tried.
        rng = np.random.default_rng([seed, named.index(name)])
        for draw in range(n_draws):
            order = rng.permutation(mine)
            found += [
                {"application": name, "k": n, "draw": draw, **row}
                for n in k
                for row in _tried(runs, trees[left_out], order, n, methods)
            ]
    return pd.DataFrame(found)


def ratio(
    errors: pd.DataFrame,
    k: int = 20,
    method: str = PROCESS,
    over: str = POOLED,
    by: str = "application",
    seed: int = 0,
) -> Interval:
    """How large the errors of one method are by those of another: geometric mean over applications.

    Parameters
    ----------
    errors : DataFrame
        From :func:`few_shot`.
    k : int
        Of so many runs.
    method, over : str
        The two methods.
    by : {"application", "task"}
        What is resampled as a whole for the 95 % interval. Applications of one task resemble each
        other.
    seed : int
        Of the 1,000 resamples.

    Raises
    ------
    ValueError
        One of them was not tried with so many runs, or there is one application only.
    """
    some = errors[errors["k"] == k]
    means = some.pivot_table("error", "application", "method")
    for name in (method, over):
        if name not in means:
            raise ValueError(f"no error of method {name!r} with k={k}; try it in few_shot.")
    ln = np.log((means[method] / means[over]).to_numpy())
    names = [str(name).rpartition("/")[0] if by == "task" else name for name in means.index]
    codes = pd.factorize(np.asarray(names))[0]
    counts, sums = np.bincount(codes), np.bincount(codes, ln)
    if counts.size < 2:
        raise ValueError(f"there is one {by} only; a bootstrap needs 2 or more.")
    weights = np.full(counts.size, 1 / counts.size)
    drawn = np.random.default_rng(seed).multinomial(counts.size, weights, RESAMPLES)
    low, high = np.quantile(np.exp((drawn @ sums) / (drawn @ counts)), [0.025, 0.975])
    return Interval(float(np.exp(ln.mean())), float(low), float(high))


def _refuse(
    runs: pd.DataFrame, k: Sequence[int], n_draws: int, methods: Sequence[str], unseen: str
) -> None:
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"method {unknown[0]!r} is unknown; pass some of {', '.join(METHODS)}.")
    if unseen not in ("application", "task"):
        raise ValueError(f"unseen(={unseen!r}) must be 'application' or 'task'.")
    if n_draws < 1:
        raise ValueError(f"n_draws(={n_draws}) must be 1 or more.")
    if not k or min(k) < 2:
        raise ValueError(f"k(={list(k)}) must be numbers of runs from 2.")
    if runs[unseen].nunique() < 2:
        raise ValueError(f"there is one {unseen} only: leaving it out leaves nothing to learn.")
    # One run more, to try on.
    fewest = runs.groupby("application").size()
    if fewest.min() <= max(k):
        raise ValueError(
            f"k={max(k)} is too many: {fewest.idxmin()} has {fewest.min()} runs in all."
        )


class Pool:
    """Boosted trees of all runs but those left out.

    Parameters
    ----------
    runs : DataFrame
    left_out : ndarray of bool
        Runs that are not learnt from.
    n_trees, seed : int
    """

    def __init__(self, runs: pd.DataFrame, left_out: np.ndarray, n_trees: int, seed: int) -> None:
        """Train; texts that occur only among what is left out are unknown."""
        self.rows = runs_contract(runs[~left_out]).table(runs[list(FEATURES)])
        trees = BoostedMedian(n_trees=n_trees, max_features=1.0, random_state=seed)
        self.trees = trees.fit(self.rows[~left_out], runs["energy_j"].to_numpy()[~left_out])
        self.ln_j = np.log(self.trees.predict(self.rows))


def _tried(
    runs: pd.DataFrame, pool: Pool, order: np.ndarray, k: int, methods: Sequence[str]
) -> list[dict[str, Any]]:
    """Errors of the methods when the first runs of an order are known."""
    known, rest = order[:k], order[k:]
    repetition = runs["repetition"].to_numpy()
    test = np.sort(rest[~np.isin(repetition[rest], repetition[known])])
    if not test.size:
        raise ValueError(f"k={k} runs touch every repetition of their application: none is left.")
    actual = log_target(runs["energy_j"].to_numpy()[test])
    rows = []
    for name in methods:
        told = _GUESSES[name](runs, pool, known, test)
        error = float(np.median(np.abs(told - actual)))
        rows.append({"method": name, "error": error, "n_test": test.size})
    return rows


def _pooled(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    return pool.ln_j[test]


def _moved(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    off = log_target(runs["energy_j"].to_numpy()[known]) - pool.ln_j[known]
    return pool.ln_j[test] + np.median(off)


def _line(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    both = np.log(runs[["batch_size", "limit_w"]].to_numpy(dtype=np.float64))
    middle, ln = both[known].mean(axis=0), log_target(runs["energy_j"].to_numpy()[known])
    x = both - middle
    slope = np.linalg.solve(
        x[known].T @ x[known] + RIDGE * np.eye(2), x[known].T @ (ln - ln.mean())
    )
    return ln.mean() + x[test] @ slope


def _process(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    from exawatt.predict.gp import ExactGP

    design = runs[DESIGN]
    fitted = ExactGP().fit(design.iloc[known], runs["energy_j"].to_numpy()[known])
    return np.log(fitted.predict(design.iloc[test]))


def _residual(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    from exawatt.predict.gp import ExactGP

    process = ExactGP(mean=FrozenEstimator(pool.trees))
    fitted = process.fit(pool.rows.iloc[known], runs["energy_j"].to_numpy()[known])
    return np.log(fitted.predict(pool.rows.iloc[test]))


def _two_tasks(runs: pd.DataFrame, pool: Pool, known: np.ndarray, test: np.ndarray) -> Floats:
    from exawatt.predict.gp import TwoTaskGP

    design = runs[DESIGN]
    both = runs[["epoch_s", "energy_j"]].to_numpy(dtype=np.float64)
    fitted = TwoTaskGP().fit(design.iloc[known], both[known])
    return np.log(fitted.predict_distribution(design.iloc[test], task=1).median)


_GUESSES: dict[str, Callable[[pd.DataFrame, Pool, np.ndarray, np.ndarray], Floats]] = {
    POOLED: _pooled,
    MOVED: _moved,
    LINE: _line,
    PROCESS: _process,
    RESIDUAL: _residual,
    TWO_TASKS: _two_tasks,
}
