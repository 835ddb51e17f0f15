"""Fuzzing of the SWF reader: nothing but TraceError, no row lost, and a round trip."""

import bz2
import gzip
import lzma
import warnings
from pathlib import Path

import pytest
import zstandard
from builders import SWF_HEADER, swf_row
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import exawatt as ew
from exawatt.readers import TraceError
from exawatt.readers.swf import read_swf, write_swf

SUFFIXES = ["", ".gz", ".bz2", ".xz", ".zst"]


def assert_reads_or_raises(path: Path) -> None:
    for strict in (True, False):
        try:
            workload = read_swf(path, strict=strict, procs=10)
        except TraceError as error:
            assert str(path) in str(error)
        else:
            assert isinstance(workload, ew.Workload)
            assert (workload.jobs["runtime_s"] > 0).all()
            assert workload.jobs["procs"].between(1, 10).all()
            assert workload.jobs["submit_s"].is_monotonic_increasing


@settings(max_examples=300)
@given(content=st.binary(max_size=400), suffix=st.sampled_from(SUFFIXES))
@example(content=b";", suffix="")
@example(content=b"\x00", suffix="")
@example(content=b"1 " * 18, suffix="")
@example(content=b"1 " * 17 + b"1" * 400, suffix="")
@example(content=b"1 " * 17 + b"1e400", suffix="")
@example(content=b"1 " * 17 + b"9223372036854775808", suffix="")
@example(content=b"1 " * 17 + "٣".encode(), suffix="")
@example(content=gzip.compress(b"1 " * 18) + b"rubbish", suffix=".gz")
@example(content=gzip.compress(b"1 " * 18)[:-4], suffix=".gz")
def test_arbitrary_bytes_raise_nothing_but_trace_errors(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"fuzz.swf{suffix}"
    path.write_bytes(content)
    assert_reads_or_raises(path)


FRAGMENTS = st.sampled_from(
    [
        b"; MaxProcs: 4\n",
        b"; MaxProcs: many\n",
        b"; MaxProcs: -3\n",
        b"; MaxNodes: 0\n",
        b"; UnixStartTime: never\n",
        b"; UnixStartTime: 99999999999999999999\n",
        b"; TimeZoneString: Europe/Atlantis\n",
        b"; TimeZoneString: ../../etc\n",
        b"; TimeZoneString:\n",
        b";\n",
        b";:\n",
        b"; caf\xe9: \xff\n",
        swf_row(1).encode(),
        swf_row(2, runtime_s="x").encode(),
        b"1 2 3\n",
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\x00",
        b"-",
        b"1e5 ",
    ]
)
FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=3)
COMMENTS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)


