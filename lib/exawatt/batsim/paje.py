"""The Pajé trace of a schedule: which job each host runs, over time.

References
----------
.. [1] L. M. Schnorr, B. de Oliveira Stein, J. Chassin de Kergommeaux, "Paje trace file format",
   version 1.2.5, 2013.
"""

from typing import TextIO

from exawatt.batsim import intervals

_HEADER = """\
%EventDef PajeDefineContainerType 0
%       Alias string
%       Type string
%       Name string
%EndEventDef
%EventDef PajeDefineStateType 1
%       Alias string
%       Type string
%       Name string
%EndEventDef
%EventDef PajeDefineEntityValue 2
%       Alias string
%       Type string
%       Name string
%       Color color
%EndEventDef
%EventDef PajeCreateContainer 3
%       Time date
%       Alias string
%       Type string
%       Container string
%       Name string
%EndEventDef
%EventDef PajeDestroyContainer 4
%       Time date
%       Type string
%       Name string
%EndEventDef
%EventDef PajeSetState 5
%       Time date
%       Type string
%       Container string
%       Value string
%EndEventDef
0 M 0 "Machine"
0 H M "Host"
1 S H "Host state"
"""
_COLORS = {
    "idle": "0.90 0.90 0.90",
    "sleeping": "0.60 0.60 0.80",
    "switching_off": "0.70 0.70 0.95",
    "switching_on": "0.95 0.85 0.60",
    "unavailable": "0.30 0.30 0.30",
}
_JOB_COLORS = (
    "0.00 0.45 0.70",
    "0.90 0.62 0.00",
    "0.00 0.62 0.45",
    "0.80 0.47 0.65",
    "0.34 0.71 0.91",
    "0.84 0.37 0.00",
)


class Paje:
    """A Pajé trace that is being written.

    Parameters
    ----------
    file : text file
        Where to.
    hosts : int
        Number of hosts.
    """

    def __init__(self, file: TextIO, hosts: int) -> None:
        self._file = file
        self._hosts = hosts
        self._jobs: set[str] = set()
        file.write(_HEADER)
        for state, color in _COLORS.items():
            file.write(f'2 {state} S "{state}" "{color}"\n')
        file.write('3 0.000000 m M 0 "Machine"\n')
        for host in range(hosts):
            file.write(f'3 0.000000 h{host} H m "{host}"\n5 0.000000 S h{host} idle\n')

    def started(self, now_s: float, hosts: int, job: str) -> None:
        """Hosts begin to run a job."""
        if job not in self._jobs:
            color = _JOB_COLORS[len(self._jobs) % len(_JOB_COLORS)]
            self._jobs.add(job)
            self._file.write(f'2 {job} S "{job}" "{color}"\n')
        self.moved(now_s, hosts, job)

    def moved(self, now_s: float, hosts: int, value: str) -> None:
        """Hosts go into a state."""
        before, after = f"5 {now_s:f} S h", f" {value}\n"
        for low, end in intervals.runs(hosts):
            self._file.write("".join([f"{before}{host}{after}" for host in range(low, end)]))

    def close(self, now_s: float) -> None:
        """End the trace."""
        for host in range(self._hosts):
            self._file.write(f"4 {now_s:f} H h{host}\n")
        self._file.write(f"4 {now_s:f} M m\n")
