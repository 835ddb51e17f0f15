"""Whole ranges from a service that fails, repeats itself, and has gaps."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gridservice import HALF_HOUR, Service, mix, national, send, utc

from exawatt.gridapi.client import Client
from exawatt.gridapi.history import area, fetch, fetch_window

Make = Callable[..., Client]
REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "carbon_intensity_gb.py"
YEAR = utc("2023-01-01"), utc("2024-01-01")


def times(start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    return pd.date_range(start, end, freq=HALF_HOUR, inclusive="left")


def value(time: pd.Timestamp) -> int:
    """Something else for each half-hour of a year."""
    return 1 + int((time - utc("2022-01-01")) / HALF_HOUR) % 20_011


@pytest.fixture
def years(service: Service) -> Service:
    """Return the service with whole years around 2023."""
    span = times(utc("2022-06-01"), utc("2024-06-01"))
    service.windows = [national(time, value(time)) for time in span]
    return service


def without(service: Service, *gone: pd.Timestamp) -> None:
    texts = {time.strftime("%Y-%m-%dT%H:%MZ") for time in gone}
    service.windows = [window for window in service.windows if window["from"] not in texts]


def test_a_year_survives_a_tenth_of_faults(years: Service, make_client: Make) -> None:
    gaps = (utc("2023-10-20 22:00"), utc("2023-10-20 22:30"), utc("2023-12-31 23:30"))
    without(years, *gaps)
    years.fault_share = 0.1
    got = fetch(make_client(timeout_s=0.5), "intensity", *YEAR)
    expected = times(*YEAR).difference(list(gaps))
    assert got.table["from"].tolist() == expected.tolist()
    assert got.table["actual"].tolist() == [value(time) for time in expected]
    assert (got.absent, got.unknown, got.contested) == (3, 0, ())
    assert sum(years.faults.values()) >= 2, "the seed gave too few faults"
    assert len(years.requests) == 29 + sum(years.faults.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_so_it_does_with_more_faults(years: Service, make_client: Make, seed: int) -> None:
    years.random.seed(seed)
    years.fault_share = 0.3
    got = fetch(make_client(timeout_s=0.5, tries=12), "intensity", *YEAR)
    assert got.table["actual"].tolist() == [value(time) for time in times(*YEAR)]
    assert sum(years.faults.values()) > 5


def test_a_second_fetch_asks_only_for_what_had_gaps(years: Service, make_client: Make) -> None:
    late = utc("2023-10-20 22:00")
    removed = [window for window in years.windows if utc(window["from"]) == late]
    without(years, late)
    first = fetch(make_client(), "intensity", *YEAR)
    years.requests.clear()
    assert fetch(make_client(), "intensity", *YEAR).table.equals(first.table)
    assert years.requests == ["/intensity/2023-10-14T00:00Z/2023-10-27T00:00Z"]
    # The service got the missing half-hour after all.
    years.windows += removed
    assert fetch(make_client(), "intensity", *YEAR).absent == 0


def test_the_last_days_are_asked_anew(service: Service, make_client: Make) -> None:
    now = pd.Timestamp.now("UTC").floor("30min")
    start = now - pd.Timedelta(days=28)
    recent = times(start - HALF_HOUR, now + pd.Timedelta(days=2))
    service.windows = [national(t, 100 if t < now - HALF_HOUR else None) for t in recent]
    for _ in range(2):
        got = fetch(make_client(), "intensity", start, now)
        assert (len(got.table), got.absent, got.unknown) == (28 * 48, 0, 1)
    days = [pd.Timedelta(days=n) for n in (0, 13, 26, 28)]
    wanted = [(start + day).strftime("%Y-%m-%dT%H:%MZ") for day in days]
    paths = [f"/intensity/{a}/{b}" for a, b in pairwise(wanted)]
    # The second ends two days ago. (In January there is one more.)
    assert now.month == 1 or service.requests == [*paths, *paths[1:]]


def test_quirks_of_values(service: Service, make_client: Make) -> None:
    day = times(utc("2021-04-18 23:30"), utc("2021-04-20"))
    service.windows = [national(time, 100) for time in day]
    twice = next(k for k, time in enumerate(day) if time == utc("2021-04-19 19:00"))
    service.windows[twice : twice + 1] = [national(day[twice], 180), national(day[twice], 190)]
    service.windows[5] = national(day[5], 0)
    service.windows[6] = national(day[6], None)
    service.windows[7] = national(day[7], None, None)
    got = fetch(make_client(), "intensity", utc("2021-04-19"), utc("2021-04-20"))
    table = got.table.set_index("from")
    assert len(table) == 48
    assert table["actual"][utc("2021-04-19 19:00")] == 190
    assert got.contested == (utc("2021-04-19 19:00"),)
    assert table["actual"][[day[5], day[6], day[7]]].isna().all()
    assert table["forecast"][day[7 - 1]] == 100
    assert (got.faulty_zeros, got.unknown, got.absent) == (1, 3, 0)


def test_recorded_ranges_without_their_extra_half_hour(
    service: Service, make_client: Make, recorded: dict[str, Any]
) -> None:
    asked = "2020-01-01T00:00Z/2020-01-02T23:30Z"
    span = utc("2020-01-01"), utc("2020-01-02 23:30")
    for path, ending in (("/intensity/", ""), ("/regional/intensity/", "/regionid/13")):
        body = recorded[f"{path}2020-01-01T00:00Z/2020-01-02T23:59Z{ending}"]
        service.bodies[f"{path}{asked}{ending}"] = body
    whole = fetch(make_client(), "intensity", *span)
    assert whole.table["from"].tolist() == times(*span).tolist()
    assert (whole.absent, whole.unknown) == (0, 0)
    london = fetch(make_client(), "regional", *span, where=area(region=13))
    assert len(london.table) == 95
    assert london.faulty_zeros == london.unknown == 12
    # The first answer was whole and is kept, the second lacked something.
    service.requests.clear()
    fetch(make_client(), "intensity", *span)
    fetch(make_client(), "regional", *span, where=area(region=13))
    assert len(service.requests) == 1


def test_all_regions_are_kept_apart(
    service: Service, make_client: Make, recorded: dict[str, Any]
) -> None:
    path = "/regional/intensity/2020-01-01T00:00Z/2020-01-02T23:{}Z"
    service.bodies[path.format("30")] = recorded[path.format("59")]
    got = fetch(make_client(), "regional", utc("2020-01-01"), utc("2020-01-02 23:30"))
    assert len(got.table) == 95 * 18
    assert not got.table.duplicated(["from", "regionid"]).any()
    assert (got.absent, got.contested) == (0, ())


def test_a_mix_over_new_year(service: Service, make_client: Make) -> None:
    span = times(utc("2021-12-20"), utc("2022-01-10"))
    service.windows = [mix(time, gas=value(time) % 100) for time in span]
    start, end = utc("2021-12-28"), utc("2022-01-05")
    got = fetch(make_client(), "generation", start, end)
    assert got.table["from"].tolist() == times(start, end).tolist()
    assert got.absent == 0
    assert "actual" not in got.table


def test_statistics_in_whole_blocks(service: Service, make_client: Make) -> None:
    asked: list[str] = []

    def answer(handler: Any) -> None:
        asked.append(handler.path)
        window = '{"from": "%s", "to": "2023-03-01T00:00Z", "intensity": %s}'
        value = '{"max": 3, "average": 2, "min": 1, "index": "low"}'
        begin = handler.path.split("/")[3]
        send(handler, ('{"data": [%s]}' % (window % (begin, value))).encode())

    service.next_faults = [answer] * 3
    got = fetch(make_client(), "statistics", utc("2022-12-20"), utc("2023-02-20"), block_h=7)
    # 102 blocks of 7 h are the most in 30 days; a new year does not cut a block.
    assert asked == [
        "/intensity/stats/2022-12-20T00:00Z/2023-01-18T18:00Z/7",
        "/intensity/stats/2023-01-18T18:00Z/2023-02-17T12:00Z/7",
        "/intensity/stats/2023-02-17T12:00Z/2023-02-20T00:00Z/7",
    ]
    assert got.table["average"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r"block_h\(=25\)"):
        fetch(make_client(), "statistics", *YEAR, block_h=25)


def test_windows_of_a_forecast(service: Service, make_client: Make, samples: Path) -> None:
    name = "intensity_{}_first8_2024-01-12T0601Z.json"
    for window in ("fw48h", "pt24h"):
        body = (samples / name.format(window)).read_bytes()
        service.next_faults.append(lambda handler, body=body: send(handler, body))
    at = utc("2024-01-12 06:30")
    ahead = fetch_window(make_client(), "fw48h", at)
    # Asked for at 06:30, the half-hour before is one too many.
    assert ahead["from"].iloc[0] == at
    assert ahead["forecast"].tolist() == [301, 304, 306, 305, 305, 308, 309]
    past = fetch_window(make_client(), "pt24h", at)
    assert past["actual"].tolist() == [271, 277, 282, 283, 282, 275, 276, 275]
    assert service.requests[0] == "/intensity/2024-01-12T06:30Z/fw48h"
    bournemouth = (samples / "regional_fw48h_postcode_BH1_2020-05-19.json").read_bytes()
    service.next_faults.append(lambda handler: send(handler, bournemouth))
    at = utc("2020-05-19 20:10")
    assert len(fetch_window(make_client(), "fw48h", at, where=area(postcode="bh1"))) == 48
    assert service.requests[-1] == "/regional/intensity/2020-05-19T20:10Z/fw48h/postcode/BH1"


def test_a_postcode_that_the_service_lacks(service: Service, make_client: Make) -> None:
    start, end = utc("2023-01-01"), utc("2023-01-02")
    path = "/regional/intensity/2023-01-01T00:00Z/2023-01-02T00:00Z/postcode/ZZ9"
    for nothing in ([], {}, {"regionid": None, "data": []}):
        service.bodies[path] = {"data": nothing}
        with pytest.raises(ValueError, match=r"no regional/postcode/ZZ9 .* is the postcode right"):
            fetch(make_client(), "regional", start, end, where=area(postcode="ZZ9"))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ({"region": 18}, r"region\(=18\) must be from 1 to 17"),
        ({"postcode": "EH9 3FD"}, "first half"),
        ({"region": 1, "postcode": "EH9"}, "exclude each other"),
    ],
)
def test_no_region(place: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        area(**place)


def test_an_interrupted_fetch_goes_on(years: Service, tmp_path: Path) -> None:
    output = tmp_path / "year.csv"
    range_ = ["--from", "2023-01-01", "--to", "2023-04-01"]
    command = [sys.executable, SCRIPT, *range_, "--output", output]
    environment = os.environ | {
        "EXAWATT_CACHE": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY / "lib"),
    }
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(years.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "goes on from there" in said
    assert not output.exists()
    before = set(years.requests[:2])
    years.requests.clear()
    subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
    assert not before & set(years.requests)
    actual = pd.read_csv(output)["actual"]
    assert np.array_equal(actual, [value(t) for t in times(utc("2023-01-01"), utc("2023-04-01"))])
