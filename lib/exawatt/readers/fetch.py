"""Downloads: a trace or series comes from its publisher into the cache, or not at all."""

import hashlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from exawatt.readers.catalog import Entry, cache_folder
from exawatt.readers.files import COMPRESSIONS, read_file

_BY_HAND = "put {file} into traces/ or data/raw/ yourself"


class FetchError(OSError):
    """A file that could not be had from its publisher: names the address, and what went wrong."""


def fetch(
    entry: Entry, *, progress: bool = True, timeout_s: float = 30.0, cache: Path | None = None
) -> Path:
    """Download a trace or series, unless the cache has it already, and return its path.

    Parameters
    ----------
    entry : Entry
        One of the catalog's.
    progress : bool
        Show a bar on standard error.
    timeout_s : float
        Give up when the server sends nothing for so long [s].
    cache : Path, optional
        Folder to keep it in; :func:`cache_folder` when not given. Files there whose checksum is
        wrong are deleted and fetched again.

    Raises
    ------
    FetchError
        There is no address, the server does not give the file, or what it gave has neither of
        the catalog's checksums. Nothing is left of such a download.

    Notes
    -----
    A file counts as the catalog's when its own sha256 is right or that of its decompressed text:
    mirrors compress the same text anew, and some servers unpack it on the way.
    """
    if not timeout_s > 0:
        raise ValueError(f"timeout_s(={timeout_s!r}) must be > 0 seconds.")
    folder = cache_folder() if cache is None else Path(cache)
    if (here := cached(entry, folder)) is not None:
        return here
    if not entry.url:
        see = f"see {entry.page}, and " if entry.page else ""
        by_hand = _BY_HAND.format(file=entry.file)
        raise FetchError(f"{entry.name} has no address of a single file: {see}{by_hand}.")
    for damaged in entry.downloads(folder):
        damaged.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever ends this block, Ctrl-C too, the half-written file goes with its folder.
    with TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        ending = PurePosixPath(urlsplit(entry.url).path).suffix
        got = Path(scratch) / f"download{ending if ending in COMPRESSIONS else ''}"
        _download(entry, got, progress, timeout_s)
        return got.replace(folder / _proven_name(entry, got))


def cached(entry: Entry, folder: Path) -> Path | None:
    """Path of an earlier download whose checksum is right, if there is one."""
    there = (path for path in entry.downloads(folder) if path.is_file())
    return next((path for path in there if entry.matches(path)), None)


def _download(entry: Entry, target: Path, progress: bool, timeout_s: float) -> None:
    """Write what the publisher's server sends to `target`."""
    import pooch  # with requests a third of a second, which no other verb should pay
    from tqdm import tqdm

    # pooch sets the total; a bar that starts with none would be false, and it would not use it.
    with tqdm(
        total=1, desc=entry.name, unit="B", unit_scale=True, disable=not progress, leave=False
    ) as bar:
        download = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=2**15,
            timeout=timeout_s,
            headers={"Accept-Encoding": "identity"},
        )
        try:
            download(entry.url, str(target), None)
        except (OSError, ValueError) as error:
            why = _why(error, timeout_s)
            by_hand = _BY_HAND.format(file=entry.file)
            raise FetchError(f"{entry.url}: {why}. Try again later, or {by_hand}.") from error


def _why(error: Exception, timeout_s: float) -> str:
    """What went wrong with a download, in a user's words."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error).lower():
        return f"the server sent nothing for {timeout_s:g} s (time-out)"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection ended before the file did"
    if isinstance(error, exceptions.ConnectionError):
        reason = getattr(error.args[0], "reason", error) if error.args else error
        return f"no connection ({str(reason).rsplit(': ', 1)[-1]})"
    return f"{type(error).__name__}: {error}"


def _proven_name(entry: Entry, got: Path) -> str:
    """Name that a download gets in the cache, by what it turned out to be."""
    text, sha256, broken = read_file(got)
    sha256_text = hashlib.sha256(text).hexdigest()
    bare = entry.file.removesuffix(".gz")
    if sha256 == entry.sha256:
        return entry.file
    if sha256 == entry.sha256_text:
        return bare
    if broken is None and sha256_text == entry.sha256_text:
        return bare + got.suffix
    raise FetchError(
        f"{entry.url}: not the catalog's file, and deleted. Expected sha256 {entry.sha256}, or "
        f"{entry.sha256_text} of its text; found {sha256}, of its text {broken or sha256_text}. "
        f"If the publisher has a new version, look at it and {_BY_HAND.format(file=entry.file)}."
    )
