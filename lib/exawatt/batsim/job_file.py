"""Batsim's JSON workloads: jobs and profiles, checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exawatt.batsim.files import read_text
from exawatt.batsim.profiles import Book, check_sequences, number

WORKLOAD = "w0"
"""Name of the workload in job identifiers."""


@dataclass(frozen=True, eq=False)
class JobFile:
    """Jobs and profiles of a Batsim workload file, checked.

    Parameters
    ----------
    jobs : tuple of dict
        The file's jobs: ``id``, ``subtime`` [s], ``res``, ``profile``, perhaps ``walltime`` [s]
        and further fields, which are forwarded to the scheduler as they are.
    profiles : dict
        The file's profiles by name.
    hosts : int
        Size of the machine that the file was made for (``nb_res``).
    path : str
        Where it was read; schedulers are told.
    about : dict
        What the file says of the trace that it was made from.
    """

    jobs: tuple[dict[str, Any], ...]
    profiles: dict[str, dict[str, Any]]
    hosts: int
    path: str = "workload"
    about: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check every job against its profile."""
        book = Book({WORKLOAD: self.profiles})
        check_sequences(self.profiles, lambda name: book[WORKLOAD, name])
        if not isinstance(self.hosts, int) or self.hosts < 1:
            raise ValueError(f"nb_res(={self.hosts!r}) must be a whole number, at least 1.")
        seen: dict[str, Any] = {}
        sizes = set()
        for job in self.jobs:
            check_job(job)
            identifier, profile, size = job["id"], job["profile"], job["res"]
            if profile not in self.profiles:
                raise ValueError(f"job {identifier!r} has an unknown profile(={profile!r}).")
            if (profile, size) not in sizes:
                book.check_job(WORKLOAD, identifier, profile, size)
                sizes.add((profile, size))
            workload, separator, name = str(identifier).rpartition("!")
            if separator and workload != WORKLOAD:
                raise ValueError(
                    f"job {identifier!r} is of workload {workload!r}; pass {name!r}, or "
                    f"'{WORKLOAD}!{name}'."
                )
            if name in seen:
                raise ValueError(
                    f"two jobs have id {seen[name]!r}"
                    + ("" if seen[name] == identifier else f" and {identifier!r}, the same job")
                    + "; each needs its own."
                )
            seen[name] = identifier


def check_job(job: Any) -> None:
    """Refuse a job without the fields that Batsim needs, naming the bad value."""
    if not isinstance(job, dict) or "id" not in job:
        raise ValueError(f"job {job!r} is no object with an id.")
    try:
        if isinstance(job["id"], bool) or not isinstance(job["id"], int | str) or job["id"] == "":
            raise ValueError("has no such id; it must be a text or a whole number")
        number(job, "subtime")
        if job.get("walltime", -1) != -1 and number(job, "walltime") == 0:
            raise ValueError(
                f"has walltime(={job['walltime']!r}); it must be positive, or left out"
            )
        res = job.get("res")
        if isinstance(res, bool) or not isinstance(res, int) or res < 1:
            raise ValueError(f"has res(={res!r}); it must be a whole number of hosts, at least 1")
        if not isinstance(job.get("profile"), str):
            raise ValueError(f"has profile(={job.get('profile')!r}); it must be a profile's name")
    except ValueError as error:
        raise ValueError(f"job {job['id']!r} {error}.") from None


def read_job_file(path: Path | str) -> JobFile:
    """Read a Batsim workload (``.json`` or ``.json.gz``).

    Raises
    ------
    ValueError
        The file is none; the message names the bad value.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it holds no object with 'jobs' and 'profiles'.")
        for key, kind in (("jobs", list), ("profiles", dict), ("nb_res", int)):
            if not isinstance(content.get(key), kind):
                raise ValueError(f"{key}(={str(content.get(key))[:60]}) must be a {kind.__name__}.")
        return JobFile(
            tuple(content["jobs"]),
            content["profiles"],
            content["nb_res"],
            str(path),
            content.get("exawatt"),
        )
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply to be a workload.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is no Batsim workload: no JSON ({error}).") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
