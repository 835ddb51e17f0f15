"""The clock: what sleeps and what computes, and which of them ends next.

Time advances as in SimGrid, by steps: the shortest time left is added to the clock and taken
off everything else. Sums of many steps are not the instants one would calculate by hand, and
two ends that are meant to coincide may differ in the last bit, so that Batsim reports them in
two messages. To send the same messages, the same sums are made here, and in the same order.

References
----------
.. [1] H. Casanova et al., "Versatile, Scalable, and Accurate Simulation of Distributed
   Applications and Platforms", JPDC 2014.
"""

from collections.abc import Callable
from math import inf

TIME_PRECISION_S = 1e-9
"""What is shorter than this is over [s]; SimGrid's precision/timing."""
WORK_PRECISION = 1e-14
"""A share of work smaller than this is done [-]; SimGrid's two precisions multiplied."""

Wake = Callable[[], None]


class Work:
    """A share of computing: of 1, so much is left, and so much is done per second.

    Parameters
    ----------
    rate_per_s : float
        Share done in a second [1/s].
    limit_s : float
        Time after which the work is broken off [s].
    done, broken_off : callable
        What to call at the one end or the other.
    """

    __slots__ = ("broken_off", "done", "left", "limit_s", "rate_per_s")

    def __init__(self, rate_per_s: float, limit_s: float, done: Wake, broken_off: Wake) -> None:
        self.left = 1.0
        self.rate_per_s = rate_per_s
        self.limit_s = limit_s
        self.done = done
        self.broken_off = broken_off


class Clock:
    """Simulated time, and all that waits for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._left_s: list[float] = []
        self._wakes: list[Wake] = []
        self._works: list[Work] = []

    def sleep(self, duration_s: float, wake: Wake) -> None:
        """Call `wake` after `duration_s` [s]."""
        self._left_s.append(duration_s)
        self._wakes.append(wake)

    def cancel(self, wake: Wake) -> None:
        """Forget a sleeper."""
        at = self._wakes.index(wake)
        del self._wakes[at], self._left_s[at]

    def work(self, work: Work) -> None:
        """Begin to compute."""
        self._works.append(work)

    def stop(self, work: Work) -> None:
        """Forget work that has begun."""
        self._works.remove(work)

    @property
    def idle(self) -> bool:
        """Whether nothing waits: time stands still for ever."""
        return not self._left_s and not self._works

    def step(self) -> list[Wake]:
        """Advance to the next end; return whom to call, sleepers first, each in order of start."""
        left_s = self._left_s
        delta_s = min(left_s) if left_s else inf
        if self._works:
            delta_s = min(delta_s, self._shortest_work_s())
        self.now_s += delta_s
        self._left_s = left_s = [one_s - delta_s for one_s in left_s]
        ends = [i for i, one_s in enumerate(left_s) if one_s < TIME_PRECISION_S]
        ended = [self._wakes[i] for i in ends]
        for i in reversed(ends):
            del self._wakes[i], left_s[i]
        if self._works:
            ended += self._take_works(delta_s)
        return ended

    def _shortest_work_s(self) -> float:
        return min(min(work.left / work.rate_per_s, work.limit_s) for work in self._works)

    def _take_works(self, delta_s: float) -> list[Wake]:
        ended, going = [], []
        for work in self._works:
            work.left -= work.rate_per_s * delta_s
            work.limit_s -= delta_s
            if work.left < WORK_PRECISION:
                work.left = 0.0
                ended.append(work.done)
            elif work.limit_s < TIME_PRECISION_S:
                ended.append(work.broken_off)
            else:
                going.append(work)
        if ended:
            self._works = going
        return ended
