"""Running the command line in this process, as the tests of its verbs do."""

import json
import re
from typing import Any

from typer.testing import CliRunner

from exawatt.cli import app


def plain(text: str) -> str:
    """Text without the colours that some terminals and services ask for."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def run(*arguments: object, columns: int = 200) -> tuple[int, str, str]:
    """Run the command in this process; return its exit status, stdout and stderr."""
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, plain(result.stdout), plain(result.stderr)


def parse(text: str) -> Any:
    """Parse strict JSON: NaN and Infinity are not."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
