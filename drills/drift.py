"""``make drift``: everything that can drift, done for real, and then many clean comparisons.

    python -m drills.drift [--only '*stop*'] [--cycles 500] [--speed 10]

Prints for each deed what was found and how soon, what became of it, and ends with 1 if anything was
missed, called by another name, not made good, or if a comparison raised an alarm for nothing.
"""

import argparse
import asyncio
import fnmatch
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from drills.drift_case import Row, run_case
from drills.drift_cases import CASES
from drills.drift_load import run_load
from drills.drift_rig import DriftRig, DrillFailed

#: Market seconds per second while deeds are done: quick, but slow enough for stale marks.
SPEED = 3
#: So that comparing finds what upkeep would have healed a moment later by itself, and so that rows
#: of income are old enough to be compared within seconds.
EXECUTION = {
    "fill_wait_ms": 60_000,
    "account_refresh_ms": 60_000,
    "account_age_ms_max": 120_000,
    "snapshot_interval_records": 10,
    "settings_retry_ms": 1_000,
}
RECONCILER = {
    "income_lag_ms": 9_000,
    "naked_grace_ms": 0,
    "retry_wall_ms": 1_500,
    "weight_per_minute_max": 2_300,
    "weight_unasked_max": 2_300,
    "compare_now_wall_ms_max": 60_000,  # the drill asks more often than a minute's weight allows
}


async def run_cases(pattern: str) -> list[Row]:
    """Every case whose name fits, one after the other."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="drift-") as directory:
        rig = DriftRig(Path(directory), speed=SPEED, execution=EXECUTION, reconciler=RECONCILER)
        try:
            await rig.start()
            for case in CASES:
                if fnmatch.fnmatch(case.name, pattern):
                    rows.append(await run_case(rig, case))
                    _print_row(rows[-1])
        finally:
            await rig.stop()
    return rows


def _print_row(row: Row) -> None:
    verdict = "ok" if not row.fault else f"FAIL {row.fault}"
    print(
        f"{row.name:<50} {row.found:<40} {row.detected_s:6.2f} s  {row.remedy:<40}"
        f" {row.healed_s:6.2f} s  {verdict}",
        flush=True,
    )


async def main(options: argparse.Namespace) -> int:
    """Run the drill; returns the exit code."""
    print(f"{'done behind our back':<50} {'found as':<40} {'after':>8}  {'remedy':<40} {'well':>8}")
    faults = 0
    try:
        rows = await run_cases(options.only)
        faults += sum(bool(row.fault) for row in rows)
        print(f"{len(rows)} deeds, {faults} not as they have to be")
        if options.cycles:
            with tempfile.TemporaryDirectory(prefix="drift-load-") as directory:
                faults += await run_load(Path(directory), options.cycles, options.speed)
    except DrillFailed as error:
        print(f"FAIL {error}")
        return 1
    return 1 if faults else 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m drills.drift", description=__doc__)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="deeds by name")
    parser.add_argument("--cycles", type=int, default=500, help="clean comparisons; 0 for none")
    parser.add_argument("--speed", type=int, default=10, help="market seconds per second of those")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse())))
