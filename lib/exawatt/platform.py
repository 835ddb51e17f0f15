"""Platform: the machine, its partitions, and their watts."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from exawatt.facility import Pue
from exawatt.stats import Floats
from exawatt.units import doubt
from exawatt.workload import Workload


@dataclass(frozen=True)
class Partition:
    """Identical nodes with one queue; a node's power is linear in its busy processors.

    The default watts are the *stand-in*: archive traces carry no power, so every energy figure
    made with them holds for an assumed machine, not for the one that was traced.

    Parameters
    ----------
    nodes, procs, gpus : int
        Nodes, and processors and GPUs in all of them together.
    number : int
        The value of a workload's ``partition`` column that means this one.
    exclusive : bool
        Whether jobs take whole nodes.
    idle_w, busy_w, sleep_w : float
        Power of a node with no processor busy, with all busy, and asleep [W].
    gpu_w : float
        Power that a busy GPU adds [W].
    fall_asleep_s, fall_asleep_w, wake_s, wake_w : float
        Time [s] and power [W] of a node's transitions into and out of sleep.
    """

    nodes: int
    procs: int
    gpus: int = 0
    number: int = -1
    exclusive: bool = False
    idle_w: float = 95.0
    busy_w: float = 190.738
    sleep_w: float = 9.75
    gpu_w: float = 0.0
    fall_asleep_s: float = 6.1
    fall_asleep_w: float = 101.0
    wake_s: float = 152.0
    wake_w: float = 125.2

    def __post_init__(self) -> None:
        """Refuse machines that cannot be."""
        if not 1 <= self.nodes <= self.procs:
            raise ValueError(f"nodes(={self.nodes}) must lie between 1 and procs(={self.procs}).")
        if self.gpus < 0:
            raise ValueError(f"gpus(={self.gpus}) must not be negative.")
        if not 0 <= self.idle_w <= self.busy_w:
            raise ValueError(
                f"idle_w(={self.idle_w}) must lie between 0 and busy_w(={self.busy_w})."
            )
        for name in ("sleep_w", "gpu_w", "fall_asleep_s", "fall_asleep_w", "wake_s", "wake_w"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}(={getattr(self, name)}) must be finite, not negative.")
        if self.exclusive and (self.procs % self.nodes or self.gpus % self.nodes):
            raise ValueError(
                f"whole nodes need nodes of one size: {self.procs} processors and {self.gpus} "
                f"GPUs do not divide over nodes(={self.nodes}); pass exclusive=False."
            )
        doubt("busy_w", self.busy_w, 1, 200_000, "power of one node is in watts; 1 kW is 1000")

    @property
    def procs_per_node(self) -> float:
        """Processors in a node, on average [-]."""
        return self.procs / self.nodes

    @property
    def busy_proc_w(self) -> float:
        """Power that one busy processor adds to an idle machine [W]."""
        return (self.busy_w - self.idle_w) / self.procs_per_node

    @property
    def idle_machine_w(self) -> float:
        """Power of all nodes awake, with no job [W]."""
        return self.nodes * self.idle_w

    @property
    def full_w(self) -> float:
        """Power with every processor and GPU busy [W]."""
        return self.nodes * self.busy_w + self.gpus * self.gpu_w

    def dynamic_w(self, procs: ArrayLike, gpus: ArrayLike, power_w: ArrayLike) -> Floats:
        """Power that each job adds to the idle machine [W].

        Parameters
        ----------
        procs, gpus : array_like, shape (n_jobs,)
            What each job uses.
        power_w : array_like, shape (n_jobs,)
            Its measured mean power, idle power of its nodes included [W]; NaN where unknown.
        """
        share = np.asarray(procs, np.float64)
        modelled = self.busy_proc_w * share + self.gpu_w * np.asarray(gpus, np.float64)
        measured = np.asarray(power_w, np.float64)
        above_idle = np.maximum(measured - self.idle_w * share / self.procs_per_node, 0.0)
        return np.where(np.isnan(measured), modelled, above_idle)


@dataclass(frozen=True)
class Platform:
    """A machine of one or more partitions.

    Parameters
    ----------
    partitions : tuple of Partition
        With a single one, all jobs go there; else to the one with the number that the job names.
    pue : float or Pue
        Power usage effectiveness: facility energy over IT energy [-], a constant or by load and
        season.
    name : str
        What to call the machine and its watts.
    """

    partitions: tuple[Partition, ...]
    pue: float | Pue = 1.0
    name: str = "stand-in"

    def __post_init__(self) -> None:
        """Refuse machines that cannot be."""
        object.__setattr__(self, "partitions", tuple(self.partitions))
        if not self.partitions:
            raise ValueError("partitions(=()) is empty: a platform needs nodes; pass a Partition.")
        numbers = [partition.number for partition in self.partitions]
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"partitions have the numbers {numbers}; each needs its own.")
        Pue.of(self.pue)

    @classmethod
    def uniform(
        cls,
        nodes: int,
        procs: int,
        pue: float | Pue = 1.0,
        name: str = "stand-in",
        **partition: Any,
    ) -> Self:
        """Machine of a single partition; further arguments are those of :class:`Partition`."""
        return cls((Partition(nodes, procs, **partition),), pue=pue, name=name)

    @classmethod
    def stand_in(cls, workload: Workload) -> Self:
        """Machine of a trace's own size, with the stand-in's watts."""
        nodes = workload.nodes or workload.procs
        return cls.uniform(nodes=nodes, procs=workload.procs, gpus=workload.gpus)

    def with_idle_ratio(self, ratio: float) -> Self:
        """Return the same machine with idle power at `ratio` of busy power [-]."""
        partitions = tuple(
            replace(partition, idle_w=ratio * partition.busy_w) for partition in self.partitions
        )
        return replace(self, partitions=partitions, name=f"{self.name}, idle/busy {ratio:g}")

    @property
    def nodes(self) -> int:
        """Nodes of all partitions."""
        return sum(partition.nodes for partition in self.partitions)

    @property
    def procs(self) -> int:
        """Processors of all partitions."""
        return sum(partition.procs for partition in self.partitions)

    @property
    def gpus(self) -> int:
        """GPUs of all partitions."""
        return sum(partition.gpus for partition in self.partitions)

    @property
    def idle_machine_w(self) -> float:
        """Power of all nodes awake, with no job [W]."""
        return sum(partition.idle_machine_w for partition in self.partitions)

    @property
    def full_w(self) -> float:
        """Power with everything busy [W]."""
        return sum(partition.full_w for partition in self.partitions)
