"""A job that ends exactly when the head can start may be backfilled.

By the kernel, step by step, and by the definition.
`test_mutation.py` runs these against a library in which that comparison is broken.
"""

import numpy as np
import pytest
from builders import make_workload
from numpy.testing import assert_array_equal
from reference import Job, replay

import exawatt as ew
from exawatt.replay.stepping import Stepper

# Each way to combine features is compiled first.
pytestmark = pytest.mark.timeout(1800)

# Three of four processors until 100; the head wants all four; the last fits beside, until 100.
JOBS = [(0.0, 3, 100.0, 100.0), (10.0, 4, 50.0, 50.0), (20.0, 1, 80.0, 80.0)]
STARTS = [0.0, 100.0, 20.0]


def test_kernel() -> None:
    assert_array_equal(ew.replay(make_workload(JOBS, 4), "easy").start_s, STARTS)


def test_stepping() -> None:
    stepper = Stepper(ew.Platform.uniform(nodes=4, procs=4), ew.Policy.named("easy"))
    stepper.add(make_workload(JOBS, 4))
    starts = np.full(3, np.nan)
    while stepper.next_s < np.inf:
        started = stepper.step()
        starts[started.row] = started.start_s
    assert_array_equal(starts, STARTS)


def test_reference() -> None:
    expected = [run.start_s for run in replay([Job(*job) for job in JOBS], 4)]
    assert_array_equal(ew.replay(make_workload(JOBS, 4), "easy").start_s, expected)
