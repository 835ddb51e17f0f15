"""Record the energy counters of processors and memory, from a checkout without installation.

See ``python telemetry/rapl_logger.py --help``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from exawatt.telemetry.rapl import main

if __name__ == "__main__":
    sys.exit(main())
