"""Schedule: when each job ran, and what that is worth."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from exawatt.platform import Platform
from exawatt.replay.policy import Policy
from exawatt.stats import Floats, bounded_slowdown, step_sum
from exawatt.workload import Workload


@dataclass(frozen=True, eq=False)
class Schedule:
    """The outcome of a replay.

    Parameters
    ----------
    workload, platform, policy
        What was replayed, on what, and how.
    start_s : ndarray, shape (n_jobs,)
        Start of each job [s, the trace's own origin], in workload order.
    runtime_s : ndarray, shape (n_jobs,)
        Executed runtime [s]: the log's, cut at the request where the policy does so.
    replay_seconds : float
        Time the kernel took [s].
    """

    workload: Workload
    platform: Platform
    policy: Policy
    start_s: Floats
    runtime_s: Floats
    replay_seconds: float

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
    def jobs(self) -> pd.DataFrame:
        """One row a job, in workload order."""
        cut = self.runtime_s < self.workload.jobs["runtime_s"].to_numpy()
        return pd.DataFrame(
            {
                "job": self.workload.jobs["job"],
                "submit_s": self.submit_s,
                "start_s": self.start_s,
                "end_s": self.end_s,
                "wait_s": self.start_s - self.submit_s,
                "runtime_s": self.runtime_s,
                "procs": self.procs,
                "state": np.where(cut, "killed", "completed"),
            }
        )

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
