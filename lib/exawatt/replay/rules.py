"""Parts of a policy that have parameters of their own."""

import reprlib
from dataclasses import dataclass
from itertools import chain, pairwise
from numbers import Real
from typing import Any

import numpy as np

from exawatt.stats import Floats

#: Inputs of a :class:`Scorer`, in order.
FEATURES = (
    "log10(1 + r) / 6",
    "log10(n) / log10(1 + P)",
    "log10(1 + w / r) / 3",
    "fits free processors and GPUs",
    "free part of the processors",
    "log10(1 + q) / 4",
    "part of the GPUs",
    "part of the cap's watts that is left",
)


def as_number(value: object) -> float:
    """Value as a float; NaN, which every comparison refuses, where it is no number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _refuse_unless(good: bool, name: str, value: object, need: str) -> None:
    if not good:
        raise ValueError(f"{name}(={value!r}) must be {need}.")


@dataclass(frozen=True)
class Multifactor:
    """Priority as a weighted sum of age, size and fair share, like Slurm's plugin [1]_.

    Parameters
    ----------
    age, size, share : float
        Weights of the wait, of the processors asked for, and of the user's fair share [-].
    max_age_s : float
        Wait from which the age factor is 1 [s].
    half_life_s : float
        Time in which past usage loses half its weight [s].

    References
    ----------
    .. [1] SchedMD, "Multifactor Priority Plugin", Slurm documentation.
    """

    age: float = 1000.0
    size: float = 1000.0
    share: float = 1000.0
    max_age_s: float = 7 * 86400.0
    half_life_s: float = 7 * 86400.0

    def __post_init__(self) -> None:
        """Refuse what is no weight or time."""
        for name in ("age", "size", "share"):
            value = getattr(self, name)
            _refuse_unless(bool(np.isfinite(as_number(value))), name, value, "a finite number")
        for name in ("max_age_s", "half_life_s"):
            value = getattr(self, name)
            good = 0 < as_number(value) < np.inf
            _refuse_unless(good, name, value, "a number, positive and finite")


@dataclass(frozen=True)
class Scorer:
    """Priority by a small neural network over the :data:`FEATURES` of a job; smallest first.

    Parameters
    ----------
    layers : tuple of (weights, biases)
        For each layer its weights, one row an output, and its biases; NaN is refused. Between
        layers stands a
        rectifier, as in RLScheduler's kernel network [1]_; the last has one output. A single
        layer is a linear scorer.
    name : str
        What to call it in tables.

    References
    ----------
    .. [1] D. Zhang et al., "RLScheduler: An Automated HPC Batch Job Scheduler Using
       Reinforcement Learning", SC'20.
    """

    layers: tuple[tuple[tuple[tuple[float, ...], ...], tuple[float, ...]], ...]
    name: str = "scorer"

    def __post_init__(self) -> None:
        """Check that the layers are of numbers and fit together."""
        _refuse_unless(isinstance(self.name, str), "name", self.name, "a text")
        frozen = _layers(self.layers)
        object.__setattr__(self, "layers", frozen)
        inputs = len(FEATURES)
        for number, (rows, biases) in enumerate(frozen):
            if not rows or len(rows) != len(biases) or any(len(row) != inputs for row in rows):
                shape = (len(rows), sorted({len(row) for row in rows}))
                raise ValueError(
                    f"layer {number} has weights of shape {shape} and {len(biases)} biases; it "
                    f"needs as many rows as biases, each of {inputs} weights."
                )
            inputs = len(rows)
        if inputs != 1:
            raise ValueError(f"the last layer has {inputs} outputs; a score is one.")

    @classmethod
    def linear(cls, weights: tuple[float, ...], name: str = "linear") -> "Scorer":
        """Scorer that is a weighted sum of the features."""
        return cls((((tuple(weights),), (0.0,)),), name=name)

    def flat(self) -> tuple[np.ndarray, Floats]:
        """Sizes, inputs first, and weights (input by input) and biases of layer after layer."""
        sizes = [len(FEATURES)] + [len(biases) for _, biases in self.layers]
        numbers = [np.append(np.transpose(rows).ravel(), biases) for rows, biases in self.layers]
        return np.array(sizes, np.int64), np.concatenate(numbers)


def _layers(layers: Any) -> tuple[Any, ...]:
    """Layers as tuples of numbers; an infinite weight is a number, NaN is none."""
    try:
        parts = [([tuple(row) for row in rows], tuple(biases)) for rows, biases in layers]
    except (TypeError, ValueError):
        need = "pairs of weights, one row an output, and of biases"
        raise ValueError(f"layers(={reprlib.repr(layers)}) must be {need}.") from None
    for number, (rows, biases) in enumerate(parts):
        for value in chain(*rows, biases):
            good = not np.isnan(as_number(value))
            _refuse_unless(good, f"layer {number}: weight or bias", value, "a number, not NaN")
    return tuple(
        (tuple(tuple(map(float, row)) for row in rows), tuple(map(float, biases)))
        for rows, biases in parts
    )


@dataclass(frozen=True)
class Dvfs:
    """Frequencies at which a job may run, and what they cost.

    Parameters
    ----------
    levels : tuple of float
        Fractions of full frequency, descending; a job starts at the highest that fits [-].
    beta : float
        How much of a runtime scales with frequency: ``r(f) = r (1 + beta (1 / f - 1))`` [1]_;
        0.5 is what power-constrained scheduling has assumed of an average code [2]_.
    exponent : float
        A job adds ``f ** exponent`` of its watts; 3 where voltage follows frequency.

    References
    ----------
    .. [1] C.-H. Hsu, U. Kremer, "The Design, Implementation, and Evaluation of a Compiler
       Algorithm for CPU Energy Reduction", PLDI 2003.
    .. [2] M. Etinski et al., "Parallel job scheduling for power constrained HPC systems",
       Parallel Computing 38(12), 2012.
    """

    levels: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    beta: float = 0.5
    exponent: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what is no list of frequencies."""
        given: Any = self.levels
        levels = tuple(as_number(level) for level in given) if np.iterable(given) else ()
        falls = all(a > b for a, b in pairwise(levels))
        inside = all(0 < level <= 1 for level in levels)
        need = "descending fractions of full frequency in (0, 1], such as (1.0, 0.8)"
        _refuse_unless(bool(levels) and falls and inside, "levels", given, need)
        object.__setattr__(self, "levels", levels)
        _refuse_unless(0 <= as_number(self.beta) <= 1, "beta", self.beta, "between 0 and 1")
        good = 0 <= as_number(self.exponent) < np.inf
        _refuse_unless(good, "exponent", self.exponent, "a finite number, 0 or more")

    @property
    def stretch(self) -> Floats:
        """How many times as long a job takes at each level [-]."""
        return 1.0 + self.beta * (1.0 / np.array(self.levels) - 1.0)

    @property
    def power_factor(self) -> Floats:
        """Part of its watts that a job adds at each level [-]."""
        return np.array([level**self.exponent for level in self.levels])


@dataclass(frozen=True)
class CarbonHold:
    """Hold a job back while a later half-hour promises cleaner power for its whole run.

    Parameters
    ----------
    budget_s : float
        Seconds that a job may be held in all [s].
    min_saving : float
        Part of the intensity over its run that waiting must save, by the forecast [-].
    """

    budget_s: float
    min_saving: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what is no budget."""
        good = 0 <= as_number(self.budget_s) < np.inf
        _refuse_unless(good, "budget_s", self.budget_s, "a finite number, 0 or more")
        good = 0 <= as_number(self.min_saving) < 1
        _refuse_unless(good, "min_saving", self.min_saving, "a number in [0, 1)")
