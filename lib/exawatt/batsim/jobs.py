"""A job as the simulator knows it."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from exawatt.batsim.execution import Execution

SUBMITTED = "SUBMITTED"
RUNNING = "RUNNING"
SUCCESS = "COMPLETED_SUCCESSFULLY"
FAILED = "COMPLETED_FAILED"
WALLTIME = "COMPLETED_WALLTIME_REACHED"
KILLED = "COMPLETED_KILLED"
REJECTED = "REJECTED"
NOT_SUBMITTED = "NOT_SUBMITTED"

_NOTHING_J = np.longdouble(0)

COMPLETED = (SUCCESS, FAILED, WALLTIME, KILLED)


class Job:
    """A job, what it asks for, and what became of it.

    Parameters
    ----------
    raw : dict
        Its JSON object.
    workload : str
        Name of its workload, where its id does not tell.
    """

    __slots__ = (
        "alloc",
        "announcement",
        "before_j",
        "end_s",
        "energy_j",
        "execution",
        "hosts",
        "id",
        "inbox",
        "kill_requested",
        "metadata",
        "name",
        "profile",
        "raw",
        "return_code",
        "start_s",
        "state",
        "submit_s",
        "walltime_s",
        "workload",
    )

    def __init__(self, raw: dict[str, Any], workload: str) -> None:
        before, separator, name = str(raw["id"]).partition("!")
        self.workload = before if separator else workload
        self.name = name if separator else before
        self.id = f"{self.workload}!{self.name}"
        self.raw = raw
        self.submit_s = float(raw["subtime"])
        self.hosts: int = raw["res"]
        self.walltime_s = float(raw.get("walltime", -1))
        self.profile: str = raw["profile"]
        self.state = NOT_SUBMITTED
        self.alloc = 0
        self.announcement = ""
        self.start_s = -1.0
        self.end_s = -1.0
        self.return_code = -1
        self.before_j = _NOTHING_J
        self.energy_j = -1.0
        self.metadata = ""
        self.kill_requested = False
        self.inbox: list[Any] = []
        self.execution: Execution | None = None
