"""Models that are right in the sum and wrong one by one: Kabré's jobs, and Acme's GPUs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exawatt.figures.chapter import nothing
from exawatt.figures.measured import ABSENT
from exawatt.telemetry.powermodel import fit_levels, fit_rate, two_sides_w

#: Jobs of Kabré submitted before this are fitted, those after predicted.
KABRE_UNTIL = "2024-10-01"


def kabre_told(jobs: pd.DataFrame) -> pd.DataFrame:
    """Power of each later job per processor, from the rate of the earlier ones [W]."""
    early = jobs["submit"] < KABRE_UNTIL
    fitted, rest = jobs[early], jobs[~early]
    day = fitted["submit"].dt.date
    rate = fit_rate(fitted["energy_j"], fitted["proc_s"], day, label="Kabré")
    return pd.DataFrame(
        {
            "group": rest["submit"].dt.date.astype(str),
            "energy_j": rest["energy_j"],
            "told_j": rate.proc_w * rest["proc_s"],
            "power_w": rest["energy_j"] / rest["proc_s"],
            "predicted_w": rate.proc_w,
        }
    )


def acme_levels(quantiles: pd.DataFrame, column: str) -> dict[str, float]:
    """Two levels of a distribution: the mean that they give, and how much lies between them."""
    watts = quantiles[column]
    model = fit_levels(watts, np.zeros(len(watts)), label=column)
    busy = float((watts > two_sides_w(watts)).mean())
    apart_w = model.busy_w - model.idle_w
    between = watts.between(model.idle_w + 0.1 * apart_w, model.busy_w - 0.1 * apart_w)
    return {
        "idle_w": model.idle_w,
        "busy_w": model.busy_w,
        "busy_share": busy,
        "mean_w": float(watts.mean()),
        "told_w": float(model.predict_w(busy)),
        "between": float(between.mean()),
    }


def single_facts(kabre: pd.DataFrame | None, acme: pd.DataFrame | None) -> dict[str, str]:
    """What the prose tells of sums and of single cases; dashes where data are absent."""
    kabres = ["kabre_sum", "kabre_correlation", "kabre_median", "kabre_orders"]
    acmes = [f"acme_{name}" for name in ("idle", "busy", "mean", "told", "between")]
    facts = dict.fromkeys([*kabres, *acmes], "–")
    if kabre is not None:
        both = kabre[["energy_j", "told_j"]]
        logs, sums = both.apply(np.log), both.sum()
        off = (both["told_j"] / both["energy_j"] - 1).abs()
        spread = float(np.log10(both["energy_j"].max() / both["energy_j"].min()))
        facts["kabre_orders"] = f"{spread:.0f}"
        facts["kabre_correlation"] = f"{logs['energy_j'].corr(logs['told_j']):.3f}"
        facts["kabre_sum"] = f"{100 * abs(sums['told_j'] / sums['energy_j'] - 1):.1f}"
        facts["kabre_median"] = f"{100 * off.median():.0f}"
    if acme is not None:
        levels = acme_levels(acme, "kalos_gpu_w")
        facts |= {f"acme_{name}": f"{levels[f'{name}_w']:.0f}" for name in ("idle", "busy")}
        facts |= {f"acme_{name}": f"{levels[f'{name}_w']:.0f}" for name in ("mean", "told")}
        facts["acme_between"] = f"{100 * levels['between']:.0f}"
    return facts


def singles_figure(kabre: pd.DataFrame | None, acme: pd.DataFrame | None) -> Figure:
    """Energy of jobs, predicted and measured; and the distribution of GPU power by two levels."""
    if kabre is None and acme is None:
        return nothing(ABSENT)
    figure, (jobs, gpus) = plt.subplots(1, 2, figsize=(7.2, 3.4))
    if kabre is None:
        jobs.set_axis_off()
    else:
        _kabre_panel(jobs, kabre)
    if acme is None:
        gpus.set_axis_off()
    else:
        _acme_panel(gpus, acme)
    return figure


def _kabre_panel(axis: Axes, told: pd.DataFrame) -> None:
    kwh = told[["energy_j", "told_j"]] / 3.6e6
    axis.plot(kwh["energy_j"], kwh["told_j"], ".", markersize=2.5, alpha=0.4, rasterized=True)
    ends = [kwh.to_numpy().min(), kwh.to_numpy().max()]
    axis.plot(ends, ends, ":", color="0.3")
    axis.set(xscale="log", yscale="log", title="Kabré, one point a job")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set(xlabel="measured energy [kWh]", ylabel="processor time × rate [kWh]")


def _acme_panel(axis: Axes, quantiles: pd.DataFrame) -> None:
    share = 100 * quantiles.index.to_numpy()
    for i, (column, name) in enumerate((("kalos_gpu_w", "Kalos"), ("seren_gpu_w", "Seren"))):
        found = acme_levels(quantiles, column)
        axis.plot(quantiles[column], share, color=f"C{i}", linewidth=1.4, label=name)
        idle = 100 * (1 - found["busy_share"])
        corners = [0, found["idle_w"], found["idle_w"], found["busy_w"], found["busy_w"], 620]
        axis.plot(corners, [0, 0, idle, idle, 100, 100], ":", color=f"C{i}", label="its two levels")
    axis.set(xlabel="power of a GPU [W]", ylabel="samples below [%]", title="Acme, A100 GPUs")
    axis.legend(loc="lower right")
