"""Random job lists that queue, tie and overrun, and random machines and policies for them.

Where engine and reference are compared exactly, times, watts and factors are such that sums and
products of them are exact in binary: differences are then faults, not rounding.
"""

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import ceil, isnan, nan

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from reference_terms import (
    CarbonHold,
    Dvfs,
    Forecast,
    Job,
    Life,
    Multifactor,
    Order,
    Partition,
    Policy,
    Scorer,
    State,
    node_floor_uw,
    takes,
)

import exawatt as ew
from exawatt.forecast import LEVELS, Spread

FORMULAS = ("fcfs", "lcfs", "sjf", "ljf", "saf", "lxf", "wfp3", "unicep", "f1", "f2", "f3", "f4")
ORDERS = (*FORMULAS, "Multifactor", "Scorer")
HEADS = ("fresh", "committed")
BACKFILLS = ("none", "easy", "conservative")
ESTIMATES = ("request", "actual", "last2", "predicted_s")
CORRECTIONS = ("none", "request", "increments", "doubling")
MISSING = ("quantile", "runtime")
RULES = ("window", "slot", "carbon-time", "threshold", "quantile")
DEADLINES = (None, "next-workday", "semi-weekly")
LEVEL = 0.75
MONDAY = pd.Timestamp("2023-01-02", tz="UTC")


@st.composite
def job_lists(
    draw: st.DrawFn, *, exact: bool = False, missing: bool = True, whole_seconds: bool = False
) -> tuple[list[Job], int]:
    """Draw (jobs in order of submission, machine size): many ties, small machines, long queues.

    `exact` makes each request the runtime; without `missing` every request is known. Times are
    whole multiples of 1, 0.25 or 0.1 s, the last of which binary fractions do not hit exactly.
    """
    machine = draw(st.integers(1, 20))
    unit = 1.0 if whole_seconds else draw(st.sampled_from([1.0, 0.25, 0.1]))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 20]),  # since the last submission
                st.integers(1, machine),
                st.integers(1, 30),
                st.one_of(
                    st.none(),
                    st.integers(1, 40),  # an overrun whenever it is below the runtime
                    st.just("exact"),
                ),
            ),
            min_size=1,
            max_size=60,
        )
    )
    jobs, ticks = [], 0
    for gap, procs, runtime, request in rows:
        ticks += gap
        if exact or request == "exact" or (request is None and not missing):
            request = runtime
        requested_s = nan if request is None else request * unit
        jobs.append(Job(ticks * unit, procs, runtime * unit, requested_s))
    return jobs, machine


@dataclass(frozen=True)
class Case:
    """Jobs, a machine, a policy and, where it holds jobs, a forecast from the first submission."""

    jobs: list[Job]
    partitions: tuple[Partition, ...]
    policy: Policy
    forecast: Forecast | None = None

    def jobs_of(self, partition: Partition) -> list[int]:
        """Which jobs go to a partition: with a single one, all."""
        return [
            i
            for i, job in enumerate(self.jobs)
            if len(self.partitions) == 1 or job.partition == partition.number
        ]

    def policy_of(self, partition: Partition) -> Policy:
        """The policy with the partition's share of the cap."""
        cap_w = self.policy.power_cap_w
        if cap_w is None:
            return self.policy
        share_w = cap_w * full_w(partition) / sum(full_w(each) for each in self.partitions)
        return replace(self.policy, power_cap_w=share_w)

    def features(self) -> dict[str, bool]:
        """What there may be in a case, and whether this one has it."""
        policy, jobs, machine = self.policy, self.jobs, self.partitions
        chosen = {
            "backfill": (policy.backfill, BACKFILLS),
            "head": (policy.head, HEADS),
            "estimate": (policy.estimate, ESTIMATES),
            "correction": (policy.correction, CORRECTIONS),
            "missing": (policy.missing_request, MISSING),
            "order": (order_name(policy.order), ORDERS),
            "hold": (policy.hold and policy.hold.rule, RULES),
            "deadline": (policy.hold and policy.hold.deadline, DEADLINES),
        }
        return {
            "users": len({job.user for job in jobs}) > 1,
            "partitions": len(machine) > 1,
            "gpus": any(job.gpus for job in jobs),
            "parts of gpus": any(job.gpus % 1 for job in jobs),
            "exclusive": any(each.exclusive for each in machine),
            "exclusive gpus": any(each.exclusive and each.gpus for each in machine),
            "procs per node": any(each.procs > each.nodes for each in machine),
            "backfill order": policy.backfill_order is not None,
            "missing requests": any(isnan(job.requested_s) for job in jobs),
            "measured watts": any(not isnan(job.power_w) for job in jobs),
            "not killed": not policy.kill_at_request,
            "starving": policy.max_wait_s is not None,
            "sleep": policy.sleep_after_s is not None,
            "cap": policy.power_cap_w is not None,
            "cap and sleep": None not in (policy.power_cap_w, policy.sleep_after_s),
            "dvfs": policy.dvfs is not None,
            "several levels": policy.dvfs is not None and len(policy.dvfs.levels) > 1,
            "hold": policy.hold is not None,
            "hold at a level": policy.hold is not None and policy.hold.level is not None,
        } | {
            f"{field} {name}": name == value
            for field, (value, names) in chosen.items()
            for name in names
        }


