"""The features that a policy uses, as the arrays that the kernel works on."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exawatt.forecast import Forecast
from exawatt.platform import Partition
from exawatt.replay.deadlines import DEADLINES, latest_starts
from exawatt.replay.demand import MILLI, Demand
from exawatt.replay.estimates import CORRECTIONS
from exawatt.replay.orders import CODES, DYNAMIC, GIVEN, MULTIFACTOR, SCORER
from exawatt.replay.policy import Policy
from exawatt.replay.rules import FEATURES, HOLD_RULES, CarbonHold, Dvfs, Multifactor, Scorer
from exawatt.replay.state import (
    Extras,
    History,
    Integers,
    Nodes,
    Order,
    Outlook,
    Profile,
    Ranked,
    new_nodes,
)
from exawatt.stats import Floats

FULL_FREQUENCY = Dvfs(levels=(1.0,))


def knows_users(policy: Policy) -> bool:
    """Whether anything depends on who submitted a job."""
    return policy.estimate == "last2" or isinstance(policy.order, Multifactor)


def new_order(
    demand: Demand,
    partition: Partition,
    policy: Policy,
    user: Integers,
    n_users: int,
    first_s: float,
    scored_outside: bool,
) -> Order:
    """Order of the queue."""
    n = len(demand)
    code = CODES[policy.order] if isinstance(policy.order, str) else MULTIFACTOR
    code = GIVEN if scored_outside else code
    factors, sizes, weights, buffer = np.zeros(5), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    known = np.zeros((0, 3))
    if isinstance(policy.order, Multifactor) and not scored_outside:
        order = policy.order
        factors[:] = order.age, order.size, order.share, order.max_age_s, order.half_life_s
    elif isinstance(policy.order, Scorer) and not scored_outside:
        code = SCORER
        sizes, weights = policy.order.flat()
        buffer, known = np.zeros(int(sizes.sum())), np.zeros((n, 3))
        assert sizes[0] == len(FEATURES)
    return Order(
        code,
        int(code in DYNAMIC),
        int(policy.head == "committed"),
        float(partition.procs),
        float(partition.gpus * MILLI),
        first_s,
        demand.submit_s,
        demand.asked,
        np.zeros(n),
        demand.asked_gpus.astype(np.float64),
        np.zeros(n),
        factors,
        user,
        np.zeros(n_users + 1),
        np.zeros(n_users + 1, np.int64),
        sizes,
        weights,
        buffer,
        known,
    )


def new_ranked(demand: Demand, policy: Policy) -> Ranked:
    """Room for EASY to look at jobs out of order."""
    n = len(demand)
    code = -1 if policy.backfill_order is None else CODES[policy.backfill_order]
    return Ranked(
        code, np.empty(n, np.int64), np.empty(n), np.empty(n), demand.submit_s, demand.asked
    )


def new_profile(n: int, max_running: int, policy: Policy) -> Profile | None:
    """Profile of conservative backfilling, or None."""
    if policy.backfill != "conservative":
        return None
    # Every running or waiting job adds at most two edges, and moving one makes two more at first.
    room = 2 * (max_running + n) + 8
    return Profile(
        np.zeros(2, np.int64),
        np.full(1, np.inf),
        np.empty(room),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.full(n, np.inf),
        np.empty(n, np.int64),
        np.empty(n),
        np.empty(n),
    )


def new_history(demand: Demand, policy: Policy, user: Integers, n_users: int) -> History:
    """Users' past and corrections."""
    n = len(demand)
    return History(
        int(policy.estimate == "last2"),
        CORRECTIONS[policy.correction],
        user,
        np.zeros((n_users, 2)),
        np.zeros(n_users, np.int64),
        demand.request_s,
        np.zeros(n),
        np.zeros(n),
        np.ones(n),
        np.zeros(n, np.int64),
    )


def new_outlook(hold: CarbonHold | None, forecast: Forecast | None, first_s: float) -> Outlook:
    """What a hold knows of the intensity to come; `first_s` is the forecast's first issue [s]."""
    if hold is None:
        nothing = np.zeros((1, 1))
        return Outlook(
            rule=0,
            leads=1,
            keep=1.0,
            bound=0.0,
            budget_s=0.0,
            first_s=first_s,
            now=nothing,
            later=nothing,
        )
    if forecast is None:
        raise ValueError(
            "the policy holds jobs back for cleaner power and needs to know what is to come; "
            "pass a forecast such as persistence(load_intensity('GB-2023'))."
        )
    if hold.level is not None and forecast.spread is None:
        raise ValueError(
            f"the hold's level(={hold.level:g}) needs a forecast that tells how sure it is, and "
            f"{forecast.name} has no spread; pass a history to the forecaster, or no level."
        )
    of_runs = hold.rule in ("window", "carbon-time")
    now = later = _by_half_hour(forecast.gco2_per_kwh, of_runs)
    if hold.level is not None:
        later = _by_half_hour(forecast.quantile(hold.level), of_runs)
    return Outlook(
        rule=HOLD_RULES.index(hold.rule),
        leads=forecast.gco2_per_kwh.shape[1],
        keep=1.0 if hold.rule in ("threshold", "quantile") else 1.0 - hold.min_saving,
        bound=float(hold.threshold_gco2_per_kwh or hold.quantile or 0.0),
        budget_s=float(hold.budget_s),
        first_s=first_s,
        now=now,
        later=later,
    )


