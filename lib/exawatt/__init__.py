"""Exawatt: from a cluster's trace to its schedule, its kWh and its kgCO2e.

>>> import exawatt as ew
>>> workload = ew.load("KTH-SP2")
>>> schedule = ew.replay(workload, policy="easy")
>>> account = ew.account(ew.power(schedule), ew.load_intensity("GB-2023"))
"""

from exawatt.carbon import Account, account
from exawatt.forecast import Forecast, persistence
from exawatt.intensity import GapError, Intensity
from exawatt.platform import Partition, Platform
from exawatt.power import PowerProfile, power
from exawatt.readers import TraceError, load, load_intensity, read_swf, write_swf
from exawatt.replay import (
    CarbonHold,
    Dvfs,
    Multifactor,
    Policy,
    Schedule,
    Scorer,
    replay,
)
from exawatt.workload import Workload

__version__ = "0.1.0"

__all__ = [
    "Account",
    "CarbonHold",
    "Dvfs",
    "Forecast",
    "GapError",
    "Intensity",
    "Multifactor",
    "Partition",
    "Platform",
    "Policy",
    "PowerProfile",
    "Schedule",
    "Scorer",
    "TraceError",
    "Workload",
    "account",
    "load",
    "load_intensity",
    "persistence",
    "power",
    "read_swf",
    "replay",
    "write_swf",
]
