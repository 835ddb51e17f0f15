"""The hosts while the simulation runs: their states, pstates and watts."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from exawatt.batsim import intervals
from exawatt.batsim.clock import Clock, Work
from exawatt.batsim.energy import Meter
from exawatt.batsim.execution import Execution
from exawatt.batsim.hosts import Hosts, SleepState

IDLE = "idle"
COMPUTING = "computing"
SLEEPING = "sleeping"
SWITCHING_OFF = "switching_off"
SWITCHING_ON = "switching_on"
UNAVAILABLE = "unavailable"
STATES = (IDLE, COMPUTING, SLEEPING, SWITCHING_OFF, SWITCHING_ON, UNAVAILABLE)

PSTATE_ON = -1
PSTATE_OFF = -2
"""What pstate files show while hosts wake and fall asleep."""


class Recorder(Protocol):
    """What is told of the hosts."""

    def moved(self, now_s: float, hosts: int, old: str, new: str) -> None:
        """Hosts went from one state into another."""

    machine_switches: int

    def pstate(self, now_s: float, hosts: int, pstate: int) -> None:
        """Hosts were set to a pstate."""

    def hosts_changed(self, now_s: float) -> None:
        """A change of states is complete."""

    def energy(self, now_s: float, kind: str, total_j: np.longdouble, least_w: float) -> None:
        """Energy at the start or end of a job, or at a change of pstates."""


class Machine:
    """States of the hosts, as bits by state.

    Parameters
    ----------
    hosts : Hosts
        The hosts.
    clock : Clock
        Transitions take time.
    recorder : Recorder
        What changes is told to it.
    energy : bool
        Whether to count energy, and allow pstates to change.
    """

    def __init__(self, hosts: Hosts, clock: Clock, recorder: Recorder, energy: bool) -> None:
        self.hosts = hosts
        self.every = (1 << len(hosts)) - 1
        self.in_state = dict.fromkeys(STATES, 0)
        self.in_state[IDLE] = self.every
        self.pstates = [host.pstate for host in hosts]
        self.meter = Meter(hosts, self.pstates) if energy else None
        self.switches = 0
        """Transitions under way."""
        self._clock = clock
        self._recorder = recorder
        self._withdrawn = 0
        self._asleep = 0
        """Of the unavailable hosts, those that sleep."""
        self._arrived: list[tuple[int, str, str]] = []
        self._acknowledged: list[tuple[int, int]] = []
        if energy:
            for pstate in sorted(set(self.pstates)):
                bits = sum(1 << h for h, one in enumerate(self.pstates) if one == pstate)
                recorder.pstate(0.0, bits, pstate)

    def speed_flops(self, host: int) -> float:
        """Speed of a core of a host in its present pstate [flop/s]."""
        return self.hosts[host].speeds_flops[self.pstates[host]]

    def state_of(self, hosts: int) -> str:
        """Say in which states some hosts are: ``"3-4 computing, 7 sleeping"``."""
        parts = [(hosts & bits, state) for state, bits in self.in_state.items()]
        return ", ".join(f"{intervals.text(bits)} {state}" for bits, state in parts if bits)

    def start(self, hosts: int) -> None:
        """Idle hosts begin to run a job."""
        self._move(hosts, IDLE, COMPUTING)
        self._after_job("s")

    def end(self, hosts: int) -> None:
        """Hosts are given back by a job."""
        self._arrive(hosts, COMPUTING, IDLE)
        self._after_job("e")

    def load(self, execution: Execution) -> None:
        """Take account of what a job computes on its hosts, if energy is counted."""
        if self.meter is None:
            return
        computing = execution.computing
        for host in set(execution.executors):
            load = 0.0
            if computing is not None and host in computing.flops:
                speed_flops = self.speed_flops(host) * self.hosts[host].cores
                load = computing.work.rate_per_s * computing.flops[host] / speed_flops
            self.meter.set_load(host, load, self._clock.now_s)

    def withdraw(self, hosts: int) -> None:
        """Make hosts unavailable: at once, or when their job or their transition is over."""
        self._withdrawn |= hosts
        at_once = [(hosts & self.in_state[state], state) for state in (IDLE, SLEEPING)]
        for group, state in at_once:
            if group:
                self._arrive(group, state, state)
        if any(group for group, _ in at_once):
            self._recorder.hosts_changed(self._clock.now_s)

    def give_back(self, hosts: int) -> None:
        """Make hosts available again, asleep if they were."""
        self._withdrawn &= ~hosts
        unavailable = hosts & self.in_state[UNAVAILABLE]
        asleep = unavailable & self._asleep
        self._asleep &= ~asleep
        for group, state in ((unavailable & ~asleep, IDLE), (asleep, SLEEPING)):
            if group:
                self._move(group, UNAVAILABLE, state)
        if unavailable:
            self._recorder.hosts_changed(self._clock.now_s)

    def switch(self, hosts: int, pstate: int, done: Callable[[], None]) -> None:
        """Set hosts to a pstate; `done` is called when all of them are there.

        Raises
        ------
        ValueError
            A host has no such pstate, or cannot leave its state for it.
        """
        self._check_switch(hosts, pstate)
        self._recorder.machine_switches += hosts.bit_count()
        asleep = hosts & self.in_state[SLEEPING]
        falling = sum(
            1 << h for h in intervals.members(hosts) if pstate in self.hosts[h].sleep_by_pstate
        )
        at_once = hosts & ~asleep & ~falling
        if at_once:
            self._set_pstate(at_once, pstate)
            self._after_switch(at_once, pstate)
        waiting = 0

        def one_done() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                self.switches -= 1
                done()

        for moving, code, old, state, end in (
            (falling, PSTATE_OFF, IDLE, SWITCHING_OFF, SLEEPING),
            (asleep, PSTATE_ON, SLEEPING, SWITCHING_ON, IDLE),
        ):
            if moving:
                self._move(moving, old, state)
                self._after_switch(moving, code)
                waiting += 1
                self._transit(moving, pstate, state, end, one_done)
        if waiting:
            self.switches += 1
        else:
            done()

    def settle(self) -> None:
        """Finish the transitions of this instant, after the jobs that ended in it.

        As in Batsim's files: hosts draw their new watts first, then jobs end, then the hosts
        of all transitions change their state, and then each transition is written down.
        """
        for group, old, new in self._arrived:
            self._arrive(group, old, new)
        for hosts, pstate in self._acknowledged:
            self._after_switch(hosts, pstate)
        self._arrived.clear()
        self._acknowledged.clear()

    def _check_switch(self, hosts: int, pstate: int) -> None:
        for h in intervals.members(hosts):
            host = self.hosts[h]
            sleeps = pstate in host.sleep_by_pstate
            if not sleeps and pstate not in host.computing_pstates:
                raise ValueError(f"host {h} ({host.name}) has no pstate {pstate} to be set to")
            allowed = [IDLE] if sleeps else [IDLE, COMPUTING, SLEEPING]
            if not any(self.in_state[state] >> h & 1 for state in allowed):
                raise ValueError(
                    f"hosts {self.state_of(1 << h)}: cannot be set to pstate {pstate} now"
                )

    def _transit(
        self, hosts: int, pstate: int, state: str, end: str, done: Callable[[], None]
    ) -> None:
        """Run the one flop by which each host passes its transition, in virtual pstates."""
        groups: dict[float, int] = {}
        for h in intervals.members(hosts):
            sleep = self._sleep_of(h, pstate)
            virtual = sleep.waking if state == SWITCHING_ON else sleep.falling_asleep
            self.pstates[h] = virtual
            speed_flops = self.speed_flops(h)
            groups[speed_flops] = groups.get(speed_flops, 0) | 1 << h
            if self.meter is not None:
                self.meter.set_load(h, 1.0, self._clock.now_s)
        waiting = len(groups)

        def arrived(group: int) -> None:
            nonlocal waiting
            waiting -= 1
            self._set_pstate(group, pstate)
            self._arrived.append((group, state, end))
            if not waiting:
                self._acknowledged.append((hosts, pstate))
                done()

        for speed_flops, group in groups.items():
            self._begin(speed_flops, lambda group=group: arrived(group))  # type: ignore[misc]

    def _begin(self, rate_per_s: float, wake: Callable[[], None]) -> None:
        self._clock.work(Work(rate_per_s, float("inf"), wake, wake))

    def _sleep_of(self, h: int, pstate: int) -> SleepState:
        states = self.hosts[h].sleep_by_pstate
        return states[pstate] if pstate in states else states[self.pstates[h]]

    def _set_pstate(self, hosts: int, pstate: int) -> None:
        for h in intervals.members(hosts):
            self.pstates[h] = pstate
            if self.meter is not None and not self.in_state[COMPUTING] >> h & 1:
                self.meter.set_load(h, 0.0, self._clock.now_s)

    def _arrive(self, hosts: int, old: str, new: str) -> None:
        """Move hosts to a state, but those that an event withdrew become unavailable."""
        withdrawn = hosts & self._withdrawn
        if withdrawn != hosts:
            self._move(hosts & ~withdrawn, old, new)
        if withdrawn:
            self._move(withdrawn, old, UNAVAILABLE)
            if new == SLEEPING:
                self._asleep |= withdrawn

    def _move(self, hosts: int, old: str, new: str) -> None:
        self.in_state[old] &= ~hosts
        self.in_state[new] |= hosts
        self._recorder.moved(self._clock.now_s, hosts, old, new)

    def _after_job(self, kind: str) -> None:
        self._recorder.hosts_changed(self._clock.now_s)
        self._record_energy(kind)

    def _after_switch(self, hosts: int, pstate: int) -> None:
        self._recorder.pstate(self._clock.now_s, hosts, pstate)
        self._recorder.hosts_changed(self._clock.now_s)
        self._record_energy("p")

    def _record_energy(self, kind: str) -> None:
        if self.meter is not None:
            now_s = self._clock.now_s
            self._recorder.energy(now_s, kind, self.meter.total_j(now_s), self.meter.least_w)
