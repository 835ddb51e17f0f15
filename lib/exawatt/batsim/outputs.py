"""Batsim's output files, written while the scheduler thinks.

What happens is noted at once and worked out later, note by note in :meth:`Outputs.work`, which
the transport calls while a message is on its way: the scheduler does not wait for the files.
"""

from collections import deque
from collections.abc import Iterable
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from exawatt.batsim import intervals, jobs, machine
from exawatt.batsim.jobs import Job
from exawatt.batsim.paje import Paje

JOBS_HEADER = (
    "job_id,workload_name,profile,submission_time,requested_number_of_resources,requested_time,"
    "success,final_state,starting_time,execution_time,finish_time,waiting_time,turnaround_time,"
    "stretch,allocated_resources,consumed_energy,metadata\n"
)
ENERGY_HEADER = "time,energy,event_type,wattmin,epower\n"
PSTATES_HEADER = "time,machine_id,new_pstate\n"
STATES_HEADER = "time,nb_sleeping,nb_switching_on,nb_switching_off,nb_idle,nb_computing\n"
_NAMES = (
    "jobs.csv",
    "schedule.csv",
    "machine_states.csv",
    "consumed_energy.csv",
    "pstate_changes.csv",
    "schedule.trace",
)
_COLUMNS = (
    machine.SLEEPING,
    machine.SWITCHING_ON,
    machine.SWITCHING_OFF,
    machine.IDLE,
    machine.COMPUTING,
)
_SPENT = (
    machine.COMPUTING,
    machine.IDLE,
    machine.SLEEPING,
    machine.SWITCHING_OFF,
    machine.SWITCHING_ON,
    machine.UNAVAILABLE,
)


