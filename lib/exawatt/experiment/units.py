"""Units of work that are kept when finished, so that a run that was stopped goes on."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from exawatt.experiment.code import fingerprint
from exawatt.experiment.machine import hardware, versions
from exawatt.experiment.results import StaleError

#: Packages whose version can change a number.
COMPUTING = ("numpy", "scipy", "pandas", "numba", "scikit-learn", "torch", "gpytorch")


class Units:
    """A folder of finished units.

    Parameters
    ----------
    folder : Path
        Where they are kept; nothing else reads it, and it may be deleted.
    code : mapping
        Hash by module, of when this process read the modules: of all that make units.
    say : callable
        Takes each line of progress.

    Attributes
    ----------
    cpu_s : float
        Processor time that all units asked for have taken, in this run or an earlier one [s].
    hardware : set of str
        Machines that made them.
    """

    def __init__(
        self, folder: Path, code: Mapping[str, str], say: Callable[[str], None] = print
    ) -> None:
        """Start counting."""
        self.folder = folder
        self.code = code
        self.say = say
        self.cpu_s = 0.0
        self.hardware: set[str] = set()

    def get(
        self,
        name: str,
        modules: Iterable[str],
        settings: object,
        make: Callable[[], pd.DataFrame],
    ) -> pd.DataFrame:
        """Return a unit, made now unless it was kept.

        Parameters
        ----------
        name : str
            What to call it; no other unit of the folder is called so.
        modules : iterable of str
            Modules that make it. It is made again when they, what they import, or libraries
            change.
        settings : object
            What else it depends on, with a text that says all: traces and parameters.
        make : callable
            Makes it. What it measures itself, such as ``cpu_s`` [s], it leaves in the table's
            ``attrs``.

        Raises
        ------
        StaleError
            A module is no longer as this process read it.
        """
        code = fingerprint(modules)
        if changed := [module for module in code if code[module] != self.code.get(module)]:
            raise StaleError(f"{', '.join(changed)} changed while this ran: run it again.")
        depends = [code, versions(COMPUTING), repr(settings)]
        key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]
        safe = "".join(c if c.isalnum() or c == "-" else "_" for c in name)
        path = self.folder / f"{safe}.{key}.parquet"
        unit = pd.read_parquet(path) if path.is_file() else self._make(name, path, make)
        self.cpu_s += unit.attrs["unit_cpu_s"]
        self.hardware.add(unit.attrs["hardware"])
        return unit

    def _make(self, name: str, path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        began_s = time.process_time()
        unit = make()
        cpu_s = time.process_time() - began_s
        unit.attrs |= {"unit_cpu_s": cpu_s, "hardware": hardware()}
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        unit.to_parquet(partial)
        # The same unit of other code.
        for old in self.folder.glob(f"{path.name.split('.')[0]}.*.parquet"):
            old.unlink()
        partial.rename(path)
        self.say(f"  {name}: {cpu_s:.1f} CPU-s")
        return unit
