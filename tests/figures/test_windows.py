"""The table of RLScheduler's windows, also where none of its logs is on the machine."""

import numpy as np
import pandas as pd
from builders import make_workload

from exawatt.figures import windows


def test_without_its_logs_the_table_is_empty_and_has_its_columns() -> None:
    table = windows.compare({})
    assert list(table.columns) == windows.COLUMNS
    assert table.empty
    assert (table["committed"] / table["fresh"]).empty
    assert np.isnan(windows.cell(table, "HPC2N", "sjf", "fresh"))
    assert windows.repeated(table) == (0, [])
    assert [axis.texts[0].get_text() for axis in windows.heads_figure(table).axes] == [
        "None of its logs is on this machine."
    ]


def test_cells_that_a_committed_head_does_not_repeat_are_named() -> None:
    table = pd.DataFrame(
        {
            "trace": ["A (1)", "A (1)", "A (1)", "B (2)"],
            "order": ["fcfs", "f4", "learned", "sjf"],
            "published": [1234.57, np.nan, 3.0, 157.71],
            "committed": [1234.5678, 2.0, np.nan, 157.324],
        }
    )
    assert windows.repeated(table) == (1, ["SJF on B, 157.32 and 157.71"])


def test_jobs_of_one_instant_come_one_by_one() -> None:
    window = make_workload([(0.0, 1, 5.0, 5.0), (0.0, 1, 6.0, 6.0), (2.0, 1, 7.0, 7.0)], 4)
    moved = windows.one_by_one(window).jobs
    np.testing.assert_allclose(moved["submit_s"], [1e-6, 2e-6, 2 + 3e-6], rtol=1e-9)
    assert moved["runtime_s"].tolist() == [5, 6, 7]
