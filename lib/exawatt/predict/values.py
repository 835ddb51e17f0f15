"""Prediction: what a positive quantity, such as a runtime, will be, as a distribution."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from exawatt.stats import Floats

#: Levels at which a distribution with a formula is kept; all usual central intervals are there.
LEVELS: Floats = np.sort([*np.arange(1, 40) / 40, 0.001, 0.005, 0.01, 0.99, 0.995, 0.999])
#: Values are logged in whole units.
HALF_UNIT = 0.5
#: Least scale of a tail [ln]: nobody is so sure that what lies a tenth beyond is out of question.
MIN_SCALE = 0.1


def log_target(values: ArrayLike) -> Floats:
    """Natural logarithm of quantities, of which those below one unit count as one."""
    return np.log(np.maximum(np.asarray(values, dtype=np.float64), 1.0))


@dataclass(frozen=True, eq=False)
class Prediction:
    r"""Distributions of positive quantities, by quantiles of their natural logarithm.

    Parameters
    ----------
    levels : array_like, shape (n_levels,)
        Strictly ascending, between 0 and 1; two or more [-].
    ln_quantiles : array_like, shape (n, n_levels)
        Quantile of the logarithm at each level. Quantiles that cross are put in order [1]_.

    Raises
    ------
    ValueError
        The shapes do not fit, a level is out of order, or a quantile is not finite.

    Notes
    -----
    Quantities are those of jobs, in units so small that they are logged in whole ones and are at
    least 1: runtimes in seconds, energies in joules. The distribution function of the logarithm
    is linear between two quantiles. Beyond the outermost it is exponential, with the density of
    the interval beside it at the quantile: below the first, with level :math:`p_1`,

    .. math:: F(z) = p_1 e^{(z - q_1)/s}, \qquad s = p_1 \frac{q_2 - q_1}{p_2 - p_1} ,

    but :math:`s` at least 0.1, and likewise above the last. Scores are exact for it.

    References
    ----------
    .. [1] V. Chernozhukov, I. Fernández-Val, A. Galichon, "Quantile and Probability Curves
       Without Crossing", Econometrica 78(3), 2010.
    """

    levels: Floats
    ln_quantiles: Floats

    def __post_init__(self) -> None:
        """Check shapes and values; put quantiles in order."""
        levels = np.asarray(self.levels, dtype=np.float64)
        quantiles = np.asarray(self.ln_quantiles, dtype=np.float64)
        inside = levels.ndim == 1 and levels.size > 1 and levels[0] > 0 and levels[-1] < 1
        if not inside or not (np.diff(levels) > 0).all():
            raise ValueError(
                f"levels(={levels.tolist()}) must be two or more between 0 and 1, ascending."
            )
        if quantiles.ndim != 2 or quantiles.shape[1] != levels.size:
            raise ValueError(
                f"ln_quantiles needs shape (n, {levels.size}), a column a level, not "
                f"{quantiles.shape}."
            )
        bad = ~np.isfinite(quantiles)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"ln_quantiles[{row}, {column}](={quantiles[row, column]}) must be finite."
            )
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "ln_quantiles", np.sort(quantiles, axis=1))

    @classmethod
    def normal(cls, mean_ln: ArrayLike, sd_ln: ArrayLike) -> Self:
        """Lognormal quantities.

        Parameters
        ----------
        mean_ln, sd_ln : array_like, shape (n,)
            Mean and standard deviation of the logarithm.
        """
        from scipy.special import ndtri  # slow to import, and quantiles do without

        mean, sd = np.atleast_1d(mean_ln), np.atleast_1d(sd_ln)
        return cls(LEVELS, mean[:, None] + sd[:, None] * ndtri(LEVELS))

    @classmethod
    def around(cls, point_ln: Floats, levels: ArrayLike, errors_ln: Floats) -> Self:
        """Guesses with errors known by their quantiles.

        Parameters
        ----------
        point_ln : ndarray, shape (n,)
            Logarithm of each guess.
        levels : array_like, shape (n_levels,)
        errors_ln : ndarray, shape (n_levels,) or (n, n_levels)
            Quantiles of the logarithm of value over guess.
        """
        return cls(np.asarray(levels), point_ln[:, None] + errors_ln)

    def __len__(self) -> int:
        """Number of quantities."""
        return int(self.ln_quantiles.shape[0])

    def __getitem__(self, rows: slice | np.ndarray) -> "Prediction":
        """Prediction of some of the quantities."""
        return Prediction(self.levels, self.ln_quantiles[rows])

    def __repr__(self) -> str:
        """Return the prediction in one line."""
        return f"Prediction({len(self):,} quantities at {self.levels.size} levels)"

    def ln_quantile(self, level: ArrayLike) -> Floats:
        """Logarithm of the value that the quantity stays below with a probability.

        Parameters
        ----------
        level : float, or array_like of shape (n, k)
            One for all quantities, or for each quantity its own.

        Returns
        -------
        ndarray, shape (n,) or (n, k)
        """
        wanted = np.asarray(level, dtype=np.float64)
        bad = ~((wanted > 0) & (wanted < 1))
        if bad.any():
            raise ValueError(f"level(={wanted[bad][0]:g}) must lie between 0 and 1.")
        if wanted.ndim and (wanted.ndim != 2 or len(wanted) != len(self)):
            raise ValueError(f"level needs shape ({len(self)}, k) or none, not {wanted.shape}.")
        each = wanted if wanted.ndim else np.full((len(self), 1), wanted)
        levels, quantiles = self.levels, self.ln_quantiles
        low, high = self._tails()
        at = np.clip(np.searchsorted(levels, each, side="right"), 1, levels.size - 1)
        left, right = (np.take_along_axis(quantiles, end, axis=1) for end in (at - 1, at))
        part = np.clip((each - levels[at - 1]) / (levels[at] - levels[at - 1]), 0.0, 1.0)
        # Beyond the outermost quantiles a logarithm takes over: it is 0 on this side of them.
        under = np.log(np.minimum(each / levels[0], 1.0))
        over = np.log(np.minimum((1 - each) / (1 - levels[-1]), 1.0))
        found = (1 - part) * left + part * right + low[:, None] * under - high[:, None] * over
        return found if wanted.ndim else found[:, 0]

    def quantile(self, level: float) -> Floats:
        """Value that the quantity stays below with a probability, in its own unit."""
        return np.exp(self.ln_quantile(level))

    @property
    def median(self) -> Floats:
        """Median of each quantity, in its own unit."""
        return self.quantile(0.5)

    @property
    def mean(self) -> Floats:
        """Mean of each quantity, in its own unit.

        What lies beyond the outermost quantiles counts as these: an exponential tail of a
        logarithm may have no mean.
        """
        width = np.diff(self.ln_quantiles, axis=1)
        low = np.exp(self.ln_quantiles[:, :-1])
        # The mean of exp over an interval; its limit where that has no width.
        means = low * np.where(width > 0, _over(np.expm1(width), width), 1.0)
        ends = np.exp(self.ln_quantiles[:, [0, -1]])
        return means @ np.diff(self.levels) + ends @ [self.levels[0], 1 - self.levels[-1]]

    @property
    def mean_ln(self) -> Floats:
        """Mean of the logarithm of each quantity."""
        quantiles, steps = self.ln_quantiles, np.diff(self.levels)
        low, high = self._tails()
        inner = (quantiles[:, :-1] + quantiles[:, 1:]) / 2 @ steps
        below = self.levels[0] * (quantiles[:, 0] - low)
        above = (1 - self.levels[-1]) * (quantiles[:, -1] + high)
        return inner + below + above

    def cdf(self, values: ArrayLike) -> Floats:
        """Probability that each quantity is at most a value.

        Parameters
        ----------
        values : array_like, shape (n,)
            One for each quantity, in its unit.
        """
        with np.errstate(divide="ignore"):  # no quantity is 0
            return self._below_and_above(np.log(self._one_each(values)))[0]

    def _below_and_above(self, ln: Floats) -> tuple[Floats, Floats]:
        """Probabilities on both sides of a logarithm, each exact where it is small."""
        levels, quantiles = self.levels, self.ln_quantiles
        below = (quantiles <= ln[:, None]).sum(axis=1)
        at, rows = np.clip(below, 1, levels.size - 1), np.arange(len(self))
        left, right = quantiles[rows, at - 1], quantiles[rows, at]
        inside = levels[at - 1] + (levels[at] - levels[at - 1]) * _over(ln - left, right - left)
        low, high = self._tails()
        under = levels[0] * np.exp(np.minimum((ln - quantiles[:, 0]) / low, 0.0))
        over = (1 - levels[-1]) * np.exp(np.minimum((quantiles[:, -1] - ln) / high, 0.0))
        first, last = below == 0, below == levels.size
        return (
            np.where(first, under, np.where(last, 1 - over, inside)),
            np.where(first, 1 - under, np.where(last, over, 1 - inside)),
        )

    def pit(self, actual: ArrayLike, seed: int = 0) -> Floats:
        """Probability integral transform of what came: uniform if predictions are right [-].

        Drawn at random within the whole unit in which each value was logged [1]_.

        References
        ----------
        .. [1] C. Czado, T. Gneiting, L. Held, "Predictive Model Assessment for Count Data",
           Biometrics 65(4), 2009.
        """
        ends = [self._below_and_above(end)[0] for end in self._unit(actual)]
        return ends[0] + (ends[1] - ends[0]) * np.random.default_rng(seed).random(len(self))

    def nlpd(self, actual: ArrayLike) -> Floats:
        """Negative logarithm of the density of the logarithm at what came [ln].

        It is the mean density over the whole unit in which the value was logged, so that a
        quantile function with steps has one too.
        """
        low, high = self._unit(actual)
        below_low, above_low = self._below_and_above(low)
        below_high, above_high = self._below_and_above(high)
        # The difference of the smaller ones keeps its digits far out in a tail.
        mass = np.where(below_low < 0.5, below_high - below_low, above_low - above_high)
        return -np.log(mass / (high - low))

    def _unit(self, actual: ArrayLike) -> tuple[Floats, Floats]:
        """Logarithms of both ends of the unit in which each value was logged."""
        values = np.maximum(self._one_each(actual), 1.0)
        return np.log(values - HALF_UNIT), np.log(values + HALF_UNIT)

    def crps(self, actual: ArrayLike) -> Floats:
        r"""Continuous ranked probability score of the logarithm of what came [ln].

        Parameters
        ----------
        actual : array_like, shape (n,)
            What came; less than one unit counts as one.

        Returns
        -------
        ndarray, shape (n,)

        Notes
        -----
        The exact integral [1]_ over this distribution function, tails included,

        .. math:: \mathrm{CRPS} = \int \left(F(z) - 1_{z \ge y}\right)^2 dz .

        The mean of twice the pinball losses at a few levels is another number: it lies above
        this one, by a tenth at nine equally spaced ones.

        References
        ----------
        .. [1] T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and
           Estimation", Journal of the American Statistical Association 102(477), 2007.
        """
        ln = log_target(self._one_each(actual))
        quantiles, levels = self.ln_quantiles, self.levels
        low, high = self._tails()
        total = _tail_crps(quantiles[:, 0] - ln, low, levels[0])
        total += _tail_crps(ln - quantiles[:, -1], high, 1 - levels[-1])
        for at in range(levels.size - 1):
            left, right = quantiles[:, at], quantiles[:, at + 1]
            p, q = levels[at], levels[at + 1]
            split = np.clip(ln, left, right)
            f = p + (q - p) * _over(split - left, right - left)
            total += (split - left) * (p * p + p * f + f * f) / 3
            p, q, f = 1 - p, 1 - q, 1 - f
            total += (right - split) * (f * f + f * q + q * q) / 3
        return total

    def _tails(self) -> tuple[Floats, Floats]:
        """Scales of the exponential tails."""
        widths = np.diff(self.ln_quantiles[:, [0, 1, -2, -1]], axis=1)
        levels = self.levels
        low = levels[0] / (levels[1] - levels[0]) * widths[:, 0]
        high = (1 - levels[-1]) / (levels[-1] - levels[-2]) * widths[:, 2]
        return np.maximum(low, MIN_SCALE), np.maximum(high, MIN_SCALE)

    def _one_each(self, values: ArrayLike) -> Floats:
        given = np.asarray(values, dtype=np.float64)
        if given.shape != (len(self),):
            raise ValueError(f"values need shape ({len(self)},), one each, not {given.shape}.")
        bad = ~(given >= 0) | np.isinf(given)
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(f"values[{row}](={given[row]}) must be finite and not negative.")
        return given


def _over(part: Floats, whole: Floats) -> Floats:
    """A part over the whole; 0 where there is no whole."""
    there = whole > 0
    return np.where(there, part / np.where(there, whole, 1.0), 0.0)


def _tail_crps(beyond: Floats, scale: Floats, p: float) -> Floats:
    """Part of the score that comes from a tail of probability `p`.

    What came lies `beyond` the outermost quantile; on this side of it if that is negative.
    """
    out = np.maximum(beyond, 0.0)
    f = p * np.exp(-out / scale)
    return out - 2 * scale * (p - f) + scale * p * p / 2
