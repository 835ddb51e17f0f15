"""The inner loop of the SWF reader: bytes to numbers, one pass, no objects."""

import numpy as np
from numba import njit

N_FIELDS = 18
#: What a line is. ODD lines hold something that this loop leaves to slower, kinder code.
BLANK, HEADER, DATA, ODD = 0, 1, 2, 3
#: More digits than this may not fit a double exactly.
_EXACT_DIGITS = 15

_NEWLINE, _SPACE, _TAB, _SEMICOLON, _MINUS, _POINT, _ZERO, _NINE = 10, 32, 9, 59, 45, 46, 48, 57


@njit(cache=True, nogil=True)
def parse_lines(text, values, begin, kind):  # type: ignore[no-untyped-def]
    """Parse every line of an SWF text.

    Parameters
    ----------
    text : ndarray of uint8
        The file's bytes.
    values : ndarray of float64, shape (18, n_lines)
        Receives the fields of each DATA line, in that line's column.
    begin : ndarray of int64, shape (n_lines + 1,)
        Receives the offset at which each line begins, and the end of the text.
    kind : ndarray of int8, shape (n_lines,)
        Receives BLANK, HEADER, DATA or ODD for each line.

    Notes
    -----
    Understands ``[-]digits[.digits]`` of up to 15 digits between blanks: mantissa and power of
    ten are then exact doubles, so their quotient is the correctly rounded number.
    """
    size = text.size
    at = 0
    for line in range(kind.size):
        begin[line] = at
        fields = 0
        kind[line] = BLANK
        while at < size and text[at] != _NEWLINE:
            char = text[at]
            if char == _SPACE or char == _TAB:
                at += 1
                continue
            if fields == 0 and char == _SEMICOLON:
                kind[line] = HEADER
                break
            negative = char == _MINUS
            if negative:
                at += 1
            mantissa, digits, scale, in_fraction = 0, 0, 1.0, False
            while at < size:
                char = text[at]
                if _ZERO <= char <= _NINE:
                    mantissa = mantissa * 10 + (char - _ZERO)
                    digits += 1
                    if in_fraction:
                        scale *= 10.0
                elif char == _POINT and not in_fraction:
                    in_fraction = True
                else:
                    break
                at += 1
            ends = at == size or text[at] == _SPACE or text[at] == _TAB or text[at] == _NEWLINE
            if not ends or digits == 0 or digits > _EXACT_DIGITS or fields == N_FIELDS:
                kind[line] = ODD
                break
            number = mantissa / scale
            values[fields, line] = -number if negative else number
            fields += 1
        if fields and kind[line] == BLANK:
            kind[line] = DATA if fields == N_FIELDS else ODD
        while at < size and text[at] != _NEWLINE:
            at += 1
        at += 1
    begin[kind.size] = min(at, size)


def split_lines(text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fields, offsets and kinds of all lines; see :func:`parse_lines`."""
    n_lines = text.count(b"\n") + (not text.endswith(b"\n"))
    values = np.zeros((N_FIELDS, n_lines))
    begin = np.empty(n_lines + 1, dtype=np.int64)
    kind = np.empty(n_lines, dtype=np.int8)
    parse_lines(np.frombuffer(text, dtype=np.uint8), values, begin, kind)
    return values, begin, kind
