"""Power of a release: windows of recordings, with hosts hashed and dates removed."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.readers.files import TraceError
from exawatt.telemetry.aggregate import KEYS, WINDOWS_S
from exawatt.telemetry.fields import significant
from exawatt.telemetry.pseudonyms import PERSONS, pseudonyms

#: Fields of the power table: unit and meaning.
POWER_FIELDS: dict[str, dict[str, str]] = {
    "time_s": {"unit": "s", "meaning": "begin of the window, from second 0 of the release"},
    "host": {"unit": "", "meaning": "host, keyed hash"},
    "zone": {"unit": "", "meaning": "RAPL zone"},
    "device": {"unit": "", "meaning": "number of the GPU in its host"},
    "power_w": {"unit": "W", "meaning": "mean power over the part of the window that was seen"},
    "energy_j": {"unit": "J", "meaning": "energy of that part"},
    "missing_s": {"unit": "s", "meaning": "part of the window that was not seen, whole seconds"},
    "spread_s": {"unit": "s", "meaning": "part of which only the energy was seen, whole seconds"},
}
NEEDED = ("time_ns", "window_s", "power_w", "energy_j", "missing_s")

#: Names that the kernel gives to zones; anything else could be a text of somebody's own.
_ZONE = re.compile(
    r"(package|die|psys|core|uncore|dram|mmio|\d+)([-/:](die|core|uncore|dram|\d+))*"
)


def read_windows(path: Path) -> pd.DataFrame:
    """Windows that ``exawatt telemetry aggregate`` wrote."""
    if not path.is_file():
        raise TraceError(path, "is no file.")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except ValueError:
        raise TraceError(path, "holds no windows of 'exawatt telemetry aggregate'.") from None


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
        These are no windows, they have another length, one is there twice, a zone has a name
        that no kernel gives, or no window may leave.

    Notes
    -----
    A window that was not seen wholly, time over which energy was spread included, is left out
    unless those before and after it were: so nobody learns when a recording began or ended, but
    to the window.
    """
    _check(power, window_s)
    keys = [name for name in KEYS if name in power]
    table = _between_whole(power, keys, round(window_s * 1e9))
    if table.empty:
        raise ValueError(
            f"power has {len(power):,} windows, and none of them may leave: one that was not seen "
            "wholly is left out, unless the windows before and after it were. Record for longer."
        )
    _refuse_twice(table, keys)
    # Whole windows, for what is left over would tell which week it was.
    table["time_s"] = (table["time_ns"] - origin_ns) // round(window_s * 1e9) * window_s
    for name in ("power_w", "energy_j"):
        table[name] = significant(table[name])
    for name in {"missing_s", "spread_s"} & set(table):
        table[name] = table[name].round()
    if "host" in table:
        table["host"] = pseudonyms(table["host"], key, PERSONS["host"])
    if "device" in table:  # none in the rows of zones
        table["device"] = table["device"].astype("Int64")
    published = table[[name for name in POWER_FIELDS if name in table]]
    order = [name for name in ("time_s", *KEYS) if name in published]
    return published.sort_values(order, kind="stable", ignore_index=True)


def _check(power: pd.DataFrame, window_s: float) -> None:
    if missing := [name for name in NEEDED if name not in power]:
        raise ValueError(
            f"power has no column {missing[0]!r}: pass windows of 'exawatt telemetry aggregate'."
        )
    if not np.isclose(power["window_s"], window_s).all():
        lengths = sorted(set(power["window_s"]))
        raise ValueError(
            f"power has windows of {' and '.join(f'{length:g}' for length in lengths)} s, and "
            f"times are published to {window_s:g} s: aggregate the recording with "
            f"'--window {window_s:g}'{_or_publish(lengths, window_s)}."
        )
    for zone in power["zone"].dropna().unique() if "zone" in power else ():
        if not _ZONE.fullmatch(str(zone)):
            raise ValueError(f"zone {zone!r} is no name of a RAPL zone, such as package-0/core.")


def _or_publish(lengths_s: list[float], window_s: float) -> str:
    """The other way out, where there is one, and its price."""
    shortest, longest = WINDOWS_S
    if len(lengths_s) > 1 or not shortest <= lengths_s[0] <= longest:
        return ""
    price = ", by which more jobs can be recognised: times get finer"
    return f", or publish with '--window {lengths_s[0]:g}'{price * (lengths_s[0] < window_s)}"


def _between_whole(power: pd.DataFrame, keys: list[str], window_ns: int) -> pd.DataFrame:
    """Windows seen wholly, to half a second, and those that have such a one on both sides."""
    table = power.sort_values([*keys, "time_ns"], ignore_index=True)
    series = table.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    time_ns = table["time_ns"].to_numpy(np.int64)
    unseen_s = table["missing_s"] + table.get("spread_s", 0.0)
    whole = (unseen_s < 0.5).to_numpy()
    between = np.ones(len(table), bool)
    for step in (1, -1):
        beside = (series == np.roll(series, step)) & np.roll(whole, step)
        between &= beside & (time_ns - np.roll(time_ns, step) == step * window_ns)
    return table[whole | between].copy()


def _refuse_twice(table: pd.DataFrame, keys: list[str]) -> None:
    twice = table[table.duplicated([*keys, "time_ns"])]
    if len(twice):
        whose = ", ".join(f"{name}={twice[name].iloc[0]}" for name in keys)
        raise ValueError(
            f"power has {len(twice):,} windows twice, the first of {whose}: pass each recording "
            "to 'exawatt telemetry aggregate' once, and of those that overlap only one."
        )
