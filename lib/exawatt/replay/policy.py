"""Policy: a rule for choosing which jobs to start, as a sentence that can be saved."""

import json
import reprlib
from dataclasses import MISSING, asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from exawatt.replay.rules import CarbonHold, Dvfs, Multifactor, Scorer, as_number

Order = Literal[
    "fcfs", "lcfs", "sjf", "ljf", "saf", "lxf", "wfp3", "unicep", "f1", "f2", "f3", "f4"
]
Head = Literal["fresh", "committed"]
Backfill = Literal["none", "easy", "conservative"]
Correction = Literal["none", "request", "increments", "doubling"]
MissingRequest = Literal["quantile", "runtime"]

#: Estimates that are not the name of a column.
ESTIMATES = ("request", "actual", "last2")
_CHOICES: dict[str, Any] = {
    "order": Order,
    "head": Head,
    "backfill": Backfill,
    "backfill_order": Order,
    "correction": Correction,
    "missing_request": MissingRequest,
}
#: Fields whose values have parameters of their own: an object in JSON.
_PARTS: dict[str, tuple[Any, ...]] = {
    "order": (Multifactor, Scorer),
    "dvfs": (Dvfs,),
    "hold": (CarbonHold,),
}


@dataclass(frozen=True)
class Policy:
    """A scheduling policy; :doc:`/docs/replay_semantics` says what each part does, exactly.

    Parameters
    ----------
    order : str, Multifactor or Scorer
        Order of the queue: ``fcfs``, ``lcfs`` (last come), ``sjf``, ``ljf`` (shortest, longest
        job), ``saf`` (smallest area), ``lxf`` (largest expansion), ``wfp3``, ``unicep`` [3]_,
        ``f1`` to ``f4`` [4]_.
    head : {"fresh", "committed"}
        Whether the job that everything waits for is chosen anew at every pass. Committed only
        reproduces earlier work.
    backfill : {"none", "easy", "conservative"}
        Whether jobs behind a blocked head may start: if they do not delay it [1]_ [2]_, or any
        job before them [2]_.
    backfill_order : str, optional
        Order in which EASY looks at the others: ``sjf`` makes EASY-SJBF [5]_.
    estimate : str
        What the scheduler takes for a runtime: ``request``, ``actual`` (clairvoyant), ``last2``
        [5]_, or the name of a column of the workload.
    correction : {"none", "request", "increments", "doubling"}
        What to expect of a job that runs longer than its estimate [5]_.
    kill_at_request : bool
        A job that runs longer than it requested ends at its request.
    missing_request : {"quantile", "runtime"}
        What the scheduler takes for a request that the log lacks: the 0.9-quantile of the
        requests submitted before, or the runtime itself. The latter is clairvoyant, and only
        there to reproduce published tables.
    max_wait_s : float, optional
        A job that has waited longer comes first, in order of submission [s].
    sleep_after_s : float, optional
        Idle nodes fall asleep after this long [s].
    power_cap_w : float, optional
        The machine never draws more [W].
    dvfs : Dvfs, optional
        Frequencies that jobs may run at.
    hold : CarbonHold, optional
        When to hold jobs back for cleaner power; needs a forecast.

    References
    ----------
    .. [1] D. Lifka, "The ANL/IBM SP Scheduling System", JSSPP 1995.
    .. [2] A. Mu'alem, D. Feitelson, "Utilization, Predictability, Workloads, and User Runtime
       Estimates in Scheduling the IBM SP2 with Backfilling", IEEE TPDS 12(6), 2001.
    .. [3] W. Tang et al., "Fault-Aware, Utility-Based Job Scheduling on Blue Gene/P Systems",
       CLUSTER 2009.
    .. [4] D. Carastan-Santos, R. de Camargo, "Obtaining Dynamic Scheduling Policies with
       Simulation and Machine Learning", SC'17.
    .. [5] D. Tsafrir, Y. Etsion, D. Feitelson, "Backfilling Using System-Generated Predictions
       Rather than User Runtime Estimates", IEEE TPDS 18(6), 2007.
    """

    order: str | Multifactor | Scorer = "fcfs"
    head: Head = "fresh"
    backfill: Backfill = "none"
    backfill_order: str | None = None
    estimate: str = "request"
    correction: Correction = "none"
    kill_at_request: bool = True
    missing_request: MissingRequest = "quantile"
    max_wait_s: float | None = None
    sleep_after_s: float | None = None
    power_cap_w: float | None = None
    dvfs: Dvfs | None = None
    hold: CarbonHold | None = None

    def __post_init__(self) -> None:
        """Refuse what is no choice, and choices that do not go together."""
        for name, literal in _CHOICES.items():
            value = getattr(self, name)
            if name == "order" and isinstance(value, Multifactor | Scorer):
                continue
            if name == "backfill_order" and value is None:
                continue
            if value not in get_args(literal):
                known = ", ".join(get_args(literal))
                raise ValueError(f"{name}(={value!r}) is unknown; pass one of {known}.")
        if not isinstance(self.kill_at_request, bool):
            raise ValueError(f"kill_at_request(={self.kill_at_request!r}) must be true or false.")
        if not isinstance(self.estimate, str):
            raise ValueError(
                f"estimate(={self.estimate!r}) must be one of {', '.join(ESTIMATES)}, or a "
                "column's name."
            )
        for name in ("dvfs", "hold"):
            value, [kind] = getattr(self, name), _PARTS[name]
            if value is not None and not isinstance(value, kind):
                inside = ", ".join(field.name for field in fields(kind))
                need = f"a {kind.__name__} (in JSON an object of {inside}) or None"
                raise ValueError(f"{name}(={value!r}) must be {need}.")
        for name in ("max_wait_s", "sleep_after_s", "power_cap_w"):
            value = getattr(self, name)
            if value is not None and not 0 <= as_number(value) < np.inf:
                raise ValueError(f"{name}(={value!r}) must be a finite number, 0 or more, or None.")
        if self.backfill_order is not None and self.backfill != "easy":
            raise ValueError(
                f"backfill_order(={self.backfill_order!r}) needs backfill='easy', not "
                f"{self.backfill!r}."
            )
        if self.backfill == "conservative" and self.head == "committed":
            raise ValueError(
                "backfill='conservative' gives every job a reservation; head must be "
                "'fresh', not 'committed'."
            )
        if self.backfill == "conservative" and self.dvfs and len(self.dvfs.levels) > 1:
            raise ValueError(
                f"backfill='conservative' reserves at one frequency; levels(={self.dvfs.levels}) "
                "must be one, or backfill 'easy'."
            )

    @classmethod
    def named(cls, name: str) -> "Policy":
        """Policy of a name, ``ORDER[+BACKFILL]`` or an alias such as ``easy``.

        Raises
        ------
        ValueError
            The name is unknown.
        """
        if name.lower() in ALIASES:
            return ALIASES[name.lower()]
        order, plus, backfill = name.lower().partition("+")
        try:
            return cls(order=order, backfill=backfill if plus else "none")  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(
                f"policy {name!r} is unknown; pass ORDER[+BACKFILL] with ORDER one of "
                f"{', '.join(get_args(Order))} and BACKFILL one of {', '.join(get_args(Backfill))}"
                f", an alias ({', '.join(ALIASES)}), or a JSON file."
            ) from None

    @classmethod
    def of(cls, policy: "str | Path | dict[str, Any] | Policy") -> "Policy":
        """Policy itself, by name, from a JSON file, or of a JSON object.

        Raises
        ------
        ValueError, OSError
            The name is unknown, the file is no policy or cannot be read, or it is none of these.
        """
        if isinstance(policy, Policy):
            return policy
        if isinstance(policy, dict):
            return cls.from_values(policy)
        if isinstance(policy, Path) or (isinstance(policy, str) and policy.endswith(".json")):
            return cls.from_json(policy)
        if isinstance(policy, str):
            return cls.named(policy)
        raise ValueError(
            f"policy(={policy!r}) must be a name such as 'easy', the path of a JSON file, or a "
            "Policy."
        )

    @property
    def order_name(self) -> str:
        """What to call its order."""
        if isinstance(self.order, Multifactor):
            return "multifactor"
        return self.order.name if isinstance(self.order, Scorer) else self.order

    @property
    def name(self) -> str:
        """Short name, for tables: an alias where there is one; then what else it does."""
        kept = {"kill_at_request": True, "missing_request": "quantile"}
        extras = ("max_wait_s", "sleep_after_s", "power_cap_w", "dvfs")
        core = replace(self, **kept, **dict.fromkeys(extras))  # type: ignore[arg-type]
        words = [alias for alias, meaning in ALIASES.items() if meaning == core]
        hold = None if words else self.hold
        core = replace(core, hold=None)
        words = words or [alias for alias, meaning in ALIASES.items() if meaning == core]
        if not words:
            backfill = "" if self.backfill == "none" else f"+{self.backfill}"
            words = [self.order_name + backfill]
            words += [f"{self.backfill_order} backfill"] if self.backfill_order else []
            words += ["committed head"] if self.head == "committed" else []
            words += [f"estimate {self.estimate}"] if self.estimate != "request" else []
            words += [f"correction {self.correction}"] if self.correction != "none" else []
        if self.max_wait_s is not None:
            words.append(f"max wait {self.max_wait_s / 3600:g} h")
        if self.sleep_after_s is not None:
            words.append(f"sleep after {self.sleep_after_s:g} s")
        if self.power_cap_w is not None:
            words.append(f"cap {self.power_cap_w / 1e3:g} kW")
        if self.dvfs is not None:
            words.append("dvfs " + "/".join(f"{level:g}" for level in self.dvfs.levels))
        if hold is not None:
            words.append(hold.name)
        return ", ".join(words)

    @property
    def clairvoyant(self) -> bool:
        """Whether a decision may rest on a runtime that nobody could have known."""
        return self.missing_request == "runtime" or self.estimate == "actual"

    def to_json(self, path: Path | str) -> None:
        """Write the policy as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: Path | str) -> Self:
        """Read a policy written by :meth:`to_json`.

        Raises
        ------
        ValueError
            The file is no JSON object, or names what a policy does not have.
        OSError
            The file is not there, or cannot be read.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is no JSON ({error}).") from None
        except OSError as error:
            problem = "no such policy file" if isinstance(error, FileNotFoundError) else error
            raise type(error)(
                f"{path}: {problem}; pass a JSON file that Policy.to_json wrote, or a name such "
                "as easy."
            ) from None
        return cls.from_values(values, str(path))

    @classmethod
    def from_values(cls, values: Any, where: str = "policy") -> Self:
        """Policy of a JSON object; `where` it stood is named in errors.

        Raises
        ------
        ValueError
            It is no object, or has a key or value that no policy has.
        """
        if not isinstance(values, dict):
            raise ValueError(f"{where}: a policy is a JSON object, not {reprlib.repr(values)}.")
        try:
            _refuse_unknown(values, cls)
            found = {
                name: _part(name, value)
                for name, value in values.items()
                if name in _PARTS and isinstance(value, dict)
            }
            return cls(**values | found)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _refuse_unknown(values: dict[str, Any], kind: Any) -> None:
    """Name the first key that is no field of a dataclass, or a field that is lacking."""
    known = [field.name for field in fields(kind)]
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"unknown key {key!r} (={value!r}); {meant}Keys are {known}.")
    for field in fields(kind):
        if field.name not in values and field.default is MISSING:
            raise ValueError(f"lacks the key {field.name!r}; pass it with its value.")


