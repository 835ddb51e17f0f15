"""Figures that others published, beside ours, and how far one minute of noise moves them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.figures.chapter import effort_of, nothing
from exawatt.readers.catalog import catalog, load
from exawatt.replay import Policy, replay
from exawatt.stats import Floats
from exawatt.workload import Workload


class Published(NamedTuple):
    """Published mean bounded slowdowns of one log, in the order of :data:`GAUSSIER_POLICIES`."""

    trace: str
    jobs: int
    avebsld: tuple[float, ...]


#: E. Gaussier et al., "Improving Backfilling by Using Machine Learning to Predict Running
#: Times", SC'15; the numbers are those of the authors' campaign files.
GAUSSIER = (
    Published("KTH-SP2-raw", 28_481, (92.6, 69.4, 63.5, 62.9, 49.8, 71.7)),
    Published("SDSC-SP2", 54_006, (87.9, 84.9, 79.4, 65.1, 56.8, 70.5)),
)
_SJBF = Policy(backfill="easy", backfill_order="sjf", missing_request="runtime")
#: Their policies with their settings: runtimes are cut at the request, which a missing request
#: equals.
GAUSSIER_POLICIES = {
    "EASY": replace(_SJBF, backfill_order=None),
    "EASY-SJBF": _SJBF,
    "EASY++": replace(_SJBF, estimate="last2", correction="increments"),
    "LAST2, then request": replace(_SJBF, estimate="last2", correction="request"),
    "clairvoyant EASY-SJBF": replace(_SJBF, estimate="actual"),
    "clairvoyant EASY": replace(_SJBF, backfill_order=None, estimate="actual"),
}
#: Replays of shaken logs, by effort, and how far a submission moves at most.
SHAKES = {"full": 60, "quick": 20, "test": 10}
SHAKE_S = 60
COLUMNS = ["trace", "policy", "published", "here", "difference", "apart"]
COLUMNS += ["shaken, 2.5 %", "shaken, 97.5 %", "shaken below published"]


def compare(effort: str = "", seed: int = 1) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Published slowdowns of Gaussier et al. beside ours, and beside ours on shaken logs.

    Parameters
    ----------
    effort : str
        At ``test`` the tiny trace is replayed, and nothing is compared.
    seed : int
        Of the noise.

    Returns
    -------
    DataFrame
        One row a cell; ``apart`` is the slowdown when no two events fall on one instant,
        ``shaken below published`` the share of shaken logs with a smaller slowdown than that.
    dict
        Slowdowns on the shaken logs, shape (n_shakes, n_policies), by label of the trace. A
        trace that is not on this machine is absent.
    """
    effort = effort_of(effort)
    rows: list[dict[str, object]] = []
    spread = {}
    for entry in _entries(effort):
        if not catalog("traces")[entry.trace].find():
            names = zip(GAUSSIER_POLICIES, entry.avebsld, strict=True)
            rows += [{"trace": entry.trace, "policy": p, "published": x} for p, x in names]
            continue
        workload = load(entry.trace)
        shaken = shake_all(workload, GAUSSIER_POLICIES.values(), SHAKES[effort], seed)
        spread[workload.label] = shaken
        cells = zip(GAUSSIER_POLICIES.items(), entry.avebsld, shaken.T, strict=True)
        rows += [_row(workload, name, policy, x, there) for (name, policy), x, there in cells]
    return pd.DataFrame(rows).reindex(columns=COLUMNS), spread


def _entries(effort: str) -> tuple[Published, ...]:
    if effort == "test":
        return (Published("tiny", 0, (np.nan,) * len(GAUSSIER_POLICIES)),)
    return GAUSSIER


def _row(
    workload: Workload, name: str, policy: Policy, published: float, shaken: Floats
) -> dict[str, object]:
    here = replay(workload, policy).metrics()["avebsld"]
    return {
        "trace": workload.label,
        "policy": name,
        "published": published,
        "here": here,
        "difference": here / published - 1,
        "apart": replay(apart(workload), policy).metrics()["avebsld"],
        "shaken, 2.5 %": float(np.quantile(shaken, 0.025)),
        "shaken, 97.5 %": float(np.quantile(shaken, 0.975)),
        "shaken below published": float((shaken < published).mean())
        if published == published
        else np.nan,
    }


