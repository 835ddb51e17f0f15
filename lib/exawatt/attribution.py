"""Attribution: what each job is answerable for, so that all jobs together are the machine's meter.

The power that a job adds to an idle machine is its own. The rest (nodes idle, asleep and between
the two, and what the facility draws whatever the load) is *overhead*: at each moment the jobs that
run share it in proportion to their processors, and what is drawn while nothing runs is shared by
all jobs of the window in proportion to their processor-seconds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from exawatt.carbon import Account
from exawatt.facility import Pue
from exawatt.halfhours import Runs
from exawatt.power import J_PER_KWH, overhead
from exawatt.replay import Schedule
from exawatt.stats import Floats


def attribute(schedule: Schedule, account: Account) -> pd.DataFrame:
    r"""Energy and carbon of each job, overhead and the facility's PUE included.

    Parameters
    ----------
    schedule : Schedule
        When each job ran, and on what.
    account : Account
        Of the power of this schedule: its window, PUE and half-hours' intensities are taken.

    Returns
    -------
    DataFrame
        One row a job, in workload order: ``job``, ``user``, ``group``, ``partition``;
        ``own_kwh``, what it added; ``shared_kwh``, its share of the overhead while it ran;
        ``empty_kwh``, its share of what was drawn while nothing ran; ``energy_kwh``, their sum;
        and the same for carbon, ``own_kgco2e`` and so on, ``carbon_kgco2e``. The sums over all
        rows are those of the account.

    Raises
    ------
    ValueError
        The account is of another schedule, or of other watts.

    Notes
    -----
    With overhead :math:`O(t)`, processors in use :math:`n(t)`, and intensity :math:`I(t)`, a job
    on :math:`n_j` processors from :math:`b` to :math:`e` shares

    .. math:: n_j \int_b^e \frac{O(t)}{n(t)}\,\mathrm{d}t, \qquad
              n_j \int_b^e \frac{O(t)\,I(t)}{n(t)}\,\mathrm{d}t .

    All three are piecewise constant, so the integrals are exact.
    """
    shares = Shares.of(schedule, account)
    table = schedule.workload.jobs[["job", "user", "group", "partition"]].reset_index(drop=True)
    for unit, total, prices in (
        ("kwh", "energy_kwh", shares.energy_prices()),
        ("kgco2e", "carbon_kgco2e", shares.carbon_prices(account)),
    ):
        parts = {f"{name}_{unit}": part for name, part in shares.parts(prices).items()}
        table = table.assign(**parts, **{total: sum(parts.values())})
        check_sum(total, table[total].sum(), getattr(account, total))
    return table


def check_sum(name: str, found: float, known: float) -> None:
    """Refuse an account that the jobs do not add up to."""
    if not np.isclose(found, known, rtol=1e-6):
        raise ValueError(
            f"the jobs' {name}(={found:,.6g}) is not the account's(={known:,.6g}): pass the "
            "account of this schedule's own power."
        )


class Prices(NamedTuple):
    """What a watt and a processor cost, from the window's beginning until each moment of a grid.

    Parameters
    ----------
    watt, proc : ndarray, shape (n + 1,)
        Of a watt that a job adds, and of a processor that it holds.
    empty : ndarray, shape (n,)
        What is to be paid while nothing runs, between two successive moments.
    """

    watt: Floats
    proc: Floats
    empty: Floats


@dataclass(frozen=True, eq=False)
class Shares:
    """What the jobs of a schedule add and hold, on one grid of moments.

    Parameters
    ----------
    seconds : ndarray, shape (n,)
        Between two successive moments at which overhead, use or half-hour change [s].
    half_hours : ndarray of int64, shape (m + 1,)
        Moments at which the account's half-hours begin, and the last one ends.
    in_use : ndarray, shape (n,)
        Processors of running jobs.
    factor, overhead_w : ndarray, shape (n,)
        Facility power for each watt that a job adds [-], and what it draws beside [W].
    begin, end : ndarray of int64, shape (n_jobs,)
        Moments between which each job ran within the window.
    watts, procs, work : ndarray, shape (n_jobs,)
        What each job added [W], its processors, and its part of all processor-seconds [-].
    """

    seconds: Floats
    half_hours: np.ndarray
    in_use: Floats
    factor: Floats
    overhead_w: Floats
    begin: np.ndarray
    end: np.ndarray
    watts: Floats
    procs: Floats
    work: Floats

    @classmethod
    def of(cls, schedule: Schedule, account: Account) -> "Shares":
        """Lay a schedule on the half-hours of its account."""
        window = account.window_s
        edges_s, idle_w = overhead(schedule, window)
        half_hours_s = np.append(account.half_hours["time_s"], window[1])
        half_hours_s[0] = window[0]
        moments = [schedule.start_s, schedule.end_s, half_hours_s, edges_s]
        inside = [np.clip(each, *window) for each in moments]
        grid, where = np.unique(np.concatenate(inside), return_inverse=True)
        begin, end, half_hours, steps = np.split(where, np.cumsum([m.size for m in inside])[:-1])
        procs = schedule.procs.astype(np.float64)
        changes = (np.bincount(at, procs, minlength=grid.size) for at in (begin, end))
        work = procs * (inside[1] - inside[0])
        months = account.half_hours["time"].dt.month
        season = Pue.of(account.pue).coefficients(months)
        factor, fixed_w = (np.repeat(each, np.diff(half_hours)) for each in season)
        return cls(
            seconds=np.diff(grid),
            half_hours=half_hours,
            in_use=np.cumsum(np.subtract(*changes))[:-1],
            factor=factor,
            overhead_w=factor * np.repeat(idle_w, np.diff(steps)) + fixed_w,
            begin=begin,
            end=end,
            watts=schedule.dynamic_w,
            procs=procs,
            work=work / (work.sum() or 1.0),
        )

    def energy_prices(self) -> Prices:
        """Prices in facility energy [kWh]."""
        return self._prices(self.factor / J_PER_KWH, self.overhead_w / J_PER_KWH)

    def carbon_prices(self, account: Account) -> Prices:
        """Prices in carbon of the facility's energy [kgCO2e]."""
        # An account refuses a gap in which energy was used; in others nothing is emitted.
        grams = np.nan_to_num(account.half_hours["gco2_per_kwh"].to_numpy())
        per_j = np.repeat(grams / (1e3 * J_PER_KWH), np.diff(self.half_hours))
        return self._prices(self.factor * per_j, self.overhead_w * per_j)

    def time_prices(self, per_s: float) -> Prices:
        """Prices of what is lost at the same rate at all times, as a machine's life is."""
        return self._prices(np.zeros(self.seconds.size), np.full(self.seconds.size, per_s))

    def _prices(self, watt_per_s: Floats, overhead_per_s: Floats) -> Prices:
        busy = self.in_use > 0
        due = overhead_per_s * self.seconds
        each = np.divide(due, self.in_use, out=np.zeros(due.size), where=busy)
        watt, proc = np.zeros((2, due.size + 1))
        np.cumsum(watt_per_s * self.seconds, out=watt[1:])
        np.cumsum(each, out=proc[1:])
        return Prices(watt, proc, np.where(busy, 0.0, due))

    def parts(self, prices: Prices) -> dict[str, Floats]:
        """What each job pays: its own, its share while it ran, and its share of the empty time."""
        own, shared = self._between(prices, self.begin, self.end)
        return {"own": own, "shared": shared, "empty": prices.empty.sum() * self.work}

    def paid(self, prices: Prices) -> Floats:
        """What each job pays in all."""
        own, shared, empty = self.parts(prices).values()
        return own + shared + empty

    def runs(self, prices: Prices) -> Runs:
        """What each job pays, half-hour by half-hour."""
        n = self.seconds.size
        slots = np.repeat(np.arange(self.half_hours.size - 1), np.diff(self.half_hours))
        first = slots[np.minimum(self.begin, n - 1)]
        last = slots[np.clip(self.end, self.begin + 1, n) - 1]
        until = np.minimum(self.half_hours[first + 1], self.end)
        since = np.maximum(self.half_hours[last], until)
        watt, proc = (np.diff(price[self.half_hours]) for price in (prices.watt, prices.proc))
        return Runs(
            first=first,
            last=last,
            first_part=np.add(*self._between(prices, self.begin, until)),
            last_part=np.add(*self._between(prices, since, self.end)),
            watts=self.watts,
            procs=self.procs,
            watt_price=watt,
            proc_price=proc,
            empty=np.bincount(slots, prices.empty, watt.size).astype(np.float64),
            work=self.work,
        )

    def _between(self, prices: Prices, begin: np.ndarray, end: np.ndarray) -> tuple[Floats, Floats]:
        """For its watts and for its processors, by each job between two moments."""
        watt = prices.watt[end] - prices.watt[begin]
        proc = prices.proc[end] - prices.proc[begin]
        return self.watts * watt, self.procs * proc
