"""Scheduler for pybatsim: any policy, deciding with the same ``decide`` as a replay.

pybatsim takes it by name or by path::

    pybatsim exawatt.batsim.scheduler -o '{"policy": "easy-sjbf"}'

A message of Batsim is an instant of :class:`~exawatt.replay.stepping.Stepper`: completions, then
submissions in trace order, then one pass. The policy's own timers become CALL_ME_LATER, and nodes
that fall asleep or wake become SET_RESOURCE_STATE. Messages in between, such as the answer that a
host is awake, are no instants of the replay, and nothing is decided then.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from batsim.batsim import BatsimScheduler, Job
from procset import ProcSet

from exawatt.batsim.hosts import Hosts, read_hosts
from exawatt.batsim.platform_xml import platform_of
from exawatt.batsim.sleepers import Sleepers
from exawatt.forecast import Forecast, persistence
from exawatt.platform import Platform
from exawatt.readers import load_intensity
from exawatt.replay.demand import JOB_COLUMNS
from exawatt.replay.policy import ESTIMATES, Policy
from exawatt.replay.stepping import Stepper
from exawatt.workload import COLUMNS, Workload

#: Options and what they mean.
OPTIONS = {
    "policy": "a policy's name, JSON file or JSON object; easy if it is not given",
    "platform": "SimGrid XML that the simulation runs on, for policies that know watts or sleep",
    "intensity": "carbon intensity to hold jobs by, such as GB-2023, forecast by persistence",
    "start": "UTC instant of the workload's second 0, such as 1996-09-23T06:00:00Z",
    "timezone": "zone of the machine's wall clock, UTC if it is not given",
}
#: Runtime of a job that nobody knows [s]: longer than any.
UNKNOWN_S = 1e15
#: Batsim writes times to a microsecond.
TICK_S = 1e-6


class Scheduler(BatsimScheduler):
    """A policy as a pybatsim scheduler.

    Parameters
    ----------
    options : dict
        See :data:`OPTIONS`.

    Raises
    ------
    ValueError
        An option is unknown, or the policy needs one that is missing or cannot run under Batsim.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        """Read the policy."""
        super().__init__(options)
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            known = "; ".join(f"{name}: {meaning}" for name, meaning in OPTIONS.items())
            raise ValueError(f"options {unknown} are unknown; pass some of {known}.")
        self.policy = _policy(options.get("policy", "easy"))
        self.forecast = _forecast(self.policy, options.get("intensity"))
        start = options.get("start")
        self.start = None if start is None else pd.Timestamp(start)
        self.timezone = str(options.get("timezone", "UTC"))

    def onSimulationBegins(self) -> None:
        """Build the machine, all hosts free."""
        self.platform, hosts = self._platform()
        self.stepper = Stepper(self.platform, self.policy, self.forecast)
        self.free = np.ones(self.platform.procs, np.bool_)
        self.rows: dict[str, int] = {}
        self.jobs: list[Job] = []
        self.starts_s: list[float] = []
        self.submitted: list[Job] = []
        self.completed: list[Job] = []
        self.asked_s: list[float] = []
        self.running = 0
        self.sleepers: Sleepers[Job] | None = None
        if self.policy.sleep_after_s is not None:
            assert hosts is not None
            self.sleepers = Sleepers(hosts, self.policy.sleep_after_s, self.bs)
        if self.bs.dynamic_job_registration_enabled:
            self.bs.notify_registration_finished()

    def onJobSubmission(self, job: Job) -> None:
        """Take note of a job; one that can never run is rejected."""
        if job.requested_resources > self.platform.procs:
            self.bs.reject_jobs([job])
        else:
            self.submitted.append(job)

    def onJobCompletion(self, job: Job) -> None:
        """Take note of a job that has ended, for whatever reason."""
        if job.id in self.rows:
            self.completed.append(job)

    def onRequestedCall(self) -> None:
        """Nothing yet: what is due is done after all events of the message."""

    def onMachinePStateChanged(self, nodeid: tuple[int, int], pstate: str) -> None:
        """Take note of hosts that are asleep or awake."""
        if self.sleepers is not None:
            self.sleepers.switched(range(nodeid[0], nodeid[1] + 1), int(pstate))

    def onNotifyEventMachineUnavailable(self, machines: ProcSet) -> None:
        """Refuse: a replay knows no broken hosts."""
        raise ValueError(
            f"hosts {machines} come and go, which {self.policy.name} knows nothing of; run it "
            "without external events."
        )

    onNotifyEventMachineAvailable = onNotifyEventMachineUnavailable

    def onNoMoreEvents(self) -> None:
        """Decide, if this message is an instant of the replay."""
        now_s = self._now_s()
        timer_s = self.stepper.next_timer_s
        if self.submitted or self.completed or timer_s <= now_s:
            self._instant(now_s)
        elif self.sleepers is not None:
            self.sleepers.fall_asleep(now_s)
        if self.sleepers is not None:
            for job in self.sleepers.ready():
                self._execute(job)
        self._ask(now_s)

    def _platform(self) -> tuple[Platform, Hosts | None]:
        """Machine of one processor a host."""
        n = int(self.bs.nb_compute_resources)
        path = self.options.get("platform")
        if path is None:
            for name in ("sleep_after_s", "power_cap_w"):
                if getattr(self.policy, name) is not None:
                    raise ValueError(
                        f"policy {self.policy.name} has {name}, for which it must know the hosts' "
                        'watts and transitions; pass the option "platform", a SimGrid XML file.'
                    )
            return Platform.uniform(nodes=n, procs=n), None
        hosts = read_hosts(path)
        platform = platform_of(hosts)
        if len(platform.partitions) > 1 or platform.procs != n:
            raise ValueError(
                f"{path} has {platform.procs} processors in {len(platform.partitions)} kinds of "
                f"host; the simulation has {n} hosts, which must be of one kind and one core."
            )
        return platform, hosts

    def _now_s(self) -> float:
        """Time of the message; where it is a call that was asked for, as exactly as that was."""
        now_s = float(self.bs.time())
        due = [asked for asked in self.asked_s if asked <= now_s + TICK_S]
        self.asked_s = [asked for asked in self.asked_s if asked > now_s + TICK_S]
        return next((asked for asked in due if abs(asked - now_s) < TICK_S), now_s)

    def _instant(self, now_s: float) -> None:
        ended = sorted(self.completed, key=lambda job: self.rows[job.id])
        rows = [self.rows[job.id] for job in ended]
        ran_s = [now_s - self.starts_s[row] for row in rows]
        for job in ended:
            self._release(job, now_s)
        if self.submitted:
            self._announce(sorted(self.submitted, key=_trace_order))
        self.running -= len(ended)
        self.submitted, self.completed = [], []
        if self.sleepers is not None:
            self.sleepers.fall_asleep(now_s)
        started = self.stepper.instant(now_s, rows, ran_s)
        self.running += started.row.size
        for row in started.row.tolist():
            job = self.jobs[row]
            job.allocation = self._allocate(row, job)
            if self.sleepers is None or self.sleepers.take(job):
                self._execute(job)

    def _announce(self, jobs: Sequence[Job]) -> None:
        """Tell the stepper of new jobs; what only Batsim knows of them stays unknown."""
        first = not self.jobs
        for job in jobs:
            self.rows[job.id] = len(self.jobs)
            self.jobs.append(job)
            self.starts_s.append(np.nan)
        columns = {
            name: np.array([_known(job, name) for job in jobs], kind)
            for name, kind in JOB_COLUMNS.items()
        }
        columns["runtime_s"] = np.array([self._runtime_s(job) for job in jobs])
        if self.policy.estimate not in ESTIMATES:
            column = self.policy.estimate
            columns[column] = np.array([float(job.json_dict.get(column, np.nan)) for job in jobs])
        if not first:
            self.stepper.add_columns(columns)
            return
        self.stepper.add(
            Workload(
                pd.DataFrame(columns),
                procs=self.platform.procs,
                start=self.start,
                timezone=self.timezone,
            )
        )
        if self.sleepers is not None:
            self.sleepers.give_back(range(self.platform.procs), float(jobs[0].submit_time))

    def _runtime_s(self, job: Job) -> float:
        """Runtime of a job, for a clairvoyant policy; unknown to all others [s]."""
        if not self.policy.clairvoyant:
            return UNKNOWN_S
        if job.profile_dict.get("type") != "delay":
            raise ValueError(
                f"policy {self.policy.name} is clairvoyant, and job {job.id} has profile "
                f"{job.profile_dict!r}, which tells no runtime; use delay profiles."
            )
        return float(job.profile_dict["delay"])

    def _allocate(self, row: int, job: Job) -> ProcSet:
        """Hosts of a job: the lowest-numbered free ones, those that sleep last."""
        if self.sleepers is None:
            hosts = np.flatnonzero(self.free)[: job.requested_resources]
        else:
            hosts = self.stepper.processors(row)
        self.free[hosts] = False
        return ProcSet(*hosts.tolist())

    def _release(self, job: Job, now_s: float) -> None:
        hosts = list(job.allocation)
        self.free[hosts] = True
        if self.sleepers is not None:
            self.sleepers.give_back(hosts, now_s)

    def _execute(self, job: Job) -> None:
        self.starts_s[self.rows[job.id]] = float(self.bs.time())
        self.bs.execute_job(job)

    def _ask(self, now_s: float) -> None:
        """Have Batsim call when the next timer rings or a host falls asleep, while jobs come."""
        if (
            self.bs.no_more_static_jobs
            and not self.running
            and not self.stepper.next_timer_s < np.inf
        ):
            return
        moments = [self.stepper.next_timer_s]
        if self.sleepers is not None:
            moments.append(self.sleepers.next_s)
        for moment in moments:
            if now_s < moment < np.inf and moment not in self.asked_s:
                self.asked_s.append(moment)
                self.bs.wake_me_up_at(moment)


