"""Print the pseudonym of the job in $SLURM_JOB_ID: its hash under the key in the file named.

It is the one that a release with the same key gives the job. Standard library only: this runs
on compute nodes.
"""

import hashlib
import os
import sys
from pathlib import Path

PERSON = b"job-id"
DIGEST_BYTES = 16
KEY_BYTES = 32


def read_key(path: Path) -> bytes:
    """Read the key; raise ValueError if others could, or if it is too short to be one."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        key = stream.read(hashlib.blake2b.MAX_KEY_SIZE + 1)
    if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
        raise ValueError("others can read or change it: chown root, chmod 600")
    if not KEY_BYTES <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise ValueError(f"must hold {KEY_BYTES} to {hashlib.blake2b.MAX_KEY_SIZE} random bytes")
    return key


def pseudonym(job_id: str, key: bytes) -> str:
    """Keyed hash of a job's number, 32 hexadecimal digits."""
    return hashlib.blake2b(
        job_id.encode(), key=key, person=PERSON, digest_size=DIGEST_BYTES
    ).hexdigest()


def main(path: str) -> int:
    """Print the pseudonym; return the exit status."""
    job_id = os.environ.get("SLURM_JOB_ID", "")
    if not job_id:
        print("SLURM_JOB_ID is not set: Slurm's prolog and epilog have it", file=sys.stderr)
        return 1
    try:
        print(pseudonym(job_id, read_key(Path(path))))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"key {path}: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
