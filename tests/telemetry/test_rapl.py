"""RAPL through a fake powercap tree: turns of counters, zones that come and go, and refusals."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.telemetry.rapl import MOST_W, Rapl, Turns
from exawatt.telemetry.recorder import SourceError

RANGE_UJ = 65_532_610_987
Rows = list[tuple[str, str, str, str]]


def rows_of(path: Path) -> Rows:
    """Zone, energy, total and status of each whole line."""
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()[1:]
    return [tuple(line.split(",")[2:]) for line in whole]


def last(path: Path, zone: str) -> tuple[str, ...]:
    """Energy, total and status in the newest line of a zone."""
    return next((row[1:] for row in reversed(rows_of(path)) if row[0] == zone), ())


def names(powercap: Any, *domains: str) -> list[str]:
    source = Rapl(powercap.root, domains)
    source.close()
    return [entry["zone"] for entry in source.describe()["zones"]]


def test_energy_through_several_turns_is_exact(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    # Steps of most of a range: the package turns over in nearly each, the memory in every other.
    path = tmp_path / "run.csv"
    zones = {
        "package-0": ("intel-rapl:0", 60_000_000_019),
        "package-0/dram": ("intel-rapl:0:0", 33_333_333_331),
    }
    logger = start("--interval", 0.01, "--output", path)
    wait_for(lambda: len(rows_of(path)) >= 2)
    for step in range(1, 13):
        shown = {zone: step * size % RANGE_UJ for zone, (_, size) in zones.items()}
        for zone, (folder, _) in zones.items():
            two_zones.set(folder, shown[zone])
        wait_for(lambda: all(last(path, zone)[0] == str(uj) for zone, uj in shown.items()))  # noqa: B023
    stop(logger)
    assert last(path, "package-0") == (str(12 * 60_000_000_019 % RANGE_UJ), "720000000228", "ok")
    assert last(path, "package-0/dram")[1:] == ("399999999972", "ok")
    assert {row[3] for row in rows_of(path)} == {"ok"}


@given(
    steps=st.lists(st.integers(0, RANGE_UJ - 1), max_size=30), begin=st.integers(0, RANGE_UJ - 1)
)
def test_turns_add_up_whatever_the_steps(steps: list[int], begin: int) -> None:
    turns = Turns(RANGE_UJ)
    assert turns.add(begin, 0)
    for number, step in enumerate(steps, 1):
        begin += step
        assert turns.add(begin % RANGE_UJ, number * 10**9)
    assert turns.total_uj == sum(steps)


def test_after_too_long_a_gap_the_total_begins_again() -> None:
    # 65.5 kJ last 65.5 s at 1 kW: after 65 s there was one turn at most, after 66 s maybe two.
    assert MOST_W == 1000
    turns = Turns(RANGE_UJ)
    turns.add(1000, 0)
    assert turns.add(500, 65 * 10**9)
    assert turns.total_uj == RANGE_UJ - 500
    assert not turns.add(700, (65 + 66) * 10**9)
    assert turns.total_uj == 0
    assert turns.add(900, (65 + 67) * 10**9)
    assert turns.total_uj == 200


def test_zones_are_named_by_their_path(two_zones: Any) -> None:
    two_zones.add("intel-rapl:1", "package-1")
    two_zones.add("intel-rapl:1:0", "dram")
    two_zones.add("intel-rapl:10", "psys")
    two_zones.add("intel-rapl-mmio:0", "package-0")
    (two_zones.root / "intel-rapl").mkdir()
    expected = ["package-0", "package-0/dram", "package-1", "package-1/dram", "psys"]
    assert names(two_zones) == expected


def test_zones_of_amd(powercap: Any) -> None:
    powercap.add("intel-rapl:0", "package-0")
    powercap.add("intel-rapl:0:0", "core")
    assert names(powercap) == ["package-0", "package-0/core"]


def test_zones_inside_their_package_are_found(powercap: Any) -> None:
    powercap.add("intel-rapl:0", "package-0")
    powercap.add("intel-rapl:0:0", "dram")
    (powercap.root / "intel-rapl:0:0").rename(powercap.root / "intel-rapl:0" / "intel-rapl:0:0")
    assert names(powercap) == ["package-0", "package-0/dram"]


def test_equal_names_are_told_apart(powercap: Any) -> None:
    powercap.add("intel-rapl:0", "package-0")
    powercap.add("intel-rapl:1", "package-0")
    assert names(powercap) == ["package-0@intel-rapl:0", "package-0@intel-rapl:1"]
    assert len(names(powercap, "package")) == 2


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("package", ["package-0", "package-1"]),
        ("package-1", ["package-1"]),
        ("dram", ["package-0/dram"]),
        ("package-0/dram", ["package-0/dram"]),
        ("package-1,dram", ["package-0/dram", "package-1"]),
    ],
)
def test_domains(two_zones: Any, domain: str, expected: list[str]) -> None:
    two_zones.add("intel-rapl:1", "package-1")
    assert names(two_zones, *domain.split(",")) == expected


def test_an_unknown_domain_is_refused_with_those_that_are_there(two_zones: Any) -> None:
    with pytest.raises(SourceError, match="uncore: the zones are package-0, package-0/dram"):
        Rapl(two_zones.root, ["uncore"])


def test_a_zone_that_vanishes_and_returns(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    logger = start("--interval", 0.02, "--output", path)
    wait_for(lambda: last(path, "package-0/dram"))
    two_zones.set("intel-rapl:0:0", 5_000)
    wait_for(lambda: last(path, "package-0/dram")[1] == "5000")
    two_zones.remove("intel-rapl:0:0")
    wait_for(lambda: last(path, "package-0/dram") == ("nan", "nan", "vanished"))
    two_zones.add("intel-rapl:0:0", "dram", energy_uj=70)
    wait_for(lambda: last(path, "package-0/dram")[2] == "ok")
    stop(logger)
    back = [row for row in rows_of(path) if row[0] == "package-0/dram" and row[3] == "restarted"]
    assert back == [("package-0/dram", "70", "0", "restarted")]
    assert {row[3] for row in rows_of(path) if row[0] == "package-0"} == {"ok"}


def test_a_zone_that_appears_is_recorded_and_described(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    logger = start("--interval", 0.02, "--output", path)
    wait_for(lambda: rows_of(path))
    two_zones.add("intel-rapl:1", "package-1", energy_uj=40)
    wait_for(lambda: last(path, "package-1") == ("40", "0", "ok"))
    stop(logger)
    described = json.loads((tmp_path / "run.csv.json").read_text())["zones"]
    assert [zone["zone"] for zone in described] == ["package-0", "package-0/dram", "package-1"]
    assert described[2] == {
        "zone": "package-1",
        "folder": "intel-rapl:1",
        "max_energy_range_uj": RANGE_UJ,
    }


def test_what_cannot_be_read_is_nan_and_the_sum_goes_on(two_zones: Any) -> None:
    source = Rapl(two_zones.root, ["package"])
    source.sample()
    two_zones.write("intel-rapl:0", "x" * 20)
    assert str(source.sample()[0].values) == "('package-0', nan, nan)"
    assert source.sample()[0].status == "unreadable"
    two_zones.set("intel-rapl:0", 123)
    assert source.sample()[0] == (("package-0", 123, 123), "ok", None)
    source.close()


def test_no_permission_names_the_command_that_grants_it(
    two_zones: Any, once: Callable[..., Any], unprivileged: tuple[str, ...], tmp_path: Path
) -> None:
    for counter in two_zones.root.glob("*/energy_uj"):
        counter.chmod(0o000)
    done = once("--once", prefix=unprivileged)
    assert (done.returncode, done.stdout) == (1, "")
    files = f"{tmp_path}/powercap/intel-rapl:*/energy_uj"
    assert f"sudo chgrp $(id -g) {files} && sudo chmod g+r {files}" in done.stderr
    assert "package-0 (permission denied), package-0/dram (permission denied)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_zone_without_permission_is_nan_until_it_is_granted(
    two_zones: Any, start: Any, stop: Any, wait_for: Any, unprivileged: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.csv"
    counter = two_zones.root / "intel-rapl:0:0" / "energy_uj"
    counter.chmod(0o000)
    logger = start("--interval", 0.02, "--output", path, prefix=unprivileged)
    wait_for(lambda: last(path, "package-0/dram") == ("nan", "nan", "permission denied"))
    counter.chmod(0o400)
    wait_for(lambda: last(path, "package-0/dram") == ("0", "0", "ok"))
    assert "cannot read package-0/dram (permission denied)" in stop(logger, signal.SIGINT)


@pytest.mark.parametrize("there", [True, False])
def test_a_machine_without_rapl(there: bool, powercap: Any, once: Callable[..., Any]) -> None:
    if there:
        (powercap.root / "intel-rapl").mkdir()
        # What a container that hides the devices leaves of them.
        (powercap.root / "intel-rapl:0").symlink_to("../hidden")
    else:
        powercap.root.rmdir()
    done = once("--once")
    assert done.returncode == 1
    assert "has no zones intel-rapl:*. Virtual machines and containers" in done.stderr
    assert done.stderr.count("\n") == 1
