"""Power models of nodes: fitted with uncertainty, tried on what they have not seen, put to use."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from exawatt.platform import Partition, Platform
from exawatt.stats import Floats

_DRAWS = 1000
_ENOUGH_NODES = 8
_ENOUGH_SAMPLES = 60
_Z95 = 1.959964


class Model(Protocol):
    """A fitted power model."""

    def predict_w(self, load: ArrayLike) -> Floats:
        """Power at each load [W]."""


@dataclass(frozen=True, eq=False)
class NodePower:
    r"""Power of a node that is linear in its utilisation.

    Parameters
    ----------
    idle_w, busy_w : float
        Power at utilisation 0 and 1 [W].
    draws_w : ndarray, shape (n_draws, 2)
        Both of them, fitted again to resampled data [W].
    residual_w : float
        Standard deviation of single samples about the line [W]; NaN where utilisation is unknown.
    node_sd_w : tuple of float
        Standard deviation of idle and busy power from node to node [W]; NaN where unknown.
    label : str
        The data it was fitted to.

    Notes
    -----
    .. math:: P(u) = P_\text{idle} + (P_\text{busy} - P_\text{idle})\, u
    """

    idle_w: float
    busy_w: float
    draws_w: Floats
    residual_w: float
    node_sd_w: tuple[float, float]
    label: str

    def __repr__(self) -> str:
        """Return the model in one line, with 95 % intervals."""
        (idle_low, busy_low), (idle_high, busy_high) = np.quantile(self.draws_w, [0.025, 0.975], 0)
        return (
            f"NodePower({self.label}: idle {self.idle_w:.1f} W [{idle_low:.1f}, {idle_high:.1f}], "
            f"busy {self.busy_w:.1f} W [{busy_low:.1f}, {busy_high:.1f}])"
        )

    def predict_w(self, load: ArrayLike) -> Floats:
        """Power at each utilisation [W]."""
        return self.idle_w + (self.busy_w - self.idle_w) * np.asarray(load, np.float64)

    def interval_w(self, load: ArrayLike) -> tuple[Floats, Floats]:
        """Bounds that hold 95 % of single samples at each utilisation [W]."""
        share = np.asarray(load, np.float64)
        line_w = self.draws_w[:, :1] + np.diff(self.draws_w, axis=1) * share
        half_w = _Z95 * np.hypot(line_w.std(axis=0), self.residual_w)
        return self.predict_w(load) - half_w, self.predict_w(load) + half_w

    def to_partition(self, partition: Partition) -> Partition:
        """Return the partition with these watts; asleep, it still draws what it did."""
        return replace(partition, idle_w=self.idle_w, busy_w=self.busy_w)


def fit_node(
    utilisation: ArrayLike,
    power_w: ArrayLike,
    node: ArrayLike | None = None,
    *,
    label: str,
    seed: int = 0,
) -> NodePower:
    """Fit node power that is linear in utilisation.

    Parameters
    ----------
    utilisation, power_w : array_like, shape (n,)
        In order of time within each node [-], [W].
    node : array_like, shape (n,), optional
        Which node each sample is of; one node when not given.
    label : str
        What to call the data.
    seed : int
        Of the resampling.

    Notes
    -----
    Ordinary least squares. Samples that follow one another tell little new, and a node differs
    from the next. So whole nodes are resampled where there are at least eight of them, and else
    blocks of time, long enough that what is left of the residuals has been forgotten.
    """
    load, watts = (np.asarray(values, np.float64) for values in (utilisation, power_w))
    nodes = np.zeros(load.size) if node is None else np.asarray(node)
    if load.shape != watts.shape or load.shape != nodes.shape:
        raise ValueError(
            f"utilisation {load.shape}, power_w {watts.shape} and node {nodes.shape} differ."
        )
    if not np.isfinite(load).all() or not np.isfinite(watts).all():
        raise ValueError("utilisation and power_w must be finite: drop the samples that are not.")
    if load.size < 3 or np.ptp(load) == 0:
        raise ValueError(f"utilisation does not vary over {load.size} samples: no line fits.")
    codes = pd.factorize(nodes)[0]
    (idle, busy), *_ = _lines(_moments(load, watts, np.zeros(load.size, np.int64)))
    residual = watts - idle - (busy - idle) * load
    blocks = codes if codes.max() + 1 >= _ENOUGH_NODES else _blocks(codes, residual)
    sums = _moments(load, watts, blocks)
    return NodePower(
        idle_w=float(idle),
        busy_w=float(busy),
        draws_w=_lines(_resampled(len(sums), seed) @ sums),
        residual_w=float(np.sqrt((residual**2).sum() / (load.size - 2))),
        node_sd_w=_node_sd(load, watts, codes),
        label=label,
    )


def _moments(load: Floats, watts: Floats, group: NDArray[np.int64]) -> Floats:
    """Sums from which a line is fitted, a row a group."""
    columns = (np.ones(load.size), load, watts, load * load, load * watts)
    return np.column_stack([np.bincount(group, column) for column in columns])


def _lines(sums: Floats) -> Floats:
    """Idle and busy power of the least-squares line of each row of sums; shape (n, 2)."""
    count, x, y, xx, xy = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (count * xy - x * y) / (count * xx - x * x)
        idle = (y - slope * x) / count
    lines = np.column_stack([idle, idle + slope])
    return lines[np.isfinite(lines).all(axis=1)]


def _resampled(groups: int, seed: int) -> Floats:
    """How often each group is drawn; shape (draws, groups)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=_DRAWS).astype(np.float64)


