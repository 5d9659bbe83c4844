"""How a drill of market data runs: calm, fault, detection, healing, and then the books."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec

from drills.market_rig import MarketRig, elapsed_ms, unrest
from drills.outcome import Outcome
from libs.common.runtime.clock import monotonic_ns

LOOK_S: Final = 0.01
WAIT_S: Final = 25.0
"""Wall time after which a drill that waits in vain is given up."""

NO_CONDITIONS: Final = {"clock_offset_ms": 0, "zero_tick_symbols": [], "odd_symbols": []}

Seen = Callable[[dict[str, Any], dict[str, Any]], str]
"""What tells of the fault, in words, from the feed's status before and now; empty while unseen."""


class Before(msgspec.Struct, frozen=True):
    """How things stood when the fault was put in force."""

    status: dict[str, Any]
    market_ns: int
    newest_ns: dict[tuple[str, str], int]


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and what it is held to.

    Attributes:
        inject: puts the fault in force.
        struck: whether it has struck yet; none: it strikes with the answer to ``inject``.
        seen: finds the word of it in the feed's status.
        cease: ends the fault once it was seen.
        healed: whether all is well again, beyond the feed's own word.
        bars_after: bars of every symbol that must be stored before the books are compared.
    """

    fault: str
    inject: Callable[[MarketRig], Awaitable[None]]
    seen: Seen
    detect_ms_max: float
    heal_ms_max: float
    healed: Callable[[MarketRig, Before], Awaitable[bool]]
    struck: Callable[[MarketRig], Awaitable[bool]] | None = None
    cease: Callable[[MarketRig], Awaitable[None]] | None = None
    bars_after: int = 1


async def run(rig: MarketRig, drill: Drill) -> Outcome:
    """Run one drill; whatever goes wrong is in its outcome."""
    seen_by, detected_ms, healed_ms, why = "", None, None, ""
    lost: tuple[str, ...] = ()
    since = await rig.count_candles()
    try:
        await rig.until_calm()
        before = Before(await rig.world.status(), await rig.market_ns(), dict(rig.newest_ns))
        since_ns = monotonic_ns()
        await drill.inject(rig)
        if drill.struck is not None:
            since_ns = await _until_struck(rig, drill)
        seen_by = await _until_seen(rig, drill, before)
        detected_ms = elapsed_ms(since_ns)
        if drill.cease is not None:
            await drill.cease(rig)
        await _until_healed(rig, drill, before)
        healed_ms = elapsed_ms(since_ns)
        await rig.world.until_candles(drill.bars_after)
    except TimeoutError as error:
        why = "; ".join([str(error), *unrest(await rig.world.status())])
    finally:
        await rig.stream_faults()
        await rig.world.sim("/sim/faults", method="DELETE")
        await rig.world.sim("/sim/conditions", NO_CONDITIONS)
    try:
        lost = await rig.losses(since)
    except (IndexError, OSError) as error:
        why = why or repr(error)
    return Outcome(
        fault=drill.fault, seen_by=seen_by, detected_ms=detected_ms, healed_ms=healed_ms,
        detect_ms_max=drill.detect_ms_max, heal_ms_max=drill.heal_ms_max, lost=lost, why_failed=why,
    )  # fmt: skip


async def _until_struck(rig: MarketRig, drill: Drill) -> int:
    """The last look, by the monotonic clock, at which the fault had not struck yet."""
    assert drill.struck is not None, "asked only then"
    async with _patience(f"{drill.fault}: the fault strikes"):
        while True:
            looked_ns = monotonic_ns()
            if await drill.struck(rig):
                return looked_ns
            await asyncio.sleep(LOOK_S)


async def _until_seen(rig: MarketRig, drill: Drill, before: Before) -> str:
    async with _patience("somebody sees it"):
        while not (words := drill.seen(before.status, await rig.world.status())):
            await asyncio.sleep(LOOK_S)
    return words


async def _until_healed(rig: MarketRig, drill: Drill, before: Before) -> None:
    async with _patience("it heals"):
        while not (await rig.is_calm() and await drill.healed(rig, before)):
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _patience(what: str) -> AsyncIterator[None]:
    """Turns a wait in vain into a word about what was waited for."""
    try:
        async with asyncio.timeout(WAIT_S):
            yield
    except TimeoutError:
        raise TimeoutError(f"waited {WAIT_S:.0f} s in vain: {what}") from None
