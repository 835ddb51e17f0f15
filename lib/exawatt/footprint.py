"""Footprint: energy, carbon by every method, embodied carbon and SCI of a schedule, each with ±."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exawatt.attribution import Prices, Shares, check_sum
from exawatt.carbon import Account
from exawatt.embodied import Embodied
from exawatt.halfhours import Runs, spread_of, spread_of_jobs
from exawatt.replay import Schedule
from exawatt.replay.demand import partition_rows
from exawatt.stats import Floats
from exawatt.uncertainty import Estimate, Uncertainty

ByTime = Literal["month", "day", "hour", "calendar-hour"]
ByJobs = Literal["job", "user", "group", "partition"]
By = Literal[ByTime, ByJobs]
FunctionalUnit = Literal["job", "core-hour", "node-hour"]
#: Column of each method of counting carbon; they are alternatives, and never added up.
METHODS = {
    "location": "carbon_kgco2e",
    "market": "market_kgco2e",
    "marginal": "marginal_kgco2e",
}


class Amount(NamedTuple):
    """Values of the rows of a table, and their standard uncertainties."""

    value: Floats
    u: Floats


@dataclass(frozen=True, eq=False)
class Footprint:
    r"""What a schedule used and emitted.

    Parameters
    ----------
    schedule : Schedule
        When each job ran, and on what.
    location : Account
        Of the schedule's power, by the mean intensity of its grid.
    market, marginal : Account, optional
        Of the same power, by the intensity of contracts (:func:`exawatt.market.market_based`),
        and by that of the plant that answers a change in demand. They stand beside the first and
        are added to nothing.
    embodied : Embodied
        What making the machine emitted.
    uncertainty : Uncertainty
        Of power, intensity and embodied carbon.

    Notes
    -----
    The columns of its tables are ``energy_kwh``; ``carbon_kgco2e``, operational and
    location-based; ``market_kgco2e`` and ``marginal_kgco2e`` where given; ``embodied_kgco2e``;
    ``total_kgco2e``, location-based and embodied; and the standard uncertainty of each, as
    ``u_energy_kwh`` and so on. Embodied carbon is shared as overhead is: at each moment by the
    jobs that run, in proportion to their processors, and that of empty hours by all jobs.
    """

    schedule: Schedule
    location: Account
    market: Account | None = None
    marginal: Account | None = None
    embodied: Embodied = field(default_factory=Embodied)
    uncertainty: Uncertainty = field(default_factory=Uncertainty)

    def __post_init__(self) -> None:
        """Refuse accounts of different energy, or of other half-hours."""
        for name, account in self.accounts.items():
            times = account.half_hours["time_s"], self.location.half_hours["time_s"]
            same = len(times[0]) == len(times[1]) and np.allclose(*times, rtol=0, atol=1e-3)
            if not (same and np.isclose(account.energy_kwh, self.location.energy_kwh)):
                raise ValueError(
                    f"{name}(={account!r}) is not of the energy of location(={self.location!r}), "
                    "half-hour by half-hour: account for the same power."
                )

    def __repr__(self) -> str:
        """Return the footprint in one line."""
        total = self.total
        return (
            f"Footprint({self.location.power_label}: {total['energy_kwh']} kWh, "
            f"{total['total_kgco2e']} kgCO2e)"
        )

    @property
    def accounts(self) -> dict[str, Account]:
        """Accounts by method: location, and market and marginal where given."""
        given = {"location": self.location, "market": self.market, "marginal": self.marginal}
        return {name: account for name, account in given.items() if account is not None}

    @cached_property
    def total(self) -> dict[str, Estimate]:
        """Energy [kWh] and carbon [kgCO2e] of the whole window, by column."""
        everything = np.zeros(len(self.location.half_hours), np.int64)
        amounts = self._by_half_hour(everything, 1).items()
        return {name: Estimate(float(each.value[0]), float(each.u[0])) for name, each in amounts}

    def sci(self, unit: FunctionalUnit = "job", method: str = "location") -> Estimate:
        r"""Software carbon intensity [gCO2e per functional unit].

        Parameters
        ----------
        unit : {"job", "core-hour", "node-hour"}
            Functional unit R: jobs that ran in the window, or the time of processors, or of nodes
            (a job's processors over those of a node), that they held.
        method : {"location", "marginal"}
            Intensity of the operational part; the standard excludes market-based measures.

        Notes
        -----
        .. math:: \mathrm{SCI} = (E \, I + M) / R
        """
        allowed = set(self.accounts) - {"market"}
        if method not in allowed:
            raise ValueError(f"method(={method!r}) must be one of {sorted(allowed)}.")
        operational, embodied = self.total[METHODS[method]], self.total["embodied_kgco2e"]
        units = self._units(unit)
        grams = 1e3 * (operational.value + embodied.value)
        return Estimate(grams / units, 1e3 * float(np.hypot(operational.u, embodied.u)) / units)

    def by(self, key: By) -> pd.DataFrame:
        """Energy and carbon by time, or by jobs.

        Parameters
        ----------
        key : {"month", "day", "hour", "calendar-hour", "job", "user", "group", "partition"}
            ``hour`` is that of the day; all times are those of the machine's wall clock. Users,
            groups and partitions are the log's own numbers, -1 where it has none.

        Returns
        -------
        DataFrame
            One row a value of the key, in order; see the class for the other columns. Rows by
            jobs also have ``jobs`` and ``core_hours``. Each column adds up to :attr:`total`.
        """
        if key in get_args(ByTime):
            rows, labels = pd.factorize(self._times(key), sort=True)
            return _table({key: labels}, self._by_half_hour(rows, len(labels)))
        jobs = self.schedule.workload.jobs
        if key == "job":
            known = {name: jobs[name].to_numpy() for name in ("job", "user", "group", "partition")}
            known["core_hours"] = self._core_hours
            return _table(known, self._by_jobs(np.arange(len(jobs))))
        if key in get_args(ByJobs):
            groups, labels = pd.factorize(jobs[key], sort=True)
            counts: dict[str, Any] = {"jobs": np.bincount(groups)}
            counts["core_hours"] = _sums(groups, self._core_hours)
            return _table({key: labels} | counts, self._by_jobs(groups))
        raise ValueError(f"key(={key!r}) must be one of {[*get_args(ByTime), *get_args(ByJobs)]}.")

    def _times(self, key: str) -> pd.Series:
        time = self.location.half_hours["time"]
        if key == "hour":
            return time.dt.hour
        if key == "calendar-hour":
            # An hour that comes twice when clocks go back is two.
            return time.dt.tz_convert("UTC").dt.floor("h").dt.tz_convert(time.dt.tz)
        return time.dt.strftime("%Y-%m" if key == "month" else "%Y-%m-%d")

    def _by_half_hour(self, rows: np.ndarray, n_rows: int) -> dict[str, Amount]:
        """Amounts and uncertainties of groups of half-hours."""
        columns = {name: each.half_hours["carbon_kgco2e"] for name, each in self.accounts.items()}
        carbon = {name: _sums(rows, kilograms, n_rows) for name, kilograms in columns.items()}
        decay = self.uncertainty.autocorrelation
        spread = {
            name: spread_of(rows.astype(np.int64), n_rows, kilograms.to_numpy(), decay)
            for name, kilograms in columns.items()
        }
        first_s, last_s = self.location.window_s
        edges_s = np.append(self.location.half_hours["time_s"], last_s)
        seconds = np.diff(np.clip(edges_s, first_s, last_s))
        energy = _sums(rows, self.location.half_hours["energy_kwh"], n_rows)
        embodied = _sums(rows, seconds * self._embodied_per_s, n_rows)
        return self._amounts(energy, carbon, spread, embodied)

    def _by_jobs(self, groups: np.ndarray) -> dict[str, Amount]:
        """Amounts and uncertainties of groups of jobs."""
        decay = self.uncertainty.autocorrelation
        paid = {name: _sums(groups, values) for name, values in self._paid.items()}
        spread = {name: spread_of_jobs(runs, groups, decay) for name, runs in self._runs.items()}
        carbon = {name: paid[METHODS[name]] for name in self.accounts}
        return self._amounts(paid["energy_kwh"], carbon, spread, paid["embodied_kgco2e"])

    def _amounts(
        self,
        energy_kwh: Floats,
        carbon: dict[str, Floats],
        spread: dict[str, Floats],
        embodied_kgco2e: Floats,
    ) -> dict[str, Amount]:
        """Put its uncertainty to each amount, by column."""
        given = self.uncertainty
        amounts = {"energy_kwh": Amount(energy_kwh, given.of_energy(energy_kwh))}
        for name, kilograms in carbon.items():
            amounts[METHODS[name]] = Amount(kilograms, given.of_carbon(kilograms, spread[name]))
        embodied = Amount(embodied_kgco2e, given.of_embodied(embodied_kgco2e))
        operational = amounts["carbon_kgco2e"]
        total = Amount(operational.value + embodied.value, np.hypot(operational.u, embodied.u))
        return amounts | {"embodied_kgco2e": embodied, "total_kgco2e": total}

    @cached_property
    def _prices(self) -> dict[str, Prices]:
        """Prices of carbon by method."""
        accounts = self.accounts.items()
        return {name: self._shares.carbon_prices(account) for name, account in accounts}

    @cached_property
    def _runs(self) -> dict[str, Runs]:
        return {name: self._shares.runs(prices) for name, prices in self._prices.items()}

    @cached_property
    def _paid(self) -> dict[str, Floats]:
        """What each job pays, by column."""
        shares = self._shares
        prices = {METHODS[name]: each for name, each in self._prices.items()} | {
            "energy_kwh": shares.energy_prices(),
            "embodied_kgco2e": shares.time_prices(self._embodied_per_s),
        }
        paid = {name: shares.paid(each) for name, each in prices.items()}
        check_sum("energy_kwh", paid["energy_kwh"].sum(), self.location.energy_kwh)
        return paid

    @cached_property
    def _shares(self) -> Shares:
        return Shares.of(self.schedule, self.location)

    @property
    def _embodied_per_s(self) -> float:
        return self.embodied.share_kgco2e(self.schedule.platform, 1.0)

    @cached_property
    def _run_hours(self) -> Floats:
        """Hours that each job ran within the window."""
        window = self.location.window_s
        begin_s, end_s = np.clip([self.schedule.start_s, self.schedule.end_s], *window)
        return (end_s - begin_s) / 3600.0

    @property
    def _core_hours(self) -> Floats:
        return self._run_hours * self.schedule.procs

    def _units(self, unit: FunctionalUnit) -> float:
        """How many functional units there are in the window."""
        if unit == "job":
            return float((self._run_hours > 0).sum())
        if unit == "core-hour":
            return float(self._core_hours.sum())
        if unit == "node-hour":
            rows = partition_rows(self.schedule.workload, self.schedule.platform)
            hours = self._core_hours
            return float(sum(hours[row].sum() / part.procs_per_node for part, row in rows))
        raise ValueError(f"unit(={unit!r}) must be one of {list(get_args(FunctionalUnit))}.")


def _sums(groups: np.ndarray, values: ArrayLike, n_groups: int = 0) -> Floats:
    """Sum of the values of each group."""
    return np.bincount(groups, values, minlength=n_groups).astype(np.float64, copy=False)


def _table(known: dict[str, Any], amounts: dict[str, Amount]) -> pd.DataFrame:
    """Put what is known of the rows, amounts, and their uncertainties beside each other."""
    values = {name: each.value for name, each in amounts.items()}
    uncertain = {f"u_{name}": each.u for name, each in amounts.items()}
    return pd.DataFrame(known | values | uncertain, copy=False)
