"""Print the pseudonym of the job in $SLURM_JOB_ID: its hash under the key in the file named.

It is the one that a release with the same key gives the job. Standard library only: this runs
on compute nodes.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from exawatt.telemetry.pseudonyms import PERSONS, pseudonym, read_key


def main(path: str) -> int:
    """Print the pseudonym; return the exit status."""
    job_id = os.environ.get("SLURM_JOB_ID", "")
    if not job_id:
        print("SLURM_JOB_ID is not set: Slurm's prolog and epilog have it", file=sys.stderr)
        return 1
    try:
        print(pseudonym(job_id, read_key(path), PERSONS["job"]))
    except (OSError, ValueError) as error:
        print(f"key: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
