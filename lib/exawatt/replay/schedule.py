"""Schedule: when each job ran, and what that is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from exawatt.platform import Platform
from exawatt.replay.demand import partition_rows
from exawatt.replay.engine import Engine
from exawatt.replay.extras import CAUSES
from exawatt.replay.policy import Policy
from exawatt.replay.state import Integers
from exawatt.stats import Floats, bounded_slowdown, step_sum
from exawatt.workload import Workload


@dataclass(frozen=True, eq=False)
class Schedule:
    """The outcome of a replay; arrays are in workload order, shape (n_jobs,).

    Parameters
    ----------
    workload, platform, policy
        What was replayed, on what, and how.
    start_s : ndarray
        Start of each job [s, the trace's own origin].
    runtime_s : ndarray
        Executed runtime [s]: the log's, cut at the request where the policy does so, and longer
        at a lower frequency.
    chosen_s, held_s : ndarray
        When each job was chosen: earlier than its start if nodes had to wake; and how long it was
        held for cleaner power [s].
    sequence : ndarray of int64
        Place of each job in the order in which those of its partition were chosen.
    frequency : ndarray
        Part of full frequency at which each job ran [-].
    waits_s : ndarray, shape (n_jobs, 6), or None
        Seconds of wait by cause; None if causes were not asked for.
    sleeps : tuple of ndarray, each of shape (n, 3)
        For each partition the sleeps of its nodes: node, idle since, taken at [s].
    nan_scores : int
        Scores that were no number.
    replay_seconds : float
        Time the kernel took [s].
    """

    workload: Workload
    platform: Platform
    policy: Policy
    start_s: Floats
    runtime_s: Floats
    chosen_s: Floats
    held_s: Floats
    sequence: Integers
    frequency: Floats
    waits_s: Floats | None
    sleeps: tuple[Floats, ...]
    nan_scores: int
    replay_seconds: float

    @classmethod
    def of(
        cls,
        workload: Workload,
        platform: Platform,
        policy: Policy,
        engines: Sequence[Engine],
        seconds: float,
    ) -> "Schedule":
        """Collect what engines, one a partition, have done with a whole workload."""
        parts = [part for engine in engines if (part := engine.take_started()) is not None]
        where = np.concatenate([part.row for part in parts])

        def put(name: str) -> Floats:
            values = np.concatenate([getattr(part, name) for part in parts])
            ordered: Floats = np.empty_like(values)
            ordered[where] = values
            return ordered

        sequence = np.empty(where.size, np.int64)
        sequence[where] = np.concatenate([np.arange(part.row.size) for part in parts])
        return cls(
            workload,
            platform,
            policy,
            start_s=put("start_s"),
            runtime_s=put("runtime_s"),
            chosen_s=put("chosen_s"),
            held_s=put("held_s"),
            sequence=sequence,
            frequency=put("frequency"),
            waits_s=put("waits_s") if all(part.waits_s is not None for part in parts) else None,
            sleeps=tuple(engine.sleeps() for engine in engines),
            nan_scores=sum(engine.nan_scores for engine in engines),
            replay_seconds=seconds,
        )

    def __repr__(self) -> str:
        """Return the schedule in one line."""
        return (
            f"Schedule({self.workload.label} under {self.policy.name}: {len(self.workload):,} "
            f"jobs, bounded slowdown {self.metrics()['avebsld']:.1f})"
        )

    @property
    def end_s(self) -> Floats:
        """End of each job [s], in workload order."""
        return self.start_s + self.runtime_s

    @property
    def submit_s(self) -> Floats:
        """Submission of each job [s], in workload order."""
        return self.workload.jobs["submit_s"].to_numpy()

    @property
    def procs(self) -> np.ndarray:
        """Processors of each job, in workload order."""
        return self.workload.jobs["procs"].to_numpy()

    @property
    def window_s(self) -> tuple[float, float]:
        """First submission and last end [s]."""
        return float(self.submit_s[0]), float(self.end_s.max())

    @cached_property
    def dynamic_w(self) -> Floats:
        """Power that each job adds to the idle machine [W], in workload order."""
        jobs = self.workload.jobs
        columns = [jobs[name].to_numpy() for name in ("procs", "gpus", "power_w")]
        watts = np.empty(len(jobs))
        for partition, rows in partition_rows(self.workload, self.platform):
            watts[rows] = partition.dynamic_w(*(column[rows] for column in columns))
        exponent = self.policy.dvfs.exponent if self.policy.dvfs else 0.0
        return watts * self.frequency**exponent

    @cached_property
    def killed(self) -> np.ndarray:
        """Whether each job was cut at its request, in workload order."""
        jobs = self.workload.jobs
        longer = jobs["runtime_s"].to_numpy() > jobs["requested_s"].to_numpy()
        cut: np.ndarray = longer & self.policy.kill_at_request
        return cut

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """One row a job, in workload order."""
        columns = {
            "job": self.workload.jobs["job"],
            "submit_s": self.submit_s,
            "chosen_s": self.chosen_s,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "wait_s": self.start_s - self.submit_s,
            "runtime_s": self.runtime_s,
            "procs": self.procs,
            "state": np.where(self.killed, "killed", "completed"),
            "frequency": self.frequency,
            "held_s": self.held_s,
        }
        if self.waits_s is not None:
            names = [f"wait_{cause}_s" for cause in CAUSES]
            columns |= dict(zip(names, self.waits_s.T, strict=True))
        return pd.DataFrame(columns)

    def metrics(self) -> dict[str, float]:
        """Summary of the schedule.

        Returns
        -------
        dict
            jobs [-], avebsld [-], mean_wait_s, p99_wait_s, max_wait_s, mean_turnaround_s [s],
            utilisation [-] and makespan_s [s].
        """
        wait = self.start_s - self.submit_s
        first, last = self.window_s
        work = float((self.procs * self.runtime_s).sum())
        return {
            "jobs": len(self.workload),
            "avebsld": float(bounded_slowdown(wait, self.runtime_s).mean()),
            "mean_wait_s": float(wait.mean()),
            "p99_wait_s": float(np.percentile(wait, 99)),
            "max_wait_s": float(wait.max()),
            "mean_turnaround_s": float((wait + self.runtime_s).mean()),
            "utilisation": work / (self.platform.procs * (last - first)),
            "makespan_s": last - first,
        }

    def busy_procs(self, window_s: tuple[float, float] | None = None) -> tuple[Floats, Floats]:
        """Processors in use: edges [s] and values between them."""
        return step_sum(self.start_s, self.end_s, self.procs, window_s or self.window_s)

    def waiting_procs(self, window_s: tuple[float, float] | None = None) -> tuple[Floats, Floats]:
        """Processors that queued jobs wait for: edges [s] and values between them."""
        return step_sum(self.submit_s, self.start_s, self.procs, window_s or self.window_s)
