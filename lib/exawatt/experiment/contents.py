"""Contents: a checksum of what a workload holds, whatever file and reader it came from."""

import hashlib

from exawatt.workload import Workload


def contents(workload: Workload) -> str:
    """Checksum of a workload's jobs and machine, as cleaning left them.

    A reader that changes gives the same as long as the jobs are the same.
    """
    machine = (workload.procs, workload.nodes, workload.gpus, workload.start, workload.timezone)
    total = hashlib.sha256(" ".join(map(str, machine)).encode())
    for name, column in workload.jobs.items():
        total.update(f"\n{name}\n".encode())
        if column.dtype.kind in "biuf":
            total.update(column.to_numpy().tobytes())
        else:
            # Of texts, no byte can stand between two; lengths tell them apart.
            total.update("".join(f"{len(str(text))} {text}" for text in column).encode())
    return total.hexdigest()
