"""A slow and obvious replay, written from the definitions alone, to check the kernel against.

It follows `docs/replay_semantics.md` section by section for one partition; the caller splits a
platform. Everything is looked for again at every instant: no heap, no sorted list kept, nothing
remembered between passes but what the page says is remembered. Times are compared exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reference_holds import is_held_back, next_half_hour
from reference_orders import (
    correct,
    estimate_at_submission,
    expected_end,
    free_for_jobs,
    in_order,
    planned_end,
    request,
)
from reference_terms import (
    Amount,
    CarbonHold,
    Dvfs,
    Forecast,
    Job,
    Life,
    Multifactor,
    Partition,
    Policy,
    Scorer,
    State,
    cap_all_awake_uw,
    executed,
    is_killed,
    node_saving_uw,
    stretch,
    takes,
)

__all__ = [
    "CarbonHold",
    "Dvfs",
    "Forecast",
    "Job",
    "Multifactor",
    "Partition",
    "Policy",
    "Run",
    "Scorer",
    "Stuck",
    "replay",
    "simulate",
]


@dataclass(frozen=True)
class Run:
    """What became of a job, and for how many seconds it waited for what."""

    chosen_s: float
    start_s: float
    end_s: float
    state: str
    frequency: float
    held_s: float
    causes: dict[str, float]


class Stuck(RuntimeError):
    """Jobs wait, but no instant is left at which they could start."""


def replay(
    jobs: Sequence[Job],
    machine: int,
    backfill: str = "easy",
    kill_at_request: bool = True,
    missing_request: str = "quantile",
) -> list[Run]:
    """Replay jobs first come, first served [+ backfilling] on so many processors."""
    policy = Policy(
        backfill=backfill, kill_at_request=kill_at_request, missing_request=missing_request
    )
    return simulate(jobs, Partition(nodes=machine, procs=machine), policy)


def simulate(
    jobs: Sequence[Job], partition: Partition, policy: Policy, forecast: Forecast | None = None
) -> list[Run]:
    """Replay one partition's jobs, given in order of submission."""
    lives = [Life(job, i, executed(job, policy)) for i, job in enumerate(jobs)]
    if not lives:
        return []
    state = State(partition, policy, forecast, lives, to_come=list(lives))
    state.awake_from = [state.first_submission] * partition.nodes
    instant: float | None = state.first_submission
    while instant is not None:
        state.now = instant
        only_submissions = not any(timers_at(state)) and not completions_at(state)
        complete(state)
        submit(state)
        release(state)
        scheduling_pass(state, only_submissions)
        instant = next_instant(state)
        account(state, instant)
    return [
        Run(
            life.chosen_s,
            life.start_s,
            life.end_s,
            "killed" if is_killed(life.job, policy) else "completed",
            life.level,
            life.held_s,
            life.causes,
        )
        for life in lives
    ]


# An instant


def completions_at(state: State) -> list[Life]:
    return [life for life in state.running if life.end_s <= state.now]


def timers_at(state: State) -> list[bool]:
    """What is due at this instant: held jobs, reservations, nodes to be asleep under a cap."""
    held = [life.held_until_s == state.now for life in state.queue if life.held_until_s is not None]
    held += [life.reservation_s == state.now for life in state.queue]
    nodes = range(state.partition.nodes) if sleeps(state) and capped(state) and state.queue else ()
    begin = [begins == state.now for begins in reservations(state)]
    return held + begin + [asleep_at(state, node) == state.now for node in nodes]


def reservations(state: State) -> list[float]:
    return [life.reservation_s for life in state.queue if life.reservation_s is not None]


def complete(state: State) -> None:
    done = sorted(completions_at(state), key=lambda life: life.index)
    state.running = [life for life in state.running if life not in done]
    state.ended += done


def submit(state: State) -> None:
    for life in [life for life in state.to_come if life.job.submit_s <= state.now]:
        life.request_s = request(state, life)
        life.first_estimate_s = life.estimate_s = estimate_at_submission(state, life)
        state.to_come.remove(life)
        state.queue.append(life)


def release(state: State) -> None:
    for life in state.queue:
        if life.held_until_s is not None and life.held_until_s <= state.now:
            life.held_until_s = None


def next_instant(state: State) -> float | None:
    """The next moment of the kinds that the page lists."""
    if not state.to_come and not state.queue:
        return None
    instants = [life.job.submit_s for life in state.to_come]
    instants += [life.end_s for life in state.running]
    corrects = state.policy.correction != "none" and state.policy.backfill != "none"
    if corrects and state.queue:
        ends = [planned_end(state, life) for life in state.running]
        instants += [end for end in ends if end > state.now]
    instants += [life.held_until_s for life in state.queue if life.held_until_s is not None]
    if not any(planned_end(state, life) <= state.now for life in state.running):
        instants += [life.reservation_s for life in state.queue if life.reservation_s is not None]
    if sleeps(state) and capped(state) and state.queue:
        asleep = [asleep_at(state, node) for node in range(state.partition.nodes)]
        instants += [instant for instant in asleep if instant is not None and instant > state.now]
    if not instants:
        raise Stuck(f"at {state.now} jobs wait and nothing is left to happen")
    return min(instants)


