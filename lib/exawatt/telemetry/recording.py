"""Recordings: what a logger wrote, read back whole, with its gaps and clock steps named."""

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from exawatt.readers.files import TraceError
from exawatt.stats import Floats
from exawatt.telemetry.recorder import OK, RESTARTED
from exawatt.telemetry.sidecar import path_of

#: Column that names the device, and dtypes of all columns, by the sidecar's format.
#: Counters are whole numbers that may be missing, so that no microjoule is rounded away.
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    "exawatt-rapl-1": (
        "zone",
        {
            "time_ns": "int64",
            "monotonic_ns": "int64",
            "zone": "str",
            "energy_uj": "Int64",
            "total_uj": "Int64",
            "status": "str",
        },
    ),
    "exawatt-nvml-1": (
        "device",
        {
            "time_ns": "int64",
            "monotonic_ns": "int64",
            "device": "int64",
            "power_w": "float64",
            "instant_power_w": "float64",
            "energy_mj": "Int64",
            "utilisation": "float64",
            "memory_utilisation": "float64",
            "memory_used_mib": "float64",
            "sm_clock_mhz": "float64",
            "temperature_c": "float64",
            "status": "str",
        },
    ),
}

#: Usable samples further apart than this many intervals have a gap between them.
GAP_INTERVALS = 2.5
#: Less than this is a slewed clock, or a logger that was interrupted between its two clocks [s].
CLOCK_STEP_S = 0.1

_METADATA = b"exawatt"
_SLEW = 1e-3  # twice what NTP may slew a clock by


@dataclass(frozen=True, eq=False)
class Recording:
    """One file of samples, and what its sidecar says of it.

    Parameters
    ----------
    table : DataFrame
        One row a device (or RAPL zone) a tick, in the columns of :data:`FORMATS`.
    sidecar : mapping
        The JSON beside the file: format, host, interval, devices or zones, metadata.
    path : Path
    torn : str
        An unfinished last line, which is not in `table`: a logger was writing, or was killed.
    """

    table: pd.DataFrame
    sidecar: Mapping[str, Any]
    path: Path
    torn: str = ""
    _rows: dict[Any, pd.DataFrame] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Split the table by device, once."""
        by_device = self.table.groupby(self.key, sort=False)
        object.__setattr__(self, "_rows", dict(iter(by_device)))

    def __repr__(self) -> str:
        """Return the recording in one line."""
        torn = ", torn last line" if self.torn else ""
        devices = ", ".join(str(device) for device in self.devices)
        return (
            f"Recording({self.path.name}: {self.format} on {self.host}, {self.key} {devices}, "
            f"{len(self.table):,} rows over {self.duration_s:,.1f} s{torn})"
        )

    @property
    def format(self) -> str:
        """Format, a key of :data:`FORMATS`."""
        return str(self.sidecar["format"])

    @property
    def key(self) -> str:
        """Column that names the device: ``device`` or ``zone``."""
        return FORMATS[self.format][0]

    @property
    def host(self) -> str:
        """Host that was recorded."""
        return str(self.sidecar["host"])

    @property
    def interval_s(self) -> float:
        """Time between ticks, as the last run of the logger was asked for [s]."""
        return float(self.sidecar["interval_s"])

    @property
    def devices(self) -> list[Any]:
        """GPU indices or RAPL zones, in order of appearance."""
        return list(self._rows)

    @cached_property
    def elapsed_s(self) -> pd.Series:
        """Time of each row since the first [s]: monotonic, and by the wall clock over a reboot."""
        wall, monotonic = (self.table[name].to_numpy() for name in ("time_ns", "monotonic_ns"))
        steps = np.diff(monotonic)
        steps = np.where(steps < 0, np.maximum(np.diff(wall), 1), steps)
        elapsed_ns = np.concatenate([[0], np.cumsum(steps)])[: monotonic.size]
        return pd.Series(elapsed_ns / 1e9, index=self.table.index)

    @property
    def duration_s(self) -> float:
        """Time from the first row to the last [s]."""
        return float(self.elapsed_s.max()) if len(self.table) else 0.0

    def rows(self, device: Any) -> pd.DataFrame:
        """Rows of one device."""
        if device not in self._rows:
            raise ValueError(f"{self.key}(={device!r}) is not recorded; there is {self.devices}.")
        return self._rows[device]


def read_recording(path: Path | str) -> Recording:
    """Read a recording: CSV, while it grows or when it is done, or Parquet.

    Parameters
    ----------
    path : path-like
        ``.parquet`` as :func:`convert` writes it; anything else is CSV with its sidecar beside.

    Raises
    ------
    TraceError
        Naming file, line, field and value. A last line without its line end is no error: it
        is left out, and stands in ``torn``.
    """
    path = Path(path)
    if not path.is_file():
        raise TraceError(path, "is no file.")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    sidecar = _read_sidecar(path)
    text, _, torn = path.read_bytes().rpartition(b"\n")
    table = _parse(path, text + b"\n", FORMATS[sidecar["format"]][1])
    _refuse_disorder(path, table, FORMATS[sidecar["format"]][0])
    return Recording(table, sidecar, path, torn.decode(errors="replace"))


def _read_sidecar(path: Path) -> dict[str, Any]:
    beside = path_of(path)
    if not beside.exists():
        raise TraceError(path, _no_recording(path, beside.name))
    try:
        return _checked(beside, json.loads(beside.read_bytes()))
    except ValueError as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(beside, f"is no JSON ({error}); restore the sidecar.") from None


def _no_recording(path: Path, sidecar: str) -> str:
    """What to say of a file without a sidecar."""
    with path.open("rb") as file:
        first = file.readline(1000).decode(errors="replace").rstrip("\n")
    if not first:
        return "is empty: it is no recording."
    if first not in [",".join(dtypes) for _, dtypes in FORMATS.values()]:
        return "is no recording: its first line is not that of a logger's file."
    return f"lacks its sidecar {sidecar}, which the logger wrote beside it: keep the two together."


def _checked(path: Path, sidecar: Any) -> dict[str, Any]:
    fields = sidecar if isinstance(sidecar, dict) else {}
    missing = [name for name in ("format", "host", "interval_s") if name not in fields]
    if missing:
        raise TraceError(path, f"says nothing of {missing}: it is no recording's sidecar.")
    if fields["format"] not in FORMATS:
        problem = f"is of an unknown format; {list(FORMATS)} can be read."
        raise TraceError(path, problem, None, "format", str(fields["format"]))
    runs = [*fields.get("earlier", []), fields]
    hosts = list(dict.fromkeys(str(run.get("host", fields["host"])) for run in runs))
    if len(hosts) > 1:
        problem = "is of several hosts; split the recording where it was continued."
        raise TraceError(path, problem, None, "host", ", ".join(hosts))
    return fields


def _parse(path: Path, text: bytes, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Table of a whole CSV text; a line that does not fit is named."""
    header = text[: text.index(b"\n")].decode(errors="replace")
    if header != ",".join(dtypes):
        raise TraceError(path, f"the header must be {','.join(dtypes)!r}.", 1, "header", header)
    octets = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(octets == ord("\n"))
    commas = np.diff(np.searchsorted(np.flatnonzero(octets == ord(",")), ends), prepend=0)
    odd = np.flatnonzero(commas != len(dtypes) - 1)
    if odd.size:
        line = int(odd[0])
        content = text[ends[line - 1] + 1 : ends[line]].decode(errors="replace")
        problem = f"has {commas[line] + 1} fields instead of {len(dtypes)}; remove the line."
        raise TraceError(path, problem, line + 1, "line", content[:80])
    try:
        return _csv(text, dict(dtypes))
    except (ValueError, TypeError, OverflowError):
        raise _odd_value(path, text, dtypes) from None


