"""Score predictors on four logs and three seeds, and EASY with them on two; about a CPU-hour.

Usage: EXAWATT_DATA=... python experiments/train_prediction.py [--only prediction|scheduling]

Writes experiments/results/prediction and experiments/results/scheduling, and needs the real logs.
What is finished is kept under _build/train, so that a run that was stopped goes on.
"""

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from importlib import import_module

from exawatt.experiment import Input, Manifest, StaleError, save
from exawatt.experiment.machine import commit, versions
from exawatt.experiment.results import code_of
from exawatt.experiment.units import COMPUTING, Units
from exawatt.readers.catalog import REPOSITORY, load, named

SCRIPT = "experiments/train_prediction.py"
RESULTS = ("prediction", "scheduling")


def main() -> None:
    """Make the results that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=RESULTS, help="make this result alone")
    only = parser.parse_args().only
    try:
        for name in [only] if only else RESULTS:
            train(name)
    except StaleError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted. Finished parts are kept: run it again to go on from here.")


def train(name: str) -> None:
    """Make one result, from the module of its name."""
    module = import_module(f"exawatt.experiment.{name}")
    missing = [log for log in module.LOGS if named(log, "traces").find() is None]
    if missing:
        sys.exit(f"{name} needs the real logs {', '.join(missing)}; see traces/README.md.")
    print(f"{name}: {', '.join(module.LOGS)}", flush=True)
    code = code_of(SCRIPT, [module.__name__])
    workloads = {log: load(log) for log in module.LOGS}
    units = Units(REPOSITORY / "_build" / "train" / name, code, partial(print, flush=True))
    tables = module.make(workloads, units)
    manifest = Manifest(
        command="make train",
        script=SCRIPT,
        modules=[module.__name__],
        code=code,
        inputs=[Input.of(workload) for workload in workloads.values()],
        libraries=versions(COMPUTING),
        settings=module.SETTINGS,
        hardware=sorted(units.hardware),
        cpu_s=round(units.cpu_s, 1),
        commit=commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        tables={},
    )
    target = save(name, manifest, tables)
    print(f"wrote {target.relative_to(REPOSITORY)}, {units.cpu_s / 60:.0f} CPU-minutes in all")


if __name__ == "__main__":
    main()
