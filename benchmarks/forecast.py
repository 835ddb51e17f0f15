"""Time of a year of forecasts, half-hourly and 48 h ahead, and of scoring them.

Usage: python benchmarks/forecast.py
"""

import time
from collections.abc import Callable
from typing import Any

import exawatt as ew
from exawatt.experiment.machine import processor
from exawatt.forecast import climatology, perfect, persistence, regression, score, synthetic

RUNS = 3


def main() -> None:
    """Print best and worst of several runs."""
    history, series = ew.load_intensity("GB-2022"), ew.load_intensity("GB-2023")
    rivals = [persistence(series, history=history), climatology(history, series)]
    work: dict[str, Callable[[], Any]] = {
        "persistence with spread": lambda: persistence(series, history=history),
        "climatology": lambda: climatology(history, series),
        "regression, 11 fits": lambda: regression(history, series),
        "synthetic": lambda: synthetic(series),
        "perfect": lambda: perfect(series),
        "scores of two": lambda: score(rivals, series),
    }
    print(f"{history.label}, {series.label}; {processor()}")
    for name, call in work.items():
        seconds = []
        for _ in range(RUNS):
            began_s = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began_s)
        print(f"{name:24}{min(seconds):8.2f} to {max(seconds):.2f} s", flush=True)


if __name__ == "__main__":
    main()
