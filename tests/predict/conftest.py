"""Fixtures of the tests of prediction."""

import sys
from pathlib import Path

import pytest

import exawatt as ew

# The helper module beside the tests: pytest's importlib mode puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent.resolve()))

from made_jobs import random_workload


@pytest.fixture(scope="session")
def schedule() -> ew.Schedule:
    """Return the replay of 600 random jobs."""
    return ew.replay(random_workload(600, seed=1), "easy")