@settings(max_examples=300)
@given(parts=st.lists(FRAGMENTS, max_size=12), suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_odd_headers_and_lines_raise_nothing_but_trace_errors(
    tmp_path: Path, parts: list[bytes], suffix: str
) -> None:
    path = tmp_path / f"odd.swf{suffix}"
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    path.write_bytes(pack(b"".join(parts)))
    assert_reads_or_raises(path)


@settings(max_examples=200)
@given(flips=FLIPS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_raise_nothing_but_trace_errors(
    tmp_path: Path, suffix: str, flips: list[tuple[int, int]]
) -> None:
    text = (SWF_HEADER + "".join(swf_row(job) for job in range(1, 6))).encode()
    pack = {
        "": bytes,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    }[suffix]
    damaged = bytearray(pack(text))
    for place, mask in flips:
        damaged[place % len(damaged)] ^= mask
    path = tmp_path / f"damaged.swf{suffix}"
    path.write_bytes(bytes(damaged))
    assert_reads_or_raises(path)


ROW = st.one_of(
    st.builds(
        swf_row,
        st.integers(1, 99),
        submit_s=st.sampled_from([-1, 0, 5, 5, 10, 1000]),
        runtime_s=st.sampled_from([-1, 0, 1, 60, 0.5]),
        procs=st.sampled_from([-1, 0, 1, 10, 11]),
        requested_procs=st.sampled_from([-1, 0, 2, 12]),
        requested_s=st.sampled_from([-1, -3, 0, 60]),
    ),
    st.sampled_from([swf_row(3, cpu_s="?"), swf_row(4, user="inf"), "1 2 3\n", "oops\n"]),
)


@settings(max_examples=300)
@given(rows=st.lists(ROW, max_size=20))
def test_rows_in_the_file_are_jobs_kept_plus_rows_dropped(tmp_path: Path, rows: list[str]) -> None:
    path = tmp_path / "rows.swf"
    path.write_text(SWF_HEADER + swf_row(50, submit_s=0) + "".join(rows))
    workload = read_swf(path, strict=False)
    cleaning = workload.cleaning
    dropped = cleaning.loc[cleaning["action"] == "dropped", "count"].sum()
    assert len(workload.jobs) + dropped == 1 + len(rows)
    assert set(cleaning["action"]) <= {"dropped", "repaired", "noted"}
    assert (cleaning["count"] > 0).all()
    assert not cleaning.duplicated(["action", "reason", "field"]).any()


QUANTITY = st.one_of(st.just(-1), st.integers(0, 10**9), st.floats(0, 1e9, allow_subnormal=False))
IDENTITY = st.integers(-1, 10**6)
SOUND_ROW = st.fixed_dictionaries(
    {
        "submit_s": st.one_of(st.integers(0, 10**8), st.floats(0, 1e8, allow_subnormal=False)),
        "runtime_s": st.one_of(st.integers(1, 10**6), st.floats(0.01, 1e6)),
        "procs": st.integers(1, 10),
        "requested_s": st.one_of(st.just(-1), st.integers(1, 10**6), st.floats(0.01, 1e6)),
        "status": st.integers(-1, 5),
    }
    | dict.fromkeys(["wait_s", "cpu_s", "memory_kb", "think_time_s"], QUANTITY)
    | dict.fromkeys(["requested_memory_kb"], QUANTITY)
    | dict.fromkeys(["user", "group", "app", "queue", "partition", "preceding_job"], IDENTITY)
    | {"requested_procs": st.integers(-1, 10)}
)


@settings(max_examples=200)
@given(
    rows=st.lists(SOUND_ROW, min_size=1, max_size=8),
    comments=st.lists(COMMENTS.map(lambda text: f"; {text}\n"), max_size=3),
    suffix=st.sampled_from(SUFFIXES),
)
def test_a_written_workload_reads_back_equal(
    tmp_path: Path, rows: list[dict[str, float]], comments: list[str], suffix: str
) -> None:
    rows.sort(key=lambda row: row["submit_s"])
    path, copy = tmp_path / "first.swf", tmp_path / f"copy.swf{suffix}"
    lines = [swf_row(job, **row) for job, row in enumerate(rows, 1)]
    path.write_text(SWF_HEADER + "".join(comments) + "".join(lines), encoding="utf-8")
    first = read_swf(path)
    assert [float(value) for value in first.jobs["runtime_s"]] == [row["runtime_s"] for row in rows]
    write_swf(first, copy)
    second = read_swf(copy)
    assert_frame_equal(first.jobs, second.jobs)
    assert first.header == second.header
    for name in ("procs", "nodes", "start", "timezone", "tier"):
        assert getattr(first, name) == getattr(second, name)


def test_a_workload_made_in_memory_can_be_written(tmp_path: Path) -> None:
    table = {
        "submit_s": [0, 4.5],
        "runtime_s": [10, 20],
        "procs": [1, 3],
        "requested_s": [60, None],
    }
    workload = ew.Workload(table, procs=3, name="mine")
    write_swf(workload, tmp_path / "mine.swf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = read_swf(tmp_path / "mine.swf")
    columns = list(workload.jobs.columns)
    assert_frame_equal(again.jobs[columns], workload.jobs)
    assert (again.procs, again.nodes) == (3, 3)
