"""GB carbon intensity as NESO publishes it: its API's JSON, and CSV made from it.

References
----------
.. [1] Carbon Intensity API, National Energy System Operator, https://carbonintensity.org.uk
"""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.intensity import Intensity
from exawatt.readers.files import TraceError, bare_name, read_file
from exawatt.workload import Tier

HALF_HOUR = pd.Timedelta(minutes=30)


def read_intensity(
    path: Path | str, *, strict: bool = True, name: str | None = None, tier: Tier = "real"
) -> Intensity:
    """Read half-hourly actual carbon intensity from CSV or API JSON, plain or compressed.

    Parameters
    ----------
    path : path-like
        CSV or Parquet with columns ``from`` and ``actual``, or JSON as the API answers
        (``{"data": [{"from", "to", "intensity": {"actual", ...}}]}``). Where a column ``fill``
        names a rule, the value counts as filled by it.
    strict : bool
        Raise when one half-hour comes twice with different values; otherwise keep the last,
        and say so in the notes.
    name : str, optional
        What to call the series; the file's name when not given.
    tier : {"real", "twin", "tiny"}
        Whether it was measured or generated.

    Raises
    ------
    TraceError
        Naming file, line (of a CSV) or entry (of JSON), field and value.

    Notes
    -----
    An ``actual`` that is null or zero is missing: zeros are recorded faults of the service.
    Half-hours that the file does not hold are gaps. Nothing is filled in.
    """
    path = Path(path)
    file = read_file(path)
    if file.broken is not None:
        raise TraceError(path, f"{file.broken}; fetch the file again.")
    table = _table(path, file.text)
    if table.empty:
        raise TraceError(path, "holds no half-hour.")
    times, actual = _times(path, table), _actual(path, table)
    twice = times.duplicated(keep=False)
    notes = []
    if twice.any():
        spread = actual[twice].groupby(times[twice]).nunique(dropna=False)
        if strict and (spread > 1).any():
            when = spread.index[spread > 1][0]
            value = ", ".join(f"{v:g}" for v in actual[times == when])
            problem = f"{when} comes twice with different values"
            advice = "pass strict=False to keep the last"
            raise TraceError(path, f"{problem}; {advice}.", None, "actual", value)
        notes.append(f"{int(times.duplicated().sum())} half-hours came twice")
    zeros = int((actual == 0).sum())
    if zeros:
        notes.append(f"{zeros} half-hours with a faulty actual of 0 taken as missing")
    series = pd.Series(actual.where(actual > 0).to_numpy(), index=times)
    series = series[~series.index.duplicated(keep="last")].sort_index()
    whole = series.reindex(pd.date_range(series.index[0], series.index[-1], freq=HALF_HOUR))
    filled = whole.index.isin(times[_filled(path, table)])
    absent, empty = len(whole) - len(series), int(series.isna().sum()) - zeros
    notes += [f"{absent} half-hours are absent from the file"] if absent else []
    notes += [f"{empty} half-hours have no actual"] if empty > 0 else []
    return Intensity(
        start=whole.index[0],
        gco2_per_kwh=whole.to_numpy(dtype=np.float64),
        name=name or bare_name(path),
        source=str(path),
        sha256=file.sha256,
        tier=tier,
        filled=filled,
        fill="week" if filled.any() else None,
        notes=tuple(notes),
    )


def _table(path: Path, text: bytes) -> pd.DataFrame:
    if text.lstrip()[:1] == b"{":
        return _json(path, text)
    table = _parquet(path, text) if text[:4] == b"PAR1" else _csv(path, text)
    missing = [column for column in ("from", "actual") if column not in table.columns]
    if missing:
        raise TraceError(path, f"has no column {missing}; its columns are {list(table.columns)}.")
    return table


def _parquet(path: Path, text: bytes) -> pd.DataFrame:
    try:
        table = pd.read_parquet(io.BytesIO(text))
    except (ValueError, OSError) as error:
        raise TraceError(path, f"is no Parquet table ({str(error).strip()}).") from None
    if "actual" in table.columns:  # whole numbers that may be missing are a type of their own
        table["actual"] = table["actual"].astype(np.float64)
    return table


def _json(path: Path, text: bytes) -> pd.DataFrame:
    try:
        entries = json.loads(text)["data"]
        rows = [(entry["from"], entry["intensity"]["actual"]) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        problem = f"is no answer of the Carbon Intensity API ({type(error).__name__}: {error})"
        wanted = "expected data[].from and data[].intensity.actual"
        raise TraceError(path, f"{problem}; {wanted}.") from None
    return pd.DataFrame(rows, columns=["from", "actual"])


def _csv(path: Path, text: bytes) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(text), dtype=str)
    except (ValueError, UnicodeDecodeError) as error:
        raise TraceError(path, f"is no CSV table ({str(error).strip()}).") from None


def _times(path: Path, table: pd.DataFrame) -> pd.DatetimeIndex:
    times = pd.to_datetime(table["from"], utc=True, errors="coerce", format="ISO8601")
    bad = times.isna() | (times.dt.floor("30min") != times)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        problem = "is not the UTC beginning of a half-hour (YYYY-MM-DDThh:mmZ)."
        raise TraceError(path, problem, row + 2, "from", str(table["from"].iloc[row]))
    return pd.DatetimeIndex(times)


def _actual(path: Path, table: pd.DataFrame) -> pd.Series:
    texts = table["actual"]
    actual = pd.to_numeric(texts, errors="coerce")
    bad = (actual.isna() & texts.notna()) | (actual < 0) | np.isinf(actual)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        problem = "is no carbon intensity [gCO2/kWh]."
        raise TraceError(path, problem, row + 2, "actual", str(texts.iloc[row]))
    return actual.astype(np.float64).reset_index(drop=True)


def _filled(path: Path, table: pd.DataFrame) -> np.ndarray:
    """Rows whose value a rule supplied, says the file."""
    if "fill" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    rules = table["fill"]
    bad = rules.notna() & (rules != "week")
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TraceError(path, "is no rule; 'week' is.", row + 2, "fill", str(rules.iloc[row]))
    return rules.notna().to_numpy()
