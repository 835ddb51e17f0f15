"""Texts in plain or gzip files."""

import gzip
from pathlib import Path


def read_text(path: Path | str) -> str:
    """Content of a file; one whose name ends in ``.gz`` is unpacked."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file.")
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def write_text(path: Path | str, text: str) -> None:
    """Write a file; one whose name ends in ``.gz`` is packed, the same bytes every time."""
    path = Path(path)
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
