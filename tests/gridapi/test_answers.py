"""Reading the service's answers: every recorded exchange, and shapes that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gridservice import mix, national, utc

from exawatt.gridapi import answers

FUELS = ["biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "solar", "wind"]
DAYS = "2020-01-01T00:00Z/2020-01-02T23:59Z"


def test_a_recorded_range(recorded: dict[str, Any]) -> None:
    table = answers.national(recorded[f"/intensity/{DAYS}"]["data"])
    assert list(table.columns) == ["from", "to", "forecast", "actual", "index"]
    assert len(table) == 96
    # One half-hour too many, which ends where the range begins.
    assert table["to"].iloc[0] == utc("2020-01-01")
    assert list(table.loc[1, ["forecast", "actual", "index"]]) == [178, 182, "moderate"]
    assert (table["to"] - table["from"] == pd.Timedelta(minutes=30)).all()


def test_the_current_half_hour_has_no_actual(recorded: dict[str, Any]) -> None:
    table = answers.national(recorded["/intensity/"]["data"])
    assert table["forecast"].tolist() == [255]
    assert table["actual"].isna().tolist() == [True]


def test_a_mix_comes_as_an_object_and_as_a_list(recorded: dict[str, Any]) -> None:
    now = answers.generation(recorded["/generation/"]["data"])
    range_ = answers.generation(recorded["/generation/2019-04-01T00:00Z/2019-04-07T23:59Z"]["data"])
    for table, rows in ((now, 1), (range_, 336)):
        assert len(table) == rows
        assert sorted(table.columns) == sorted(["from", "to", *FUELS])
        assert np.allclose(table[FUELS].sum(axis=1), 100, atol=0.31)  # each is rounded
    assert now["gas"].tolist() == [58.6]


def test_statistics(recorded: dict[str, Any]) -> None:
    whole = answers.statistics(
        recorded["/intensity/stats/2019-04-01T00:00Z/2019-04-07T23:59Z"]["data"]
    )
    assert whole.drop(columns=["from", "to"]).values.tolist() == [[294, 224, 112, "moderate"]]
    blocks = answers.statistics(
        recorded["/intensity/stats/2019-04-01T00:00Z/2019-04-07T23:59Z/2"]["data"]
    )
    assert len(blocks) == 84
    assert blocks["average"].iloc[0] == 167


@pytest.mark.parametrize(
    ("path", "rows", "region"),
    [
        ("/regional/postcode/EN2", 1, 9),
        ("/regional/intensity/2019-01-01T00:00Z/2019-01-02T23:59Z/postcode/EN2", 96, 10),
        ("/regional/regionid/13", 1, 13),
        (f"/regional/intensity/{DAYS}/regionid/13", 96, 13),
        ("/regional/england/", 1, 15),
        ("/regional/scotland/", 1, 16),
        ("/regional/wales/", 1, 17),
    ],
)
def test_one_region_comes_as_an_object_or_a_list(
    recorded: dict[str, Any], path: str, rows: int, region: int
) -> None:
    # The same postcode was in region 9 or 10, by the year; a region has no actual values.
    table = answers.regional(recorded[path]["data"])
    assert len(table) == rows
    assert set(table["regionid"]) == {region}
    assert "actual" not in table
    assert table["forecast"].notna().all()


def test_all_regions(recorded: dict[str, Any]) -> None:
    table = answers.regional(recorded[f"/regional/intensity/{DAYS}"]["data"])
    assert len(table) == 96 * 18
    assert sorted(set(table["regionid"])) == list(range(1, 19))
    row = table[(table["from"] == utc("2019-12-31T23:30")) & (table["regionid"] == 1)].iloc[0]
    assert (row["shortname"], row["forecast"], row["index"]) == ("North Scotland", 48, "very low")


def test_a_regional_zero_is_a_fault_only_where_the_mix_emits(recorded: dict[str, Any]) -> None:
    table = answers.regional(recorded[f"/regional/intensity/{DAYS}"]["data"])
    faulty = answers.faulty_zeros(table)
    assert (table["forecast"] == 0).sum() == 39
    # London on gas and biomass alone.
    assert set(table.loc[faulty, "shortname"]) == {"London"}
    assert faulty.sum() == 12
    clean = table[(table["forecast"] == 0) & ~faulty]
    assert clean[["wind", "nuclear", "hydro", "solar"]].sum(axis=1).min() >= 99


def test_the_other_samples(samples: Path) -> None:
    past = (samples / "intensity_from_pt24h_2017-10-01.json").read_bytes()
    assert len(answers.national(answers.data_of(past))) == 49
    bournemouth = (samples / "regional_fw48h_postcode_BH1_2020-05-19.json").read_bytes()
    table = answers.regional(answers.data_of(bournemouth))
    assert len(table) == 48  # 24 hours, where 48 were asked for
    assert set(table["shortname"]) == {"South England"}
    documented = json.loads((samples / "documented_examples.json").read_text())["examples"]
    for path, example in documented.items():
        if path.startswith("/intensity/stats"):
            assert answers.statistics(example["data"])["average"].tolist() == [266]
        elif path.startswith("/generation"):
            assert answers.generation(example["data"])["gas"].tolist() == [43.6]
        elif path != "/intensity/factors":
            assert answers.national(example["data"])["actual"].tolist() == [263]


def test_the_services_own_words_on_errors(samples: Path) -> None:
    errors = json.loads((samples / "errors_as_quoted_by_clients.json").read_text())
    said = [answers.complaint(json.dumps(error["body"]).encode()) for error in errors]
    assert said[1] == ("400 Bad Request", "Please enter a valid region ID i.e. 1-17.")
    assert all(said)
    assert answers.complaint(b'{"data": []}') is None
    assert answers.complaint(b"<html>") is None


def test_forecasts_are_those_of_the_table(samples: Path) -> None:
    name = "intensity_fw48h_first8_2024-01-12T0601Z.json"
    data = answers.data_of((samples / name).read_bytes())
    times, values = answers.forecasts([*data, national(utc("2024-01-12 10:00"), None, None)])
    table = answers.national(data)
    assert times.tolist() == table["from"].dt.tz_localize(None).dt.to_pydatetime().tolist()
    assert values.tolist() == table["forecast"].tolist() == [293, 301, 304, 306, 305, 305, 308, 309]


def test_no_rows_are_a_table_too() -> None:
    for read in (answers.national, answers.generation, answers.regional, answers.statistics):
        table = read([])
        assert table.empty
        assert table["from"].dt.tz is not None
    assert answers.regional({"regionid": 9, "data": []}).empty


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"<html>", "no JSON"),
        (b'{"data": [{"from": "2023-01-0', "no JSON"),
        (b"[]", "no object with 'data'"),
        (b'{"data": [NaN]}', "NaN is no value"),
    ],
)
def test_a_body_that_is_none(body: bytes, says: str) -> None:
    with pytest.raises(answers.AnswerError, match=says):
        answers.data_of(body)


def changed(**fields: Any) -> list[Any]:
    window = national(utc("2023-01-01"), 100)
    window["intensity"] |= fields.pop("intensity", {})
    return [window | fields]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "another shape"),
        ([None], "another shape"),
        ([{"from": "2023-01-01T00:00Z"}], "another shape.*'intensity'"),
        (changed(**{"from": "2023-01-01 00:00"}), "'2023-01-01 00:00' is no time"),
        (changed(intensity={"actual": "lots"}), "actual=lots is no amount"),
        (changed(intensity={"actual": -1}), "actual=-1 is no amount"),
    ],
)
def test_data_of_another_shape(data: Any, says: str) -> None:
    with pytest.raises(answers.AnswerError, match=says):
        answers.national(data)


def test_a_mix_of_another_shape() -> None:
    broken = mix(utc("2023-01-01")) | {"generationmix": [{"fuel": "gas", "perc": "much"}]}
    with pytest.raises(answers.AnswerError, match="another shape"):
        answers.generation([broken])
    with pytest.raises(answers.AnswerError, match="no list"):
        answers.regional("nothing")
