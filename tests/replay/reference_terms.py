"""What the reference scheduler talks about: jobs, the machine, a policy, and what a job takes.

Written from `docs/replay_semantics.md` alone; nothing here comes from the library. The fields of
the machine and of the policy carry the names that the library gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, inf, isnan, nan
from typing import NamedTuple

HALF_HOUR_S = 1800.0
CAUSES = ("hold", "resources", "waking", "cap", "order", "reservation")


@dataclass(frozen=True)
class Job:
    """A job of the trace; `requested_s` and `power_w` are NaN where it has none."""

    submit_s: float
    procs: int
    runtime_s: float
    requested_s: float
    user: int = 0
    gpus: float = 0.0
    partition: int = 0
    power_w: float = nan
    predicted_s: float = nan


@dataclass(frozen=True)
class Partition:
    """A pool of processors and GPUs in nodes, and what a node draws in each state [W]."""

    nodes: int
    procs: int
    gpus: int = 0
    number: int = -1
    exclusive: bool = False
    idle_w: float = 95.0
    busy_w: float = 190.738
    gpu_w: float = 0.0
    sleep_w: float = 9.75
    fall_asleep_s: float = 6.1
    fall_asleep_w: float = 101.0
    wake_s: float = 152.0
    wake_w: float = 125.2


@dataclass(frozen=True)
class Dvfs:
    """Frequency levels, descending, as fractions of the full frequency."""

    levels: tuple[float, ...] = (1.0,)
    beta: float = 0.5
    exponent: float = 3.0


@dataclass(frozen=True)
class CarbonHold:
    """How long a job may be held in all [s], by which rule, and the numbers of that."""

    budget_s: float
    min_saving: float = 0.05
    rule: str = "window"
    threshold_gco2_per_kwh: float | None = None
    quantile: float | None = None
    level: float | None = None
    deadline: str | None = None


@dataclass(frozen=True)
class Multifactor:
    """Weights of age, size and fair share; the age that counts fully [s]; the half-life [s]."""

    age: float
    size: float
    share: float
    max_age_s: float
    half_life_s: float


@dataclass(frozen=True)
class Scorer:
    """A neural network: for each layer a row of weights per output neuron, and its biases."""

    layers: tuple[tuple[tuple[tuple[float, ...], ...], tuple[float, ...]], ...]


@dataclass(frozen=True)
class Forecast:
    """Intensities: row i was issued at `origin_s` + i half-hours, its first value is for then.

    At the origin it is a Monday's midnight on the grid's wall clock. `errors` are by how much the
    value at the level of a hold is off, by lead: of forecasts up to 3, up to 6, and above.
    """

    origin_s: float
    gco2_per_kwh: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, float, float], ...] = ()

    def at_level(self, number: int) -> tuple[float, ...]:
        """Row of the quantiles at the level of a hold, nowhere below zero."""
        row = zip(self.gco2_per_kwh[number], self.errors, strict=True)
        return tuple(max(0.0, value + by[(value > 3) + (value > 6)]) for value, by in row)


Order = str | Multifactor | Scorer


@dataclass(frozen=True)
class Policy:
    """What the scheduler does; the defaults are first come, first served."""

    order: Order = "fcfs"
    head: str = "fresh"
    backfill: str = "none"
    backfill_order: str | None = None
    estimate: str = "request"
    correction: str = "none"
    kill_at_request: bool = True
    missing_request: str = "quantile"
    max_wait_s: float | None = None
    sleep_after_s: float | None = None
    power_cap_w: float | None = None
    dvfs: Dvfs | None = None
    hold: CarbonHold | None = None


class Amount(NamedTuple):
    """Processors, GPUs in thousandths, and microwatts."""

    procs: int
    gpus: int
    uw: float

    def covers(self, need: "Amount") -> bool:
        """Whether there is as much as `need` of everything."""
        return self.procs >= need.procs and self.gpus >= need.gpus and self.uw >= need.uw

    def without(self, taken: "Amount") -> "Amount":
        """What is left of it."""
        return Amount(self.procs - taken.procs, self.gpus - taken.gpus, self.uw - taken.uw)


@dataclass(eq=False)
class Life:
    """A job on its way through the replay."""

    job: Job
    index: int  # its place in the trace
    executed_s: float
    request_s: float = nan  # the request, or what stands for a missing one
    first_estimate_s: float = nan  # the estimate at submission, which the orders use
    estimate_s: float = nan  # the estimate as corrected
    corrections: int = 0
    held_until_s: float | None = None
    held_s: float = 0.0
    looked_s: float | None = None  # when a hold first looked at it
    believed: float = nan  # mean intensity that it would have had then
    reservation_s: float | None = None  # when conservative backfilling plans to start it
    chosen_s: float = nan
    start_s: float = nan
    end_s: float = nan
    level: float = 1.0
    processors: list[int] = field(default_factory=list)  # known only where nodes sleep
    causes: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0.0))


@dataclass
class State:
    """Everything that is known at an instant."""

    partition: Partition
    policy: Policy
    forecast: Forecast | None
    lives: Sequence[Life]
    now: float = nan
    to_come: list[Life] = field(default_factory=list)
    queue: list[Life] = field(default_factory=list)  # submitted, not yet chosen; in trace order
    running: list[Life] = field(default_factory=list)  # chosen, not yet ended
    ended: list[Life] = field(default_factory=list)  # in order of completion
    awake_from: list[float] = field(default_factory=list)  # per node, when it is or will be awake
    committed: Life | None = None

    @property
    def first_submission(self) -> float:
        return self.lives[0].job.submit_s

    @property
    def levels(self) -> tuple[float, ...]:
        return self.policy.dvfs.levels if self.policy.dvfs else (1.0,)


# What a job takes


def is_killed(job: Job, policy: Policy) -> bool:
    return policy.kill_at_request and job.runtime_s > job.requested_s  # false without a request


def executed(job: Job, policy: Policy) -> float:
    """The logged runtime, cut at the request."""
    return job.requested_s if is_killed(job, policy) else job.runtime_s


def gpu_thousandths(job: Job) -> int:
    return round(job.gpus * 1000)


def taken_procs_and_gpus(partition: Partition, job: Job) -> tuple[int, int]:
    """From a pool what is asked for, from whole nodes everything that they have."""
    if not partition.exclusive:
        return job.procs, gpu_thousandths(job)
    procs_each = partition.procs // partition.nodes
    gpus_each = 1000 * partition.gpus // partition.nodes
    nodes = ceil(job.procs / procs_each)
    if job.gpus > 0:
        nodes = max(nodes, ceil(gpu_thousandths(job) / gpus_each))
    return nodes * procs_each, nodes * gpus_each


def watts(partition: Partition, job: Job) -> float:
    """d, what the job adds to an idle machine at full frequency."""
    nodes, procs = partition.nodes, partition.procs
    if not isnan(job.power_w):
        return max(0.0, job.power_w - partition.idle_w * job.procs * nodes / procs)
    busy = job.procs * (partition.busy_w - partition.idle_w) * nodes / procs
    return busy + job.gpus * partition.gpu_w


def stretch(policy: Policy, level: float) -> float:
    """Sigma, how many times as long a job takes at a frequency level."""
    return 1 + policy.dvfs.beta * (1 / level - 1) if policy.dvfs else 1.0


# Power cap


def microwatts(value_w: float) -> int:
    """Rounded down, once what is no whole number only in its last bits has become one."""
    return floor(round(value_w * 1e6, 3))


def node_floor_uw(state: State) -> int:
    """P_floor, what every node counts with that is not fully asleep."""
    partition = state.partition
    idle = microwatts(partition.idle_w)
    if state.policy.sleep_after_s is None:
        return idle
    return max(idle, microwatts(partition.fall_asleep_w), microwatts(partition.sleep_w))


def node_saving_uw(state: State) -> int:
    """What a fully sleeping node counts less."""
    return node_floor_uw(state) - microwatts(state.partition.sleep_w)


def cap_all_awake_uw(state: State) -> float:
    """What the cap leaves for jobs with all nodes awake; without a cap, any number of watts."""
    if state.policy.power_cap_w is None:
        return inf
    return microwatts(state.policy.power_cap_w) - state.partition.nodes * node_floor_uw(state)


def takes(state: State, life: Life, level: float) -> Amount:
    """What a job holds while it runs, c_j among it, wherever its processors are."""
    partition, dvfs = state.partition, state.policy.dvfs
    procs, gpus = taken_procs_and_gpus(partition, life.job)
    factor = level**dvfs.exponent if dvfs else 1.0
    draw = microwatts(factor * watts(partition, life.job))
    if state.policy.sleep_after_s is not None:  # it may have to wake its nodes
        nodes = ceil(procs / (partition.procs // partition.nodes))
        draw = max(draw, nodes * max(0, microwatts(partition.wake_w) - node_floor_uw(state)))
    return Amount(procs, gpus, draw)
