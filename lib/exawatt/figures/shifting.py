"""Published savings of shifting jobs in time [1]_, beside ours.

References
----------
.. [1] P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile: How
   Temporal Workload Shifting Can Reduce Carbon Emissions in the Cloud", Middleware 2021.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt import shifting
from exawatt.readers.catalog import REPOSITORY, shared_folder
from exawatt.shifting import Deadline
from exawatt.stats import Floats

FILE = "lets-wait-awhile_gb_ci_2019-12_2021-01.csv.gz"
DAYS = 365
#: Seeds of the forecasts with errors, whose savings are averaged.
SEEDS = range(10)
#: Published savings in Great Britain in 2020 [-]: of nightly jobs by how far they may be moved [h]
#: and the error of the forecast [-], and of a machine-learning project by deadline and whether
#: jobs may be interrupted.
NIGHTLY = {(2, 0): 0.0681, (4, 0): 0.0861, (6, 0): 0.0912, (8, 0): 0.1041, (8, 0.05): 0.0795}
PROJECT = {
    ("next workday", False): 0.0657,
    ("next workday", True): 0.0923,
    ("semi-weekly", False): 0.1475,
    ("semi-weekly", True): 0.2000,
}
DEADLINES: dict[str, Deadline] = {
    "next workday": shifting.next_day_at_nine,
    "semi-weekly": shifting.semi_weekly,
}


def series() -> Floats | None:
    """Half-hours from 2020 on of the paper's own series [gCO2/kWh]; None where it is not here.

    It is looked for in ``data/raw`` and in $EXAWATT_DATA. It is no series of the catalog: others
    computed it, from generation and the IPCC's factors, which are not those of the grid's operator.
    """
    path = _find()
    if path is None:
        return None
    readings = pd.read_csv(path, index_col=0, parse_dates=True)["Carbon Intensity"]
    times = pd.DatetimeIndex(readings.index)
    chosen = (times.minute % 30 == 0) & (times >= pd.Timestamp(2020, 1, 1))
    return readings[chosen].to_numpy(np.float64)


def _find() -> Path | None:
    folders = [REPOSITORY / "data" / "raw"]
    if shared := shared_folder():
        folders += [shared / "carbon-gb", shared]
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def nightly(actual: Floats | None) -> pd.DataFrame:
    """Saving of a nightly job by flexibility, beside the one published.

    Parameters
    ----------
    actual : ndarray or None
        What :func:`series` returns.

    Returns
    -------
    DataFrame
        ``flexibility``, ``published`` and ``ours`` [-], ``difference`` of the two; the last two
        are NaN where there is no series.

    Notes
    -----
    The first night's job is left out where it could have begun in the year before, and what it
    would have emitted counts as saved, as in the published program: 1/365 or 0.3 percentage
    points of each saving.
    """
    rows = {}
    for (hours, error), published in NIGHTLY.items():
        name = f"±{hours} h" + (f", forecast {error:.0%} off" if error else "")
        ours = np.nan if actual is None else _nightly_saving(actual, 2 * hours, error)
        rows[name] = (published, ours)
    return _beside(rows)


def _nightly_saving(actual: Floats, flexibility: int, error: float) -> float:
    moved = partial(shifting.nightly, flexibility=flexibility, days=DAYS)
    forecasts = [shifting.with_error(actual, error, seed) for seed in SEEDS if error] or [actual]
    emitted = np.mean([actual @ moved(forecast) for forecast in forecasts])
    return float(1 - emitted / (actual @ shifting.nightly(actual, 0, DAYS)))


def project(actual: Floats | None) -> pd.DataFrame:
    """Saving of a machine-learning project by deadline, beside the one published.

    Columns are those of :func:`nightly`.

    Notes
    -----
    *Next workday* is as the published program has it, see
    :func:`~exawatt.shifting.next_day_at_nine`. Jobs drawn anew, with seeds 1 to 5, move each
    saving by up to half a percentage point.
    """
    rows = {}
    for (deadline, interrupting), published in PROJECT.items():
        name = f"{deadline}, {'' if interrupting else 'not '}interrupted"
        ours = np.nan
        if actual is not None:
            ours = _project_saving(actual, DEADLINES[deadline], interrupting)
        rows[name] = (published, ours)
    return _beside(rows)


def _project_saving(actual: Floats, deadline: Deadline, interrupting: bool) -> float:
    jobs = shifting.machine_learning_project()
    after = actual @ shifting.shifted(jobs, actual, deadline, interrupting=interrupting)
    return float(1 - after / (actual @ shifting.shifted(jobs, actual)))


def _beside(rows: dict[str, tuple[float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows.values(), columns=["published", "ours"])
    table.insert(0, "flexibility", list(rows))
    return table.assign(difference=table["ours"] - table["published"])


def greatest(table: pd.DataFrame) -> str:
    """Greatest difference from what is published [percentage points]; a dash without a series."""
    most = 100 * table["difference"].abs().max()
    return "–" if np.isnan(most) else f"{most:.2f}"
