"""Published measurements of power, as tables with one set of names.

References
----------
.. [1] J. You, J.-W. Chung, M. Chowdhury, "Zeus: Understanding and Optimizing GPU Energy
   Consumption of DNN Training", NSDI 2023.
.. [2] Q. Hu et al., "Characterization of Large Language Model Development in the Datacenter",
   NSDI 2024.
"""

from pathlib import Path

import numpy as np
import pandas as pd

_SOCKETS = ("cpu1_w", "dram1_w", "cpu2_w", "dram2_w")


def read_argo_nodes(path: Path | str) -> pd.DataFrame:
    """Node power that Slurm showed at one moment on the Argo cluster (ICTP).

    Returns
    -------
    DataFrame
        ``node``, ``kind`` (processor), ``power_w``, and two measures of utilisation [-]:
        ``allocated``, the share of processors given to jobs, and ``load``, the load average
        over the cores. Nodes with GPUs are left out.

    Notes
    -----
    Nodes of 40 processors have 20 cores of two threads each: their load does not exceed 20.
    """
    table = pd.read_csv(path)
    table = table[table["Gres"] == "(null)"]
    cores = np.where(table["CPUTot"] == 40, 20, table["CPUTot"])
    found = pd.DataFrame(
        {
            "node": table["NodeName"],
            "kind": table["AvailableFeatures"].str.rsplit(",", n=1).str[-1],
            "power_w": table["CurrentWatts"].astype(np.float64),
            "allocated": table["CPUAlloc"] / table["CPUTot"],
            "load": table["CPULoad"] / cores,
        }
    )
    return found.reset_index(drop=True)


def read_dahu_minutes(path: Path | str) -> pd.DataFrame:
    """RAPL power of GRICAD's Dahu nodes by the minute: ``host``, ``minute_utc``, ``power_w``.

    Power is that of both processors and their memory. Hosts of other kinds, and hosts with less
    than a day of minutes, are left out.
    """
    table = pd.read_parquet(path)
    table["host"] = table["host"].astype("str")
    table["power_w"] = table[list(_SOCKETS)].sum(axis=1).astype(np.float64)
    table = table[table["host"].str.startswith("dahu")]
    minutes = table.groupby("host")["power_w"].transform("size")
    columns = ["host", "minute_utc", "power_w"]
    return table.loc[minutes >= 1440, columns].sort_values(columns[:2], ignore_index=True)


def read_zeus_power(path: Path | str) -> pd.DataFrame:
    """Mean GPU power of training runs [1]_.

    Returns
    -------
    DataFrame
        ``dataset``, ``network``, ``batch_size``, ``optimizer``, ``limit_w``, ``epoch_s``,
        ``power_w``.
    """
    names = {"power_limit": "limit_w", "time_per_epoch": "epoch_s", "average_power": "power_w"}
    table = pd.read_csv(path).rename(columns=names)
    return table.astype({"limit_w": np.float64, "batch_size": np.int64})


def read_acme_power(path: Path | str) -> pd.DataFrame:
    """Quantiles of power in Acme's two clusters [2]_, at even steps of share from 0 to 1.

    Returns
    -------
    DataFrame
        Indexed by the share of samples that lie below; ``kalos_gpu_w``, ``seren_gpu_w``,
        ``seren_gpu_server_w``, ``seren_cpu_server_w``.
    """
    table = pd.read_csv(path).set_index("cdf_percent")
    table.index = pd.Index(table.index / 100, name="share")
    return table.rename(columns=lambda name: name.replace("_power_W", "_w"))


def read_kabre_energy(path: Path | str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Energy of jobs that had whole nodes of Kabré (partitions ``nu``), and what was left out.

    Returns
    -------
    table : DataFrame
        ``partition``, ``submit``, ``energy_j``, ``proc_s``.
    dropped : dict
        Rows by the reason for which they are not in the table.
    """
    table = pd.read_csv(path)
    whole = table["Partition"].str.fullmatch("nu(-.*)?")
    kept = table[whole]
    dropped = {"other partitions, which share nodes": int((~whole).sum())}
    for reason, bad in {
        "exact duplicates": kept.duplicated(),
        "no energy": ~(kept["ConsumedEnergyRaw"] > 0),
        "no processor time": ~(kept["CPUTimeRAW"] > 0),
    }.items():
        bad = bad.reindex(kept.index)
        dropped[reason] = int(bad.sum())
        kept = kept[~bad]
    names = {
        "Partition": "partition",
        "Submit": "submit",
        "ConsumedEnergyRaw": "energy_j",
        "CPUTimeRAW": "proc_s",
    }
    found = kept[list(names)].rename(columns=names).reset_index(drop=True)
    return found.assign(submit=pd.to_datetime(found["submit"])), dropped
