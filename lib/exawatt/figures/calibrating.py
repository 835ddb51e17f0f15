"""Figures of calibration: whether what is called likely is as likely as it is called."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from exawatt.figures.predicting import COLOURS, PROCESS, RECALIBRATED, TREES, Trial
from exawatt.predict import quartile, reliability, score

#: Quantiles whose frequencies are drawn.
LEVELS = np.arange(1, 40) / 40
BINS = 20
DRAWN = ("LAST2", TREES, PROCESS)


def calibration_figure(trial: Trial) -> Figure:
    """Left, how far frequencies lie above their levels; right, histograms of the levels (PIT)."""
    figure, (left, right) = plt.subplots(1, 2)
    for name in DRAWN:
        prediction = trial.fitted[name].prediction
        table = reliability(prediction, trial.runtime_s, LEVELS)
        left.plot(table["level"], table["observed"] - table["level"], COLOURS[name], label=name)
        counts, edges = np.histogram(prediction.pit(trial.runtime_s), BINS, (0, 1))
        right.stairs(
            counts * BINS / counts.sum(), edges, color=COLOURS[name], label=name, linewidth=1.5
        )
    left.axhline(0, color="0.3", linewidth=0.8)
    left.set(xlabel="level of the quantile", ylabel="observed minus level")
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        axis.set_major_formatter(PercentFormatter(1))
    left.legend()
    right.axhline(1, color="0.3", linewidth=0.8)
    right.set(xlabel="level at which the runtime lay", ylabel="density", ylim=(0, None))
    return figure


def coverage_table(trial: Trial) -> pd.DataFrame:
    """How often runtimes lie within the central 90 %: overall, and by quarter of sizes."""
    procs = trial.schedule.procs[trial.test]
    size = quartile(procs)
    rows = []
    for name in (*DRAWN, RECALIBRATED):
        prediction = trial.fitted[name].prediction
        overall = score(prediction, trial.runtime_s).loc["all", "cover_90"]
        by = score(prediction, trial.runtime_s, by=size)["cover_90"]
        parts = {_sizes(procs[size == each]): by[each] for each in by.index}
        rows.append({"predictor": name, "all": overall} | parts)
    return pd.DataFrame(rows)


def facts(table: pd.DataFrame) -> Mapping[str, str]:
    """What the prose tells of coverage."""
    own = table.set_index("predictor").loc[PROCESS]
    parts = own.drop("all").astype(float)
    return {
        "gp_cover": f"{own['all']:.3f}",
        "gp_cover_least": f"{parts.min():.3f}",
        "gp_cover_most": f"{parts.max():.3f}",
    }


def _sizes(procs: np.ndarray) -> str:
    """Sizes of a quarter's jobs."""
    low, high = int(procs.min()), int(procs.max())
    return f"{low}" if low == high else f"{low}–{high}"
