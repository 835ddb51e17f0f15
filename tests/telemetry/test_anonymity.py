"""Whatever is asked, what comes out satisfies the rule; and no more is lost than must be."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exawatt.telemetry.anonymity import (
    AnonymityError,
    Rule,
    anonymise,
    category_levels,
    cells,
    failing,
    merge_rare,
    number_levels,
    refuse,
    time_levels,
)

DAY_S = 86400


def jobs_of(users: int, **columns: object) -> pd.DataFrame:
    """Return one such job of each user."""
    return pd.DataFrame({**columns, "user": [f"u{n}" for n in range(users)]})


def satisfies(table: pd.DataFrame, names: list[str], rule: Rule) -> bool:
    """Check a rule in other words than the code's: plain Python over the rows."""
    found: dict[tuple[str, ...], list[object]] = {}
    for row in table.to_dict("records"):
        user = row["user"]
        known = None if user in (None, "", -1) or user != user else user
        found.setdefault(tuple(str(row[name]) for name in names), []).append(known)
    return all(
        len(users) >= rule.k and len(set(users)) >= rule.min_users for users in found.values()
    )


def test_rows_are_not_users() -> None:
    jobs = pd.DataFrame({"procs": 8, "user": ["alice"] * 13})
    assert cells(jobs, ["procs"]).to_dict("records") == [{"procs": 8, "rows": 13, "users": 1}]
    assert len(failing(jobs, ["procs"], Rule())) == 1
    assert anonymise(jobs, ["procs"]).table.empty


def test_unknown_users_count_as_one() -> None:
    jobs = pd.DataFrame({"procs": 8, "user": ["a", "b", None, "", None, None]})
    assert cells(jobs, ["procs"])["users"].item() == 3


def test_missing_is_a_value() -> None:
    jobs = pd.concat([jobs_of(5, procs=np.nan), jobs_of(3, procs=8.0)])
    found = cells(jobs, ["procs"])
    assert sorted(found["rows"]) == [3, 5]
    assert len(failing(jobs, ["procs"], Rule())) == 1


def test_a_table_that_satisfies_is_left_alone() -> None:
    jobs = pd.concat([jobs_of(5, procs=7), jobs_of(6, procs=9)], ignore_index=True)
    found = anonymise(jobs, ["procs"])
    pd.testing.assert_frame_equal(found.table, jobs)
    assert found.levels == {"procs": "as it is"}
    assert found.suppressed.empty


def test_generalising_comes_before_suppressing() -> None:
    # Alone each size has 3 users; within three significant bits 16 and 17 are one.
    jobs = pd.concat([jobs_of(3, procs=16), jobs_of(6, procs=17).tail(3)], ignore_index=True)
    found = anonymise(jobs, ["procs"])
    assert found.levels == {"procs": "mean of a bin between numbers of 3 significant bits"}
    assert len(found.table) == 6
    assert found.table["procs"].unique() == [16]  # the mean, 16.5, to the even


def test_a_rare_outlier_is_suppressed_rather_than_all_generalised() -> None:
    jobs = pd.concat([jobs_of(99, procs=1), jobs_of(1, procs=4096)], ignore_index=True)
    found = anonymise(jobs, ["procs"])
    assert found.levels == {"procs": "as it is"}
    assert found.suppressed.to_dict("records") == [{"procs": 4096, "rows": 1, "users": 1}]
    assert len(found.table) == 99
    strict = anonymise(jobs, ["procs"], max_suppressed=0)
    assert strict.levels == {"procs": "not published"}
    assert len(strict.table) == 100
    assert set(strict.table["procs"]) == {-1}


def test_weights_keep_few_but_large_jobs() -> None:
    jobs = pd.concat([jobs_of(99, procs=1), jobs_of(1, procs=4096)], ignore_index=True)
    found = anonymise(jobs, ["procs"], weights=jobs["procs"])
    assert len(found.table) == 100


def test_the_choice_of_least_loss_is_taken() -> None:
    # Merging the partition's two values loses all of its one bit, weeks lose less of the times.
    jobs = pd.concat(
        [
            jobs_of(5, submit_s=float(day * DAY_S), partition=f"p{week}")
            .assign(user=[f"u{day}-{n}" for n in range(5)])
            .head(1)
            for week in range(2)
            for day in range(7 * week, 7 * week + 7)
        ],
        ignore_index=True,
    )
    found = anonymise(jobs, ["submit_s", "partition"], kinds={"submit_s": "time"})
    assert found.levels == {"submit_s": "week", "partition": "as it is"}
    assert len(found.table) == 14


