"""Properties of reading accounting: values survive being written, sizes survive being inferred."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.readers import TraceError, read_sacct
from exawatt.readers import _sacct_values as values
from exawatt.readers._sacct_allocation import infer
from exawatt.readers._sacct_times import parse_instants

HEADER = "JobID|State|Submit|Start|ElapsedRaw|AllocCPUS|ConsumedEnergyRaw|AllocTRES\n"


def written(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


@given(st.integers(0, 10**8), st.integers(0, 999))
def test_durations_survive(seconds: int, milliseconds: int) -> None:
    assert values.duration(written(seconds)) == seconds
    assert values.duration(f"{written(seconds)}.{milliseconds:03}") == pytest.approx(
        seconds + milliseconds / 1000, abs=1e-6
    )


@given(st.integers(0, 59), st.integers(0, 59))
def test_short_durations_survive(minutes: int, seconds: int) -> None:
    assert values.duration(f"{minutes:02}:{seconds:02}.500") == 60 * minutes + seconds + 0.5


@given(st.integers(1, 10**6), st.sampled_from("KMGTPE"))
def test_sizes_are_powers_of_1024_and_energies_of_1000(amount: int, letter: str) -> None:
    power = "KMGTPE".index(letter)
    assert values.size("")(f"{amount}{letter}") == amount * 1024.0**power
    assert values.request("n")(f"{amount}{letter}n") == amount * 1024.0**power
    assert values.energy(f"{amount}{letter}") == pytest.approx(amount * 1000.0 ** (power + 1))


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("billing=4,cpu=4,gres/gpu=2,gres/gpu:a100=2,mem=16G,node=1", 2),
        ("cpu=4,gres/gpu:a100=2,gres/gpu:v100=1", 3),
        ("cpu=4,gres/gpumem=80G,gres/gpuutil=37,mem=16G", np.nan),
    ],
)
def test_gpus_of_a_tres_list_are_counted_once(text: str, gpus: float) -> None:
    np.testing.assert_equal(values.tres_gpus(text), gpus)


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu:2", 2),
        ("gpu:tesla:2", 2),
        ("gres:gpu:a100:4", 4),
        ("gpu:a100:2(S:0-1),gpu:v100:1", 3),
        ("mps:100", 0),
    ],
)
def test_gpus_of_allocgres(text: str, gpus: float) -> None:
    assert values.gres_gpus(text) == gpus


def test_energy_letters_are_decimal_and_counts_are_not() -> None:
    assert values.energy("1.23K") == 1230
    assert values.count("2K") == 2048
    assert np.isnan(values.energy("0"))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31)), st.booleans())
def test_instants_survive_any_way_of_writing(instant: datetime, later: bool) -> None:
    zone = ZoneInfo("Europe/Zurich")
    utc = instant.replace(microsecond=0, tzinfo=UTC)
    seconds, local = utc.timestamp(), utc.astimezone(zone)
    wall = f"{local:%Y-%m-%dT%H:%M:%S}"
    texts = [f"{local:%Y-%m-%dT%H:%M:%S%z}", f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{seconds:.0f}"]
    found = parse_instants(pd.Series(texts), zone, None)
    assert (found.utc_s == seconds).all() and not found.local.any()
    # Of an hour that comes twice, knowing what went before tells the second.
    before = np.array([seconds if later else -np.inf])
    placed = parse_instants(pd.Series([wall]), zone, before)
    off = 3600 if local.fold and not later else 0
    assert placed.utc_s[0] == seconds - off


@given(
    st.sampled_from([1, 2, 48, 256]),
    st.lists(
        st.tuples(st.integers(1, 600), st.integers(1, 4), st.integers(1, 10**5)),
        min_size=1,
        max_size=30,
    ),
)
def test_inferred_sizes_are_those_allocated(unit: int, jobs: list[tuple[int, int, int]]) -> None:
    # A job of one unit that ran one second pins the unit down.
    asked, nodes, elapsed = np.array([*jobs, (1, 1, 1)], dtype=float).T
    procs = np.maximum(np.ceil(asked / unit), nodes) * unit
    limit = np.where(elapsed > 50_000, elapsed, 10**6)
    partition = np.zeros(len(asked), dtype=int)
    found = infer(procs * elapsed, asked, nodes, partition, limit, elapsed == limit)
    np.testing.assert_array_equal(found.procs, procs)
    np.testing.assert_array_equal(found.elapsed_s, elapsed)
    assert not found.unclear.any()


def test_a_partition_whose_timed_out_jobs_disagree_is_not_believed() -> None:
    # Whole nodes of 48 were given, and once a shared one of 2: the unit looks like 2.
    procs = np.array([48.0, 48, 48, 2])
    elapsed = np.array([3600.0, 3600, 1001, 777])
    timed_out = np.array([True, True, False, False])
    found = infer(
        procs * elapsed, np.ones(4), np.ones(4), np.zeros(4, int), np.full(4, 3600.0), timed_out
    )
    assert found.unclear.all()
    assert [(f.action, f.count) for f in found.findings] == [("dropped", 4)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", ".batch", ".extern", ".0", ".17"]),
            st.integers(1, 9),
            st.sampled_from(["COMPLETED", "PENDING", "CANCELLED by 7", "TIMEOUT", ""]),
            st.sampled_from(["2024-06-24T12:00:00", "Unknown", "2024-06-24T13:00:00", "x"]),
            st.integers(0, 99),
            st.sampled_from(["|", ""]),
        ),
        max_size=25,
    )
)
def test_every_row_is_accounted_for(
    tmp_path: Path, rows: list[tuple[str, int, str, str, int, str]]
) -> None:
    sound = "99|COMPLETED|2024-06-24T12:00:00|2024-06-24T12:00:00|60|4|600|cpu=4\n"
    lines = [
        f"{job}{step}|{state}|2024-06-24T12:00:00|{start}|{number}|4|{number}|cpu=4{extra}\n"
        for step, job, state, start, number, extra in rows
    ]
    path = tmp_path / "jobs.txt"
    path.write_text(HEADER + sound + "".join(lines))
    workload = read_sacct(path, strict=False)
    cleaning = workload.cleaning
    gone = cleaning["reason"].str.contains("merged") | (cleaning["action"] == "dropped")
    assert len(workload) + cleaning.loc[gone, "count"].sum() == 1 + len(rows)
    assert (workload.jobs["runtime_s"] > 0).all()
    assert not (workload.jobs["power_w"] <= 0).any()


@given(st.binary(max_size=300))
def test_bytes_that_hold_no_job_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.txt"
    path.write_bytes(HEADER.encode() + content)
    with pytest.raises(TraceError):
        read_sacct(path, strict=False)