def _node_sd(load: Floats, watts: Floats, codes: NDArray[np.int64]) -> tuple[float, float]:
    """Spread of idle and busy power of the nodes that have a line of their own [W]."""
    sums = _moments(load, watts, codes)
    enough = (sums[:, 0] >= _ENOUGH_SAMPLES) & (sums[:, 3] * sums[:, 0] > sums[:, 1] ** 2)
    if enough.sum() < 2:
        return float("nan"), float("nan")
    idle, busy = _lines(sums[enough]).std(axis=0, ddof=1)
    return float(idle), float(busy)


def _blocks(codes: NDArray[np.int64], residual: Floats) -> NDArray[np.int64]:
    """Number of the block of time that each sample falls into."""
    length = block_length(residual)
    within = pd.Series(codes).groupby(codes).cumcount().to_numpy()
    return pd.factorize(pd.MultiIndex.from_arrays([codes, within // length]))[0]


def block_length(residual: ArrayLike) -> int:
    """Samples after which a series has forgotten itself, for resampling it in blocks.

    Ten times the lag at which its autocorrelation has fallen to 1/e, but no more than a tenth of
    the series, so that there are blocks to choose from.
    """
    values = np.asarray(residual, np.float64)
    values = values - values.mean()
    spectrum = np.fft.rfft(values, 2 * values.size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: values.size]
    low = correlation < correlation[0] / np.e
    forgotten = int(np.argmax(low)) if low.any() else 1
    return max(1, min(10 * forgotten, values.size // 10))


def fit_levels(power_w: ArrayLike, node: ArrayLike, *, label: str, seed: int = 0) -> NodePower:
    """Idle and busy power from power alone, where utilisation was not recorded.

    Parameters
    ----------
    power_w, node : array_like, shape (n,)
        Power of identical nodes [W], and which node each sample is of.
    label, seed
        As in :func:`fit_node`.

    Notes
    -----
    Nodes are taken to be fully idle part of the time and fully busy part of the time. Half way
    between the means of the two sides it separates, a threshold divides all samples. A node's
    idle power is the 0.05-quantile below it, its busy power the 0.95-quantile above, as partly
    busy nodes are on both sides. The levels are means over nodes with at least 60 samples on
    either side, and whole nodes are resampled. That power is linear in between is assumed.
    """
    watts, codes = np.asarray(power_w, np.float64), pd.factorize(np.asarray(node))[0]
    if not np.isfinite(watts).all():
        raise ValueError("power_w must be finite: drop the samples that are not.")
    above = watts > two_sides_w(watts)
    low = pd.Series(watts[~above]).groupby(codes[~above])
    high = pd.Series(watts[above]).groupby(codes[above])
    levels = pd.DataFrame({"idle": low.quantile(0.05), "busy": high.quantile(0.95)})
    levels = levels[(low.size() >= _ENOUGH_SAMPLES) & (high.size() >= _ENOUGH_SAMPLES)]
    if levels.empty:
        raise ValueError("no node has 60 samples both idle and busy: its levels cannot be told.")
    values = levels.to_numpy()
    idle, busy = (float(watts) for watts in values.mean(axis=0))
    if len(values) == 1:  # one node says nothing of how far the next may be off
        unknown = float("nan")
        return NodePower(idle, busy, np.full((1, 2), np.nan), unknown, (unknown, unknown), label)
    idle_sd, busy_sd = (float(sd) for sd in values.std(axis=0, ddof=1))
    draws_w = _resampled(len(values), seed) @ values / len(values)
    return NodePower(idle, busy, draws_w, float("nan"), (idle_sd, busy_sd), label)


def two_sides_w(power_w: ArrayLike) -> float:
    """Threshold half way between the means of the samples below it and above it [W]."""
    watts = np.sort(np.asarray(power_w, np.float64))
    sums = np.cumsum(watts)
    threshold = float(watts[0] + watts[-1]) / 2
    for _ in range(100):
        below = min(max(int(np.searchsorted(watts, threshold, "right")), 1), watts.size - 1)
        means = sums[below - 1] / below + (sums[-1] - sums[below - 1]) / (watts.size - below)
        if means / 2 == threshold:
            break
        threshold = float(means) / 2
    return threshold


@dataclass(frozen=True)
class Rate:
    """Energy per processor-second, with its 95 % interval [W].

    What accounting gives of whole nodes: mean power of an allocated processor, its share of the
    idle node included, whatever it did.
    """

    proc_w: float
    low_w: float
    high_w: float
    label: str

    def to_partition(self, partition: Partition) -> Partition:
        """Return the partition with this power when busy, its ratio of idle to busy kept.

        The accounting of jobs says nothing of idle nodes.
        """
        busy_w = self.proc_w * partition.procs_per_node
        idle_w = busy_w * partition.idle_w / partition.busy_w
        return replace(partition, idle_w=idle_w, busy_w=busy_w)


def fit_rate(
    energy_j: ArrayLike, proc_s: ArrayLike, block: ArrayLike, *, label: str, seed: int = 0
) -> Rate:
    """Energy of jobs on whole nodes per processor-second.

    Parameters
    ----------
    energy_j, proc_s : array_like, shape (n,)
        Energy [J] and allocated processor-seconds of each job.
    block : array_like, shape (n,)
        What is resampled together, such as the day of submission: jobs of one day are alike.
    label, seed
        As in :func:`fit_node`.
    """
    codes = pd.factorize(np.asarray(block))[0]
    sums = np.column_stack(
        [np.bincount(codes, np.asarray(values, np.float64)) for values in (energy_j, proc_s)]
    )
    joules, seconds = sums.sum(axis=0)
    draws = _resampled(len(sums), seed) @ sums
    low, high = np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975])
    return Rate(float(joules / seconds), float(low), float(high), label)


class Fitted(Protocol):
    """Anything that can give a partition its watts."""

    @property
    def label(self) -> str:
        """The data it was fitted to."""

    def to_partition(self, partition: Partition) -> Partition:
        """Return the partition with fitted watts."""


def to_platform(platform: Platform, *models: Fitted) -> Platform:
    """Return the platform with fitted watts; its name says what they were fitted to.

    Parameters
    ----------
    platform : Platform
    *models : NodePower, Rate or GpuPower
        Applied in this order to every partition; all other fields stay.
    """
    partitions = platform.partitions
    for model in models:
        partitions = tuple(model.to_partition(partition) for partition in partitions)
    fitted = ", ".join(model.label for model in models)
    return replace(platform, partitions=partitions, name=f"{platform.name} fitted to {fitted}")


def held_out(
    fit: Callable[[Floats, Floats, NDArray[Any]], Model],
    load: ArrayLike,
    power_w: ArrayLike,
    group: ArrayLike,
) -> pd.DataFrame:
    """Predict each group by a model fitted to the others.

    Parameters
    ----------
    fit : callable
        Makes a model of loads, watts and groups.
    load : array_like, shape (n,) or (n, k)
        Load, or a column for each thing that the model predicts by.
    power_w, group : array_like, shape (n,)

    Returns
    -------
    DataFrame
        In the order of the data: ``group``, ``power_w``, ``predicted_w``, and ``low_w`` and
        ``high_w`` where the model has intervals of single samples.
    """
    loads, watts = np.asarray(load, np.float64), np.asarray(power_w, np.float64)
    groups = np.asarray(group)
    told = pd.DataFrame({"group": groups, "power_w": watts, "predicted_w": np.nan})
    for name in told["group"].unique():
        out = groups == name
        model = fit(loads[~out], watts[~out], groups[~out])
        told.loc[out, "predicted_w"] = model.predict_w(loads[out])
        if isinstance(model, NodePower):
            told.loc[out, "low_w"], told.loc[out, "high_w"] = model.interval_w(loads[out])
    return told


def errors(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Errors of held-out predictions, with 95 % intervals over resampled groups.

    Returns
    -------
    DataFrame
        Rows ``bias_w`` (prediction less measurement), ``mean_absolute_w``, ``rms_w`` [W],
        ``mean_absolute_share`` of the measured power [-], and ``coverage`` of the intervals [-];
        columns ``value``, ``low``, ``high``.
    """
    miss = predictions["predicted_w"] - predictions["power_w"]
    columns = {
        "bias_w": miss,
        "mean_absolute_w": miss.abs(),
        "rms_w": miss**2,
        "mean_absolute_share": miss.abs() / predictions["power_w"],
    }
    if "low_w" in predictions:
        columns["coverage"] = predictions["power_w"].between(
            predictions["low_w"], predictions["high_w"]
        )
    grouped = pd.DataFrame(columns).astype(np.float64).groupby(predictions["group"], sort=False)
    sums, counts = grouped.sum().to_numpy(), grouped.size().to_numpy()
    weights = np.vstack([np.ones(len(sums)), _resampled(len(sums), seed)])
    means = weights @ sums / (weights @ counts)[:, None]
    at = list(columns).index("rms_w")
    means[:, at] = np.sqrt(means[:, at])
    low, high = np.quantile(means[1:], [0.025, 0.975], axis=0)
    return pd.DataFrame({"value": means[0], "low": low, "high": high}, index=list(columns))
