"""Power models on published measurements: what they predict that they have not seen."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.figures.chapter import nothing
from exawatt.figures.measured import ABSENT
from exawatt.platform import Platform
from exawatt.power import power
from exawatt.replay import Schedule
from exawatt.stats import Floats
from exawatt.telemetry.gpupower import LimitedGpuPower, fit_gpu, fit_limited_gpu
from exawatt.telemetry.powermodel import (
    NodePower,
    errors,
    fit_levels,
    fit_node,
    held_out,
    two_sides_w,
)

#: Kinds of Argo's processors: the one that is fitted, and the one that it is carried over to.
ARGO_KIND, ARGO_OTHER = "e5-2680v2", "e5-2640v4"
ZEUS_SHOWN = ("shufflenetv2", "resnet50", "ncf", "deepspeech2")
COLUMNS = ["data", "predicted from", "held out", "samples", "error"]
COLUMNS += ["95 % interval", "of power", "bias", "inside"]


# Dahu


def dahu_levels(minutes: pd.DataFrame, name: str) -> NodePower:
    """Idle and busy power of Dahu's nodes."""
    return fit_levels(minutes["power_w"], minutes["host"], label=name)


def dahu_hosts(minutes: pd.DataFrame) -> pd.DataFrame:
    """Idle and busy power of each host in the first and second half of the month [W]."""
    later = _later(minutes)
    rows = []
    for host, some in minutes.groupby("host"):
        parts = [some[~later[some.index]], some[later[some.index]]]
        try:
            models = [dahu_levels(part, str(host)) for part in parts]
        except ValueError:  # in one of them it never was both idle and busy
            continue
        rows.append((host, *(watts for one in models for watts in (one.idle_w, one.busy_w))))
    return pd.DataFrame(rows, columns=["host", "idle 1", "busy 1", "idle 2", "busy 2"])


def _later(minutes: pd.DataFrame) -> pd.Series:
    """Whether each minute lies in the second half of the month."""
    begin = minutes["minute_utc"].min().normalize()
    return minutes["minute_utc"] >= begin + pd.Timedelta(days=15.5)


def dahu_figure(minutes: pd.DataFrame | None, hosts: pd.DataFrame | None) -> Figure:
    """Distribution of power by the minute, and both levels of each host in either half."""
    if minutes is None or hosts is None:
        return nothing(ABSENT)
    model = dahu_levels(minutes, "Dahu")
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.0), width_ratios=(1.6, 1, 1))
    weights = np.full(len(minutes), 100 / len(minutes))
    axes[0].hist(
        minutes["power_w"],
        bins=np.arange(0, 331, 5),
        weights=weights,
        color="C0",
        histtype="stepfilled",
    )
    for watts, name in ((model.idle_w, "idle"), (model.busy_w, "busy")):
        axes[0].axvline(watts, color="C1", linewidth=1.2)
        axes[0].text(watts, 1.02, name, transform=axes[0].get_xaxis_transform(), ha="center")
    axes[0].axvline(two_sides_w(minutes["power_w"]), color="0.4", linestyle=":")
    axes[0].set(xlabel="power of a node [W]", ylabel="share of minutes [%]")
    for axis, level in zip(axes[1:], ("idle", "busy"), strict=True):
        both = hosts[[f"{level} 1", f"{level} 2"]].to_numpy()
        ends = (both.min() - 4, both.max() + 4)
        axis.plot(ends, ends, ":", color="0.4")
        axis.plot(*both.T, "o", markersize=4, alpha=0.6)
        axis.set(xlabel="1st half [W]", ylabel="2nd half [W]", title=f"{level}, by host")
        axis.set(xlim=ends, ylim=ends)
    return figure


def dahu_facts(
    minutes: pd.DataFrame | None, model: NodePower | None, hosts: pd.DataFrame | None
) -> dict[str, str]:
    """What the prose tells of Dahu; dashes where it is absent."""
    if minutes is None or model is None or hosts is None:
        names = ("count", "minutes", "idle", "busy", "between", "moved", "seldom", "busy_change")
        return {f"dahu_{name}": "–" for name in names}
    low, high = np.quantile(model.draws_w, [0.025, 0.975], axis=0)
    watts = minutes["power_w"]
    moved = hosts.loc[hosts["idle 2"] - hosts["idle 1"] > 10, "host"]
    later = minutes[_later(minutes) & minutes["host"].isin(moved)]
    idle = (later["power_w"] < 1.5 * model.idle_w).groupby(later["host"]).mean()
    between = watts.between(model.idle_w + 25, model.busy_w - 25).mean()
    return {
        "dahu_between": f"{100 * between:.0f}",
        "dahu_moved": str(len(moved)),
        "dahu_seldom": f"{100 * idle.max():.1f}" if len(moved) else "–",
        "dahu_count": str(minutes["host"].nunique()),
        "dahu_minutes": f"{len(minutes):,}",
        "dahu_idle": f"{model.idle_w:.1f} [{low[0]:.1f}, {high[0]:.1f}]",
        "dahu_busy": f"{model.busy_w:.1f} [{low[1]:.1f}, {high[1]:.1f}]",
        "dahu_busy_change": f"{(hosts['busy 2'] - hosts['busy 1']).median():+.1f}",
    }


