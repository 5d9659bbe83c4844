"""Faults of the user stream: keys that expire, and fills of which one half only is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from drills.account_rig import SPEED, AccountRig, account_rig
from drills.market_rig import elapsed_ms
from drills.outcome import Outcome
from libs.common.runtime.clock import monotonic_ns

LOOK_S: Final = 0.01
WAIT_S: Final = 30.0
START_WAIT_S: Final = 60.0
FILL_WAIT_MS: Final = 1_000
"""Market time that execution waits for the other half of a fill (``fill_wait_ms``)."""
AT_ONCE_MS: Final = 700
"""Wall time in which what is known at once must show: a tick of 100 ms, a read and a poll."""
REARM_MS: Final = 10_000
"""Wall time in which a lost stream must be up again and trading armed: it waits for a
reconciliation, which the venue's own lag holds back."""
ATTEMPTS: Final = 'ws_reconnect_attempts_total{stream="user"}'

Metrics = dict[str, float]


class UserDrill(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of the user stream; ``seen`` compares execution's metrics before and now."""

    fault: str
    act: Callable[[AccountRig], Awaitable[None]]
    seen: Callable[[Metrics, Metrics], str]
    detect_ms_max: float
    heal_ms_max: float


def _reconnected(times: int) -> Callable[[Metrics, Metrics], str]:
    def seen(before: Metrics, now: Metrics) -> str:
        more = now.get(ATTEMPTS, 0) - before.get(ATTEMPTS, 0)
        return (
            f"user stream down, {ATTEMPTS.partition('{')[0]} +{more:.0f}" if more >= times else ""
        )

    return seen


def _half_missing(half: str) -> Callable[[Metrics, Metrics], str]:
    name = f'user_stream_words_missing_total{{half="{half}"}}'

    def seen(before: Metrics, now: Metrics) -> str:
        more = now.get(name, 0) - before.get(name, 0)
        return f"{name} +{more:.0f}" if more > 0 else ""

    return seen


async def _expire_twice(rig: AccountRig) -> None:
    """The second key ends before anything was heard on it; the owner trades meanwhile."""
    before = (await rig.metrics()).get(ATTEMPTS, 0)
    await rig.befall("expire")
    await rig.owner_trades("BUY")
    async with asyncio.timeout(WAIT_S):
        while (await rig.metrics()).get(ATTEMPTS, 0) <= before:
            await asyncio.sleep(LOOK_S)
    await rig.befall("expire")
    await rig.owner_trades("BUY")


def _dropping(event: str, side: str) -> Callable[[AccountRig], Awaitable[None]]:
    async def act(rig: AccountRig) -> None:
        await rig.sim("/sim/event-faults", [{"event": event, "effect": "drop"}])
        await rig.owner_trades(side)

    return act


async def _close(rig: AccountRig) -> None:
    await rig.befall("close")
    await rig.owner_trades("SELL")


USER_DRILLS: Final = (
    UserDrill(
        fault="listen key expired twice in a row, fills meanwhile",
        act=_expire_twice,
        seen=_reconnected(2),
        detect_ms_max=2 * AT_ONCE_MS,
        heal_ms_max=REARM_MS,
    ),
    UserDrill(
        fault="user stream closed without reason, a fill meanwhile",
        act=_close,
        seen=_reconnected(1),
        detect_ms_max=AT_ONCE_MS,
        heal_ms_max=REARM_MS,
    ),
    UserDrill(
        fault="ACCOUNT_UPDATE without ORDER_TRADE_UPDATE",
        act=_dropping("ORDER_TRADE_UPDATE", "SELL"),
        seen=_half_missing("fill"),
        detect_ms_max=FILL_WAIT_MS / SPEED + AT_ONCE_MS,
        heal_ms_max=FILL_WAIT_MS / SPEED + 2 * AT_ONCE_MS,
    ),
    UserDrill(
        fault="ORDER_TRADE_UPDATE without ACCOUNT_UPDATE",
        act=_dropping("ACCOUNT_UPDATE", "BUY"),
        seen=_half_missing("account"),
        detect_ms_max=FILL_WAIT_MS / SPEED + AT_ONCE_MS,
        heal_ms_max=FILL_WAIT_MS / SPEED + 2 * AT_ONCE_MS,
    ),
)


async def _is_well(rig: AccountRig) -> bool:
    return bool((await rig.status())["armed"]) and not await rig.differences()


async def _until_well(rig: AccountRig, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await _is_well(rig):
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        said = (await rig.status())["unarmed"]
        raise TimeoutError(
            f"not well within {seconds:.0f} s: unarmed {said}, {await rig.differences()}"
        ) from None


async def run_user_drill(rig: AccountRig, drill: UserDrill) -> Outcome:
    """Run one drill; whatever goes wrong is in its outcome."""
    seen_by, detected_ms, healed_ms, why = "", None, None, ""
    before = await rig.metrics()
    since_ns = monotonic_ns()
    try:
        await drill.act(rig)
        async with asyncio.timeout(WAIT_S):
            while not (seen_by := drill.seen(before, await rig.metrics())):
                await asyncio.sleep(LOOK_S)
        detected_ms = elapsed_ms(since_ns)
        await _until_well(rig, WAIT_S)
        healed_ms = elapsed_ms(since_ns)
    except TimeoutError as error:
        why = str(error) or "nobody saw it"
    finally:
        await rig.sim("/sim/event-faults", method="DELETE")
    return Outcome(
        fault=drill.fault, seen_by=seen_by, detected_ms=detected_ms, healed_ms=healed_ms,
        detect_ms_max=drill.detect_ms_max, heal_ms_max=drill.heal_ms_max,
        lost=tuple(await rig.differences()), why_failed=why,
    )  # fmt: skip


async def user_drills(
    folder: Path, drills: list[UserDrill], say: Callable[[Outcome], None]
) -> list[Outcome]:
    """These drills of the user stream, one after the other in one world."""
    outcomes: list[Outcome] = []
    if not drills:
        return outcomes
    async with account_rig(folder) as rig:
        await _until_well(rig, START_WAIT_S)
        for drill in drills:
            outcomes.append(await run_user_drill(rig, drill))
            say(outcomes[-1])
    return outcomes
