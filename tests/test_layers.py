"""Each module imports only from its own floor of the design or from below."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lib" / "exawatt"

FLOORS = {
    "workload": 1,
    "platform": 1,
    "intensity": 1,
    "stats": 1,
    "units": 1,
    "facility": 1,
    "readers": 2,
    "gridapi": 2,
    "forecast": 2,
    "telemetry": 2,
    "replay": 3,
    "power": 4,
    "carbon": 4,
    "shifting": 4,
    "attribution": 4,
    "uncertainty": 4,
    "halfhours": 4,
    "market": 4,
    "embodied": 4,
    "footprint": 4,
    "predict": 4,
    "learn": 5,
    "batsim": 5,
    "experiment": 6,
    "explain": 6,
    "figures": 7,
    "claims": 7,
    "cli": 7,
    "cli_account": 7,
    "cli_carbon": 7,
    "cli_predict": 7,
    "cli_record": 7,
    "cli_traces": 7,
    "terminal": 7,
    "batsim/commands": 7,
    "telemetry/commands": 7,
}
"""Floor of each module or folder of lib/exawatt; a new one is assigned here, by design.

A module of a folder may stand higher than the folder: its command line.
"""

FACE = 7  # exawatt itself imports everything, so only the top floor may import it


def modules() -> list[str]:
    """Return every module of the package as a path without suffix: `replay/kernel`."""
    found = sorted(path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return [str(path) for path in found if path.name != "__main__" and str(path) != "__init__"]


def floor_of(dotted: str) -> int:
    """Floor of an imported name such as `exawatt.replay.kernel`."""
    parts = dotted.split(".")
    return FACE if len(parts) == 1 else FLOORS[parts[1]]


def imported(tree: ast.AST, module: str) -> set[str]:
    """Return what of exawatt a module imports, at its head, in functions or for types alone."""
    here = ["exawatt", *module.removesuffix("/__init__").split("/")]
    package = here if module.endswith("__init__") else here[:-1]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from exawatt import power` means the module; any other name is the face's.
                known = source == "exawatt" and alias.name in FLOORS
                found.add(f"exawatt.{alias.name}" if known else source)
    return {name for name in found if name.split(".")[0] == "exawatt"}


def test_the_package_was_found() -> None:
    assert {"workload", "readers/swf", "power", "carbon", "cli"} <= set(modules())


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_its_floor_or_below(module: str) -> None:
    name = module.split("/")[0]
    assert name in FLOORS, f"{name} has no floor: assign one in tests/test_layers.py"
    floor = FLOORS.get(module, FLOORS[name])
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    above = {
        other
        for other in imported(tree, module)
        if other.split(".")[:2] != ["exawatt", name] and floor_of(other) > floor
    }
    assert not above, f"{module} (floor {floor}) imports {sorted(above)} from above"


@pytest.mark.parametrize(
    ("text", "module", "expected"),
    [
        ("import numpy", "power", set()),
        ("import exawatt", "power", {"exawatt"}),
        ("from exawatt import Workload", "power", {"exawatt"}),
        ("from exawatt import carbon", "power", {"exawatt.carbon"}),
        ("def f():\n    from exawatt.cli import app", "power", {"exawatt.cli"}),
        ("from . import workload", "power", {"exawatt.workload"}),
        ("from .files import TraceError", "readers/swf", {"exawatt.readers.files"}),
        ("from ..power import power", "readers/swf", {"exawatt.power"}),
        ("from .swf import read_swf", "readers/__init__", {"exawatt.readers.swf"}),
    ],
)
def test_the_import_finder(text: str, module: str, expected: set[str]) -> None:
    assert imported(ast.parse(text), module) == expected


def test_importing_exawatt_does_not_import_heavy_libraries() -> None:
    heavy = ["torch", "sklearn", "matplotlib", "seaborn", "typer", "pooch", "requests"]
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import exawatt; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
