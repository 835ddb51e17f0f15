"""Stepping: a replay one instant at a time, for environments and for protocols.

A stepper works on the same state as a whole replay, and calls the same ``decide``.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from exawatt.forecast import Forecast
from exawatt.platform import Platform
from exawatt.replay import new_engines
from exawatt.replay.demand import Demand, demand, demands
from exawatt.replay.engine import Engine, Started
from exawatt.replay.events import instant, next_timer_s
from exawatt.replay.machine import load_state
from exawatt.replay.policy import Policy
from exawatt.replay.requests import RunningQuantile
from exawatt.replay.state import (
    FREE,
    GAP,
    HEAD,
    LANES,
    LAST,
    STARTED,
    SUBMITTED,
    TAIL,
    Integers,
)
from exawatt.stats import Floats
from exawatt.workload import Workload


class Stepper:
    """A machine of one partition that is driven from outside.

    An environment calls :meth:`step` until :attr:`next_s` is infinite. A protocol, which learns
    of submissions and completions from somebody else, calls :meth:`add` and :meth:`instant`.

    Parameters
    ----------
    platform : Platform
        Of one partition.
    policy : Policy
        What decides.
    forecast : Forecast, optional
        For a carbon hold; laid on the first workload's first submission.
    causes : bool
        Whether to find why each job waited.
    scored_outside : bool
        Whether :attr:`scores` order the queue instead of the policy's order.

    Raises
    ------
    ValueError
        The platform has several partitions.
    """

    def __init__(
        self,
        platform: Platform,
        policy: Policy,
        forecast: Forecast | None = None,
        causes: bool = False,
        scored_outside: bool = False,
    ) -> None:
        """Build the machine, without jobs."""
        if len(platform.partitions) > 1:
            raise ValueError(
                f"platform has {len(platform.partitions)} partitions, and these schedule "
                "independently; pass one Stepper for each."
            )
        self.platform, self.policy, self.forecast = platform, policy, forecast
        self._causes, self._scored_outside = causes, scored_outside
        self._engine: Engine | None = None
        self._earlier = RunningQuantile()
        self._rows = 0

    def add(self, workload: Workload) -> None:
        """Announce jobs, none submitted before those announced earlier; rows count on."""
        if self._engine is None and len(workload):
            [self._engine] = new_engines(
                *(workload, self.policy, self.platform, self.forecast),
                self._causes,
                self._scored_outside,
            )
        [found] = demands(workload, self.platform, self.policy, [self._earlier], self._rows)
        self._take(found)

    def add_columns(self, columns: Mapping[str, np.ndarray]) -> None:
        """Announce further jobs as arrays, named as in :data:`~exawatt.replay.demand.JOB_COLUMNS`.

        Nobody checks them; for jobs that come one by one it is ten times as fast as a workload.
        """
        [partition] = self.platform.partitions
        row = self._rows + np.arange(columns["submit_s"].size)
        self._take(demand(columns, row, partition, self.policy, self._earlier))

    def _take(self, found: Demand) -> None:
        self._rows += len(found)
        if len(found):
            self.engine.add(found)

    @property
    def engine(self) -> Engine:
        """The machine.

        Raises
        ------
        ValueError
            No job was announced yet.
        """
        if self._engine is None:
            raise ValueError("no job was announced; call add first.")
        return self._engine

    @property
    def waiting(self) -> Integers:
        """Rows of the jobs in the queue, held ones included, in order of submission."""
        cluster, demand = self.engine.cluster, self.engine.demand
        assert demand is not None
        slots = np.arange(cluster.counts[HEAD], cluster.counts[TAIL])
        rows: Integers = demand.row[cluster.queue[slots[cluster.queue_procs[slots] != GAP]]]
        return rows

    @property
    def free_procs(self) -> int:
        """Free processors."""
        return int(self.engine.cluster.counts[FREE])

    def processors(self, row: int) -> Integers:
        """Processors that a running job holds, for a policy under which nodes sleep."""
        engine = self.engine
        [job] = self._running(np.array([row]))
        assert engine.nodes is not None
        found, proc = [], engine.nodes.job_proc[job]
        while proc >= 0:
            found.append(proc)
            proc = engine.nodes.next_proc[proc]
        return np.array(found)

    @property
    def scores(self) -> Floats:
        """Score of each announced job, to be written before an instant; the smallest first."""
        order = self.engine.order
        assert order is not None
        scores: Floats = order.score
        return scores

    @property
    def next_timer_s(self) -> float:
        """Next instant that neither a submission nor a completion brings about [s]."""
        if self._engine is None:
            return np.inf
        engine = self._engine
        cluster, easy, _, profile, _, history, extras, _ = engine.state
        return float(next_timer_s(cluster, load_state(cluster), easy, profile, history, extras))

    @property
    def next_s(self) -> float:
        """Next instant by the jobs' own runtimes [s]; infinite when all is done."""
        if self._engine is None:
            return np.inf
        engine = self._engine
        assert engine.demand is not None
        counts, clock = engine.cluster.counts, engine.clock
        submissions = engine.demand.submit_s[counts[SUBMITTED] :][:1]
        return float(min([*submissions, clock.end[counts[LAST]], self.next_timer_s]))

    def step(self) -> Started:
        """Handle the next instant by the jobs' own runtimes; return the jobs started."""
        engine, now = self.engine, self.next_s
        assert engine.demand is not None
        running = slice(LANES, engine.cluster.counts[LAST] + 1)
        ended = np.sort(engine.clock.job[running][engine.clock.end[running] <= now])
        return self.instant(now, engine.demand.row[ended])

    def instant(
        self,
        now_s: float,
        ended: Sequence[int] | Integers = (),
        ran_s: Sequence[float] | None = None,
    ) -> Started:
        """Handle one instant: completions, submissions until now, timers, one pass.

        Parameters
        ----------
        now_s : float
            The instant, not before the one handled last [s].
        ended : sequence of int
            Rows of the jobs that have ended, in trace order.
        ran_s : sequence of float, optional
            Their runtimes, where the workload did not know them [s].

        Returns
        -------
        Started
            The jobs to start, in the order in which they were chosen.

        Raises
        ------
        ValueError
            The instant lies in the past, or a job that ended was not running.
        """
        engine, now_s = self.engine, float(now_s)
        assert engine.demand is not None
        known, cluster = engine.demand, engine.cluster
        if now_s < cluster.times[1]:
            raise ValueError(f"now_s(={now_s}) lies before the last instant {cluster.times[1]}.")
        jobs = self._running(np.asarray(ended, np.int64))
        if ran_s is not None:
            known.runtime_s[jobs] = ran_s
        first = int(cluster.counts[STARTED])
        instant(
            *(known.submit_s, known.estimate_s, now_s, jobs),
            *engine.state,
            engine.started,
            engine.clock,
        )
        started = engine.take_started(first)
        assert started is not None
        return started

    def _running(self, rows: Integers) -> Integers:
        """Numbers in the kernel of jobs that run."""
        engine = self.engine
        assert engine.demand is not None
        known = engine.demand.row
        jobs = np.searchsorted(known, rows)
        running = engine.clock.job[LANES : engine.cluster.counts[LAST] + 1]
        for row, job in zip(rows.tolist(), jobs.tolist(), strict=True):
            if job == known.size or known[job] != row or job not in running:
                raise ValueError(f"the job in row {row} does not run, so that it cannot end.")
        return jobs
