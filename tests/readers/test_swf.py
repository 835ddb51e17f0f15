"""Standard Workload Format: what is read, what is refused, and that every row is accounted for."""

import bz2
import gzip
import hashlib
import lzma
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard
from builders import SWF_HEADER, swf_row
from numpy.testing import assert_array_equal

import exawatt as ew
from exawatt.readers import TraceError
from exawatt.readers.swf import read_swf

Write = Callable[..., Path]

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def dropped(workload: ew.Workload) -> int:
    cleaning = workload.cleaning
    return int(cleaning.loc[cleaning["action"] == "dropped", "count"].sum())


def test_every_field_lands_in_its_column(write_swf_text: Write) -> None:
    # The 18 fields in the order of the format's definition (Chapin et al. 1999).
    path = write_swf_text("41 5 7 90 4 80.5 2048 4 120 4096 1 11 12 13 14 15 40 16\n")
    workload = read_swf(path)
    row = workload.jobs.iloc[0]
    expected = {
        "job": 41,
        "submit_s": 5,
        "wait_s": 7,
        "runtime_s": 90,
        "procs": 4,
        "cpu_s": 80.5,
        "memory_kb": 2048,
        "requested_procs": 4,
        "requested_s": 120,
        "requested_memory_kb": 4096,
        "status": 1,
        "user": 11,
        "group": 12,
        "app": 13,
        "queue": 14,
        "partition": 15,
        "preceding_job": 40,
        "think_time_s": 16,
    }
    assert {name: row[name] for name in expected} == expected
    assert np.isnan(row["power_w"])
    assert row["gpus"] == 0


def test_the_machine_comes_from_the_header(write_swf_text: Write) -> None:
    path = write_swf_text(swf_row(1))
    workload = read_swf(path)
    assert (workload.procs, workload.nodes) == (10, 5)
    assert workload.start == pd.Timestamp("2023-06-14 00:00", tz="UTC")  # 1686700800
    assert workload.timezone == "Europe/London"
    assert workload.tier == "real"
    assert workload.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_unknown_stays_unknown(write_swf_text: Write) -> None:
    unknown = dict.fromkeys(["wait_s", "cpu_s", "memory_kb", "requested_s", "think_time_s"], -1)
    ids = dict.fromkeys(["status", "user", "group", "app", "queue", "partition"], -1)
    row = read_swf(write_swf_text(swf_row(1, **unknown, **ids))).jobs.iloc[0]
    assert all(np.isnan(row[name]) for name in unknown)  # the request is never the runtime
    assert all(row[name] == -1 for name in ids)


def test_allocated_processors_else_the_requested_ones(write_swf_text: Write) -> None:
    rows = [
        swf_row(1, procs=3, requested_procs=4),
        swf_row(2, procs=-1, requested_procs=4),
        swf_row(3, procs=0, requested_procs=5),
    ]
    workload = read_swf(write_swf_text(*rows))
    assert list(workload.jobs["procs"]) == [3, 4, 5]
    repaired = workload.cleaning[workload.cleaning["action"] == "repaired"]
    assert list(repaired["count"]) == [2]


@pytest.mark.parametrize(
    ("header", "argument", "size"),
    [
        ("; MaxNodes: 5\n; MaxProcs: 10\n", None, 10),
        ("; MaxNodes: 5\n", None, 5),
        ("; MaxNodes: 5\n; MaxProcs: 10\n", 7, 7),
        ("", 7, 7),
    ],
)
def test_machine_size(write_swf_text: Write, header: str, argument: int | None, size: int) -> None:
    path = write_swf_text(swf_row(1), header=header)
    assert read_swf(path, procs=argument).procs == size


def test_without_a_machine_size_strict_reading_fails(write_swf_text: Write) -> None:
    with pytest.raises(TraceError, match="procs"):
        read_swf(write_swf_text(swf_row(1), header="; Version: 2.2\n"))


def test_without_a_machine_size_lenient_reading_takes_the_largest_job(
    write_swf_text: Write,
) -> None:
    path = write_swf_text(swf_row(1, procs=3), swf_row(2, procs=7), header="; Version: 2.2\n")
    workload = read_swf(path, strict=False)
    assert workload.procs == 7
    noted = workload.cleaning.query("field == 'MaxProcs'").iloc[0]
    assert (noted["action"], noted["value"]) == ("noted", "7")


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"runtime_s": 0},
        {"runtime_s": -1},
        {"procs": 0, "requested_procs": 0},
        {"procs": -1, "requested_procs": -1},
        {"submit_s": -1},
    ],
    ids=str,
)
def test_unusable_jobs_are_ordinary_content_dropped_and_counted(
    write_swf_text: Write, fields: dict[str, int], strict: bool
) -> None:
    path = write_swf_text(swf_row(1), swf_row(2, **fields), swf_row(3), swf_row(4, **fields))
    workload = read_swf(path, strict=strict)
    assert list(workload.jobs["job"]) == [1, 3]
    row = workload.cleaning[workload.cleaning["action"] == "dropped"].iloc[0]
    assert row["count"] == 2
    assert row["line"] == SWF_HEADER.count("\n") + 2
    assert row["field"] == next(iter(fields))
    assert row["value"] == str(next(iter(fields.values())))