class Outputs:
    """The five files and the Pajé trace of one simulation, or none.

    ``out_schedule.csv`` comes last: where it is not there, the simulation broke off.

    Parameters
    ----------
    folder : Path or None
        Where to write ``out_jobs.csv`` and the others; None keeps only the summary.
    hosts : int
        Number of hosts.
    energy : bool
        Whether the files on energy and pstates are wanted.
    trace : bool
        Whether the Pajé trace is wanted.
    version : str
        What stands as ``batsim_version``.
    """

    def __init__(
        self,
        folder: Path | None,
        hosts: int,
        energy: bool = False,
        trace: bool = False,
        version: str = "exawatt",
    ) -> None:
        self.hosts = hosts
        self.version = version
        self.grouped_switches = 0
        self.machine_switches = 0
        self.scheduling_s = 0.0
        self.simulation_s = 0.0
        """Wall-clock time since the scheduler's first reply, and the part of it in which the
        scheduler was asked [s]; kept by the transport."""
        self._notes: deque[tuple[Any, ...]] = deque()
        self._folder = folder
        self._energy, self._trace = energy, trace
        self._files: dict[str, TextIO] = {}
        self._paje: Paje | None = None
        self._since_s = [0.0] * hosts
        self._counts = dict.fromkeys(machine.STATES, 0) | {machine.IDLE: hosts}
        self._spent_s = dict.fromkeys(machine.STATES, 0.0)
        self._last_energy = (0.0, np.longdouble(0))
        self._first_submission_j: np.longdouble | None = None
        self._last_completion_j = np.longdouble(0)
        self._summary = _Summary()

    def __enter__(self) -> Self:
        """Begin the files; those of an earlier simulation go, also where none takes their place."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove(self._folder)
            self._open("jobs.csv", JOBS_HEADER)
            self._open("machine_states.csv", STATES_HEADER)
            if self._energy:
                self._open("consumed_energy.csv", ENERGY_HEADER)
                self._open("pstate_changes.csv", PSTATES_HEADER)
            if self._trace:
                self._paje = Paje(self._open("schedule.trace", ""), self.hosts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left, also when the simulation failed: then without a summary."""
        self.close(whole=kind is None)

    def _open(self, name: str, header: str) -> TextIO:
        assert self._folder is not None
        file = (self._folder / f"out_{name}").open("w", encoding="utf-8")
        file.write(header)
        self._files[name] = file
        return file

    @property
    def ended_jobs(self) -> int:
        """Jobs that are over, rejected ones included."""
        return self._summary.finished + self._summary.rejected

    def submitted(self, total_j: np.longdouble) -> None:
        """Note a submission."""
        self._summary.submitted += 1
        if self._first_submission_j is None:
            self._first_submission_j = total_j

    def started(self, job: Job) -> None:
        """Note the start of a job on its hosts."""
        if self._paje is not None:
            self._notes.append((self._paje.started, job.start_s, job.alloc, job.id))

    def ended(self, job: Job, total_j: np.longdouble) -> None:
        """Note a job that is over."""
        if job.state == jobs.REJECTED:
            self._notes.append((self._write_rejected, job, job.metadata))
            return
        self._last_completion_j = total_j
        self._notes.append((self._write_job, job, job.metadata))

    def moved(self, now_s: float, hosts: int, old: str, new: str) -> None:
        """Note hosts that went from one state into another."""
        self._notes.append((self._move, now_s, hosts, old, new))

    def hosts_changed(self, now_s: float) -> None:
        """Note that a change of states is complete."""
        self._notes.append((self._write_states, now_s))

    def pstate(self, now_s: float, hosts: int, pstate: int) -> None:
        """Note hosts that were set to a pstate."""
        self._notes.append((self._write_pstate, now_s, hosts, pstate))

    def energy(self, now_s: float, kind: str, total_j: np.longdouble, least_w: float) -> None:
        """Note the energy at the start or end of a job, or at a change of pstates."""
        self._notes.append((self._write_energy, now_s, kind, total_j, least_w))

    def work(self) -> bool:
        """Work out and write one thing that was noted; return whether there was any."""
        if not self._notes:
            return False
        write, *arguments = self._notes.popleft()
        write(*arguments)
        return True

    def close(self, whole: bool = True) -> None:
        """Write the rest and, if the simulation is whole, its summary; close the files.

        So ``out_schedule.csv`` tells a whole simulation from one that broke off.
        """
        while self.work():
            pass
        if self._paje is not None:
            self._paje.close(max(self._since_s))
        if whole and self._folder is not None and "schedule.csv" not in self._files:
            row = self.summary()
            header = f"{','.join(row)}\n"
            self._open("schedule.csv", header).write(f"{','.join(_texts(row.values()))}\n")
        for file in self._files.values():
            file.close()

    def summary(self) -> dict[str, str | int | float]:
        """Return the row of ``out_schedule.csv``, of what was worked out so far."""
        done = self._summary
        return {
            "batsim_version": self.version,
            "consumed_joules": float(self._last_completion_j - (self._first_submission_j or 0)),
            "makespan": done.makespan_s,
            "max_slowdown": done.most["slowdown"],
            "max_turnaround_time": done.most["turnaround"],
            "max_waiting_time": done.most["waiting"],
            "mean_slowdown": done.mean("slowdown"),
            "mean_turnaround_time": done.mean("turnaround"),
            "mean_waiting_time": done.mean("waiting"),
            "nb_computing_machines": self.hosts,
            "nb_grouped_switches": self.grouped_switches,
            "nb_jobs": done.submitted,
            "nb_jobs_finished": done.finished,
            "nb_jobs_killed": done.killed,
            "nb_jobs_rejected": done.rejected,
            "nb_jobs_success": done.success,
            "nb_machine_switches": self.machine_switches,
            "scheduling_time": self.scheduling_s,
            "simulation_time": self.simulation_s,
            "success_rate": done.success / done.submitted if done.submitted else 0.0,
            **{f"time_{state}": self._spent_s[state] for state in _SPENT},
        }

    def _write(self, name: str, line: str) -> None:
        file = self._files.get(name)
        if file is not None:
            file.write(line)

    def _move(self, now_s: float, hosts: int, old: str, new: str) -> None:
        since_s = self._since_s
        count = hosts.bit_count()
        spent_s = count * now_s
        for low, end in intervals.runs(hosts):
            spent_s -= sum(since_s[low:end])
            since_s[low:end] = [now_s] * (end - low)
        self._spent_s[old] += spent_s
        self._counts[old] -= count
        self._counts[new] += count
        if self._paje is not None and new != machine.COMPUTING:
            self._paje.moved(now_s, hosts, new)

    def _write_states(self, now_s: float) -> None:
        counts = self._counts
        numbers = ",".join([str(counts[state]) for state in _COLUMNS])
        self._write("machine_states.csv", f"{now_s:g},{numbers}\n")

    def _write_pstate(self, now_s: float, hosts: int, pstate: int) -> None:
        self._write("pstate_changes.csv", f"{now_s:g},{intervals.text(hosts)},{pstate}\n")

    def _write_energy(
        self, now_s: float, kind: str, total_j: np.longdouble, least_w: float
    ) -> None:
        last_s, last_j = self._last_energy
        mean_w = f"{(total_j - last_j) / (now_s - last_s):f}" if now_s > last_s else "NA"
        self._last_energy = now_s, total_j
        line = f"{now_s:f},{_energy_text(total_j)},{kind},{least_w:f},{mean_w}\n"
        self._write("consumed_energy.csv", line)

    def _write_job(self, job: Job, metadata: str) -> None:
        run_s = job.end_s - job.start_s
        turnaround_s = job.end_s - job.submit_s
        slowdown = turnaround_s / run_s if run_s else inf
        self._summary.count(job, slowdown)
        self._write(
            "jobs.csv",
            f"{_before(job)},{int(job.state == jobs.SUCCESS)},{job.state},{job.start_s:f},"
            f"{run_s:f},{job.end_s:f},{job.start_s - job.submit_s:f},{turnaround_s:f},"
            f"{slowdown:f},{intervals.text(job.alloc)},{job.energy_j:f},{_quoted(metadata)}\n",
        )

    def _write_rejected(self, job: Job, metadata: str) -> None:
        self._summary.rejected += 1
        line = f"{_before(job)},0,{job.state},,,,,,,,,{_quoted(metadata)}\n"
        self._write("jobs.csv", line)


