"""Stepping: a replay one instant at a time, for environments and for protocols.

A stepper works on the same state as a whole replay, and calls the same ``decide``.
"""

from collections.abc import Sequence

import numpy as np

from exawatt.forecast import Forecast
from exawatt.platform import Platform
from exawatt.replay.decide import decide, enqueue, finish
from exawatt.replay.demand import demands
from exawatt.replay.engine import Engine, Started
from exawatt.replay.events import next_timer_s
from exawatt.replay.machine import load_state, store_state
from exawatt.replay.policy import Policy
from exawatt.replay.requests import RunningQuantile
from exawatt.replay.state import (
    FREE,
    GAP,
    HEAD,
    LANES,
    LAST,
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
    forecast, forecast_s
        For a carbon hold: the forecast, and its first issue on this clock [s].
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
        forecast_s: float = 0.0,
        causes: bool = False,
        scored_outside: bool = False,
    ) -> None:
        """Build the machine, without jobs."""
        if len(platform.partitions) > 1:
            raise ValueError(
                f"platform has {len(platform.partitions)} partitions, and these schedule "
                "independently; pass one Stepper for each."
            )
        self.platform, self.policy = platform, policy
        self.engine = Engine(
            platform.partitions[0],
            policy,
            policy.power_cap_w,
            forecast,
            forecast_s,
            causes,
            scored_outside,
        )
        self._earlier = [RunningQuantile()]
        self._rows = 0
        self._jobs: dict[int, int] = {}

    def add(self, workload: Workload) -> None:
        """Announce jobs, none submitted before those announced earlier; rows count on."""
        [demand] = demands(workload, self.platform, self.policy, self._earlier, self._rows)
        self._rows += len(workload)
        self.engine.add(demand)
        known = self.engine.demand
        self._jobs = {} if known is None else {int(row): i for i, row in enumerate(known.row)}

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
        engine = self.engine
        if engine.demand is None:
            return np.inf
        cluster, easy, _, profile, _, history, extras, _ = engine.state
        return float(next_timer_s(cluster, load_state(cluster), easy, profile, history, extras))

    @property
    def next_s(self) -> float:
        """Next instant by the jobs' own runtimes [s]; infinite when all is done."""
        engine = self.engine
        if engine.demand is None:
            return np.inf
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

    def instant(self, now_s: float, ended: Sequence[int] | Integers = ()) -> Started:
        """Handle one instant: completions, submissions until now, timers, one pass.

        Parameters
        ----------
        now_s : float
            The instant, not before the one handled last [s].
        ended : sequence of int
            Rows of the jobs that have ended, in trace order.

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
        if engine.demand is None:
            raise ValueError("no job was announced; call add first.")
        demand, cluster, counts = engine.demand, engine.cluster, engine.cluster.counts
        if now_s < cluster.times[1]:
            raise ValueError(f"now_s(={now_s}) lies before the last instant {cluster.times[1]}.")
        cluster.times[1] = now_s
        _, easy, ranked, profile, order, history, extras, nodes = engine.state
        s = load_state(cluster)
        for row in ended:
            job = self._end(int(row), s.last)
            runtime_s = demand.runtime_s[job]
            s = finish(
                cluster, s, job, now_s, runtime_s, easy, profile, order, history, extras, nodes
            )
        while counts[SUBMITTED] < len(demand) and demand.submit_s[counts[SUBMITTED]] <= now_s:
            job = int(counts[SUBMITTED])
            s = enqueue(cluster, s, job, demand.estimate_s[job], order, history, extras)
            counts[SUBMITTED] += 1
        first = s.started
        s = decide(
            *(cluster, s, now_s, easy, ranked, profile, order, history, extras, nodes),
            engine.started,
            engine.clock,
        )
        store_state(cluster, s)
        started = engine.take_started(first)
        assert started is not None
        return started

    def _end(self, row: int, last: int) -> int:
        """Take a job off the list of those that run; its number in the kernel."""
        clock, job = self.engine.clock, self._jobs.get(row, -1)
        found = LANES + np.flatnonzero(clock.job[LANES : last + 1] == job)
        if not found.size:
            raise ValueError(f"the job in row {row} does not run, so that it cannot end.")
        for array in (clock.end, clock.job):
            array[found[0] : last] = array[found[0] + 1 : last + 1].copy()
        clock.end[last] = -np.inf
        return job
