"""Policy: a rule for choosing which jobs to start, as a sentence that can be saved."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, Self, get_args

Order = Literal["fcfs"]
Backfill = Literal["none", "easy"]
MissingRequest = Literal["quantile", "runtime"]

#: Names that stand for an order and a backfilling together.
ALIASES = {"easy": "fcfs+easy"}


@dataclass(frozen=True)
class Policy:
    """A scheduling policy.

    Parameters
    ----------
    order : {"fcfs"}
        Order of the queue: first come, first served.
    backfill : {"none", "easy"}
        Whether jobs behind a blocked head may start, if they do not delay it [1]_ [2]_.
    kill_at_request : bool
        A job that runs longer than it requested ends at its request.
    missing_request : {"quantile", "runtime"}
        What the scheduler takes for a request that the log lacks: the 0.9-quantile of the
        requests submitted before, or the runtime itself. The latter is clairvoyant, and only
        there to reproduce published tables.

    References
    ----------
    .. [1] D. Lifka, "The ANL/IBM SP Scheduling System", JSSPP 1995.
    .. [2] A. Mu'alem, D. Feitelson, "Utilization, Predictability, Workloads, and User Runtime
       Estimates in Scheduling the IBM SP2 with Backfilling", IEEE TPDS 12(6), 2001.
    """

    order: Order = "fcfs"
    backfill: Backfill = "none"
    kill_at_request: bool = True
    missing_request: MissingRequest = "quantile"

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        choices = {"order": Order, "backfill": Backfill, "missing_request": MissingRequest}
        for name, literal in choices.items():
            value = getattr(self, name)
            if value not in get_args(literal):
                known = ", ".join(get_args(literal))
                raise ValueError(f"{name}(={value!r}) is unknown; pass one of {known}.")
        if not isinstance(self.kill_at_request, bool):
            raise ValueError(f"kill_at_request(={self.kill_at_request!r}) must be true or false.")

    @classmethod
    def named(cls, name: str) -> Self:
        """Policy of a name, ``ORDER[+BACKFILL]`` or an alias such as ``easy``.

        Raises
        ------
        ValueError
            The name is unknown.
        """
        order, plus, backfill = ALIASES.get(name.lower(), name.lower()).partition("+")
        try:
            return cls(order=order, backfill=backfill if plus else "none")  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(
                f"policy {name!r} is unknown; pass ORDER[+BACKFILL] with ORDER one of "
                f"{', '.join(get_args(Order))} and BACKFILL one of {', '.join(get_args(Backfill))}"
                f", an alias ({', '.join(ALIASES)}), or a JSON file."
            ) from None

    @classmethod
    def of(cls, policy: "str | Path | Policy") -> "Policy":
        """Policy itself, by name, or from a JSON file."""
        if isinstance(policy, Policy):
            return policy
        if isinstance(policy, Path) or policy.endswith(".json"):
            return cls.from_json(policy)
        return cls.named(policy)

    @property
    def name(self) -> str:
        """Short name, for tables: an alias where there is one."""
        full = self.order if self.backfill == "none" else f"{self.order}+{self.backfill}"
        return next((alias for alias, meaning in ALIASES.items() if meaning == full), full)

    @property
    def clairvoyant(self) -> bool:
        """Whether a decision may rest on a runtime that nobody could have known."""
        return self.missing_request == "runtime"

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
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is no JSON ({error}).") from None
        known = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or not set(values) <= set(known):
            raise ValueError(f"{path}: a policy is a JSON object with some of {known}.")
        return cls(**values)