def _by_half_hour(values: Floats, summed: bool) -> Floats:
    """Copy of a forecast's values, or their sums up to the beginning of each half-hour."""
    if not summed:
        return np.array(values)
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _latest_s(
    demand: Demand, hold: CarbonHold | None, forecast: Forecast | None, first_s: float
) -> Floats:
    """Moment after which no hold of each job may end [s]."""
    if hold is None or hold.deadline is None or forecast is None:
        return np.full(len(demand), np.inf)
    origin = forecast.start - pd.Timedelta(seconds=first_s)
    deadline = DEADLINES[hold.deadline]
    return latest_starts(demand.submit_s, demand.estimate_s, deadline, origin, forecast.timezone)


def new_extras(
    demand: Demand,
    partition: Partition,
    policy: Policy,
    cap_w: float | None,
    outlook: Outlook,
    forecast: Forecast | None,
    causes: bool,
) -> Extras | None:
    """GPUs, watts, frequencies, holds, guards and causes, or None if none is in use."""
    rules = (policy.max_wait_s, policy.sleep_after_s, cap_w, policy.dvfs, policy.hold)
    if not causes and all(rule is None for rule in rules) and not demand.gpus.any():
        return None
    n = len(demand)
    floor_w, watts = partition.idle_w, demand.dynamic_w
    dvfs = policy.dvfs or FULL_FREQUENCY
    uw = _microwatts(dvfs.power_factor * watts[:, None])
    if policy.sleep_after_s is not None:
        floor_w = max(partition.idle_w, partition.fall_asleep_w, partition.sleep_w)
        nodes = -(-demand.procs // (partition.procs // partition.nodes))
        above = _microwatts(partition.wake_w) - _microwatts(floor_w)
        uw = np.maximum(uw, (nodes * np.maximum(above, 0))[:, None])
    floor_uw, sleep_uw = _microwatts(floor_w), _microwatts(partition.sleep_w)
    whole = int(_microwatts(cap_w or 0.0) - partition.nodes * floor_uw)
    if cap_w is not None:
        _refuse_cap(demand, partition, cap_w, whole, uw[:, -1])
    amounts = np.array(
        [partition.gpus * MILLI, whole, whole, floor_uw - sleep_uw, cap_w is not None], np.int64
    )
    return Extras(
        amounts,
        demand.submit_s,
        demand.gpus,
        uw,
        dvfs.stretch,
        np.inf if policy.max_wait_s is None else float(policy.max_wait_s),
        outlook,
        _latest_s(demand, policy.hold, forecast, outlook.first_s),
        np.zeros(n, np.int64),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n),
        np.full(n, -np.inf),
        np.zeros((n, 2)),
        np.full(n, -1, np.int64),
        np.zeros(n),
        np.zeros((n, 6)),
        np.full(2, np.inf),
    )


def _microwatts(value_w: ArrayLike) -> Integers:
    """Whole microwatts, rounded down; what is off a whole one only in its last bits is that one."""
    return np.floor(np.round(np.asarray(value_w) * 1e6, 3)).astype(np.int64)


def _refuse_cap(
    demand: Demand, partition: Partition, cap_w: float, whole_uw: int, least_uw: Integers
) -> None:
    """Refuse a cap under which the machine cannot idle, or a job cannot run alone."""
    floor_w = cap_w - whole_uw / 1e6
    if whole_uw < 0:
        raise ValueError(
            f"the cap(={cap_w:.10g} W) is below what {partition.nodes} nodes draw without a job "
            f"({floor_w:.10g} W); pass a higher power_cap_w."
        )
    if least_uw.size and least_uw.max() > whole_uw:
        worst = least_uw.argmax()
        raise ValueError(
            f"under the cap(={cap_w:.10g} W) job {demand.job[worst]} could never run: at its "
            f"lowest frequency it adds {least_uw[worst] / 1e6:.10g} W to the {floor_w:.10g} W that "
            f"are set aside for {partition.nodes} nodes (idle, or falling asleep where they may); "
            f"pass a power_cap_w of {floor_w + least_uw[worst] / 1e6:.10g} or more, or a Dvfs with "
            "lower levels."
        )


def new_machine_nodes(
    demand: Demand, partition: Partition, policy: Policy, first_s: float
) -> Nodes | None:
    """Nodes that may sleep, or None if they never do."""
    if policy.sleep_after_s is None:
        return None
    if partition.gpus and not partition.exclusive:
        raise ValueError(
            f"sleep_after_s(={policy.sleep_after_s:g}) needs to know which node a GPU is in; pass "
            "a Partition with exclusive=True, whose jobs take whole nodes."
        )
    most_nodes = np.minimum(demand.procs, partition.nodes)
    return new_nodes(
        partition.nodes,
        partition.procs,
        first_s,
        len(demand),
        float(policy.sleep_after_s),
        partition.fall_asleep_s,
        partition.wake_s,
        int(most_nodes.sum()) + partition.nodes,
    )
