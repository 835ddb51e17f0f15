"""Prediction: what a job will take, from what is known when it is submitted."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exawatt.predict.baselines import LastRuntimes, Request
from exawatt.predict.boosting import BoostedQuantiles
from exawatt.predict.conformal import Conformal
from exawatt.predict.estimator import Predictor
from exawatt.predict.features import FEATURES, features
from exawatt.predict.median import BoostedMedian
from exawatt.predict.online import SJBF, Online, replay_online
from exawatt.predict.recalibration import Recalibrated
from exawatt.predict.scores import (
    Interval,
    bootstrap,
    losses,
    quartile,
    reliability,
    score,
    split,
)
from exawatt.predict.values import LEVELS, Prediction

if TYPE_CHECKING:
    from exawatt.predict.gp import ExactGP, TwoTaskGP
    from exawatt.predict.neighbours import NeighbourGP
    from exawatt.predict.svgp import VariationalGP

__all__ = [
    "FEATURES",
    "LEVELS",
    "SJBF",
    "BoostedMedian",
    "BoostedQuantiles",
    "Conformal",
    "ExactGP",
    "Interval",
    "LastRuntimes",
    "NeighbourGP",
    "Online",
    "Prediction",
    "Predictor",
    "Recalibrated",
    "Request",
    "TwoTaskGP",
    "VariationalGP",
    "bootstrap",
    "features",
    "losses",
    "quartile",
    "reliability",
    "replay_online",
    "score",
    "split",
]

#: Modules that import torch, which takes seconds: only when a process is asked for.
_PROCESSES = {
    "ExactGP": "gp",
    "TwoTaskGP": "gp",
    "NeighbourGP": "neighbours",
    "VariationalGP": "svgp",
}


def __getattr__(name: str) -> Any:
    """Import a Gaussian process when it is first asked for."""
    if name not in _PROCESSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_PROCESSES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "gpytorch"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs PyTorch and GPyTorch: pip install 'exawatt[gp]'.", name=error.name
        ) from error


def __dir__() -> list[str]:
    """Name the processes too."""
    return sorted({*globals(), *__all__})