def _part(name: str, values: dict[str, Any]) -> Any:
    """Part of a policy, of whichever kind has the most of the keys of a JSON object."""

    def in_common(kind: Any) -> int:
        return len({field.name for field in fields(kind)} & set(values))

    kind = max(_PARTS[name], key=in_common)
    try:
        _refuse_unknown(values, kind)
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


_DAY_S = 86400.0
_EASY = Policy(backfill="easy")
#: Names that stand for more than an order. Those of holds are the simple rules that a learned one
#: has to beat, each with a budget of a day.
ALIASES = {
    "easy": _EASY,
    "conservative": Policy(backfill="conservative"),
    "easy-sjbf": replace(_EASY, backfill_order="sjf"),
    "easy++": replace(_EASY, backfill_order="sjf", estimate="last2", correction="increments"),
    "lets-wait-awhile": replace(
        _EASY, hold=CarbonHold(_DAY_S, min_saving=0.0, deadline="next-workday")
    ),
    "lowest-window": replace(_EASY, hold=CarbonHold(_DAY_S)),
    "lowest-slot": replace(_EASY, hold=CarbonHold(_DAY_S, rule="slot")),
    "carbon-time": replace(_EASY, hold=CarbonHold(_DAY_S, rule="carbon-time")),
    "carbon-threshold": replace(
        _EASY, hold=CarbonHold(_DAY_S, rule="threshold", threshold_gco2_per_kwh=150.0)
    ),
    "forecast-quantile": replace(_EASY, hold=CarbonHold(_DAY_S, rule="quantile", quantile=0.25)),
}
