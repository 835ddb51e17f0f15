"""What a result was made with: commit, processor, versions of libraries."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from exawatt.readers.catalog import REPOSITORY


def commit() -> str:
    """Commit of this repository, with a mark when files differ from it."""
    git = ["git", "-C", str(REPOSITORY)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return "unknown (no git)"
    if head.returncode:
        return "unknown (no repository)"
    return head.stdout.strip() + (", with uncommitted changes" if changes.stdout.strip() else "")


def processor() -> str:
    """Model of this machine's processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or "unknown"


def hardware() -> str:
    """Processor, its cores, and how many threads libraries were told to use."""
    threads = os.environ.get("OMP_NUM_THREADS") or "as many as they like"
    return f"{processor()}, {os.cpu_count()} cores, threads of libraries: {threads}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of Python and of each package; ``absent`` of those that are not installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
