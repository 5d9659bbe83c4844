"""`make pnl-run`: trade at random out of a seed, and compare our book with the venue's lists.

Prints every figure by day, symbol, strategy and kind, ours beside the venue's. Exit code 1 where
any differs in any digit, or where the story could not be told to its end.
"""

import argparse
import asyncio
import sys
import tempfile
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from drills.pnl_market import START_NS
from drills.pnl_story import RandomStory, settle, tell_fixed
from drills.pnl_truth import Sums, Truth, differences, our_book
from drills.pnl_world import PnlWorld
from libs.common.runtime.broker import Broker
from libs.common.runtime.clock import monotonic_ns
from libs.common.runtime.log import configure_logging
from services.execution.state import State

NS_PER_S = 1_000_000_000
#: The book is compared after so many steps, and at the end.
STEPS_BETWEEN = 25
HEADS = ("UTC DAY", "SYMBOL", "STRATEGY", "FIGURE", "ASSET", "OURS", "THE VENUE'S", "")


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m drills.pnl", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the random steps (default 1)")
    parser.add_argument("--steps", type=int, default=150, help="how many of them (default 150)")
    asked = parser.parse_args(arguments)
    configure_logging("drill", "critical")
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_run(Path(directory), asked.seed, asked.steps))


async def _run(directory: Path, seed: int, steps: int) -> int:
    broker = Broker(directory)
    began_ns = monotonic_ns()
    faults: list[str] = []
    try:
        async with PnlWorld(await broker.start()) as world:
            story = RandomStory(world, seed)
            truth, replayed, faults = await _tell(world, story, steps)
            _print_table(our_book(replayed), truth)
            market_s = (world.clock.now_ns() - START_NS) // NS_PER_S
            deeds = ", ".join(f"{count} {name}" for name, count in sorted(story.told.items()))
            print(f"\nseed {seed}, {steps} steps: {deeds}")
            print(
                f"{market_s / 3_600:.1f} hours of market time in"
                f" {(monotonic_ns() - began_ns) / NS_PER_S:.0f} s, {len(world.lives)} lives,"
                f" {world.lives[-1][0].status()['journal_records']} records"
            )
    except AssertionError as error:
        faults.append(f"the story was not told to its end: {error}")
    finally:
        await broker.stop()
    for fault in faults:
        print(f"DIFFERS  {fault}")
    print("equal to the last digit" if not faults else f"{len(faults)} differences")
    return 1 if faults else 0


async def _tell(world: PnlWorld, story: RandomStory, steps: int) -> tuple[Truth, State, list[str]]:
    await tell_fixed(world)
    await story.begin()
    for number in range(1, steps + 1):
        await story.step()
        if number % STEPS_BETWEEN == 0 and number < steps:
            truth, replayed = await settle(world)
            faults = differences(our_book(replayed), truth)
            if faults:
                return truth, replayed, faults
    truth, replayed = await settle(world)
    faults = differences(our_book(world.state), truth) + differences(our_book(replayed), truth)
    return truth, replayed, faults


def _print_table(ours: Sums, truth: Truth) -> None:
    theirs = truth.by_strategy
    rows: list[tuple[str, ...]] = [HEADS]
    for cell in sorted({*ours, *theirs}):
        mine, other = ours.get(cell, Decimal(0)), theirs.get(cell, Decimal(0))
        day = _day(cell.day)
        names = (day, cell.symbol or "-", cell.strategy_id or "by hand", cell.kind, cell.asset)
        rows.append((*names, f"{mine:f}", f"{other:f}", "" if mine == other else "DIFFERS"))
    widths = [max(len(row[index]) for row in rows) for index in range(len(HEADS))]
    for row in rows:
        print(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        )


def _day(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat() if day >= 0 else "earlier"


if __name__ == "__main__":
    sys.exit(main())
