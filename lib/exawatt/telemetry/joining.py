"""Energy of jobs: recordings and accounting, joined by time and host."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exawatt.stats import Floats
from exawatt.telemetry.energy import energies
from exawatt.telemetry.meter import COMPONENTS
from exawatt.telemetry.recording import Recording
from exawatt.workload import Workload

#: What adds up over recordings, devices and hosts. The sensor's tolerance and an error in the
#: job's times are the same in all of them; other uncertainties add by their variances.
_SUMS = ["energy_j", "variance_j2", "sensor_j", "times_j", "coverage", "counter", "integral"]


_APART = re.compile(r",(?![^\[]*\])")
_RANGES = re.compile(r"\[([\d,-]+)\]")


def node_devices(recording: Recording) -> list[Any]:
    """Devices of a recording that make up a node, none of them counted twice.

    All GPUs; of RAPL's zones the packages and their memory. A package holds its cores, and
    ``psys`` the packages: it is taken only where there is no package.
    """
    if recording.key == "device":
        return recording.devices
    parts = [
        zone
        for zone in recording.devices
        if zone.startswith("package-") and ("/" not in zone or zone.endswith("/dram"))
    ]
    return parts or recording.devices[:1]


def job_energy(
    recordings: Iterable[Recording],
    jobs: Workload | pd.DataFrame,
    *,
    resolution_s: float = 1.0,
    extrapolate: bool = False,
) -> pd.DataFrame:
    """Energy of each job on the hosts that were recorded.

    Parameters
    ----------
    recordings : iterable of Recording
        Of any hosts, times and kinds. Of two that overlap on one device, the one that began
        first counts while it lasts.
    jobs : Workload or DataFrame
        One row a job. ``hosts``: as a sequence or with commas between, also as Slurm shortens
        them (``n[08-10]``). They are those of the recordings' sidecars if they agree up to the
        first dot.
        ``start_utc`` and ``end_utc``: UTC instants; a workload with a ``start`` may have
        ``start_s`` and ``end_s`` instead, or ``wait_s``. ``procs``: processors in all, spread
        evenly over the hosts; needed where jobs share a node.
    resolution_s : float
        To what the accounting knows a job's start and end [s]; whole seconds in Slurm.
    extrapolate : bool
        Take mean power for gaps too; see :func:`~exawatt.telemetry.energy.energy`.

    Returns
    -------
    DataFrame
        With the index of the jobs: ``energy_j``; ``uncertainty_j``, its standard uncertainty,
        without the accuracy of RAPL, of which no tolerance is published;
        ``coverage``, the share of node time that was measured; ``method`` (``counter``,
        ``integral``, both with ``+`` between, or ``none``); and ``shared``.

    Notes
    -----
    A job alone on a node has all of the node's energy. Where several are on one node at one
    moment, the node's power at that moment, idle power included, is split among them by the
    processors they hold there: no energy is lost or counted twice. Such jobs are marked
    ``shared``; their uncertainty is that of the node's energy in proportion, and says nothing of
    how fair the split is.
    """
    table = jobs.jobs if isinstance(jobs, Workload) else jobs
    parts = _parts(table, jobs.start if isinstance(jobs, Workload) else None)
    recorded = [recording for recording in recordings if len(recording.table)]
    short = _short_names([*(recording.host for recording in recorded), *parts["host"].unique()])
    by_host: dict[str, list[Recording]] = defaultdict(list)
    for recording in recorded:
        by_host[short[recording.host]].append(recording)
    found = [
        _on_host(by_host[str(host)], rows, resolution_s, extrapolate)
        for host, rows in parts.groupby(parts["host"].map(short), sort=False)
        if str(host) in by_host
    ]
    if recorded and not any((rows["coverage"] > 0).any() for rows in found):
        warnings.warn(f"no job was measured: {_why(recorded, parts)}", stacklevel=2)
    hosts = np.array([len(_names(value)) for value in table["hosts"]])
    return _summed(pd.concat(found) if found else None, hosts, table.index)


def _short_names(hosts: Iterable[str]) -> dict[str, str]:
    """First part of each host's name: accounting seldom has the domain that a host may tell.

    Raises
    ------
    ValueError
        Two hosts of different domains would become one.
    """
    short: dict[str, str] = {}
    long: dict[str, str] = {}
    for host in dict.fromkeys(hosts):
        whole = host.lower()
        name = whole.partition(".")[0]
        short[host] = name = whole if name.isdecimal() else name  # an address has no name
        if name == whole:
            continue
        other = long.setdefault(name, whole)
        if not (f"{whole}.".startswith(f"{other}.") or f"{other}.".startswith(f"{whole}.")):
            raise ValueError(f"hosts {whole} and {other} have the same short name, {name}.")
    return short


def _why(recorded: list[Recording], parts: pd.DataFrame) -> str:
    """Why no job was measured, in words."""
    if parts.empty:
        return "none has hosts, a start and an end."
    hosts = sorted({recording.host for recording in recorded}), sorted(set(parts["host"]))
    if not set(_short_names(hosts[0]).values()) & set(_short_names(hosts[1]).values()):
        return "the recordings are of {}, the jobs of {}.".format(*map(_some, hosts))
    spans = np.array([_span_ns(recording) for recording in recorded])
    instants = [
        spans[:, 0].min(),
        spans[:, 1].max(),
        parts["begin_ns"].min(),
        parts["end_ns"].max(),
    ]
    texts = [f"{pd.Timestamp(instant).floor('s'):%Y-%m-%d %H:%M:%S}" for instant in instants]
    return "the recordings are from {} to {} UTC, the jobs from {} to {} UTC.".format(*texts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _parts(jobs: pd.DataFrame, origin: pd.Timestamp | None) -> pd.DataFrame:
    """One row a job and host: row of the job, host, begin and end [ns], processors there."""
    if "hosts" not in jobs:
        raise ValueError(f"jobs has no column 'hosts'; it has {list(jobs.columns)}.")
    hosts = [_names(value) for value in jobs["hosts"]]
    begin, end = _instants(jobs, origin)
    counts = np.array([len(names) for names in hosts], np.int64)
    procs = jobs["procs"].to_numpy(np.float64) if "procs" in jobs else np.full(len(jobs), np.nan)
    table = pd.DataFrame(
        {
            "row": np.repeat(np.arange(len(jobs)), counts),
            "host": [name for names in hosts for name in names],
            "begin_ns": np.repeat(begin, counts),
            "end_ns": np.repeat(end, counts),
            "procs": np.repeat(procs / np.maximum(counts, 1), counts),
        }
    )
    known = table["begin_ns"] > np.iinfo(np.int64).min
    return table[known & (table["end_ns"] > table["begin_ns"])]


def _names(hosts: Any) -> list[str]:
    if isinstance(hosts, str):
        return [name for part in _APART.split(hosts) for name in _expanded(part.strip()) if name]
    return [str(name) for name in hosts] if isinstance(hosts, Sequence | np.ndarray) else []


def _expanded(name: str) -> list[str]:
    """Hosts of a name with ranges, as Slurm writes them: ``n[08-10,12]``."""
    found = _RANGES.search(name)
    if found is None:
        return [name]
    numbers = []
    for part in found[1].split(","):
        first, _, last = part.partition("-")
        numbers += [
            f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)
        ]
    before, after = name[: found.start()], _expanded(name[found.end() :])
    return [before + number + rest for number in numbers for rest in after]


def _instants(
    jobs: pd.DataFrame, origin: pd.Timestamp | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of each job [ns since 1970, UTC]."""
    if {"start_utc", "end_utc"} <= set(jobs):
        begin, end = (pd.to_datetime(jobs[name], utc=True) for name in ("start_utc", "end_utc"))
    else:
        if origin is None:
            raise ValueError(
                "jobs has no start_utc and end_utc; pass them, or a Workload with a start."
            )
        start_s = jobs["start_s"] if "start_s" in jobs else jobs["submit_s"] + jobs["wait_s"]
        end_s = jobs["end_s"] if "end_s" in jobs else start_s + jobs["runtime_s"]
        begin, end = (origin + pd.to_timedelta(seconds, unit="s") for seconds in (start_s, end_s))
    return _nanoseconds(begin), _nanoseconds(end)


