"""Energies as texts, in columns that fit into a narrow terminal."""

from math import floor, log10, nan
from typing import Any

import pandas as pd

from exawatt.telemetry.energy import energy
from exawatt.telemetry.recording import Recording

J_PER_KWH = 3.6e6
#: Below a millijoule nothing is measured, though counters may count finer.
_MOST_PLACES = 3


def measured(recording: Recording, device: Any) -> dict[str, Any]:
    """Energy of one device over its recording, and where it is from."""
    found = energy(recording, device)
    seen_s = found.duration_s * (1 - found.gap_share)
    return {
        "recording": str(recording.path),
        "host": recording.host,
        recording.key: device,
        "duration_s": found.duration_s,
        "method": found.method,
        "energy_j": found.energy_j,
        "uncertainty_j": found.uncertainty_j,
        # What of it is the sensor's own; nobody tells that of RAPL.
        "sensor_j": nan if recording.key == "zone" else found.sensor_j,
        "mean_w": found.energy_j / seen_s if seen_s else nan,
        "gap_share": found.gap_share,
    }


def device_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Show what :func:`measured` found; the host only where there are several."""
    several = len({row["host"] for row in rows}) > 1
    key = "zone" if all("zone" in row for row in rows) else "device"
    shown = []
    for row in rows:
        joules, uncertainty = with_uncertainty(row["energy_j"], row["uncertainty_j"])
        shown.append(
            ({"host": row["host"]} if several else {})
            | {
                key: row["zone"] if "zone" in row else row["device"],
                "duration_s": f"{row['duration_s']:,.1f}",
                "method": row["method"],
                "energy_j": joules,
                "±_j": uncertainty,
                "mean_w": f"{row['mean_w']:,.1f}",
                "gaps": f"{row['gap_share']:.2%}",
            }
        )
    return pd.DataFrame(shown)


def job_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """Show measured jobs, in kWh where they are large."""
    unit, scale = ("kwh", J_PER_KWH) if jobs["energy_j"].max() >= J_PER_KWH else ("j", 1.0)
    energies = jobs[["energy_j", "uncertainty_j"]] / scale
    pairs = [with_uncertainty(*row) for row in energies.itertuples(index=False)]
    return pd.DataFrame(
        {
            "job": jobs["job"].astype(str).to_list(),
            f"energy_{unit}": [value for value, _ in pairs],
            f"±_{unit}": [uncertainty for _, uncertainty in pairs],
            "coverage": jobs["coverage"].map("{:.1%}".format).to_list(),
            "method": jobs["method"].to_list(),
            "shared": jobs["shared"].map({True: "yes", False: "no"}).to_list(),
        }
    )


def with_uncertainty(value: float, uncertainty: float) -> tuple[str, str]:
    """Write a value and its standard uncertainty, of which two digits count."""
    if not uncertainty > 0:
        return f"{value:,.1f}", f"{uncertainty:.0f}"
    uncertainty = float(f"{uncertainty:.1e}")
    places = 1 - floor(log10(uncertainty))
    shown = min(max(places, 0), _MOST_PLACES)
    if places > _MOST_PLACES:
        return f"{value:,.{shown}f}", f"{uncertainty:.2g}"
    return f"{round(value, places):,.{shown}f}", f"{uncertainty:,.{shown}f}"


def flaw_table(found: pd.DataFrame) -> pd.DataFrame:
    """Gaps or clock steps with instants that people can read."""
    begin, length = ("begin_ns", "length_s") if "begin_ns" in found else ("time_ns", "step_s")
    instants = pd.to_datetime(found[begin]).dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3]
    lengths = found[length].map("{:,.3f}".format)
    shown = found.assign(**{begin: instants, length: lengths}).rename(columns={begin: "UTC"})
    return shown.drop(columns=["end_ns", "monotonic_ns"], errors="ignore")
