"""The stand-in machine and policies as values: what they hold, and what they refuse."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pandas as pd
import pytest
from builders import make_workload
from pandas.testing import assert_frame_equal

import exawatt as ew
from exawatt.replay.policy import ALIASES

TABLE = pd.DataFrame({"submit_s": [0], "runtime_s": [1], "procs": [1]})


def test_the_stand_in_has_the_documented_watts() -> None:
    platform = ew.Platform.stand_in(ew.Workload(TABLE, procs=4008, name="Thunder", nodes=1002))
    assert (platform.nodes, platform.procs) == (1002, 4008)
    [nodes] = platform.partitions
    assert (nodes.idle_w, nodes.busy_w, nodes.sleep_w) == (95.0, 190.738, 9.75)
    assert platform.pue == 1


def test_the_stand_in_has_one_processor_a_node_when_the_header_is_silent() -> None:
    platform = ew.Platform.stand_in(ew.Workload(TABLE, procs=100, name="KTH"))
    assert (platform.nodes, platform.procs) == (100, 100)


def test_a_platform_is_frozen() -> None:
    platform = ew.Platform.stand_in(ew.Workload(TABLE, procs=2))
    with pytest.raises(FrozenInstanceError):
        platform.pue = 2.0  # type: ignore[misc]


def test_the_trace_machine_is_the_default_platform() -> None:
    workload = make_workload([(0, 1, 1, 1)], 3)
    schedule = ew.replay(workload, policy="fcfs")
    assert schedule.platform == ew.Platform.stand_in(workload)


def test_a_larger_platform_lets_a_queue_start_at_once() -> None:
    workload = make_workload([(0, 2, 10, 10), (0, 2, 10, 10)], 2)
    platform = ew.Platform.uniform(nodes=4, procs=4)
    schedule = ew.replay(workload, policy="fcfs", platform=platform)
    assert schedule.platform == platform
    assert list(schedule.jobs["start_s"]) == [0, 0]
    assert list(ew.replay(workload, policy="fcfs").jobs["start_s"]) == [0, 10]


def test_a_platform_too_small_for_a_job_is_refused() -> None:
    workload = make_workload([(0, 4, 10, 10)], 4)
    with pytest.raises(ValueError, match="4"):
        ew.replay(workload, policy="easy", platform=ew.Platform.uniform(nodes=2, procs=2))


def test_policy_defaults() -> None:
    policy = ew.Policy()
    assert policy.order == "fcfs"
    assert policy.kill_at_request is True
    assert policy.missing_request == "quantile"


def test_policies_are_values() -> None:
    assert ew.Policy(backfill="easy") == ew.Policy(order="fcfs", backfill="easy")
    assert ew.Policy(backfill="easy") != ew.Policy(backfill="none")
    assert hash(ew.Policy(backfill="easy")) == hash(ew.Policy(backfill="easy"))
    with pytest.raises(FrozenInstanceError):
        ew.Policy().order = "sjf"  # type: ignore[misc]


@pytest.mark.parametrize(
    "policy",
    [
        ew.Policy(),
        ew.Policy(backfill="easy", kill_at_request=False),
        ew.Policy(backfill="none", missing_request="runtime"),
        *ALIASES.values(),
    ],
)
def test_a_policy_survives_its_json_file(tmp_path: Path, policy: ew.Policy) -> None:
    path = tmp_path / "policy.json"
    policy.to_json(path)
    assert isinstance(json.loads(path.read_text()), dict)
    assert ew.Policy.from_json(path) == policy


def test_the_aliases_of_holds_are_easy_with_a_budget_of_a_day() -> None:
    held = {name: policy for name, policy in ALIASES.items() if policy.hold}
    assert [*held] == [
        "lets-wait-awhile",
        "lowest-window",
        "lowest-slot",
        "carbon-time",
        "carbon-threshold",
        "forecast-quantile",
    ]
    for name, policy in held.items():
        assert policy.hold is not None
        assert policy.hold.budget_s == 86_400
        assert replace(policy, hold=None) == ew.Policy.named("easy")
        assert policy.name == name


def test_names_tell_holds_apart() -> None:
    hold = ew.CarbonHold(4 * 3600.0)
    holds = {
        "hold 4 h": hold,
        "slot hold 4 h": replace(hold, rule="slot"),
        "carbon-time hold 4 h at level 0.75": replace(hold, rule="carbon-time", level=0.75),
        "threshold 90 g hold 4 h": replace(hold, rule="threshold", threshold_gco2_per_kwh=90.0),
        "quantile 0.3 hold 4 h": replace(hold, rule="quantile", quantile=0.3),
        "hold 4 h until semi-weekly": replace(hold, deadline="semi-weekly"),
    }
    for name, each in holds.items():
        assert ew.Policy(order="sjf", hold=each).name == f"sjf, {name}"
    capped = replace(ew.Policy.named("carbon-time"), power_cap_w=5000.0)
    assert capped.name == "carbon-time, cap 5 kW"


def test_a_hold_as_files_had_it_before_there_were_rules() -> None:
    values = {"backfill": "easy", "hold": {"budget_s": 14400, "min_saving": 0.1}}
    assert ew.Policy.of(values).hold == ew.CarbonHold(14400, 0.1, rule="window")


def test_replay_takes_a_policy_file(tmp_path: Path) -> None:
    # Killed at 100 by default, 200 when the file says not to.
    workload = make_workload([(0, 1, 200, 100), (0, 1, 1, 1)], 1)
    path = tmp_path / "patient.json"
    policy = ew.Policy(backfill="easy", kill_at_request=False)
    policy.to_json(path)
    schedule = ew.replay(workload, policy=str(path))
    assert list(schedule.jobs["start_s"]) == [0, 200]
    assert schedule.policy == policy
    assert_frame_equal(schedule.jobs, ew.replay(workload, policy=path).jobs)


@pytest.mark.parametrize(
    ("field", "value"),
    [("order", "lifo"), ("backfill", "eager"), ("missing_request", "guess")],
)
def test_a_policy_refuses_what_it_does_not_know(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        ew.Policy(**{field: value})


@pytest.mark.parametrize(
    "name", ["lifo", "", "easy+fcfs", "fcfs+", "fcfs+easy+easy", "absent.json"]
)
def test_an_unknown_policy_name_is_refused(name: str) -> None:
    workload = make_workload([(0, 1, 1, 1)], 1)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        ew.replay(workload, policy=name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"order": "fcfs", "backfil": "easy"}',
        '{"order": "lifo"}',
        '{"kill_at_request": "no"}',
        "[1, 2]",
        "{",
        "",
    ],
    ids=["misspelt", "unknown", "word for a truth", "list", "broken", "empty"],
)
def test_a_bad_policy_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError):
        ew.Policy.from_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"max_wait_s": "a"}', r"max_wait_s\(='a'\) must be a finite number"),
        ('{"max_wait_s": true}', r"max_wait_s\(=True\) must be a finite number"),
        ('{"sleep_after_s": [1]}', r"sleep_after_s\(=\[1\]\) must be a finite number"),
        ('{"power_cap_w": 1e999}', r"power_cap_w\(=inf\) must be a finite number"),
        ('{"hold": {"budget_s": "x"}}', r"hold: budget_s\(='x'\) must be a finite number"),
        ('{"hold": {"min_saving": 0.1}}', "hold: lacks the key 'budget_s'"),
        ('{"hold": {"budget_s": 1, "saving": 0.1}}', "hold: unknown key 'saving'.*min_saving"),
        (
            '{"hold": {"budget_s": 1, "rule": "best"}}',
            r"hold: rule\(='best'\) must be one of window",
        ),
        ('{"hold": {}}', "hold: lacks the key 'budget_s'"),
        ('{"hold": 3600}', r"hold\(=3600\) must be a CarbonHold.*budget_s, min_saving"),
        ('{"order": {"layers": 7}}', r"order: layers\(=7\) must be pairs of weights"),
        ('{"order": {"layers": [[[["a"]], [0]]]}}', r"order: layer 0.*\(='a'\) must be a number"),
        ('{"order": {"layers": [], "name": 5}}', r"order: name\(=5\) must be a text"),
        ('{"order": {"name": "mine"}}', "order: lacks the key 'layers'"),
        ('{"order": {"age": null}}', r"order: age\(=None\) must be a finite number"),
        ('{"order": {"half_life_s": "1 d"}}', r"order: half_life_s\(='1 d'\) must be a number"),
        ('{"order": ["sjf"]}', r"order\(=\['sjf'\]\) is unknown"),
        ('{"dvfs": {"levels": "abc"}}', r"dvfs: levels\(='abc'\) must be descending fractions"),
        ('{"dvfs": {"levels": 1}}', r"dvfs: levels\(=1\) must be descending fractions"),
        ('{"dvfs": {"beta": "b"}}', r"dvfs: beta\(='b'\) must be between 0 and 1"),
        ('{"dvfs": {"exponent": "e"}}', r"dvfs: exponent\(='e'\) must be a finite number"),
        ('{"estimate": 5}', r"estimate\(=5\) must be one of request, actual, last2, or a column"),
        ('{"backfil": "easy"}', r"unknown key 'backfil' \(='easy'\); did you mean 'backfill'\?"),
        ("[1, 2]", r"a policy is a JSON object, not \[1, 2\]"),
    ],
)
def test_what_is_wrong_in_a_policy_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"mine.json: {message}"):
        ew.Policy.of(path)


def test_a_policy_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mine.json: no such policy file; pass a JSON"):
        ew.Policy.of(str(tmp_path / "mine.json"))


def test_a_policy_of_an_object_is_the_one_of_its_file(tmp_path: Path) -> None:
    values = {"order": "sjf", "backfill": "easy"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(values))
    assert ew.Policy.of(values) == ew.Policy.of(path) == ew.Policy(order="sjf", backfill="easy")


@pytest.mark.parametrize("policy", [None, 3, ["sjf"]])
def test_what_is_no_policy_is_refused(policy: object) -> None:
    with pytest.raises(ValueError, match=r"policy\(=.*\) must be a name such as 'easy'"):
        ew.Policy.of(policy)  # type: ignore[arg-type]
