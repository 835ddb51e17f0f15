"""Hosts that fall asleep and wake as Batsim tells: the other side of a policy's sleeping nodes."""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Generic, Protocol, TypeVar

import numpy as np
from procset import ProcSet

from exawatt.batsim.hosts import Hosts


class Switch(Protocol):
    """What can ask Batsim for another power state."""

    def set_resource_state(self, resources: ProcSet, state: int) -> None:
        """Ask for a power state of some hosts."""


class Holder(Protocol):
    """A job that holds hosts."""

    allocation: ProcSet


Job = TypeVar("Job", bound=Holder)


class _State(Enum):
    AWAKE = 0
    FALLING = 1
    ASLEEP = 2
    WAKING = 3


class Sleepers(Generic[Job]):
    """States of hosts, as far as they were asked for and answered.

    Parameters
    ----------
    hosts : Hosts
        Each with a sleep state.
    sleep_after_s : float
        An idle host falls asleep after this long [s].
    switch : Switch
        Told of every change.

    Raises
    ------
    ValueError
        A host has no sleep state.
    """

    def __init__(self, hosts: Hosts, sleep_after_s: float, switch: Switch) -> None:
        """Take all hosts as awake, and as not yet idle."""
        for host in hosts:
            if not host.sleeps:
                raise ValueError(
                    f"host {host.name!r} has no sleep state; give it a property sleep_pstates, or "
                    "pass a policy without sleep_after_s."
                )
        self._asleep = [host.sleeps[0].asleep for host in hosts]
        self._awake = [host.pstate for host in hosts]
        self._after_s, self._switch = sleep_after_s, switch
        self._state = [_State.AWAKE] * len(hosts)
        self._idle_since_s: dict[int, float] = {}
        self._idle: deque[tuple[float, int]] = deque()
        self._wanted: set[int] = set()
        self._waiting: list[Job] = []

    def give_back(self, hosts: Iterable[int], now_s: float) -> None:
        """Count hosts as idle from now on."""
        for host in hosts:
            self._idle_since_s[host] = now_s
            self._idle.append((now_s, host))

    def fall_asleep(self, now_s: float) -> None:
        """Send those to sleep that have been idle long enough."""
        due = []
        while self.next_s <= now_s:
            _, host = self._idle.popleft()
            self._state[host] = _State.FALLING
            due.append(host)
        self._set(due, self._asleep)

    @property
    def next_s(self) -> float:
        """When the next host falls asleep [s]; infinite if all are busy or asleep."""
        while self._idle and self._idle_since_s.get(self._idle[0][1]) != self._idle[0][0]:
            self._idle.popleft()
        return self._idle[0][0] + self._after_s if self._idle else np.inf

    def take(self, job: Job) -> bool:
        """Wake the hosts of a job; whether all are awake already."""
        asleep, ready = [], True
        for host in job.allocation:
            del self._idle_since_s[host]
            if self._state[host] is _State.ASLEEP:
                asleep.append(host)
            elif self._state[host] is _State.FALLING:
                self._wanted.add(host)
            ready = ready and self._state[host] is _State.AWAKE
        self._wake(asleep)
        if not ready:
            self._waiting.append(job)
        return ready

    def switched(self, hosts: Iterable[int], pstate: int) -> None:
        """Take note of hosts that have reached a power state; wake those that a job waits for."""
        asleep = []
        for host in hosts:
            if pstate != self._asleep[host]:
                self._state[host] = _State.AWAKE
            else:
                self._state[host] = _State.ASLEEP
                if host in self._wanted:
                    self._wanted.remove(host)
                    asleep.append(host)
        self._wake(asleep)

    def ready(self) -> list[Job]:
        """Jobs whose hosts have all woken since the last call."""
        found = [job for job in self._waiting if self._all_awake(job)]
        self._waiting = [job for job in self._waiting if job not in found]
        return found

    def _all_awake(self, job: Job) -> bool:
        return all(self._state[host] is _State.AWAKE for host in job.allocation)

    def _wake(self, hosts: list[int]) -> None:
        for host in hosts:
            self._state[host] = _State.WAKING
        self._set(hosts, self._awake)

    def _set(self, hosts: list[int], pstates: list[int]) -> None:
        """Ask once for each power state."""
        for pstate in sorted({pstates[host] for host in hosts}):
            self._switch.set_resource_state(
                ProcSet(*(host for host in hosts if pstates[host] == pstate)), pstate
            )