def shaken(workload: Workload, rng: np.random.Generator, most_s: int = SHAKE_S) -> Workload:
    """Workload whose submissions have each moved by a whole number of seconds, either way.

    Parameters
    ----------
    workload : Workload
    rng : Generator
    most_s : int
        A submission moves by a uniform number of seconds of at most this size [s].

    References
    ----------
    .. [1] D. Tsafrir, K. Ouaknine, D. Feitelson, "Reducing Performance Evaluation Sensitivity
       and Variability by Input Shaking", MASCOTS 2007.
    """
    moved = workload.jobs["submit_s"] + rng.integers(-most_s, most_s + 1, len(workload))
    jobs = workload.jobs.assign(submit_s=moved.clip(lower=0))
    jobs = jobs.sort_values("submit_s", kind="stable", ignore_index=True)
    return replace(workload, jobs=jobs)


def apart(workload: Workload) -> Workload:
    """Workload of which no two jobs are submitted, or end, at one instant: each has its own pass.

    Submissions are microseconds later than in the log, and executed runtimes shorter.
    """
    jobs = workload.jobs
    step_s = np.arange(1, len(jobs) + 1) * 1e-6
    executed_s = np.fmin(jobs["runtime_s"], jobs["requested_s"])
    moved = {"submit_s": jobs["submit_s"] + step_s, "runtime_s": executed_s - np.pi * step_s}
    return replace(workload, jobs=jobs.assign(**moved))


def shake_all(
    workload: Workload, policies: Iterable[Policy], times: int, seed: int, most_s: int = SHAKE_S
) -> Floats:
    """Mean bounded slowdowns on shaken logs, shape (times, n_policies)."""
    policies = list(policies)

    def once(rng: np.random.Generator) -> list[float]:
        moved = shaken(workload, rng, most_s)
        return [replay(moved, policy).metrics()["avebsld"] for policy in policies]

    # The kernel releases the interpreter, so that threads share the cores.
    with ThreadPoolExecutor(2) as threads:
        return np.array(list(threads.map(once, np.random.default_rng(seed).spawn(times))))


def spread_figure(table: pd.DataFrame, spread: dict[str, Floats]) -> Figure:
    """Slowdowns on shaken logs, on the log itself, and as published, one panel a trace.

    All are parts of the published one; of our own where none was published.
    """
    if not spread:
        return nothing("None of its logs is on this machine.")
    figure, axes = plt.subplots(
        1, len(spread), figsize=(7.2, 3.4), sharex=True, sharey=True, squeeze=False
    )
    names = list(GAUSSIER_POLICIES)
    places = np.arange(len(names))[::-1]
    for axis, (label, values) in zip(axes[0], spread.items(), strict=True):
        rows = table[table["trace"] == label]
        scale = rows["published"].fillna(rows["here"]).to_numpy()
        axis.axvline(1.0, color="C3", linewidth=1.4, label="published")
        axis.boxplot(
            values / scale,
            positions=places,
            orientation="horizontal",
            widths=0.55,
            whis=(2.5, 97.5),
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": "0.5"},
            medianprops={"color": "C0"},
            boxprops={"color": "C0"},
            whiskerprops={"color": "C0"},
            capprops={"color": "C0"},
            manage_ticks=False,
        )
        axis.plot(rows["here"] / scale, places, "D", color="C1", markersize=4.5, label="here")
        axis.set(title=label, xlabel="slowdown / published slowdown [-]")
    axes[0, 0].set_yticks(places, names)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def policy_changes() -> dict[str, Policy]:
    """Rules of EASY that papers leave unsaid, each changed alone."""
    easy = Policy(backfill="easy")
    return {
        "as defined": easy,
        "jobs run on past their requests": replace(easy, kill_at_request=False),
        "missing requests are the runtimes (clairvoyant)": replace(easy, missing_request="runtime"),
        "all estimates are the runtimes (clairvoyant)": replace(easy, estimate="actual"),
    }


def rules(workloads: list[Workload], more_procs: float = 0.1) -> pd.DataFrame:
    """Mean bounded slowdown of EASY, and what one changed rule makes of it, by trace."""
    table = {name: [_slowdown(w, p) for w in workloads] for name, p in policy_changes().items()}
    larger = [replace(w, procs=round(w.procs * (1 + more_procs)), nodes=None) for w in workloads]
    easy = policy_changes()["as defined"]
    grown = f"a machine {more_procs:.0%} larger".replace("%", " %")
    table[grown] = [_slowdown(workload, easy) for workload in larger]
    shaking = partial(shake_all, policies=[easy], times=1, seed=1)
    table["each submission moved by up to a minute"] = [shaking(w)[0, 0] for w in workloads]
    frame = pd.DataFrame(table, index=[workload.name for workload in workloads]).T
    return frame.rename_axis("EASY, but").reset_index()


def _slowdown(workload: Workload, policy: Policy) -> float:
    return replay(workload, policy).metrics()["avebsld"]
