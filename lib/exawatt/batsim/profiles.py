"""Profiles: what a job does once it runs, as Batsim's workloads describe it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SEND_SLEEP_S = 1e-7
_POLL_S = 0.005


@dataclass(frozen=True)
class Delay:
    """Hold the hosts for a time, at idle power."""

    delay_s: float
    ret: int = 0


@dataclass(frozen=True)
class Parallel:
    """Compute on all hosts at once; over when the slowest is done.

    `flops` has one amount for each executor [flop], or a single one for all; it is shared among
    them when `total` is set.
    """

    flops: tuple[float, ...]
    total: bool = False
    ret: int = 0

    def flops_of(self, executors: int) -> tuple[float, ...]:
        """Amount of each executor [flop].

        Raises
        ------
        ValueError
            The profile was written for another number of executors.
        """
        if len(self.flops) == 1:
            return (self.flops[0] / (executors if self.total else 1),) * executors
        if len(self.flops) != executors:
            raise ValueError(f"has cpu for {len(self.flops)} executors and runs on {executors}")
        return self.flops


@dataclass(frozen=True)
class Composed:
    """Other profiles one after the other, several times over; ends at the first that fails."""

    sequence: tuple[str, ...]
    repeat: int = 1
    ret: int = 0


@dataclass(frozen=True)
class Send:
    """Send the scheduler a message."""

    message: Any
    sleep_s: float = _SEND_SLEEP_S
    ret: int = 0


@dataclass(frozen=True)
class Receive:
    """Take the scheduler's next message, and go on with a profile according to it.

    Without one, the profile `timeout` is run, or, where it is empty, a message is waited for.
    """

    regex: str = ".*"
    success: str = ""
    failure: str = ""
    timeout: str = ""
    poll_s: float = _POLL_S
    ret: int = 0


Profile = Delay | Parallel | Composed | Send | Receive


@dataclass
class Book:
    """Profiles by workload and name, read when they are first asked for."""

    raw: dict[str, dict[str, Any]] = field(default_factory=dict)
    _read: dict[tuple[str, str], Profile] = field(default_factory=dict)

    def add(self, workload: str, name: str, raw: Any) -> None:
        """Add a profile; the same again is passed over.

        Raises
        ------
        ValueError
            It is wrong, or another one has its name.
        """
        profile = parse_profile(name, raw)
        known = self.raw.setdefault(workload, {})
        if known.setdefault(name, raw) != raw:
            raise ValueError(f"profile {name!r} of workload {workload!r} is known, and differs.")
        self._read[workload, name] = profile

    def __getitem__(self, key: tuple[str, str]) -> Profile:
        """Profile of a workload by its name."""
        profile = self._read.get(key)
        if profile is None:
            workload, name = key
            known = self.raw.get(workload, {})
            if name not in known:
                raise ValueError(f"workload {workload!r} has no profile {name!r}.")
            profile = self._read[key] = parse_profile(name, known[name])
        return profile

    def check_job(self, workload: str, identifier: Any, name: str, hosts: int) -> None:
        """Refuse a job whose profile, or one that it leads to, it cannot run.

        Raises
        ------
        ValueError
            The message names the job and the profile.
        """

        def find(name: str) -> Profile:
            return self[workload, name]

        try:
            check_sequences([name], find)
            check_executors(name, find, hosts)
        except ValueError as error:
            raise ValueError(f"job {identifier!r}: {error}") from None


def named_by(profile: Profile) -> tuple[str, ...]:
    """Names of the profiles that a profile may go on with."""
    match profile:
        case Composed(sequence):
            return tuple(dict.fromkeys(sequence))
        case Receive():
            names = (profile.success, profile.failure, profile.timeout)
            return tuple(name for name in names if name)
    return ()


def check_sequences(names: Iterable[str], find: Callable[[str], Profile]) -> None:
    """Refuse profiles that name unknown ones, or whose sequences lead back to themselves.

    Raises
    ------
    ValueError
        They do; the message names the profiles.
    """
    known: set[str] = set()
    for start in names:
        if start in known:
            continue
        path = {start: list(named_by(find(start)))}
        while path:
            name = next(reversed(path))
            if not path[name]:
                known.add(name)
                del path[name]
                continue
            follower = path[name].pop()
            try:
                following = named_by(find(follower))
            except ValueError as error:
                raise ValueError(f"profile {name!r} names {follower!r}: {error}") from None
            if follower not in path:
                if follower not in known:
                    path[follower] = list(following)
                continue
            # A job that goes on by its messages may come back: each turn takes a message.
            cycle = list(path)[list(path).index(follower) :]
            if all(isinstance(find(one), Composed) for one in cycle):
                way = " > ".join([*cycle, follower])
                raise ValueError(
                    f"profile {name!r} has {follower!r} in its seq, which never ends: {way}; "
                    "pass repeat instead."
                )


def check_executors(name: str, find: Callable[[str], Profile], hosts: int) -> None:
    """Refuse a profile that leads to one written for another number of executors.

    Raises
    ------
    ValueError
        It does; the message names the profile.
    """
    seen, waiting = {name}, [name]
    while waiting:
        one = waiting.pop()
        profile = find(one)
        if isinstance(profile, Parallel):
            try:
                profile.flops_of(hosts)
            except ValueError:
                raise ValueError(
                    f"profile {one!r} has cpu for {len(profile.flops)} executors, and "
                    f"res(={hosts}); pass a list of {hosts}."
                ) from None
        fresh = [other for other in named_by(profile) if other not in seen]
        seen.update(fresh)
        waiting += fresh


def parse_profile(name: str, raw: Any) -> Profile:
    """Profile from its JSON object.

    Raises
    ------
    ValueError
        A field is missing or wrong, or the profile needs a network.
    """
    try:
        if not isinstance(raw, Mapping):
            raise ValueError(f"is {raw!r}; pass an object such as {{'type': 'delay', ...}}")
        kind = raw.get("type")
        if kind not in _READERS:
            raise ValueError(f"has type(={kind!r}); known are {', '.join(_READERS)}")
        profile: Profile = _READERS[kind](raw)
        return profile
    except ValueError as error:
        raise ValueError(f"profile {name!r} {error}.") from None


def number(raw: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Number of a JSON object that is not negative."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise ValueError(f"has {key}(={value!r}); it must be a number, not negative")
    return float(value)


def _positive(raw: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = number(raw, key, default)
    if value == 0:
        raise ValueError(f"has {key}(={raw.get(key)!r}); it must be positive")
    return value


def _ret(raw: Mapping[str, Any]) -> int:
    value = raw.get("ret", 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"has ret(={value!r}); it must be a whole number")
    return value


def _no_network(raw: Mapping[str, Any]) -> None:
    moved = raw.get("com", 0)
    if any(moved) if isinstance(moved, list) else moved:
        raise ValueError("has com; moving data is not simulated, pass 0")


def _delay(raw: Mapping[str, Any]) -> Delay:
    return Delay(_positive(raw, "delay"), _ret(raw))


def _homogeneous(raw: Mapping[str, Any]) -> Parallel:
    _no_network(raw)
    return Parallel((number(raw, "cpu"),), ret=_ret(raw))


def _homogeneous_total(raw: Mapping[str, Any]) -> Parallel:
    _no_network(raw)
    return Parallel((number(raw, "cpu"),), total=True, ret=_ret(raw))


def _parallel(raw: Mapping[str, Any]) -> Parallel:
    _no_network(raw)
    amounts = raw.get("cpu")
    if not isinstance(amounts, list) or not amounts:
        raise ValueError(f"has cpu(={amounts!r}); it must be a list of numbers")
    return Parallel(tuple(number({"cpu": one}, "cpu") for one in amounts), ret=_ret(raw))


def _composed(raw: Mapping[str, Any]) -> Composed:
    sequence, repeat = raw.get("seq"), raw.get("repeat", raw.get("nb", 1))
    if not isinstance(sequence, list) or not all(isinstance(one, str) for one in sequence):
        raise ValueError(f"has seq(={sequence!r}); it must be a list of profile names")
    if not sequence or not isinstance(repeat, int) or repeat < 1:
        raise ValueError(f"has repeat(={repeat!r}) of {len(sequence)} profiles; both must be >= 1")
    return Composed(tuple(sequence), repeat, _ret(raw))


def _send(raw: Mapping[str, Any]) -> Send:
    if not isinstance(raw.get("msg"), dict):
        raise ValueError(f"has msg(={raw.get('msg')!r}); it must be an object")
    return Send(raw["msg"], _positive(raw, "sleeptime", _SEND_SLEEP_S), _ret(raw))


def _receive(raw: Mapping[str, Any]) -> Receive:
    for key in ("regex", "success", "failure", "timeout"):
        if not isinstance(raw.get(key, ""), str):
            raise ValueError(f"has {key}(={raw[key]!r}); it must be a text")
    try:
        re.compile(raw.get("regex", ""))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"has regex(={raw['regex'][:60]!r}); it must be a regular expression: {error}"
        ) from None
    return Receive(
        raw.get("regex", ".*"),
        raw.get("success", ""),
        raw.get("failure", ""),
        raw.get("timeout", ""),
        _positive(raw, "polltime", _POLL_S),
        _ret(raw),
    )


_READERS: dict[Any, Any] = {
    "delay": _delay,
    "parallel": _parallel,
    "parallel_homogeneous": _homogeneous,
    "parallel_homogeneous_total": _homogeneous_total,
    "composed": _composed,
    "send": _send,
    "recv": _receive,
}
