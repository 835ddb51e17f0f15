"""The verbs of `exawatt carbon`, and what the rest makes of their files."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import make_workload
from command import parse, plain
from gridservice import HALF_HOUR, Service, failure, mix, national, utc
from typer.testing import CliRunner

import exawatt as ew
from exawatt.cli_carbon import carbon

DAY = "--from", "2023-01-18", "--to", "2023-01-19"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own cache."""
    monkeypatch.setenv("EXAWATT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def day(service: Service) -> Service:
    """Return the service with 18 January 2023, each half-hour 100 g and its number."""
    service.windows = [national(utc("2023-01-17 23:30") + k * HALF_HOUR, 99 + k) for k in range(50)]
    return service


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(carbon, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, plain(result.stdout), plain(result.stderr)


def test_a_fetched_file_accounts_for_a_replay(day: Service, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    status, out, _ = run("fetch", *DAY, "--output", path, "--json")
    assert status == 0
    facts = parse(out)
    assert (facts["rows"], facts["absent"], facts["unknown"]) == (48, 0, 0)
    assert facts["requests"] == 1
    assert "CC BY 4.0" in facts["source"]
    assert path.read_text().splitlines()[:2] == [
        "from,to,forecast,actual,index",
        "2023-01-18T00:00Z,2023-01-18T00:30Z,100,100,moderate",
    ]
    series = ew.load_intensity(path)
    assert (series.start, len(series), series.notes) == (utc("2023-01-18"), 48, ())
    # One stand-in node busy from 00:00 to 01:00, at 100 g and at 101 g.
    workload = make_workload(
        [(0, 1, 3600, 3600)], 1, start=utc("2023-01-18"), timezone="Europe/London"
    )
    account = ew.account(ew.power(ew.replay(workload, policy="easy")), series)
    assert account.carbon_kgco2e == pytest.approx(0.190738 / 2 * 0.201, rel=1e-12)


def test_parquet_and_compressed_csv_hold_the_same(day: Service, tmp_path: Path) -> None:
    tables = []
    for name in ("day.parquet", "day.csv.gz"):
        assert run("fetch", *DAY, "--output", tmp_path / name)[0] == 0
        read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
        tables.append(read(tmp_path / name))
    assert tables[0]["actual"].tolist() == tables[1]["actual"].tolist() == list(range(100, 148))
    assert tables[0]["from"].iloc[0] == utc("2023-01-18")
    assert len(ew.load_intensity(tmp_path / "day.csv.gz")) == 48
    assert len(day.requests) == 1
    assert sorted(path.name for path in tmp_path.glob("day*")) == ["day.csv.gz", "day.parquet"]


def test_gaps_stay_gaps_until_a_rule_is_named(service: Service, tmp_path: Path) -> None:
    windows = [national(utc("2023-01-01") + k * HALF_HOUR, 200) for k in range(14 * 48)]
    del windows[50]
    windows[100]["intensity"]["actual"] = 0
    service.windows = windows
    range_ = ("--from", "2023-01-01", "--to", "2023-01-15")
    path = tmp_path / "gappy.csv"
    _, out, _ = run("fetch", *range_, "--output", path, "--json")
    facts = parse(out)
    assert [facts[name] for name in ("absent", "unknown", "faulty_zeros", "filled")] == [1, 1, 1, 0]
    series = ew.load_intensity(path)
    assert sum(series.gco2_per_kwh != series.gco2_per_kwh) == 2
    _, out, _ = run("fetch", *range_, "--output", path, "--fill", "week", "--json")
    assert (parse(out)["fill"], parse(out)["filled"]) == ("week", 2)
    table = pd.read_csv(path)
    assert table.loc[table["fill"] == "week", ["from", "actual"]].values.tolist() == [
        ["2023-01-02T01:00Z", 200],
        ["2023-01-03T02:30Z", 200],
    ]
    assert len(table) == 14 * 48


def test_the_generation_mix(service: Service, tmp_path: Path) -> None:
    service.windows = [mix(utc("2023-01-18") + k * HALF_HOUR, gas=40.5) for k in range(48)]
    path = tmp_path / "mix.csv"
    assert run("fetch", *DAY, "--what", "generation", "--output", path)[0] == 0
    assert path.read_text().splitlines()[1] == "2023-01-18T00:00Z,2023-01-18T00:30Z,40.5,59.5"
    with pytest.raises(ew.TraceError, match="no column"):
        ew.load_intensity(path)


class Forecast(dict[str, Any]):
    """Answers to the forecast of now, of the nation or a region."""

    def __contains__(self, path: object) -> bool:
        return "/fw48h" in str(path)

    def __getitem__(self, path: str) -> Any:
        now = utc(re.findall(r"/(\d{4}-[^/]*)", path)[0]).floor("30min")
        windows = [national(now + k * HALF_HOUR, None, 50 + k) for k in range(3)]
        if "regional" not in path:
            return {"data": windows}
        del windows[0]["intensity"]["actual"]
        parts = {"regionid": 13, "shortname": "London"}
        return {"data": parts | {"data": [mix(now) | windows[0]]}}


def test_a_forecast_tells_when_it_was_issued(service: Service, tmp_path: Path) -> None:
    service.bodies = Forecast()
    path = tmp_path / "ahead.csv"
    assert run("fetch", "--what", "forecast", "--output", path)[0] == 0
    table = pd.read_csv(path)
    assert list(table.columns) == ["issued_at", "from", "to", "forecast", "index"]
    assert table["forecast"].tolist() == [50, 51, 52]
    issued = pd.to_datetime(table["issued_at"], utc=True)
    assert abs(issued[0] - pd.Timestamp.now("UTC")) < pd.Timedelta(minutes=2)
    assert run("fetch", "--what", "forecast", "--region", 13, "--output", path)[0] == 0
    assert pd.read_csv(path)["shortname"].tolist() == ["London"]
    with pytest.raises(ew.TraceError, match="no column"):  # it is no history
        ew.load_intensity(path)


def test_record_once(service: Service, tmp_path: Path) -> None:
    service.bodies = Forecast()
    status, out, _ = run("record", "--output", tmp_path / "issues", "--once")
    assert status == 0
    assert Path(out.strip()).parent == tmp_path / "issues"
    assert Path(out.strip()).is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*DAY, "--output", "x.txt"], r"x\.txt: pass a name that ends in \.csv"),
        ([*DAY, "--output", "nowhere/x.csv"], "nowhere: no such folder"),
        (["--output", "x.csv"], "--from is missing"),
        (["--from", "soon", "--output", "x.csv"], "--from 'soon' is no time"),
        (["--from", "2023-01-18T00:10", "--output", "x.csv"], "must be the beginning of a half"),
        ([*DAY, "--region", "3", "--output", "x.csv"], "--what intensity is national"),
        ([*DAY, "--what", "generation", "--fill", "week", "--output", "x.csv"], "--fill week"),
        ([*DAY, "--what", "forecast", "--output", "x.csv"], "leave out --from"),
    ],
)
def test_a_wrong_option_asks_nobody(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = run("fetch", *arguments)
    assert status == 1
    assert re.search(says, err), err
    assert len(err.splitlines()) == 1
    assert service.requests == []


@pytest.mark.parametrize(
    ("every", "says"), [("often", "is no duration"), ("1min", "must be 5 min or more")]
)
def test_a_recording_that_is_too_eager(tmp_path: Path, every: str, says: str) -> None:
    status, _, err = run("record", "--output", tmp_path, "--every", every)
    assert status == 1
    assert says in err


def test_the_services_refusal_is_one_line(day: Service, tmp_path: Path) -> None:
    message = "Please enter a valid datetime in ISO8601 format."
    day.next_faults = [failure("400 Bad Request", message)]
    status, _, err = run("fetch", *DAY, "--output", tmp_path / "x.csv")
    assert status == 1
    assert err.count("\n") == 1
    assert day.address("/intensity/2023-01-18T00:00Z/2023-01-19T00:00Z") in err
    assert message in err
    assert not (tmp_path / "x.csv").exists()


def test_an_earlier_file_stays_whole_when_the_service_fails(day: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("earlier")
    day.next_faults = [failure("400 Bad Request", "No.")]
    assert run("fetch", *DAY, "--output", path)[0] == 1
    assert path.read_text() == "earlier"


def test_the_table_for_people(day: Service, tmp_path: Path) -> None:
    day.next_faults = [failure("429 Too Many Requests", "Slow down.", Retry_After="0")]
    status, out, err = run("fetch", *DAY, "--output", tmp_path / "x.csv")
    assert status == 0
    assert "Slow down." in err
    assert "attempt 1 of 6" in err
    assert "National Energy System Operator" in out
    assert "contested" not in out
    with pytest.raises(json.JSONDecodeError):
        parse(out)
