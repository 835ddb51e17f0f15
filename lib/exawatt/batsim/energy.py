"""Watts and joules of the hosts, as SimGrid's energy model counts them."""

from collections.abc import Iterable, Sequence

import numpy as np

from exawatt.batsim.hosts import Hosts


class Meter:
    """Counts the energy of each host from its pstate and load, which change in steps.

    Parameters
    ----------
    hosts : Hosts
        With the watts of each pstate.
    pstates : sequence of int
        The pstate of each host; read when a host's load is set.

    Notes
    -----
    A computing host draws ``Epsilon + load (AllCores - Epsilon)``, any other ``Idle`` [1]_. A
    job that only waits leaves its hosts idle. Each host is counted in double precision and the
    sum over hosts is extended, as Batsim does it, so that files agree to the last digit.

    References
    ----------
    .. [1] F. Heinrich et al., "Predicting the Energy-Consumption of MPI Applications at Scale
       Using Only a Single Node", CLUSTER 2017.
    """

    def __init__(self, hosts: Hosts, pstates: Sequence[int]) -> None:
        self._hosts = hosts
        self._pstates = pstates
        self._used_j = np.zeros(len(hosts))
        self._since_s = 0.0
        idle_w = [host.power_w(pstate, 0.0) for host, pstate in zip(hosts, pstates, strict=True)]
        self._power_w = np.array(idle_w)
        self._least_w = list(idle_w)
        self.least_w = sum(idle_w)
        """Power of all hosts if none computed [W]."""

    def total_j(self, now_s: float) -> np.longdouble:
        """Energy of all hosts from the beginning to now [J]."""
        self._count(now_s)
        return self._used_j.sum(dtype=np.longdouble)

    def used_j(self, hosts: Iterable[int], now_s: float) -> np.longdouble:
        """Energy of some hosts from the beginning to now [J]."""
        self._count(now_s)
        return self._used_j[list(hosts)].sum(dtype=np.longdouble)

    def set_load(self, host: int, load: float, now_s: float) -> None:
        """From now on a host is in its present pstate, under this load of 0 to 1 of its cores."""
        self._count(now_s)
        entry, pstate = self._hosts[host], self._pstates[host]
        least_w = entry.power_w(pstate, 0.0)
        self._power_w[host] = entry.power_w(pstate, min(load, 1.0)) if load else least_w
        self.least_w += least_w - self._least_w[host]
        self._least_w[host] = least_w

    def _count(self, now_s: float) -> None:
        if now_s > self._since_s:
            self._used_j += self._power_w * (now_s - self._since_s)
            self._since_s = now_s
