#!/usr/bin/env python3
"""Export Slurm accounting for research: an allow-list of fields, names as keyed hashes.

It needs Python 3.6 or later and sacct, and nothing else. The key is made on your machine, stays
there, and is never printed:

    python3 export_jobs.py --create-key ~/release.key
    python3 export_jobs.py --key ~/release.key --start 2024-01-01 --end 2024-07-01 --output jobs.psv

Look at jobs.psv before you send it: it is text, one line a job or step, fields between "|".
What was left out or emptied is told when the export ends. A partition or QOS that holds the name of
a user or account is hashed. If a user objects, this prints the hash of that user's lines:

    python3 export_jobs.py --key ~/release.key --user NAME
"""

import argparse
import collections
import hashlib
import os
import re
import secrets
import stat
import subprocess
import sys
import tempfile

NUMBER = re.compile(r"-?[0-9.]*")
TIME = re.compile(r"[0-9T:.Z+-]*|Unknown|None")
SIZE = re.compile(r"[0-9.]*[KMGTP]?[nc]?")
LIMIT = re.compile(r"[0-9]*|UNLIMITED|Partition_Limit|INVALID")
CLASS = re.compile(r"[A-Za-z0-9_.,:+-]{0,64}")
TRES = re.compile(r"(cpu|mem|node|energy|gres/gpu(:[A-Za-z0-9_.-]+)?)=[0-9.]+[KMGTP]?")
STEP = re.compile(r"batch|extern|interactive|[0-9]+")

KEPT = {
    "Submit": TIME,
    "Eligible": TIME,
    "Start": TIME,
    "End": TIME,
    "ElapsedRaw": NUMBER,
    "TimelimitRaw": LIMIT,
    "AllocCPUS": NUMBER,
    "ReqCPUS": NUMBER,
    "AllocNodes": NUMBER,
    "ReqNodes": NUMBER,
    "ReqMem": SIZE,
    "MaxRSS": SIZE,
    "CPUTimeRAW": NUMBER,
    "TotalCPU": TIME,
    "ConsumedEnergyRaw": NUMBER,
    "Partition": CLASS,
    "QOS": CLASS,
}
HASHED = {"User": b"user-id", "Account": b"account-id", "JobName": b"app-id"}
PERSONS = ("User", "Account")
CLASSES = ("Partition", "QOS")
SHORTEST_WITHIN = 4  # a shorter name counts only where it stands by itself: "u1" is not in "gpu1"
REPOSITORIES = ((".git",), (".hg",), (".svn",), ("HEAD", "objects", "refs"))
RELEASE = ("publication_report.json",)
FIELDS = ["JobIDRaw", *HASHED, "State", "AllocTRES", "ReqTRES", *KEPT]


class Refused(Exception):
    """Something that must not go on as it is; the text says what to do."""


def refuse_inside(path):
    """Refuse a path inside a repository or a release, from where it could be published."""
    folder = os.path.dirname(os.path.realpath(path))
    while True:
        for names in (*REPOSITORIES, RELEASE):
            if all(os.path.lexists(os.path.join(folder, name)) for name in names):
                raise Refused(f"{path} lies inside {folder}, which may be published: move it out.")
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def create_key(path):
    """Write 32 random bytes that only their owner can read; never overwrite."""
    refuse_inside(path)
    with created(path, "wb") as file:
        file.write(secrets.token_bytes(32))