def order_name(order: Order) -> str:
    return order if isinstance(order, str) else type(order).__name__


def full_w(partition: Partition) -> float:
    return partition.nodes * partition.busy_w + partition.gpus * partition.gpu_w


@st.composite
def partitions(draw: st.DrawFn, number: int, sleep: bool) -> Partition:
    """A few nodes; where nodes sleep, jobs that use GPUs take them whole."""
    per_node = draw(st.sampled_from([1, 1, 2, 4]))
    nodes = draw(st.integers(1, 16 // per_node))
    procs = nodes * per_node
    exclusive = draw(st.sampled_from([False, False, True]))
    gpus = 0
    if draw(st.booleans()) and (exclusive or not sleep):
        gpus = nodes * draw(st.integers(1, 2)) if exclusive else draw(st.integers(1, 4))
    if not exclusive and not sleep:
        procs += draw(st.integers(0, min(nodes - 1, 16 - procs)))  # need not divide
    idle_w = draw(st.sampled_from([0, 8, 64]))
    return Partition(
        nodes,
        procs,
        gpus,
        number,
        exclusive,
        idle_w=idle_w,
        busy_w=idle_w + draw(st.sampled_from([16, 64, 128])),
        gpu_w=draw(st.sampled_from([0, 4, 32])),
        sleep_w=draw(st.sampled_from([0, 4, 16])),
        fall_asleep_s=draw(st.sampled_from([0, 1, 5, 20])),
        fall_asleep_w=draw(st.sampled_from([0, 16, 72])),
        wake_s=draw(st.sampled_from([0, 1, 5, 30])),
        wake_w=draw(st.sampled_from([0, 16, 96])),
    )


@st.composite
def trace_jobs(draw: st.DrawFn, machine: tuple[Partition, ...], unit: float) -> list[Job]:
    """Jobs that fit their partitions, with many ties."""
    tick = draw(st.sampled_from([0, 0, 3]))  # the first submission need not be the file's origin
    jobs = []
    for _ in range(draw(st.integers(1, 25))):
        tick += draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 20, 40]))
        partition = draw(st.sampled_from(machine))
        procs = draw(st.integers(1, partition.procs))
        gpus = 0.0
        if partition.gpus:
            sizes = [0.0, 0.25, 0.5, 1.0, 1.0, 1.5, float(partition.gpus)]
            gpus = draw(st.sampled_from([size for size in sizes if size <= partition.gpus]))
        runtime = draw(st.integers(1, 30))
        request = draw(st.one_of(st.none(), st.integers(1, 40), st.just(runtime)))
        predicted = draw(st.one_of(st.sampled_from([nan, -1.0]), st.integers(1, 40)))
        jobs.append(
            Job(
                tick * unit,
                procs,
                runtime * unit,
                nan if request is None else request * unit,
                user=draw(st.integers(0, 3)),
                gpus=gpus,
                partition=partition.number,
                power_w=draw(st.sampled_from([nan, nan, 0.0, 8.0, 40.0, 100.0])) * procs,
                predicted_s=predicted * unit,
            )
        )
    return jobs