# Argo


def _line(load: Floats, watts: Floats, group: Floats) -> NodePower:
    return fit_node(load, watts, group, label="")


def argo_line(nodes: pd.DataFrame, name: str) -> NodePower:
    """Power by load average of the kind of node that is fitted."""
    kind = nodes[nodes["kind"] == ARGO_KIND]
    return fit_node(kind["load"], kind["power_w"], kind["node"], label=name)


def argo_rows(nodes: pd.DataFrame) -> list[dict[str, object]]:
    """Rows of held-out errors, see :func:`held_out_table`."""
    kind = nodes[nodes["kind"] == ARGO_KIND]
    rows = []
    for column, name in (("load", "load average"), ("allocated", "processors allocated")):
        told = held_out(_line, kind[column], kind["power_w"], kind["node"])
        rows.append(_row("Argo", name, "node by node", told))
    model = argo_line(nodes, "Argo")
    other = nodes[nodes["kind"] == ARGO_OTHER]
    low_w, high_w = model.interval_w(other["load"])
    told = pd.DataFrame(
        {
            "group": other["node"],
            "power_w": other["power_w"],
            "predicted_w": model.predict_w(other["load"]),
            "low_w": low_w,
            "high_w": high_w,
        }
    )
    return [*rows, _row("Argo", "load average", "another kind of node", told)]


def argo_figure(nodes: pd.DataFrame | None) -> Figure:
    """Power of one kind of node by what runs on it, and by what was allocated."""
    if nodes is None:
        return nothing(ABSENT)
    kind = nodes[nodes["kind"] == ARGO_KIND]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True)
    share = np.linspace(0, 1, 50)
    for axis, column in zip(axes, ("load", "allocated"), strict=True):
        model = fit_node(kind[column], kind["power_w"], kind["node"], label="Argo")
        axis.fill_between(share, *model.interval_w(share), color="C0", alpha=0.15, linewidth=0)
        axis.plot(share, model.predict_w(share), color="C0", linewidth=1.2)
        axis.plot(kind[column], kind["power_w"], "o", color="C1", markersize=4, alpha=0.7)
    axes[0].set(xlabel="load average over cores", ylabel="power of a node [W]")
    axes[1].set(xlabel="share of processors allocated")
    return figure


# Zeus


def _limited(load: Floats, watts: Floats, group: Floats) -> LimitedGpuPower:
    return fit_limited_gpu(load[:, 0], load[:, 1], watts, group, label="")


