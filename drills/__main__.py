"""Starts the drills: ``python -m drills faults|hours``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from drills import faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 only when nothing was missed, late or lost."""
    parser = argparse.ArgumentParser(prog="python -m drills")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("faults", help="inject every fault once, and print the table")
    command.add_argument("--only", default="*", metavar="PATTERN", help="as in '*candle*'")
    options = parser.parse_args(arguments)
    return uvloop.run(faults.main(options.only))


if __name__ == "__main__":
    sys.exit(main())
