"""Run a simulation against a scheduler over ZeroMQ, and the scheduler's process with it."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from os import killpg, sched_yield
from pathlib import Path
from time import monotonic, perf_counter

import zmq

from exawatt.batsim.external import External
from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.outputs import Outputs
from exawatt.batsim.protocol import SchedulerError
from exawatt.batsim.simulator import Options, Simulator

DEFAULT_ENDPOINT = "tcp://localhost:28000"
DEFAULT_TIMEOUT_S = 60.0
_LOOK_MS = 250
_PROGRESS_EVERY = 256
# Waking up takes longer than most replies do: this long nobody sleeps, but looks again and again.
_ALERT_S = 0.01
_GRACE_S = 3.0
_END_S = 10.0

Summary = dict[str, str | int | float]
Progress = Callable[[int, int, float], None]
"""Called now and then with the jobs that are over, all jobs, and the simulated time [s]."""


def run(
    workload: JobFile,
    hosts: Hosts,
    scheduler: str,
    output: Path | None = None,
    options: Options = Options(),  # noqa: B008 - immutable
    *,
    external: tuple[External, ...] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    trace: bool = True,
    progress: Progress | None = None,
) -> Summary:
    """Start a scheduler, simulate against it, and stop it.

    Parameters
    ----------
    workload, hosts : JobFile, Hosts
        What is simulated, and on which platform.
    scheduler : str
        The command, such as ``"pybatsim easyBackfill"``. Its endpoint is appended as ``-s``, or
        put where the command says ``{endpoint}``.
    output : Path, optional
        Folder for Batsim's output files, and ``scheduler.log`` with what the scheduler printed.
    options : Options
        Batsim's options.
    external : tuple of External, optional
        Events besides jobs.
    timeout_s : float
        Longest time to wait for a reply [s].
    trace : bool
        Whether to write the Pajé trace.
    progress : callable, optional
        Called now and then with the jobs that are over, all jobs, and the simulated time [s].

    Returns
    -------
    dict
        The row of ``out_schedule.csv``.

    Raises
    ------
    SchedulerError
        The scheduler cannot be started, died, hangs or breaks the protocol.
    """
    with (
        tempfile.TemporaryDirectory(prefix="exawatt-") as folder,
        scheduler_process(
            scheduler, f"ipc://{folder}/socket", Path(folder) / "log", timeout_s
        ) as process,
    ):
        log = Path(folder) / "log"
        outputs = _outputs(output, hosts, options, trace)
        simulator = Simulator(workload, hosts, options, outputs, external)
        try:
            with outputs:
                _converse(simulator, f"ipc://{folder}/socket", timeout_s, process, log, progress)
            _await_end(process, log, timeout_s)
        finally:
            if output is not None and output.is_dir():
                shutil.copyfile(log, output / "scheduler.log")
    return outputs.summary()


def _await_end(process: "subprocess.Popen[bytes]", log: Path, timeout_s: float) -> None:
    """Let the scheduler end; warn if it does not, or not well: the schedule is complete anyway."""
    try:
        status = process.wait(min(timeout_s, _END_S))
    except subprocess.TimeoutExpired:
        warnings.warn(
            f"the scheduler did not end within {min(timeout_s, _END_S):g} s of the simulation and "
            "is stopped.",
            stacklevel=3,
        )
        return
    if status:
        warnings.warn(
            f"the scheduler ended with status {status} after the simulation{_last_words(log)}.",
            stacklevel=3,
        )


def serve(
    workload: JobFile,
    hosts: Hosts,
    endpoint: str = DEFAULT_ENDPOINT,
    output: Path | None = None,
    options: Options = Options(),  # noqa: B008 - immutable
    *,
    external: tuple[External, ...] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    trace: bool = True,
    progress: Progress | None = None,
) -> Summary:
    """Simulate against a scheduler that somebody else started; see :func:`run`.

    The scheduler need not be there yet: the first message waits for it, up to `timeout_s`.
    """
    outputs = _outputs(output, hosts, options, trace)
    simulator = Simulator(workload, hosts, options, outputs, external)
    with _stopped_as_interrupted(), outputs:
        _converse(simulator, endpoint, timeout_s, None, None, progress)
    return outputs.summary()


def _outputs(folder: Path | None, hosts: Hosts, options: Options, trace: bool) -> Outputs:
    return Outputs(folder, len(hosts), energy=options.energy, trace=trace)


def _converse(
    simulator: Simulator,
    endpoint: str,
    timeout_s: float,
    process: "subprocess.Popen[bytes] | None",
    log: Path | None,
    progress: Progress | None,
) -> None:
    outputs = simulator.outputs
    with connected(endpoint) as socket:
        message: str | None = simulator.first()
        begun_s, count = inf, 0
        while message is not None:
            socket.send_string(message)
            sent_s = perf_counter()
            count += 1
            if progress is not None and count % _PROGRESS_EVERY == 0:
                progress(outputs.ended_jobs, len(simulator.jobs), simulator.clock.now_s)
            reply = _soon(socket, outputs, sent_s + _ALERT_S)
            if reply is None:
                reply = _wait(socket, timeout_s, message, process, log)
            replied_s = perf_counter()
            begun_s = min(begun_s, replied_s)
            outputs.scheduling_s += max(replied_s - max(sent_s, begun_s), 0.0)
            outputs.simulation_s = replied_s - begun_s
            message = simulator.reply(reply)


@contextmanager
def connected(endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    """Return the simulator's socket; it connects, and looks up from waiting now and then."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, _LOOK_MS)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise ValueError(
                f"endpoint(={endpoint!r}) cannot be used: {error}; pass one like "
                f"{DEFAULT_ENDPOINT}."
            ) from None
        yield socket


