"""A file of whole lines that grows by one write at a time and can always be continued."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

_BLOCK = 65536


class OutputError(Exception):
    """A file cannot be written; the text names it and says what to do."""


class AppendedFile:
    """A file that ends in a whole block of lines, whatever happens.

    Parameters
    ----------
    path : Path
        The file. One that is there is continued if its first line is `header`. What follows its
        last line end was torn by a crash or a power cut, and is cut off.
    header : str
        The first line.

    Attributes
    ----------
    continues : bool
        Whether the file held lines before.

    Raises
    ------
    OutputError
        The file cannot be opened, is something else, or another process is recording to it.
    """

    def __init__(self, path: Path, header: str) -> None:
        self.path = path
        self._fd = _open(path)
        try:
            self._lock()
            was = os.fstat(self._fd).st_size
            self._size = self._whole(header.encode(), was)
            self._torn = was - self._size
            self.continues = self._size > 0
            os.ftruncate(self._fd, self._size)
            if not self.continues:
                self.write(header.encode())
        except BaseException:
            self.close()
            raise

    @property
    def remark(self) -> str:
        """What to say about the state in which the file was found, if anything."""
        if not self.continues:
            return ""
        torn = f" after cutting {self._torn} bytes of a torn line" if self._torn else ""
        return f", which it continues{torn}"

    def write(self, lines: bytes) -> None:
        """Append lines in one write; if they do not fit, cut back to where they began."""
        try:
            written = os.write(self._fd, lines)
            reason = "no space for a whole sample"
        except OSError as error:
            written, reason = 0, _reason(error)
        if written < len(lines):
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise OutputError(f"{self.path}: {reason}; it ends with the last whole sample.")
        self._size += len(lines)

    def close(self) -> None:
        """Close the file, and let others record to it."""
        os.close(self._fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{self.path}: another process is recording to it; choose another --output."
            ) from None
        except OSError:
            pass  # a file system without locks

    def _whole(self, header: bytes, size: int) -> int:
        """Length of the whole lines [bytes]; 0 when there is not even a header."""
        begin = os.pread(self._fd, len(header), 0)
        if begin != header and not (header.startswith(begin) and size < len(header)):
            first = header.decode().strip()
            raise OutputError(
                f"{self.path}: its first line is not {first!r}; choose another --output."
            )
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            at = os.pread(self._fd, end - start, start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
        return 0


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: {_reason(error)}; choose another --output.") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OutputError(f"{path}: is no regular file; choose another --output.")
    return fd


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