def _policy(value: Any) -> Policy:
    """Policy of a name, a file or an object."""
    policy = Policy.of(value)
    if policy.dvfs is not None and len(policy.dvfs.levels) > 1:
        raise ValueError(
            f"policy {policy.name} runs jobs at several frequencies, and Batsim's delays know "
            "none; pass a policy without dvfs."
        )
    if not policy.kill_at_request:
        raise ValueError(
            "kill_at_request(=False): Batsim ends every job at its walltime; leave it true."
        )
    return policy


def _forecast(policy: Policy, intensity: Any) -> Forecast | None:
    if policy.hold is None:
        return None
    if intensity is None:
        raise ValueError(
            f"policy {policy.name} holds jobs back for cleaner power; pass the option "
            '"intensity", such as "GB-2023".'
        )
    if policy.hold.level is not None:
        raise ValueError(
            f"the hold's level(={policy.hold.level:g}) needs a forecast that tells how sure it is; "
            "the one by persistence here does not. Pass a policy without level."
        )
    return persistence(load_intensity(str(intensity), fill="week"))


def _trace_order(job: Job) -> tuple[float, float, str]:
    """Submission, then the id as a number: Batsim sends w0!10 before w0!2."""
    name = str(job.id).rpartition("!")[2]
    return float(job.submit_time), float(name) if name.isdecimal() else np.inf, name


def _known(job: Job, column: str) -> float:
    """What Batsim tells of a job, by a workload's column."""
    if column == "submit_s":
        return float(job.submit_time)
    if column == "procs":
        return int(job.requested_resources)
    if column == "requested_s":
        return float(job.requested_time) if job.requested_time > 0 else np.nan
    unknown = COLUMNS[column][1]
    return job.json_dict.get(column, unknown)
