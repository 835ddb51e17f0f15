r"""Sample a source at absolute deadlines and append each sample to a file.

A tick is one reading of all zones or devices of a source. Its lines leave in one write on a
descriptor opened for appending, so that killing the recorder loses at most the tick in hand.

Notes
-----
Deadline :math:`k` is :math:`t_0 + k \Delta` on the monotonic clock, whatever happened before it:
a late tick does not shift the later ones. Deadlines that pass while a tick is being taken, or
while the machine does not let the recorder run, are skipped and counted. A duration of
:math:`n \Delta` has :math:`n + 1` ticks: those at its two ends bound its energy.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self

from exawatt.telemetry import sidecar
from exawatt.telemetry.appending import AppendedFile, OutputError
from exawatt.telemetry.options import Options

OK = "ok"
#: The values are good, but cumulative columns do not continue those of the line before.
RESTARTED = "restarted"

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SourceError(Exception):
    """A source cannot be read or offered at all; the text says what would help."""


class Instant(NamedTuple):
    """One moment on two clocks [ns]: UTC for people, monotonic for differences."""

    time_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> Self:
        """Read both clocks."""
        return cls(time.time_ns(), time.monotonic_ns())


class Row(NamedTuple):
    """What one zone or device gave in one tick.

    Attributes
    ----------
    values : tuple
        One for each of the source's columns; ``float("nan")`` for what could not be read.
    status : str
        :data:`OK`, :data:`RESTARTED`, or a short phrase in lower case without comma.
    instant : Instant, optional
        When it was read, if reading the devices before it took long; else the tick's instant.
    """

    values: tuple[str | int | float, ...]
    status: str = OK
    instant: Instant | None = None


class Metric(NamedTuple):
    """How a column is offered to Prometheus: in base units, with the unit in the name.

    The format's name goes before the metric's, and ``_total`` behind that of a counter: the
    counter ``joules`` of ``exawatt-rapl-1`` is ``exawatt_rapl_joules_total``. `scale` turns the
    column's unit into the metric's.
    """

    column: str
    name: str
    help: str
    kind: Literal["counter", "gauge"] = "gauge"
    scale: float = 1.0


class Source(Protocol):
    """What can be recorded: the zones or devices of one kind in this machine.

    Attributes
    ----------
    format : str
        Name and version of the recording's format, for the sidecar.
    columns : tuple of str
        Those between ``monotonic_ns`` and ``status``; the first, such as ``zone``, names the
        zone or device.
    metrics : tuple of Metric
        The columns that Prometheus is offered, each labelled by the first column.
    """

    format: str
    columns: tuple[str, ...]
    metrics: tuple[Metric, ...]

    def describe(self) -> dict[str, Any]:
        """Return what the sidecar says: at least a list ``zones`` or ``devices``.

        Its entries are dicts, with the name of the zone or device under ``zone`` or ``device``.
        """

    def sample(self) -> list[Row]:
        """Read each zone or device once; what cannot be read is NaN with a status."""

    def close(self) -> None:
        """Release what the source holds."""


class Ticks:
    """Absolute deadlines, and how well they were kept.

    Attributes
    ----------
    taken : int
        Ticks taken.
    late : int
        Those of them that began more than a tenth of the interval after their deadline.
    missed : int
        Deadlines that passed without a tick.
    """

    def __init__(self, interval_ns: int, start_ns: int = 0) -> None:
        self.interval_ns = interval_ns
        self.start_ns = start_ns
        self.taken = self.late = self.missed = 0
        self._next = 0

    @property
    def deadline_ns(self) -> int:
        """When the next tick is due, on the monotonic clock [ns]."""
        return self.start_ns + self._next * self.interval_ns

    def take(self, now_ns: int) -> None:
        """Count the tick that begins now; it stands for the last deadline that has passed."""
        passed = max(self._next, (now_ns - self.start_ns) // self.interval_ns)
        self.late += now_ns - self.deadline_ns > self.interval_ns // 10
        self.missed += passed - self._next
        self.taken += 1
        self._next = passed + 1

    def __str__(self) -> str:
        return f"{self.taken} ticks ({self.late} late, {self.missed} missed)"


class _Recording:
    """The file and its sidecar, from before the first tick until after the last."""

    def __init__(self, path: Path, source: Source, options: Options, ticks: Ticks) -> None:
        host = socket.gethostname()
        self._path = sidecar.path_of(path)
        earlier = sidecar.earlier_runs(self._path) if path.exists() else []
        # Before the file is opened, which cuts its torn line: the other may be writing it.
        if earlier and (other := earlier[-1].get("host", host)) != host:
            raise OutputError(f"{path}: is a recording of host {other}; choose another --output.")
        self.file = AppendedFile(path, header(source))
        self._written = 0
        self._continued: set[object] = set()
        self._source, self._ticks = source, ticks
        self._begun = {
            "format": source.format,
            "version": sys.modules["exawatt"].__version__,  # in memory: this is a part of it
            "host": host,
            "interval_s": options.interval_s,
            "metadata": options.metadata,
            "started_ns": time.time_ns(),
        } | ({"earlier": earlier} if earlier and self.file.continues else {})

    def write(self, rows: Sequence[Row], instant: Instant) -> None:
        """Append a tick."""
        if self.file.continues:
            rows = [self._marked(row) for row in rows]
        self.file.write(lines(rows, instant).encode())
        self._written += 1

    def _marked(self, row: Row) -> Row:
        """Mark what a zone or device gives first in a file that others wrote to before."""
        if row.status != OK or row.values[0] in self._continued:
            return row
        self._continued.add(row.values[0])
        return row._replace(status=RESTARTED)

    def describe(self, ended_ns: int | None) -> None:
        """Write the sidecar."""
        counts = {
            "ended_ns": ended_ns,
            "ticks": self._written,
            "late_ticks": self._ticks.late,
            "missed_ticks": self._ticks.missed,
        }
        sidecar.write(self._path, self._begun | counts | self._source.describe())

    def __enter__(self) -> Self:
        self.describe(ended_ns=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.file.close()
        try:
            self.describe(ended_ns=time.time_ns())
        except OutputError:
            if error is None:  # else a full disk has been told of already
                raise


def header(source: Source) -> str:
    """First line of a recording."""
    return ",".join(("time_ns", "monotonic_ns", *source.columns, "status")) + "\n"


def lines(rows: Sequence[Row], instant: Instant) -> str:
    """Lines of one tick."""
    return "".join(
        ",".join(map(str, (*(own or instant), *values, status))) + "\n"
        for values, status, own in rows
    )


def run(open_source: Callable[[], Source], name: str, options: Options) -> int:
    """Record as the command line asks, until the duration is over or a signal ends it.

    Parameters
    ----------
    open_source : callable
        Opens the source; it may raise :class:`SourceError`.
    name : str
        The source's name such as ``rapl``, for messages and the name of the file.
    options : Options
        What :func:`exawatt.telemetry.options.read` returned.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error, which is on stderr in one line.
    """
    try:
        with _held_signals() as stopping, closing(open_source()) as source:
            if options.once and not (options.output or options.prometheus):
                _print(source)
            else:
                _record(source, name, options, stopping)
    except (SourceError, OutputError) as error:
        say(f"{name}: {error}")
        return 1
    return 0


def say(text: str) -> None:
    """Put a line on stderr, if anybody is left to read it: the terminal may be gone."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def _print(source: Source) -> None:
    """Put one tick on stdout."""
    instant = Instant.now()
    text = header(source) + lines(source.sample(), instant)
    try:
        # Not through sys.stdout, which would try once more when Python ends.
        with open(1, "w", encoding="utf-8", closefd=False) as stdout:
            stdout.write(text)
    except OSError as error:
        raise OutputError(f"stdout: {(error.strerror or str(error)).lower()}.") from None