def _csv(text: bytes, dtypes: dict[str, str]) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(text),
        dtype=dtypes,
        na_values={name: ["nan"] for name, dtype in dtypes.items() if dtype != "str"},
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
        encoding_errors="replace",
        skip_blank_lines=False,
    )


def _odd_value(path: Path, text: bytes, dtypes: Mapping[str, str]) -> TraceError:
    """First value that is not what its column holds."""
    texts = _csv(text, dict.fromkeys(dtypes, "str"))
    numeric = [name for name, dtype in dtypes.items() if dtype != "str"]
    bad = {name: np.flatnonzero(_is_odd(texts[name], dtypes[name])) for name in numeric}
    row, name = min((int(rows[0]), name) for name, rows in bad.items() if rows.size)
    wanted = "a number" if dtypes[name] == "float64" else "a whole number"
    return TraceError(path, f"is not {wanted}; remove the line.", row + 2, name, texts[name][row])


def _is_odd(texts: pd.Series, dtype: str) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce")
    odd = numbers.isna() if dtype == "int64" else numbers.isna() & (texts != "nan")
    if dtype != "float64":
        odd |= numbers.notna() & ((numbers % 1 != 0) | (numbers.abs() >= 2**63))
    return odd


def _refuse_disorder(path: Path, table: pd.DataFrame, key: str) -> None:
    """Raise where the monotonic clock goes back without a restart, or stands still for a device."""
    moments = table["monotonic_ns"].to_numpy()
    restarted = (table["status"] == RESTARTED).to_numpy()
    back = np.flatnonzero((np.diff(moments) < 0) & ~restarted[1:]) + 1
    again = np.flatnonzero(table.duplicated(["time_ns", "monotonic_ns", key]))
    bad = np.concatenate([back, again])
    if bad.size:
        row = int(bad.min())
        problem = "does not lie after the sample before it: two recordings in one file?"
        raise TraceError(path, problem, row + 2, "monotonic_ns", str(moments[row]))


def _read_parquet(path: Path) -> Recording:
    try:
        content = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise TraceError(path, f"cannot be read as Parquet ({error}).") from None
    stored = (content.schema.metadata or {}).get(_METADATA)
    if stored is None:
        raise TraceError(path, "is no recording: 'exawatt telemetry convert' did not make it.")
    sidecar = _checked(path, json.loads(stored))
    dtypes = FORMATS[sidecar["format"]][1]
    if content.column_names != list(dtypes):
        raise TraceError(path, f"has the columns {content.column_names}, not {list(dtypes)}.")
    return Recording(content.to_pandas().astype(dtypes), sidecar, path)


