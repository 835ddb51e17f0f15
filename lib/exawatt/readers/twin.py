"""Twins: generated traces and intensity series whose parameters were fitted to real ones.

Sizes, runtimes and arrivals follow Lublin and Feitelson [1]_; requests take popular values, as
Tsafrir, Etsion and Feitelson [2]_ observed; users submit in sessions of similar jobs, and a few of
them submit most. Parameters are in ``traces/twins.toml``, written by ``experiments/fit_twins.py``.

References
----------
.. [1] U. Lublin, D. Feitelson, "The Workload on Parallel Supercomputers: Modeling the
   Characteristics of Rigid Jobs", JPDC 63(11), 2003.
.. [2] D. Tsafrir, Y. Etsion, D. Feitelson, "Modeling User Runtime Estimates", JSSPP 2005.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from scipy.special import gammaincinv, ndtr

from exawatt.intensity import Intensity
from exawatt.readers.catalog import REPOSITORY
from exawatt.stats import Floats
from exawatt.workload import Workload

DAY_S = 86400.0
WEEK_S = 7 * DAY_S
#: The daily cycle of the model begins at 05:30.
DAY_START_SLOT = 11


@dataclass(frozen=True)
class TraceTwin:
    """Parameters of a generated trace, as fitted to a real one.

    Parameters
    ----------
    procs, nodes, unit : int
        Machine, and processors that jobs come in multiples of.
    start, timezone : str
        Local instant of second 0 (ISO 8601), and the zone it is in.
    jobs : int
        Jobs of the real trace.
    serial, power_of_two : float
        Shares of jobs of one unit, and among the others of powers of two [-].
    size_low, size_middle, size_high, size_split : float
        Two-stage uniform distribution of log2(units), and the share of its lower stage.
    short_shape, short_scale, long_shape, long_scale : float
        Two gamma distributions of ln(runtime / s).
    short_slope, short_base : float
        Share of the first of them: base + slope × log2(units), within [0, 1]. The paper has it
        linear in the size itself; in the logarithm it fits the traces here far better.
    longest_s, most_work_s : float
        Longest runtime [s], and most units times runtime [s], of a job.
    gap_shape, gap_scale, longest_gap_s : float
        Gamma distribution of log2(1 + gap / s) at the mean rate, and the longest such gap [s],
        which makes the offered load right.
    day_shape, day_scale : float
        Gamma density that is the daily cycle, over half-hours from 05:30.
    weekdays : tuple of float
        Relative rates from Monday to Sunday, mean 1.
    users : int
    zipf : float
        Users, and the exponent of their shares by rank.
    same_user, same_kind : float
        Shares of jobs by the user of the job before, and, among a user's jobs, of those like
        the one before [-].
    likeness, failing : float
        Correlation of runtimes within such a series, and the share of jobs of a long kind that
        end early, as short ones do [-].
    missing : float
        Share of jobs without a request [-].
    margin : float
        How far, in standard deviations within a series, its request lies above the middle of its
        runtimes at the least.
    careful : float
        Share of requests that are the next popular value above that [-].
    requests_s, request_shares : tuple of float
        Popular requests [s] and their shares.
    """

    procs: int
    nodes: int
    unit: int
    start: str
    timezone: str
    jobs: int
    serial: float
    power_of_two: float
    size_low: float
    size_middle: float
    size_high: float
    size_split: float
    short_shape: float
    short_scale: float
    long_shape: float
    long_scale: float
    short_slope: float
    short_base: float
    longest_s: float
    most_work_s: float
    gap_shape: float
    gap_scale: float
    longest_gap_s: float
    day_shape: float
    day_scale: float
    weekdays: tuple[float, ...]
    users: int
    zipf: float
    same_user: float
    same_kind: float
    likeness: float
    failing: float
    missing: float
    margin: float
    careful: float
    requests_s: tuple[float, ...]
    request_shares: tuple[float, ...]

    def generate(self, name: str, n_jobs: int | None = None, seed: int = 1) -> Workload:
        """Draw jobs.

        Parameters
        ----------
        name : str
            What it is the twin of.
        n_jobs : int, optional
            As many as the real trace has, when not given.
        seed : int
            The same seed gives the same jobs.

        Returns
        -------
        Workload
            Of tier ``twin``.
        """
        n = self.jobs if n_jobs is None else n_jobs
        if n < 1:
            raise ValueError(f"n_jobs(={n}) must be at least 1.")
        rng = np.random.default_rng(seed)
        submit_s = self.arrivals_s(n, rng)
        user, kind = self._series(n, rng)
        n_kinds = int(kind.max()) + 1
        units = self.sizes(n_kinds, rng)
        short = np.clip(self.short_base + self.short_slope * np.log2(units), 0, 1)
        meant_long = rng.random(n_kinds) < (1 - short) / (1 - self.failing)
        long = meant_long[kind] & (rng.random(n) >= self.failing)
        level = rng.standard_normal(n_kinds)
        spread = np.sqrt(1 - self.likeness)
        deviate = np.sqrt(self.likeness) * level[kind] + spread * rng.standard_normal(n)
        runtime_s = self._runtimes_s(deviate, long, units[kind])
        # Users ask for what covers the longer runs of the kind of job that they submit.
        high = np.sqrt(self.likeness) * level + self.margin * spread
        requested_s = self._requests_s(self._runtimes_s(high, meant_long, units), rng)[kind]
        runtime_s = np.maximum(1.0, np.floor(np.fmin(runtime_s, requested_s)))
        jobs = pd.DataFrame(
            {
                "submit_s": submit_s,
                "runtime_s": runtime_s,
                "requested_s": requested_s,
                "procs": np.minimum(units * self.unit, self.procs)[kind],
                "user": user + 1,
                "app": kind + 1,
                "status": 1,
            }
        )
        digest = hashlib.sha256(b"".join(jobs[c].to_numpy().tobytes() for c in jobs))
        return Workload(
            jobs,
            procs=self.procs,
            nodes=self.nodes,
            name=f"{name} twin",
            source=f"generated, seed {seed}",
            sha256=digest.hexdigest(),
            start=pd.Timestamp(self.start, tz=self.timezone).tz_convert("UTC"),
            timezone=self.timezone,
            tier="twin",
        )

    def weekly_cycle(self) -> Floats:
        """Relative rate of arrival in each half-hour of the week from Monday 00:00, mean 1."""
        slots = (np.arange(48) - DAY_START_SLOT) % 48 + 0.5
        log_rate = (self.day_shape - 1) * np.log(slots) - slots / self.day_scale
        day = np.exp(log_rate - log_rate.max())
        week = (np.asarray(self.weekdays)[:, None] * day).ravel()
        return week / week.mean()

    def even_s(self, moments_s: Floats) -> Floats:
        """Moments in the even time in which arrivals have no cycle [s]."""
        edges, cumulative = self._cycle_edges()
        weeks, rest = np.divmod(moments_s + self._week_offset_s(), WEEK_S)
        return weeks * WEEK_S + np.interp(rest, edges, cumulative)

    def arrivals_s(self, n: int, rng: np.random.Generator) -> Floats:
        """Submission times [s], ascending, shape (n,)."""
        longest = np.log2(1 + self.longest_gap_s)
        logs = np.minimum(_gamma(rng.random(n), self.gap_shape, self.gap_scale), longest)
        gaps = np.exp2(logs) - 1
        edges, cumulative = self._cycle_edges()
        first = self.even_s(np.zeros(1))[0]
        weeks, rest = np.divmod(first + np.cumsum(gaps), WEEK_S)
        moments = weeks * WEEK_S + np.interp(rest, cumulative, edges) - self._week_offset_s()
        return np.floor(moments)

    def _cycle_edges(self) -> tuple[Floats, Floats]:
        rate = self.weekly_cycle()
        edges = np.linspace(0, WEEK_S, rate.size + 1)
        return edges, np.concatenate([[0.0], np.cumsum(rate)]) * (WEEK_S / rate.size)

    def _week_offset_s(self) -> float:
        """Time from Monday 00:00 to second 0 [s], on the local clock."""
        start = pd.Timestamp(self.start)
        return start.weekday() * DAY_S + (start - start.normalize()).total_seconds()

    def sizes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Sizes in units, shape (n,)."""
        low = rng.random(n) < self.size_split
        begin = np.where(low, self.size_low, self.size_middle)
        end = np.where(low, self.size_middle, self.size_high)
        exponent = begin + (end - begin) * rng.random(n)
        whole = rng.random(n) < self.power_of_two
        units = np.exp2(np.where(whole, np.round(exponent), exponent)).round().astype(np.int64)
        units[rng.random(n) < self.serial] = 1
        return np.clip(units, 1, self.procs // self.unit)

    def _runtimes_s(self, deviate: Floats, long: np.ndarray, units: np.ndarray) -> Floats:
        """Runtimes [s] at standard normal deviates of their gamma distributions."""
        share = ndtr(deviate)
        short_log = _gamma(share, self.short_shape, self.short_scale)
        long_log = _gamma(share, self.long_shape, self.long_scale)
        longest = np.minimum(self.longest_s, self.most_work_s / units)
        return np.exp(np.minimum(np.where(long, long_log, short_log), np.log(longest)))

    def _requests_s(self, at_least_s: Floats, rng: np.random.Generator) -> Floats:
        """Popular requests that cover `at_least_s` [s]; NaN where missing."""
        values, shares = np.asarray(self.requests_s), np.asarray(self.request_shares)
        order = np.argsort(values)
        values, cumulative = values[order], np.cumsum(shares[order]) / shares.sum()
        below = np.searchsorted(values, np.minimum(at_least_s, values[-1]), side="left")
        floor = np.where(below > 0, cumulative[below - 1], 0.0)
        draw = floor + (1 - floor) * rng.random(at_least_s.size)
        popular = np.minimum(np.searchsorted(cumulative, draw), values.size - 1)
        careful = rng.random(at_least_s.size) < self.careful
        chosen = values[np.where(careful, below, popular)]
        return np.where(rng.random(at_least_s.size) < self.missing, np.nan, chosen)

    def _series(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """User of each job, and the kind of job: a series of a user's like jobs has one kind."""
        shares = np.arange(1, self.users + 1) ** -self.zipf
        drawn = np.searchsorted(np.cumsum(shares) / shares.sum(), rng.random(n))
        return _walk(
            np.minimum(drawn, self.users - 1),
            rng.random(n) < self.same_user,
            rng.random(n) < self.same_kind,
            self.users,
        )


def _gamma(share: Floats, shape: float, scale: float) -> Floats:
    """Gamma quantiles by a fine table: ten million exact ones would take a minute."""
    grid = ndtr(np.linspace(-6, 6, 4001))
    return np.interp(share, grid, gammaincinv(shape, grid) * scale)


@njit(cache=True)
def _walk(drawn, stays, repeats, n_users):  # type: ignore[no-untyped-def]
    """Follow who submits next, and whether that user's next job is like the last one."""
    n = drawn.size
    user = np.empty(n, np.int64)
    kind = np.empty(n, np.int64)
    latest = np.full(n_users, -1)
    kinds = 0
    for i in range(n):
        user[i] = user[i - 1] if i > 0 and stays[i] else drawn[i]
        if latest[user[i]] < 0 or not repeats[i]:
            latest[user[i]] = kinds
            kinds += 1
        kind[i] = latest[user[i]]
    return user, kind


@dataclass(frozen=True)
class IntensityTwin:
    """Parameters of a generated intensity series, as fitted to a real one.

    Parameters
    ----------
    start : str
        UTC instant of the first half-hour.
    half_hours : int
        Length.
    timezone : str
        Zone of the wall clock by which months and half-hours are meant.
    seed : int
        Seed when none is asked for: each series has its own, for a year must not repeat the
        noise of the year that a forecaster learnt from.
    means : tuple of tuple of float, shape (12, 48)
        Mean of each month and half-hour of the day [gCO2/kWh].
    memory : tuple of float
        Autoregressive coefficients of the logarithm of the ratio to that mean.
    shock : float
        Standard deviation of its innovations [-].
    """

    start: str
    half_hours: int
    timezone: str
    seed: int
    means: tuple[tuple[float, ...], ...]
    memory: tuple[float, ...]
    shock: float

    def generate(
        self, name: str, half_hours: int | None = None, seed: int | None = None
    ) -> Intensity:
        """Draw a series, of tier ``twin``; the same seed gives the same series."""
        n = self.half_hours if half_hours is None else half_hours
        seed = self.seed if seed is None else seed
        if n < 1:
            raise ValueError(f"half_hours(={n}) must be at least 1.")
        rng = np.random.default_rng(seed)
        start = pd.Timestamp(self.start, tz="UTC")
        local = pd.date_range(start, periods=n, freq="30min").tz_convert(self.timezone)
        means = np.asarray(self.means)[local.month - 1, local.hour * 2 + local.minute // 30]
        # A month's start before the series lets the residual forget that it began at zero.
        warm_up = 31 * 48
        shocks = rng.standard_normal(n + warm_up) * self.shock
        log_ratio = _autoregress(shocks, np.asarray(self.memory))[warm_up:]
        ratio = np.exp(log_ratio)
        values = means * ratio / self._mean_ratio()
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        return Intensity(
            start=start,
            gco2_per_kwh=values,
            name=f"{name} twin",
            source=f"generated, seed {seed}",
            sha256=digest,
            timezone=self.timezone,
            tier="twin",
        )

    def _mean_ratio(self) -> float:
        """Mean of exp(residual), so that the means stay the means [-]."""
        response = _autoregress(np.eye(1, 20_000)[0], np.asarray(self.memory))
        return float(np.exp(self.shock**2 * (response**2).sum() / 2))


@njit(cache=True)
def _autoregress(shocks, memory):  # type: ignore[no-untyped-def]
    values = shocks.copy()
    for i in range(values.size):
        for lag in range(min(memory.size, i)):
            values[i] += memory[lag] * values[i - 1 - lag]
    return values


@cache
def _parameters() -> dict[str, dict[str, dict[str, Any]]]:
    text = (REPOSITORY / "traces" / "twins.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(text)
    return tables


def trace_twins() -> dict[str, TraceTwin]:
    """Twins of traces, by catalog name."""
    return {name: TraceTwin(**_frozen(table)) for name, table in _parameters()["traces"].items()}


def intensity_twins() -> dict[str, IntensityTwin]:
    """Twins of intensity series, by catalog name."""
    tables = _parameters()["intensity"]
    return {name: IntensityTwin(**_frozen(table)) for name, table in tables.items()}


def _frozen(value: Any) -> Any:
    """Lists as tuples, at every depth but the table's own."""
    if isinstance(value, dict):
        return {name: _frozen(each) for name, each in value.items()}
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
