"""Random job lists that queue, tie and overrun."""

from math import nan

import pandas as pd
from hypothesis import strategies as st
from reference import Job

import exawatt as ew


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


def as_workload(jobs: list[Job], machine: int) -> ew.Workload:
    """Return the jobs as a workload of the library."""
    table = pd.DataFrame(
        {
            "job": range(1, len(jobs) + 1),
            "submit_s": [job.submit_s for job in jobs],
            "runtime_s": [job.runtime_s for job in jobs],
            "requested_s": [job.requested_s for job in jobs],
            "procs": [job.procs for job in jobs],
        }
    )
    return ew.Workload(table, procs=machine, name="random")
