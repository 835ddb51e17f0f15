"""README of a release, for people: fields, rules, what was lost, what is not protected."""

from collections.abc import Mapping
from typing import Any

from exawatt.telemetry.release import untold

TEMPLATE = """\
# Release of job records

{contents}

Licence: {licence}

Contact, and removal of a person's rows: {contact}

## Rules

- Names are keyed hashes (BLAKE2b). The key belongs to this release alone and is not part of it, so
  one name has different hashes in different releases.
- Times and durations are rounded to {window_s:g} s. Second 0 is {second_0}.
- Each combination of {named} occurs in at least {k} rows, of at least {min_users} distinct users.
- A text of a category that holds the name of a user, group or account is a keyed hash too.
- Rows are sorted by their own values. Their order says nothing more.
- {left_out} further columns of the source were left out.
{replay}
## Fields

{fields}
{power_fields}
{energy}Unknown values are empty, or -1. A field that is "not published" holds `*` or -1 throughout.
In a category, `other` (or -1) stands for all values that too few rows or users have.

## What was lost

{lost}

## What an attacker finds

The attacker knows {named} of a job: as shares of all rows (of all users in the last line), in the
source ("before") and here ("after"). "All fields" is what one finds here who knows each published
field of a job but the hashes.

{linkage}

`unique`: rows alone with their values. `one_user`: rows whose values belong to one user.
`exposed`: rows of users who have such a row. `users_found_by_3_jobs`: users who alone fit three of
their jobs.

## What is not protected

- A hash links all jobs of one user. Who knows several jobs of a person can find the person's hash:
  see the last row above.
- If all rows with the same values agree in another field, that field is told of everyone in them.
- Fields that the rules do not name are only rounded. Who knows them well may recognise a job: see
  the column "all fields".
{power_warning}
Do not try to identify anyone.
"""

POWER_WARNING = """\
- Steps in a host's power show when jobs began and ended there, though not whose they were. No least
  number of users holds for a host: the power of one that few people use is the power of their jobs.
- A window of power that was not seen wholly is left out unless those before and after it were.
"""


ENERGY = """\
Mind of `energy_j` and `power_w` that {note}. Use them only where jobs had their nodes alone.

"""


def readme(report: Mapping[str, Any], licence: str, contact: str) -> str:
    """Text of the README, from the publication report."""
    rule = report["rule"]
    named = ", ".join(f"`{name}`" for name in report["quasi_identifiers"])
    power, lacking = report["power_fields"], untold(report)
    contents = "\n".join(
        f"- `{name}`: {file['rows']:,} rows, SHA-256 `{file['sha256']}`"
        for name, file in report["files"].items()
    )
    return TEMPLATE.format(
        contents=contents,
        licence=licence,
        contact=contact,
        window_s=report["window_s"],
        second_0=report["second_0"],
        named=named,
        k=rule["k"],
        min_users=rule["min_users"],
        left_out=report["columns_left_out"],
        replay=f"- No replay is possible, without {' and '.join(lacking)}.\n" if lacking else "",
        energy=ENERGY.format(note=report["energy"]) if report["energy"] else "",
        fields=_table(report["fields"], ["unit", "meaning", "done"]),
        power_fields=f"\nPower:\n\n{_table(power, ['unit', 'meaning'])}\n" if power else "",
        lost="\n".join(f"- {name.replace('_', ' ')}: {n}" for name, n in report["lost"].items()),
        linkage=_table(_transposed(report["linkage"]), list(report["linkage"])),
        power_warning=POWER_WARNING if power else "",
    )


def _table(rows: Mapping[str, Mapping[str, Any]], columns: list[str]) -> str:
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| `{name}` | {' | '.join(str(row[column]) for column in columns)} |")
    return "\n".join(lines)


def _transposed(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    first = next(iter(rows.values()))
    return {what: {name: row[what] for name, row in rows.items()} for what in first}
