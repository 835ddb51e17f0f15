"""Attribution: what each job is answerable for, so that all jobs together are the machine's meter.

The power that a job adds to an idle machine is its own. The rest (nodes idle, asleep and between
the two) is *overhead*: at each moment the jobs that run share it in proportion to their
processors, and what is drawn while nothing runs is shared by all jobs of the window in proportion
to their processor-seconds.
"""

import numpy as np
import pandas as pd

from exawatt.carbon import Account
from exawatt.intensity import HALF_HOUR_S
from exawatt.power import J_PER_KWH, overhead
from exawatt.replay import Schedule
from exawatt.stats import Floats, step_sum


def attribute(schedule: Schedule, account: Account) -> pd.DataFrame:
    r"""Energy and carbon of each job, overhead and the facility's PUE included.

    Parameters
    ----------
    schedule : Schedule
        When each job ran, and on what.
    account : Account
        Of the power of this schedule: its window and its half-hours' intensities are taken.

    Returns
    -------
    DataFrame
        One row a job, in workload order: ``job``, ``user``, ``group``, ``partition``;
        ``own_kwh``, what it added; ``shared_kwh``, its share of the overhead while it ran;
        ``empty_kwh``, its share of what was drawn while nothing ran; ``energy_kwh``, their sum;
        and the same for carbon, ``own_kgco2e`` and so on, ``carbon_kgco2e``. The sums over all
        rows are those of the account.

    Raises
    ------
    ValueError
        The account is of another schedule, or of other watts.

    Notes
    -----
    With overhead :math:`O(t)`, processors in use :math:`n(t)`, and intensity :math:`I(t)`, a job
    on :math:`n_j` processors from :math:`b` to :math:`e` shares

    .. math:: n_j \int_b^e \frac{O(t)}{n(t)}\,\mathrm{d}t, \qquad
              n_j \int_b^e \frac{O(t)\,I(t)}{n(t)}\,\mathrm{d}t .

    All three are piecewise constant, so the integrals are exact.
    """
    window = account.window_s
    jobs = schedule.workload.jobs
    procs = jobs["procs"].to_numpy(np.float64)
    begin, end = (np.clip(moment, *window) for moment in (schedule.start_s, schedule.end_s))
    grid, overhead_w, in_use, grams = _on_one_grid(schedule, account, procs)

    # Every begin and end is an edge of the grid, so each integral is a difference of two sums.
    at = np.searchsorted(grid, np.stack([begin, end]))
    work = procs * (end - begin)

    def over_run(per_s: Floats) -> Floats:
        """Integral over each job's run."""
        passed = np.append(0.0, np.cumsum(per_s * np.diff(grid)))
        return passed[at[1]] - passed[at[0]]

    def shares(per_s: Floats) -> tuple[Floats, Floats]:
        """Parts of the integral of overhead: while jobs ran, and while none did."""
        each = np.divide(per_s, in_use, out=np.zeros(per_s.size), where=in_use > 0)
        empty = float((np.where(in_use > 0, 0.0, per_s) * np.diff(grid)).sum())
        return procs * over_run(each), empty * work / (work.sum() or 1.0)

    to_kwh = schedule.platform.pue / J_PER_KWH
    table = jobs[["job", "user", "group", "partition"]].reset_index(drop=True)
    for unit, total, own, per_s in (
        ("kwh", "energy_kwh", schedule.dynamic_w * (end - begin), overhead_w),
        (
            "kgco2e",
            "carbon_kgco2e",
            schedule.dynamic_w * over_run(grams) / 1e3,
            overhead_w * grams / 1e3,
        ),
    ):
        shared, empty = shares(per_s)
        parts = {"own": own, "shared": shared, "empty": empty}
        columns = {f"{name}_{unit}": part * to_kwh for name, part in parts.items()}
        table = table.assign(**columns, **{total: sum(columns.values())})
    _check(table, account)
    return table


def _on_one_grid(
    schedule: Schedule, account: Account, procs: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Edges at which overhead, use or intensity change (n + 1,), and the three between them."""
    window = account.window_s
    half_hours_s = account.half_hours["time_s"].to_numpy()
    steps = [
        overhead(schedule, window),
        step_sum(schedule.start_s, schedule.end_s, procs, window),
        (
            np.append(half_hours_s, half_hours_s[-1] + HALF_HOUR_S),
            # The account refuses a gap in which energy was used; in others nothing is emitted.
            np.nan_to_num(account.half_hours["gco2_per_kwh"].to_numpy()),
        ),
    ]
    grid = np.unique(np.clip(np.concatenate([edges for edges, _ in steps]), *window))
    at = [np.searchsorted(edges, grid[:-1], side="right") - 1 for edges, _ in steps]
    overhead_w, in_use, grams = (
        values[where] for (_, values), where in zip(steps, at, strict=True)
    )
    return grid, overhead_w, in_use, grams


def _check(table: pd.DataFrame, account: Account) -> None:
    """Refuse an account that the jobs do not add up to."""
    for name in ("energy_kwh", "carbon_kgco2e"):
        total, known = float(table[name].sum()), float(getattr(account, name))
        if not np.isclose(total, known, rtol=1e-6):
            raise ValueError(
                f"the jobs' {name}(={total:,.6g}) is not the account's(={known:,.6g}): pass the "
                "account of this schedule's own power."
            )
