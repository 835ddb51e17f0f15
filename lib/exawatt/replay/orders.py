"""Orders of the queue: a score for each waiting job, the smallest first."""

from math import log2, log10, sqrt
from typing import get_args

import numpy as np

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.lanes import u
from exawatt.replay.policy import Order as OrderName
from exawatt.replay.state import CAPPED, FREE_GPUS, GAP, LEFT_UW, NAN_SCORES, WHOLE_UW

FCFS, LCFS, SJF, LJF, SAF, LXF, WFP3, UNICEP, F1, F2, F3, F4, MULTIFACTOR, SCORER, GIVEN = range(15)
#: Number of each named formula.
CODES = {name: code for code, name in enumerate(get_args(OrderName))}
#: Formulas that change while a job waits.
DYNAMIC = (LXF, WFP3, UNICEP, MULTIFACTOR, SCORER)


@compiled
def formula(code, submit_s, estimate_s, procs, wait_s):  # type: ignore[no-untyped-def]
    r"""Score of a job by a named order; the smallest comes first.

    Parameters
    ----------
    code : int
        One of :data:`CODES`.
    submit_s : float
        Submission `s` in the origin of its file [s]; 0.1 for the logarithms of F1 to F4 when it
        is not positive, as in RLScheduler's code [4]_.
    estimate_s, wait_s : float
        Estimated runtime `r` and wait so far `w` [s].
    procs : int
        Processors `n`.

    Notes
    -----
    FCFS :math:`s`, LCFS :math:`-s`, SJF :math:`r`, LJF :math:`-r`, SAF :math:`r n`,
    LXF :math:`-(w + r) / r` [1]_, WFP3 :math:`-(w / r)^3 n` and
    UNICEP :math:`-w / (\log_2(n + 10^{-15}) r)` [2]_,
    F1 :math:`\log_{10}(r) n + 870 \log_{10} s`, F2 :math:`\sqrt{r} n + 25600 \log_{10} s`,
    F3 :math:`r n + 6.86 \times 10^6 \log_{10} s`, F4 :math:`r \sqrt{n} + 530000 \log_{10} s`
    [3]_. UNICEP's :math:`10^{-15}` stands where one processor would make it 0/0 [4]_.

    References
    ----------
    .. [1] S.-H. Chiang, A. Arpaci-Dusseau, M. Vernon, "The Impact of More Accurate Requested
       Runtimes on Production Job Scheduling Performance", JSSPP 2002.
    .. [2] W. Tang et al., "Fault-Aware, Utility-Based Job Scheduling on Blue Gene/P Systems",
       CLUSTER 2009.
    .. [3] D. Carastan-Santos, R. de Camargo, "Obtaining Dynamic Scheduling Policies with
       Simulation and Machine Learning", SC'17.
    .. [4] D. Zhang et al., "RLScheduler: An Automated HPC Batch Job Scheduler Using
       Reinforcement Learning", SC'20.
    """
    value = submit_s
    if code == LCFS:
        value = -submit_s
    elif code == SJF:
        value = estimate_s
    elif code == LJF:
        value = -estimate_s
    elif code == SAF:
        value = estimate_s * procs
    elif code == LXF:
        value = -(wait_s + estimate_s) / estimate_s
    elif code == WFP3:
        ratio = wait_s / estimate_s
        value = -(ratio * ratio * ratio) * procs
    elif code == UNICEP:
        value = -wait_s / (log2(procs + 1e-15) * estimate_s)
    elif code >= F1:
        log_submit = log10(submit_s if submit_s > 0 else 0.1)
        if code == F1:
            value = log10(estimate_s) * procs + 870.0 * log_submit
        elif code == F2:
            value = sqrt(estimate_s) * procs + 25600.0 * log_submit
        elif code == F3:
            value = estimate_s * procs + 6.86e6 * log_submit
        else:
            value = estimate_s * sqrt(float(procs)) + 530000.0 * log_submit
    return value


@compiled
def rescore(cluster, s, now, order, extras):  # type: ignore[no-untyped-def]
    """Score every waiting job anew, if scores change with time."""
    if order.dynamic == 1:
        if order.code == SCORER:
            _look_at_machine(s, order, extras)
        for slot in range(s.head, s.tail):
            if cluster.queue_procs[slot] != GAP:
                _set_score(cluster, s.free, slot, now, order, extras)


