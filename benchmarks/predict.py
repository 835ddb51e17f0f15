"""Speed of the features and of the predictors, and how good these are.

Usage: python benchmarks/predict.py [--scores] [TRACE ...]
"""

import sys
import time

import exawatt as ew
from exawatt.experiment.machine import processor
from exawatt.predict import (
    BoostedQuantiles,
    Conformal,
    LastRuntimes,
    Predictor,
    Request,
    features,
    quartile,
    score,
    split,
)

RUNS = 5
TRACES = ["KTH-SP2-raw", "LLNL-Thunder", "SDSC-SP2", "HPC2N"]
PREDICTORS: dict[str, Predictor] = {
    "request": Request(),
    "LAST2": LastRuntimes(2),
    "mean of 5": LastRuntimes(5),
    "boosted": BoostedQuantiles(),
    "boosted, calibrated": Conformal(BoostedQuantiles()),
}


def speed(schedule: ew.Schedule) -> None:
    """Print how many jobs get their features in a second of one processor's time."""
    features(schedule)
    seconds = []
    for _ in range(RUNS):
        began_s = time.process_time()
        table = features(schedule)
        seconds.append(time.process_time() - began_s)
    rates = [len(table) / each / 1e6 for each in (max(seconds), min(seconds))]
    print(
        f"{schedule.workload.label}: {table.shape[1]} features of {len(table):,} jobs, "
        f"{rates[0]:.2f} to {rates[1]:.2f} M jobs/CPU-s",
        flush=True,
    )


def scores(schedule: ew.Schedule) -> None:
    """Print scores of the last 30 % of the jobs, and the processor time of fit and prediction."""
    table, runtime_s = features(schedule), schedule.runtime_s
    train, test = split(schedule)
    size = quartile(schedule.procs[test])
    print(
        f"{'':20}  MAE min  median    CRPS   NLPD  cover 50    80    90    95  width 90  "
        "90 by size    CPU-s"
    )
    for name, predictor in PREDICTORS.items():
        began_s = time.process_time()
        predictor.fit(table.iloc[train], runtime_s[train])
        predicted = predictor.predict_distribution(table.iloc[test])
        cpu_s = time.process_time() - began_s
        point_s = predictor.predict(table.iloc[test])
        row = score(predicted, runtime_s[test], point_s).loc["all"]
        by_size = score(predicted, runtime_s[test], by=size)["cover_90"]
        print(
            f"{name:20}{row['mae'] / 60:9.1f}{row['median_ae'] / 60:8.1f}{row['crps']:8.4f}"
            f"{row['nlpd']:7.2f}    {row['cover_50']:6.3f}{row['cover_80']:6.3f}"
            f"{row['cover_90']:6.3f}{row['cover_95']:6.3f}{row['width_90']:10.2f}  "
            f"{by_size.min():.3f}-{by_size.max():.3f}{cpu_s:8.1f}",
            flush=True,
        )


def main(arguments: list[str]) -> None:
    """Print everything."""
    print(processor())
    for name in [each for each in arguments if each != "--scores"] or TRACES:
        schedule = ew.replay(ew.load(name), "easy")
        speed(schedule)
        if "--scores" in arguments:
            scores(schedule)


if __name__ == "__main__":
    main(sys.argv[1:])
