"""What a scheduler may take a job's runtime to be, and how long the job really runs."""

import numpy as np
import pandas as pd

from exawatt.replay.policy import Policy
from exawatt.stats import Floats
from exawatt.workload import Workload

QUANTILE = 0.9
#: Taken for a missing request while no request is known at all.
FIRST_REQUEST_S = 86400.0


def executed_runtime_s(workload: Workload, policy: Policy) -> Floats:
    """Runtime of each job [s], cut at its request where the policy kills there."""
    runtime: Floats = workload.jobs["runtime_s"].to_numpy()
    if not policy.kill_at_request:
        return runtime
    cut: Floats = np.fmin(runtime, workload.jobs["requested_s"].to_numpy())
    return cut


def estimated_runtime_s(workload: Workload, policy: Policy) -> Floats:
    """Request of each job [s], or what the policy takes for a missing one."""
    requested: Floats = workload.jobs["requested_s"].to_numpy()
    if not np.isnan(requested).any():
        return requested
    if policy.missing_request == "runtime":
        stand_in = workload.jobs["runtime_s"].to_numpy()
    else:
        stand_in = earlier_quantile_s(workload.jobs["submit_s"].to_numpy(), requested)
    return np.where(np.isnan(requested), stand_in, requested)


def earlier_quantile_s(submit_s: Floats, requested_s: Floats) -> Floats:
    """0.9-quantile of the requests known before each submission [s].

    Parameters
    ----------
    submit_s, requested_s : ndarray, shape (n_jobs,)
        Submission (ascending) and request [s], NaN where missing.

    Returns
    -------
    ndarray, shape (n_jobs,)
        Over jobs submitted strictly earlier, by linear interpolation; 24 h where none of them
        has a request.
    """
    so_far = pd.Series(requested_s).expanding().quantile(QUANTILE).to_numpy()
    earlier = np.searchsorted(submit_s, submit_s, side="left") - 1
    known = np.where(earlier >= 0, so_far[earlier], np.nan)
    return np.where(np.isnan(known), FIRST_REQUEST_S, known)
