"""The hash of code: stale when behaviour changes, and only then."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exawatt.experiment.code import digest, fingerprint
from exawatt.readers.catalog import REPOSITORY

Edit = Callable[[str, str, str], None]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a scratch copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "lib", tmp_path / "lib", ignore=ignored)
    return tmp_path


@pytest.fixture
def edit(copy: Path) -> Edit:
    """Change a module of the copy; the text to change must be there."""

    def change(module: str, old: str, new: str) -> None:
        path = copy / "lib" / "exawatt" / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def changed(roots: list[str], top: Path) -> set[str]:
    before, now = fingerprint(roots), fingerprint(roots, top)
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


def write(top: Path, modules: dict[str, str]) -> None:
    """Write modules of a package of that name."""
    for name, text in modules.items():
        path = top / "lib" / "exawatt" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


ROOTS = ["exawatt.predict.neighbours"]


def test_a_copy_has_the_same_hashes(copy: Path) -> None:
    assert changed(ROOTS, copy) == set()


def test_changed_behaviour_is_seen(copy: Path, edit: Edit) -> None:
    edit("predict/neighbours", "n_neighbours: int = 16", "n_neighbours: int = 17")
    assert changed(ROOTS, copy) == {"exawatt.predict.neighbours"}


def test_a_module_that_is_imported_by_an_imported_one_counts(copy: Path, edit: Edit) -> None:
    edit("replay/orders", "from math import log2", "from math import ceil, log2")
    assert changed(ROOTS, copy) == {"exawatt.replay.orders"}


def test_a_new_import_brings_its_modules(copy: Path, edit: Edit) -> None:
    edit("predict/neighbours", "import math\n", "import math\n\nimport exawatt.embodied\n")
    found = changed(ROOTS, copy)
    assert {"exawatt.predict.neighbours", "exawatt.embodied"} <= found


def test_docstrings_comments_and_layout_do_not_count(copy: Path, edit: Edit) -> None:
    module = "predict/neighbours"
    edit(module, '"""A Gaussian process of what', '"""Reworded. A process of what')
    edit(module, "Standard normal quantile of", "Another word for")
    edit(module, "#: Features by which", "#: Columns by which")
    edit(module, "MAX_SCORE = 3.5", "MAX_SCORE = (3.5)  # more is a surprise")
    edit(module, "RATE = 0.05\n", 'RATE = 0.05\n"""Length of a step."""\n\n')
    assert changed(ROOTS, copy) == set()


def test_other_modules_do_not_count(copy: Path, edit: Edit) -> None:
    edit("carbon", "import ", "import this  # noqa\nimport ")
    # The face hands names on, and a new one changes no result.
    edit("__init__", '"footprint": "Footprint",', '"footprint": "Footprint Foot",')
    edit("predict/__init__", '    "Conformal",\n', '    "Conformal",\n    "Other",\n')
    assert changed([*ROOTS, "exawatt.experiment.prediction"], copy) == set()


def test_imports_in_functions_count_and_those_for_types_do_not(tmp_path: Path) -> None:
    root = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from exawatt.types import T
else:
    import exawatt.other

def f():
    from exawatt import lazy
    import numpy
"""
    write(tmp_path, {"root": root, "types": "", "other": "", "lazy": ""})
    found = set(fingerprint(["exawatt.root"], tmp_path))
    assert found == {"exawatt.root", "exawatt.other", "exawatt.lazy"}


def test_a_name_counts_for_the_module_it_comes_from(tmp_path: Path) -> None:
    face = """
from typing import TYPE_CHECKING
from .a import A as First
if TYPE_CHECKING:
    from exawatt.package.b import Second
own = 1
"""
    modules = {
        "root": "from exawatt.package import First, Second as S, inner",
        "package/__init__": face,
        "package/a": "from . import deep",
        "package/b": "",
        "package/inner": "from ..beside import *",
        "package/deep": "",
        "beside": "",
    }
    write(tmp_path, modules)
    names = ("package.a", "package.b", "package.deep", "package.inner", "root")
    expected = ["exawatt.beside", *(f"exawatt.{name}" for name in names)]
    assert list(fingerprint(["exawatt.root"], tmp_path)) == expected
    write(tmp_path, {"root": "from exawatt.package import own"})
    # What the package does itself counts for it, and so does what it imports.
    assert list(fingerprint(["exawatt.root"], tmp_path)) == [
        *("exawatt.package", "exawatt.package.a", "exawatt.package.deep", "exawatt.root")
    ]


def test_every_python_gives_the_same_hash(tmp_path: Path) -> None:
    # 3.12 has fields and, in formats, empty texts that 3.11 has not; 3.13 shows fewer fields.
    text = "def f(x, /, *a, k=None) -> int:\n    'S.'\n    return f'{x!r:>{k}}' + u'é' + str(1e-9)"
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    assert digest(path) == "a59e3764c1bb0571"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = None", "x = 0"),
        ("f()", "f(None)"),
        ("def f(): return", "def f(): return None"),
        ("x = 'a'", "x = b'a'"),
        ("x = ''", "x = 'a'"),
        ("def f(a, b=None): ...", "def f(a=None, b=None): ..."),
        ("def f(*, a, b=None): ...", "def f(*, a=None, b): ..."),
        ("{**a, 'b': 1}", "{'a': 1, **b}"),
        ("a[:1]", "a[1:]"),
        ("f('')", "f()"),
        ("try:\n f()\nfinally:\n g()", "try:\n f()\nexcept E:\n g()"),
    ],
)
def test_other_code_has_another_hash(text: str, other: str, tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text(text)
    second.write_text(other)
    assert digest(first) != digest(second)


def test_a_lost_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"exawatt\.lost"):
        fingerprint(["exawatt.lost"], tmp_path)
