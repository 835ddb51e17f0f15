"""Exawatt: from a cluster's trace to its schedule, its kWh and its kgCO2e.

>>> import exawatt as ew
>>> workload = ew.load("KTH-SP2")
>>> schedule = ew.replay(workload, policy="easy")
>>> account = ew.account(ew.power(schedule), ew.load_intensity("GB-2023"))
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exawatt.attribution import attribute
    from exawatt.carbon import Account, account
    from exawatt.embodied import Embodied
    from exawatt.facility import Pue
    from exawatt.footprint import Footprint
    from exawatt.forecast import Forecast, persistence
    from exawatt.intensity import GapError, Intensity
    from exawatt.market import market_based
    from exawatt.platform import Partition, Platform
    from exawatt.power import PowerProfile, power
    from exawatt.readers import TraceError, load, load_intensity, read_sacct, read_swf, write_swf
    from exawatt.replay import (
        CarbonHold,
        Dvfs,
        Multifactor,
        Policy,
        Schedule,
        Scorer,
        replay,
    )
    from exawatt.uncertainty import Uncertainty
    from exawatt.workload import Workload

__version__ = "0.1.0"

__all__ = [
    "Account",
    "CarbonHold",
    "Dvfs",
    "Embodied",
    "Footprint",
    "Forecast",
    "GapError",
    "Intensity",
    "Multifactor",
    "Partition",
    "Platform",
    "Policy",
    "PowerProfile",
    "Pue",
    "Schedule",
    "Scorer",
    "TraceError",
    "Uncertainty",
    "Workload",
    "account",
    "attribute",
    "load",
    "load_intensity",
    "market_based",
    "persistence",
    "power",
    "read_sacct",
    "read_swf",
    "replay",
    "write_swf",
]

# Names are imported when first used: a part that needs no compiler, such as the simulator under
# exawatt.batsim, starts in a fifth of the time and memory without it.
_HOMES = {
    "attribution": "attribute",
    "carbon": "Account account",
    "embodied": "Embodied",
    "facility": "Pue",
    "footprint": "Footprint",
    "forecast": "Forecast persistence",
    "intensity": "GapError Intensity",
    "market": "market_based",
    "platform": "Partition Platform",
    "power": "PowerProfile power",
    "readers": "TraceError load load_intensity read_sacct read_swf write_swf",
    "replay": "CarbonHold Dvfs Multifactor Policy Schedule Scorer replay",
    "uncertainty": "Uncertainty",
    "workload": "Workload",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class Exawatt:
    """What ``pybatsim exawatt.batsim.scheduler`` finds: it cuts a name at its first dot."""

    def __new__(cls, options: dict[str, Any]) -> Any:
        """Make the scheduler; see :mod:`exawatt.batsim.scheduler`."""
        from exawatt.batsim.scheduler import Scheduler

        return Scheduler(options)


class _Face(ModuleType):
    """Keeps ``power`` and ``replay`` the functions when their modules of the same name arrive."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
