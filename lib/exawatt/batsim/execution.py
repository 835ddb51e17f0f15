"""What a running job does: its profile, step by step, within its walltime."""

import json
import re
from collections.abc import Callable, Generator
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Protocol

from exawatt.batsim.clock import Clock, Work
from exawatt.batsim.intervals import members
from exawatt.batsim.jobs import Job
from exawatt.batsim.profiles import Book, Composed, Delay, Parallel, Profile, Receive, Send

if TYPE_CHECKING:
    from exawatt.batsim.machine import Machine

TIMED_OUT = -1
"""Return code of a job that reached its walltime."""

Steps = Generator[None, None, int]


class Computing:
    """Work under way on hosts: how much on each [flop], and how fast it goes."""

    __slots__ = ("flops", "work")

    def __init__(self, flops: dict[int, float], work: Work) -> None:
        self.flops = flops
        self.work = work


class Site(Protocol):
    """Where jobs run: what wakes them, what they read, and who hears of them."""

    @property
    def clock(self) -> Clock:
        """What wakes a job."""

    @property
    def book(self) -> Book:
        """Where profiles are found."""

    @property
    def machine(self) -> "Machine":
        """The hosts."""

    def from_job(self, job: Job, content: Any) -> None:
        """Take a job's message for the scheduler."""

    def end(self, job: Job, code: int) -> None:
        """Take notice that a job is over, with its return code."""


class Execution:
    """The run of one job.

    Parameters
    ----------
    job : Job
        The job.
    executors : list of int or None
        Host of each executor; None for one on each host that it has.
    site : Site
        Where it runs.
    """

    __slots__ = (
        "_executors",
        "_left_s",
        "_since_s",
        "_site",
        "_steps",
        "_timed_out",
        "_wake",
        "computing",
        "frames",
        "job",
    )

    def __init__(self, job: Job, executors: list[int] | None, site: Site) -> None:
        self.job = job
        self.computing: Computing | None = None
        self.frames: list[dict[str, Any]] = []
        self._executors = executors
        self._site = site
        self._left_s = job.walltime_s if job.walltime_s > 0 else inf
        self._since_s = -inf
        self._timed_out = False
        self._wake: Callable[[], None] | None = None
        self._steps = self._run(job.profile)

    @property
    def executors(self) -> list[int]:
        """Host of each executor."""
        return list(members(self.job.alloc)) if self._executors is None else self._executors

    def resume(self) -> None:
        """Go on to the next pause, or to the end."""
        self._wake = None
        if self._timed_out:
            self._site.end(self.job, TIMED_OUT)
            return
        try:
            next(self._steps)
        except StopIteration as end:
            self._site.end(self.job, end.value)
        except RecursionError:
            raise ValueError(
                f"job {self.job.id!r}: profile {self.job.profile!r} runs others nested too "
                "deeply; let it name fewer of them in one another."
            ) from None

    def stop(self) -> None:
        """Leave off where it is, for good."""
        if self.computing is not None:
            self._site.clock.stop(self.computing.work)
        elif self._wake is not None:
            self._site.clock.cancel(self._wake)

    def progress(self) -> dict[str, Any]:
        """How far it has come: the share done of its profile, or the place in its sequence."""
        return self._progress(0)

    def _progress(self, depth: int) -> dict[str, Any]:
        frame = dict(self.frames[depth])
        duration_s = frame.pop("duration_s", None)
        if depth + 1 < len(self.frames):
            frame["current_task"] = self._progress(depth + 1)
        elif self.computing is not None:
            frame["progress"] = 1.0 - self.computing.work.left
        elif duration_s is not None:
            frame["progress"] = (self._site.clock.now_s - self._since_s) / duration_s
        else:
            frame["progress"] = 0.0
        return frame

    def _run(self, name: str) -> Steps:
        profile = self._site.book[self.job.workload, name]
        self.frames.append({"profile_name": name})
        code = yield from self._act(profile)
        self.frames.pop()
        return code or profile.ret

    def _act(self, profile: Profile) -> Steps:
        match profile:
            case Delay(delay_s):
                self.frames[-1]["duration_s"] = delay_s
                yield from self._sleep(delay_s)
            case Parallel():
                yield from self._compute(profile)
            case Composed():
                return (yield from self._one_by_one(profile))
            case Send(message, sleep_s):
                self._site.from_job(self.job, message)
                yield from self._sleep(sleep_s)
            case Receive():
                return (yield from self._receive(profile))
        return 0

    def _one_by_one(self, profile: Composed) -> Steps:
        frame = self.frames[-1]
        for repetition in range(profile.repeat):
            for index, name in enumerate(profile.sequence):
                frame["current_task_index"] = index
                frame["current_repetition"] = repetition
                code = yield from self._run(name)
                if code:
                    return code
        return 0

    def _sleep(self, duration_s: float) -> Steps:
        self._since_s = self._site.clock.now_s
        if duration_s < self._left_s:
            self._left_s -= duration_s
        else:
            duration_s, self._timed_out = self._left_s, True
        self._wake = self.resume
        self._site.clock.sleep(duration_s, self._wake)
        yield
        return 0

    def _compute(self, profile: Parallel) -> Steps:
        flops: dict[int, float] = {}
        executors = self.executors
        amounts = profile.flops_of(len(executors))
        for host, amount in zip(executors, amounts, strict=True):
            flops[host] = flops.get(host, 0.0) + amount
        if not any(flops.values()):
            return 0
        self._since_s = self._site.clock.now_s
        work = Work(self._rate_per_s(flops), self._left_s, self._computed, self._broken_off)
        self.computing = Computing(flops, work)
        self._site.clock.work(work)
        self._site.machine.load(self)
        yield
        self._left_s -= self._site.clock.now_s - self._since_s
        return 0

    def _rate_per_s(self, flops: dict[int, float]) -> float:
        return min(
            self._site.machine.speed_flops(host) / amount
            for host, amount in flops.items()
            if amount
        )

    def change_speed(self) -> None:
        """Go on at the speed that its hosts have now."""
        if self.computing is not None:
            self.computing.work.rate_per_s = self._rate_per_s(self.computing.flops)

    def _computed(self) -> None:
        self.computing = None
        self._site.machine.load(self)
        self.resume()

    def _broken_off(self) -> None:
        self._timed_out = True
        self._computed()

    def _receive(self, profile: Receive) -> Steps:
        inbox = self.job.inbox
        if not inbox and profile.timeout:
            return (yield from self._run(profile.timeout))
        since_s = self._site.clock.now_s
        while not inbox:
            yield from self._wait_for_message()
            polls = ceil((self._site.clock.now_s - since_s) / profile.poll_s)
            yield from self._sleep(
                max(since_s + polls * profile.poll_s - self._site.clock.now_s, 0.0)
            )
        message = inbox.pop(0)
        text = message if isinstance(message, str) else json.dumps(message)
        name = profile.success if re.search(profile.regex, text) else profile.failure
        return (yield from self._run(name)) if name else 0

    def _wait_for_message(self) -> Steps:
        self._since_s = self._site.clock.now_s
        if self._left_s < inf:
            self._timed_out = True
            self._wake = self.resume
            self._site.clock.sleep(self._left_s, self._wake)
        self.frames[-1]["waits"] = True
        yield
        return 0

    def notice(self) -> None:
        """Go on if it waits for the message that has come."""
        if not self.frames or not self.frames[-1].pop("waits", False):
            return
        if self._wake is not None:
            self._site.clock.cancel(self._wake)
            self._timed_out = False
            self._left_s -= self._site.clock.now_s - self._since_s
        self.resume()
