"""Files of published power measurements: which are on this machine, and what they are called."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from myst_nb import glue

from exawatt.figures.chapter import effort_of
from exawatt.readers.catalog import REPOSITORY, shared_folder
from exawatt.readers.power_data import (
    read_acme_power,
    read_argo_nodes,
    read_dahu_minutes,
    read_kabre_energy,
    read_zeus_power,
)
from exawatt.telemetry.energy import Method, energy
from exawatt.telemetry.meter import meters
from exawatt.telemetry.recording import Recording, read_recording
from exawatt.workload import label

#: Files of measured power, in the folder ``power`` of $EXAWATT_DATA.
FILES = {
    "Dahu": "dahu_rapl_minute_2019-07.parquet",
    "Argo": "argo_slurm_node_energy_2020-03.csv.gz",
    "Zeus V100": "zeus_summary_power_v100.csv.gz",
    "Zeus A40": "zeus_summary_power_a40.csv.gz",
    "Zeus P100": "zeus_summary_power_p100.csv.gz",
    "Zeus RTX6000": "zeus_summary_power_rtx6000.csv.gz",
    "Kabré": "kabre_slurm_sacct_energy.csv.gz",
    "Acme": "acme_power_cdf.csv.gz",
}
ABSENT = "Its measurements are not on this machine."


@dataclass(frozen=True)
class Measured:
    """A file of measured power.

    Parameters
    ----------
    name, sha256 : str
    path : Path
    """

    name: str
    path: Path
    sha256: str
    tier: str = "real"

    @property
    def label(self) -> str:
        """Name for captions, with the beginning of its checksum."""
        return label(self.name, "real", self.sha256)


def measured(effort: str = "") -> dict[str, Measured]:
    """Measurements that are on this machine, by name; none at effort ``test``."""
    folder = shared_folder()
    if folder is None or effort_of(effort) == "test":
        return {}
    paths = {name: folder / "power" / file for name, file in FILES.items()}
    return {
        name: Measured(name, path, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in paths.items()
        if path.is_file()
    }


def put_absent(key: str, needed: Iterable[str], here: Mapping[str, Measured]) -> None:
    """Hand the prose a warning that measurements are absent; nothing where all are here."""
    absent = [name for name in needed if name not in here]
    text = (
        f"This section needs published measurements that this build does not have: "
        f"{', '.join(absent)}. Nothing generated can take their place. What the text says of "
        "them holds where they are at hand; a dash stands for each number that is missing here. "
        "A build at full effort reads them from the folder `power` of `EXAWATT_DATA`."
    )
    glue(key, Markdown(f":::{{warning}}\n{text}\n:::" if absent else ""), display=False)
    if absent:
        display(Markdown(f"*{text}*"))


def labels(here: Mapping[str, Measured], *starts: str) -> str:
    """Labels of the measurements whose names begin so, for captions; or that there are none."""
    named = [one.label for name, one in here.items() if name.startswith(starts)]
    return ", ".join(named) or f"{', '.join(starts)}, not on this machine"


def read(here: Mapping[str, Measured]) -> dict[str, pd.DataFrame]:
    """Tables of the measurements that are here, by name."""
    found = {}
    for name, one in here.items():
        if name == "Dahu":
            found[name] = read_dahu_minutes(one.path)
        elif name == "Argo":
            found[name] = read_argo_nodes(one.path)
        elif name == "Kabré":
            found[name] = read_kabre_energy(one.path)[0]
        elif name == "Acme":
            found[name] = read_acme_power(one.path)
        else:
            found[name] = read_zeus_power(one.path)
    return found


def recordings(folder: Path = REPOSITORY / "telemetry" / "recordings") -> pd.DataFrame:
    """One row a device of each recording that the project holds: its mean power and energy."""
    paths = sorted([*folder.glob("*.csv"), *folder.glob("*.parquet")])
    columns = ["recording", "device", "duration [s]", "mean power [W]"]
    columns += ["by counter [J]", "by integral [J]"]
    rows = [row for path in paths for row in _recorded(read_recording(path))]
    return pd.DataFrame(rows, columns=columns)


def _recorded(recording: Recording) -> list[tuple[str, str, float, float, float, float]]:
    def joules(device: Any, kind: Method) -> float:
        there = {meter.method for meter in meters(recording, device)}
        return energy(recording, device, method=kind).energy_j if kind in there else np.nan

    rows = []
    for device in recording.devices:
        both = joules(device, "counter"), joules(device, "integral")
        mean_w = energy(recording, device).energy_j / recording.duration_s
        name = f"{recording.key} {device}"
        rows.append((recording.path.stem, name, recording.duration_s, mean_w, *both))
    return rows
