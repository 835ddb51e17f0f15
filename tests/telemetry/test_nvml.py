"""Recording GPUs: the real nvidia-ml-py in real processes, over a driver library of our own."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")

HERE = Path(__file__).parent
LOGGER = HERE.parents[1] / "telemetry" / "nvml_logger.py"
HEADER = (
    "time_ns,monotonic_ns,device,power_w,instant_power_w,energy_mj,utilisation,"
    "memory_utilisation,memory_used_mib,sm_clock_mhz,temperature_c,status"
)
VALUES = HEADER.split(",")[3:-1]
UUID = "GPU-00000000-0000-0000-0000-00000000000{}"
Rows = list[dict[str, str]]


def _compile(folder: Path, *flags: str) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        if "CI" in os.environ:
            pytest.fail("no gcc to compile the stub of libnvidia-ml with")
        pytest.skip("no gcc to compile the stub of libnvidia-ml with")
    link = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
    library = folder / "libnvidia-ml.so.1"
    command = [gcc, "-Wall", "-Wextra", "-Werror", *link, *flags, "-o", library]
    subprocess.run([*command, HERE / "nvml_stub.c"], check=True)
    return folder


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a driver library of today."""
    return _compile(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="session")
def old_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a driver library that lacks functions."""
    return _compile(tmp_path_factory.mktemp("old"), "-DOLD_DRIVER")


def environment(driver: Path, settings: str) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(driver), "NVML_STUB": settings}


def run(driver: Path, settings: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, LOGGER, *arguments],
        env=environment(driver, settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


def parse(text: str) -> Rows:
    assert text.splitlines()[0] == HEADER
    return list(csv.DictReader(text.splitlines()))


def once(driver: Path, settings: str, *devices: str) -> Rows:
    arguments = [text for device in devices for text in ("--device", device)]
    result = run(driver, settings, "--once", *arguments)
    assert result.returncode == 0, result.stderr
    return parse(result.stdout)


def refusal(driver: Path, settings: str, *arguments: str) -> str:
    """Words of a logger that cannot start."""
    result = run(driver, settings, "--once", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("nvml: ").strip()


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., tuple[Rows, dict[str, Any], str]]:
    """Record for half a second; return rows, sidecar and stderr."""

    def record(driver: Path, settings: str) -> tuple[Rows, dict[str, Any], str]:
        path = tmp_path / "run.csv"
        # 26 ticks, less those that a busy machine misses.
        times = "--interval", "0.02", "--duration", "0.5"
        result = run(driver, settings, *times, "--output", path)
        assert result.returncode == 0, result.stderr
        sidecar = json.loads(path.with_name("run.csv.json").read_text())
        return parse(path.read_text()), sidecar, result.stderr

    return record


def nan_columns(row: dict[str, str]) -> set[str]:
    return {name for name in VALUES if row[name] == "nan"}


def of_gpu(rows: Rows, device: int) -> Rows:
    return [row for row in rows if row["device"] == str(device)]


def column(rows: Sequence[dict[str, str]], name: str) -> list[str]:
    return [row[name] for row in rows]


# What is read


def test_every_value_of_several_gpus(driver: Path) -> None:
    # 10,737,418,240 bytes are 10,240 MiB, and half a MiB more is 524,288 bytes more.
    first, second = once(
        driver,
        "gpus=2 power=250123 1.power=90000 instant=251007 1.instant=89001 energy=123456789012345 "
        "1.energy=7 utilisation=37 utilisation.memory=5 1.utilisation=100 memory=10737418240 "
        "1.memory=10737942528 clock=1410 1.clock=345 temperature=55 1.temperature=31",
    )
    expected = ["250.123", "251.007", "123456789012345", "0.37", "0.05", "10240.0", "1410", "55"]
    assert [first[name] for name in ("device", *VALUES, "status")] == ["0", *expected, "ok"]
    expected = ["90.0", "89.001", "7", "1.0", "0.05", "10240.5", "345", "31"]
    assert [second[name] for name in ("device", *VALUES, "status")] == ["1", *expected, "ok"]
    # Each row has the moment at which its own GPU was read.
    assert int(first["monotonic_ns"]) < int(second["monotonic_ns"]) < time.monotonic_ns()
    assert abs(int(first["time_ns"]) - time.time_ns()) < 60e9


@pytest.mark.parametrize("kind", range(7))
def test_instant_power_of_every_value_type(driver: Path, kind: int) -> None:
    (row,) = once(driver, f"instant=61234 instant.type={kind}")
    assert (row["instant_power_w"], row["status"]) == ("61.234", "ok")


def test_a_value_type_that_nobody_knows_is_an_error(driver: Path) -> None:
    (row,) = once(driver, "instant=61234 instant.type=7")
    assert nan_columns(row) == {"instant_power_w"}
    assert row["status"] == "unknown error"


def test_power_and_counter_over_time(driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, _ = record(
        driver, "gpus=2 power=100000 power.step=1500 energy=5000 energy.step=2000 1.energy.step=0"
    )
    ticks = sidecar["ticks"]
    assert len(rows) == 2 * ticks > 2
    # The power was asked for once, n = 1, before the first tick.
    steady = of_gpu(rows, 0)
    assert column(steady, "power_w") == [str(100 + 1.5 * n) for n in range(2, ticks + 2)]
    assert column(steady, "energy_mj") == [str(5000 + 2000 * n) for n in range(2, ticks + 2)]
    assert set(column(of_gpu(rows, 1), "energy_mj")) == {"5000"}
    assert set(column(rows, "status")) == {"ok"}


def test_the_sidecar_tells_gpus_apart(driver: Path, record: Callable[..., Any]) -> None:
    _, sidecar, stderr = record(driver, "gpus=2 1.limit=350000 1.capability=80 1.architecture=7")
    assert sidecar["format"] == "exawatt-nvml-1"
    assert sidecar["driver_version"] == "550.54.15"
    assert sidecar["nvml_version"] == "12.550.54.15"
    h100, a100 = sidecar["devices"]
    assert h100 == {
        "device": 0,
        "uuid": UUID.format(0),
        "name": "Stub GPU",
        "architecture": "hopper",
        "compute_capability": "9.0",
        "power_w_is_1s_mean": True,
        "power_limit_w": 650.0,
        "default_power_limit_w": 700.0,
        "enforced_power_limit_w": 600.0,
        "mig_enabled": False,
        "supported": dict.fromkeys(VALUES, True),
    }
    assert a100["uuid"] == UUID.format(1)
    assert (a100["architecture"], a100["compute_capability"]) == ("ampere", "8.0")
    assert a100["power_limit_w"] == 350.0
    assert a100["power_w_is_1s_mean"] is False
    assert "does not measure" not in stderr


@pytest.mark.parametrize(
    ("capability", "mean"),
    # V100, T4, A100 (the GA100), RTX A6000, L4, H100, B200.
    [(70, False), (75, False), (80, False), (86, True), (89, True), (90, True), (100, True)],
)
def test_where_power_is_a_mean(
    driver: Path, record: Callable[..., Any], capability: int, mean: bool
) -> None:
    _, sidecar, _ = record(driver, f"capability={capability}")
    assert sidecar["devices"][0]["power_w_is_1s_mean"] is mean


# What a GPU does not measure


def test_a_gpu_without_energy_counter(driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, stderr = record(driver, "gpus=2 0.energy.error=3 energy=77")
    assert set(column(of_gpu(rows, 0), "energy_mj")) == {"nan"}
    assert set(column(of_gpu(rows, 1), "energy_mj")) == {"77"}
    assert set(column(rows, "status")) == {"ok"}
    assert [gpu["supported"]["energy_mj"] for gpu in sidecar["devices"]] == [False, True]
    assert stderr.count("GPU 0 does not measure energy_mj") == 1
    assert "GPU 1 does not" not in stderr


@pytest.mark.parametrize("code", [2, 3])  # a field that the driver, or the GPU, does not know
def test_a_gpu_without_instant_power(driver: Path, code: int) -> None:
    (row,) = once(driver, f"instant.error={code}")
    assert nan_columns(row) == {"instant_power_w"}
    assert row["status"] == "ok"


def test_a_driver_that_lacks_functions(old_driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, stderr = record(old_driver, "power=90000")
    assert nan_columns(rows[0]) == {"instant_power_w", "energy_mj"}
    assert (rows[0]["power_w"], rows[0]["status"]) == ("90.0", "ok")
    (gpu,) = sidecar["devices"]
    assert [name for name in VALUES if not gpu["supported"][name]] == [
        "instant_power_w",
        "energy_mj",
    ]
    assert (gpu["architecture"], gpu["mig_enabled"]) == (None, None)
    assert stderr.count("GPU 0 does not measure instant_power_w, energy_mj") == 1


def test_a_divided_gpu_is_recorded_whole(driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, _ = record(driver, "gpus=2 1.mig=1 utilisation=50 power=90000")
    whole, divided = rows[:2]
    assert nan_columns(divided) == {"utilisation", "memory_utilisation"}
    assert (divided["power_w"], divided["status"]) == ("90.0", "ok")
    assert (whole["utilisation"], whole["status"]) == ("0.5", "ok")
    assert [gpu["mig_enabled"] for gpu in sidecar["devices"]] == [False, True]
    assert sidecar["devices"][1]["supported"]["utilisation"] is False


# Errors


def test_a_gpu_lost_while_recording(driver: Path, record: Callable[..., Any]) -> None:
    settings = "gpus=3 power=100000 power.step=1000 1.all.error=15 1.all.error.from=4"
    rows, sidecar, _ = record(driver, f"{settings} 1.all.error.until=7")
    ticks = sidecar["ticks"]
    for other in (0, 2):
        assert column(of_gpu(rows, other), "status") == ["ok"] * ticks
    lost = of_gpu(rows, 1)
    assert column(lost, "status")[:6] == ["ok", "ok", *["gpu is lost"] * 3, "ok"]
    assert all(nan_columns(row) == set(VALUES) for row in lost[2:5])
    assert not any(nan_columns(row) for row in lost[:2] + lost[5:])
    # It asks the lost GPU for nothing but its power, once a tick, and takes up what comes back.
    assert column(lost, "power_w")[5:] == [f"{100 + n}.0" for n in range(7, ticks + 2)]


def test_a_gpu_lost_between_two_readings(driver: Path) -> None:
    (row,) = once(driver, "power=90000 energy.error=15 energy.error.from=2")
    assert row["power_w"] == "90.0"
    assert nan_columns(row) == set(VALUES) - {"power_w", "instant_power_w"}
    assert row["status"] == "gpu is lost"


def test_a_gpu_lost_before_the_start(driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, stderr = record(driver, "gpus=2 1.open.error=15 1.open.error.until=5")
    assert "GPU 1: gpu is lost; it is tried again at every tick." in stderr
    status = column(of_gpu(rows, 1), "status")
    assert status[0] == "gpu is lost"
    assert nan_columns(of_gpu(rows, 1)[0]) == set(VALUES)
    assert status == sorted(status)  # lost, then ok
    assert status[-1] == "ok"
    assert sidecar["devices"][1]["uuid"] == UUID.format(1)


def test_a_gpu_that_never_answers(driver: Path, record: Callable[..., Any]) -> None:
    rows, sidecar, _ = record(driver, "gpus=2 1.open.error=15")
    assert set(column(of_gpu(rows, 1), "status")) == {"gpu is lost"}
    assert sidecar["devices"][1] == {"device": 1}  # nothing is known, and nothing is claimed


@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("power", {"power_w"}),
        ("instant", {"instant_power_w"}),
        ("fields", {"instant_power_w"}),
        ("energy", {"energy_mj"}),
        ("utilisation", {"utilisation", "memory_utilisation"}),
        ("memory", {"memory_used_mib"}),
        ("clock", {"sm_clock_mhz"}),
        ("temperature", {"temperature_c"}),
    ],
)
def test_an_error_costs_its_own_cells(driver: Path, what: str, columns: set[str]) -> None:
    # Here the probe at the start fails too: that does not mean that the GPU cannot measure this.
    (row,) = once(driver, f"{what}.error=999")
    assert nan_columns(row) == columns
    assert row["status"] == "unknown error"


@pytest.mark.parametrize(
    ("code", "status"), [(4, "insufficient permissions"), (22, "vgpu ecc not supported")]
)
def test_a_status_is_a_phrase_without_comma(driver: Path, code: int, status: str) -> None:
    (row,) = once(driver, f"energy.error={code}")
    assert (row["energy_mj"], row["status"]) == ("nan", status)


def test_a_measure_that_stops_being_supported_is_an_error(
    driver: Path, record: Callable[..., Any]
) -> None:
    rows, sidecar, _ = record(driver, "energy.error=3 energy.error.from=4")
    assert column(rows, "status")[:4] == ["ok", "ok", "not supported", "not supported"]
    assert sidecar["devices"][0]["supported"]["energy_mj"] is True


# No GPU to record


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("init.error=9", "the NVIDIA driver is not loaded; modprobe nvidia loads it."),
        ("init.error=18", "the library is not of the version of the loaded driver"),
        ("init.error=999", "NVML does not start: unknown error."),
        ("init.error=6", "the driver sees no GPU."),
        ("gpus=0", "the driver sees no GPU."),
        ("count.error=999", "NVML does not answer: unknown error."),
        ("gpus=2 open.error=4", "none of the 2 GPUs may be read by this user or in this job."),
    ],
)
def test_nothing_to_record(driver: Path, settings: str, words: str) -> None:
    assert refusal(driver, settings).startswith(words)


def test_no_driver_library(tmp_path: Path) -> None:
    # An empty file in its place, so that one of this machine is not found instead.
    (tmp_path / "libnvidia-ml.so.1").touch()
    assert refusal(tmp_path, "").startswith("libnvidia-ml.so.1 is not here; it comes with")


# --device


@pytest.mark.parametrize(
    ("devices", "indices"),
    [
        ([], ["0", "1", "2"]),
        (["1"], ["1"]),
        (["2,0"], ["2", "0"]),
        (["2", "0, 1"], ["2", "0", "1"]),
        ([UUID.format(2)], ["2"]),
        ([f"{UUID.format(1)},1", "1"], ["1"]),
        ([UUID.format(1).replace("GPU", "MIG")], ["1"]),
    ],
)
def test_chosen_devices(driver: Path, devices: list[str], indices: list[str]) -> None:
    assert column(once(driver, "gpus=3", *devices), "device") == indices


@pytest.mark.parametrize("device", ["3", "-1", "²", "", "0,", UUID.format(7), "gpu0"])
def test_an_unknown_device_is_refused(driver: Path, device: str) -> None:
    words = refusal(driver, "gpus=3 1.all.error=15", f"--device={device}")
    there = f"0 ({UUID.format(0)}), 1 (gpu is lost), 2 ({UUID.format(2)})."
    assert words.endswith(f" names no GPU that can be read; there is {there}")
    assert words.startswith(f"--device {device.split(',')[-1]!r} ")


def test_gpus_of_other_jobs_are_left_out(driver: Path) -> None:
    settings = "gpus=3 1.open.error=4"
    assert column(once(driver, settings), "device") == ["0", "2"]
    assert "1 (insufficient permissions)" in refusal(driver, settings, "--device", "1")


# The process


def test_a_signal_ends_it_in_good_order(driver: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    command = [sys.executable, LOGGER, "--interval", "0.02", "--output", path]
    process = subprocess.Popen(command, env=environment(driver, "gpus=2"))
    try:
        deadline = time.monotonic() + 30
        while not (path.exists() and path.read_text().count("\n") > 4):
            assert time.monotonic() < deadline, "no rows"
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
    text = path.read_text()
    assert text.endswith(",ok\n")
    sidecar = json.loads(path.with_name("run.csv.json").read_text())
    assert 2 * sidecar["ticks"] == len(parse(text))
    assert sidecar["ended_ns"] > sidecar["started_ns"]


def test_prometheus_has_base_units(driver: Path, free_port: int) -> None:
    pytest.importorskip("prometheus_client")
    settings = "gpus=2 power=250123 1.energy=4500 memory=1048576 clock=1410 1.all.error=15"
    command = [sys.executable, LOGGER, "--prometheus", str(free_port)]
    settings += " 1.all.error.from=99 0.energy.error=999 utilisation=37"
    process = subprocess.Popen(command, env=environment(driver, settings))
    try:
        lines = _scrape(
            f"http://127.0.0.1:{free_port}/metrics", 'exawatt_nvml_power_watts{device="1"}'
        )
    finally:
        process.terminate()
        process.wait(10)
    assert 'exawatt_nvml_power_watts{device="0"} 250.123' in lines
    assert 'exawatt_nvml_energy_joules_total{device="1"} 4.5' in lines
    assert 'exawatt_nvml_memory_used_bytes{device="0"} 1.048576e+06' in lines
    assert 'exawatt_nvml_sm_clock_hertz{device="0"} 1.41e+09' in lines
    assert 'exawatt_nvml_utilisation_ratio{device="0"} 0.37' in lines
    assert not any(
        line.startswith('exawatt_nvml_energy_joules_total{device="0"}') for line in lines
    )


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _scrape(url: str, awaited: str) -> list[str]:
    """Lines of a page once one of them begins as awaited."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            lines = opener.open(url, timeout=5).read().decode().splitlines()
        except OSError:
            lines = []
        if any(line.startswith(awaited) for line in lines):
            return lines
        time.sleep(0.02)
    pytest.fail(f"{url} never said {awaited}")


def test_it_needs_no_installation(driver: Path, tmp_path: Path) -> None:
    # -S: no installed package is seen, neither this one nor the binding.
    def logger(**variables: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-S", LOGGER, "--once"]
        variables = environment(driver, "power=90000") | variables
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)

    without = logger(PYTHONPATH="")
    assert without.returncode == 1
    assert without.stderr == "nvml: a package is missing: pip install nvidia-ml-py.\n"
    shutil.copy(pynvml.__file__, tmp_path)
    (row,) = parse(logger(PYTHONPATH=str(tmp_path)).stdout)
    assert row["power_w"] == "90.0"
