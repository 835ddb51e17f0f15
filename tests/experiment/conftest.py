"""Where the helper module of the tests of prediction is."""

import sys
from pathlib import Path

sys.path.insert(0, str((Path(__file__).parents[1] / "predict").resolve()))
