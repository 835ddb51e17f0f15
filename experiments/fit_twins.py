"""Fit the twins to the first half of the real series; write traces/twins.toml.

Usage: EXAWATT_DATA=... python experiments/fit_twins.py

Only the first half of each trace's jobs, and of the two years of carbon intensity, is looked at;
the second half is for judging the twins (chapter 3). Needs the real files.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

import exawatt as ew
from exawatt.readers.catalog import REPOSITORY
from exawatt.readers.twin import IntensityTwin, TraceTwin
from exawatt.stats import Floats

TARGET = REPOSITORY / "traces" / "twins.toml"
TRACES = ("KTH-SP2", "LLNL-Thunder")
POPULAR = 20
OTHERS = 12
WIDEST = 0.999
TRIALS = 800
CALIBRATION_SEEDS = range(1000, 1008)


def main() -> None:
    """Fit all twins and write their parameters."""
    text = ["# Parameters of the generated stand-ins, fitted to the first half of the real series"]
    text += ["# by experiments/fit_twins.py. Do not edit.", ""]
    for name in TRACES:
        print(f"fitting {name}")
        text += [f"[traces.{name}]", *_toml(asdict(fit_trace(ew.load(name)))), ""]
    print("fitting carbon intensity")
    years = ew.load_intensity("GB-2023"), ew.load_intensity("GB-2022")
    fitted = fit_intensity(*reversed(years))
    for seed, series in enumerate(years, start=1):
        twin = intensity_twin(series, fitted, seed)
        text += [f"[intensity.{series.name}]", *_toml(asdict(twin)), ""]
    TARGET.write_text("\n".join(text), encoding="utf-8")
    print(
        f"wrote {TARGET.relative_to(Path.cwd()) if TARGET.is_relative_to(Path.cwd()) else TARGET}"
    )


def fit_trace(workload: ew.Workload) -> TraceTwin:
    """Fit to the first half of a trace's jobs."""
    if workload.tier != "real" or workload.start is None:
        raise SystemExit(f"{workload.label} is not real: nothing to fit to.")
    jobs = workload.jobs.iloc[: len(workload) // 2]
    unit = int(jobs["procs"].min())
    units = jobs["procs"].to_numpy() / unit
    first = workload.start + pd.Timedelta(seconds=float(jobs["submit_s"].iloc[0]))
    local = first.tz_convert(workload.timezone).tz_localize(None).floor("h")
    popular = popular_requests(jobs["requested_s"].dropna())
    twin = TraceTwin(
        procs=workload.procs,
        nodes=workload.nodes or workload.procs,
        unit=unit,
        start=local.isoformat(),
        timezone=workload.timezone,
        jobs=len(workload),
        serial=float((units == 1).mean()),
        power_of_two=float((np.log2(units[units > 1]) % 1 == 0).mean()),
        **fit_sizes(units[units > 1]),
        **fit_runtimes(jobs["runtime_s"].to_numpy(), units),
        most_work_s=float((units * jobs["runtime_s"]).max()),
        gap_shape=1.0,
        gap_scale=1.0,
        longest_gap_s=1e6,
        **fit_cycle(workload, jobs),
        **fit_users(jobs),
        likeness=0.5,
        failing=0.0,
        missing=float(jobs["requested_s"].isna().mean()),
        margin=1.0,
        careful=0.0,
        requests_s=tuple(float(v) for v in popular.index),
        request_shares=tuple(round(float(v), 6) for v in popular),
    )
    twin = fit_gaps(twin, jobs, local, workload)
    return calibrate(twin, jobs)


def popular_requests(requested: pd.Series) -> pd.Series:
    """Shares of the most popular requests, and of a few quantiles that stand for the others."""
    shares = requested.value_counts(normalize=True)
    popular, rest = shares.head(POPULAR), shares.iloc[POPULAR:]
    others = requested[requested.isin(rest.index)]
    if len(others):
        steps = (np.arange(OTHERS) + 0.5) / OTHERS
        middle = others.quantile(np.append(steps, 1.0)).round().to_numpy()
        weight = rest.sum() / (OTHERS + 1)
        popular = popular.add(pd.Series(weight, index=middle).groupby(level=0).sum(), fill_value=0)
    return popular


def fit_sizes(units: Floats) -> dict[str, float]:
    """Two-stage uniform distribution of log2(units): least squares on the distribution."""
    # Jobs of nearly the whole machine are too rare for a uniform stage to reach up to them.
    top = float(np.log2(np.quantile(units, WIDEST)))
    values, counts = np.unique(np.log2(units[np.log2(units) <= top]), return_counts=True)
    seen = np.cumsum(counts) / counts.sum()
    # Midway to the next size: a drawn exponent is rounded to a size.
    edges = np.append((values[:-1] + values[1:]) / 2, top)

    def miss(guess: Floats) -> float:
        low, middle, split = guess
        if not (0 <= low < middle < top and 0 <= split <= 1):
            return 1e3
        below = np.clip((edges - low) / (middle - low), 0, 1)
        above = np.clip((edges - middle) / (top - middle), 0, 1)
        return float(((split * below + (1 - split) * above - seen) ** 2 * counts).sum())

    starts = [(0.5, m, s) for m in np.linspace(1.5, top - 0.5, 6) for s in (0.5, 0.7, 0.9)]
    best = min((_nelder_mead(miss, start) for start in starts), key=lambda r: r.fun)
    low, middle, split = best.x
    return {
        "size_low": float(low),
        "size_middle": float(middle),
        "size_high": top,
        "size_split": float(split),
    }


def fit_runtimes(runtime_s: Floats, units: Floats) -> dict[str, float]:
    """Hyper-gamma distribution of ln(runtime), mixed by size.

    Least squares on the distribution, with the mean runtime and the mean work held: the load
    comes from the few long and wide jobs, which the distribution alone hardly sees.
    """
    values, counts = np.unique(np.log(runtime_s), return_counts=True)
    seen = (np.cumsum(counts) - counts / 2) / counts.sum()
    size, n_of_size = np.unique(units, return_counts=True)
    weight = n_of_size / n_of_size.sum()
    longest = float(np.quantile(runtime_s, 0.9998))
    grid = (np.arange(400) + 0.5) / 400

    def miss(guess: Floats) -> float:
        shapes, scales = np.exp(guess[:2]), np.exp(guess[2:4])
        short = np.clip(guess[5] + guess[4] * np.log2(size), 0, 1)
        share = float(short @ weight)
        made = share * stats.gamma.cdf(values, shapes[0], scale=scales[0])
        made += (1 - share) * stats.gamma.cdf(values, shapes[1], scale=scales[1])
        means = [
            np.minimum(np.exp(np.minimum(special.gammaincinv(a, grid) * b, 50)), longest).mean()
            for a, b in zip(shapes, scales, strict=True)
        ]
        if means[0] > means[1]:
            return 1e3
        by_size = short * means[0] + (1 - short) * means[1]
        runtime_off = by_size @ weight / runtime_s.mean() - 1
        work_off = (by_size * size) @ weight / (runtime_s * units).mean() - 1
        off = float(((made - seen) ** 2 * counts).sum() / counts.sum())
        return off + 0.005 * (runtime_off**2 + work_off**2)

    logs = np.log(runtime_s)
    starts = [
        [*np.log([low / 0.6, high / 0.2, 0.6, 0.2]), slope, 0.6]
        for low, high in ([3.0, 8.0], [4.0, 9.0], [float(np.median(logs)), 10.0])
        for slope in (-0.05, 0.0)
    ]
    best = min((_nelder_mead(miss, start) for start in starts), key=lambda r: r.fun).x
    shapes, scales = np.exp(best[:2]), np.exp(best[2:4])
    return {
        "short_shape": float(shapes[0]),
        "short_scale": float(scales[0]),
        "long_shape": float(shapes[1]),
        "long_scale": float(scales[1]),
        "short_slope": float(best[4]),
        "short_base": float(best[5]),
        "longest_s": longest,
    }


def fit_cycle(workload: ew.Workload, jobs: pd.DataFrame) -> dict[str, object]:
    """Gamma density over the half-hours of the day, and relative rates of the weekdays."""
    moments = workload.start + pd.to_timedelta(jobs["submit_s"], unit="s")
    local = pd.DatetimeIndex(moments).tz_convert(workload.timezone).tz_localize(None)
    slot = (local.hour * 2 + local.minute // 30 - 11) % 48
    seen = np.bincount(slot, minlength=48) / len(slot)
    middles = np.arange(48) + 0.5

    def miss(guess: Floats) -> float:
        density = stats.gamma.pdf(middles, np.exp(guess[0]), scale=np.exp(guess[1]))
        return float(((density / density.sum() - seen) ** 2).sum())

    shape, scale = np.exp(_nelder_mead(miss, np.log([3.0, 6.0])).x)
    days = np.bincount(local.day_of_week, minlength=7) / len(local)
    return {
        "day_shape": float(shape),
        "day_scale": float(scale),
        "weekdays": tuple(round(float(d), 5) for d in days * 7),
    }


def fit_gaps(
    twin: TraceTwin, jobs: pd.DataFrame, local: pd.Timestamp, workload: ew.Workload
) -> TraceTwin:
    """Gamma distribution of log2(1 + gap), gaps measured in the time without cycles."""
    origin = (local.tz_localize(workload.timezone) - workload.start).total_seconds()
    even = twin.even_s(jobs["submit_s"].to_numpy() - origin)
    gaps = np.diff(even)
    values, counts = np.unique(np.log2(1 + gaps), return_counts=True)
    seen = (np.cumsum(counts) - counts / 2) / counts.sum()

    def miss(guess: Floats) -> float:
        shape, scale = np.exp(guess)
        return float(((stats.gamma.cdf(values, shape, scale=scale) - seen) ** 2 * counts).sum())

    logs = np.log2(1 + gaps)
    start = np.log([logs.mean() ** 2 / logs.var(), logs.var() / logs.mean()])
    shape, scale = np.exp(_nelder_mead(miss, start).x)
    return replace(twin, gap_shape=float(shape), gap_scale=float(scale))


def fit_users(jobs: pd.DataFrame) -> dict[str, object]:
    """Zipf exponent of the users' shares, and how often user and kind of job repeat."""
    counts = jobs["user"].value_counts().to_numpy()
    ranks = np.arange(1, counts.size + 1)

    def loss(exponent: float) -> float:
        shares = ranks**-exponent / (ranks**-exponent).sum()
        return -float((counts * np.log(shares)).sum())

    zipf = optimize.minimize_scalar(loss, bounds=(0.1, 3), method="bounded").x
    same_user = float((jobs["user"].to_numpy()[1:] == jobs["user"].to_numpy()[:-1]).mean())
    # The generator draws users by their shares when it does not stay with one: take off the
    # share of stays that such a draw makes by chance.
    chance = float(((counts / counts.sum()) ** 2).sum())
    return {
        "users": int(counts.size),
        "zipf": float(zipf),
        "same_user": max(0.0, (same_user - chance) / (1 - chance)),
        "same_kind": float(repeats(jobs).mean()),
    }


def repeats(jobs: pd.DataFrame) -> pd.Series:
    """Whether a job has the size and the request of its user's job before."""
    of_user = jobs.groupby("user", sort=False)
    same_request = (of_user["requested_s"].diff() == 0) | jobs["requested_s"].isna()
    return (of_user["procs"].diff() == 0) & same_request


def likeness(jobs: pd.DataFrame) -> float:
    """Correlation of ln(runtime) with that of the user's job before, among repeats [-]."""
    before = jobs.groupby("user", sort=False)["runtime_s"].shift()
    like = repeats(jobs)
    return float(np.corrcoef(np.log(jobs["runtime_s"])[like], np.log(before)[like])[0, 1])


def calibrate(twin: TraceTwin, jobs: pd.DataFrame) -> TraceTwin:
    """Set series and requests by how jobs repeat and end, and the longest gap by the load.

    A random search over the four parameters that have no distribution of their own.
    """
    target = np.array([likeness(jobs), *compared(jobs)])
    rng = np.random.default_rng(CALIBRATION_SEEDS[0])

    def off(trial: TraceTwin) -> float:
        made = trial.generate("fit", 20_000, CALIBRATION_SEEDS[0]).jobs
        misses = np.abs(np.array([likeness(made), *compared(made)]) - target)
        # How far requests exceed runtimes is what backfilling lives on.
        return float(misses @ [1, 1, 3])

    trials = [
        replace(twin, likeness=a, failing=b, margin=c, careful=d)
        for a, b, c, d in rng.random((TRIALS, 4)) * [0.98, 0.6, 5, 1] - [0, 0, 1, 0]
    ]
    twin = min(trials, key=off)
    span = float(np.ptp(jobs["submit_s"]))
    load = float((jobs["procs"] * jobs["runtime_s"]).sum()) / (twin.procs * span)

    def too_little(log_longest: float) -> float:
        trial = replace(twin, longest_gap_s=float(np.exp(log_longest)))
        made = [trial.generate("fit", 100_000, seed).offered_load for seed in CALIBRATION_SEEDS]
        return float(np.mean(made)) - load

    ends = np.log(60), np.log(1e9)
    at_ends = [too_little(end) for end in ends]
    print(f"  load {load:.3f}, reachable {at_ends[0] + load:.3f} to {at_ends[1] + load:.3f}")
    if at_ends[0] * at_ends[1] > 0:
        longest = ends[int(np.argmin(np.abs(at_ends)))]
    else:
        longest = optimize.brentq(too_little, *ends, xtol=1e-3)
    return replace(twin, longest_gap_s=float(np.exp(longest)))


def compared(jobs: pd.DataFrame) -> tuple[float, float]:
    """Shares of jobs that reach 99 % of their request, and that run under half of it [-]."""
    ratio = (jobs["runtime_s"] / jobs["requested_s"]).dropna()
    return float((ratio >= 0.99).mean()), float((ratio < 0.5).mean())


def fit_intensity(first: ew.Intensity, second: ew.Intensity) -> dict[str, object]:
    """Fit means by month and half-hour, and an autoregressive residual, to the first half.

    The two years together are the series; its first half ends in the autumn of 2022, so that
    the means of the months it lacks are those of the months around them.
    """
    hours = (second.start - first.start).total_seconds() / 1800 + len(second)
    half = min(len(first), int(hours // 2))
    local = first.times[:half].tz_convert(first.timezone)
    values = pd.Series(first.gco2_per_kwh[:half])
    slot = local.hour * 2 + local.minute // 30
    slots = pd.DataFrame({"value": values, "month": local.month, "slot": slot})
    table = slots.pivot_table(index="month", columns="slot", values="value")
    # Months that the half lacks: between October and the January that follows.
    table = pd.concat([table, table.loc[[1]].rename({1: 13})]).reindex(range(1, 14))
    table = table.interpolate(axis=0).loc[1:12]
    means = table.to_numpy()
    residual = np.log(values.to_numpy() / means[local.month - 1, slot])
    residual -= residual.mean()
    lags = np.stack([residual[1:-1], residual[:-2]], axis=1)
    memory, *_ = np.linalg.lstsq(lags, residual[2:], rcond=None)
    shock = float((residual[2:] - lags @ memory).std())
    return {
        "means": tuple(tuple(round(float(v), 2) for v in row) for row in means),
        "memory": tuple(float(v) for v in memory),
        "shock": shock,
    }


def intensity_twin(series: ew.Intensity, fitted: dict[str, object], seed: int) -> IntensityTwin:
    """Twin as long as a series, from the same instant on."""
    return IntensityTwin(
        start=f"{series.start:%Y-%m-%dT%H:%M}",
        half_hours=len(series),
        timezone=series.timezone,
        seed=seed,
        **fitted,
    )


def _nelder_mead(function, start) -> optimize.OptimizeResult:
    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-6, "fatol": 1e-9}
    return optimize.minimize(function, start, method="Nelder-Mead", options=options)


def _toml(values: dict[str, object]) -> list[str]:
    """Key and value of each parameter; JSON's numbers, strings and lists are TOML's as well."""
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


if __name__ == "__main__":
    main()
