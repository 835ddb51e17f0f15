"""Reading recordings: whole, torn, damaged, converted, with gaps and clock steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.readers import TraceError
from exawatt.telemetry.recording import clock_steps, convert, gaps, read_recording

RAPL = "time_ns,monotonic_ns,zone,energy_uj,total_uj,status"
NVML = (
    "time_ns,monotonic_ns,device,power_w,instant_power_w,energy_mj,utilisation,"
    "memory_utilisation,memory_used_mib,sm_clock_mhz,temperature_c,status"
)
S = 10**9  # a second, in nanoseconds
DAY = 1_767_225_600 * S  # 2026-01-01T00:00:00Z

Write = Callable[..., Path]


def write_recording(folder: Path, header: str, lines: list[str], end: str = "\n") -> Path:
    path = folder / "run.csv"
    path.write_text("\n".join([header, *lines]) + end)
    kind = "rapl" if header == RAPL else "nvml"
    sidecar = {"format": f"exawatt-{kind}-1", "host": "n1", "interval_s": 1.0, "metadata": {}}
    Path(f"{path}.json").write_text(json.dumps(sidecar))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(header: str, *lines: str, end: str = "\n") -> Path:
        return write_recording(tmp_path, header, list(lines), end)

    return make


def rapl(second: float, total: Any, status: str = "ok", zone: str = "package-0") -> str:
    return f"{DAY + int(second * S)},{5 * S + int(second * S)},{zone},{total},{total},{status}"


def test_a_rapl_recording(write: Write) -> None:
    path = write(RAPL, rapl(0, 0), rapl(0, 0, zone="psys"), rapl(1, 9_007_199_254_740_993))
    recording = read_recording(path)
    assert recording.devices == ["package-0", "psys"]
    assert (recording.host, recording.interval_s, recording.duration_s) == ("n1", 1.0, 1.0)
    # 2^53 + 1 is no double: counters stay whole numbers.
    assert recording.rows("package-0")["total_uj"].tolist() == [0, 9_007_199_254_740_993]
    assert repr(recording) == (
        "Recording(run.csv: exawatt-rapl-1 on n1, zone package-0, psys, 3 rows over 1.0 s)"
    )
    with pytest.raises(ValueError, match=r"zone\(='core'\) is not recorded; there is \['pack"):
        recording.rows("core")


def test_an_nvml_recording(write: Write) -> None:
    path = write(
        NVML,
        f"{DAY},{S},0,250.5,nan,1000,0.97,0.5,1024.0,1410,60,ok",
        f"{DAY + S},{2 * S},0,nan,nan,nan,nan,nan,nan,nan,nan,gpu is lost",
    )
    table = read_recording(path).table
    assert table["power_w"].isna().tolist() == [False, True]
    assert table["energy_mj"].isna().tolist() == [False, True]
    assert table["status"].tolist() == ["ok", "gpu is lost"]
    assert table.loc[0, "utilisation"] == 0.97


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_recording_without_samples(write: Write, end: str) -> None:
    path = write(RAPL, end=end)
    if not end:
        with pytest.raises(TraceError, match="the header must be 'time_ns"):
            read_recording(path)
    else:
        recording = read_recording(path)
        assert (len(recording.table), recording.duration_s, recording.devices) == (0, 0.0, [])
        assert gaps(recording).empty
        assert clock_steps(recording).empty


@given(st.integers(0, 200))
def test_cut_anywhere_a_recording_gives_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, lost: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    lines = [rapl(second, second * 10**6) for second in range(10)]
    path = write_recording(folder, RAPL, lines)
    text = path.read_bytes()[:-lost] if lost else path.read_bytes()
    path.write_bytes(text)
    recording = read_recording(path)
    whole = text.count(b"\n") - 1
    assert recording.table["total_uj"].tolist() == [second * 10**6 for second in range(whole)]
    assert recording.torn == text.rpartition(b"\n")[2].decode()
    assert ("torn last line" in repr(recording)) == (recording.torn != "")


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["1,2,3"], 2, "has 3 fields instead of 6"),
        ([rapl(0, 0), rapl(1, 1) + ",ok"], 3, "has 7 fields instead of 6"),
        ([rapl(0, 0), rapl(1, 1) + ",ok", "1,2,3,4,5"], 3, "has 7 fields instead of 6"),
        ([rapl(0, 0), "", rapl(1, 1)], 3, "has 1 fields instead of 6"),
        ([rapl(0, 0), rapl(1, "x1")], 3, r"energy_uj='x1': is not a whole number"),
        ([rapl(0, 0), rapl(1, "1.5")], 3, r"energy_uj='1.5': is not a whole number"),
        ([rapl(0, 0), rapl(1, 2**63)], 3, r"energy_uj='9223372036854775808': is not a whole"),
        (["nan" + rapl(0, 0)[19:]], 2, r"time_ns='nan': is not a whole number"),
        ([rapl(1, 0), rapl(0, 0)], 3, r"monotonic_ns='5000000000': does not lie after"),
        ([rapl(0, 0), rapl(0, 0)], 3, r"monotonic_ns='5000000000': does not lie after"),
    ],
)
def test_a_damaged_line_is_named(write: Write, lines: list[str], line: int, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        read_recording(write(RAPL, *lines))
    assert caught.value.line == line


def test_a_number_of_a_gpu_that_is_none_is_named(write: Write) -> None:
    good = f"{DAY},{S},0,250.5,nan,1000,0.97,0.5,1024.0,1410,60,ok"
    with pytest.raises(TraceError, match=r"line 2, power_w='250\.5W': is not a number"):
        read_recording(write(NVML, good.replace("250.5", "250.5W")))


def test_other_files_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="the header must be"):
        read_recording(write("a,b", "1,2"))
    path = write(RAPL, rapl(0, 0))
    beside = Path(f"{path}.json")
    beside.write_text('{"format": "exawatt-rapl-9", "host": "n1", "interval_s": 1}')
    with pytest.raises(TraceError, match="format='exawatt-rapl-9': is of an unknown format"):
        read_recording(path)
    beside.write_text('{"format": "exawatt-rapl-1"}')
    with pytest.raises(TraceError, match=r"says nothing of \['host', 'interval_s'\]"):
        read_recording(path)
    beside.write_text("{")
    with pytest.raises(TraceError, match="is no JSON"):
        read_recording(path)
    told = {"format": "exawatt-rapl-1", "host": "vm", "interval_s": 1}
    beside.write_text(json.dumps(told | {"earlier": [told | {"host": "other"}]}))
    with pytest.raises(TraceError, match="host='other, vm': is of several hosts"):
        read_recording(path)
    beside.unlink()
    with pytest.raises(TraceError, match=r"lacks its sidecar run\.csv\.json, .* keep the two"):
        read_recording(path)


def test_what_is_no_recording(tmp_path: Path) -> None:
    plain = tmp_path / "plain.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(plain)
    with pytest.raises(TraceError, match=r"is no recording: 'exawatt telemetry convert' did not"):
        read_recording(plain)
    plain.write_text("a\n")
    with pytest.raises(TraceError, match=r"plain\.parquet: cannot be read as Parquet"):
        read_recording(plain)
    text = tmp_path / "jobs.txt"
    for content, says in [("", "is empty: it is no"), ("JobID|State\n", "is no recording: its")]:
        text.write_text(content)
        with pytest.raises(TraceError, match=says):
            read_recording(text)


def test_conversion_keeps_everything(write: Write, tmp_path: Path) -> None:
    path = write(
        NVML,
        f"{DAY},{S},0,250.5,nan,9007199254740993,0.97,0.5,1024.0,1410,60,ok",
        f"{DAY},{S},1,0.1,nan,nan,0,0,0,0,60,ok",
        f"{DAY + S},{2 * S},0,nan,nan,nan,nan,nan,nan,nan,nan,gpu is lost",
        end="\n12,3",
    )
    before = read_recording(path)
    output = convert(path, tmp_path / "run.parquet")
    after = read_recording(output)
    pd.testing.assert_frame_equal(after.table, before.table)
    assert after.sidecar == before.sidecar
    assert json.loads(Path(f"{output}.json").read_bytes()) == before.sidecar
    assert after.table.loc[0, "energy_mj"] == 9_007_199_254_740_993
    assert not list(tmp_path.glob("*.part"))


def test_conversion_never_overwrites(write: Write, tmp_path: Path) -> None:
    path = write(RAPL, rapl(0, 0))
    output = convert(path, tmp_path / "run.parquet")
    content = output.read_bytes()
    with pytest.raises(FileExistsError, match=r"run\.parquet exists already"):
        convert(path, output)
    output.unlink()
    with pytest.raises(FileExistsError, match=r"run\.parquet\.json exists already"):
        convert(path, output)
    assert content[:4] == b"PAR1"
    with pytest.raises(ValueError, match=r"output\(='.*run\.pq'\) must end in \.parquet"):
        convert(path, tmp_path / "run.pq")


def test_gaps(write: Write) -> None:
    path = write(
        RAPL,
        rapl(0, "nan", "permission denied"),
        *[rapl(second, 0) for second in (1, 2, 3.5)],
        rapl(4.5, "nan", "vanished"),
        rapl(5.5, 1),
        rapl(8.1, 2),  # 2.6 intervals later; 1.5 intervals, before, are no gap
        rapl(9.1, 0, "restarted"),
        rapl(10.1, "nan", "vanished"),
        rapl(11.1, "nan", "unreadable"),
    )
    found = gaps(read_recording(path))
    begin = (found["begin_ns"] - DAY) / S
    end = (found["end_ns"] - DAY) / S
    assert found["zone"].unique().tolist() == ["package-0"]
    assert list(zip(begin, end, found["reason"], strict=True)) == [
        (0, 1, "permission denied"),
        (3.5, 5.5, "vanished"),
        (5.5, 8.1, "no sample"),
        (8.1, 9.1, "restarted"),
        (9.1, 11.1, "vanished; unreadable"),
    ]
    np.testing.assert_allclose(found["length_s"], end - begin)


def test_gaps_are_judged_by_the_ticks_of_their_run(write: Write) -> None:
    # The sidecar tells 1 s. A run of ticks every 10 s, then one that managed only every 3 s.
    slow = [rapl(second, 0) for second in range(0, 50, 10)]
    later = [rapl(second, 0) for second in (62, 65, 68, 80, 83)]
    found = gaps(read_recording(write(RAPL, *slow, rapl(59, 0, "restarted"), *later)))
    assert [(row.begin_ns - DAY) / S for row in found.itertuples()] == [40, 68]
    assert found["reason"].tolist() == ["restarted", "no sample"]


def test_steps_of_the_wall_clock(write: Write) -> None:
    offsets_ms = [0, 0, 3, 250, 250, -750]  # of the wall clock against the monotonic one
    lines = [
        f"{DAY + i * S + offset * 10**6},{(5 + i) * S},package-0,0,0,ok"
        for i, offset in enumerate(offsets_ms)
    ]
    steps = clock_steps(read_recording(write(RAPL, *lines)))
    assert ((steps["monotonic_ns"] - 5 * S) / S).tolist() == [3, 5]
    np.testing.assert_allclose(steps["step_s"], [0.247, -1.0])


def test_a_reboot_between_two_runs_is_spanned_by_the_wall_clock(write: Write) -> None:
    path = write(
        RAPL,
        rapl(0, 0),
        rapl(1, 10),
        f"{DAY + 61 * S},{2 * S},package-0,0,0,restarted",  # 60 s later, a clock that began anew
        f"{DAY + 62 * S},{3 * S},package-0,7,7,ok",
    )
    recording = read_recording(path)
    assert recording.elapsed_s.tolist() == [0, 1, 61, 62]
    assert clock_steps(recording).empty
    found = gaps(recording)
    assert found[["length_s", "reason"]].to_numpy().tolist() == [[60.0, "restarted"]]


def test_what_the_logger_writes_can_be_read(two_zones: Any, once: Any, tmp_path: Path) -> None:
    two_zones.set("intel-rapl:0", 123_456)
    path = tmp_path / "run.csv"
    done = once("--interval", 0.05, "--duration", 0.2, "--output", path, "--metadata", "job=7")
    assert done.returncode == 0, done.stderr
    recording = read_recording(path)
    assert recording.devices == ["package-0", "package-0/dram"]
    assert recording.rows("package-0")["energy_uj"].unique().tolist() == [123_456]
    assert recording.rows("package-0")["total_uj"].unique().tolist() == [0]
    assert recording.interval_s == 0.05
    assert recording.sidecar["metadata"] == {"job": "7"}
    assert 0.2 <= recording.duration_s < 0.3


@pytest.mark.parametrize("name", ["nosuch.csv", "nosuch.parquet", "."])
def test_what_is_no_file_is_said_to_be_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is no file"):
        read_recording(tmp_path / name)
    with pytest.raises(TraceError, match="is no file"):
        read_recording(name)
