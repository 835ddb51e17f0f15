"""Power of a release: windows of recordings, with hosts hashed and dates removed."""

import re

import numpy as np
import pandas as pd

from exawatt.telemetry.aggregate import KEYS
from exawatt.telemetry.pseudonyms import PERSONS, pseudonyms

#: Fields of the power table: unit and meaning.
POWER_FIELDS: dict[str, dict[str, str]] = {
    "time_s": {"unit": "s", "meaning": "begin of the window, from second 0 of the release"},
    "host": {"unit": "", "meaning": "host, keyed hash"},
    "zone": {"unit": "", "meaning": "RAPL zone"},
    "device": {"unit": "", "meaning": "number of the GPU in its host"},
    "power_w": {"unit": "W", "meaning": "mean power over the part of the window that was seen"},
    "energy_j": {"unit": "J", "meaning": "energy of that part"},
    "samples": {"unit": "", "meaning": "usable samples in the window"},
    "missing_s": {"unit": "s", "meaning": "part of the window that was not seen"},
}

#: Names that the kernel gives to zones; anything else could be a text of somebody's own.
_ZONE = re.compile(
    r"(package|die|psys|core|uncore|dram|mmio|\d+)([-/:](die|core|uncore|dram|\d+))*"
)


def released_power(
    power: pd.DataFrame, key: bytes, window_s: float, origin_ns: int
) -> pd.DataFrame:
    """Bring windows of power to the form in which they may leave.

    Parameters
    ----------
    power : DataFrame
        As :func:`exawatt.telemetry.aggregate.aggregate` makes it.
    key : bytes
        Key of the release.
    window_s : float
        Length of the windows that may leave [s].
    origin_ns : int
        What becomes second 0 [ns since 1970, UTC].

    Raises
    ------
    ValueError
        The windows have another length, or a zone has a name that no kernel gives.
    """
    if not np.isclose(power["window_s"], window_s).all():
        lengths = sorted(set(power["window_s"]))
        raise ValueError(
            f"power has windows of {lengths} s; aggregate the recording with window_s={window_s}."
        )
    table = power.assign(time_s=(power["time_ns"] - origin_ns) / 1e9)
    if "host" in table:
        table["host"] = pseudonyms(table["host"], key, PERSONS["host"])
    for zone in table["zone"].unique() if "zone" in table else ():
        if not _ZONE.fullmatch(str(zone)):
            raise ValueError(f"zone {zone!r} is no name of a RAPL zone, such as package-0/core.")
    if "device" in table:
        table["device"] = table["device"].astype(np.int64)
    published = table[[name for name in POWER_FIELDS if name in table]]
    order = [name for name in ("time_s", *KEYS) if name in published]
    return published.sort_values(order, kind="stable", ignore_index=True)
