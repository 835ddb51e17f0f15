"""Power: a schedule becomes watts over time, and joules by job and by host."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exawatt.replay import Schedule, allocate_processors
from exawatt.stats import Floats, step_integral

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
    pue : float
        Facility energy over IT energy [-].
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
    pue: float = 1.0
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
        Idle power is counted throughout.
    """
    edges, busy = schedule.busy_procs(window_s)
    workload = schedule.workload
    return PowerProfile(
        edges_s=edges,
        watts=schedule.platform.power_w(busy),
        pue=schedule.platform.pue,
        start=workload.start,
        timezone=workload.timezone,
        first_submit_s=float(schedule.submit_s[0]),
        label=f"{workload.label} under {schedule.policy.name}, {schedule.platform.name} watts",
    )


def common_window_s(schedules: list[Schedule]) -> tuple[float, float]:
    """First submission to the latest end under any of the schedules [s]."""
    windows = [schedule.window_s for schedule in schedules]
    return min(first for first, _ in windows), max(last for _, last in windows)


def job_energy_j(schedule: Schedule) -> Floats:
    """Energy that each job adds to an idle machine [J], shape (n_jobs,), in workload order."""
    return schedule.platform.busy_proc_w * schedule.procs * schedule.runtime_s


def idle_energy_j(schedule: Schedule, window_s: tuple[float, float] | None = None) -> float:
    """Energy that the machine's nodes would use if no job ran [J]."""
    first, last = window_s or schedule.window_s
    return float(schedule.platform.power_w(0)) * (last - first)


def host_energy_j(schedule: Schedule, window_s: tuple[float, float] | None = None) -> Floats:
    """Energy of each node [J], shape (nodes,).

    Notes
    -----
    Jobs hold the lowest-numbered free processors, and processor `p` sits in node
    ``p * nodes // procs``. A node draws its idle power all the time, and more in proportion to
    its busy processors.
    """
    platform = schedule.platform
    first, last = window_s or schedule.window_s
    offsets, ids = allocate_processors(schedule)
    begin = np.clip(schedule.start_s, first, last)
    busy_s = np.repeat(np.clip(schedule.end_s, first, last) - begin, np.diff(offsets))
    proc_s = np.bincount(ids, weights=busy_s, minlength=platform.procs)
    node = np.arange(platform.procs) * platform.nodes // platform.procs
    node_proc_s = np.bincount(node, weights=proc_s, minlength=platform.nodes)
    host_j = platform.idle_w * (last - first) + platform.busy_proc_w * node_proc_s
    return host_j.astype(np.float64, copy=False)