def test_a_row_with_two_faults_is_dropped_once(write_swf_text: Write) -> None:
    fields = {"runtime_s": 0, "procs": -1, "requested_procs": -1, "submit_s": -1}
    workload = read_swf(write_swf_text(swf_row(1), swf_row(2, **fields)))
    assert (len(workload.jobs), dropped(workload)) == (1, 1)


SOUND = [swf_row(1), swf_row(2), swf_row(3)]
FIRST = SWF_HEADER.count("\n") + 1
"""Line of the first job."""

# Each defect: the second of three rows in its place, jobs kept when not strict, field, value.
DEFECTS: dict[str, tuple[str, list[int], str | None, str | None]] = {
    "17 fields": (swf_row(2).rsplit(" ", 1)[0] + "\n", [1, 3], None, None),
    "19 fields": (swf_row(2).strip() + " 9\n", [1, 3], None, None),
    "word": (swf_row(2, runtime_s="long"), [1, 3], "runtime_s", "long"),
    "nan": (swf_row(2, runtime_s="nan"), [1, 3], "runtime_s", "nan"),
    "inf": (swf_row(2, requested_s="inf"), [1, 3], "requested_s", "inf"),
    "overflow": (swf_row(2, submit_s="1e999"), [1, 3], "submit_s", "1e999"),
    "hexadecimal": (swf_row(2, user="0x10"), [1, 3], "user", "0x10"),
    "underscore": (swf_row(2, runtime_s="1_000"), [1, 3], "runtime_s", "1_000"),
    "larger than the machine": (
        swf_row(2, procs=11, requested_procs=11),
        [1, 3],
        "procs",
        "11",
    ),
    "negative request": (swf_row(2, requested_s=-5), [1, 2, 3], "requested_s", "-5"),
    "negative wait": (swf_row(2, wait_s=-7), [1, 2, 3], "wait_s", "-7"),
    "negative submission": (swf_row(2, submit_s=-20), [1, 3], "submit_s", "-20"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_strict_names_the_place_of_a_defect(write_swf_text: Write, defect: str) -> None:
    bad, _, field, value = DEFECTS[defect]
    path = write_swf_text(SOUND[0], bad, SOUND[2])
    with pytest.raises(TraceError) as caught:
        read_swf(path)
    error = caught.value
    assert Path(error.path) == path
    assert error.line == FIRST + 1
    assert str(path) in str(error)
    assert str(FIRST + 1) in str(error)
    if field is not None and value is not None:
        assert (error.field, error.value) == (field, value)
        assert field in str(error)
        assert value in str(error)


@pytest.mark.parametrize("defect", DEFECTS)
def test_lenient_counts_a_defect(write_swf_text: Write, defect: str) -> None:
    bad, kept, field, value = DEFECTS[defect]
    workload = read_swf(write_swf_text(SOUND[0], bad, SOUND[2]), strict=False)
    assert list(workload.jobs["job"]) == kept
    assert dropped(workload) == 3 - len(kept)
    rows = workload.cleaning[workload.cleaning["line"] == FIRST + 1]
    assert len(rows) >= 1
    if field is not None:
        assert field in list(rows["field"])
        assert value in list(rows["value"])


def test_a_negative_request_is_missing_when_lenient(write_swf_text: Write) -> None:
    path = write_swf_text(swf_row(1, requested_s=-5))
    assert np.isnan(read_swf(path, strict=False).jobs["requested_s"].iloc[0])


def test_submissions_out_of_order(write_swf_text: Write) -> None:
    rows = [swf_row(1, submit_s=50), swf_row(2, submit_s=20), swf_row(3, submit_s=50)]
    path = write_swf_text(*rows)
    with pytest.raises(TraceError) as caught:
        read_swf(path)
    assert caught.value.line == FIRST + 1
    assert caught.value.field == "submit_s"
    assert caught.value.value == "20"
    workload = read_swf(path, strict=False)
    assert list(workload.jobs["job"]) == [2, 1, 3]  # sorted, ties in trace order
    assert "submit_s" in list(workload.cleaning["field"])


def test_an_unknown_submission_is_not_out_of_order(write_swf_text: Write) -> None:
    workload = read_swf(write_swf_text(swf_row(1), swf_row(2, submit_s=-1), swf_row(3)))
    assert list(workload.jobs["job"]) == [1, 3]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_carriage_returns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trace.swf{suffix}"
    text = (SWF_HEADER + "".join(SOUND)).replace("\n", "\r\n").encode()
    path.write_bytes(COMPRESS[suffix](text))
    with pytest.raises(TraceError):
        read_swf(path)
    workload = read_swf(path, strict=False)
    assert list(workload.jobs["job"]) == [1, 2, 3]
    assert workload.procs == 10
    assert workload.timezone == "Europe/London"
    assert len(workload.cleaning) >= 1
    assert dropped(workload) == 0


def test_carriage_returns_do_not_shift_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    text = SWF_HEADER + SOUND[0] + "1 2 3\n" + SOUND[2]
    path.write_bytes(text.replace("\n", "\r\n").encode())
    cleaning = read_swf(path, strict=False).cleaning
    assert list(cleaning.loc[cleaning["action"] == "dropped", "line"]) == [FIRST + 1]


def test_a_header_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    header = "; Installation: Université\n; MaxProcs: 10\n"
    path.write_bytes((header + SOUND[0]).encode("latin-1"))
    with pytest.raises(TraceError):
        read_swf(path)
    workload = read_swf(path, strict=False)
    assert len(workload.jobs) == 1
    assert len(workload.cleaning) >= 1


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_truncated_file(tmp_path: Path, suffix: str) -> None:
    rows = "".join(swf_row(job) for job in range(1, 20001))
    path = tmp_path / f"trace.swf{suffix}"
    whole = COMPRESS[suffix]((SWF_HEADER + rows).encode())
    path.write_bytes(whole[: -len(whole) // 10])
    with pytest.raises(TraceError):
        read_swf(path)
    if suffix == ".bz2":  # blocks of 900 kB: nothing at all may be readable
        return
    workload = read_swf(path, strict=False)
    assert 0 < len(workload.jobs) < 20000
    assert_array_equal(workload.jobs["job"], np.arange(1, len(workload.jobs) + 1))
    assert len(workload.cleaning) >= 1


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_file_that_lost_only_its_checksum_is_truncated(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "trace.swf.gz"
    path.write_bytes(gzip.compress((SWF_HEADER + "".join(SOUND)).encode())[:-lost])
    with pytest.raises(TraceError):
        read_swf(path)
    workload = read_swf(path, strict=False)
    assert list(workload.jobs["job"]) == [1, 2, 3]
    assert len(workload.cleaning) >= 1


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_file_of_several_streams_is_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    # `cat a.gz b.gz` is a valid .gz, and so for the others.
    path = tmp_path / f"trace.swf{suffix}"
    pack = COMPRESS[suffix]
    path.write_bytes(pack((SWF_HEADER + SOUND[0]).encode()) + pack("".join(SOUND[1:]).encode()))
    assert list(read_swf(path).jobs["job"]) == [1, 2, 3]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "text", [b"", b"\n\n", SWF_HEADER.encode()], ids=["empty", "blank", "header"]
)
@pytest.mark.parametrize("suffix", COMPRESS)
def test_an_empty_file_raises_always(
    tmp_path: Path, suffix: str, text: bytes, strict: bool
) -> None:
    path = tmp_path / f"trace.swf{suffix}"
    path.write_bytes(COMPRESS[suffix](text))
    with pytest.raises(TraceError):
        read_swf(path, strict=strict, procs=10)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_every_compression_reads_alike(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trace.swf{suffix}"
    path.write_bytes(COMPRESS[suffix]((SWF_HEADER + "".join(SOUND)).encode()))
    workload = read_swf(path)
    assert list(workload.jobs["job"]) == [1, 2, 3]
    assert workload.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_spaces_tabs_blank_lines_and_no_last_newline(write_swf_text: Write) -> None:
    rows = ["\n", "   " + SOUND[0], SOUND[1].replace(" ", "\t"), "  \n", SOUND[2].rstrip("\n")]
    workload = read_swf(write_swf_text(*rows))
    assert list(workload.jobs["job"]) == [1, 2, 3]
    assert dropped(workload) == 0


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises((FileNotFoundError, TraceError), match=r"absent\.swf"):
        read_swf(tmp_path / "absent.swf")


def test_a_reader_that_reports_does_not_warn_as_well(write_swf_text: Callable[..., Path]) -> None:
    path = write_swf_text(swf_row(1), swf_row(2, runtime_s=0), swf_row(3, procs=99))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = read_swf(path, strict=False)
    assert repr(workload).endswith("2 rows dropped)")
