"""What sacct prints in one field, as a number: durations, sizes, counts, energies, TRES.

A parser takes the text and returns a float, NaN for what Slurm writes when it does not know.
It raises ValueError for anything else.
"""

import re
from collections.abc import Callable
from math import nan

import numpy as np
import pandas as pd

from exawatt.stats import Floats

Parser = Callable[[str], float]

#: What stands for "unknown", or for "as long as the partition allows", in small letters.
UNKNOWN = frozenset(
    ["", "unknown", "none", "invalid", "unlimited", "partition_limit", "n/a", "(null)", "nan"]
)
_DURATION = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d\d(?:\.\d+)?)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SUFFIXED = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)[Bb]?")
_GRES = re.compile(r"(?:^|[,:])gpu(?::[^:,()=]+)?[:=](\d+)(?=$|[,(])")
_POWER = {letter: power for power, letter in enumerate(["", *"KMGTPE"])}
#: What Slurm stores for "not set" and "infinite", in 32 and in 64 bits.
_NOT_SET = 2.0**32 - 2, 2.0**32 - 1
_NOT_SET_64 = 2.0**64 - 2**11


def duration(text: str) -> float:
    """``[[days-]hours:]minutes:seconds[.fraction]`` in seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("is no duration ([days-]hours:minutes:seconds)")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def number(text: str) -> float:
    """Plain number that is not negative."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("is no number of at least 0")
    value = float(text)
    return nan if value in _NOT_SET or value >= _NOT_SET_64 else value


def minutes(text: str) -> float:
    """Minutes, in seconds."""
    return 60 * number(text)


def count(text: str) -> float:
    """Number of processors or nodes; Slurm shortens 2048 to 2K."""
    return number(text) if text.isdigit() else _suffixed(text, 1024)


def energy(text: str) -> float:
    """Joules, which Slurm shortens by thousands and not by 1024; 0 is unknown."""
    value = number(text) if _NUMBER.fullmatch(text) else _suffixed(text, 1000)
    return value if value > 0 else nan


def size(unit: str) -> Parser:
    """Parser of a memory size, in kB of 1024 bytes; `unit` is meant where no letter stands."""

    def parse(text: str) -> float:
        return _suffixed(text, 1024, unit) / 1024

    return parse


def request(basis: str) -> Parser:
    """Parser of ReqMem in kB, where it is meant per cpu ("c"), per node ("n") or in all ("").

    A request of 0 means all memory of the node, an amount that the file does not tell.
    """
    parse_size = size("M")

    def parse(text: str) -> float:
        value = parse_size(text.rstrip("cn"))
        mine = text.endswith(basis) if basis else text[-1] not in "cn"
        return value if mine and value > 0 else nan

    return parse


def tres(name: str, parse: Parser) -> Parser:
    """Parser of one trackable resource in ``cpu=4,mem=16G,node=1``."""

    def parse_list(text: str) -> float:
        for entry in text.split(","):
            key, equals, value = entry.partition("=")
            if not equals:
                raise ValueError("is no list of resources (cpu=4,mem=16G,node=1)")
            if key == name:
                return parse(value)
        return nan

    return parse_list


def tres_gpus(text: str) -> float:
    """GPUs in a list of TRES: the total where it stands, else the sum over types."""
    total = tres("gres/gpu", count)(text)
    typed = [entry for entry in text.split(",") if entry.startswith("gres/gpu:")]
    if total == total or not typed:
        return total
    return sum(count(entry.partition("=")[2]) for entry in typed)


def gres_gpus(text: str) -> float:
    """GPUs in ``gpu:2``, ``gpu:a100:2`` or ``gpu:a100:1,gpu:v100:1``; other devices count 0."""
    return float(sum(int(found) for found in _GRES.findall(text)))


def _suffixed(text: str, base: int, unit: str = "") -> float:
    found = _SUFFIXED.fullmatch(text)
    if found is None:
        raise ValueError("is no number with one of the letters K, M, G, T, P, E")
    value, letter = found.groups()
    return float(value) * float(base) ** _POWER[letter or unit]


def parse_column(texts: pd.Series, parse: Parser) -> tuple[Floats, dict[int, str]]:
    """Numbers of a column, and by row what is wrong with texts that are none.

    Each different text is parsed once: most columns repeat themselves.
    """
    codes, distinct = pd.factorize(texts)
    values = np.full(len(distinct), nan)
    problems: dict[int, str] = {}
    for code, text in enumerate(distinct):
        if text.lower() in UNKNOWN:
            continue
        try:
            values[code] = parse(text)
        except ValueError as error:
            problems[code] = str(error)
    bad = np.flatnonzero(np.isin(codes, list(problems)))
    return values[codes], {int(row): problems[codes[row]] for row in bad}
