"""The verb account: every method by hand, its tables and files, and clear refusals."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from builders import SWF_HEADER, neso_csv, swf_row
from command import parse, plain, run
from test_cli import run_process

import exawatt as ew
from exawatt.batsim.platform_xml import write_platform

#: Ten processors on five nodes: 475 W idle, 953.69 W busy. Users 3 and 4 take turns.
IDLE_KW, FULL_KW = 0.475, 0.95369


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two jobs on the whole machine, an hour and half an hour, from 2023-06-14 01:00 local."""
    path = tmp_path / "mine.swf"
    rows = [
        swf_row(1, submit_s=0, runtime_s=3600, requested_s=3600, procs=10, user=3),
        swf_row(2, submit_s=100, runtime_s=1800, requested_s=1800, procs=10, user=4),
    ]
    path.write_text(SWF_HEADER + "".join(rows))
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two days at 200 gCO2/kWh around that date."""
    path = tmp_path / "flat.csv"
    path.write_text(neso_csv("2023-06-13 00:00", [200.0] * 96))
    return path


def test_every_method_by_hand(trace: Path, flat: Path) -> None:
    options = ("--pue", 1.5, "--market", 50, "--covered", 0.6, "--residual", 400)
    options += ("--marginal", 450, "--embodied", 1000, "--lifetime", 4)
    done = run_process("account", trace, "--intensity", flat, *options, "--json")
    assert done.returncode == 0, done.stderr
    found = parse(done.stdout)["footprint"]
    energy = 1.5 * 1.5 * FULL_KW
    embodied = 5 * 1000 * 1.5 / (4 * 365.25 * 24)
    assert {name: found[name]["value"] for name in found if "kg" in name or "kwh" in name} == {
        "energy_kwh": pytest.approx(energy),
        "carbon_kgco2e": pytest.approx(0.2 * energy),
        "market_kgco2e": pytest.approx((0.6 * 0.05 + 0.4 * 0.4) * energy),
        "marginal_kgco2e": pytest.approx(0.45 * energy),
        "embodied_kgco2e": pytest.approx(embodied),
        "total_kgco2e": pytest.approx(0.2 * energy + embodied),
    }
    assert found["sci_gco2e"]["job"]["value"] == pytest.approx(500 * (0.2 * energy + embodied))
    assert found["sci_gco2e"]["core-hour"]["value"] == pytest.approx(
        1000 * (0.2 * energy + embodied) / 15
    )
    assert found["intensities"]["market"] == "60% at 50 gCO2/kWh, 40% at 400 gCO2/kWh"


@pytest.mark.parametrize(
    ("by", "keys", "shares"),
    [
        ("user", [3, 4], [2 / 3, 1 / 3]),
        ("job", [1, 2], [2 / 3, 1 / 3]),
        ("partition", [1], [1]),
        ("hour", [1, 2], [2 / 3, 1 / 3]),
        ("month", ["2023-06"], [1]),
        ("day", ["2023-06-14"], [1]),
        ("calendar-hour", ["2023-06-14T00:00:00.000Z", "2023-06-14T01:00:00.000Z"], [2 / 3, 1 / 3]),
    ],
)
def test_rows_by(
    trace: Path, flat: Path, tmp_path: Path, by: str, keys: list[object], shares: list[float]
) -> None:
    path = tmp_path / "rows.csv"
    status, out, err = run(
        "account", trace, "--intensity", flat, "--by", by, "--csv", path, "--json"
    )
    assert (status, err) == (0, "")
    rows = parse(out)["footprint"]["rows"]
    assert [row[by] for row in rows] == keys
    energy = [share * 1.5 * FULL_KW for share in shares]
    assert [row["energy_kwh"] for row in rows] == pytest.approx(energy)
    assert list(pd.read_csv(path)["energy_kwh"]) == pytest.approx(energy)


def test_without_new_options_the_record_is_what_it_was(trace: Path, flat: Path) -> None:
    replayed = parse(run("replay", trace, "--intensity", flat, "--json")[1])
    report = parse(run("account", trace, "--intensity", flat, "--json")[1])
    assert list(report) == [*replayed, "by_month", "footprint"]
    for name in set(replayed) - {"replay_seconds"}:
        assert report[name] == replayed[name]
    assert list(report["by_month"][0]) == ["month", "energy_kwh", "carbon_kgco2e"]


def test_every_number_has_its_uncertainty(trace: Path, flat: Path) -> None:
    changed = "power=0.02,intensity=0,half_hour=0,embodied=0.1"
    status, out, _ = run("account", trace, "--intensity", flat, "--uncertainty", changed)
    assert status == 0
    # 1.430535 kWh ± 2 %, and at 200 g/kWh 0.286107 kg ± 2 %.
    assert "1.431 ± 0.029" in out
    assert "0.2861 ± 0.0057" in out
    amounts = [line for line in out.splitlines() if re.search(r"\d\.\d", line) and "%" not in line]
    assert amounts
    assert all("±" in line for line in amounts if "Embodied" not in line)
    assert "power 2.0%" in out
    assert "stand-in" in out
    assert "an assumption" in out


def test_pue_by_load_and_season_is_a_file(trace: Path, flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "pue.json"
    june = [1.0] * 5 + [2.0] + [1.0] * 6
    path.write_text(json.dumps({"proportional": 1.1, "fixed_w": 100, "by_month": june}))
    report = parse(run("account", trace, "--intensity", flat, "--pue", path, "--json")[1])
    assert report["energy_kwh"] == pytest.approx(1.5 * (1.2 * FULL_KW + 0.2))
    assert report["footprint"]["pue"]["by_month"] == june


def test_a_long_table_shows_its_largest_rows(trace: Path, flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.swf"
    rows = [
        swf_row(i, submit_s=60 * i, runtime_s=60 * i, requested_s=7200, user=i)
        for i in range(1, 41)
    ]
    path.write_text(SWF_HEADER + "".join(rows))
    out = run("account", path, "--intensity", flat, "--by", "user")[1]
    table = out[out.index("─") :]
    assert "24 of 40 rows" in table
    assert [int(row) for row in re.findall(r"^ (\d+) ", table, re.MULTILINE)] == [
        *range(40, 16, -1)
    ]


def test_embodied_carbon_can_be_left_out(trace: Path, flat: Path) -> None:
    report = parse(run("account", trace, "--intensity", flat, "--embodied", 0, "--json")[1])
    assert report["footprint"]["embodied_kgco2e"]["value"] == 0
    assert report["footprint"]["total_kgco2e"] == report["footprint"]["carbon_kgco2e"]


BAD = {
    "pue below one": (("--pue", "0.9"), "pue(=0.9)"),
    "pue no number": (("--pue", "high"), "--pue high"),
    "pue no such file": (("--pue", "absent.json"), "absent.json"),
    "covered in percent": (("--market", "0", "--covered", "60"), "covered(=60.0)"),
    "covered without market": (("--covered", "0.5"), "--market"),
    "residual without market": (("--residual", "350"), "--market"),
    "market below zero": (("--market=-5",), "gco2_per_kwh(=-5.0)"),
    "no such marginal": (("--marginal", "MARS-2023"), "MARS-2023"),
    "embodied below zero": (("--embodied=-1",), "node_kgco2e(=-1.0)"),
    "no lifetime": (("--lifetime", "0"), "lifetime_years(=0"),
    "uncertainty unknown": (("--uncertainty", "watts=0.1"), "watts=0.1"),
    "uncertainty no number": (("--uncertainty", "power=low"), "power=low"),
    "uncertainty in percent": (("--uncertainty", "power=5"), "power(=5.0)"),
    "no such key": (("--by", "owner"), "owner"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_clear_line(case: str) -> None:
    options, culprit = BAD[case]
    status, out, err = run("account", "tiny", "--intensity", "tiny", *options)
    assert status != 0
    assert culprit in err
    assert "Traceback" not in err + out
    if case != "no such key":  # the parser of options frames its own complaint
        assert len(err.strip().splitlines()) == 1


def test_a_file_that_is_no_pue_says_so(tmp_path: Path) -> None:
    path = tmp_path / "pue.json"
    for text in ("{", '{"summer": 2}', "[1]"):
        path.write_text(text)
        status, _, err = run("account", "tiny", "--intensity", "tiny", "--pue", path)
        assert status != 0
        assert "fixed_w" in err
        assert len(err.strip().splitlines()) == 1


def test_units_that_look_wrong_are_noted(trace: Path, flat: Path) -> None:
    status, _, err = run("account", trace, "--intensity", flat, "--marginal", "0.45")
    assert status == 0
    assert err.startswith("note: ")
    assert "gCO2 per kWh" in err


def test_a_narrow_table_keeps_every_row_and_digit() -> None:
    status, out, _ = run("account", "tiny", "--intensity", "tiny", "--marginal", "400", columns=60)
    assert status == 0
    rows = out[out.index("month") :]
    assert re.search(r"\d{4}-\d{2} ", rows)
    assert "…" not in rows


def test_what_cleaning_did_and_energies_of_the_log_are_told(real_data: Path) -> None:
    _, out, _ = run("account", "Kabre-2024")
    assert "Cleaning dropped: 2,109 " in out
    # PROVENANCE: ConsumedEnergyRaw of all rows that are jobs.
    assert "energies of its own, 8,609.3 kWh" in out


def test_a_platform_of_a_file_takes_the_place_of_the_stand_in(
    trace: Path, flat: Path, tmp_path: Path
) -> None:
    workload = ew.load(trace)
    machine = replace(ew.Platform.stand_in(workload), name="mine", pue=1.0)
    double = replace(
        machine, partitions=(replace(machine.partitions[0], idle_w=190.0, busy_w=381.476),)
    )
    write_platform(double, tmp_path / "p.xml")
    energies = []
    for options in ((), ("--platform", tmp_path / "p.xml")):
        _, out, _ = run("account", trace, "--intensity", flat, "--json", *options)
        energies.append(parse(out)["energy_kwh"])
    assert energies[1] == pytest.approx(2 * energies[0])
    _, out, _ = run("compare", trace, "--intensity", flat, "--platform", tmp_path / "p.xml")
    assert "mine watts" in out


def test_the_zone_of_a_wall_clock_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "jobs.txt"
    path.write_text(
        "JobIDRaw|Submit|Start|End|ElapsedRaw|AllocCPUS|State\n"
        "1|2023-06-14T10:00:00|2023-06-14T10:00:00|2023-06-14T11:00:00|3600|4|COMPLETED\n"
    )
    _, out, _ = run("traces", "info", path)
    assert "--timezone" in out
    _, out, _ = run("traces", "info", path, "--timezone", "Asia/Tokyo")
    assert "--timezone" not in out
    assert "Asia/Tokyo" in out
    # The hour of the wall clock is laid on that of the grid's people, whatever the zone.
    accounts = [
        parse(run("account", path, "--json", *zone)[1])["carbon_kgco2e"]
        for zone in ((), ("--timezone", "Asia/Tokyo"))
    ]
    assert accounts[0] == accounts[1]


def test_help_names_every_option() -> None:
    status, out, _ = run("account", "--help", columns=120)
    assert status == 0
    for option in ("by", "pue", "market", "covered", "residual", "marginal", "embodied"):
        assert f"--{option}" in plain(out)
    for option in ("lifetime", "uncertainty", "csv", "output", "json"):
        assert f"--{option}" in plain(out)


def test_half_hours_have_every_method_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "half_hours.csv"
    asked = ("--market", "100", "--covered", "0.5", "--output", path, "--json")
    _, out, _ = run("account", "tiny", "--intensity", "tiny", *asked)
    table = pd.read_csv(path)
    found = parse(out)["footprint"]["market_kgco2e"]["value"]
    assert table["market_kgco2e"].sum() == pytest.approx(found)


@pytest.mark.parametrize("option", ["--csv", "--output"])
@pytest.mark.parametrize(
    "name, says", [("x.xlsx", "must end in .csv"), ("nowhere/x.csv", "there is no folder nowhere")]
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    option: str, name: str, says: str
) -> None:
    status, _, err = run("account", "tiny", "--intensity", "tiny", option, name)
    assert (status, f"{option} {name}" in err, says in err) == (1, True, True)


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = (
        f"{sys.executable} -m exawatt account tiny --intensity tiny --by job --json | head -c 1"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{", "")
