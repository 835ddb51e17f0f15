"""The options that all loggers share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

INTERVAL_S = 0.01, 60.0
DEFAULT_INTERVAL_S = 1.0
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Options:
    """What to record how often, and where to.

    Attributes
    ----------
    interval_s : float
        Between two ticks [s].
    duration_s : float
        How long to record [s]; infinite for until a signal comes.
    output : Path or None
        The recording.
    metadata : dict
        The user's words for the sidecar.
    once : bool
        Whether to take one tick only.
    prometheus : tuple of str and int, or None
        Address and port to serve metrics at.
    """

    interval_s: float
    duration_s: float
    output: Path | None
    metadata: dict[str, str]
    once: bool
    prometheus: tuple[str, int] | None


def parser(name: str, description: str, argv: Sequence[str] | None) -> argparse.ArgumentParser:
    """Return a parser with the shared options, to which a logger adds its own.

    Parameters
    ----------
    name : str
        The source's name, such as ``rapl``.
    description : str
        What is recorded.
    argv : sequence of str or None
        The logger's arguments; None when it runs as a script, which then names itself.
    """
    low, high = INTERVAL_S
    result = argparse.ArgumentParser(
        prog=None if argv is None else f"exawatt telemetry {name}",
        description=description,
        epilog="SIGTERM, SIGINT (Ctrl-C) and SIGHUP end a recording in good order.",
        allow_abbrev=False,
    )
    add = result.add_argument
    add(
        "--interval",
        type=_interval,
        default=DEFAULT_INTERVAL_S,
        metavar="SECONDS",
        help=f"between two samples, {low:g} to {high:g} (default: {DEFAULT_INTERVAL_S:g})",
    )
    length = result.add_mutually_exclusive_group()
    length.add_argument(
        "--duration",
        type=_duration,
        metavar="SECONDS",
        default=inf,
        help="stop after this long (default: when a signal says so)",
    )
    length.add_argument(
        "--once",
        action="store_true",
        help="take one sample, to stdout unless --output is given",
    )
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="CSV to record to, continued if it is there; FILE.json describes it "
        f"(default: {name}-HOST-UTCTIME.csv here; no file with --prometheus)",
    )
    add(
        "--metadata",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a word about this recording for FILE.json; may be repeated",
    )
    add(
        "--prometheus",
        type=_endpoint,
        metavar="[ADDRESS:]PORT",
        help=f"serve the newest sample to Prometheus (address: {LOCAL}, this machine only)",
    )
    return result


def read(arguments: argparse.Namespace) -> Options:
    """Shared options among parsed arguments."""
    return Options(
        arguments.interval,
        0.0 if arguments.once else arguments.duration,
        arguments.output,
        dict(arguments.metadata),
        arguments.once,
        arguments.prometheus,
    )


def _interval(text: str) -> float:
    low, high = INTERVAL_S
    value = _number(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} must be from {low:g} to {high:g} s.")
    return value


def _duration(text: str) -> float:
    value = _number(text)
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0 s.")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds.") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key.strip() and equals):
        raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE.")
    return key.strip(), value


def _endpoint(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} must be a port from 1 to 65535, or HOST:PORT.")
    return address.strip("[]") or LOCAL, int(port)
