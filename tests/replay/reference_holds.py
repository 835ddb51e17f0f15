"""Carbon holds, for the reference scheduler: from `docs/replay_semantics.md` alone."""

from collections.abc import Sequence
from math import ceil, floor, inf

from reference_orders import is_starving
from reference_terms import HALF_HOUR_S, CarbonHold, Life, State

DAY_S, NINE_S, FIVE_S = 86400.0, 9 * 3600.0, 17 * 3600.0
MONDAY, THURSDAY, SATURDAY = 0, 3, 5


def is_held_back(state: State, life: Life) -> bool:
    """Whether a job that a pass would start is held back."""
    hold, forecast = state.policy.hold, state.forecast
    if hold is None or forecast is None or is_starving(state, life):
        return False
    number = half_hour(state)
    if not 0 <= number < len(forecast.gco2_per_kwh):
        return False
    if not may_wait_until(state, life, next_half_hour(state)):
        return False
    values = forecast.gco2_per_kwh[number]
    later = values if hold.level is None else forecast.at_level(number)
    leads = [
        lead
        for lead in range(1, len(values))
        if may_wait_until(state, life, half_hour_ahead(state, lead))
    ]
    match hold.rule:
        case "window":
            return saves_over_run(state, life, values, later, leads)
        case "slot":
            return any(later[lead] < (1 - hold.min_saving) * values[0] for lead in leads)
        case "carbon-time":
            return is_planned_later(state, life, values, later, leads)
        case "threshold":
            assert hold.threshold_gco2_per_kwh is not None
            return values[0] > hold.threshold_gco2_per_kwh
        case "quantile":
            assert hold.quantile is not None
            among = sorted([values[0], *(later[lead] for lead in leads)])
            return values[0] > among[ceil(hold.quantile * len(among)) - 1]
    raise AssertionError(hold.rule)


def saves_over_run(
    state: State, life: Life, values: Sequence[float], later: Sequence[float], leads: Sequence[int]
) -> bool:
    """Whether some candidate promises a lower mean over the run."""
    assert state.policy.hold is not None
    now = mean_intensity(state, values, state.now, life.estimate_s)
    candidates = [half_hour_ahead(state, lead) for lead in leads]
    means = [mean_intensity(state, later, each, life.estimate_s) for each in candidates]
    return any(mean < (1 - state.policy.hold.min_saving) * now for mean in means)


def is_planned_later(
    state: State, life: Life, values: Sequence[float], later: Sequence[float], leads: Sequence[int]
) -> bool:
    """Whether most carbon per time to completion is saved by a candidate, and enough of it."""
    assert state.policy.hold is not None
    means = {state.now: mean_intensity(state, values, state.now, life.estimate_s)}
    if life.looked_s is None:
        life.looked_s, life.believed = state.now, means[state.now]
    for lead in leads:
        start = half_hour_ahead(state, lead)
        means[start] = mean_intensity(state, later, start, life.estimate_s)
    gains = {
        start: (life.believed - mean) / (start - life.looked_s + life.estimate_s)
        for start, mean in means.items()
    }
    planned = min(start for start, gain in gains.items() if gain == max(gains.values()))
    enough = means[planned] < (1 - state.policy.hold.min_saving) * life.believed
    return planned > state.now and enough


# Until when a job may wait


def may_wait_until(state: State, life: Life, until: float) -> bool:
    assert state.policy.hold is not None
    within = until - state.now <= state.policy.hold.budget_s - life.held_s
    return within and until <= latest_start(state, life)


def latest_start(state: State, life: Life) -> float:
    hold, forecast = state.policy.hold, state.forecast
    assert hold is not None
    assert forecast is not None
    if hold.deadline is None:
        return inf
    length = life.request_s if state.policy.estimate == "last2" else life.first_estimate_s
    finish = life.job.submit_s + length - forecast.origin_s
    return deadline(hold, finish) + forecast.origin_s - length


def deadline(hold: CarbonHold, finish: float) -> float:
    """Deadline of a finish, both in seconds since a Monday's midnight; no clocks are changed."""
    day, since = divmod(finish, DAY_S)
    if hold.deadline == "semi-weekly":
        days = [day + later for later in range(8) if (day + later) % 7 in (MONDAY, THURSDAY)]
        return min(each * DAY_S + NINE_S for each in days if each * DAY_S + NINE_S >= finish)
    if day % 7 < SATURDAY and NINE_S <= since <= FIVE_S:
        return finish
    days = [day + later for later in range(4) if (day + later) % 7 < SATURDAY]
    return min(each * DAY_S + NINE_S for each in days if each * DAY_S + NINE_S >= finish)


# Half-hours


def half_hour(state: State) -> int:
    assert state.forecast is not None
    return floor((state.now - state.forecast.origin_s) / HALF_HOUR_S)


def half_hour_ahead(state: State, lead: int) -> float:
    """Beginning of the half-hour so many after the current one."""
    assert state.forecast is not None
    return state.forecast.origin_s + HALF_HOUR_S * (half_hour(state) + lead)


def next_half_hour(state: State) -> float:
    return half_hour_ahead(state, 1)


def mean_intensity(state: State, values: Sequence[float], start: float, length: float) -> float:
    """The mean of the half-hourly values of this half-hour's forecast over a job from a start."""
    end = min(start + length, half_hour_ahead(state, len(values)))
    total = 0.0
    for lead, value in enumerate(values):
        begins = half_hour_ahead(state, lead)
        overlap = min(end, begins + HALF_HOUR_S) - max(start, begins)
        total += value * max(0.0, overlap)
    return total / (end - start)
