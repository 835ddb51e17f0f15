"""A slow and obvious replay, written from the definitions alone, to check the kernel against.

Everything is looked for again at every instant: no heap, no sorted list, nothing remembered
between passes but who waits and who runs. Times are floats and are compared exactly, since both
replays compute an end as `start + runtime` and an expected end as `start + estimate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Job:
    """What a replay may know of a job; `requested_s` is NaN when the trace has no request."""

    submit_s: float
    procs: int
    runtime_s: float
    requested_s: float


@dataclass(frozen=True)
class Run:
    """When a job started, when it ended, and whether it was cut at its request."""

    start_s: float
    end_s: float
    state: str


def estimates(jobs: Sequence[Job], missing_request: str) -> list[float]:
    """Return the scheduler's runtime estimate of each job, made at its submission [s]."""
    found = []
    for job in jobs:
        if not isnan(job.requested_s):
            found.append(job.requested_s)
        elif missing_request == "runtime":
            found.append(job.runtime_s)
        else:
            known = [
                other.requested_s
                for other in jobs
                if other.submit_s < job.submit_s and not isnan(other.requested_s)
            ]
            found.append(float(np.quantile(known, 0.9)) if known else DAY_S)
    return found


def shadow_and_extra(
    now: float, needed: int, free: int, running: Sequence[tuple[float, int]]
) -> tuple[float, int]:
    """Return when `needed` processors are expected free, and how many are left over then.

    `running` holds (expected end, processors); an expected end that has passed is now + 1 s.
    """
    expected = [(end if end > now else now + 1.0, procs) for end, procs in running]
    for instant in sorted({end for end, _ in expected}):
        then = free + sum(procs for end, procs in expected if end <= instant)
        if then >= needed:
            return instant, then - needed
    raise AssertionError("a job larger than the machine was queued")


def replay(
    jobs: Sequence[Job],
    machine: int,
    backfill: str = "easy",
    kill_at_request: bool = True,
    missing_request: str = "quantile",
) -> list[Run]:
    """Replay jobs, given in order of submission, first come first served [+ EASY]."""
    estimate = estimates(jobs, missing_request)
    killed = [kill_at_request and job.runtime_s > job.requested_s for job in jobs]
    executed = [
        job.requested_s if cut else job.runtime_s for job, cut in zip(jobs, killed, strict=True)
    ]
    start: dict[int, float] = {}
    running: list[int] = []
    queue: list[int] = []
    waiting_to_arrive = list(range(len(jobs)))
    while waiting_to_arrive or queue:
        ends = [start[i] + executed[i] for i in running]
        now = min(ends + [jobs[i].submit_s for i in waiting_to_arrive])
        running = [i for i in running if start[i] + executed[i] > now]
        arrived = [i for i in waiting_to_arrive if jobs[i].submit_s <= now]
        queue += arrived
        waiting_to_arrive = [i for i in waiting_to_arrive if i not in arrived]
        free = machine - sum(jobs[i].procs for i in running)

        while queue and jobs[queue[0]].procs <= free:  # (1) the head, while it fits
            head = queue.pop(0)
            start[head] = now
            running.append(head)
            free -= jobs[head].procs
        if not queue or backfill == "none":
            continue

        shadow, extra = shadow_and_extra(  # (2) the head's reservation
            now,
            jobs[queue[0]].procs,
            free,
            [(start[i] + estimate[i], jobs[i].procs) for i in running],
        )
        for i in queue[1:]:  # (3) the rest, in order
            if jobs[i].procs > free:
                continue
            if now + estimate[i] <= shadow:
                pass
            elif jobs[i].procs <= extra:
                extra -= jobs[i].procs
            else:
                continue
            queue.remove(i)
            start[i] = now
            running.append(i)
            free -= jobs[i].procs
    return [
        Run(start[i], start[i] + executed[i], "killed" if killed[i] else "completed")
        for i in range(len(jobs))
    ]
