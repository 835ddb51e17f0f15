"""Key the execution cache by everything that a chapter's numbers depend on.

jupyter-cache looks at the code of the cells only: after an edit in ``lib/`` it would serve the old
numbers. Here the cache folder is named by a fingerprint of the code, the data and the effort.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pooch

REQUIRED = ("lib", "requirements.txt")
OPTIONAL = ("data", "traces", "batsim", "telemetry", "experiments", "tests/data")
IGNORED = ("__pycache__", ".ipynb_checkpoints", "*.egg-info")
LARGE_BYTES = 256 * 2**20  # beyond this, reading a file at every build would take too long
KEPT = 5
PROVENANCE = "chapters/provenance"


def fingerprint(root: Path, environ: Mapping[str, str]) -> str:
    """Hash the inputs of a build: 16 hexadecimal digits.

    ``root`` is the book's folder; of ``environ``, EXAWATT_EFFORT, EXAWATT_DATA and EXAWATT_CACHE
    count.
    """
    for name in REQUIRED:
        if not (root / name).exists():
            raise FileNotFoundError(f"{root / name} is missing: the book's cache is keyed by it.")
    effort = environ.get("EXAWATT_EFFORT") or "full"
    total = hashlib.sha256(f"{effort} {platform.python_version()}".encode())
    for name in (*REQUIRED, *OPTIONAL):
        _add(total, root / name, label=name)
    for name in ("EXAWATT_DATA", "EXAWATT_CACHE"):
        if environ.get(name):
            _add(total, root / environ[name], label=f"${name}")
    return total.hexdigest()[:16]


def _add(total, path: Path, label: str) -> None:
    for file in _files(path):
        name = f"{label}/{file.relative_to(path).as_posix()}"
        total.update(f"\n{name}\n{_digest(file)}".encode())


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for file in sorted(path.rglob("*")):
        inside = [Path(part) for part in file.relative_to(path).parts]
        if file.is_file() and not any(p.match(pattern) for p in inside for pattern in IGNORED):
            yield file


def _digest(file: Path) -> str:
    state = file.stat()
    if state.st_size > LARGE_BYTES:
        return f"{state.st_size} {state.st_mtime_ns}"
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def prune(caches: Path, keep: int = KEPT) -> None:
    """Delete all but the most recently used cache folders."""
    folders = sorted(caches.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in folders[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def _choose_cache(app, config) -> None:
    root = Path(app.srcdir)
    if os.environ.get("EXAWATT_DATA"):  # chapters run in their own folder: make it absolute
        os.environ["EXAWATT_DATA"] = str((root / os.environ["EXAWATT_DATA"]).resolve())
    if not os.environ.get("EXAWATT_CACHE"):  # downloads are inputs like the others
        os.environ["EXAWATT_CACHE"] = str(pooch.os_cache("exawatt"))
    caches = root / "_build" / ".jupyter_cache"
    chosen = caches / fingerprint(root, os.environ)
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    prune(caches)
    config.nb_execution_cache_path = str(chosen)


def _forget_after_warnings(app, exception) -> None:
    """Make the next build read every page again if this one warned.

    Sphinx warns while it reads a page, and reads only changed pages: a second build would pass.
    """
    if app._warncount:
        with contextlib.suppress(FileNotFoundError):
            (Path(app.doctreedir) / "environment.pickle").unlink()


def _reread_on_new_commit(app, env, added, changed, removed) -> set[str]:
    """Read the provenance page again when the commit changed, which no file of it shows."""
    git = ["git", "-C", str(app.srcdir)]
    state = ""
    with contextlib.suppress(OSError):  # no git: the page says so
        for question in (["rev-parse", "HEAD"], ["status", "--porcelain"]):
            state += subprocess.run([*git, *question], capture_output=True, text=True).stdout
    before, env.exawatt_commit = getattr(env, "exawatt_commit", None), state
    return set() if state == before else {PROVENANCE} & set(env.found_docs)


def setup(app):
    # After jupyter-book's own settings, before Sphinx compares them with the last build's.
    app.connect("config-inited", _choose_cache, priority=100)
    app.connect("env-get-outdated", _reread_on_new_commit)
    app.connect("build-finished", _forget_after_warnings)
    return {"version": "0.1", "parallel_read_safe": True, "parallel_write_safe": True}
