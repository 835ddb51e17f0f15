"""Entry of the command line."""

import sys


def main() -> None:
    """Run a command; the simulator starts without the compiler that replays need."""
    if sys.argv[1:2] == ["batsim"]:
        from exawatt.batsim.commands import batsim

        batsim(args=sys.argv[2:], prog_name="exawatt batsim")
    else:
        from exawatt.cli import app

        app(prog_name="exawatt")


if __name__ == "__main__":
    main()
