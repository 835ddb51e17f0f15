"""Carbon holds: whether a job that could start now had better wait for cleaner power."""

import numpy as np

from exawatt.intensity import HALF_HOUR_S, YEAR_HALF_HOURS
from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.extras import starving

#: Rules, as :data:`~exawatt.replay.rules.HOLD_RULES` numbers them; the first two look at the whole
#: run of a job, and so at sums, the others at half-hours.
WINDOW, CARBON_TIME, SLOT, THRESHOLD, QUANTILE = range(5)


@compiled
def held_back(job, estimate_s, now, extras):  # type: ignore[no-untyped-def]
    """Hold a job that would start now until the next half-hour, if there is reason to."""
    outlook = extras.outlook
    left_s = outlook.budget_s - extras.held_s[job]
    held = False
    if left_s > 0 and not starving(job, now, extras):
        half_hours = int(np.floor((now - outlook.first_s) / HALF_HOUR_S))
        tick = outlook.first_s + (half_hours + 1) * HALF_HOUR_S
        issue = _tiled(half_hours, outlook.now.shape[0])
        in_time = now < tick <= extras.latest_s[job] and tick - now <= left_s
        if issue >= 0 and in_time:
            held = _worth_waiting(
                job, estimate_s, now, tick - HALF_HOUR_S, left_s, issue, outlook, extras
            )
        if held:
            extras.held_until[job] = tick
            extras.held_s[job] += tick - now
            extras.moments[0] = min(extras.moments[0], tick)
    return held


@compiled_inline
def _worth_waiting(job, estimate_s, now, begin, left_s, issue, outlook, extras):  # type: ignore[no-untyped-def]
    """Whether the rule says to wait, by the forecast issued at `begin`."""
    n, latest_s = 1, extras.latest_s[job]
    while (
        n < outlook.leads
        and begin + n * HALF_HOUR_S - now <= left_s
        and begin + n * HALF_HOUR_S <= latest_s
    ):
        n += 1
    if outlook.rule == CARBON_TIME:
        held = _gains_by_waiting(job, estimate_s, now, begin, n, issue, outlook, extras)
    elif outlook.rule == THRESHOLD:
        held = outlook.now[issue, 0] > outlook.bound
    else:
        present = outlook.now[issue, 0]
        if outlook.rule == WINDOW:
            present = _mean(outlook.now, issue, now - begin, estimate_s)
        enough = max(1.0, outlook.bound * n)
        lower, ahead = 0, 1
        while lower < enough and ahead < n:
            then = outlook.later[issue, ahead]
            if outlook.rule == WINDOW:
                then = _mean(outlook.later, issue, ahead * HALF_HOUR_S, estimate_s)
            if then < outlook.keep * present:
                lower += 1
            ahead += 1
        held = lower >= enough
    return held


@compiled_inline
def _gains_by_waiting(job, estimate_s, now, begin, n, issue, outlook, extras):  # type: ignore[no-untyped-def]
    """Whether a later start saves most carbon per time to completion, and enough of it."""
    present = _mean(outlook.now, issue, now - begin, estimate_s)
    if extras.held_s[job] == 0:
        extras.looked[job, 0], extras.looked[job, 1] = now, present
    first_s, first = extras.looked[job, 0], extras.looked[job, 1]
    most = (first - present) / (now - first_s + estimate_s)
    planned = np.inf
    for ahead in range(1, n):
        mean = _mean(outlook.later, issue, ahead * HALF_HOUR_S, estimate_s)
        gain = (first - mean) / (begin + ahead * HALF_HOUR_S - first_s + estimate_s)
        if gain > most:
            most, planned = gain, mean
    return planned < outlook.keep * first


@compiled_inline
def _tiled(half_hour, n):  # type: ignore[no-untyped-def]
    """Half-hour of a series, moved by whole multiples of 52 weeks into it; -1 where none is."""
    while half_hour >= n:
        half_hour -= YEAR_HALF_HOURS
    while half_hour < 0:
        half_hour += YEAR_HALF_HOURS
    return half_hour if half_hour < n else -1


@compiled_inline
def _mean(sums, issue, begin_s, length_s):  # type: ignore[no-untyped-def]
    """Mean of a forecast over a span that begins `begin_s` after its issue."""
    end_s = min(begin_s + length_s, (sums.shape[1] - 1) * HALF_HOUR_S)
    total = _until(sums, issue, end_s) - _until(sums, issue, begin_s)
    return total / (end_s - begin_s)


@compiled_inline
def _until(sums, issue, until_s):  # type: ignore[no-untyped-def]
    """Integral of a forecast over the seconds after its issue."""
    lead = int(until_s / HALF_HOUR_S)
    total = sums[issue, lead] * HALF_HOUR_S
    rest = until_s - lead * HALF_HOUR_S
    if rest > 0:
        total += (sums[issue, lead + 1] - sums[issue, lead]) * rest
    return total