def test_of_equal_losses_the_first_named_column_stays_exact() -> None:
    # Crossed, each column alone has six users a value, and both together three.
    crossed = pd.DataFrame(
        {"a": list("xxxxxxyyyyyy"), "b": list("xxxyyyxxxyyy"), "user": range(12)}
    )
    for names in (["a", "b"], ["b", "a"]):
        found = anonymise(crossed, names)
        assert found.levels == {names[0]: "as it is", names[1]: "not published"}


def test_levels_of_numbers() -> None:
    numbers = pd.Series([0, 1, 5, 9, 11, 100, -1])
    levels = {name: list(column) for name, column in number_levels(numbers)}
    assert list(levels.values()) == [
        [0, 1, 5, 9, 11, 100, -1],
        [0, 1, 5, 8, 10, 96, -1],
        [0, 1, 4, 8, 8, 96, -1],
        [0, 1, 4, 8, 8, 64, -1],
        [0, 1, 4, 4, 4, 64, -1],
        [0, 1, 1, 1, 1, 16, -1],
        [-1] * 7,
    ]


def test_durations_only_become_longer() -> None:
    seconds = pd.Series([60.0, 3600.0, 90000.0, np.nan])
    levels = dict(number_levels(seconds, up=True))
    assert list(levels["rounded up to numbers of 3 significant bits"][:3]) == [
        64,
        4096,
        98304,
    ]
    assert list(levels["rounded up to powers of 4"][:3]) == [64, 4096, 262144]
    assert all((column.dropna() >= seconds.dropna()).all() for column in list(levels.values())[:-1])
    assert all(column.isna()[3] for column in list(levels.values())[:-1])


def test_levels_of_times() -> None:
    moment = pd.Series([30 * DAY_S + 5 * 3600 + 61.0])
    assert [column[0] for _, column in time_levels(moment)] == [
        30 * DAY_S + 5 * 3600 + 61, 30 * DAY_S + 5 * 3600, 30 * DAY_S, 28 * DAY_S, 28 * DAY_S, -1,
    ]  # fmt: skip


def test_levels_of_categories() -> None:
    rare = [jobs_of(4, queue="gpu"), jobs_of(5, queue=None).tail(1)]
    jobs = pd.concat([jobs_of(5, queue="long"), *rare])
    levels = category_levels(jobs["queue"], jobs["user"], Rule())
    assert list(levels[1][1]) == ["long"] * 5 + ["other"] * 5
    assert list(levels[2][1]) == ["*"] * 10
    numbered = jobs.assign(queue=jobs["queue"].map({"long": 3, "gpu": 4}).fillna(9).astype(int))
    assert (
        list(category_levels(numbered["queue"], jobs["user"], Rule())[1][1]) == [3] * 5 + [-1] * 5
    )


def test_one_rare_value_takes_others_with_it() -> None:
    # Alone, "other" would be the name of one user's jobs.
    jobs = pd.concat(
        [jobs_of(9, queue="cpu"), jobs_of(6, queue="gpu"), jobs_of(1, queue="secretgpu")],
        ignore_index=True,
    )
    merged = merge_rare(jobs["queue"], jobs["user"], Rule())
    assert list(merged) == ["cpu"] * 9 + ["other"] * 7
    numbered = jobs.assign(queue=[3] * 9 + [-1] * 6 + [7])
    assert list(merge_rare(numbered["queue"], jobs["user"], Rule())) == [3] * 9 + [-1] * 7
    two = jobs[jobs["queue"] != "gpu"]
    assert set(merge_rare(two["queue"], two["user"], Rule())) == {"other"}


@given(
    values=st.lists(st.sampled_from(["a", "b", "c", "other", None]), max_size=60),
    numbers=st.booleans(),
    users=st.lists(st.integers(-1, 9), min_size=60, max_size=60),
)
def test_no_merged_value_is_rare(values: list[str | None], numbers: bool, users: list[int]) -> None:
    column = pd.Series(values, dtype="object")
    if numbers:
        column = column.map({"a": 1, "b": 2, "c": -1}).astype("float64")
    who = pd.Series(users[: len(values)], dtype="int64")
    merged = merge_rare(column, who, Rule(3, 3))
    small = failing(pd.DataFrame({"value": merged, "user": who}), ["value"], Rule(3, 3))
    assert small.empty or set(merged) <= {"other", -1}
    pairs = pd.DataFrame({"before": column, "after": merged}).drop_duplicates()
    assert not pairs["before"].duplicated().any()


