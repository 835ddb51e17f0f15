"""The pages that describe our files and records agree with the code."""

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from command import parse, run

import exawatt as ew
from exawatt.predict import FEATURES
from exawatt.predict.features import HISTORIES

DOCS = Path(__file__).parents[1] / "docs"
POLICIES = (DOCS / "policies.md").read_text(encoding="utf-8")
PARTS = (ew.Policy, ew.Dvfs, ew.CarbonHold, ew.Multifactor, ew.Scorer)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Save the example of the page on policies."""
    [text] = re.findall(r"```json\n(.*?)```", POLICIES, re.DOTALL)
    path = tmp_path / "mine.json"
    path.write_text(text)
    return path


def test_the_example_of_a_policy_replays(example: Path) -> None:
    assert f"exawatt replay tiny --policy {example.name} --causes" in POLICIES
    arguments = ("--policy", example, "--causes", "--json", "--intensity", "tiny")
    status, out, err = run("replay", "tiny", *arguments)
    assert (status, err) == (0, "")
    report = parse(out)
    cap_w = json.loads(example.read_text())["power_cap_w"]
    assert report["idle_machine_w"] < cap_w < report["full_w"]
    watts = (report["idle_machine_w"], report["full_w"])
    assert "{:g} W and {:.1f} W".format(*watts) in POLICIES
    # Each of its parts does something on this trace.
    assert all(report[f"mean_wait_{cause}_s"] > 0 for cause in ("hold", "cap", "resources"))


@pytest.mark.parametrize("kind", PARTS)
def test_every_field_of_a_policy_is_listed_with_its_default(kind: type) -> None:
    rows = [row for row in POLICIES.splitlines() if row.startswith("|")]
    for field in fields(kind):
        default = field.default
        shown = "needed" if default is MISSING else f"`{json.dumps(default)}`"
        assert any(f"`{field.name}`" in row and f"| {shown} |" in row for row in rows), field.name


def test_every_key_of_a_record_is_in_the_nomenclature() -> None:
    page = (DOCS / "nomenclature.md").read_text(encoding="utf-8")
    record = parse(run("replay", "tiny", "--intensity", "tiny", "--causes", "--json")[1])
    causes = [key for key in record if re.fullmatch("mean_wait_[a-z]+_s", key)]
    assert len(causes) == 6
    for key in causes:
        assert f"`{key.removeprefix('mean_wait_').removesuffix('_s')}`" in page
    known = set(re.findall(r"`(\w+)`", page))
    assert set(record) - set(causes) <= known


def test_every_feature_is_in_the_nomenclature() -> None:
    page = (DOCS / "nomenclature.md").read_text(encoding="utf-8")
    part = page[page.index("(nomenclature-features)=") : page.index("(nomenclature-scores)=")]
    known = set(re.findall(r"`(\w+)`", part)) | {f"user_last{i}_ln_s" for i in range(1, 6)}
    endings = re.findall(r"`…(_\w+)`", part)
    for kind in re.findall(r"`(\w+)_…`", part):
        assert kind in HISTORIES
        known |= {f"{kind}{ending}" for ending in endings}
    assert known - {"ln_s"} == set(FEATURES)