def created(path, mode):
    """Open a new file that only its owner can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} exists already: it is not overwritten.") from None
    return os.fdopen(descriptor, mode)


def read_key(path):
    """Read the key, unless others could too."""
    refuse_inside(path)
    if not os.path.isfile(path):
        raise Refused(f"{path} is no file: make a key with --create-key.")
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        key = file.read(65)
    if status.st_uid not in (0, os.geteuid()):
        raise Refused(f"{path} belongs to another user, who may read and change it.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise Refused(f"{path} is open to others: close it with 'chmod 600 {path}'.")
    if not 32 <= len(key) <= 64:
        raise Refused(f"{path} is no key: make one with --create-key.")
    return key


def pseudonym(name, key, person):
    """Keyed hash of a name; empty stays empty."""
    text = name.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, key=key, person=person, digest_size=16)
    return digest.hexdigest() if name else ""


def holds(text, name):
    """Whether a text holds a name, both in small letters."""
    if len(name) >= SHORTEST_WITHIN:
        return name in text
    return re.search(f"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text) is not None


class Export:
    """Turns lines of sacct into lines that may leave, and counts what was lost.

    Job numbers become running numbers: a step's "4711.batch" becomes "1.batch".
    """

    def __init__(self, key, header):
        """Find the fields that may leave in a header of sacct."""
        self.key = key
        self.width = len(header)
        self.fields = [(i, name) for i, name in enumerate(header) if name in FIELDS]
        self.left_out = [name for name in header if name not in FIELDS]
        self.numbers = {}
        self.persons = set()
        self.classes = set()
        self.counts = collections.Counter()
        if not self.fields:
            raise Refused(f"the first line names none of the fields {','.join(FIELDS)}.")

    def header(self):
        """Return the first line of the export."""
        return "|".join(name for _, name in self.fields)

    def line(self, values):
        """Return what may leave of one line; None if it has other than the header's fields."""
        if len(values) != self.width:
            self.counts["lines dropped: other than the header's fields"] += 1
            return None
        self.counts["lines written"] += 1
        return "|".join(self.value(name, values[i]) for i, name in self.fields)

    def value(self, name, text):
        """Return what may leave of one value."""
        if name in PERSONS and text:
            self.persons.add(text.lower())
        if name in HASHED:
            return pseudonym(text, self.key, HASHED[name])
        if name == "JobIDRaw":
            return self.job(text)
        if name == "State":  # "CANCELLED by 1234" names a user
            text = text.partition(" ")[0].rstrip("+")
            return self.checked(name, text, re.compile("[A-Z_]*"))
        if name.endswith("TRES"):  # a licence or a burst buffer can name a product or a path
            return ",".join(part for part in text.split(",") if TRES.fullmatch(part))
        text = self.checked(name, text, KEPT[name])
        if name in CLASSES:
            self.classes.add(text)
        return text

    def job(self, text):
        """Running number of a job, with the name of the step."""
        job, dot, step = text.partition(".")
        number = self.numbers.setdefault(job, len(self.numbers) + 1)
        return str(number) + (dot + self.checked("JobIDRaw", step, STEP) if dot else "")

    def without_names(self, lines):
        """Return lines with the partitions and QOS hashed that hold a name of any line."""
        hidden = {
            text: pseudonym(text, self.key, b"class-id")
            for text in self.classes
            if any(holds(text.lower(), name) for name in self.persons)
        }
        columns = [i for i, (_, name) in enumerate(self.fields) if name in CLASSES]
        for line in lines:
            values = line.rstrip("\n").split("|")
            for i in columns:
                if values[i] in hidden:
                    values[i] = hidden[values[i]]
                    what = "values hashed in Partition or QOS: they hold a user's or account's name"
                    self.counts[what] += 1
            yield "|".join(values) + "\n"

    def checked(self, name, text, pattern):
        """Return a text of the expected form, else nothing."""
        if pattern.fullmatch(text):
            return text
        self.counts[f"values emptied in {name}: not of the expected form"] += 1
        return ""


def sacct(start, end):
    """Lines of sacct for all users, split at a character that no name contains."""
    command = ["sacct", "--allusers", "--duplicates", "--parsable2", "--delimiter=\x1f"]
    command += ["--starttime=" + start, "--endtime=" + end, "--format=" + ",".join(FIELDS)]
    environment = dict(os.environ, SLURM_TIME_FORMAT="%s")  # seconds since 1970
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    for line in process.stdout:
        yield text_of(line).split("\x1f")
    if process.wait() != 0:
        raise Refused(f"sacct ended with status {process.returncode}.")


def saved(path):
    """Lines of a file that sacct --parsable2 printed before."""
    with open(path, "rb") as file:
        for line in file:
            yield text_of(line).split("|")


def text_of(line):
    """Text of a line; bytes that are no UTF-8 are kept apart, not refused."""
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def export(lines, key, output):
    """Write an export whole or not at all; return it for its counts."""
    done = Export(key, next(lines, []))
    partial = output + ".partial"
    # Names may come after the values that hold them. This file has no name, and no other reader.
    with tempfile.TemporaryFile("w+", encoding="ascii", dir=os.path.dirname(output) or ".") as kept:
        for values in lines:
            line = done.line(values)
            if line is not None:
                kept.write(line + "\n")
        kept.seek(0)
        file = created(partial, "w")
        try:
            with file:
                file.write(done.header() + "\n")
                file.writelines(done.without_names(kept))
            os.rename(partial, output)
        except BaseException:
            os.remove(partial)
            raise
    return done


def main(arguments=None):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--create-key", metavar="FILE", help="make a new key and end")
    parser.add_argument("--key", metavar="FILE", help="key of this release")
    parser.add_argument("--user", metavar="NAME", help="print this user's hash and end")
    parser.add_argument("--start", help="first day, as sacct takes it")
    parser.add_argument("--end", help="day after the last, as sacct takes it")
    parser.add_argument("--input", metavar="FILE", help="output of sacct --parsable2, to be used")
    parser.add_argument("--output", metavar="FILE", help="file to write; it must not exist")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.create_key:
            create_key(chosen.create_key)
            return 0
        if chosen.key and chosen.user:
            print(pseudonym(chosen.user, read_key(chosen.key), HASHED["User"]))
            return 0
        if not (chosen.key and chosen.output and (chosen.input or (chosen.start and chosen.end))):
            parser.error("give --key, --output, and --input or both --start and --end")
        if os.path.exists(chosen.output):
            raise Refused(f"{chosen.output} exists already: pass another --output.")
        lines = saved(chosen.input) if chosen.input else sacct(chosen.start, chosen.end)
        done = export(lines, read_key(chosen.key), chosen.output)
    except (Refused, OSError) as problem:
        sys.stderr.write(f"export_jobs.py: {problem}\n")
        return 1
    if done.left_out:
        sys.stderr.write(f"columns left out: {', '.join(done.left_out)}\n")
    for what, count in sorted(done.counts.items()):
        sys.stderr.write(f"{what}: {count}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