def _soon(socket: "zmq.Socket[bytes]", outputs: Outputs, until_s: float) -> bytes | None:
    """Reply, unless the scheduler takes longer; meanwhile files are written."""
    while True:
        try:
            return socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            if outputs.work():
                continue
            if perf_counter() > until_s:
                return None
            sched_yield()


def _wait(
    socket: "zmq.Socket[bytes]",
    timeout_s: float,
    message: str,
    process: "subprocess.Popen[bytes] | None",
    log: Path | None,
) -> bytes:
    """Wait on for a reply, as long as the scheduler lives and the time allows."""
    until_s = monotonic() + timeout_s
    while monotonic() < until_s:
        ended = process is not None and process.poll() is not None
        with suppress(zmq.Again):
            return socket.recv()
        if ended and process is not None:
            words = _last_words(log)
            raise SchedulerError(
                f"the scheduler ended with status {process.returncode}{words}, and did not "
                f"answer {_named(message)}."
            )
    raise SchedulerError(
        f"the scheduler did not answer {_named(message)} within {timeout_s:g} s; pass a longer "
        "--timeout if it needs more."
    )


def _named(message: str) -> str:
    """Time of a message and what it tells of first."""
    read = json.loads(message)
    first, more = read["events"][0], len(read["events"]) - 1
    about = f" of {first['data']['job_id']}" if "job_id" in first["data"] else ""
    and_more = f" and {more} more" if more else ""
    return f"the message of {read['now']:g} s, {first['type']}{about}{and_more}"


def _last_words(log: Path | None) -> str:
    lines = log.read_text(errors="replace").splitlines() if log is not None else []
    said = [line.strip() for line in lines if line.strip()]
    return f" ({said[-1]})" if said else ""


@contextmanager
def scheduler_process(
    scheduler: str, endpoint: str, log: Path, timeout_s: float
) -> Iterator["subprocess.Popen[bytes]"]:
    """Process group of a scheduler, which prints to `log` and does not outlive the block."""
    command = _command(scheduler, endpoint, timeout_s)
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SchedulerError(
                f"scheduler(={scheduler!r}) cannot be started: {error.strerror}; pass a command "
                "such as 'pybatsim easyBackfill'."
            ) from None
    with _stopped_as_interrupted():
        try:
            yield process
        finally:
            _stop(process)


def _command(scheduler: str, endpoint: str, timeout_s: float) -> list[str]:
    try:
        words = shlex.split(scheduler)
    except ValueError as error:
        raise SchedulerError(f"scheduler(={scheduler!r}) is no command: {error}.") from None
    if not words:
        raise SchedulerError("scheduler(='') is empty; pass for example 'pybatsim easyBackfill'.")
    beside = Path(sys.executable).parent / words[0]
    if shutil.which(words[0]) is None and beside.exists():
        words[0] = str(beside)
    if any("{endpoint}" in word for word in words):
        return [word.replace("{endpoint}", endpoint) for word in words]
    words += ["-s", endpoint]
    if Path(words[0]).name == "pybatsim":
        # It logs every message by default, and gives up on a simulator after two seconds.
        quiet = not any(word.startswith(("-v", "--verb")) for word in words)
        patient = not any(word.startswith(("-t", "--timeout")) for word in words)
        words += ["-v", "error"] * quiet
        words += ["-t", str(int(timeout_s * 1000))] * patient
    return words


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process group: asked to first, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)


@contextmanager
def _stopped_as_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, where signals can be handled."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    try:
        before = [signal.signal(number, interrupt) for number in numbers]
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
