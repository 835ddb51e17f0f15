"""Carbon intensity as NESO publishes it: both time formats, API answers, zeros, duplicates."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import neso_csv
from numpy.testing import assert_array_equal

import exawatt as ew
from exawatt.readers import TraceError


@pytest.mark.parametrize("api_times", [True, False])
def test_both_time_formats(tmp_path: Path, api_times: bool) -> None:
    path = tmp_path / "series.csv"
    path.write_text(neso_csv("2022-12-31 23:30", [65.0, 72.0, 80.0], api_times=api_times))
    series = ew.load_intensity(path)
    assert series.start == pd.Timestamp("2022-12-31 23:30", tz="UTC")
    assert_array_equal(series.gco2_per_kwh, [65.0, 72.0, 80.0])
    assert series.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert series.tier == "real"


def test_a_compressed_file_reads_alike(tmp_path: Path) -> None:
    path = tmp_path / "series.csv.gz"
    path.write_bytes(gzip.compress(neso_csv("2023-01-01", [65.0, 72.0]).encode()))
    series = ew.load_intensity(path)
    assert_array_equal(series.gco2_per_kwh, [65.0, 72.0])
    assert series.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def api_entry(time: str, actual: object) -> dict[str, object]:
    end = pd.Timestamp(time) + pd.Timedelta(minutes=30)
    return {
        "from": time,
        "to": f"{end:%Y-%m-%dT%H:%MZ}",
        "intensity": {"forecast": 145, "actual": actual, "index": "low"},
    }


def test_an_api_answer(tmp_path: Path) -> None:
    # The shape of GET /intensity/{from}/{to}; a null actual lies in the future.
    entries = [
        api_entry("2017-10-01T11:30Z", 143),
        api_entry("2017-10-01T12:00Z", 151),
        api_entry("2017-10-01T12:30Z", None),
        api_entry("2017-10-01T13:00Z", 0),
        api_entry("2017-10-01T13:30Z", 149),
    ]
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"data": entries}))
    series = ew.load_intensity(path)
    assert series.start == pd.Timestamp("2017-10-01 11:30", tz="UTC")
    assert_array_equal(series.gco2_per_kwh, [143, 151, np.nan, np.nan, 149])


def test_zero_and_empty_actuals_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text(neso_csv("2023-01-01", [65.0, 0.0, None, 70.0]))
    assert_array_equal(ew.load_intensity(path).gco2_per_kwh, [65.0, np.nan, np.nan, 70.0])


def test_an_absent_half_hour_is_a_gap(tmp_path: Path) -> None:
    lines = neso_csv("2023-01-01", [65.0, 66.0, 67.0, 68.0]).splitlines(keepends=True)
    del lines[2]
    path = tmp_path / "series.csv"
    path.write_text("".join(lines))
    assert_array_equal(ew.load_intensity(path).gco2_per_kwh, [65.0, np.nan, 67.0, 68.0])


def test_rows_in_any_order(tmp_path: Path) -> None:
    head, *rows = neso_csv("2023-01-01", [65.0, 66.0, 67.0]).splitlines(keepends=True)
    path = tmp_path / "series.csv"
    path.write_text("".join([head, *reversed(rows)]))
    assert_array_equal(ew.load_intensity(path).gco2_per_kwh, [65.0, 66.0, 67.0])


def test_identical_duplicates_are_one_half_hour(tmp_path: Path) -> None:
    lines = neso_csv("2023-01-01", [65.0, 66.0, 67.0]).splitlines(keepends=True)
    path = tmp_path / "series.csv"
    path.write_text("".join([*lines, lines[2]]))
    assert_array_equal(ew.load_intensity(path).gco2_per_kwh, [65.0, 66.0, 67.0])


def test_conflicting_duplicates_are_refused_when_strict(tmp_path: Path) -> None:
    # The service has one: 2021-04-19 19:00Z comes twice with different values.
    text = neso_csv("2021-04-19 18:30", [200.0, 210.0, 220.0])
    path = tmp_path / "series.csv"
    path.write_text(text + neso_csv("2021-04-19 19:00", [211.0]).splitlines()[1] + "\n")
    with pytest.raises(TraceError, match="2021-04-19 19:00") as caught:
        ew.load_intensity(path)
    assert str(path) in str(caught.value)
    series = ew.load_intensity(path, strict=False)
    assert series.gco2_per_kwh[1] in (210.0, 211.0)
    assert len(series.gco2_per_kwh) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("from,forecast,actual,index\n2023-01-01T00:10Z,1,70,low\n", "2023-01-01T00:10Z"),
        ("from,forecast,actual,index\nyesterday,1,70,low\n", "yesterday"),
        ("from,forecast,actual,index\n2023-01-01T00:00Z,1,much,low\n", "much"),
        ("from,forecast,actual,index\n2023-01-01T00:00Z,1,-5,low\n", "-5"),
        ("from,forecast,actual,index\n2023-01-01T00:00Z,1,inf,low\n", "inf"),
        ("time,actual\n2023-01-01T00:00Z,70\n", "from"),
        ('{"error": {"code": "400 Bad Request", "message": "no"}}', "data"),
        ("from,forecast,actual,index\n", ""),
        ("{", ""),
        ("", ""),
    ],
)
def test_what_is_no_series_is_refused_with_its_place(tmp_path: Path, text: str, value: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        ew.load_intensity(path)
    assert str(path) in str(caught.value)
    assert value in str(caught.value)


def test_a_truncated_series_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.csv.gz"
    whole = gzip.compress(neso_csv("2023-01-01", [65.0] * 5000).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError):
        ew.load_intensity(path)


ABSENT = ("2023-10-20 22:00", "2023-10-22 19:00")  # first and last of 91 half-hours
ZEROS = ["2023-01-31 01:00"]
ZEROS += [f"2023-06-07 {time}" for time in ("09:30", "10:00", "10:30", "11:00")]
EMPTY = [f"2023-01-26 {time}" for time in ("13:30", "14:00", "14:30", "15:00", "15:30")]


def test_the_gaps_of_2023_are_the_known_ones(real_data: Path) -> None:
    # Found by reading the file's 17,430 rows without the library: it runs from 2022-12-31 23:30
    # to 2023-12-31 23:30 (17,521 half-hours), 91 rows are absent, 5 actuals are 0, 5 are empty.
    file = real_data / "carbon-gb" / "neso_api_national_2023_halfhourly.csv.gz"
    series = ew.load_intensity(file)
    assert series.start == pd.Timestamp("2022-12-31 23:30", tz="UTC")
    assert len(series.gco2_per_kwh) == 17_521
    absent = pd.date_range(*ABSENT, freq="30min", tz="UTC")
    assert len(absent) == 91
    gaps = absent.union(pd.to_datetime(ZEROS + EMPTY, utc=True))
    times = series.start + pd.Timedelta(minutes=30) * np.arange(17_521)
    assert set(times[np.isnan(series.gco2_per_kwh)]) == set(gaps)
    assert series.gco2_per_kwh[0] == 65.0
    assert series.gco2_per_kwh[-1] == 63.0
    assert np.nanmin(series.gco2_per_kwh) > 0


@pytest.mark.parametrize(
    ("name", "start", "half_hours", "gaps"),
    [("GB-2023", "2022-12-31 23:30", 17_521, 101), ("GB-2022", "2022-01-01 00:00", 14_353, 10)],
)
def test_the_catalog_series_name_their_fill(
    real_data: Path, name: str, start: str, half_hours: int, gaps: int
) -> None:
    series = ew.load_intensity(name)
    assert series.start == pd.Timestamp(start, tz="UTC")
    assert len(series.gco2_per_kwh) == half_hours
    assert series.fill == "week"
    assert series.filled.sum() == gaps
    assert not np.isnan(series.gco2_per_kwh).any()
    assert (series.name, series.tier) == (name, "real")


def test_recorded_api_answers(real_data: Path) -> None:
    samples = real_data / "carbon-gb" / "api-samples"
    series = ew.load_intensity(samples / "intensity_from_pt24h_2017-10-01.json")
    assert series.start == pd.Timestamp("2017-10-01 11:30", tz="UTC")
    assert series.gco2_per_kwh[0] == 143
    assert series.gco2_per_kwh[-1] == 184
    assert len(series.gco2_per_kwh) == 49  # one extra window: the first ends at `from`


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_values_that_a_rule_supplied_stay_marked(tmp_path: Path, ending: str) -> None:
    times = pd.date_range("2024-01-01", periods=4, freq="30min", tz="UTC")
    table = pd.DataFrame(
        {
            "from": times.strftime("%Y-%m-%dT%H:%MZ"),
            "actual": pd.array([100, 120, None, 90], dtype="Int64"),
            "fill": [None, "week", None, "week"],
        }
    )
    path = tmp_path / f"series.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    series = ew.load_intensity(path)
    assert series.filled.tolist() == [False, True, False, True]
    assert series.fill == "week"
    assert np.isnan(series.gco2_per_kwh[2])


def test_a_rule_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("from,actual,fill\n2024-01-01T00:00Z,100,guess\n")
    with pytest.raises(TraceError, match=r"line 2.*fill.*'guess'.*is no rule"):
        ew.load_intensity(path)