@given(
    numbers=st.lists(st.one_of(st.floats(-1e12, 1e12), st.none(), st.integers(0, 10**6))),
    up=st.booleans(),
)
def test_each_level_merges_values_of_the_one_before(numbers: list[float | None], up: bool) -> None:
    column = pd.Series(numbers, dtype="float64")
    for levels in (number_levels(column, up=up), time_levels(column)):
        for (_, finer), (_, coarser) in pairwise(levels):
            pairs = pd.DataFrame({"finer": finer, "coarser": coarser}).drop_duplicates()
            assert not pairs["finer"].duplicated().any()


def test_a_table_that_fails_is_refused_with_its_cells() -> None:
    jobs = pd.concat([jobs_of(5, procs=8, queue="a"), jobs_of(2, procs=16, queue="b")])
    with pytest.raises(
        AnonymityError, match="1 cells have fewer than k=5 rows or 5 users"
    ) as error:
        refuse(jobs, ["procs", "queue"], Rule())
    assert error.value.cells.to_dict("records") == [
        {"procs": 16, "queue": "b", "rows": 2, "users": 2}
    ]
    assert "16     b     2      2" in str(error.value)


def test_nonsense_is_refused() -> None:
    jobs = jobs_of(5, procs=8)
    with pytest.raises(ValueError, match=r"k\(=1\) must be at least 2"):
        Rule(k=1)
    with pytest.raises(ValueError, match=r"min_users\(=0\) must be at least 2"):
        Rule(min_users=0)
    with pytest.raises(ValueError, match=r"quasi_identifiers\(=''\) must name"):
        anonymise(jobs, [])
    with pytest.raises(ValueError, match=r"quasi_identifiers\(='procs,procs'\) .* each once"):
        anonymise(jobs, ["procs", "procs"])
    with pytest.raises(ValueError, match="no column 'nodes'; it has "):
        anonymise(jobs, ["nodes"])
    with pytest.raises(ValueError, match="cannot be a quasi-identifier"):
        anonymise(jobs, ["user"])
    with pytest.raises(ValueError, match=r"max_suppressed\(=2\)"):
        anonymise(jobs, ["procs"], max_suppressed=2)


row = st.fixed_dictionaries(
    {
        "procs": st.one_of(st.integers(0, 200), st.just(-1)),
        "requested_s": st.one_of(st.floats(0, 1e6), st.just(float("nan"))),
        "submit_s": st.floats(0, 1e7),
        "queue": st.sampled_from(["short", "long", "other", "", None]),
        "partition": st.integers(-1, 3),
        "user": st.one_of(st.sampled_from([None, "", "a", "b"]), st.integers(-1, 12)),
    }
)
columns = ["procs", "requested_s", "submit_s", "queue", "partition"]


@settings(max_examples=50)
@given(
    rows=st.lists(row, max_size=80),
    copies=st.integers(1, 8),
    names=st.lists(st.sampled_from(columns), min_size=1, unique=True),
    k=st.integers(2, 8),
    min_users=st.integers(2, 6),
    max_suppressed=st.floats(0, 1),
)
def test_the_result_always_satisfies_the_rule(
    rows: list[dict[str, object]],
    copies: int,
    names: list[str],
    k: int,
    min_users: int,
    max_suppressed: float,
) -> None:
    jobs = pd.DataFrame(rows * copies, columns=[*columns, "user"])
    rule = Rule(k=k, min_users=min_users)
    kinds = {"submit_s": "time", "requested_s": "duration", "partition": "category"}
    found = anonymise(jobs, names, rule, max_suppressed=max_suppressed, kinds=kinds)
    assert satisfies(found.table, names, rule)
    assert failing(found.table, names, rule).empty
    lost = len(jobs) - len(found.table)
    assert found.suppressed["rows"].sum() == lost
    # Only the named columns change, and more is lost than allowed only if nothing else satisfies.
    others = [name for name in jobs if name not in names]
    pd.testing.assert_frame_equal(found.table[others], jobs.loc[found.table.index, others])
    if lost > max_suppressed * len(jobs) + 1e-6:
        assert found.table.empty
