"""Entry of the command line."""

import sys
from importlib import import_module


def main() -> None:
    """Run a command; what needs no compiler starts without it, and loggers with nothing else."""
    first, second = [*sys.argv[1:3], "", ""][:2]
    if first == "batsim":
        from exawatt.batsim.commands import batsim

        batsim(args=sys.argv[2:], prog_name="exawatt batsim")
    elif first == "telemetry" and second in ("nvml", "rapl"):
        logger = import_module(f"exawatt.telemetry.{second}")
        sys.exit(logger.main(sys.argv[3:]))
    elif first == "telemetry":
        from exawatt.telemetry.commands import telemetry

        telemetry(args=sys.argv[2:], prog_name="exawatt telemetry")
    else:
        from exawatt.cli import app

        app(prog_name="exawatt")


if __name__ == "__main__":
    main()
