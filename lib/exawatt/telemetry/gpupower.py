"""Power of a GPU by load: a line or a curve that saturates, whichever predicts better."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from exawatt.platform import Partition
from exawatt.stats import Floats

Form = Literal["linear", "saturating"]
_FORMS: tuple[Form, ...] = ("linear", "saturating")
_DRAWS = 200


@dataclass(frozen=True, eq=False)
class GpuPower:
    r"""Power of a GPU by load.

    Parameters
    ----------
    form : {"linear", "saturating"}
    base_w, gain_w : float
        Power at no load, and what load adds: per unit of it, or at most [W].
    half : float
        Load that adds half of `gain_w`, in the unit of load; infinite for a line.
    full : float
        Load that counts as busy: 1 if load is utilisation.
    draws : ndarray, shape (n_draws, 3)
        Base, gain and half, fitted again to resampled groups.
    rms_w : dict
        Error on groups left out of the fit, by form [W].
    label : str
        The data it was fitted to.

    Notes
    -----
    .. math:: P(x) = P_0 + g x \quad\text{or}\quad P(x) = P_0 + g \frac{x}{x + h}
    """

    form: Form
    base_w: float
    gain_w: float
    half: float
    full: float
    draws: Floats
    rms_w: dict[Form, float]
    label: str

    def __repr__(self) -> str:
        """Return the model in one line, with a 95 % interval."""
        low, high = self.busy_interval_w
        return (
            f"GpuPower({self.label}: {self.form}, base {self.base_w:.1f} W, "
            f"busy {self.busy_w:.1f} W [{low:.1f}, {high:.1f}])"
        )

    def predict_w(self, load: ArrayLike) -> Floats:
        """Power at each load [W]."""
        return self.base_w + self.gain_w * _shape(np.asarray(load, np.float64), self.half)

    @property
    def busy_w(self) -> float:
        """Power at full load [W]."""
        return float(self.predict_w(self.full))

    @property
    def busy_interval_w(self) -> tuple[float, float]:
        """95 % interval of the power at full load [W]."""
        base, gain, half = self.draws.T
        watts = base + gain * _shape(np.full(base.size, self.full), half)
        low, high = np.quantile(watts, [0.025, 0.975])
        return float(low), float(high)

    def to_partition(self, partition: Partition) -> Partition:
        """Return the partition with busy GPUs that add what load adds.

        What its GPUs draw without load is the node's: it belongs to the partition's idle and
        busy power already if those were measured of whole nodes.
        """
        return replace(partition, gpu_w=self.busy_w - self.base_w)


def _shape(load: Floats, half: ArrayLike) -> Floats:
    half = np.asarray(half, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(half), load, load / (load + half))


def fit_gpu(
    load: ArrayLike,
    power_w: ArrayLike,
    group: ArrayLike,
    *,
    label: str,
    full: float = 1.0,
    form: Form | None = None,
    seed: int = 0,
) -> GpuPower:
    """Fit power by load, in the form with the smaller error on groups left out of the fit.

    Parameters
    ----------
    load, power_w, group : array_like, shape (n,)
        Load (utilisation, batch size, power limit), power [W], and what is left out and
        resampled together, such as a run or a batch size.
    label : str
        What to call the data.
    full : float
        Load that counts as busy.
    form : {"linear", "saturating"}, optional
        Take this form, whatever its error.
    seed : int
        Of the resampling.
    """
    x, watts = np.asarray(load, np.float64), np.asarray(power_w, np.float64)
    codes = pd.factorize(np.asarray(group))[0]
    count = codes.max(initial=-1) + 1
    if count < 3:
        raise ValueError(f"group has {count} values; leaving one out needs at least 3.")
    if not (np.isfinite(x) & (x >= 0) & np.isfinite(watts)).all():
        raise ValueError("load and power_w must be finite, and load not negative.")
    rms_w = {name: _held_out_rms_w(x, watts, codes, name) for name in _FORMS}
    better: Form = "saturating" if rms_w["saturating"] < rms_w["linear"] else "linear"
    chosen = form or better
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    weight = np.vstack([np.ones(x.size), drawn[:, codes]])
    fits = _fits(x, watts, weight, chosen)
    base, gain, half = (float(value) for value in fits[0])
    return GpuPower(chosen, base, gain, half, full, fits[1:], rms_w, label)


@dataclass(frozen=True, eq=False)
class LimitedGpuPower:
    """Power of a GPU by load and power limit.

    Parameters
    ----------
    demand : GpuPower
        Power by load at the highest limit.
    line : GpuPower
        Power by the smaller of demand and limit: a GPU stays somewhat below its limit, and
        further below it if its work comes in bursts.
    """

    demand: GpuPower
    line: GpuPower

    def predict_w(self, load: ArrayLike) -> Floats:
        """Power at each load and limit [W], shape (n,), of both as columns, shape (n, 2)."""
        x, limit_w = np.asarray(load, np.float64).T
        return self.line.predict_w(np.minimum(limit_w, self.demand.predict_w(x)))


def fit_limited_gpu(
    load: ArrayLike, limit_w: ArrayLike, power_w: ArrayLike, group: ArrayLike, *, label: str
) -> LimitedGpuPower:
    """Fit power by load and power limit [W]; the arguments are those of :func:`fit_gpu`."""
    x, limits, watts = (np.asarray(values, np.float64) for values in (load, limit_w, power_w))
    groups = np.asarray(group)
    free = limits == limits.max()
    demand = fit_gpu(x[free], watts[free], groups[free], label=label)
    reached_w = np.minimum(limits, demand.predict_w(x))
    return LimitedGpuPower(demand, fit_gpu(reached_w, watts, groups, label=label, form="linear"))


def _held_out_rms_w(load: Floats, watts: Floats, codes: NDArray[np.int64], form: Form) -> float:
    """Error on each group of a fit to the others [W]."""
    others = codes != np.arange(codes.max() + 1)[:, None]
    base, gain, half = _fits(load, watts, others.astype(np.float64), form)[codes].T
    return float(np.sqrt(np.mean((watts - base - gain * _shape(load, half)) ** 2)))


def _fits(load: Floats, watts: Floats, weight: Floats, form: Form) -> Floats:
    """Base, gain and half by least squares, a row for each row of weights.

    For a given half the model is a line in another variable, so that halves are tried on a grid
    which spans the loads. Gains are not negative.
    """
    halves = np.array([np.inf])
    if form == "saturating" and (load > 0).any():
        halves = np.geomspace(load[load > 0].min() / 10, load.max() * 10, 80)
    x = _shape(load, halves[:, None]).T
    total = weight.sum(axis=1, keepdims=True)
    x_mean, y_mean = weight @ x / total, (weight @ watts)[:, None] / total
    xx = weight @ x**2 / total - x_mean**2
    xy = weight @ (x * watts[:, None]) / total - x_mean * y_mean
    gain = np.maximum(np.divide(xy, xx, out=np.zeros_like(xy), where=xx > 1e-12 * x_mean**2), 0.0)
    residual = gain**2 * xx - 2 * gain * xy  # mean square, less what no line changes
    best = residual.argmin(axis=1)
    row = np.arange(best.size)
    base = y_mean[:, 0] - gain[row, best] * x_mean[row, best]
    return np.column_stack([base, gain[row, best], halves[best]])
