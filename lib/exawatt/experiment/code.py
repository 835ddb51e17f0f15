"""Code: which modules a result depends on, and a hash of what each of them does."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from exawatt.readers.catalog import REPOSITORY

PACKAGE = "exawatt"
#: Fields of a syntax tree that say nothing of what the code does.
SILENT = ("kind", "type_comment")


def fingerprint(roots: Iterable[str], top: Path = REPOSITORY) -> dict[str, str]:
    """Hashes of modules and of all modules of this package that they import.

    Parameters
    ----------
    roots : iterable of str
        Names such as ``exawatt.predict.boosting``.
    top : Path
        The repository whose code counts.

    Returns
    -------
    dict of str
        Hash by module, in order of their names.

    Notes
    -----
    Imports are read, not run: those in functions count like those at the head, those for types
    alone do not. A name that a package hands on counts for the module that it comes from, and not
    for the package: a new name there changes no result.

    Raises
    ------
    FileNotFoundError
        There is no such module.
    """
    found: dict[str, str] = {}
    open_ = list(roots)
    while open_:
        module = open_.pop()
        if module not in found:
            tree, found[module] = _read(_path(module, top).read_text(encoding="utf-8"))
            open_ += _imported(tree, module, top)
    return dict(sorted(found.items()))


def digest(path: Path) -> str:
    """Hash of what one file of code does, whatever it imports."""
    return _read(path.read_text(encoding="utf-8"))[1]


@cache
def _read(text: str) -> tuple[ast.Module, str]:
    tree = ast.parse(text)
    return tree, hashlib.sha256(_meaning(tree).encode()).hexdigest()[:16]


def _meaning(node: object) -> str:
    """Text of a syntax tree that comments, layout, docstrings and Python's version leave alone.

    `ast.dump` writes empty fields, of which each version of Python has others.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_meaning, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    told = [f"{name}={_meaning(value)}" for name, value in _fields(node)]
    return f"{type(node).__name__}({','.join(told)})"


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Fields of a syntax tree that say something."""
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            kept = [each for each in value if not _says_nothing(each, node)]
            if kept:
                yield name, kept
        # None is empty as a field, but something as a constant.
        elif name not in SILENT and (value is not None or isinstance(node, ast.Constant)):
            yield name, value


def _says_nothing(part: object, whole: ast.AST) -> bool:
    """Whether part of a syntax tree is a docstring, or empty text in a formatted string."""
    if isinstance(whole, ast.JoinedStr):
        # Python 3.12 has one at the end of each nested format.
        return isinstance(part, ast.Constant) and part.value == ""
    text = part.value if isinstance(part, ast.Expr) else None
    return isinstance(text, ast.Constant) and isinstance(text.value, str)


def _imported(tree: ast.Module, module: str, top: Path) -> Iterator[str]:
    """Modules of this package that code imports, at its head or in functions."""
    for node in _without_types(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module, top)
            if _is_ours(source):
                yield from (_home(source, alias.name, top) for alias in node.names)


def _without_types(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, past what only type checkers see."""
    yield node
    unseen = node.body if isinstance(node, ast.If) and _is_for_types(node.test) else []
    for child in ast.iter_child_nodes(node):
        if child not in unseen:
            yield from _without_types(child)


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _home(source: str, name: str, top: Path) -> str:
    """Module that ``from source import name`` gets its name from."""
    if _exists(f"{source}.{name}", top):
        return f"{source}.{name}"
    path = _path(source, top)
    if path.name == "__init__.py":
        tree, _ = _read(path.read_text(encoding="utf-8"))
        # All of the tree: a name that is imported when first asked for is there for types.
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                origin = _source(node, source, top)
                for alias in node.names:
                    if (alias.asname or alias.name) == name and _is_ours(origin):
                        return _home(origin, alias.name, top)
    return source


def _source(node: ast.ImportFrom, module: str, top: Path) -> str:
    """Absolute name of what ``from … import`` imports from."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    inside = _path(module, top).name == "__init__.py"
    base = parts[: len(parts) - node.level + inside]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == PACKAGE


def _exists(module: str, top: Path) -> bool:
    return any(path.is_file() for path in _places(module, top))


def _path(module: str, top: Path) -> Path:
    places = _places(module, top)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{module}: there is no module {places[0]}, nor {places[1].name}.")
    return found


def _places(module: str, top: Path) -> tuple[Path, Path]:
    base = (top / "lib").joinpath(*module.split("."))
    return base.with_suffix(".py"), base / "__init__.py"
