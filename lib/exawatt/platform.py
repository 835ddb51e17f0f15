"""Platform: the machine, its processors and its watts."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exawatt.workload import Workload


@dataclass(frozen=True)
class Platform:
    """A machine of identical nodes whose power is linear in its busy processors.

    The default watts are the *stand-in*: archive traces carry no power, so every energy figure
    made with them holds for an assumed machine, not for the one that was traced.

    Parameters
    ----------
    nodes, procs : int
        Nodes, and processors in all of them together.
    idle_w, busy_w, sleep_w : float
        Power of a node with no processor busy, with all busy, and asleep [W].
    fall_asleep_s, fall_asleep_w, wake_s, wake_w : float
        Time [s] and power [W] of a node's transitions into and out of sleep.
    pue : float
        Power usage effectiveness: facility energy over IT energy [-].
    name : str
        What to call the machine and its watts.
    """

    nodes: int
    procs: int
    idle_w: float = 95.0
    busy_w: float = 190.738
    sleep_w: float = 9.75
    fall_asleep_s: float = 6.1
    fall_asleep_w: float = 101.0
    wake_s: float = 152.0
    wake_w: float = 125.2
    pue: float = 1.0
    name: str = "stand-in"

    def __post_init__(self) -> None:
        """Refuse machines that cannot be."""
        if not 1 <= self.nodes <= self.procs:
            raise ValueError(f"nodes(={self.nodes}) must lie between 1 and procs(={self.procs}).")
        if not 0 <= self.idle_w <= self.busy_w:
            raise ValueError(
                f"idle_w(={self.idle_w}) must lie between 0 and busy_w(={self.busy_w})."
            )
        if self.pue < 1:
            raise ValueError(f"pue(={self.pue}) must be at least 1.")

    @classmethod
    def stand_in(cls, workload: Workload) -> Self:
        """Machine of a trace's own size, with the stand-in's watts."""
        return cls(nodes=workload.nodes or workload.procs, procs=workload.procs)

    def with_idle_ratio(self, ratio: float) -> Self:
        """Return the same machine with idle power at `ratio` of busy power [-]."""
        return replace(self, idle_w=ratio * self.busy_w, name=f"{self.name}, idle/busy {ratio:g}")

    @property
    def procs_per_node(self) -> float:
        """Processors in a node, on average [-]."""
        return self.procs / self.nodes

    @property
    def busy_proc_w(self) -> float:
        """Power that one busy processor adds to an idle machine [W]."""
        return (self.busy_w - self.idle_w) / self.procs_per_node

    def power_w(self, busy_procs: ArrayLike) -> NDArray[np.float64]:
        """Power of the whole machine, all nodes awake [W].

        Parameters
        ----------
        busy_procs : array_like
            Processors in use.
        """
        return self.nodes * self.idle_w + self.busy_proc_w * np.asarray(busy_procs, np.float64)
