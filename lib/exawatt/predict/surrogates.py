"""Surrogates that this project trains: on Kabré's log, on Zeus's runs, and on a twin."""

import hashlib
from pathlib import Path

import numpy as np

from exawatt.predict.applications import learn_runs, read_runs
from exawatt.predict.cards import Data, Surrogate
from exawatt.predict.energy import (
    N_TREES,
    Trial,
    learn_jobs,
    measured_j,
    modelled_j,
    submitted,
    whole_node_jobs,
)
from exawatt.readers.catalog import load, shared_folder
from exawatt.readers.twin import trace_twins
from exawatt.workload import Workload

#: Files of the power of training runs, by model of GPU, in the folder ``power`` of $EXAWATT_DATA.
ZEUS = {
    name: f"zeus_summary_power_{name.lower()}.csv.gz" for name in ("V100", "A40", "P100", "RTX6000")
}
TWIN_OF = "KTH-SP2"
FORECAST = (
    "Budgets and forecasts of the energy of jobs before they start: ranges of single jobs, and "
    "the order of jobs by energy."
)
NOT_BILLS = "No bill should rest on it: what a job took is measured when it has ended."


def kabre_trial(
    workload: Workload, whole_nodes: bool = True, n_trees: int = N_TREES, seed: int = 0
) -> Trial:
    """Train and try on a log with energies.

    Parameters
    ----------
    workload : Workload
        Such as Kabré's.
    whole_nodes : bool
        Keep to jobs that had their nodes to themselves: energies are those of whole nodes. All
        jobs are in the histories.
    n_trees, seed : int
        As for :func:`~exawatt.predict.energy.learn_jobs`.
    """
    schedule, table = submitted(workload)
    joules = measured_j(workload)
    if whole_nodes:
        joules = np.where(whole_node_jobs(workload), joules, np.nan)
    return learn_jobs(workload, schedule, table, joules, n_trees=n_trees, seed=seed)


def train_kabre(command: str, n_trees: int = N_TREES, seed: int = 0) -> Surrogate:
    """Train on Kabré's whole-node partitions; `command` is what the card says trained it."""
    workload = load("Kabre-2024", strict=False)
    trial = kabre_trial(workload, n_trees=n_trees, seed=seed)
    note = "energy that Slurm measured, of jobs with whole nodes of 256 threads (partitions nu*)"
    limits = (
        "One cluster over half a year. Elsewhere the energies are wrong by the difference of the "
        "machines, whatever the intervals say.",
        "Neither users nor applications are logged: partitions and requests stand in for them.",
        "Hard is the runtime, not the power: given the runtime, mean power tells the energy "
        f"within a factor of {_factor(trial):.2f} for half of the jobs.",
        "A few long jobs take most of the energy. Medians of many jobs add up to less than these "
        "took, and means to more; see the scores, column total.",
        "Jobs of which Slurm has no energy, or 0 J, were left out.",
        "Processors are those asked for. Which jobs the log's reader could size was inferred from "
        "all of its processor times, later ones too.",
        NOT_BILLS,
    )
    data = (Data(workload.name, workload.sha256, workload.tier, note),)
    title = "Energy of whole-node jobs on Kabré, 2024"
    return trial.surrogate(title, data, FORECAST, limits, seed, command)


def _factor(trial: Trial) -> float:
    """Median error of the energy when the runtime is known, as a factor."""
    (known,) = (row for name, row in trial.scores().iterrows() if "outcome" in str(name))
    return float(np.exp(known["median_ae_ln"]))


def train_zeus(command: str, seed: int = 0) -> Surrogate:
    """Train on the epochs of Zeus's runs.

    Raises
    ------
    ValueError
        They are not on this machine.
    """
    files = zeus_files()
    if not files:
        raise ValueError(
            "the runs of Zeus are not on this machine; point EXAWATT_DATA to a folder with "
            f"power/{ZEUS['V100']} and the others."
        )
    trial = learn_runs(read_runs(files), seed=seed)
    note = "energy of an epoch: its mean GPU power times its time"
    data = tuple(
        Data(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "real", note)
        for path in files.values()
    )
    limits = (
        "Energy of the GPU alone, for one epoch: nothing of its host, and nothing of how many "
        "epochs a training takes.",
        "Seven tasks on four models of GPU, one GPU each. For another task errors are of a factor "
        "of two or ten: measure 20 of its runs, and fit ExactGP to these.",
        "Texts that were not trained on count as unknown.",
        NOT_BILLS,
    )
    title = "Energy of an epoch of training, NVIDIA V100, A40, P100, RTX 6000"
    return trial.surrogate(title, data, FORECAST, limits, seed, command)


def zeus_files() -> dict[str, Path]:
    """Files of Zeus's runs by model of GPU; none if one is not on this machine."""
    folder = shared_folder()
    files = {name: folder / "power" / file for name, file in ZEUS.items()} if folder else {}
    return files if all(path.is_file() for path in files.values()) else {}


def train_twin(
    command: str, n_jobs: int | None = None, n_trees: int = N_TREES, seed: int = 0
) -> Surrogate:
    """Train on a twin of the KTH log, whose energies come from a power model: nothing measured."""
    workload = trace_twins()[TWIN_OF].generate(TWIN_OF, n_jobs, seed=seed + 1)
    schedule, table = submitted(workload)
    trial = learn_jobs(workload, schedule, table, modelled_j(schedule), n_trees=n_trees, seed=seed)
    note = f"jobs drawn by a model; energy by the watts of {schedule.platform.name}"
    limits = (
        "Twin: neither the jobs nor their energies were measured. Energy is a constant power by "
        "processor times the runtime, so that nothing but the runtime is predicted.",
        "For trying out programs that need a model, and for nothing that is said of a machine.",
    )
    use = "Trying out what needs a surrogate where no measured log may be had."
    data = (Data(workload.name, workload.sha256, workload.tier, note),)
    return trial.surrogate("Energy of jobs of a KTH-SP2 twin", data, use, limits, seed, command)
