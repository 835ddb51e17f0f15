"""An accounting file as a table of texts: its header, its separator, its sound lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv

from exawatt.readers._faults import Fault
from exawatt.readers.files import TraceError

_SEPARATORS = "|,;\t"
_BOM = b"\xef\xbb\xbf"
_NEWLINE, _QUOTE = ord("\n"), ord('"')

#: What to run where Slurm runs, to get a file with all that is read.
COMMAND = (
    "sacct --allusers --parsable2 --duplicates --starttime=2024-01-01 --endtime=now "
    "--format=JobID,JobIDRaw,User,Group,JobName,Partition,QOS,State,Submit,Eligible,Start,End,"
    "ElapsedRaw,TimelimitRaw,AllocCPUS,ReqCPUS,AllocNodes,ReqMem,MaxRSS,AllocTRES,ReqTRES,"
    "TotalCPU,CPUTimeRAW,ConsumedEnergyRaw,NodeList"
)


@dataclass(frozen=True)
class Table:
    """The sound lines of an accounting file.

    Attributes
    ----------
    texts : DataFrame of str
        The columns asked for, named in small letters.
    lines : ndarray of int
        Line of each row in the file, from 1.
    begin : ndarray of int
        Offset of each row in `text`.
    text : bytes
        The whole file.
    """

    texts: pd.DataFrame
    lines: np.ndarray
    begin: np.ndarray
    text: bytes

    def take(self, rows: np.ndarray) -> "Table":
        """Return the table of some rows."""
        texts = self.texts.iloc[rows].reset_index(drop=True)
        return Table(texts, self.lines[rows], self.begin[rows], self.text)

    def line(self, row: int) -> str:
        """Return one row as it stands in the file."""
        begin = int(self.begin[row])
        return self.text[begin : self.text.find(b"\n", begin)].decode("latin-1")


def header(text: bytes) -> tuple[list[str], str]:
    """Names in the first line, in small letters, and the character between them."""
    names, separator = _first_line(text)
    return [name.lower() for name in names], separator


def spelling(text: bytes) -> dict[str, str]:
    """Names as they stand in the first line, by their small letters."""
    return {name.lower(): name for name in _first_line(text)[0]}


def _first_line(text: bytes) -> tuple[list[str], str]:
    first = text.removeprefix(_BOM).partition(b"\n")[0].decode("latin-1").rstrip("\r")
    separator = max(_SEPARATORS, key=first.count)
    # A width, as in JobID%30, is part of what sacct was asked for and not of the name.
    return [name.partition("%")[0].strip(' "') for name in first.split(separator)], separator


def read_table(path: Path, text: bytes, wanted: Iterable[str]) -> tuple[Table, list[Fault]]:
    """Read the wanted columns of the lines that have as many fields as the header.

    Raises
    ------
    TraceError
        The header names a wanted column twice, or quotation marks do not pair up.
    """
    text = text.removeprefix(_BOM)
    if not text.endswith(b"\n"):
        text += b"\n"
    names, separator = header(text)
    chosen = [name for name in names if name in set(wanted)]
    if twice := next((name for name in chosen if chosen.count(name) > 1), None):
        raise TraceError(path, "the column is there twice.", 1, "header", twice)
    begin, lines, fields = _lines(text, separator)
    sound, faults = fields == len(names), []
    for row in np.flatnonzero(~sound):
        problem = f"the line has other than the header's {len(names)} fields"
        # How many, and not which: the report may be published, and names be among them.
        faults.append(Fault("dropped", problem, int(lines[row]), "fields", str(fields[row])))
    rows = _without(text, begin, sound)
    texts = _columns(path, rows, names, chosen, separator)
    if len(texts) != sound.sum():
        raise TraceError(path, "the quotation marks in it do not pair up; export with --parsable2.")
    return Table(texts, lines[sound], begin[sound], text), faults


def _columns(
    path: Path, rows: bytes, names: list[str], chosen: list[str], separator: str
) -> pd.DataFrame:
    if not chosen or not rows:
        return pd.DataFrame({name: pd.Series(dtype="str") for name in chosen})
    try:
        rows.decode("utf-8")
    except UnicodeDecodeError:  # names are only told apart: any reading of them will do
        rows = rows.decode("latin-1").encode("utf-8")
    quoted = separator == ","
    labels = [str(i) for i in range(len(names))]
    wanted = [labels[names.index(name)] for name in chosen]
    try:
        table = arrow_csv.read_csv(
            BytesIO(rows),
            arrow_csv.ReadOptions(column_names=labels, block_size=1 << 24),
            arrow_csv.ParseOptions(
                delimiter=separator,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise TraceError(path, f"cannot be read as a table ({error}).") from None
    return table.rename_columns(chosen).to_pandas()


def _lines(text: bytes, separator: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offset, line number and number of fields of each line below the header; none if blank."""
    codes = np.frombuffer(text, dtype=np.uint8)
    ends, marks = np.flatnonzero(codes == _NEWLINE), np.flatnonzero(codes == ord(separator))
    numbers = np.arange(1, ends.size + 1)
    if separator == ",":  # in such files a quoted field may hold commas and even line ends
        quotes = np.flatnonzero(codes == _QUOTE)
        whole = np.searchsorted(quotes, ends) % 2 == 0
        ends, numbers = ends[whole], numbers[whole]
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    begin = np.concatenate([[0], ends[:-1] + 1])
    numbers = np.concatenate([[1], numbers[:-1] + 1])
    below = ends > begin
    below[:1] = False
    return begin[below], numbers[below], fields[below]


def _without(text: bytes, begin: np.ndarray, sound: np.ndarray) -> bytes:
    """The text below the header without lines that are not sound."""
    if begin.size == 0:
        return b""
    pieces, kept_from = [], int(begin[0])
    for row in np.flatnonzero(~sound):
        pieces.append(text[kept_from : begin[row]])
        kept_from = int(begin[row + 1]) if row + 1 < begin.size else len(text)
    return b"".join([*pieces, text[kept_from:]])