def _nanoseconds(instants: pd.Series) -> NDArray[np.int64]:
    """Integers; an unknown instant becomes the least of them."""
    return instants.to_numpy("datetime64[ns]").astype(np.int64)


def _on_host(
    recordings: list[Recording], jobs: pd.DataFrame, resolution_s: float, extrapolate: bool
) -> pd.DataFrame:
    """Energy of each job on one host."""
    begin, end = jobs["begin_ns"].to_numpy(), jobs["end_ns"].to_numpy()
    node = _node_energy(recordings, begin, end, extrapolate)
    # What the node drew in the time by which a start and an end may be off.
    node["times_j"] = node["energy_j"] * 1e9 / (end - begin) * resolution_s / np.sqrt(6)
    shared = _sharing(jobs)
    share = np.ones(len(jobs))
    if shared.any():
        share[shared] = _shares(recordings, jobs)[shared]
    for column in ("energy_j", "sensor_j", "times_j"):
        node[column] *= share
    node["variance_j2"] *= share**2
    return node.assign(row=jobs["row"].to_numpy(), shared=shared)


def _sharing(jobs: pd.DataFrame) -> NDArray[np.bool_]:
    """Which jobs of one host are there while another is."""
    order = np.argsort(jobs["begin_ns"].to_numpy(), kind="stable")
    begin, end = jobs["begin_ns"].to_numpy()[order], jobs["end_ns"].to_numpy()[order]
    latest = np.maximum.accumulate(end)
    with_earlier = np.append(False, begin[1:] < latest[:-1])
    with_later = np.append(begin[1:] < end[:-1], False)
    shared = np.empty(order.size, np.bool_)
    shared[order] = with_earlier | with_later
    return shared


