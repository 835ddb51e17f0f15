"""Published savings beside ours: with the paper's series, and without it."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exawatt.figures import shifting

COLUMNS = ["flexibility", "published", "ours", "difference"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in place of the real data."""
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path))
    monkeypatch.setattr(shifting, "REPOSITORY", tmp_path)
    return tmp_path


def test_ours_are_the_published_savings(real_data: Path) -> None:
    # P. Wiesner et al., Middleware 2021 [%], and how near ours come: tests/test_shifting.py.
    actual = shifting.series()
    nightly, project = shifting.nightly(actual), shifting.project(actual)
    assert list(nightly.columns) == list(project.columns) == COLUMNS
    assert (100 * nightly["published"]).round(2).tolist() == [6.81, 8.61, 9.12, 10.41, 7.95]
    assert (100 * project["published"]).round(2).tolist() == [6.57, 9.23, 14.75, 20.0]
    assert nightly["difference"].abs().max() < 0.001
    assert project["difference"].abs().max() < 0.005
    for table in (nightly, project):
        assert (table["ours"] - table["published"] == table["difference"]).all()


def test_without_its_series_only_the_published_savings_are_told(elsewhere: Path) -> None:
    assert shifting.series() is None
    for table in (shifting.nightly(None), shifting.project(None)):
        assert list(table.columns) == COLUMNS
        assert table["ours"].isna().all()
        assert table["difference"].isna().all()
        assert (table["published"] > 0.06).all()


def test_a_flat_year_saves_the_job_that_is_left_out() -> None:
    # The first night's job is skipped, as in the paper, and counts as saved.
    flat = np.full(400 * 48, 200.0)
    assert shifting.nightly(flat)["ours"].to_list() == pytest.approx([1 / 365] * 5)
    assert shifting.project(flat)["ours"].abs().max() < 1e-12


def test_a_cleaner_half_hour_is_reached_by_those_who_may_wait() -> None:
    # 100 g at 03:00 or at 03:30 of each day, 200 g else; planned for 01:00.
    early, late = np.full(48, 200.0), np.full(48, 200.0)
    early[6] = late[7] = 100.0
    halved = 1 - 364 * 100 / (365 * 200)
    for day, first in ((early, halved), (late, 1 / 365)):
        saved = shifting.nightly(np.tile(day, 366))["ours"]
        assert saved.iloc[:4].to_list() == pytest.approx([first, halved, halved, halved])


@pytest.mark.parametrize("folder", ["data/raw", "carbon-gb", "."])
def test_the_series_is_found_and_begins_with_2020(elsewhere: Path, folder: str) -> None:
    times = pd.date_range("2019-12-31 23:00", "2020-01-01 01:00", freq="15min")
    table = pd.DataFrame({"Time": times, "Carbon Intensity": np.arange(len(times))})
    (elsewhere / folder).mkdir(parents=True, exist_ok=True)
    path = elsewhere / folder / shifting.FILE
    path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    found = shifting.series()
    assert found is not None
    assert found.tolist() == [4, 6, 8]
