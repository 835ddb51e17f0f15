"""Variational Gaussian processes with inducing points, for more jobs than an exact one takes."""

from itertools import pairwise
from typing import Any, Self

import gpytorch
import numpy as np
import torch
from gpytorch.distributions import MultivariateNormal
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from exawatt.predict.estimator import Predictor
from exawatt.predict.gp_parts import Inputs, MeanFunction, as_named, best_device, seeded
from exawatt.predict.values import Prediction
from exawatt.stats import Floats

#: What to maximise: a bound of the evidence (SVGP), or the predictive likelihood (PPGPR).
OBJECTIVES = {
    "evidence": gpytorch.mlls.VariationalELBO,
    "predictive": gpytorch.mlls.PredictiveLogLikelihood,
}
#: Layers of the deep kernel; the last is what the kernel sees.
WIDTHS = (64, 32, 8)
BATCH = 1024


class _Process(gpytorch.models.ApproximateGP):
    """A constant and a Matérn 5/2 kernel, of the inputs or of what a network makes of them."""

    def __init__(self, inputs: torch.Tensor, n_inducing: int, deep: bool) -> None:
        network = _network(inputs.shape[1]) if deep else torch.nn.Identity()
        chosen = torch.randperm(len(inputs))[:n_inducing]
        with torch.no_grad():
            points = network(inputs[chosen]).clone()
        # Points that coincide make a covariance singular.
        points += 0.01 * torch.randn_like(points)
        posterior = gpytorch.variational.CholeskyVariationalDistribution(len(points))
        super().__init__(gpytorch.variational.VariationalStrategy(self, points, posterior))
        self.network = network
        self.mean_module = gpytorch.means.ConstantMean()
        matern = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=points.shape[1])
        matern.lengthscale = points.shape[1] ** 0.5
        self.covar_module = gpytorch.kernels.ScaleKernel(matern)

    def forward(self, inputs: torch.Tensor) -> Any:
        return MultivariateNormal(self.mean_module(inputs), self.covar_module(inputs))

    def __call__(self, inputs: torch.Tensor, **keywords: Any) -> Any:
        return super().__call__(self.network(inputs), **keywords)


class VariationalGP(Predictor):
    """Gaussian process on the logarithm, known through its values at a few inducing points.

    Parameters
    ----------
    mean : Predictor, optional
        What the process is added to, as for :class:`~exawatt.predict.gp.ExactGP`.
    objective : str
        ``"predictive"`` fits the predicted distributions to what came [1]_; ``"evidence"`` is the
        usual bound [2]_.
    deep : bool
        Whether the kernel sees the inputs through a small network, learnt with it [3]_.
    n_inducing : int
        Inducing points, at most; the cost of a step grows with their cube.
    n_folds : int
        Parts of the rows on which errors of `mean` are measured.
    n_epochs : int
        Passes over the rows.
    learning_rate : float
        Length of the steps of Adam.
    random_state : int, optional
        Seed.

    Notes
    -----
    Rows are learnt from in batches of 1,024, with 32 bits, on a GPU if there is one.

    References
    ----------
    .. [1] M. Jankowiak, G. Pleiss, J. Gardner, "Parametric Gaussian Process Regressors", ICML
       2020.
    .. [2] J. Hensman, A. Matthews, Z. Ghahramani, "Scalable Variational Gaussian Process
       Classification", AISTATS 2015.
    .. [3] A. Wilson, Z. Hu, R. Salakhutdinov, E. Xing, "Deep Kernel Learning", AISTATS 2016.
    """

    def __init__(
        self,
        mean: Predictor | None = None,
        objective: str = "predictive",
        deep: bool = False,
        n_inducing: int = 200,
        n_folds: int = 4,
        n_epochs: int = 15,
        learning_rate: float = 0.02,
        random_state: int | None = 0,
    ) -> None:
        """Keep the settings."""
        self.mean = mean
        self.objective = objective
        self.deep = deep
        self.n_inducing = n_inducing
        self.n_folds = n_folds
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit in minibatches; see :class:`Predictor`."""
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective(={self.objective!r}) must be one of {[*OBJECTIVES]}.")
        if self.n_inducing < 1:
            raise ValueError(f"n_inducing(={self.n_inducing}) must be 1 or more.")
        table, target = self._checked(X, y)
        self.mean_ = MeanFunction(self.mean, self.n_folds)
        which, residual = self.mean_.fit(as_named(X, table), target)
        self.inputs_ = Inputs().fit(table)
        inputs = self._tensor(table[which])
        with seeded(self.random_state):
            # Drawn on the CPU: a seed means the same on every machine.
            self.process_ = _Process(inputs.cpu(), self.n_inducing, self.deep).to(inputs)
            self.likelihood_ = gpytorch.likelihoods.GaussianLikelihood().to(inputs)
            self._train(inputs, torch.tensor(residual).to(inputs))
        return self

    def _train(self, inputs: torch.Tensor, target: torch.Tensor) -> None:
        objective = OBJECTIVES[self.objective](self.likelihood_, self.process_, len(target))
        parameters = [*self.process_.parameters(), *self.likelihood_.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=self.learning_rate)
        self.process_.train()
        for _ in range(self.n_epochs):
            for some in torch.randperm(len(target)).split(BATCH):
                optimiser.zero_grad()
                loss = -objective(self.process_(inputs[some]), target[some])
                loss.backward()
                optimiser.step()
        self.process_.eval()

    def predict_distribution(self, X: Any) -> Prediction:
        """Lognormal predictions."""
        check_is_fitted(self)
        table = self._checked_features(X)
        means, sds = [], []
        with torch.no_grad():
            for some in self._tensor(table).split(BATCH):
                expected = self.likelihood_(self.process_(some))
                means.append(expected.mean.double().cpu().numpy())
                sds.append(expected.stddev.double().cpu().numpy())
        return self.mean_.around(as_named(X, table), np.concatenate(means), np.concatenate(sds))

    def _tensor(self, table: Floats) -> torch.Tensor:
        return torch.tensor(self.inputs_(table), dtype=torch.float32, device=best_device())


def _network(n_columns: int) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for width, following in pairwise((n_columns, *WIDTHS)):
        layers += [torch.nn.Linear(width, following), torch.nn.Tanh()]
    # What the kernel sees has no bounds.
    return torch.nn.Sequential(*layers[:-1])
