"""The JSON file beside a recording that says what it is a recording of."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from exawatt.telemetry.appending import OutputError


def path_of(recording: Path) -> Path:
    """Sidecar of a recording: ``run.csv.json`` of ``run.csv``."""
    return recording.with_name(recording.name + ".json")


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a sidecar so that a reader sees the old one or the new one, also after a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path}: cannot be written: {reason}.") from None


def earlier_runs(path: Path) -> list[dict[str, Any]]:
    """Return the sidecars of the runs that wrote to a recording so far, the first one first."""
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
        return [*last.pop("earlier", []), last]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # lost: the recording itself is what counts
