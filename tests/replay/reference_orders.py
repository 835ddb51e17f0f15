"""Estimates and the order of the queue, for the reference scheduler."""

from collections.abc import Sequence
from math import isnan, log2, log10, sqrt

import numpy as np
from reference_terms import (
    Amount,
    Life,
    Multifactor,
    Order,
    Scorer,
    State,
    cap_all_awake_uw,
    gpu_thousandths,
    stretch,
    takes,
)

DAY_S = 24 * 3600.0
INCREMENTS_S = [60 * m for m in (1, 5, 15, 30)] + [3600 * h for h in (1, 2, 5, 10, 20, 50, 100)]


# Estimates


def request(state: State, life: Life) -> float:
    """The request, or what stands for a missing one."""
    if not isnan(life.job.requested_s):
        return life.job.requested_s
    if state.policy.missing_request == "runtime":
        return life.executed_s
    known = [
        other.job.requested_s
        for other in state.lives
        if other.job.submit_s < life.job.submit_s and not isnan(other.job.requested_s)
    ]
    return float(np.quantile(known, 0.9)) if known else DAY_S


def estimate_at_submission(state: State, life: Life) -> float:
    """What the scheduler takes for the runtime; `life.request_s` is known."""
    kind = state.policy.estimate
    if kind == "request":
        return life.request_s
    if kind == "actual":
        return life.executed_s
    if kind == "last2":
        own = [other.executed_s for other in state.ended if other.job.user == life.job.user][-2:]
        return min(sum(own) / 2, life.request_s) if len(own) == 2 else life.request_s
    predicted = getattr(life.job, kind)
    return min(predicted, life.request_s) if predicted > 0 else life.request_s  # NaN is not > 0


def expected_end(state: State, life: Life) -> float:
    """Start plus estimate, or, once that has passed, a second from now."""
    end = planned_end(state, life)
    return end if end > state.now else state.now + 1.0


def planned_end(state: State, life: Life) -> float:
    return life.start_s + stretch(state.policy, life.level) * life.estimate_s


def correct(state: State, life: Life) -> None:
    """Give a running job that is at or past its expected end a later one."""
    kind = state.policy.correction
    while (
        kind != "none"
        and planned_end(state, life) <= state.now
        and life.estimate_s != life.request_s
    ):
        if kind == "request":
            longer = life.request_s
        elif kind == "doubling":
            longer = 2 * life.estimate_s
        else:
            step = min(life.corrections, len(INCREMENTS_S) - 1)
            longer = life.estimate_s + INCREMENTS_S[step]
        life.estimate_s = min(longer, life.request_s)
        life.corrections += 1


# The order of the queue


def free_for_jobs(state: State) -> Amount:
    """Processors, GPUs and watts that no running job holds, all nodes counted as awake."""
    whole = Amount(state.partition.procs, 1000 * state.partition.gpus, cap_all_awake_uw(state))
    for life in state.running:
        whole = whole.without(takes(state, life, life.level))
    return whole


def wait(state: State, life: Life) -> float:
    return state.now - life.job.submit_s


def is_starving(state: State, life: Life) -> bool:
    limit = state.policy.max_wait_s
    return limit is not None and wait(state, life) > limit


def formula(order: str, s: float, r: float, n: int, w: float) -> float:
    """The score of a named order."""
    since = log10(s) if s > 0 else log10(0.1)
    match order:
        case "fcfs":
            return s
        case "lcfs":
            return -s
        case "sjf":
            return r
        case "ljf":
            return -r
        case "saf":
            return r * n
        case "lxf":
            return -(w + r) / r
        case "wfp3":
            return -((w / r) ** 3) * n
        case "unicep":
            return -w / (log2(n + 1e-15) * r)
        case "f1":
            return log10(r) * n + 870 * since
        case "f2":
            return sqrt(r) * n + 25600 * since
        case "f3":
            return r * n + 6.86e6 * since
        case "f4":
            return r * sqrt(n) + 530000 * since
    raise ValueError(order)


def usage(state: State, half_life_s: float, user: int | None = None) -> float:
    """Decayed processor-seconds of the jobs that have ended, of one user or of all."""
    charged = 0.0
    for life in state.ended:
        if user is None or life.job.user == user:
            age = (life.end_s - state.first_submission) / half_life_s
            charged += life.job.procs * life.executed_s * 2.0**age
    return charged


def multifactor(order: Multifactor, state: State, life: Life) -> float:
    """Age, size and fair share."""
    submitted = [other for other in state.lives if other.job.submit_s <= state.now]
    users = len({other.job.user for other in submitted})
    everything = usage(state, order.half_life_s)
    part = usage(state, order.half_life_s, life.job.user) / everything if everything > 0 else 0.0
    return -(
        order.age * min(wait(state, life) / order.max_age_s, 1.0)
        + order.size * (life.job.procs / state.partition.procs)
        + order.share * 2.0 ** (-part * users)
    )


def features(state: State, life: Life) -> list[float]:
    """What a `Scorer` sees of a job."""
    partition, free = state.partition, free_for_jobs(state)
    r, n = life.first_estimate_s, life.job.procs
    need, cap = takes(state, life, state.levels[-1]), cap_all_awake_uw(state)
    fits = need.procs <= free.procs and need.gpus <= free.gpus
    return [
        log10(1 + r) / 6,
        log10(n) / log10(1 + partition.procs),
        log10(1 + wait(state, life) / r) / 3,
        1.0 if fits else 0.0,
        free.procs / partition.procs,
        log10(1 + len(state.queue)) / 4,
        gpu_thousandths(life.job) / (1000 * partition.gpus) if partition.gpus else 0.0,
        free.uw / cap if state.policy.power_cap_w is not None else 1.0,
    ]


def network(order: Scorer, values: Sequence[float]) -> float:
    """Rectifiers between the layers, a linear one at the end."""
    for number, (weights, biases) in enumerate(order.layers):
        if number > 0:
            values = [0.0 if value < 0 else value for value in values]
        values = [
            sum(w * v for w, v in zip(row, values, strict=True)) + bias
            for row, bias in zip(weights, biases, strict=True)
        ]
    (score,) = values
    return score


def score(order: Order, state: State, life: Life) -> float:
    """A job's score; the smallest comes first."""
    if isinstance(order, Multifactor):
        return multifactor(order, state, life)
    if isinstance(order, Scorer):
        return network(order, features(state, life))
    submit, r = life.job.submit_s, life.first_estimate_s
    return formula(order, submit, r, life.job.procs, wait(state, life))


def in_order(order: Order, state: State, lives: Sequence[Life]) -> list[Life]:
    """Starving jobs in trace order, then the others by score; equal ones stay as they stand."""
    starving = [life for life in lives if is_starving(state, life)]
    others = [life for life in lives if not is_starving(state, life)]
    scores = {life.index: score(order, state, life) for life in others}
    known = [life for life in others if not isnan(scores[life.index])]
    unknown = [life for life in others if isnan(scores[life.index])]
    return (
        sorted(starving, key=lambda life: life.index)
        + sorted(known, key=lambda life: scores[life.index])
        + unknown
    )
