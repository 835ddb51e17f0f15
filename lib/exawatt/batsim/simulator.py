"""The simulator: plays Batsim's part in its protocol, one message out for each reply in.

It is a state machine without a transport: :meth:`Simulator.first` gives the first message, and
:meth:`Simulator.reply` takes the scheduler's answer to the last one and gives the next, until
there is none. What a scheduler may send is in :mod:`exawatt.batsim.decisions`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from exawatt.batsim import intervals, jobs
from exawatt.batsim.clock import Clock
from exawatt.batsim.decisions import apply
from exawatt.batsim.execution import Execution
from exawatt.batsim.external import External, check_events
from exawatt.batsim.greeting import greeting
from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import WORKLOAD, JobFile
from exawatt.batsim.jobs import Job
from exawatt.batsim.machine import Machine
from exawatt.batsim.outputs import Outputs
from exawatt.batsim.profiles import Book
from exawatt.batsim.protocol import (
    Decision,
    SchedulerError,
    encode,
    event,
    message,
    parse_reply,
)

_NO_ENERGY = np.longdouble(0)


@dataclass(frozen=True)
class Options:
    """What Batsim's own options of the same names do.

    Parameters
    ----------
    energy : bool
        Count energy, and let the scheduler change pstates.
    enable_dynamic_jobs, acknowledge_dynamic_jobs : bool
        Let the scheduler register jobs; announce them back to it as submissions.
    forward_profiles_on_submission : bool
        Send each job's profile with its submission, and none in the beginning.
    forward_unknown_events : bool
        Pass external events of other types on to the scheduler.
    """

    energy: bool = False
    enable_dynamic_jobs: bool = False
    acknowledge_dynamic_jobs: bool = False
    forward_profiles_on_submission: bool = False
    forward_unknown_events: bool = False


class Simulator:
    """Simulation of one workload on one platform, driven by a scheduler's replies.

    Parameters
    ----------
    workload : JobFile
        The jobs, submitted in order of time and, at one instant, of their identifier's text.
    hosts : Hosts
        The platform.
    options : Options
        Batsim's options.
    outputs : Outputs, optional
        Where to write what happens; nowhere by default.
    external : tuple of External
        Events besides jobs, in order of time.
    """

    def __init__(
        self,
        workload: JobFile,
        hosts: Hosts,
        options: Options = Options(),
        outputs: Outputs | None = None,
        external: tuple[External, ...] | None = None,
    ) -> None:
        self.options = options
        self.clock = Clock()
        self.outputs = Outputs(None, len(hosts)) if outputs is None else outputs
        self.machine = Machine(hosts, self.clock, self.outputs, options.energy)
        self.book = Book({WORKLOAD: dict(workload.profiles)})
        self.jobs: dict[str, Job] = {}
        self.open_jobs = 0
        """Jobs submitted and not over."""
        self.calls = 0
        """Calls that the scheduler asked for and did not get yet."""
        self.registering = options.enable_dynamic_jobs
        self.kills: list[list[Job]] = []
        self.over = False
        self._greeting = greeting(workload, hosts, options)
        self._ready = False
        self._events: list[str] = []
        self._decisions: deque[Decision] = deque()
        self._reply_end_s = 0.0
        self._next: deque[Callable[[], None]] = deque()
        self._submitters = 0
        self._begin_submissions(workload)
        if external is not None:
            self._begin_external(external)

    def first(self) -> str:
        """Return the first message, SIMULATION_BEGINS, which stands alone."""
        while self._next:
            self._next.popleft()()
        return message(0.0, [event(0.0, "SIMULATION_BEGINS", self._greeting)])

    def reply(self, text: str | bytes) -> str | None:
        """Take the reply to the last message; return the next, or None after the last.

        Raises
        ------
        SchedulerError
            The reply breaks the protocol, or leaves jobs for which nothing will ever happen.
        """
        self._reply_end_s, decisions = parse_reply(text, self.clock.now_s)
        if self.over:
            if decisions:
                decisions[0].refuse("the simulation has ended")
            return None
        self._decisions.extend(decisions)
        self._decide()
        return self._until_message()

    def jobs_on(self, hosts: int) -> list[Job]:
        """Jobs that run on any of some hosts."""
        return [
            job for job in self.jobs.values() if job.execution is not None and job.alloc & hosts
        ]

    def send(self, kind: str, data: str) -> None:
        """Put an event into the next message."""
        self._events.append(event(self.clock.now_s, kind, data))

    def _until_message(self) -> str:
        while True:
            if self.kills:
                self._kill()
            if self._ready and self._events:
                return self._message()
            if self._next:
                self._next.popleft()()
            elif self._ready and self._finished():
                self.over = True
                self.send("SIMULATION_ENDS", "{}")
            elif self.clock.idle:
                raise SchedulerError(self._deadlock())
            else:
                for wake in self.clock.step():
                    wake()
                self.machine.settle()

    def _message(self) -> str:
        text = message(self.clock.now_s, self._events)
        self._events = []
        self._ready = False
        return text

    def _finished(self) -> bool:
        return not (
            self.open_jobs
            or self._submitters
            or self.registering
            or self.calls
            or self.machine.switches
        )

    def _deadlock(self) -> str:
        now_s = self.clock.now_s
        waiting = [job for job in self.jobs.values() if job.state == jobs.SUBMITTED]
        if waiting:
            hosts = len(self.machine.hosts)
            large = [
                f" Job {job.id} has res(={job.hosts}), and the platform has {hosts} hosts; "
                "pass a larger platform."
                for job in waiting
                if job.hosts > hosts
            ]
            return (
                f"deadlock at {now_s} s: {len(waiting)} jobs wait (the first is {waiting[0].id}), "
                "nothing runs, and the scheduler asked for no call." + "".join(large[:1])
            )
        if self.open_jobs:
            return f"deadlock at {now_s} s: running jobs wait for messages that nobody will send."
        return (
            f"deadlock at {now_s} s: all jobs are over and the scheduler, which may register "
            "jobs, never sent NOTIFY registration_finished."
        )

    def _decide(self) -> None:
        """Apply what is due of the reply; sleep until its next event, or until its end."""
        while self._decisions:
            due_s = self._decisions[0].timestamp_s
            if due_s > self.clock.now_s:
                self.clock.sleep(due_s - self.clock.now_s, self._decide)
                return
            apply(self, self._decisions.popleft())
        if self._reply_end_s > self.clock.now_s:
            self.clock.sleep(self._reply_end_s - self.clock.now_s, self._be_ready)
        else:
            self._ready = True

    def _be_ready(self) -> None:
        self._ready = True

    def _begin_submissions(self, workload: JobFile) -> None:
        waiting = [Job(raw, WORKLOAD) for raw in workload.jobs]
        waiting.sort(key=lambda job: (job.submit_s, job.id))
        for job in waiting:  # now, while the scheduler starts
            job.announcement = self._announcement(job)
        self._waiting = deque(waiting)
        self.jobs = {job.id: job for job in waiting}
        self._slept = False
        self._submitters += 1
        self._next.append(self._submit)

    def _submit(self) -> None:
        """Submit the jobs of this instant, then sleep until the next one's."""
        waiting, now_s = self._waiting, self.clock.now_s
        # One that was slept for is due, even where the sum of many steps falls a hair short.
        if waiting and self._slept:
            self.submit(waiting.popleft())
        while waiting and waiting[0].submit_s <= now_s:
            self.submit(waiting.popleft())
        if waiting:
            self._slept = True
            self.clock.sleep(waiting[0].submit_s - now_s, self._submit)
        else:
            self._next.append(self._no_more_jobs)

    def _no_more_jobs(self) -> None:
        self._submitters -= 1
        self.send("NOTIFY", '{"type":"no_more_static_job_to_submit"}')

    def submit(self, job: Job, announce: bool = True) -> None:
        """Make a job known to the scheduler, or, when it has registered it itself, count it."""
        job.state = jobs.SUBMITTED
        self.open_jobs += 1
        self.outputs.submitted(self._total_j())
        if announce:
            self.send("JOB_SUBMITTED", job.announcement or self._announcement(job))
            job.announcement = ""

    def _announcement(self, job: Job) -> str:
        data = f'{{"job_id":{encode(job.id)},"job":{encode({**job.raw, "id": job.id})}'
        if self.options.forward_profiles_on_submission:
            data += f',"profile":{encode(self.book.raw[job.workload][job.profile])}'
        return data + "}"

    def _begin_external(self, external: tuple[External, ...]) -> None:
        check_events(external)
        self._external = deque(external)
        self._submitters += 1
        self._next.append(self._happen)

    def _happen(self) -> None:
        """Let the external events of this instant happen, then sleep until the next one's."""
        waiting, now_s = self._external, self.clock.now_s
        while waiting and waiting[0].timestamp_s <= now_s:
            one = waiting.popleft()
            if one.available is not None:
                change = self.machine.give_back if one.available else self.machine.withdraw
                change(one.hosts)
            self.send("NOTIFY", encode(one.data))
        if waiting:
            self.clock.sleep(waiting[0].timestamp_s - now_s, self._happen)
        else:
            self._next.append(self._no_more_external)

    def _no_more_external(self) -> None:
        self._submitters -= 1
        self.send("NOTIFY", '{"type":"no_more_external_event_to_occur"}')

    def _total_j(self) -> np.longdouble:
        meter = self.machine.meter
        return _NO_ENERGY if meter is None else meter.total_j(self.clock.now_s)

    def start(self, job: Job, alloc: int, executors: list[int] | None) -> None:
        """Start a job on idle hosts, an executor on each or as a mapping places them."""
        machine, now_s = self.machine, self.clock.now_s
        job.state, job.start_s, job.alloc = jobs.RUNNING, now_s, alloc
        machine.start(alloc)
        if machine.meter is not None:
            job.before_j = machine.meter.used_j(intervals.members(alloc), now_s)
        self.outputs.started(job)
        job.execution = Execution(job, executors, self)
        job.execution.resume()

    def from_job(self, job: Job, content: Any) -> None:
        """Pass a job's message on to the scheduler."""
        self.send("FROM_JOB_MSG", f'{{"job_id":{encode(job.id)},"msg":{encode(content)}}}')

    def end(self, job: Job, code: int) -> None:
        """End a job whose profile returned a code, -1 for its walltime reached."""
        state = jobs.SUCCESS if code == 0 else jobs.WALLTIME if code == -1 else jobs.FAILED
        self._complete(job, state, code)

    def _complete(self, job: Job, state: str, code: int) -> None:
        job.state, job.return_code, job.end_s = state, code, self.clock.now_s
        job.execution = None
        self.machine.end(job.alloc)
        meter = self.machine.meter
        if meter is not None:
            used_j = meter.used_j(intervals.members(job.alloc), job.end_s)
            job.energy_j = float(used_j - job.before_j)
        self.close(job)
        self.send(
            "JOB_COMPLETED",
            f'{{"job_id":{encode(job.id)},"job_state":"{state}","return_code":{code},'
            f'"alloc":"{intervals.text(job.alloc)}"}}',
        )

    def close(self, job: Job) -> None:
        """Count a job that is over, whatever its state, and write it down."""
        self.open_jobs -= 1
        self.outputs.ended(job, self._total_j())

    def _kill(self) -> None:
        """Kill what decisions of this instant named, after whatever else ends in it."""
        for group in self.kills:
            progress = {}
            for job in group:
                if job.execution is not None:
                    progress[job.id] = job.execution.progress()
                    job.execution.stop()
                    if job.execution.computing is not None:
                        job.execution.computing = None
                        self.machine.load(job.execution)
                    self._complete(job, jobs.KILLED, -1)
            ids = [job.id for job in group]
            self.send("JOB_KILLED", encode({"job_ids": ids, "job_progress": progress}))
        self.kills.clear()