def _shares(recordings: list[Recording], jobs: pd.DataFrame) -> Floats:
    """Share of each job in its node's energy while it was there [-]."""
    procs = jobs["procs"].to_numpy()
    if not (procs > 0).all():
        raise ValueError("jobs share a node: they need a column 'procs' with positive numbers.")
    begin, end = jobs["begin_ns"].to_numpy(), jobs["end_ns"].to_numpy()
    edges = np.unique(np.concatenate([begin, end]))
    first, last = np.searchsorted(edges, begin), np.searchsorted(edges, end)
    present = _running_sum(first, last, procs, edges.size)
    busy = _running_sum(first, last, np.ones(procs.size), edges.size) > 0
    joules = np.zeros(edges.size - 1)
    joules[busy] = _node_energy(recordings, edges[:-1][busy], edges[1:][busy], False)["energy_j"]
    per_proc = np.divide(joules, present, out=np.zeros(present.size), where=busy)
    node_j, proc_j = (np.append(0.0, np.cumsum(values)) for values in (joules, per_proc))
    whole = node_j[last] - node_j[first]
    own = procs * (proc_j[last] - proc_j[first])
    return np.divide(own, whole, out=np.zeros(whole.size), where=whole > 0)


def _running_sum(
    first: NDArray[np.intp], last: NDArray[np.intp], weight: Floats, size: int
) -> Floats:
    """Sum of the weights that are present between each two of `size` edges."""
    changes = np.bincount(first, weight, size) - np.bincount(last, weight, size)
    return np.cumsum(changes)[:-1]


def _node_energy(
    recordings: list[Recording],
    begin_ns: NDArray[np.int64],
    end_ns: NDArray[np.int64],
    extrapolate: bool,
) -> pd.DataFrame:
    """Sum over a node's devices: energy, variance, common error, coverage, methods."""
    kinds: dict[tuple[str, Any], list[Recording]] = defaultdict(list)
    for recording in recordings:
        for device in node_devices(recording):
            kinds[recording.format, device].append(recording)
    tables = [
        _device_energy(same, device, begin_ns, end_ns, extrapolate)
        for (_, device), same in kinds.items()
    ]
    node = sum(tables[1:], tables[0])
    node["coverage"] /= len(tables)
    return node


def _device_energy(
    recordings: list[Recording],
    device: Any,
    begin_ns: NDArray[np.int64],
    end_ns: NDArray[np.int64],
    extrapolate: bool,
) -> pd.DataFrame:
    """Sum over the recordings of one device, each for the time that none before it has."""
    total = pd.DataFrame(0.0, index=range(begin_ns.size), columns=_SUMS)
    ordered = sorted(recordings, key=_span_ns)
    taken_ns = np.iinfo(np.int64).min
    for recording in ordered:
        last_ns = _span_ns(recording)[1] if recording is not ordered[-1] else end_ns
        begin, end = np.maximum(begin_ns, taken_ns), np.minimum(end_ns, last_ns)
        asked = np.flatnonzero(end > begin)
        if asked.size:
            found = energies(recording, device, begin[asked], end[asked], extrapolate=extrapolate)
            lengths_s = (end_ns - begin_ns)[asked] / 1e9
            total.iloc[asked] += _terms(found, lengths_s)
        taken_ns = max(taken_ns, _span_ns(recording)[1])
    return total


def _terms(found: pd.DataFrame, lengths_s: Floats) -> Floats:
    """One recording's part of each of _SUMS; nothing where it measured nothing."""
    independent = [name for name in COMPONENTS if name != "sensor_j"]
    columns = [
        found["energy_j"],
        (found[independent] ** 2).sum(axis=1),
        found["sensor_j"],
        np.zeros(len(found)),
        (1 - found["gap_share"]) * found["duration_s"] / lengths_s,
        found["method"] == "counter",
        found["method"] == "integral",
    ]
    known = found["method"].to_numpy() != "none"
    terms = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return np.where(known[:, None], terms, 0.0)


def _span_ns(recording: Recording) -> tuple[int, int]:
    times = recording.table["time_ns"].to_numpy()
    return int(times[0]), int(times[-1])


def _summed(parts: pd.DataFrame | None, hosts: NDArray[np.int64], index: pd.Index) -> pd.DataFrame:
    """One row a job, from a row a job and host."""
    if parts is None:
        parts = pd.DataFrame(columns=[*_SUMS, "row", "shared"], dtype=np.float64)
    jobs = parts.groupby("row")[[*_SUMS, "shared"]].sum().reindex(range(len(index)), fill_value=0)
    used = [np.where(jobs[name] > 0, name, "") for name in ("counter", "integral")]
    both = (jobs["counter"] > 0) & (jobs["integral"] > 0)
    known = (jobs["counter"] + jobs["integral"]) > 0
    variance_j2 = jobs["variance_j2"] + jobs["sensor_j"] ** 2 + jobs["times_j"] ** 2
    return pd.DataFrame(
        {
            "energy_j": jobs["energy_j"].where(known),
            "uncertainty_j": variance_j2.pow(0.5).where(known),
            "coverage": jobs["coverage"] / np.maximum(hosts, 1),
            "method": np.select([both, known], ["counter+integral", used[0] + used[1]], "none"),
            "shared": jobs["shared"] > 0,
        }
    ).set_index(index)