def convert(path: Path | str, output: Path | str) -> Path:
    """Write a recording as Parquet, its sidecar inside and beside; return the path.

    Raises
    ------
    FileExistsError
        Something has that name already: recordings are never overwritten.

    Notes
    -----
    The file appears under its name only when it is complete.
    """
    output = Path(output)
    if output.suffix != ".parquet":
        raise ValueError(f"output(={str(output)!r}) must end in .parquet.")
    for taken in (output, path_of(output)):
        if taken.exists():
            raise FileExistsError(f"{taken} exists already; pass another output, or move it away.")
    recording = read_recording(path)
    sidecar = json.dumps(dict(recording.sidecar), indent=1).encode()
    content = pa.Table.from_pandas(recording.table, preserve_index=False)
    metadata = {**(content.schema.metadata or {}), _METADATA: sidecar}
    buffer = io.BytesIO()
    pq.write_table(content.replace_schema_metadata(metadata), buffer, compression="zstd")
    _write_whole(path_of(output), sidecar + b"\n")
    _write_whole(output, buffer.getvalue())
    return output


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def usual_spacing(moments_s: Floats, status: NDArray[Any]) -> Floats:
    """Usual time between the rows of one device, at each row [s]; 0 in a run of one row.

    It is the median within each run of the logger, since a file may be continued at another
    interval, and a logger may not manage the interval that it was asked for.
    """
    run = np.cumsum(status == RESTARTED)
    inside = np.diff(run) == 0
    spacing_s = pd.Series(np.diff(moments_s)[inside]).groupby(run[1:][inside])
    # The lower of two middle ones: of three ticks with a pause among them, the shorter.
    usual_s = spacing_s.quantile(0.5, interpolation="lower")
    return usual_s.reindex(run, fill_value=0.0).to_numpy(np.float64)


def gaps(recording: Recording) -> pd.DataFrame:
    """Stretches of time without a whole sample.

    Returns
    -------
    DataFrame
        A row a gap: the device (under its own column's name), ``begin_ns`` and ``end_ns`` (UTC:
        the whole samples, or the recording's ends, around it), ``length_s``, and ``reason``: the
        statuses found there, or ``no sample``.

    Notes
    -----
    Whole samples further apart than :data:`GAP_INTERVALS` times the usual have a gap between them
    even if nothing stands there; see :func:`usual_spacing`. A sample of which only a part could
    be read is not whole.
    """
    columns = [recording.key, "begin_ns", "end_ns", "length_s", "reason"]
    found = [row for device in recording.devices for row in _gaps_of(recording, device)]
    return pd.DataFrame(found, columns=columns)


def _gaps_of(recording: Recording, device: Any) -> list[tuple[Any, int, int, float, str]]:
    rows = recording.rows(device)
    wall = rows["time_ns"].to_numpy()
    elapsed_s = recording.elapsed_s[rows.index].to_numpy()
    status = rows["status"].to_numpy()
    whole = np.isin(status, [OK, RESTARTED])
    # The recording's ends bound what comes before the first whole sample and after the last.
    marks = np.unique(np.concatenate([[0], np.flatnonzero(whole), [len(rows) - 1]]))
    begin, end = marks[:-1], marks[1:]
    broken = (end - begin > 1) | ~whole[begin] | ~whole[end] | (status[end] == RESTARTED)
    usual_s = usual_spacing(elapsed_s, status)[marks]
    late = np.diff(elapsed_s[marks]) > GAP_INTERVALS * np.maximum(usual_s[:-1], usual_s[1:])
    found = []
    for first, last in marks[np.flatnonzero(broken | late)[:, None] + [0, 1]]:
        stretch = status[first if not whole[first] else first + 1 : last + 1]
        reason = "; ".join(dict.fromkeys(stretch[stretch != OK])) or "no sample"
        length_s = float(elapsed_s[last] - elapsed_s[first])
        found.append((device, int(wall[first]), int(wall[last]), length_s, reason))
    return found


def clock_steps(recording: Recording) -> pd.DataFrame:
    """Moments at which the wall clock was set, or the machine slept.

    Returns
    -------
    DataFrame
        A row a step, at the sample after it: ``time_ns``, ``monotonic_ns``, and ``step_s``, by
        how much the wall clock advanced more than the monotonic one [s].

    Notes
    -----
    A clock that NTP slews stays within 0.05 % of the other and is no step.
    """
    ticks = recording.table.drop_duplicates("monotonic_ns")
    wall, monotonic = ticks["time_ns"].to_numpy(), ticks["monotonic_ns"].to_numpy()
    elapsed_s = np.diff(monotonic) / 1e9
    step_s = np.diff(wall) / 1e9 - elapsed_s
    same_boot = elapsed_s > 0
    at = np.flatnonzero(same_boot & (np.abs(step_s) > CLOCK_STEP_S + _SLEW * elapsed_s))
    return pd.DataFrame(
        {"time_ns": wall[at + 1], "monotonic_ns": monotonic[at + 1], "step_s": step_s[at]}
    )
