"""Engine: the state of one partition's replay, fed with jobs and run up to any moment."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from exawatt.forecast import Forecast
from exawatt.platform import Partition
from exawatt.replay import features
from exawatt.replay.demand import Demand
from exawatt.replay.events import run
from exawatt.replay.lanes import new_list
from exawatt.replay.machine import new_cluster
from exawatt.replay.policy import Policy
from exawatt.replay.state import (
    BLOCKED,
    EXTRA,
    FREE,
    GAP,
    GAPS,
    HEAD,
    LANES,
    LAST,
    LOGGED,
    NAN_SCORES,
    SEEN,
    STARTED,
    SUBMITTED,
    TAIL,
    Clock,
    Cluster,
    Integers,
    Nodes,
)
from exawatt.stats import Floats

# By job, and changed by the kernel: what jobs take along when others are added.
_OF_JOBS = {
    "cluster": ("job_end",),
    "clock": ("start_s",),
    "order": ("estimate_s", "score", "known"),
    "profile": ("reserved_s",),
    "history": ("estimate_s", "begin_s", "stretch", "overruns"),
    "extras": tuple("level chosen_s begin_s held_s held_until looked cause since waits".split()),
    "nodes": ("job_proc",),
}
# Of the machine and its users: kept when jobs are added.
_OF_MACHINE = {
    "order": ("usage", "users"),
    "history": ("last_s", "completed"),
    "extras": ("amounts", "moments"),
    "nodes": tuple("counts taken free state since ready room before after next_proc".split()),
}


@dataclass(frozen=True, eq=False)
class Started:
    """Jobs in the order in which they were chosen; arrays of shape (n,).

    Parameters
    ----------
    row, job : ndarray of int64
        Row of each job in its workload, and its number there.
    submit_s, start_s, chosen_s, runtime_s, held_s : ndarray
        Submission, start, moment at which it was chosen, executed runtime and seconds held [s].
    frequency : ndarray
        Part of full frequency [-].
    waits_s : ndarray, shape (n, 6), or None
        Seconds of wait by cause.
    """

    row: Integers
    job: Integers
    submit_s: Floats
    start_s: Floats
    chosen_s: Floats
    runtime_s: Floats
    held_s: Floats
    frequency: Floats
    waits_s: Floats | None


class Engine:
    """One partition under one policy.

    Parameters
    ----------
    partition : Partition
    policy : Policy
    cap_w : float, optional
        The partition's part of the power cap [W].
    forecast : Forecast, optional
        For a carbon hold.
    forecast_s : float
        Its first issue on the trace's clock [s].
    causes : bool
        Whether to find why each job waited.
    scored_outside : bool
        Whether somebody else writes the scores that order the queue; the policy's order is not
        used then.

    Raises
    ------
    ValueError
        The policy holds jobs back, and there is no forecast, or none as it needs.
    """

    def __init__(
        self,
        partition: Partition,
        policy: Policy,
        cap_w: float | None = None,
        forecast: Forecast | None = None,
        forecast_s: float = 0.0,
        causes: bool = False,
        scored_outside: bool = False,
    ) -> None:
        """Take note of the rules; the machine is built with the first jobs."""
        self.partition, self.policy, self.cap_w, self.causes = partition, policy, cap_w, causes
        self.forecast, self.scored_outside = forecast, scored_outside
        self.outlook = features.new_outlook(policy.hold, forecast, forecast_s)
        self.first_s = np.nan
        self._users: dict[int, int] = {}
        self._sleeps: list[Floats] = []
        self.demand: Demand | None = None

    def add(self, demand: Demand) -> None:
        """Add jobs, none of them submitted before any that was added earlier."""
        if len(demand) == 0:
            return
        if self.demand is None:
            self.first_s = float(demand.submit_s[0])
            self._build(demand)
        else:
            self._extend(self.demand, demand)

    def run(self, until_s: float = np.inf) -> None:
        """Run every instant before a moment [s].

        Raises
        ------
        RuntimeError
            Jobs wait though nothing can happen any more: a fault of this program.
        """
        if self.demand is None:
            return
        demand, counts = self.demand, self.cluster.counts
        run(demand.submit_s, demand.estimate_s, until_s, *self.state, self.started, self.clock)
        if until_s == np.inf and counts[HEAD] < counts[TAIL]:
            raise RuntimeError(
                f"{counts[TAIL] - counts[HEAD]} jobs wait for ever with {counts[FREE]} processors "
                "free; please report this with the policy and the trace."
            )

    @property
    def state(self) -> tuple[Any, ...]:
        """State and features, in the order in which the kernel takes them."""
        return (
            self.cluster,
            self.easy,
            self.ranked,
            self.profile,
            self.order,
            self.history,
            self.extras,
            self.nodes,
        )

    @property
    def nan_scores(self) -> int:
        """Scores so far that were no number."""
        return 0 if self.demand is None else int(self.cluster.counts[NAN_SCORES])

    def take_started(self, first: int = 0) -> Started | None:
        """Jobs started since jobs were last added, from the one in a place on; None before."""
        if self.demand is None:
            return None
        demand, jobs = self.demand, self.started[first : self.cluster.counts[STARTED]]
        dvfs = self.policy.dvfs or features.FULL_FREQUENCY
        extras, start = self.extras, self.clock.start_s[jobs]
        level = np.zeros(jobs.size, np.int64) if extras is None else extras.level[jobs]
        return Started(
            row=demand.row[jobs],
            job=demand.job[jobs],
            submit_s=demand.submit_s[jobs],
            start_s=start,
            chosen_s=start if extras is None else extras.chosen_s[jobs],
            runtime_s=demand.runtime_s[jobs] * dvfs.stretch[level],
            held_s=np.zeros(jobs.size) if extras is None else extras.held_s[jobs],
            frequency=np.array(dvfs.levels)[level],
            waits_s=extras.waits[jobs] if extras is not None and self.causes else None,
        )

    def sleeps(self) -> Floats:
        """Sleeps so far, shape (n, 3): node, idle since, taken at [s]; infinite if still idle."""
        found = [np.zeros((0, 3)), *self._sleeps]
        if self.demand is not None and self.nodes is not None:
            found.append(_logged(self.nodes))
            sizes = np.diff(self.nodes.first_proc)
            idle = np.flatnonzero(self.nodes.free == sizes)
            found.append(np.stack([idle, self.nodes.since[idle], np.full(idle.size, np.inf)], 1))
        return np.concatenate(found)

    def _build(self, demand: Demand) -> None:
        """Allocate everything for these jobs, nothing having happened yet."""
        partition, policy, n = self.partition, self.policy, len(demand)
        user = self._number_users(demand.user)
        most, n_users = min(n, partition.procs), max(len(self._users), 1)
        self.demand = demand
        self.cluster = new_cluster(partition.procs, demand.procs)
        self.easy = None if policy.backfill == "none" else True
        self.profile = features.new_profile(n, most, policy)
        self.extras = features.new_extras(
            demand, partition, policy, self.cap_w, self.outlook, self.forecast, self.causes
        )
        self.nodes = features.new_machine_nodes(demand, partition, policy, self.first_s)
        # Few ways to compile: what is rare brings what is common along.
        rich = self.extras is not None
        ordered = rich or self.scored_outside or policy.order != "fcfs"
        self.order = self.history = self.ranked = None
        if ordered:
            self.order = features.new_order(
                demand, partition, policy, user, n_users, self.first_s, self.scored_outside
            )
        if rich or policy.estimate == "last2" or policy.correction != "none":
            self.history = features.new_history(demand, policy, user, n_users)
        if policy.backfill == "easy" and (ordered or policy.backfill_order is not None):
            self.ranked = features.new_ranked(demand, policy)
        end, job = new_list(most)
        start_s, ended = np.full(n, np.nan), np.empty(most, np.int64)
        self.clock = Clock(end, job, demand.runtime_s, start_s, ended)
        self.started = np.empty(n, np.int64)

    def _number_users(self, user: Integers) -> Integers:
        """Users as numbers from 0 on, in order of appearance."""
        if not features.knows_users(self.policy):
            return np.zeros(user.size, np.int64)
        known, where = np.unique(user, return_inverse=True)
        codes = [self._users.setdefault(int(one), len(self._users)) for one in known]
        return np.array(codes, np.int64)[where]

    def _extend(self, old: Demand, demand: Demand) -> None:
        """Make room for more jobs; forget those that have ended."""
        before = {name: getattr(self, name) for name in _OF_JOBS}
        cluster, counts = self.cluster, self.cluster.counts
        if self.nodes is not None:
            self._sleeps.append(_logged(self.nodes))
            self.nodes.counts[LOGGED] = 0
        slots = np.arange(counts[HEAD], counts[TAIL])
        slots = slots[cluster.queue_procs[slots] != GAP]
        running = self.clock.job[LANES : counts[LAST] + 1]
        known = np.sort(np.concatenate([cluster.queue[slots], running]))
        there = np.concatenate([known, np.arange(counts[SUBMITTED], len(old))])
        number = np.full(len(old) + 1, -1)
        number[there] = np.arange(there.size)
        names = [entry.name for entry in fields(Demand)]
        joined = {
            name: np.concatenate([getattr(old, name)[there], getattr(demand, name)])
            for name in names
        }
        self._build(replace(demand, **joined))
        for name in _OF_JOBS:
            if before[name] is not None:
                _carry(name, before[name], getattr(self, name), there)
        self._move(cluster, before["clock"], slots, number)
        self.cluster.counts[SUBMITTED] -= len(old) - there.size

    def _move(self, old: Cluster, clock: Clock, slots: Integers, number: Integers) -> None:
        """Put the running and waiting jobs of an earlier state into this one, renumbered."""
        new, counts, waiting = self.cluster, self.cluster.counts, slots.size
        counts[:] = old.counts
        new.times[:] = old.times
        new.queue[:waiting] = number[old.queue[slots]]
        new.queue_procs[:waiting] = old.queue_procs[slots]
        new.queue_estimate[:waiting] = old.queue_estimate[slots]
        counts[HEAD], counts[TAIL], counts[GAPS], counts[STARTED] = 0, waiting, 0, 0
        counts[SEEN], counts[EXTRA] = 0, -1
        counts[BLOCKED] = number[counts[BLOCKED]]
        running = slice(LANES, counts[LAST] + 1)
        self.clock.end[running] = clock.end[running]
        self.clock.job[running] = number[clock.job[running]]
        if self.easy is not None:
            new.run_end[running] = old.run_end[running]
            new.run_job[running] = number[old.run_job[running]]
        if self.profile is not None:
            # Rebuilt at the next pass, from the reservations.
            self.profile.size[1] = 1


def _logged(nodes: Nodes) -> Floats:
    n = nodes.counts[LOGGED]
    return np.stack([nodes.log_node[:n], nodes.log_since[:n], nodes.log_until[:n]], 1)


def _carry(name: str, old: Any, new: Any, there: Integers) -> None:
    """Copy what jobs that are still there, and the machine, take along."""
    for entry in _OF_JOBS[name]:
        kept = getattr(old, entry)
        # Only a Scorer knows anything of its jobs.
        if kept.size:
            getattr(new, entry)[: there.size] = kept[there]
    for entry in _OF_MACHINE.get(name, ()):
        kept = getattr(old, entry)
        if name == "order":
            # The last entry is the sum over all users.
            getattr(new, entry)[: kept.size - 1] = kept[:-1]
            getattr(new, entry)[-1] = kept[-1]
        else:
            getattr(new, entry)[: kept.shape[0]] = kept
