"""Sets of hosts: Batsim's text "0-3 7", kept as the bits of one whole number.

A set of hosts is checked and joined in one operation however many hosts it has, which is what
lets the simulator keep up with a scheduler that answers ten thousand messages a second.
"""

from collections.abc import Iterator
from functools import lru_cache

MOST = 1 << 24
"""More hosts than any platform has."""
_DIGITS = 60


@lru_cache(maxsize=4096)
def parse(text: str, most: int = MOST) -> int:
    """Hosts named by intervals such as ``"0-3 7"``, as bits.

    Parameters
    ----------
    text : str
        The intervals.
    most : int
        How many hosts there are.

    Raises
    ------
    ValueError
        The text holds what is no interval, or names a host twice.
    IndexError
        It names hosts that do not exist.
    """
    hosts = 0
    for part in text.split():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{part!r} is no interval; pass hosts as in '0-3 7'.")
        if len(first) > _DIGITS or len(last) > _DIGITS:
            raise IndexError(f"{part[:60]!r} names hosts that do not exist; pass 0-{most - 1}.")
        low = int(first)
        high = int(last) if dash else low
        if high < low:
            raise ValueError(f"interval {part!r} runs backwards; pass '{high}-{low}'.")
        if high >= most:
            raise IndexError(f"{part!r} names hosts that do not exist; pass 0-{most - 1}.")
        bits = ((1 << (high - low + 1)) - 1) << low
        if hosts & bits:
            raise ValueError(f"{part!r} of {text!r} names a host twice.")
        hosts |= bits
    return hosts


@lru_cache(maxsize=4096)
def text(hosts: int) -> str:
    """Intervals of a set of hosts, in order: ``"0-3 7"``."""
    return " ".join(
        [str(low) if end == low + 1 else f"{low}-{end - 1}" for low, end in runs(hosts)]
    )


def runs(hosts: int) -> Iterator[tuple[int, int]]:
    """First host of each interval of a set, and the number after its last, in order."""
    end = 0
    while hosts:
        gap = (hosts & -hosts).bit_length() - 1
        hosts >>= gap
        low = end + gap
        length = (~hosts & (hosts + 1)).bit_length() - 1
        end = low + length
        yield low, end
        hosts >>= length


def members(hosts: int) -> Iterator[int]:
    """Numbers of the hosts in a set, in order."""
    while hosts:
        lowest = hosts & -hosts
        yield lowest.bit_length() - 1
        hosts ^= lowest
