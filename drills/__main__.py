"""Starts the drills: ``python -m drills faults|hours``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from drills import faults, hours


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 only when nothing was missed, late or lost."""
    parser = argparse.ArgumentParser(prog="python -m drills")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("faults", help="inject every fault once, and print the table")
    command.add_argument("--only", default="*", metavar="PATTERN", help="as in '*candle*'")
    command = commands.add_parser("hours", help="a long run under random stream faults")
    command.add_argument("--hours", type=float, default=6.0, help="market time")
    command.add_argument("--speed", type=int, default=240, help="market seconds per wall second")
    command.add_argument("--seed", type=int, default=1, help="of the faults")
    options = parser.parse_args(arguments)
    if options.command == "hours":
        return uvloop.run(hours.main(options.hours, options.speed, options.seed))
    return uvloop.run(faults.main(options.only))


if __name__ == "__main__":
    sys.exit(main())
