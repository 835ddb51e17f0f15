"""Exact Gaussian processes, for few jobs: one quantity, or two that learn from each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import gpytorch
import numpy as np
import torch
from gpytorch.distributions import MultivariateNormal
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted, validate_data

from exawatt.predict.estimator import Predictor, refuse_target
from exawatt.predict.gp_parts import Inputs, MeanFunction, as_named, best_device, seeded
from exawatt.predict.values import Prediction
from exawatt.stats import Floats

#: Targets beyond which an exact process takes too long: its cost grows with their cube.
MAX_TARGETS = 2000
#: Rows that are predicted at once: a process forms the covariance of what it predicts together.
BATCH = 1024
N_TASKS = 2


class _Process(gpytorch.models.ExactGP):
    """A constant and a Matérn 5/2 kernel; with two tasks, the last input says which."""

    def __init__(
        self, inputs: torch.Tensor, target: torch.Tensor, likelihood: Any, n_tasks: int
    ) -> None:
        super().__init__(inputs, target, likelihood)
        self.n_columns = inputs.shape[1] - (n_tasks > 1)
        self.mean_module = gpytorch.means.ConstantMean()
        # A priori a kernel over many columns must not call all jobs unlike.
        self.matern = gpytorch.kernels.MaternKernel(
            nu=2.5,
            ard_num_dims=self.n_columns,
            lengthscale_prior=gpytorch.priors.LogNormalPrior(1 + np.log(self.n_columns) / 2, 1.0),
        )
        self.matern.lengthscale = np.e * self.n_columns**0.5
        self.covar_module = gpytorch.kernels.ScaleKernel(self.matern)
        self.tasks = gpytorch.kernels.IndexKernel(n_tasks, rank=1) if n_tasks > 1 else None

    def forward(self, inputs: torch.Tensor) -> Any:
        features = inputs[:, : self.n_columns]
        covariance = self.covar_module(features)
        if self.tasks is not None:
            covariance = covariance.mul(self.tasks(inputs[:, -1:].long()))
        return MultivariateNormal(self.mean_module(features), covariance)


class _Exact(Predictor):
    """What one and two tasks have in common: training and batches."""

    n_steps: int
    learning_rate: float
    random_state: int | None

    def _train(self, inputs: torch.Tensor, target: torch.Tensor, n_tasks: int) -> None:
        if len(target) > MAX_TARGETS:
            raise ValueError(
                f"{len(target)} targets are too many for an exact Gaussian process, which takes "
                f"{MAX_TARGETS}; pass fewer rows, or use VariationalGP."
            )
        self.likelihood_ = (
            gpytorch.likelihoods.HadamardGaussianLikelihood(n_tasks, task_feature_index=-1)
            if n_tasks > 1
            else gpytorch.likelihoods.GaussianLikelihood()
        )
        with seeded(self.random_state):
            process = _Process(inputs, target, self.likelihood_, n_tasks)
        self.process_ = process.to(target)
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(self.likelihood_, self.process_)
        optimiser = torch.optim.Adam(self.process_.parameters(), lr=self.learning_rate)
        self.process_.train()
        with exactly():
            for _ in range(self.n_steps):
                optimiser.zero_grad()
                loss = -evidence(self.process_(inputs), target, [inputs])
                loss.backward()
                optimiser.step()
        self.process_.eval()

    def _moments(self, inputs: torch.Tensor) -> tuple[Floats, Floats]:
        """Mean and standard deviation of scaled residuals to come, noise included."""
        means, sds = [], []
        with torch.no_grad(), exactly():
            for some in inputs.split(BATCH):
                expected = self.likelihood_(self.process_(some), [some])
                means.append(expected.mean.cpu().numpy())
                sds.append(expected.stddev.cpu().numpy())
        return np.concatenate(means), np.concatenate(sds)


@contextmanager
def exactly() -> Iterator[None]:
    """Factorise within: no conjugate gradients, which draw random numbers; and accept any input.

    Otherwise a prediction of the training rows brings a warning.
    """
    with gpytorch.settings.max_cholesky_size(MAX_TARGETS + BATCH), gpytorch.settings.debug(False):
        yield


class ExactGP(_Exact):
    """Gaussian process on the logarithm, with a length for each feature [1]_.

    Parameters
    ----------
    mean : Predictor, optional
        What the process is added to: its ``mean_ln``. It is fitted here, and the process learns
        the errors that it makes on later rows; one fitted to other jobs goes in as scikit-learn's
        ``FrozenEstimator``. A constant if not given.
    n_folds : int
        Parts of the rows on which errors of `mean` are measured.
    n_steps : int
        Steps of Adam.
    learning_rate : float
        Their length.
    random_state : int, optional
        Seed.

    Notes
    -----
    For up to 2,000 rows: the cost of a step grows with their cube. The kernel is a Matérn 5/2;
    unknown features count as their mean, and are flagged. Computed with 64 bits, on a GPU if
    there is one.

    References
    ----------
    .. [1] C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006.
    """

    def __init__(
        self,
        mean: Predictor | None = None,
        n_folds: int = 4,
        n_steps: int = 60,
        learning_rate: float = 0.1,
        random_state: int | None = 0,
    ) -> None:
        """Keep the settings."""
        self.mean = mean
        self.n_folds = n_folds
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to at most 2,000 rows; see :class:`Predictor`."""
        table, target = self._checked(X, y)
        self.mean_ = MeanFunction(self.mean, self.n_folds)
        which, residual = self.mean_.fit(as_named(X, table), target)
        self.inputs_ = Inputs().fit(table)
        double = torch.tensor(residual, dtype=torch.float64, device=best_device())
        self._train(self._tensor(table[which]), double, 1)
        return self

    def predict_distribution(self, X: Any) -> Prediction:
        """Lognormal predictions."""
        check_is_fitted(self)
        table = self._checked_features(X)
        return self.mean_.around(as_named(X, table), *self._moments(self._tensor(table)))

    def _tensor(self, table: Floats) -> torch.Tensor:
        return torch.tensor(self.inputs_(table), dtype=torch.float64, device=best_device())


