"""Energy of jobs: nodes alone and shared, several hosts, devices and recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import make_workload
from hypothesis import given, settings
from hypothesis import strategies as st

import exawatt as ew
from exawatt.telemetry.joining import job_energy, node_devices
from exawatt.telemetry.recording import FORMATS, Recording

S = 10**9
DAY = pd.Timestamp("2026-01-01", tz="UTC")


def rapl(host: str, watts: dict[str, float], seconds: tuple[float, float] = (0, 1000)) -> Recording:
    """Recording of zones of constant power, a row a second."""
    moments = np.arange(seconds[0], seconds[1] + 1)
    instants = (moments * S).astype(np.int64)
    zones = [
        pd.DataFrame(
            {
                "time_ns": DAY.value + instants,
                "monotonic_ns": instants,
                "zone": zone,
                "energy_uj": 0,
                "total_uj": (power_w * (moments - moments[0]) * 1e6).astype(np.int64),
                "status": "ok",
            }
        )
        for zone, power_w in watts.items()
    ]
    table = pd.concat(zones).sort_values("monotonic_ns", kind="stable", ignore_index=True)
    sidecar = {"format": "exawatt-rapl-1", "host": host, "interval_s": 1.0}
    return Recording(table.astype(FORMATS["exawatt-rapl-1"][1]), sidecar, Path(f"{host}.csv"))


def gpus(host: str, watts: list[float]) -> Recording:
    instants = np.arange(1001) * S
    table = pd.concat(
        pd.DataFrame(
            {
                "time_ns": DAY.value + instants,
                "monotonic_ns": instants,
                "device": device,
                "power_w": power_w,
                "status": "ok",
            }
        )
        for device, power_w in enumerate(watts)
    ).sort_values("monotonic_ns", kind="stable", ignore_index=True)
    dtypes = FORMATS["exawatt-nvml-1"][1]
    sidecar = {"format": "exawatt-nvml-1", "host": host, "interval_s": 1.0}
    table = table.reindex(columns=list(dtypes)).astype(dtypes)
    return Recording(table, sidecar, Path(f"{host}-gpu.csv"))


def jobs(*rows: tuple[float, float, Any, int]) -> pd.DataFrame:
    """Jobs of start [s], end [s], hosts and processors."""
    table = pd.DataFrame(rows, columns=["start_s", "end_s", "hosts", "procs"])
    for name in ("start", "end"):
        table[f"{name}_utc"] = DAY + pd.to_timedelta(table.pop(f"{name}_s"), unit="s")
    return table


def test_devices_of_a_node_are_counted_once() -> None:
    zones = {"psys": 500, "package-0": 100, "package-0/core": 80, "package-0/dram": 10}
    zones |= {"package-1": 100, "package-1/uncore": 5, "package-1/dram": 10}
    assert node_devices(rapl("n1", zones)) == [
        "package-0",
        "package-0/dram",
        "package-1",
        "package-1/dram",
    ]
    assert node_devices(rapl("n1", {"psys": 500})) == ["psys"]
    assert node_devices(gpus("n1", [50, 60])) == [0, 1]


def test_a_job_alone_on_its_node_has_all_of_its_energy() -> None:
    node = rapl("n1", {"package-0": 100, "package-0/dram": 20, "psys": 400})
    found = job_energy([node], jobs((10, 110, "n1", 1), (110, 120, "n1", 8)), resolution_s=0)
    assert found["energy_j"].tolist() == pytest.approx([12_000, 1200])
    assert found["coverage"].tolist() == pytest.approx([1, 1])
    assert found["method"].tolist() == ["counter", "counter"]
    assert not found["shared"].any()
    assert (found["uncertainty_j"] < 0.2).all()  # both ends are samples
    # Starts and ends to a whole second, at 120 W: a rectangle of a second at either end.
    blurred = job_energy([node], jobs((10, 110, "n1", 1)))
    assert blurred["uncertainty_j"].tolist() == pytest.approx([120 / np.sqrt(6)], rel=1e-4)


def test_hosts_and_kinds_of_devices_add_up() -> None:
    recordings = [rapl("n1", {"package-0": 100}), rapl("n2", {"package-0": 50})]
    recordings.append(gpus("n2", [200, 300]))
    table = jobs((0, 100, "n1,n2", 8), (100, 200, ["n2"], 8), (200, 300, ("n1", "n3"), 8))
    table = table.set_index(pd.Index([7, 3, 9]))
    found = job_energy(recordings, table, resolution_s=0)
    assert found.index.tolist() == [7, 3, 9]
    assert found["energy_j"].tolist() == pytest.approx([65_000, 55_000, 10_000])
    assert found["method"].tolist() == ["counter+integral", "counter+integral", "counter"]
    assert found["coverage"].tolist() == pytest.approx([1, 1, 0.5])  # nothing is known of n3
    # The tolerance of 5 % is the same for both GPUs: it adds up, and is not averaged away.
    assert found["uncertainty_j"].iloc[1] == pytest.approx(50_000 * 0.05 / np.sqrt(3), rel=1e-3)


def test_a_shared_node_is_split_by_processors() -> None:
    node = rapl("n1", {"package-0": 120})
    table = jobs((0, 100, "n1", 1), (50, 150, "n1", 3), (200, 300, "n1", 2))
    found = job_energy([node], table)
    # Alone 50 s, then a quarter for 50 s; three quarters for 50 s, then alone.
    assert found["energy_j"].tolist() == pytest.approx([6000 + 1500, 4500 + 6000, 12_000])
    assert found["shared"].tolist() == [True, True, False]
    with pytest.raises(ValueError, match="they need a column 'procs'"):
        job_energy([node], table.drop(columns="procs"))


TWO_PACKAGES = rapl("n1", {"package-0": 70, "package-1": 30})


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(1, 300), st.integers(1, 8)),
        min_size=1,
        max_size=12,
    )
)
def test_no_energy_is_lost_or_counted_twice(rows: list[tuple[int, int, int]]) -> None:
    table = jobs(
        *[(start, min(start + length, 1000), "n1", procs) for start, length, procs in rows]
    )
    busy = np.zeros(1000, bool)
    for start, length, _ in rows:
        busy[start : start + length] = True
    found = job_energy([TWO_PACKAGES], table)
    assert found["energy_j"].sum() == pytest.approx(100 * busy.sum())
    assert (found["energy_j"] > 0).all()


def test_rotated_and_overlapping_recordings_count_once() -> None:
    parts = [
        rapl("n1", {"package-0": 100}, (0, 300)),
        rapl("n1", {"package-0": 100}, (200, 600)),
        rapl("n1", {"package-0": 100}, (700, 1000)),
    ]
    found = job_energy(parts[::-1], jobs((100, 900, "n1", 1)), resolution_s=0)
    assert found["energy_j"].tolist() == pytest.approx([70_000])
    assert found["coverage"].tolist() == pytest.approx([7 / 8])
    filled = job_energy(parts, jobs((100, 900, "n1", 1)), extrapolate=True)
    assert filled["energy_j"].tolist() == pytest.approx([80_000])
    assert filled["coverage"].tolist() == pytest.approx([7 / 8])


def test_jobs_that_were_not_recorded() -> None:
    node = rapl("n1", {"package-0": 100})
    table = jobs((2000, 2100, "n1", 1), (0, 100, "n9", 1), (0, 100, None, 1), (0, 100, "n1", 1))
    table.loc[3, "end_utc"] = pd.NaT
    with pytest.warns(UserWarning, match="no job was measured"):
        tables = [job_energy([node], table), job_energy([], table)]
    for found in tables:
        assert found["energy_j"].isna().all()
        assert found["coverage"].tolist() == [0, 0, 0, 0]
        assert found["method"].tolist() == ["none"] * 4


def test_a_workload_has_its_own_origin() -> None:
    workload = make_workload([(0, 1, 100, 100), (10, 1, 50, 50)], 8)
    table = workload.jobs.assign(hosts=["n1", "n2"], wait_s=[20.0, 30.0])
    recordings = [rapl("n1", {"package-0": 100}), rapl("n2", {"package-0": 10})]
    dated = ew.Workload(table, procs=8, start=DAY)
    found = job_energy(recordings, dated)
    assert found["energy_j"].tolist() == pytest.approx([10_000, 500])
    with pytest.raises(ValueError, match="no start_utc and end_utc"):
        job_energy(recordings, ew.Workload(table, procs=8))
    with pytest.raises(ValueError, match="no column 'hosts'"):
        job_energy(recordings, workload)


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ("n1", "n1"),
        ("n1, n2,", "n1 n2"),
        ("n[08-10,12],gpu1", "n08 n09 n10 n12 gpu1"),
        ("r[1-2]n[0-1]-ib,login", "r1n0-ib r1n1-ib r2n0-ib r2n1-ib login"),
    ],
)
def test_hosts_as_slurm_writes_them(hosts: str, names: str) -> None:
    recordings = [rapl(name, {"package-0": 10}, (0, 10)) for name in names.split()]
    found = job_energy(recordings, jobs((0, 10, hosts, 1)))
    assert found["energy_j"].tolist() == pytest.approx([100 * len(recordings)])
    assert found["coverage"].tolist() == pytest.approx([1])


def test_long_and_short_names_of_a_host_are_one() -> None:
    long = [rapl("N1.hpc.example.org", {"package-0": 100}), rapl("10.0.0.1", {"package-0": 30})]
    found = job_energy(long, jobs((0, 10, "n1", 1), (0, 10, "10.0.0.1", 1)))
    assert found["energy_j"].tolist() == pytest.approx([1000, 300])
    short = [rapl("n1", {"package-0": 100})]
    shared = jobs((0, 10, "n1.hpc", 1), (0, 10, "n1", 3))
    assert job_energy(short, shared)["energy_j"].tolist() == pytest.approx([250, 750])
    with pytest.raises(ValueError, match=r"n1\.b and n1\.a have the same short name"):
        job_energy([rapl("n1.a", {"package-0": 1})], jobs((0, 10, "n1.b", 1)))


def test_why_nothing_was_measured_is_told() -> None:
    node = rapl("n1", {"package-0": 100})
    with pytest.warns(UserWarning, match="recordings are of n1, the jobs of login1, n7, n8"):
        job_energy([node], jobs((0, 10, "n[7-8],login1", 1)))
    told = "recordings are from 2026-01-01 00:00:00 to 2026-01-01 00:16:40 UTC, the jobs from "
    with pytest.warns(UserWarning, match=told + "2026-01-01 01:00:00 to 2026-01-01 01:00:10 UTC"):
        job_energy([node], jobs((3600, 3610, "n1", 1)))