def remove(folder: Path) -> None:
    """Remove the files of an earlier simulation: of one that breaks off they would tell a lie."""
    for name in _NAMES:
        (folder / f"out_{name}").unlink(missing_ok=True)


class _Summary:
    """Counts and means over the jobs that are over."""

    def __init__(self) -> None:
        self.submitted = self.finished = self.killed = self.rejected = self.success = 0
        self.makespan_s = 0.0
        self.most = {"slowdown": 0.0, "turnaround": 0.0, "waiting": 0.0}
        self._sums = dict(self.most)

    def count(self, job: Job, slowdown: float) -> None:
        self.finished += 1
        self.success += job.state == jobs.SUCCESS
        self.killed += job.state in (jobs.KILLED, jobs.WALLTIME)
        self.makespan_s = job.end_s
        for name, value in (
            ("slowdown", slowdown),
            ("turnaround", job.end_s - job.submit_s),
            ("waiting", job.start_s - job.submit_s),
        ):
            self._sums[name] += value
            if value > self.most[name]:
                self.most[name] = value

    def mean(self, name: str) -> float:
        return self._sums[name] / self.finished if self.finished else 0.0


def _before(job: Job) -> str:
    """Return the fields of a job's row that do not depend on what became of it."""
    return (
        f"{job.name},{job.workload},{job.profile},{job.submit_s:f},{job.hosts},{job.walltime_s:f}"
    )


def _energy_text(energy_j: np.longdouble) -> str:
    """Six decimals of an energy, none of its digits lost."""
    return np.format_float_positional(energy_j, precision=6, unique=False, min_digits=6)


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def _texts(values: Iterable[str | int | float]) -> list[str]:
    return [f"{value:f}" if isinstance(value, float) else str(value) for value in values]