class TwoTaskGP(_Exact):
    """Exact Gaussian process of two quantities of the same jobs, such as runtime and energy.

    Their covariance is that of the jobs times that of the tasks [1]_, each with a noise of its
    own: where one quantity was not measured, it is learnt from the other.

    Parameters
    ----------
    n_steps, learning_rate, random_state
        As for :class:`ExactGP`.

    Notes
    -----
    Up to 2,000 targets: 1,000 rows with both.

    References
    ----------
    .. [1] E. Bonilla, K. Chai, C. Williams, "Multi-task Gaussian Process Prediction", NIPS 2007.
    """

    def __init__(
        self, n_steps: int = 60, learning_rate: float = 0.1, random_state: int | None = 0
    ) -> None:
        """Keep the settings."""
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn both quantities.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, n_features)
            Features.
        y : array_like, shape (n, 2)
            What came of each quantity; NaN where it was not measured.
        """
        given = np.asarray(y, dtype=np.float64)
        table = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        if given.shape != (len(table), N_TASKS):
            raise ValueError(f"y needs shape ({len(table)}, {N_TASKS}), not {given.shape}.")
        if np.isinf(given).any():
            raise ValueError("y contains infinity; pass NaN for what was not measured.")
        self.inputs_ = Inputs().fit(table)
        self.means_, rows, residuals = [], [], []
        for task, some in enumerate(given.T):
            measured = np.flatnonzero(~np.isnan(some))
            if not measured.size:
                raise ValueError(f"y[:, {task}] holds no measurement; use ExactGP for the other.")
            refuse_target(some[measured])
            self.means_.append(MeanFunction(None, 1))
            residuals.append(self.means_[-1].fit(table[measured], some[measured])[1])
            rows.append(measured)
        both = torch.cat([self._tensor(table[some], task) for task, some in enumerate(rows)])
        self._train(both, torch.tensor(np.concatenate(residuals)).to(both), N_TASKS)
        return self

    def predict(self, X: Any) -> Floats:
        """Medians of both quantities, shape (n, 2)."""
        medians = [self.predict_distribution(X, task).median for task in range(N_TASKS)]
        return np.column_stack(medians)

    def predict_distribution(self, X: Any, task: int = 0) -> Prediction:
        """Lognormal predictions of one quantity: the first (0) or the second (1)."""
        check_is_fitted(self)
        if task not in range(N_TASKS):
            raise ValueError(f"task(={task!r}) must be 0 or 1.")
        table = self._checked_features(X)
        return self.means_[task].around(table, *self._moments(self._tensor(table, task)))

    def _tensor(self, table: Floats, task: int) -> torch.Tensor:
        """Inputs, and the number of the task as the last."""
        inputs = np.column_stack([self.inputs_(table), np.full(len(table), float(task))])
        return torch.tensor(inputs, dtype=torch.float64, device=best_device())
