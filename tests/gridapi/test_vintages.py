"""Forecasts as issued: a row never knows an issue later than itself."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gridservice import HALF_HOUR, Service, failure, national, utc
from hypothesis import given
from hypothesis import strategies as st

from exawatt.gridapi.client import Client
from exawatt.gridapi.recording import record, record_issue
from exawatt.gridapi.vintages import read_vintages
from exawatt.readers.files import TraceError, write_file

Make = Callable[..., Client]


def issue(folder: Path, at: str, values: list[float | None], first: str | None = None) -> Path:
    """Write a forecast that begins with the half-hour in which it was issued."""
    begin = utc(at).floor("30min") if first is None else utc(first)
    windows = [national(begin + k * HALF_HOUR, None, value) for k, value in enumerate(values)]
    path = folder / f"{utc(at):%Y-%m-%dT%H%MZ}.json.gz"
    write_file(path, json.dumps({"data": windows}).encode())
    return path


def test_a_recorded_issue_is_known_from_the_next_half_hour_on(
    samples: Path, tmp_path: Path
) -> None:
    name = "intensity_fw48h_first8_2024-01-12T0601Z.json"
    (tmp_path / "2024-01-12T0601Z.json").write_bytes((samples / name).read_bytes())
    forecast = read_vintages(tmp_path)
    assert forecast.start == utc("2024-01-12 06:30")
    # Its eight values begin at 06:00.
    assert forecast.gco2_per_kwh.tolist() == [[301, 304, 306, 305, 305, 308, 309]]


def test_each_row_has_the_latest_issue(tmp_path: Path) -> None:
    issue(tmp_path, "2024-01-12 06:01", [10, 11, 12, 13, 14, 15])
    issue(tmp_path, "2024-01-12 06:30", [21, 22, 23, 24])
    issue(tmp_path, "2024-01-12 07:29", [32, 33, 34, 35])
    forecast = read_vintages(tmp_path)
    assert forecast.start == utc("2024-01-12 06:30")
    # 06:30 has the issue of that minute, and beyond its end the one of 06:01; at 07:00 there is
    # no new issue; at 07:30 that of 07:29, which began with 07:00.
    assert forecast.gco2_per_kwh.tolist() == [[21, 22, 23], [22, 23, 24], [33, 34, 35]]


def test_an_outage_shortens_the_horizon_or_is_told(tmp_path: Path) -> None:
    issue(tmp_path, "2024-01-12 06:00", list(range(100, 196)))
    issue(tmp_path, "2024-01-13 06:00", list(range(200, 296)))
    forecast = read_vintages(tmp_path)
    assert forecast.gco2_per_kwh.shape == (49, 49)
    assert forecast.gco2_per_kwh[47].tolist() == list(range(147, 196))
    assert read_vintages(tmp_path, horizon_h=24).gco2_per_kwh.shape == (49, 48)
    says = r"at 2024-01-13 05:30.* reaches 24\.5 h ahead \(.* of 2024-01-12 06:00"
    for too_long in (48, 25, 0):
        with pytest.raises(ValueError, match=says):
            read_vintages(tmp_path, horizon_h=too_long)
    window = read_vintages(tmp_path, horizon_h=48, start=utc("2024-01-13 06:00"))
    assert window.gco2_per_kwh.tolist() == [list(range(200, 296))]


def test_a_silence_longer_than_a_forecast(tmp_path: Path) -> None:
    issue(tmp_path, "2024-01-12 06:00", [1.0] * 96)
    issue(tmp_path, "2024-01-15 06:00", [1.0] * 96)
    with pytest.raises(ValueError, match=r"at 2024-01-14 06:00.* reaches 0 h ahead"):
        read_vintages(tmp_path)
    end = utc("2024-01-13 06:00")
    assert len(read_vintages(tmp_path, end=end)) == 48
    with pytest.raises(ValueError, match="nothing was issued before"):
        read_vintages(tmp_path, start=utc("2024-01-11"), end=end)
    with pytest.raises(ValueError, match="the end later"):
        read_vintages(tmp_path, start=end, end=end)


def test_a_value_that_an_issue_lacks_is_that_of_the_one_before(tmp_path: Path) -> None:
    issue(tmp_path, "2024-01-12 06:00", [10, 11, 12])
    issue(tmp_path, "2024-01-12 06:30", [None, 22, 23])
    assert read_vintages(tmp_path).gco2_per_kwh.tolist() == [[10, 11, 12], [11, 22, 23]]


@given(data=st.data())
def test_no_row_knows_the_future(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("issues")
    begin = utc("2024-01-12 06:00")
    minutes = data.draw(st.sets(st.integers(1, 600), min_size=1, max_size=8)) | {0}
    lengths = {minute: data.draw(st.integers(24, 96)) for minute in minutes}
    for minute, length in lengths.items():
        at = begin + pd.Timedelta(minutes=minute)
        # Each value tells when it was issued.
        issue(folder, str(at.tz_localize(None)), [float(minute)] * length)
    forecast = read_vintages(folder)
    issued, leads = np.indices(forecast.gco2_per_kwh.shape)
    assert (forecast.gco2_per_kwh <= 30 * issued).all()
    for row, lead in zip(issued.ravel(), leads.ravel(), strict=True):
        expected = max(
            minute
            for minute, length in lengths.items()
            if minute <= 30 * row and row + lead < minute // 30 + length
        )
        assert forecast.gco2_per_kwh[row, lead] == expected


def test_other_files_are_left_alone_and_damaged_ones_named(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "2024-01-12T0601Z.json.gz.part").write_text("half a")
    with pytest.raises(ValueError, match="holds no file named like"):
        read_vintages(tmp_path)
    path = tmp_path / "2024-01-12T0601Z.json"
    for text, says in (("{", "no JSON"), ('{"data": [{}]}', "another shape")):
        path.write_text(text)
        with pytest.raises(TraceError, match=f"{path}: is no answer .*{says}"):
            read_vintages(tmp_path)
    path.unlink()
    packed = issue(tmp_path, "2024-01-12 06:01", [1, 2])
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(TraceError, match="ends early"):
        read_vintages(tmp_path)


class Now(dict[str, Any]):
    """Answers to any fw48h request: a forecast from the half-hour of the request on."""

    def __contains__(self, path: object) -> bool:
        return str(path).endswith("fw48h")

    def __getitem__(self, path: str) -> Any:
        begin = utc(path.split("/")[2]).floor("30min")
        return {"data": [national(begin + k * HALF_HOUR, None, 100 + k) for k in range(96)]}


def test_recording_and_reading(service: Service, make_client: Make, tmp_path: Path) -> None:
    service.bodies = Now()
    before = pd.Timestamp.now("UTC")
    path = record_issue(make_client(), tmp_path / "new" / "folder")
    after = pd.Timestamp.now("UTC")
    at = pd.to_datetime(path.name, format="%Y-%m-%dT%H%MZ.json.gz", utc=True)
    assert before <= at < after + pd.Timedelta(minutes=1)
    forecast = read_vintages(path.parent)
    assert forecast.start == at.ceil("30min")
    assert len(forecast) == 1
    assert forecast.gco2_per_kwh.shape[1] >= 95


def test_a_recording_outlives_outages(service: Service, make_client: Make, tmp_path: Path) -> None:
    service.bodies = Now()
    service.next_faults = [failure("500 Internal Server Error", "No.")] * 4
    said: list[str] = []
    began = time.monotonic()
    paths = record(make_client(tries=2), tmp_path, every_s=0.25, say=said.append)
    assert next(paths).is_file()
    assert [text.split(":")[0] for text in said] == ["missed", "missed"]
    assert time.monotonic() - began >= 0.25, "the next is tried when it is due"
    next(paths)
    assert len(service.requests) == 6


def test_a_restarted_recording_waits_for_its_next_issue(
    service: Service, make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.bodies = Now()
    issue(tmp_path, "2024-01-12 06:01", [1, 2])
    slept: list[float] = []
    clock = [utc("2024-01-12 06:10").timestamp()]
    monkeypatch.setattr("exawatt.gridapi.recording.time.time", lambda: clock[0])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("exawatt.gridapi.recording.time.sleep", sleep)
    next(record(make_client(), tmp_path, every_s=1800, say=print))
    # From 06:10 to 06:30.
    assert sum(slept) == 20 * 60


def test_an_answer_without_a_forecast_is_not_recorded(
    service: Service, make_client: Make, tmp_path: Path
) -> None:
    now = pd.Timestamp.now("UTC").floor("30min")
    service.bodies = type("Empty", (Now,), {"__getitem__": lambda *_: {"data": []}})()
    with pytest.raises(OSError, match="without any forecast"):
        record_issue(make_client(tries=2), tmp_path)
    assert list(tmp_path.glob("*Z*")) == []
    service.bodies = type(
        "Unknown", (Now,), {"__getitem__": lambda *_: {"data": [national(now, 100, None)]}}
    )()
    with pytest.raises(OSError, match="without any forecast"):
        record_issue(make_client(tries=2), tmp_path)
