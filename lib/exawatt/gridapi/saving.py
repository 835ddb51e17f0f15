"""Fetched tables as files: CSV or Parquet by the ending, whole or not at all."""

import io
from pathlib import Path

import pandas as pd

from exawatt.gridapi.answers import TIME_FORMAT
from exawatt.readers.files import COMPRESSIONS, write_file


def check_ending(path: Path) -> None:
    """Refuse a path whose ending names no format, before anything is fetched for it."""
    name = path.name
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    if not (name.endswith(".csv") or path.suffix == ".parquet"):
        raise ValueError(f"{path}: pass a name that ends in .csv, .csv.gz or .parquet.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder for {path.name}.")


def save(table: pd.DataFrame, path: Path) -> None:
    """Write a fetched table.

    Parameters
    ----------
    table : DataFrame
        Times in CSV are written as the service does, whole amounts without decimals.
    path : path-like
        ``.csv``, also compressed (``.csv.gz``), or ``.parquet``.
    """
    check_ending(path)
    numbers = table.select_dtypes("number").columns
    table = table.assign(**{str(name): _whole(table[name]) for name in numbers})
    if path.suffix == ".parquet":
        packed = io.BytesIO()
        table.to_parquet(packed, index=False)
        write_file(path, packed.getvalue())
        return
    text = table.to_csv(index=False, date_format=TIME_FORMAT, lineterminator="\n")
    write_file(path, text.encode())


def _whole(values: pd.Series) -> pd.Series:
    """Integers that may be missing, where there is nothing after any decimal point."""
    return values.astype("Int64") if (values.dropna() % 1 == 0).all() else values
