"""Batsim's workloads and SimGrid's platforms, read and written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exawatt as ew
from exawatt.batsim.external import read_events
from exawatt.batsim.hosts import SleepState, read_hosts
from exawatt.batsim.job_file import JobFile, read_job_file
from exawatt.batsim.platform_xml import read_platform, write_platform
from exawatt.batsim.workload import job_file_of, read_workload, workload_of, write_workload
from exawatt.facility import Pue

seconds = st.floats(1e-3, 1e9)
jobs = st.lists(
    st.fixed_dictionaries(
        {
            "submit_s": st.floats(0, 1e9),
            "runtime_s": seconds,
            "procs": st.integers(1, 8),
            "requested_s": st.none() | seconds,
            "user": st.integers(-1, 3),
            "gpus": st.sampled_from([0.0, 2.0]),
            "power_w": st.sampled_from([np.nan, 120.5]),
        }
    ),
    max_size=8,
)


def assert_same(one: ew.Workload, other: ew.Workload) -> None:
    pd.testing.assert_frame_equal(one.jobs, other.jobs, check_exact=True)
    for name in ("procs", "nodes", "name", "start", "timezone", "tier", "source", "sha256"):
        assert getattr(one, name) == getattr(other, name)
    assert one.header == other.header


@settings(max_examples=25)
@given(jobs)
def test_a_workload_survives_the_round_trip(rows: list[dict[str, Any]]) -> None:
    columns = None if rows else ["submit_s", "runtime_s", "procs"]
    workload = ew.Workload(
        pd.DataFrame(rows, columns=columns),
        procs=8,
        nodes=4,
        name="mine",
        start=pd.Timestamp("2023-01-01", tz="UTC"),
        tier="tiny",
        header=("; a comment",),
    )
    assert_same(workload, workload_of(job_file_of(workload)))


@pytest.mark.parametrize("profile", ["delay", "compute"])
@pytest.mark.parametrize("name", ["w.json", "w.json.gz"])
def test_files_hold_whole_seconds_exactly(tmp_path: Path, name: str, profile: Any) -> None:
    table = {"submit_s": [0.0, 3.0], "runtime_s": [7.0, 123457.0], "procs": [1, 2]}
    workload = ew.Workload(table | {"requested_s": [np.nan, 200000.0]}, procs=2)
    write_workload(workload, tmp_path / name, profile)
    assert_same(workload, read_workload(tmp_path / name))


def test_a_file_reads_as_batsim_means_it(tmp_path: Path) -> None:
    content = {
        "nb_res": 4,
        "jobs": [
            {"id": "w0!7", "subtime": 1, "res": 2, "walltime": -1, "profile": "total"},
            {"id": "x", "subtime": 2.5, "res": 2, "walltime": 9, "profile": "twice"},
            {"id": 3, "subtime": 3, "res": 2, "profile": "vector", "user": 5},
        ],
        "profiles": {
            "total": {"type": "parallel_homogeneous_total", "cpu": 4e8, "com": 0},
            "twice": {"type": "composed", "repeat": 2, "seq": ["total", "wait"]},
            "wait": {"type": "delay", "delay": 3},
            "vector": {"type": "parallel", "cpu": [1e8, 5e8], "com": [0, 0, 0, 0]},
        },
    }
    path = tmp_path / "w.json"
    path.write_text(json.dumps(content))
    table = read_workload(path).jobs
    assert table["job"].tolist() == [7, 2, 3]
    assert table["runtime_s"].tolist() == [2.0, 10.0, 5.0]
    assert table["user"].tolist() == [-1, -1, 5]
    np.testing.assert_array_equal(table["requested_s"], [np.nan, 9.0, np.nan])


JOB = {"id": 1, "subtime": 0, "res": 1, "profile": "d"}


@pytest.mark.parametrize(
    ("job", "profile", "message"),
    [
        ({"res": 0}, {}, r"job 1 has res\(=0\); it must be a whole number"),
        ({"subtime": -3}, {}, r"job 1 has subtime\(=-3\); it must be a number, not negative"),
        ({"walltime": 0}, {}, r"job 1 has walltime\(=0\); it must be positive, or left out"),
        ({"profile": "e"}, {}, r"job 1 has an unknown profile\(='e'\)"),
        ({}, {"delay": 0}, r"profile 'd' has delay\(=0\); it must be positive"),
        ({}, {"type": "fly"}, r"profile 'd' has type\(='fly'\); known are delay, parallel, "),
        ({}, {"type": "parallel_homogeneous", "cpu": 1, "com": 5}, "moving data is not simulated"),
        ({}, {"type": "composed", "seq": []}, "both must be >= 1"),
        ({}, {"type": "send", "msg": "hello"}, r"msg\(='hello'\); it must be an object"),
        ({}, {"ret": 1.5}, r"ret\(=1.5\); it must be a whole number"),
        ({"id": None}, {}, "job None has no such id; it must be a text or a whole number"),
        ({"id": "w7!1"}, {}, "job 'w7!1' is of workload 'w7'; pass '1', or 'w0!1'"),
        ({}, {"type": "recv", "regex": "("}, r"profile 'd' has regex\(='\('\); .*unterminated"),
        ({}, {"type": "recv", "success": "x"}, "profile 'd' names 'x': .*has no profile 'x'"),
        ({}, {"type": "composed", "seq": ["x"]}, "profile 'd' names 'x': .*has no profile 'x'"),
        ({}, {"type": "composed", "seq": ["d"]}, "profile 'd' has 'd' in its seq.*: d > d; pass"),
        (
            {},
            {"type": "parallel", "cpu": [1, 2, 3]},
            r"job 1: profile 'd' has cpu for 3 executors, and res\(=1\); pass a list of 1",
        ),
    ],
)
def test_bad_jobs_and_profiles_are_named(
    job: dict[str, Any], profile: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        JobFile((JOB | job,), {"d": {"type": "delay", "delay": 1.0} | profile}, 4)


@pytest.mark.parametrize("other", [1, "1", "w0!1"])
def test_two_jobs_of_one_name_are_refused(other: Any) -> None:
    profiles = {"d": {"type": "delay", "delay": 1.0}}
    with pytest.raises(ValueError, match=r"two jobs have id '1'.* each needs its own"):
        JobFile((JOB | {"id": "1"}, JOB | {"id": other}), profiles, 4)


def test_profiles_are_checked_through_others() -> None:
    profiles = {
        "a": {"type": "composed", "seq": ["b", "b"]},
        "b": {"type": "recv", "success": "c"},
        "c": {"type": "composed", "seq": ["wide", "a"]},
        "wide": {"type": "parallel", "cpu": [1, 2]},
    }
    # It may come back to itself by a message.
    JobFile((JOB | {"profile": "a", "res": 2},), profiles, 4)
    with pytest.raises(ValueError, match="job 1: profile 'wide' has cpu for 2 executors"):
        JobFile((JOB | {"profile": "a"},), profiles, 4)
    profiles["b"] = {"type": "composed", "seq": ["c"]}
    with pytest.raises(ValueError, match=r"profile 'c' has 'a' in its seq.*: a > b > c > a"):
        JobFile((), profiles, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[]", "holds no object"),
        ("{", "Expecting"),
        ('{"jobs": 3}', r"jobs\(=3\) must be a list"),
        ('{"jobs": [], "profiles": {}, "nb_res": "4"}', r"nb_res\(=4\) must be a int"),
    ],
)
def test_what_is_no_workload_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_job_file(tmp_path / "w.json")


watts = st.floats(0, 1e6)
pues = st.floats(1, 3) | st.builds(Pue, st.floats(1, 3), st.floats(0, 1e6))
OTHERS = ("sleep_w", "gpu_w", "fall_asleep_s", "fall_asleep_w", "wake_s", "wake_w")
partitions = st.builds(
    lambda nodes, per_node, gpus, exclusive, idle, dynamic, rest: ew.Partition(
        nodes, nodes * per_node, gpus * nodes, exclusive=exclusive, idle_w=idle,
        busy_w=idle + dynamic, **rest,
    ),
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans(), watts, watts,
    st.fixed_dictionaries(dict.fromkeys(OTHERS, watts)),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(partitions, min_size=1, max_size=3), pues, st.text(max_size=9))
def test_a_platform_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, found: list[ew.Partition], pue: float | Pue, name: str
) -> None:
    numbered = tuple(replace(one, number=i) for i, one in enumerate(found))
    platform = ew.Platform(numbered, pue=pue, name=name)
    path = tmp_path_factory.mktemp("platform") / "p.xml.gz"
    write_platform(platform, path)
    assert read_platform(path) == platform
    assert len(read_hosts(path)) == platform.procs


def test_recorded_platforms_are_read(reference: Path) -> None:
    hosts = read_hosts(reference / "platforms" / "energy_homo_nonet_100.xml.gz")
    assert len(hosts) == 100
    assert [host.name for host in hosts][:4] == ["host0", "host1", "host10", "host11"]
    assert hosts[0].sleeps == (SleepState(13, 14, 15),)
    platform = read_platform(reference / "platforms" / "energy_homo_nonet_100.xml.gz")
    (partition,) = platform.partitions
    assert (partition.nodes, partition.procs) == (100, 100)
    assert (partition.idle_w, partition.busy_w, partition.sleep_w) == (95.0, 190.738, 9.75)
    assert partition.fall_asleep_s == pytest.approx(6.1)
    assert partition.wake_s == pytest.approx(151.52)
    assert partition.wake_w == 125.1743848996832


def platform_xml(inside: str) -> str:
    return f"<platform version='4.1'><zone id='z' routing='None'>{inside}</zone></platform>"


@pytest.fixture
def write_xml(tmp_path: Path) -> Callable[[str], Path]:
    def write(inside: str) -> Path:
        path = tmp_path / "p.xml"
        path.write_text(platform_xml(inside))
        return path

    return write


def test_clusters_zones_and_units_are_read(write_xml: Callable[[str], Path]) -> None:
    path = write_xml(
        "<prop id='site' value='here'/><host id='master_host' speed='1f'/>"
        "<cluster id='c' prefix='n' suffix='.x' radical='0-1,5' speed='2Gf, 1Mif' core='4'>"
        "<prop id='watt_per_state' value='10:100, 5:6:50'/></cluster>"
        "<zone id='y'><host id='m' speed='1f'><prop id='role' value='master'/></host></zone>"
        "<link id='l' bandwidth='1Bps' latency='0'/>"
    )
    hosts = read_hosts(path)
    assert [host.name for host in hosts] == ["n0.x", "n1.x", "n5.x"]
    assert hosts[0].speeds_flops == (2e9, 1048576.0)
    assert hosts[0].watts == ((10.0, 10.0, 100.0), (5.0, 6.0, 50.0))
    assert hosts[0].zone_properties == {"site": "here"}
    # Without sleep states, sleeping saves nothing and takes no time.
    (partition,) = read_platform(path).partitions
    assert (partition.nodes, partition.procs, partition.busy_w) == (3, 12, 100.0)
    assert (partition.sleep_w, partition.wake_s) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("", "no host to compute on"),
        ("<host id='a' speed='fast'/>", "speed 'fast' is not a number with a unit"),
        ("<host id='a' speed='0f'/>", r"host 'a': speed\(=0.0\) must be positive"),
        ("<host id='a' speed='1f'/><host id='a' speed='1f'/>", "two hosts are named 'a'"),
        (
            "<host id='a' speed='1f'><prop id='wattage_per_state' value='9'/></host>",
            "watts '9' must be Idle:Epsilon:AllCores",
        ),
        (
            "<host id='a' speed='1f,2f'><prop id='wattage_per_state' value='1:1:2'/></host>",
            "watts for 1 pstates and speeds for 2",
        ),
        (
            "<host id='a' speed='1f'><prop id='sleep_pstates' value='1:2:3'/></host>",
            "host 'a' names pstate 1; it has 0 to 0",
        ),
        (
            "<host id='a' speed='1f'><prop id='sleep_pstates' value='x'/></host>",
            "sleep_pstates 'x' must be sleep:off:on",
        ),
        ("<peer id='a'/>", "<peer> is not supported"),
        (
            "<host id='a' speed='1f'><prop id='role' value='storage'/></host>",
            "role 'storage'; only master is supported",
        ),
        ("<host id='a' speed='1f' state_file='s'/>", "state_file is not supported"),
    ],
)
def test_bad_platforms_are_named(
    write_xml: Callable[[str], Path], inside: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_hosts(write_xml(inside))


def test_an_edited_platform_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "p.xml"
    write_platform(ew.Platform.uniform(2, 4), path)
    path.write_text(path.read_text().replace("47.5:47.5", "40.0:40.0"))
    with pytest.raises(ValueError, match="hosts are not those of the zone's property"):
        read_platform(path)


def test_a_platform_without_watts_is_no_platform(write_xml: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match="has no watts"):
        read_platform(write_xml("<host id='a' speed='1f'/>"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, "line 1: .* is nested too deeply"),
        (
            '{"type": "event_machine_available", "timestamp": 1, "resources": "0-60000000000"}',
            "must name some of the hosts 0-3",
        ),
        ("3", "line 1: 3 is no object with a type"),
        ('{"type": "lunch", "timestamp": 1}', "line 1: type.='lunch'. is unknown"),
        (
            '{"type": "event_machine_available", "timestamp": 1, "resources": "4"}',
            "resources.='4'. must name some of the hosts 0-3",
        ),
        (
            '{"type": "event_machine_available", "timestamp": "x", "resources": "1"}',
            "timestamp.='x'.; it must be a number",
        ),
    ],
)
def test_bad_external_events_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "e.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_events(tmp_path / "e.txt", 4)