@st.composite
def orders(draw: st.DrawFn, unit: float) -> Order:
    kind = draw(st.sampled_from(ORDERS))
    if kind == "Multifactor":
        weights = st.sampled_from([0.0, 1.0, 8.0])
        return Multifactor(
            age=draw(weights),
            size=draw(weights),
            share=draw(weights),
            max_age_s=unit * draw(st.sampled_from([1, 10, 100])),
            half_life_s=unit * draw(st.sampled_from([50, 1000])),
        )
    if kind == "Scorer":
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        sizes = [8, *draw(st.sampled_from([(), (3,), (4, 2)])), 1]
        return Scorer(
            tuple(
                (
                    tuple(tuple(row) for row in (rng.integers(-8, 9, (outs, ins)) / 4).tolist()),
                    tuple((rng.integers(-8, 9, outs) / 4).tolist()),
                )
                for ins, outs in pairwise(sizes)
            )
        )
    return kind


@st.composite
def forecasts(draw: st.DrawFn, origin_s: float) -> Forecast:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    issues, leads = draw(st.integers(1, 40)), draw(st.integers(1, 8))
    values = rng.integers(1, 9, (issues, leads)).astype(float).tolist()
    errors = rng.integers(-2, 4, (leads, 3)).astype(float).tolist()
    return Forecast(
        origin_s,
        tuple(tuple(row) for row in values),
        tuple((low, mid, high) for low, mid, high in errors),
    )


@st.composite
def holds(draw: st.DrawFn) -> CarbonHold:
    """Any rule, with the numbers that it needs."""
    rule = draw(st.sampled_from(RULES))
    hold = CarbonHold(
        budget_s=draw(st.sampled_from([0.0, 1800.0, 3000.0, 7200.0, 20000.0])),
        rule=rule,
        deadline=draw(st.sampled_from([None, *DEADLINES])),
    )
    if rule == "threshold":
        return replace(hold, threshold_gco2_per_kwh=float(draw(st.integers(0, 8))))
    hold = replace(hold, level=draw(st.sampled_from([None, None, LEVEL])))
    if rule == "quantile":
        return replace(hold, quantile=draw(st.sampled_from([0.1, 0.25, 0.5, 0.9])))
    return replace(hold, min_saving=draw(st.sampled_from([0.0, 0.125, 0.5])))


def lowest_cap_w(jobs: list[Job], partition: Partition, policy: Policy) -> tuple[float, float]:
    """The least cap under which each job could run alone, and the most that a job adds."""
    state = State(partition, policy, None, [])
    nodes_uw = partition.nodes * node_floor_uw(state)
    adds = [takes(state, Life(job, 0, job.runtime_s), state.levels[-1]).uw for job in jobs]
    return (nodes_uw + max(adds, default=0)) / 1e6, max(adds, default=0) / 1e6