@compiled
def score_new(cluster, job, slot, order):  # type: ignore[no-untyped-def]
    """Score a job that joins the queue, or what of its score never changes."""
    if order.code == MULTIFACTOR and order.users[order.user[job]] == 0:
        order.users[order.user[job]] = 1
        order.users[-1] += 1
    order.estimate_s[job] = cluster.queue_estimate[slot]
    if order.code == SCORER:
        _look_at_job(order, job)
    if order.dynamic == 0 and order.code != GIVEN:
        _set_score(cluster, 0, slot, order.submit_s[job], order, None)


@compiled_inline
def _set_score(cluster, free, slot, now, order, extras):  # type: ignore[no-untyped-def]
    job = cluster.queue[slot]
    wait = now - order.submit_s[job]
    if order.code == MULTIFACTOR:
        value = _multifactor(order, job, wait)
    elif order.code == SCORER:
        value = _network(cluster, free, slot, wait, order, extras)
    else:
        estimate = order.estimate_s[job]
        value = formula(order.code, order.submit_s[job], estimate, order.asked[job], wait)
    if value != value:
        value = np.inf
        cluster.counts[NAN_SCORES] += 1
    order.score[job] = value


@compiled
def _multifactor(order, job, wait):  # type: ignore[no-untyped-def]
    age = min(wait / order.factors[3], 1.0)
    size = order.asked[job] / order.machine_procs
    total = order.usage[-1]
    used = order.usage[order.user[job]] / total if total > 0 else 0.0
    share = 2.0 ** (-used * order.users[-1])
    return -(order.factors[0] * age + order.factors[1] * size + order.factors[2] * share)


@compiled
def charge(order, job, runtime_s, elapsed_s):  # type: ignore[no-untyped-def]
    """Count a completed job as usage of its user, `elapsed_s` after the first submission."""
    if order.code == MULTIFACTOR:
        usage = order.asked[job] * runtime_s * 2.0 ** (elapsed_s / order.factors[4])
        order.usage[order.user[job]] += usage
        order.usage[-1] += usage


@compiled
def _look_at_job(order, job):  # type: ignore[no-untyped-def]
    """Work out the features that a job keeps while it waits."""
    known = order.known[job]
    known[0] = log10(1.0 + order.estimate_s[job]) / 6.0
    known[1] = log10(float(order.asked[job])) / log10(1.0 + order.machine_procs)
    known[2] = order.gpus[job] / order.machine_gpus if order.machine_gpus > 0 else 0.0


@compiled
def _look_at_machine(s, order, extras):  # type: ignore[no-untyped-def]
    """Work out the features that all jobs of a pass share."""
    x = order.buffer
    x[4] = s.free / order.machine_procs
    x[5] = log10(1.0 + (s.tail - s.head - s.gaps)) / 4.0
    x[7] = 1.0
    if extras is not None and extras.amounts[CAPPED] > 0:
        x[7] = extras.amounts[LEFT_UW] / extras.amounts[WHOLE_UW]


@compiled
def _network(cluster, free, slot, wait, order, extras):  # type: ignore[no-untyped-def]
    """Output of a :class:`~exawatt.replay.rules.Scorer` for one job."""
    job = cluster.queue[slot]
    fits = cluster.queue_procs[slot] <= free
    if extras is not None:
        fits = fits and extras.gpus[job] <= extras.amounts[FREE_GPUS]
    x, known = order.buffer, order.known
    x[0] = known[job, 0]
    x[1] = known[job, 1]
    x[2] = log10(1.0 + wait / order.estimate_s[job]) / 3.0
    x[3] = 1.0 if fits else 0.0
    x[6] = known[job, 2]
    return _forward(order.sizes, order.weights, x)


@compiled
def _forward(sizes, weights, x):  # type: ignore[no-untyped-def]
    """Last layer's output; `x` holds the inputs, and has room for all neurons behind them.

    The weights of an input are neighbours, so that its neurons are computed side by side.
    """
    at, first = 0, 0
    for layer in range(sizes.size - 2):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        y = x[first + n_in : first + n_in + n_out]
        y[:] = 0.0
        for i in range(n_in):
            value, row = x[first + i], weights[at : at + n_out]
            for j in range(n_out):
                y[j] += row[j] * value
            at += n_out
        for j in range(n_out):
            total = y[j] + weights[at + j]
            # A rectifier that hands on what is not a number.
            y[j] = 0.0 if total < 0 else total
        first += n_in
        at += n_out
    score = 0.0
    for i in range(sizes[-2]):
        score += weights[u(at + i)] * x[u(first + i)]
    return score + weights[-1]
