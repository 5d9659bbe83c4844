"""``make faults``: every drill, the table of them, and the reader's cadence beside it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from drills.cadence import CADENCE, cadence, show_cadence
from drills.drill import Drill, run
from drills.market_rig import market_rig
from drills.outcome import Outcome, show
from drills.stream_drills import STREAM_DRILLS
from drills.user_drills import USER_DRILLS, UserDrill, user_drills
from drills.venue_drills import VENUE_DRILLS, VENUE_SETTINGS

D = TypeVar("D", Drill, UserDrill)


def chosen(drills: Sequence[D], pattern: str) -> list[D]:
    """The drills whose name fits."""
    return [one for one in drills if fnmatchcase(one.fault, pattern)]


def _say(outcome: Outcome) -> None:
    sys.stderr.write(f"{'FAIL' if outcome.faults else 'ok':5}{outcome.fault}\n")


async def market_drills(folder: Path, drills: Sequence[Drill]) -> list[Outcome]:
    """These drills of market data, one after the other in one world."""
    outcomes: list[Outcome] = []
    if not drills:
        return outcomes
    async with market_rig(folder, settings=VENUE_SETTINGS) as rig:
        for drill in drills:
            outcomes.append(await run(rig, drill))
            _say(outcomes[-1])
    return outcomes


async def main(pattern: str) -> int:
    """Run what fits and print; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="portcullis-drills-") as name:
        folder = Path(name)
        outcomes = await market_drills(
            folder / "market", chosen((*STREAM_DRILLS, *VENUE_DRILLS), pattern)
        )
        outcomes += await user_drills(folder / "account", chosen(USER_DRILLS, pattern), _say)
        rounds = await cadence(folder) if fnmatchcase(CADENCE, pattern) else []
    if not (outcomes or rounds):
        sys.stderr.write("no drill fits\n")
        return 2
    is_well = not outcomes or show(outcomes, "Faults of feed and user stream")
    return 0 if show_cadence(rounds) and is_well else 1