def capped(state: State) -> bool:
    return state.policy.power_cap_w is not None


# A scheduling pass


def eligible(state: State) -> list[Life]:
    return [life for life in state.queue if life.held_until_s is None]


def scheduling_pass(state: State, only_submissions: bool) -> None:
    policy = state.policy
    overdue = [life for life in state.running if planned_end(state, life) <= state.now]
    for life in overdue:
        correct(state, life)
    queue = in_order(policy.order, state, eligible(state))
    candidates = queue  # as backfilling looks at them
    if policy.backfill_order is not None:
        candidates = in_order(policy.backfill_order, state, queue)

    if policy.backfill == "conservative":
        new = [life for life in queue if life.job.submit_s == state.now]
        place(state, new if only_submissions and not overdue else queue)
        return
    while queue:
        head = state.committed or queue[0]
        levels = levels_that_fit(state, head, free_for_jobs(state))
        if not levels:
            if policy.head == "committed":
                state.committed = head
            break
        start_or_hold(state, head, levels[0])
        state.committed = None
        queue.remove(head)
    if queue and policy.backfill == "easy":
        easy(state, head, [life for life in candidates if life in queue and life is not head])


def fits_now(state: State, life: Life, level: float, free: Amount) -> bool:
    """Whether a job fits; `free` counts all nodes as awake, so sleeping ones add what they save."""
    need = takes(state, life, level)
    if sleeps(state) and capped(state):
        asleep = [node for node in range(state.partition.nodes) if is_asleep(state, node)]
        taken = nodes_of(state, lowest_processors(state, life))
        woken = [node for node in asleep if node in taken]
        free = free._replace(uw=free.uw + len(asleep) * node_saving_uw(state))
        need = need._replace(uw=need.uw + len(woken) * node_saving_uw(state))
    return free.covers(need)


def levels_that_fit(state: State, life: Life, free: Amount) -> list[float]:
    """The frequency levels at which a job fits now, the highest first."""
    return [level for level in state.levels if fits_now(state, life, level, free)]


def start_or_hold(state: State, life: Life, level: float) -> bool:
    """Start a job, unless it is held back; whether it was started."""
    life.reservation_s = None
    if is_held_back(state, life):
        life.held_until_s = next_half_hour(state)
        life.held_s += life.held_until_s - state.now
        return False
    life.chosen_s, life.level = state.now, level
    life.start_s = state.now
    if sleeps(state):
        life.processors = lowest_processors(state, life)
        life.start_s = start_if_chosen(state, life)
        for node in nodes_of(state, life.processors):
            state.awake_from[node] = awake_if_taken(state, node)
    life.end_s = life.start_s + stretch(state.policy, level) * life.executed_s
    state.queue.remove(life)
    state.running.append(life)
    return True


def easy(state: State, head: Life, others: Sequence[Life]) -> None:
    """Start what does not delay the blocked head."""
    shadow, extra = shadow_and_extra(state, head)
    free = free_for_jobs(state)
    for life in others:
        for level in levels_that_fit(state, life, free):
            length = stretch(state.policy, level) * life.estimate_s
            in_time = start_if_chosen(state, life) + length <= shadow
            if in_time or extra.covers(takes(state, life, level)):
                if start_or_hold(state, life, level):
                    free = free_for_jobs(state)
                    if not in_time:
                        extra = extra.without(takes(state, life, level))
                break


def shadow_and_extra(state: State, head: Life) -> tuple[float, Amount]:
    """When the head is expected to fit, and what is left over then."""
    need = takes(state, head, state.levels[-1])
    ends = [(expected_end(state, life), takes(state, life, life.level)) for life in state.running]
    for shadow in sorted({end for end, _ in ends}):
        free = Amount(state.partition.procs, 1000 * state.partition.gpus, cap_all_awake_uw(state))
        for end, held in ends:
            if end > shadow:
                free = free.without(held)
        if free.covers(need):
            return shadow, free.without(need)
    raise AssertionError("a job larger than the machine was queued")


Block = tuple[float, float, Amount]
"""From when to when how much is not free."""