def zeus_told(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Predictions of each batch size of a network, and of each network, from the others."""
    batches, networks = [], []
    for gpu, table in runs.items():
        for name, some in table.groupby(["dataset", "network"]):
            if some["batch_size"].nunique() > 3:
                told = _held_out(some, "batch_size")
                batches.append(told.assign(group=f"{gpu} {name} " + told["group"].astype(str)))
        told = _held_out(table, "network")
        networks.append(told.assign(group=f"{gpu} " + told["group"]))
    parts = {"batch size": batches, "network": networks}
    return {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items() if tables}


def _held_out(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    return held_out(_limited, runs[["batch_size", "limit_w"]], runs["power_w"], runs[by])


def zeus_figure(runs: Mapping[str, pd.DataFrame], told: Mapping[str, pd.DataFrame]) -> Figure:
    """Power by batch size with its fit, and predictions of what was held out."""
    if "Zeus V100" not in runs:
        return nothing(ABSENT)
    figure, (fits, predicted) = plt.subplots(1, 2, figsize=(7.2, 3.6))
    table = runs["Zeus V100"]
    free = table[table["limit_w"] == table["limit_w"].max()]
    for i, name in enumerate(ZEUS_SHOWN):
        some = free[free["network"] == name]
        batch = some["batch_size"]
        model = fit_gpu(batch, some["power_w"], batch, label=name, full=float(batch.max()))
        sizes = np.geomspace(batch.min(), batch.max(), 60)
        fits.plot(sizes, model.predict_w(sizes), color=f"C{i}", linewidth=1.2)
        fits.plot(batch, some["power_w"], "os^D"[i], color=f"C{i}", markersize=4, label=name)
    fits.set(xscale="log", xlabel="batch size", ylabel="power of a V100 [W]", ylim=(0, 300))
    fits.set_xscale("log", base=4)
    fits.xaxis.set_major_formatter("{x:g}")
    fits.minorticks_off()
    fits.legend(loc="upper left", ncols=2, columnspacing=0.8, handletextpad=0.2)
    for name, style in (("network", "x"), ("batch size", ".")):
        watts, guesses = told[name]["power_w"], told[name]["predicted_w"]
        predicted.plot(
            watts,
            guesses,
            style,
            markersize=3.5,
            alpha=0.6,
            rasterized=True,
            label=f"{name} held out",
        )
    predicted.plot([0, 320], [0, 320], ":", color="0.3")
    predicted.set(xlabel="measured [W]", ylabel="predicted [W]", xlim=(0, 320), ylim=(0, 320))
    predicted.legend(loc="upper left")
    return figure


# All of them


def _row(data: str, by: str, out: str, told: pd.DataFrame, unit: str = "W") -> dict[str, object]:
    found = errors(told)
    error = found.loc["mean_absolute_w"]
    covered = found["value"].get("coverage", np.nan)
    digits = 1 if unit == "W" else 3
    numbers = [f"{error[name]:.{digits}f}" for name in ("value", "low", "high")]
    return {
        "data": data,
        "predicted from": by,
        "held out": out,
        "samples": len(told),
        "error": f"{numbers[0]} {unit}",
        "95 % interval": f"{numbers[1]} to {numbers[2]}",
        "of power": found.loc["mean_absolute_share", "value"],
        "bias": found.loc["bias_w", "value"],
        "inside": covered,
    }


def held_out_table(
    argo: pd.DataFrame | None, zeus: Mapping[str, pd.DataFrame], kabre: pd.DataFrame | None
) -> pd.DataFrame:
    """Errors of predictions of what was not fitted, with intervals over resampled groups."""
    rows = [] if argo is None else argo_rows(argo)
    for name, told in zeus.items():
        rows.append(_row("Zeus", "batch size, limit", f"{name} by {name}", told))
    if kabre is not None:
        rows.append(_row("Kabré", "processor time", "later jobs", kabre, "W each"))
    return pd.DataFrame(rows, columns=COLUMNS)


def held_out_facts(table: pd.DataFrame, zeus: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Errors that the prose tells; dashes where data are absent."""
    facts = {}
    for key, (data, by, out) in {
        "argo_load": ("Argo", "load", "node by"),
        "argo_allocated": ("Argo", "processors", "node by"),
        "argo_other": ("Argo", "load", "another"),
        "zeus_batch": ("Zeus", "batch", "batch"),
        "zeus_network": ("Zeus", "batch", "network"),
    }.items():
        rows = table[
            (table["data"] == data)
            & table["predicted from"].str.startswith(by)
            & table["held out"].str.startswith(out)
        ]
        one = rows.iloc[0] if len(rows) else None
        facts[key] = "–" if one is None else str(one["error"]).removesuffix(" W")
        if key == "argo_other":
            facts["argo_other_within"] = "–" if one is None else f"{one['inside']:.0%}"
    facts["zeus_mean"] = f"{zeus['network']['power_w'].mean():.0f}" if zeus else "–"
    return facts


def fitted_watts(schedule: Schedule, platforms: Iterable[Platform]) -> pd.DataFrame:
    """Energy of one schedule on the same machine with other watts."""
    rows = []
    for platform in platforms:
        part = platform.partitions[0]
        profile = power(replace(schedule, platform=platform))
        awake_j = platform.idle_machine_w * float(np.ptp(profile.edges_s))
        idle_j = awake_j * (1 - schedule.metrics()["utilisation"])
        rows.append(
            {
                "watts": platform.name,
                "idle [W]": part.idle_w,
                "busy [W]": part.busy_w,
                "idle/busy": part.idle_w / part.busy_w,
                "energy [MWh]": profile.energy_kwh / 1e3,
                "of it idle processors": idle_j / 3.6e6 / profile.energy_kwh,
            }
        )
    return pd.DataFrame(rows)


def watts_facts(table: pd.DataFrame) -> dict[str, float | str]:
    """What fitted watts change; dashes where there are none."""
    first, fitted = table.iloc[0], table.iloc[1:]
    changes = fitted["energy [MWh]"] / first["energy [MWh]"] - 1
    ratio = fitted.loc[fitted["watts"].str.contains("Dahu"), "idle/busy"]
    names = [name.partition("fitted to ")[2].partition(" ")[0] for name in fitted["watts"]]
    told = list(zip(names, changes, fitted["of it idle processors"], strict=True))
    parts = [f"{change:+.0%} with those of {name}" for name, change, _ in told]
    shares = [f"{share:.0%} with {name}'s" for name, _, share in told]
    return {
        "fitted_changes": " and ".join(parts) or "–",
        "stand_in_idle": 100 * first["of it idle processors"],
        "fitted_idle": " and ".join(shares) or "–",
        "dahu_ratio": f"{ratio.item():.2f}" if len(ratio) else "–",
    }
