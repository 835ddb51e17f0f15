"""Parts of a policy that have parameters of their own."""

import reprlib
from dataclasses import dataclass
from itertools import chain, pairwise
from numbers import Real
from typing import Any, Literal, get_args

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

HoldRule = Literal["window", "carbon-time", "slot", "threshold", "quantile"]
HoldDeadline = Literal["next-workday", "semi-weekly"]
HOLD_RULES: tuple[HoldRule, ...] = get_args(HoldRule)
#: Part of the intensity that a hold must save if nothing else is said [-].
MIN_SAVING = 0.05


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
    """Hold jobs back for cleaner power, by one of the simple rules of the literature.

    :doc:`/docs/replay_semantics` says what each does, exactly.

    Parameters
    ----------
    budget_s : float
        Seconds that a job may be held in all [s].
    min_saving : float
        Part of the intensity that waiting must save, by the forecast [-]; not of the rules
        ``threshold`` and ``quantile``.
    rule : {"window", "carbon-time", "slot", "threshold", "quantile"}
        What a job waits for: a start with a lower mean over its run [1]_; the start that saves
        most carbon per time to completion [2]_; a half-hour lower than the present one [2]_; a
        half-hour at or below the threshold; one that is not above the quantile of those that it
        could wait for.
    threshold_gco2_per_kwh : float, optional
        Threshold of that rule [gCO2/kWh].
    quantile : float, optional
        Level of that rule [-].
    level : float, optional
        Later half-hours count with this quantile of the forecast instead of its value, such as
        0.75 for cleaner power that is likely [-]; not of the rule ``threshold``, which looks at
        the present alone.
    deadline : {"next-workday", "semi-weekly"}, optional
        No hold may keep a job from ending by then [1]_.

    References
    ----------
    .. [1] P. Wiesner et al., "Let's Wait Awhile: How Temporal Workload Shifting Can Reduce Carbon
       Emissions in the Cloud", Middleware 2021.
    .. [2] W. A. Hanafy et al., "Going Green for Less Green: Optimizing the Cost of Reducing Cloud
       Carbon Emissions", ASPLOS 2024.
    """

    budget_s: float
    min_saving: float = MIN_SAVING
    rule: HoldRule = "window"
    threshold_gco2_per_kwh: float | None = None
    quantile: float | None = None
    level: float | None = None
    deadline: HoldDeadline | None = None

    def __post_init__(self) -> None:
        """Refuse what is no budget, and numbers that the rule does not use or lacks."""
        good = 0 <= as_number(self.budget_s) < np.inf
        _refuse_unless(good, "budget_s", self.budget_s, "a finite number, 0 or more")
        good = 0 <= as_number(self.min_saving) < 1
        _refuse_unless(good, "min_saving", self.min_saving, "a number in [0, 1)")
        good = self.rule in HOLD_RULES
        _refuse_unless(good, "rule", self.rule, f"one of {', '.join(HOLD_RULES)}")
        deadlines = get_args(HoldDeadline)
        good = self.deadline is None or self.deadline in deadlines
        _refuse_unless(good, "deadline", self.deadline, f"{' or '.join(deadlines)}, or None")
        good = 0 <= as_number(self.threshold_gco2_per_kwh) < np.inf
        self._refuse_number("threshold_gco2_per_kwh", "threshold", good, "0 g/kWh or more")
        good = 0 < as_number(self.quantile) < 1
        self._refuse_number("quantile", "quantile", good, "between 0 and 1")
        good = self.level is None or 0 < as_number(self.level) < 1
        _refuse_unless(good, "level", self.level, "between 0 and 1, or None")
        if self.rule == "threshold" and self.level is not None:
            raise ValueError(
                f"level(={self.level!r}) is of forecasts, and rule='threshold' looks at the "
                "present alone; leave it out."
            )
        if self.rule in ("threshold", "quantile") and self.min_saving != MIN_SAVING:
            raise ValueError(
                f"min_saving(={self.min_saving!r}) is not of rule={self.rule!r}; leave it out."
            )

    def _refuse_number(self, name: str, rule: str, good: bool, need: str) -> None:
        """Refuse a rule without its number, and the number without its rule."""
        value = getattr(self, name)
        if self.rule == rule:
            _refuse_unless(good, name, value, f"a number, {need}, for rule={rule!r}")
        elif value is not None:
            raise ValueError(f"{name}(={value!r}) is of rule={rule!r}, not of {self.rule!r}.")

    @property
    def name(self) -> str:
        """Short name, for tables."""
        words: list[str] = [] if self.rule == "window" else [self.rule]
        if self.threshold_gco2_per_kwh is not None:
            words.append(f"{self.threshold_gco2_per_kwh:g} g")
        if self.quantile is not None:
            words.append(f"{self.quantile:g}")
        words.append(f"hold {self.budget_s / 3600:g} h")
        words += [] if self.level is None else [f"at level {self.level:g}"]
        words += [] if self.deadline is None else [f"until {self.deadline}"]
        return " ".join(words)
