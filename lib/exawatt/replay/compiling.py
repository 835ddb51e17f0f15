"""How the kernel is compiled, and when what was compiled is out of date."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from numba import njit


def _sources_stamp() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _sources_stamp()
# Nothing here allocates, so Numba's reference counting is off (it doubles the time of a replay).
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False, "error_model": "numpy"}


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function of the kernel, and keep the result on disk.

    Numba forgets a kept result when its own file changes, but not when a function that it calls
    does; here any change of this folder counts.
    """
    dispatcher = njit(**_OPTIONS, **options)(function)
    dispatcher._cache._cache_file._source_stamp = _STAMP
    return cast("Callable[..., Any]", dispatcher)


def compiled_inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that becomes part of whichever calls it: a call would pass every array."""
    return compiled(function, forceinline=True)
