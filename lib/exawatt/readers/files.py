"""Files, compressed or not: read whole, with a checksum and an honest word on truncation."""

import bz2
import gzip
import hashlib
import lzma
import zlib
from pathlib import Path
from typing import NamedTuple

import zstandard

#: Endings that name a compression.
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


class TraceError(ValueError):
    """A file that cannot be read as it stands: says where, what stood there, and what to do.

    Attributes
    ----------
    path : str
    line : int or None
        Counted from 1.
    field, value : str or None
        Name of the field and the text found in it.
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        line: int | None = None,
        field: str | None = None,
        value: str | None = None,
    ) -> None:
        self.path, self.line, self.field, self.value = str(path), line, field, value
        where = [str(path)]
        where += [f"line {line}"] if line is not None else []
        where += [f"{field}={value!r}"] if field is not None else []
        super().__init__(f"{', '.join(where)}: {problem}")


class FileText(NamedTuple):
    """A file's decompressed bytes, the checksum of the file as it lies, and what went wrong."""

    text: bytes
    sha256: str
    broken: str | None


def read_file(path: Path) -> FileText:
    """Read a file whole, decompressing by its ending (.gz, .bz2, .xz, .zst).

    A stream that ends early or is damaged yields what could be read, with the reason in
    ``broken``: the caller decides whether that is an error.
    """
    raw = path.read_bytes()
    sha256 = hashlib.sha256(raw).hexdigest()
    if path.suffix not in COMPRESSIONS:
        return FileText(raw, sha256, None)
    text, broken = _decompress(raw, path.suffix)
    return FileText(text, sha256, broken)


def read_start(path: Path, size: int = 1 << 16) -> bytes:
    """Read what the first `size` bytes of a file hold, decompressed by its ending."""
    with path.open("rb") as file:
        raw = file.read(size)
    return _decompress(raw, path.suffix)[0] if path.suffix in COMPRESSIONS else raw


def _decompress(raw: bytes, suffix: str) -> tuple[bytes, str | None]:
    """Decompressed bytes of all members, up to the first fault."""
    pieces: list[bytes] = []
    while raw:
        stream = _decompressor(suffix)
        try:
            # In slices, so that what precedes a damaged place is kept.
            for begin in range(0, len(raw), 1 << 18):
                pieces.append(stream.decompress(raw[begin : begin + (1 << 18)]))
                if stream.eof:
                    break
        except (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
            return b"".join(pieces), f"damaged {suffix} stream ({error})"
        if not stream.eof:
            return b"".join(pieces), f"{suffix} stream ends early, an unknown number of jobs lost"
        consumed = begin + (1 << 18)
        raw = stream.unused_data + raw[consumed:]
    return b"".join(pieces), None


def _decompressor(suffix: str):  # type: ignore[no-untyped-def]
    """One member's decompressor; all four share ``decompress``, ``eof`` and ``unused_data``."""
    if suffix == ".gz":
        return zlib.decompressobj(wbits=31)
    if suffix == ".bz2":
        return bz2.BZ2Decompressor()
    if suffix == ".xz":
        return lzma.LZMADecompressor()
    return zstandard.ZstdDecompressor().decompressobj()


def write_file(path: Path, text: bytes) -> None:
    """Write bytes, compressed by the path's ending, the same bytes every time."""
    pack = {
        ".gz": lambda data: gzip.compress(data, mtime=0),
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }.get(path.suffix, bytes)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(pack(text))
    partial.replace(path)


def bare_name(path: Path) -> str:
    """File name without compression and format endings: ``a.swf.gz`` is ``a``."""
    name = path.name
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return Path(name).stem
