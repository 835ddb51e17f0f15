"""Scores and processor time of Gaussian processes, beside the trees that they correct.

Usage: python benchmarks/gp.py [--seeds N] [--all] [TRACE ...]
"""

import argparse
import time

import exawatt as ew
from exawatt.predict import (
    BoostedQuantiles,
    Conformal,
    Predictor,
    bootstrap,
    features,
    quartile,
    score,
    split,
)
from exawatt.predict.neighbours import NeighbourGP
from exawatt.predict.svgp import VariationalGP

TRACES = ["KTH-SP2-raw", "LLNL-Thunder", "SDSC-SP2", "HPC2N"]
N_TRAIN = 30_000


def predictors(schedule: ew.Schedule, seed: int, all_of_them: bool) -> dict[str, Predictor]:
    """Return what to compare, the mean function first."""
    trees = BoostedQuantiles(random_state=seed)
    some: dict[str, Predictor] = {
        "boosted (mean function)": trees,
        "neighbours": NeighbourGP(schedule, trees, random_state=seed),
    }
    others: dict[str, Predictor] = {
        "boosted, calibrated": Conformal(trees),
        "SVGP": VariationalGP(objective="evidence", random_state=seed),
        "PPGPR": VariationalGP(random_state=seed),
        "PPGPR, calibrated": Conformal(VariationalGP(random_state=seed)),
        "PPGPR, deep kernel": VariationalGP(deep=True, random_state=seed),
        "PPGPR on boosted mean": VariationalGP(trees, random_state=seed),
    }
    return some | others if all_of_them else some


def compare(schedule: ew.Schedule, seed: int, all_of_them: bool) -> None:
    """Print scores of the last 30 % of the jobs, and what each gains on the mean function."""
    table, runtime_s = features(schedule), schedule.runtime_s
    train, test = split(schedule)
    train = train[-N_TRAIN:]
    print(f"{schedule.workload.label}, seed {seed}: {len(train):,} to learn, {len(test):,} to try")
    alone = None
    for name, predictor in predictors(schedule, seed, all_of_them).items():
        began_s = time.process_time()
        predictor.fit(table.iloc[train], runtime_s[train])
        predicted = predictor.predict_distribution(table.iloc[test])
        cpu_s = time.process_time() - began_s
        crps = predicted.crps(runtime_s[test])
        alone = crps if alone is None else alone
        gain = bootstrap(alone - crps, schedule.submit_s[test])
        row = score(predicted, runtime_s[test]).loc["all"]
        by = score(predicted, runtime_s[test], by=quartile(schedule.procs[test]))["cover_90"]
        print(
            f"{name:24}CRPS {row['crps']:.4f}  gain {gain.mean:+.4f} [{gain.low:+.4f}, "
            f"{gain.high:+.4f}]  90 %: {row['cover_90']:.3f}, by size {by.min():.3f}-"
            f"{by.max():.3f}, width {row['width_90']:.2f}  NLPD {row['nlpd']:.2f}  "
            f"MAE {row['mae'] / 60:.1f}, median {row['median_ae'] / 60:.1f} min  {cpu_s:.1f} CPU-s",
            flush=True,
        )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("traces", nargs="*")
    given = parser.parse_args()
    for name in given.traces or TRACES:
        schedule = ew.replay(ew.load(name), "easy")
        for seed in range(given.seeds):
            compare(schedule, seed, given.all)


if __name__ == "__main__":
    main()