@st.composite
def cases(
    draw: st.DrawFn, *backfills: str, hold: bool | None = None, parted: bool | None = None
) -> Case:
    """Draw a case; `backfills` are those to draw from.

    `hold` forces or forbids the carbon hold, `parted` forces or forbids two partitions.
    """
    sometimes = st.sampled_from([False, False, True])
    backfill = draw(st.sampled_from(backfills or BACKFILLS))
    held = draw(sometimes) if hold is None else hold
    unit = draw(st.sampled_from([150.0, 300.0] if held else [1.0, 1.0, 0.25]))
    sleep = draw(sometimes)
    splits = [[-1], [1], [1, 2]] if parted is None else [[1, 2]] if parted else [[-1], [1]]
    numbers = draw(st.sampled_from(splits))
    machine = tuple(draw(partitions(number, sleep)) for number in numbers)
    jobs = draw(trace_jobs(machine, unit))
    conservative = backfill == "conservative"
    levels = [(1.0,), (0.5,)] if conservative else [(1.0, 0.5), (1.0, 0.5), (1.0,), (0.5,)]
    policy = Policy(
        order=draw(orders(unit)),
        head="fresh" if conservative else draw(st.sampled_from(HEADS)),
        backfill=backfill,
        backfill_order=draw(st.sampled_from([None, *FORMULAS])) if backfill == "easy" else None,
        estimate=draw(st.sampled_from(ESTIMATES)),
        correction=draw(st.sampled_from(CORRECTIONS)),
        kill_at_request=draw(st.booleans()),
        missing_request=draw(st.sampled_from(MISSING)),
        max_wait_s=unit * draw(st.sampled_from([0, 3, 10, 40])) if draw(sometimes) else None,
        sleep_after_s=draw(st.sampled_from([0, 2, 5, 10, 30])) if sleep else None,
        dvfs=Dvfs(
            levels=draw(st.sampled_from(levels)),
            beta=draw(st.sampled_from([0.0, 0.5, 1.0])),
            exponent=draw(st.sampled_from([1.0, 2.0, 3.0])),
        )
        if draw(sometimes)
        else None,
        hold=draw(holds()) if held else None,
    )
    case = Case(jobs, machine, policy)
    if draw(sometimes):
        case = replace(case, policy=replace(policy, power_cap_w=draw(caps(case))))
    return replace(case, forecast=draw(forecasts(jobs[0].submit_s))) if held else case


@st.composite
def caps(draw: st.DrawFn, case: Case) -> float:
    """A cap under which every job could run, most often not all at once."""
    whole = sum(full_w(partition) for partition in case.partitions)
    least, most = 0.0, 0.0
    for partition in case.partitions:
        jobs = [case.jobs[i] for i in case.jobs_of(partition)]
        need_w, adds_w = lowest_cap_w(jobs, partition, case.policy)
        least = max(least, need_w * whole / full_w(partition))
        most = max(most, adds_w * whole / full_w(partition))
    return ceil(least) + 1.0 + ceil(most * draw(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])))


# The same for the library


def as_workload(jobs: list[Job], machine: int) -> ew.Workload:
    """Return the jobs as a workload of the library."""
    columns = {field.name: [getattr(job, field.name) for job in jobs] for field in fields(Job)}
    table = pd.DataFrame({"job": range(1, len(jobs) + 1)} | columns)
    return ew.Workload(table, procs=machine, name="random")


def as_platform(machine: tuple[Partition, ...]) -> ew.Platform:
    return ew.Platform(partitions=tuple(ew.Partition(**vars(each)) for each in machine))


def as_order(order: Order | None) -> object:
    if isinstance(order, Multifactor):
        return ew.Multifactor(**vars(order))
    return ew.Scorer(layers=order.layers) if isinstance(order, Scorer) else order


def as_policy(policy: Policy) -> ew.Policy:
    return ew.Policy(
        **vars(policy)
        | {
            "order": as_order(policy.order),
            "dvfs": policy.dvfs and ew.Dvfs(**vars(policy.dvfs)),
            "hold": policy.hold and ew.CarbonHold(**vars(policy.hold)),
        }
    )


def as_forecast(forecast: Forecast) -> ew.Forecast:
    """Return a forecast whose first issue is on a Monday's midnight, in winter."""
    spread = None
    if forecast.errors:
        edges = np.tile([3.0, 6.0], (len(forecast.errors), 1))
        errors = np.repeat(np.array(forecast.errors)[:, :, None], LEVELS.size, axis=2)
        spread = Spread(edges, errors)
    return ew.Forecast(MONDAY, np.array(forecast.gco2_per_kwh), spread=spread)


def replay_case(case: Case, causes: bool = True) -> ew.Schedule:
    """Replay a case with the library; the forecast begins with the first submission."""
    return ew.replay(
        as_workload(case.jobs, sum(each.procs for each in case.partitions)),
        policy=as_policy(case.policy),
        platform=as_platform(case.partitions),
        forecast=case.forecast and as_forecast(case.forecast),
        causes=causes,
    )
