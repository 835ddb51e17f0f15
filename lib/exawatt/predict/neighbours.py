"""A Gaussian process of what boosted trees got wrong of the same user's last jobs."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.estimator import Predictor, checked_columns, checked_runtimes, job_numbers
from exawatt.predict.features import features
from exawatt.predict.gp_parts import Inputs, best_device, out_of_time, seeded
from exawatt.predict.values import LEVELS, Prediction
from exawatt.replay import Schedule
from exawatt.replay.state import Integers
from exawatt.stats import Floats

#: Features by which jobs of a user are more or less alike.
ALIKE = ["procs_ln", "request_ln_s"]
#: Normal scores are kept within; more than that is a surprise whatever its size.
MAX_SCORE = 3.5
#: Jobs that are predicted at once, and learnt from in a step of Adam, and its length.
BATCH = 1024
STEP = 512
RATE = 0.05
#: Seconds over which likeness to earlier jobs fades at first: of all of a user's jobs, of those
#: alike over days, and over a session.
FADES_S = (7 * 86400.0, 86400.0, 3600.0)


class _Kernel(torch.nn.Module):
    r"""Covariance of normal scores of jobs of one user.

    .. math:: \sum_c s_c \left(1 + |t - t'| / \tau_c\right)^{-a_c} e^{-|(x - x') / l_c|} ,

    the first term without the last factor, and a noise that depends on the job: its logarithm is
    linear in :math:`x`. The power law is convex, so that it is a covariance (Pólya).
    """

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(()))
        self.noise_ln = torch.nn.Parameter(torch.tensor(math.log(0.5)))
        self.noise_slope = torch.nn.Parameter(torch.zeros(n_columns))
        self.weight_ln = torch.nn.Parameter(torch.full((len(FADES_S),), math.log(0.2)))
        self.fade_ln = torch.nn.Parameter(torch.tensor(FADES_S).log())
        self.power_ln = torch.nn.Parameter(torch.zeros(len(FADES_S)))
        self.length_ln = torch.nn.Parameter(torch.zeros(len(FADES_S) - 1, n_columns))

    def forward(self, time_s: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Covariance without noise; shape (..., k, k) from (..., k) and (..., k, n_columns)."""
        apart_s = (time_s[..., :, None] - time_s[..., None, :]).abs()[..., None]
        fading = (-self.power_ln.exp() * torch.log1p(apart_s / self.fade_ln.exp())).exp()
        off = (x[..., :, None, :] - x[..., None, :, :])[..., None, :] / self.length_ln.exp()
        # The root has no slope at 0; this much under it is no distance.
        like = torch.exp(-((off**2).sum(dim=-1) + 1e-12).sqrt())
        weights = self.weight_ln.exp() * fading
        return weights[..., 0] + (weights[..., 1:] * like).sum(dim=-1)

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        """Variance of each score by itself."""
        return (self.noise_ln + x @ self.noise_slope).clamp(-6.0, 3.0).exp()

    def conditional(
        self, time_s: torch.Tensor, x: torch.Tensor, score: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance of the first job's score, given those of the others that are there."""
        covariance, noise = self(time_s, x), self.noise(x)
        pairs = there[:, :, None] * there[:, None, :]
        own = torch.where(there > 0, noise[:, 1:], 1.0)
        root = torch.linalg.cholesky(covariance[:, 1:, 1:] * pairs + torch.diag_embed(own))
        across = covariance[:, 0, 1:] * there
        known = torch.stack([across, (score - self.mean) * there], dim=-1)
        left, right = torch.linalg.solve_triangular(root, known, upper=False).unbind(dim=-1)
        variance = covariance[:, 0, 0] + noise[:, 0] - (left**2).sum(dim=-1)
        return self.mean + (left * right).sum(dim=-1), variance


class NeighbourGP(Predictor):
    r"""Boosted quantiles, moved by how wrong they were of the user's jobs completed last.

    Parameters
    ----------
    schedule : Schedule
        The replay in which jobs complete. Rows of features must be labelled with the number of
        their job in it, as those of :func:`~exawatt.predict.features.features` are.
    mean : Predictor, optional
        What the process corrects; :class:`~exawatt.predict.boosting.BoostedQuantiles` if not
        given.
    n_neighbours : int
        Jobs of the user, completed last, on which each prediction is conditioned.
    n_folds : int
        Parts of the training rows that `mean` predicts from those before; the first of one more
        part is only learnt from.
    n_epochs : int
        Passes over the rows in training.
    random_state : int, optional
        Seed of the process.

    Notes
    -----
    With :math:`F` the distribution function that `mean` predicts, the process is one of normal
    scores :math:`z = \Phi^{-1}(F(y))`: the trees give the shape, the process how jobs of a user
    depend on each other. Given a conditional mean :math:`\mu` and deviation :math:`\sigma`, the
    quantile at level :math:`p` is :math:`F^{-1}(\Phi(\mu + \sigma w_p))`, where :math:`w_p` is the
    quantile of :math:`(z - \mu) / \sigma` on the later half of the training rows. Its parameters
    maximise the likelihood of each score given its neighbours (Vecchia's approximation [1]_).

    Known at a submission, in the test period as in training, are the runtimes of jobs completed
    by then; no parameter is learnt from rows that were not given.

    References
    ----------
    .. [1] A. Datta, S. Banerjee, A. Finley, A. Gelfand, "Hierarchical Nearest-Neighbor Gaussian
       Process Models for Large Geostatistical Datasets", Journal of the American Statistical
       Association 111(514), 2016.
    """

    def __init__(
        self,
        schedule: Schedule,
        mean: Predictor | None = None,
        n_neighbours: int = 16,
        n_folds: int = 4,
        n_epochs: int = 3,
        random_state: int | None = 0,
    ) -> None:
        """Keep the settings."""
        self.schedule = schedule
        self.mean = mean
        self.n_neighbours = n_neighbours
        self.n_folds = n_folds
        self.n_epochs = n_epochs
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to jobs of the schedule.

        Parameters
        ----------
        X : DataFrame
            Rows of the features of the schedule, in order of submission.
        y : array_like, shape (n,)
            Their runtimes in the schedule [s].
        """
        if self.n_neighbours < 1:
            raise ValueError(f"n_neighbours(={self.n_neighbours}) must be 1 or more.")
        checked_columns(X, ALIKE)
        jobs = job_numbers(self.schedule, X)
        target = checked_runtimes(self.schedule, jobs, y)
        base = BoostedQuantiles() if self.mean is None else self.mean
        which, expected = out_of_time(base, X, target, self.n_folds)
        self.mean_ = clone(base).fit(X, target)
        likeness = _likeness(X.iloc[which], expected)
        self.inputs_ = Inputs().fit(likeness)
        inputs, scores = self.inputs_(likeness), normal_scores(expected, target[which])
        self._keep(jobs, jobs[which], inputs, scores)
        near = last_completed(self.schedule, self.known_, self.n_neighbours)[jobs[which]]
        given = _Given(jobs[which], near, inputs, self.table_, self.scores_, self.schedule.submit_s)
        self._train(given, scores)
        mean, sd = self._conditional(given)
        late = slice(len(scores) // 2, None)
        self.spread_ = np.quantile(((scores - mean) / sd)[late], LEVELS)
        return self

    def _keep(self, jobs: Integers, learnt: Integers, inputs: Floats, scores: Floats) -> None:
        """Keep what is known of training rows, by job, for they will be neighbours."""
        n = len(self.schedule.workload)
        self.known_, self.unseen_ = np.zeros(n, bool), np.ones(n, bool)
        self.known_[learnt] = True
        # Neither known nor unseen: jobs that were learnt from without being predicted.
        self.unseen_[jobs] = False
        self.scores_, self.table_ = np.zeros(n), np.zeros((n, inputs.shape[1]))
        self.scores_[learnt], self.table_[learnt] = scores, inputs

    def predict_distribution(self, X: Any) -> Prediction:
        """Quantiles of each row, given what was completed when it was submitted."""
        check_is_fitted(self)
        jobs = job_numbers(self.schedule, X)
        near = last_completed(self.schedule, self.known_ | self.unseen_, self.n_neighbours)[jobs]
        expected = self.mean_.predict_distribution(X)
        inputs = self.inputs_(_likeness(X, expected))
        table, scores = self._scored(near)
        given = _Given(jobs, near, inputs, table, scores, self.schedule.submit_s)
        mean, sd = self._conditional(given)
        return warped(expected, mean[:, None] + sd[:, None] * self.spread_)

    def _scored(self, near: Integers) -> tuple[Floats, Floats]:
        """Inputs and scores by job, those of neighbours that were not learnt from among them."""
        table, scores = self.table_.copy(), self.scores_.copy()
        named = np.unique(near[near >= 0])
        later = named[self.unseen_[named]]
        if later.size:
            rows = features(self.schedule).iloc[later]
            expected = self.mean_.predict_distribution(rows)
            table[later] = self.inputs_(_likeness(rows, expected))
            scores[later] = normal_scores(expected, self.schedule.runtime_s[later])
        return table, scores

    def _train(self, given: "_Given", scores: Floats) -> None:
        device, n = best_device(), len(scores)
        self.kernel_ = _Kernel(given.inputs.shape[1]).to(device)
        own = torch.tensor(scores, dtype=torch.float32, device=device)
        n_steps = self.n_epochs * math.ceil(n / STEP)
        optimiser = torch.optim.Adam(self.kernel_.parameters(), lr=RATE)
        pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(n_steps, 2))
        with seeded(self.random_state):
            for _ in range(self.n_epochs):
                for some in torch.randperm(n).split(STEP):
                    mean, variance = self.kernel_.conditional(*given.tensors(some.numpy()))
                    loss = ((own[some] - mean) ** 2 / variance + variance.log()).mean() / 2
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    pace.step()

    def _conditional(self, given: "_Given") -> tuple[Floats, Floats]:
        """Mean and standard deviation of each job's score, given its neighbours'."""
        n = len(given.jobs)
        mean, variance = np.empty(n), np.empty(n)
        with torch.no_grad():
            for first in range(0, n, BATCH):
                some = slice(first, first + BATCH)
                found = self.kernel_.conditional(*given.tensors(some))
                mean[some], variance[some] = (each.cpu().numpy() for each in found)
        return mean, np.sqrt(variance)


class _Given(NamedTuple):
    """Jobs to predict, shape (n,), their neighbours and inputs, and what is known of all jobs."""

    jobs: Integers
    near: Integers
    inputs: Floats
    table: Floats
    scores: Floats
    submit_s: Floats

    def tensors(self, some: slice | Integers) -> tuple[torch.Tensor, ...]:
        """Arguments of the kernel's conditional, for some of the jobs."""
        jobs, near, own = self.jobs[some], self.near[some], self.inputs[some]
        # From the job's own time, for single precision holds no trace's seconds.
        ago_s = self.submit_s[np.column_stack([jobs, near])] - self.submit_s[jobs, None]
        inputs = np.concatenate([own[:, None], self.table[near]], axis=1)
        # Where there is no neighbour the last job stands in, and `there` leaves it out.
        arrays = (ago_s, inputs, self.scores[near], near >= 0)
        device = best_device()
        return tuple(torch.tensor(each, dtype=torch.float32, device=device) for each in arrays)


def last_completed(schedule: Schedule, known: np.ndarray, k: int) -> Integers:
    """Number of the jobs that each job's user had completed last when it was submitted.

    Parameters
    ----------
    schedule : Schedule
    known : ndarray of bool, shape (n_jobs,)
        Jobs that may be named.
    k : int
        How many to name.

    Returns
    -------
    ndarray of int64, shape (n_jobs, k)
        The newest first; -1 where there is none, as for all jobs without a user.
    """
    user = schedule.workload.jobs["user"].to_numpy()
    submit, start = schedule.submit_s, schedule.start_s
    # A job starts before it ends, so none was completed when it was submitted itself.
    end = np.maximum(schedule.end_s, np.nextafter(start, np.inf))
    named = np.flatnonzero(known & (user >= 0))
    by_end = named[np.lexsort((end[named], user[named]))]
    n, m = len(submit), len(by_end)
    # Completions at a submission come before it.
    order = np.lexsort(
        (np.repeat([1, 0], [n, m]), np.r_[submit, end[by_end]], np.r_[user, user[by_end]])
    )
    before = np.empty(n + m, np.int64)
    before[order] = np.cumsum(order >= n)
    at = before[:n, None] - 1 - np.arange(k)
    first = np.searchsorted(user[by_end], user)
    inside = (at >= first[:, None]) & (user >= 0)[:, None]
    return np.where(inside, np.append(by_end, -1)[np.where(inside, at, m)], -1)


def normal_scores(prediction: Prediction, actual: ArrayLike) -> Floats:
    """Standard normal quantile of the level at which what came lay, within 3.5.

    The middle of the levels of the whole unit in which it was logged, for several quantiles may
    be one value.
    """
    # The same seen from above keeps its digits where the probability is nearly one.
    ends = [prediction._below_and_above(end) for end in prediction._unit(actual)]
    below, above = (np.mean(side, axis=0) for side in zip(*ends, strict=True))
    scores = np.where(below < 0.5, ndtri(below), -ndtri(above))
    return np.clip(scores, -MAX_SCORE, MAX_SCORE)


def warped(prediction: Prediction, scores: Floats) -> Prediction:
    """Prediction whose quantiles lie where another has those of given normal scores.

    Parameters
    ----------
    prediction : Prediction
    scores : ndarray, shape (n, len(LEVELS))
        For each level, the standard normal quantile of the level to take instead.
    """
    edge = MAX_SCORE + 1.0
    levels = ndtr(np.clip(scores, -edge, edge))
    return Prediction(LEVELS, prediction.ln_quantile(levels))


def _likeness(table: Any, expected: Prediction) -> Floats:
    """By what jobs are alike: size and request, and what is thought of them, and how surely."""
    width = expected.ln_quantile(0.95) - expected.ln_quantile(0.05)
    own = checked_columns(table, ALIKE)
    return np.column_stack([own, expected.ln_quantile(0.5), np.log(width + 0.05)])
