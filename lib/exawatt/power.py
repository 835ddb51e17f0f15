"""Power: a schedule becomes watts over time, and joules by job and by host."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exawatt.facility import Pue
from exawatt.platform import Partition
from exawatt.replay import Schedule, allocate_processors
from exawatt.stats import Floats, step_integral, step_sum

J_PER_KWH = 3.6e6


@dataclass(frozen=True, eq=False)
class PowerProfile:
    """IT power of a machine over time, piecewise constant.

    Parameters
    ----------
    edges_s : ndarray, shape (n + 1,)
        Moments at which power changes [s, the trace's own origin].
    watts : ndarray, shape (n,)
        Power between two successive edges [W].
    pue : float or Pue
        Facility energy over IT energy [-], a constant or by load and season.
    start : Timestamp or None
        UTC instant of second 0.
    timezone : str
        Zone of the machine's wall clock.
    first_submit_s : float
        First submission of the trace [s]: what the calendar is laid by.
    label : str
        What drew this power.
    """

    edges_s: Floats
    watts: Floats
    pue: float | Pue = 1.0
    start: pd.Timestamp | None = None
    timezone: str = "UTC"
    first_submit_s: float = 0.0
    label: str = "power"

    def __post_init__(self) -> None:
        """Check shapes and order."""
        if self.edges_s.shape != (self.watts.size + 1,) or self.watts.size == 0:
            raise ValueError(
                f"edges_s has shape {self.edges_s.shape}, watts {self.watts.shape}; "
                "they need (n + 1,) and (n,) with n > 0."
            )
        if not (np.diff(self.edges_s) > 0).all():
            raise ValueError("edges_s must increase strictly.")
        # Sums of draws that come and go leave a rounding error below zero.
        if not (self.watts >= -1e-9 * np.abs(self.watts).max()).all():
            bad = self.watts[~(self.watts >= 0)][0]
            raise ValueError(f"watts(={bad:g}) must be numbers, not negative: power in W.")
        Pue.of(self.pue)

    def __repr__(self) -> str:
        """Return the profile in one line."""
        mean = self.energy_j / np.ptp(self.edges_s)
        return f"PowerProfile({self.label}: {self.energy_kwh:,.1f} kWh, mean {mean / 1e3:,.1f} kW)"

    def cumulative_j(self, until_s: Floats) -> Floats:
        """IT energy from the first edge until each moment [J]; exact."""
        return step_integral(self.edges_s, self.watts, until_s)

    @property
    def energy_j(self) -> float:
        """IT energy [J]."""
        return float((self.watts * np.diff(self.edges_s)).sum())

    @property
    def energy_kwh(self) -> float:
        """IT energy [kWh]."""
        return self.energy_j / J_PER_KWH


def power(schedule: Schedule, window_s: tuple[float, float] | None = None) -> PowerProfile:
    """Power of the whole machine while a schedule runs.

    Parameters
    ----------
    schedule : Schedule
        When each job ran, and on what.
    window_s : tuple of float, optional
        First and last moment [s]; first submission and last end when not given. Policies are
        compared over one common window, see :func:`common_window_s`.

    Returns
    -------
    PowerProfile
        Idle power is counted throughout, but for nodes that fall asleep, sleep or wake.
    """
    window = window_s or schedule.window_s
    workload, platform = schedule.workload, schedule.platform
    begin, end, watts = _draws(schedule)
    edges, above_idle = step_sum(begin, end, watts, window)
    return PowerProfile(
        edges_s=edges,
        watts=platform.idle_machine_w + above_idle,
        pue=platform.pue,
        start=workload.start,
        timezone=workload.timezone,
        first_submit_s=float(schedule.submit_s[0]),
        label=f"{workload.label} under {schedule.policy.name}, {platform.name} watts",
    )


@dataclass(frozen=True, eq=False)
class Sleeps:
    """What the nodes of one partition did while they were not awake; shape (n,) each.

    Parameters
    ----------
    partition : Partition
    node : ndarray of int64
    fall_s, asleep_s, wake_s, awake_s : ndarray
        When a node began to fall asleep, was asleep, began to wake and was awake [s]; infinite
        if it never woke.
    """

    partition: Partition
    node: np.ndarray
    fall_s: Floats
    asleep_s: Floats
    wake_s: Floats
    awake_s: Floats

    def draws(self) -> list[tuple[Floats, Floats, float]]:
        """Begin [s], end [s] and power above idle [W] of each of the three states."""
        idle_w = self.partition.idle_w
        return [
            (self.fall_s, self.asleep_s, self.partition.fall_asleep_w - idle_w),
            (self.asleep_s, self.wake_s, self.partition.sleep_w - idle_w),
            (self.wake_s, self.awake_s, self.partition.wake_w - idle_w),
        ]


def sleeps(schedule: Schedule) -> list[Sleeps]:
    """Sleeps of each partition's nodes; none where the policy lets nodes idle."""
    if schedule.policy.sleep_after_s is None:
        return []
    found = []
    for partition, log in zip(schedule.platform.partitions, schedule.sleeps, strict=True):
        node, idle_since, taken_s = log.T
        fall = idle_since + schedule.policy.sleep_after_s
        asleep = fall + partition.fall_asleep_s
        wake = np.maximum(taken_s, asleep)
        awake = wake + partition.wake_s
        found.append(Sleeps(partition, node.astype(np.int64), fall, asleep, wake, awake))
    return found


def overhead(schedule: Schedule, window_s: tuple[float, float]) -> tuple[Floats, Floats]:
    """IT power that no job adds: of nodes idle, asleep, and between the two.

    Returns
    -------
    edges_s : ndarray, shape (n + 1,)
        Moments at which it changes, from the window's first to its last [s].
    watts : ndarray, shape (n,)
        Between two successive edges [W].
    """
    draws = [draw for nodes in sleeps(schedule) for draw in nodes.draws()]
    begin, end = (np.concatenate([np.zeros(0), *(draw[i] for draw in draws)]) for i in (0, 1))
    watts = np.concatenate([np.zeros(0), *(np.full(a.size, one_w) for a, _, one_w in draws)])
    edges, above_idle = step_sum(begin, end, watts, window_s)
    return edges, schedule.platform.idle_machine_w + above_idle


def _draws(schedule: Schedule) -> tuple[Floats, Floats, Floats]:
    """Begin [s], end [s] and watts of everything that differs from idle nodes."""
    parts = [(schedule.start_s, schedule.end_s, schedule.dynamic_w)]
    for nodes in sleeps(schedule):
        parts += [(a, b, np.full(a.size, watts)) for a, b, watts in nodes.draws()]
    begin, end, watts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return begin, end, watts


def energy_by_state_kwh(
    schedule: Schedule, window_s: tuple[float, float] | None = None
) -> dict[str, float]:
    """IT energy by what it was for [kWh].

    Returns
    -------
    dict
        ``busy`` (what jobs add), ``idle`` (nodes awake, under jobs too), ``asleep`` and
        ``switching`` (nodes between the two); together the energy of :func:`power`.
    """
    first, last = window_s or schedule.window_s
    run_s = _overlap(schedule.start_s, schedule.end_s, first, last)
    busy = float((run_s * schedule.dynamic_w).sum())
    idle = schedule.platform.idle_machine_w * (last - first)
    asleep = switching = 0.0
    for nodes in sleeps(schedule):
        part = nodes.partition
        falling, sleeping, waking = (
            float(_overlap(a, b, first, last).sum()) for a, b, _ in nodes.draws()
        )
        idle -= part.idle_w * (falling + sleeping + waking)
        asleep += part.sleep_w * sleeping
        switching += part.fall_asleep_w * falling + part.wake_w * waking
    joules = {"busy": busy, "idle": idle, "asleep": asleep, "switching": switching}
    return {state: energy / J_PER_KWH for state, energy in joules.items()}


def _overlap(begin_s: Floats, end_s: Floats, first_s: float, last_s: float) -> Floats:
    """Seconds of each interval inside a window [s]."""
    return np.clip(end_s, first_s, last_s) - np.clip(begin_s, first_s, last_s)


def common_window_s(schedules: list[Schedule]) -> tuple[float, float]:
    """First submission to the latest end under any of the schedules [s]."""
    windows = [schedule.window_s for schedule in schedules]
    return min(first for first, _ in windows), max(last for _, last in windows)


def job_energy_j(schedule: Schedule) -> Floats:
    """Energy that each job adds to an idle machine [J], shape (n_jobs,), in workload order."""
    return schedule.dynamic_w * schedule.runtime_s


def host_energy_j(schedule: Schedule, window_s: tuple[float, float] | None = None) -> Floats:
    """Energy of each node [J], shape (nodes,), partition by partition.

    Notes
    -----
    Jobs hold the processors that :func:`~exawatt.replay.allocate_processors` names, and what a
    job adds is shared by them evenly. A node draws its idle power while it is awake.
    """
    platform = schedule.platform
    first, last = window_s or schedule.window_s
    offsets, ids = allocate_processors(schedule)
    taken = np.diff(offsets)
    seconds = _overlap(schedule.start_s, schedule.end_s, first, last)
    proc_j = np.bincount(
        ids, np.repeat(seconds * schedule.dynamic_w / taken, taken), minlength=platform.procs
    )
    hosts = []
    at = 0
    for part in platform.partitions:
        node = np.arange(part.procs) * part.nodes // part.procs
        jobs_j = np.bincount(node, proc_j[at : at + part.procs], minlength=part.nodes)
        hosts.append(jobs_j + part.idle_w * (last - first))
        at += part.procs
    for host_j, nodes in zip(hosts, sleeps(schedule), strict=False):
        for begin, end, watts in nodes.draws():
            host_j += np.bincount(
                nodes.node, watts * _overlap(begin, end, first, last), minlength=host_j.size
            )
    return np.concatenate(hosts)
