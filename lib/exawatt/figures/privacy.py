"""Privacy: what names and numbers give away, before and after publication, and what that costs."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from exawatt.figures.chapter import effort_of, nothing, text
from exawatt.platform import Platform
from exawatt.replay import replay
from exawatt.telemetry.anonymity import NOT_PUBLISHED, AnonymityError, Rule
from exawatt.telemetry.attack import guess_names, singled_out
from exawatt.telemetry.fields import coarsened
from exawatt.telemetry.pseudonyms import create_key, pseudonyms, read_key
from exawatt.telemetry.publish import Publication, publish
from exawatt.telemetry.release import read_release
from exawatt.workload import Workload

#: What somebody may know of a colleague's job.
KNOWN = ("procs", "requested_s")
KNOWN_TIME = (*KNOWN, "submit_s")
KS = (2, 5, 10)
#: To which releases round times and durations [s].
WINDOW_S = 60.0
JOBS_KNOWN = (1, 2, 3, 5, 10, 20)
#: Names that are tried, by effort.
TRIED = {"full": 20_000, "quick": 5_000, "test": 2_000}
ATTACK = ["identifiers", "users", "names tried", "names found", "time per name [µs]"]
RELEASES = ["release", "processors", "requested time", "rows suppressed", "work suppressed"]
RELEASES += ["jobs alone", "jobs of one user", "users found"]
UTILITY = ["jobs from", "jobs", "mean wait [h]", "of orders", "mean slowdown", "utilisation"]
#: Orders of the jobs of one minute that are replayed.
ORDERS = 11


@dataclass(frozen=True, eq=False)
class Release:
    """A publication of the trace under one rule.

    Parameters
    ----------
    name : str
        The rule, and what it was applied to.
    known : sequence of str
        Quasi-identifiers.
    publication : Publication or None
        None where nothing would have been left.
    workload : Workload or None
        The release read back; None if it cannot be replayed.
    seconds : float
        Time that publishing took [s].
    """

    name: str
    known: Sequence[str]
    publication: Publication | None
    workload: Workload | None
    seconds: float


def attack(users: int, folder: Path, seed: int, effort: str = "") -> pd.DataFrame:
    """Guess the login names behind plain hashes and behind keyed ones, from a list of logins.

    Parameters
    ----------
    users : int
        Users of the trace, who get names of the pattern ``user00000`` drawn at random.
    folder : Path
        Outside any repository; the key is made there, used once, and destroyed.
    seed, effort
        Of the names; and how many are tried.
    """
    tried = max(TRIED[effort_of(effort)], users)
    every = [f"user{number:05d}" for number in range(tried)]
    names = pd.Series(np.random.default_rng(seed).choice(every, users, replace=False))
    path = create_key(folder / "names.key")
    key = read_key(path)
    path.unlink()
    identifiers = {
        "SHA-256 of the name": names.map(lambda name: _hash("sha256", name)),
        "MD5, first 8 digits": names.map(lambda name: _hash("md5", name)[:8]),
        "keyed BLAKE2b, key lost": pseudonyms(names, key),
    }
    rows = []
    for kind, ids in identifiers.items():
        begin = time.perf_counter()
        found = guess_names(ids, every)
        taken_s = time.perf_counter() - begin
        right = sum(found.get(one) == name for one, name in zip(ids, names, strict=True))
        rows.append((kind, users, tried, right / users, 1e6 * taken_s / tried))
    return pd.DataFrame(rows, columns=ATTACK)


def _hash(algorithm: str, name: str) -> str:
    return hashlib.new(algorithm, name.encode(), usedforsecurity=False).hexdigest()


def releases(workload: Workload, folder: Path) -> list[Release]:
    """Publish a trace for each k; last with the time of submission known to the attacker."""
    rules: list[tuple[str, Sequence[str], int]] = [(f"k = {k}", KNOWN, k) for k in KS]
    rules.append((f"k = {KS[1]}, time too", KNOWN_TIME, KS[1]))
    return [
        _release(workload, folder / f"release-{number}", name, known, k)
        for number, (name, known, k) in enumerate(rules)
    ]


def _release(workload: Workload, folder: Path, name: str, known: Sequence[str], k: int) -> Release:
    path = create_key(folder.with_suffix(".key"))
    begin = time.perf_counter()
    try:
        found = publish(workload, folder, path, known, rule=Rule(k, k), window_s=WINDOW_S)
    except AnonymityError:
        return Release(name, known, None, None, time.perf_counter() - begin)
    finally:
        path.unlink()
    taken_s = time.perf_counter() - begin
    told = found.report["quasi_identifiers"]
    replayable = told.get("submit_s") != NOT_PUBLISHED and told["procs"] != NOT_PUBLISHED
    read = read_release(folder, procs=workload.procs) if replayable else None
    return Release(name, known, found, read, taken_s)


def release_table(found: Iterable[Release]) -> pd.DataFrame:
    """What each release cost, and what linking finds before and after."""
    rows: list[tuple[Any, ...]] = []
    for release in found:
        if release.publication is None:
            rows.append((release.name, *["nothing left"] * 2, *[np.nan] * 5))
            continue
        report = release.publication.report
        levels, lost = report["quasi_identifiers"], report["lost"]
        before, after, every = (
            report["linkage"][name] for name in ("before", "after", "all fields")
        )
        rows.append(
            (
                release.name,
                _short(levels["procs"]),
                _short(levels["requested_s"]),
                lost["rows_suppressed"] / lost["rows"],
                lost["work_share_suppressed"],
                *(
                    " → ".join(f"{each[attack]:.1%}" for each in (before, after))
                    + f" ({every[attack]:.0%})"
                    for attack in ("unique", "one_user", "users_found_by_3_jobs")
                ),
            )
        )
    return pd.DataFrame(rows, columns=RELEASES)


def _short(level: str) -> str:
    """Level in a few words, for a narrow column."""
    for long in ("mean of a bin between ", "rounded up to ", "numbers of "):
        level = level.replace(long, "")
    return level


def linkage_facts(found: Sequence[Release]) -> dict[str, str]:
    """Shares that the prose tells, in percent; dashes where nothing could be published."""
    reports = {one.name: one.publication.report["linkage"] for one in found if one.publication}
    told = reports.get(f"k = {KS[1]}")
    before, every = (told["before"], told["all fields"]) if told else ({}, {})
    shares = {
        "alone_before": before.get("unique"),
        "one_user_before": before.get("one_user"),
        "exposed_before": before.get("exposed"),
        "found_before": before.get("users_found_by_3_jobs"),
        "every_alone": every.get("unique"),
    }
    return {name: "–" if share is None else f"{100 * share:.3g}" for name, share in shares.items()}


def singled_out_figure(workload: Workload, found: Sequence[Release]) -> Figure:
    """Share of users whom somebody finds who knows some of their jobs."""
    tables = {"the trace": workload.jobs}
    same = [one for one in found if one.workload and tuple(one.known) == KNOWN]
    tables |= {one.name: one.workload.jobs for one in same if one.workload}
    if len(tables) == 1:
        return nothing("Nothing could be published of this trace.")
    figure, axis = plt.subplots(figsize=(7.2, 3.4))
    for i, (name, jobs) in enumerate(tables.items()):
        shares = [singled_out(jobs, KNOWN, count) for count in JOBS_KNOWN]
        style = "osD^"[i % 4] + ("--" if i == 0 else "-")
        axis.plot(JOBS_KNOWN, shares, style, color=f"C{i}", markersize=5, label=name)
    axis.set(xscale="log", xlabel="jobs of a user that are known", ylabel="users found")
    axis.set_xticks(JOBS_KNOWN, [str(count) for count in JOBS_KNOWN])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_ylim(-0.02, 1.02)
    axis.legend()
    return figure


def _rounded(workload: Workload) -> Workload:
    """The trace with times and durations as every release rounds them, and nothing else done."""
    jobs = workload.jobs
    names = ("submit_s", "runtime_s", "requested_s")
    done = {name: coarsened(jobs[name], name, b"", WINDOW_S, 0.0) for name in names}
    done["requested_s"] = done["requested_s"].mask(done["requested_s"] < 0)
    return replace(workload, jobs=jobs.assign(**done))


def utility(workload: Workload, found: Iterable[Release], seed: int) -> pd.DataFrame:
    """Replay the trace and each release under EASY, in many orders within each minute."""
    rounded = _rounded(workload)
    rows: list[tuple[Any, ...]] = [
        ("the trace", *_replayed([workload])),
        (f"the trace, rounded to {WINDOW_S:g} s", *_replayed(_orders(rounded, seed))),
    ]
    for one in found:
        parts = [] if one.workload is None else _orders(one.workload, seed)
        rows.append((one.name, *_replayed(parts)))
    return pd.DataFrame(rows, columns=UTILITY)


def utility_facts(table: pd.DataFrame) -> dict[str, str]:
    """Waits and slowdowns that the prose tells."""
    by = table.set_index("jobs from")
    names = ["trace", "rounded", "two", "five", "ten"]
    rows = dict(zip(names, by.index, strict=False))
    waits, slowdowns = by["mean wait [h]"], by["mean slowdown"]
    facts = {f"wait_{name}": text(waits[row], ".2f") for name, row in rows.items()}
    for name in names[:2]:
        facts[f"slowdown_{name}"] = text(slowdowns[rows[name]], ",.0f")
    return facts


def _orders(workload: Workload, seed: int) -> list[Workload]:
    """The jobs in many orders: which came first within a minute, or a day, was not published."""
    rng = np.random.default_rng(seed)
    # Rows that are equal in all of these are the same job to the scheduler.
    jobs = workload.jobs.sort_values(["submit_s", "procs", "requested_s", "runtime_s"])
    shuffled = [jobs.iloc[rng.permutation(len(jobs))] for _ in range(ORDERS)]
    return [
        replace(workload, jobs=each.sort_values("submit_s", kind="stable")) for each in shuffled
    ]


def _replayed(parts: Sequence[Workload]) -> tuple[float | str, ...]:
    """Jobs, and median and range over orders of the mean wait, slowdown and utilisation."""
    if not parts:
        return np.nan, np.nan, "–", np.nan, np.nan
    told = pd.DataFrame([replay(part, "easy", Platform.stand_in(part)).metrics() for part in parts])
    wait_h = told["mean_wait_s"] / 3600
    low, high = wait_h.quantile([0.05, 0.95])
    spread = f"{low:.2f} to {high:.2f}" if len(parts) > 1 else "–"
    middle = told.median()
    return len(parts[0]), wait_h.median(), spread, middle["avebsld"], middle["utilisation"]
