"""Sets of hosts as text and as bits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exawatt.batsim import intervals


@pytest.mark.parametrize(
    ("text", "hosts"),
    [("0", {0}), ("0-3 7", {0, 1, 2, 3, 7}), ("5-5", {5}), ("9 2-3", {2, 3, 9}), ("", set())],
)
def test_a_text_names_hosts(text: str, hosts: set[int]) -> None:
    assert set(intervals.members(intervals.parse(text))) == hosts


@given(st.sets(st.integers(0, 300)))
def test_text_and_bits_are_the_same_set(hosts: set[int]) -> None:
    bits = sum(1 << h for h in hosts)
    assert list(intervals.members(bits)) == sorted(hosts)
    text = intervals.text(bits)
    assert intervals.parse(text) == bits
    # As short as can be: no two intervals touch.
    ends = [[int(n) for n in part.split("-")] for part in text.split()]
    assert all(b[0] > a[-1] + 1 for a, b in pairwise(ends))


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1,2", "3-1", "0-2 1", "1--2", "1.5"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"interval|backwards|twice"):
        intervals.parse(text)


@pytest.mark.parametrize(
    "text",
    ["4", "0-4", "0-60000000000", f"0-{10**22}", "9" * 5000, f"0-{'9' * 5000}"],
)
def test_hosts_that_do_not_exist_are_refused_at_once(text: str) -> None:
    with pytest.raises(IndexError, match=r"names hosts that do not exist; pass 0-3"):
        intervals.parse(text, 4)
