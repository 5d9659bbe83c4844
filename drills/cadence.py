"""Whether the feed's reader keeps its cadence while everything around it goes wrong.

The same feed runs twice for the same time: undisturbed, and with garbage on its streams, a listener
that raises, connections that are cut, and sockets whose planned end is always due.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from drills.market_rig import MarketRig, market_rig

CADENCE: Final = "cadence"
"""The name under which ``--only`` finds it."""
P99_MS_MAX: Final = 1.0
RUN_S: Final = 10.0
CUT_EVERY_S: Final = 1.5
RAISE_EVERY: Final = 50
"""Each so many frames the listener raises instead of taking one."""
LIFE_MS: Final = 60_000
"""Market time after which a socket is replaced: three seconds, so that one is always due."""
GARBAGE: Final = {"stream": "*", "effect": "garbage", "probability": 0.02, "seed": 11}
CUT: Final = {"stream": "btcusdt@markPrice@1s", "effect": "close", "nth": 1}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One run; times of the reader's callback in nanoseconds."""

    name: str
    times_ns: list[int]
    raised: int
    unreadable: int
    connections: int
    lost: tuple[str, ...]

    def percentile_us(self, percent: float) -> float:
        """So much percent of the calls took at most this long, in microseconds."""
        ordered = sorted(self.times_ns)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1_000

    @property
    def faults(self) -> list[str]:
        """Why it has not passed; empty if it has."""
        found = [f"lost: {what}" for what in self.lost]
        if not self.times_ns:
            return [*found, "no frame was read"]
        if (p99_ms := self.percentile_us(99) / 1_000) >= P99_MS_MAX:
            found.append(f"p99 of the reader's callback is {p99_ms:.2f} ms, not {P99_MS_MAX}")
        return found


async def cadence(folder: Path) -> list[Round]:
    """Both runs."""
    rounds = []
    for name in ("undisturbed", "disturbed"):
        rounds.append(await _round(folder / name, name))
        sys.stderr.write(f"{'FAIL' if rounds[-1].faults else 'ok':5}reader, {name}\n")
    return rounds


async def _round(folder: Path, name: str) -> Round:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    is_disturbed = name == "disturbed"
    times = folder / "times.json"
    also = {"DRILL_TIMES": str(times), "DRILL_RAISE_EVERY": str(RAISE_EVERY if is_disturbed else 0)}
    settings = {"life_ms_max": LIFE_MS} if is_disturbed else {}
    async with market_rig(folder, module="drills.timed_feed", also=also, settings=settings) as rig:
        since = await rig.count_candles()
        await (_disturb(rig) if is_disturbed else asyncio.sleep(RUN_S))
        await rig.stream_faults()
        await rig.until_calm()
        await rig.world.until_candles(1)
        status = await rig.world.status()
        lost = await rig.losses(since)
        await rig.world.end_feed(signal.SIGTERM)
    said = msgspec.json.decode(await asyncio.to_thread(times.read_bytes))
    return Round(
        name=name,
        times_ns=said["times_ns"],
        raised=said["raised"],
        unreadable=status["unreadable"],
        connections=sum(one["attempts"] for one in status["sockets"]),
        lost=lost,
    )


async def _disturb(rig: MarketRig) -> None:
    for _ in range(int(RUN_S / CUT_EVERY_S)):
        await rig.stream_faults(GARBAGE, CUT)
        await asyncio.sleep(CUT_EVERY_S)


def show_cadence(rounds: Sequence[Round]) -> bool:
    """Print the table and what failed; returns whether all passed."""
    if not rounds:
        return True
    console = Console(width=150)
    table = Table(title=f"The reader's callback, in µs; p99 is held to {P99_MS_MAX * 1_000:.0f}")
    table.add_column("run")
    headings = ("frames", "p50", "p99", "p99.9", "max", "listener raised", "garbage", "connections")
    for heading in (*headings, "lost"):
        table.add_column(heading, justify="right")
    for one in rounds:
        spread = [f"{one.percentile_us(p):,.0f}" for p in (50, 99, 99.9, 100)]
        counts = [f"{n:,}" for n in (one.raised, one.unreadable, one.connections)]
        lost = str(len(one.lost)) if one.lost else "nothing"
        table.add_row(one.name, f"{len(one.times_ns):,}", *spread, *counts, lost)
    console.print(table)
    for one in rounds:
        for fault in one.faults:
            console.print(f"[bold red]FAIL[/] {one.name}: {escape(fault)}", soft_wrap=True)
    return not any(one.faults for one in rounds)
