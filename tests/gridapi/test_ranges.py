"""Cutting ranges and joining answers: nothing lost, nothing doubled, nothing invented."""

import pandas as pd
import pytest
from gridservice import HALF_HOUR, national, utc
from hypothesis import given
from hypothesis import strategies as st

from exawatt.gridapi import answers
from exawatt.gridapi.ranges import absent, chunks, fill, join

LONGEST = pd.Timedelta(days=13)


@given(st.integers(0, 60_000), st.integers(1, 20_000), st.integers(48, 800))
def test_pieces_follow_each_other(first: int, length: int, longest: int) -> None:
    start = utc("2019-06-01") + first * HALF_HOUR
    end = start + length * HALF_HOUR
    pieces = chunks(start, end, longest * HALF_HOUR)
    assert [pieces[0][0], *(stop for _, stop in pieces)] == [
        *(begin for begin, _ in pieces),
        end,
    ]
    for begin, stop in pieces:
        assert HALF_HOUR <= stop - begin <= longest * HALF_HOUR
        assert (stop - pd.Timedelta(1)).year == begin.year


def test_a_year_takes_29_requests() -> None:
    assert len(chunks(utc("2023-01-01"), utc("2024-01-01"), LONGEST)) == 29
    winter = chunks(utc("2022-12-28"), utc("2023-01-04"), LONGEST)
    assert [stop for _, stop in winter] == [utc("2023-01-01"), utc("2023-01-04")]
    assert len(chunks(utc("2022-12-28"), utc("2023-01-04"), LONGEST, at_new_year=False)) == 1


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (utc("2023-01-01 00:10"), utc("2023-01-02"), "start.*half-hour"),
        (utc("2023-01-01"), pd.Timestamp("2023-01-02"), "end.*UTC"),
        (utc("2023-01-02"), utc("2023-01-01"), "empty"),
        (utc("2023-01-02"), utc("2023-01-02"), "empty"),
    ],
)
def test_an_impossible_range(start: pd.Timestamp, end: pd.Timestamp, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        chunks(start, end, LONGEST)


def table(*rows: tuple[str, float | None]) -> pd.DataFrame:
    return answers.national([national(utc(time), actual) for time, actual in rows])


def test_the_last_known_value_of_a_half_hour_is_taken() -> None:
    # 19:00 on 19 April 2021 is on record twice with different values.
    rows = table(
        ("2021-04-19 19:30", 190),
        ("2021-04-19 19:00", 160),
        ("2021-04-19 19:00", 172),
        ("2021-04-19 20:00", 200),
        ("2021-04-19 20:00", None),
        ("2021-04-19 20:30", 5),
        ("2021-04-19 20:30", 5),
    )
    joined = join(rows, "actual", ["from"])
    assert joined.table["actual"].tolist() == [172, 190, 200, 5]
    assert joined.table["from"].is_monotonic_increasing
    assert joined.contested == (utc("2021-04-19 19:00"),)


def test_what_a_table_lacks() -> None:
    rows = table(("2023-01-01 00:00", 1), ("2023-01-01 01:00", None))
    lacks = absent(rows, utc("2023-01-01"), utc("2023-01-01 02:00"))
    assert list(lacks) == [utc("2023-01-01 00:30"), utc("2023-01-01 01:30")]


def test_a_fill_is_marked_and_leaves_the_rest_alone() -> None:
    begin = utc("2023-01-01")
    times = [begin + k * HALF_HOUR for k in range(3 * 336)]
    rows = answers.national([national(time, 100 + k) for k, time in enumerate(times)])
    absent_one, unknown_one = 336 + 5, 336 + 7
    rows.loc[unknown_one, "actual"] = None
    gappy = rows.drop(index=absent_one)
    filled = fill(gappy, begin, times[-1] + HALF_HOUR, "week")
    assert len(filled) == len(rows)
    marked = filled[filled["fill"].notna()]
    # Means of the weeks before and after: 105 and 777, 107 and 779.
    assert marked[["from", "actual"]].values.tolist() == [
        [times[absent_one], 441],
        [times[unknown_one], 443],
    ]
    assert set(marked["fill"]) == {"week"}
    untouched = filled[filled["fill"].isna()].drop(columns="fill").reset_index(drop=True)
    kept = rows.drop(index=[absent_one, unknown_one]).reset_index(drop=True)
    pd.testing.assert_frame_equal(untouched, kept, check_dtype=False)


def test_what_no_week_knows_stays_a_gap() -> None:
    rows = table(("2023-01-01 00:00", 1), ("2023-01-01 01:00", None))
    filled = fill(rows, utc("2023-01-01"), utc("2023-01-01 02:00"), "week")
    assert filled["fill"].isna().all()
    assert filled["from"].tolist() == rows["from"].tolist()