def _record(source: Source, name: str, options: Options, stopping: set[signal.Signals]) -> None:
    ticks = Ticks(round(options.interval_s * 1e9))
    with ExitStack() as stack:
        sinks: list[Callable[[Sequence[Row], Instant], None]] = []
        places = []
        if options.prometheus:
            # Only who asks for it needs the package.
            from exawatt.telemetry.exporter import Exporter

            exporter = stack.enter_context(Exporter(source, *options.prometheus))
            sinks.append(exporter.update)
            places.append(exporter.url)
        if options.output or not options.prometheus:
            path = options.output or _default_path(name)
            recording = stack.enter_context(_Recording(path, source, options, ticks))
            sinks.append(recording.write)
            places.append(f"{path}{recording.file.remark}")
        say(f"{name}: {_names(source)} every {options.interval_s:g} s to {' and '.join(places)}")
        for instant in _instants(ticks, options.duration_s, stopping):
            rows = source.sample()
            for sink in sinks:
                sink(rows, instant)
    elapsed_s = (time.monotonic_ns() - ticks.start_ns) / 1e9
    say(f"{name}: {ticks} in {elapsed_s:.1f} s")


def _default_path(name: str) -> Path:
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return Path(f"{name}-{socket.gethostname()}-{began}.csv")


def _names(source: Source) -> str:
    """Return the zones or devices in words."""
    kind = source.columns[0]
    found = [str(entry[kind]) for entry in source.describe()[f"{kind}s"]]
    return f"{kind}{'s' * (len(found) != 1)} {', '.join(found)}"


def _instants(ticks: Ticks, duration_s: float, stopping: set[signal.Signals]) -> Iterator[Instant]:
    """Wait for one deadline after another, until the duration is over or a signal comes."""
    ticks.start_ns = time.monotonic_ns()
    while ticks.deadline_ns <= ticks.start_ns + duration_s * 1e9:
        wait_ns = max(0, ticks.deadline_ns - time.monotonic_ns())
        came = signal.sigtimedwait(stopping, wait_ns / 1e9)
        # After a stop (Ctrl-Z) that outlasted the wait, Python returns what lay in memory.
        if came is not None and came.si_signo in stopping:
            return
        instant = Instant.now()
        ticks.take(instant.monotonic_ns)
        yield instant


@contextmanager
def _held_signals() -> Iterator[set[signal.Signals]]:
    """Hold back the signals that end a recording, so that none interrupts a line.

    A signal that the parent had ignored, as nohup does, stays ignored.
    """
    stopping = {each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    try:
        yield stopping
    finally:
        while signal.sigtimedwait(stopping, 0) is not None:
            pass  # a second one would kill what has ended well
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