def place(state: State, lives: Sequence[Life]) -> None:
    """Plan jobs, one after the other, around all that run and all other reservations."""
    level = state.levels[0]  # the only one
    for life in lives:
        life.reservation_s = None
        length = stretch(state.policy, level) * life.estimate_s
        blocks = profile(state, level)
        instants = [state.now, *(end for _, end, _ in blocks if end > state.now)]
        when = next(
            instant
            for instant in sorted(instants)
            if stays_free(state, blocks, instant, instant + length, takes(state, life, level))
        )
        if when == state.now:
            start_or_hold(state, life, level)
        else:
            life.reservation_s = when


def profile(state: State, level: float) -> list[Block]:
    """What running jobs and reservations hold."""
    blocks = [
        (state.now, expected_end(state, life), takes(state, life, level)) for life in state.running
    ]
    for life in state.queue:
        if life.reservation_s is not None:
            length = stretch(state.policy, level) * life.estimate_s
            end = life.reservation_s + length
            blocks.append((life.reservation_s, end, takes(state, life, level)))
    return blocks


def stays_free(
    state: State, blocks: Sequence[Block], start: float, end: float, need: Amount
) -> bool:
    """Whether so much is free at the start and at each later instant at which less becomes free."""
    for instant in [start, *(begin for begin, _, _ in blocks if start < begin < end)]:
        free = Amount(state.partition.procs, 1000 * state.partition.gpus, cap_all_awake_uw(state))
        for begin, until, held in blocks:
            if begin <= instant < until:
                free = free.without(held)
        if not free.covers(need):
            return False
    return True


# Sleep


def sleeps(state: State) -> bool:
    return state.policy.sleep_after_s is not None


def node_of(state: State, processor: int) -> int:
    return processor * state.partition.nodes // state.partition.procs


def nodes_of(state: State, processors: Sequence[int]) -> set[int]:
    return {node_of(state, processor) for processor in processors}


def asleep_at(state: State, node: int) -> float | None:
    """When an idle node is (or was) fully asleep; None for a node that jobs hold."""
    begins = falls_asleep_at(state, node)
    return None if begins is None else begins + state.partition.fall_asleep_s


def falls_asleep_at(state: State, node: int) -> float | None:
    """When an idle node begins (or began) to fall asleep; None for a node that jobs hold."""
    assert state.policy.sleep_after_s is not None
    if any(node in nodes_of(state, life.processors) for life in state.running):
        return None
    ends = [life.end_s for life in state.ended if node in nodes_of(state, life.processors)]
    return max([state.first_submission, *ends]) + state.policy.sleep_after_s


def is_asleep(state: State, node: int) -> bool:
    asleep = asleep_at(state, node)
    return asleep is not None and asleep <= state.now


def is_awake_or_being_woken(state: State, node: int) -> bool:
    """Whether a node is held by a job, or idle for too short a time to fall asleep."""
    begins = falls_asleep_at(state, node)
    return begins is None or begins > state.now


def awake_if_taken(state: State, node: int) -> float:
    """When a node is awake if a job takes it now."""
    if is_awake_or_being_woken(state, node):
        return max(state.now, state.awake_from[node])
    asleep = asleep_at(state, node)
    assert asleep is not None
    return max(state.now, asleep) + state.partition.wake_s


def lowest_processors(state: State, life: Life) -> list[int]:
    """The free processors that a job would take: the lowest of awake nodes, then of the others."""
    held = {processor for other in state.running for processor in other.processors}
    free = [processor for processor in range(state.partition.procs) if processor not in held]
    nodes = range(state.partition.nodes)
    awake = {node for node in nodes if is_awake_or_being_woken(state, node)}
    first = [processor for processor in free if node_of(state, processor) in awake]
    then = [processor for processor in free if node_of(state, processor) not in awake]
    return (first + then)[: takes(state, life, state.levels[0]).procs]


def start_if_chosen(state: State, life: Life) -> float:
    """When a job starts that is chosen now: once all its nodes are awake."""
    if not sleeps(state):
        return state.now
    nodes = nodes_of(state, lowest_processors(state, life))
    return max(awake_if_taken(state, node) for node in nodes)


# Why a job waited


def cause(state: State, life: Life, free: Amount) -> str:
    """What a job that has not been chosen waits for after a pass."""
    need = takes(state, life, state.levels[-1])
    if life.held_until_s is not None:
        return "hold"
    if need.procs > free.procs or need.gpus > free.gpus:
        return "resources"
    if not fits_now(state, life, state.levels[-1], free):
        return "cap"
    return "order" if state.policy.backfill == "none" else "reservation"


def account(state: State, until: float | None) -> None:
    """Charge the time to the next instant; jobs that were chosen now only wait to wake nodes."""
    free = free_for_jobs(state)
    for life in state.running:
        if life.chosen_s == state.now:
            life.causes["waking"] = life.start_s - life.chosen_s
    for life in state.queue:
        assert until is not None
        life.causes[cause(state, life, free)] += until - state.now
