"""One broken comparison in `decide` is seen by the tests of kernel, stepping and reference."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LIBRARY = TESTS.parent / "lib"
RULE = "size, in_time = procs[u(slot)], now + estimate[u(slot)] <= shadow"


def outcomes(library: Path) -> dict[str, str]:
    """Run the boundary tests against a library; PASSED or FAILED by name."""
    command = [sys.executable, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider"]
    paths = [str(library), str(TESTS), str(TESTS / "replay")]
    done = subprocess.run(
        [*command, str(TESTS / "replay" / "test_boundary.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found = [words for words in lines if words and words[0] in ("PASSED", "FAILED")]
    assert found, done.stdout + done.stderr
    return {words[1].split("::")[-1]: words[0] for words in found}


@pytest.mark.timeout(900)
def test_a_broken_comparison_fails_every_test_of_it(tmp_path: Path) -> None:
    shutil.copytree(LIBRARY, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    names = {"test_kernel", "test_stepping", "test_reference"}
    assert outcomes(tmp_path / "lib") == dict.fromkeys(names, "PASSED")
    source = tmp_path / "lib" / "exawatt" / "replay" / "decide.py"
    text = source.read_text(encoding="utf-8")
    broken = RULE.replace("<=", "<")
    assert text.count(RULE) == 1
    source.write_text(text.replace(RULE, broken), encoding="utf-8")
    assert outcomes(tmp_path / "lib") == dict.fromkeys(names, "FAILED")
