"""Faults of what the venue answers: backfill, its clock, its list of symbols, its order books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from drills.drill import Before, Drill
from drills.market_rig import SPEED, MarketRig
from drills.signs import Status, backfill_failed, bar_stored, data_flows, depth_equals_venue
from drills.stream_drills import AT_ONCE_MS, FILL_MS, KLINE, ODD_SYMBOL, RECONNECT_MS

DAY_MS: Final = 86_400_000
LOOK_MS: Final = 1_000
"""Wall time between two looks at the venue's clock (``skew_interval_ms``) and, as market time by
the speed, at its list of symbols (``instruments_interval_ms``)."""
VENUE_SETTINGS: Final[Mapping[str, object]] = {
    "skew_interval_ms": LOOK_MS,
    "skew_retry_ms": LOOK_MS // 5,
    "instruments_interval_ms": LOOK_MS * SPEED,
    "instruments_age_ms_max": 60 * LOOK_MS * SPEED,
    "instruments_retry_first_ms": 50,
    "depth_streams": ["depth@100ms"],
}
OVERDUE_MS: Final = 2_000 / SPEED
"""Wall time after which a bar that did not come is asked for (``kline_overdue_ms``)."""
MINUTE_MS: Final = 60_000 / SPEED
"""Wall time of the venue's minute, to whose end a 429 sends us."""


def _backfill_answered(effect: str, refusals: int) -> Callable[[MarketRig], Awaitable[None]]:
    """A bar is lost, and REST answers the first questions after it so."""
    rules = [
        {"endpoint": "GET /fapi/v1/klines", "effect": effect, "nth": nth}
        for nth in range(1, refusals + 1)
    ]

    async def inject(rig: MarketRig) -> None:
        await rig.world.sim("/sim/faults", rules)
        await rig.stream_faults({"stream": KLINE, "closed_only": True, "nth": 1, "effect": "drop"})

    return inject


async def _has_struck(rig: MarketRig) -> bool:
    return await rig.has_struck()


def _refused(effect: str, heal_ms_max: float, refusals: int = 3) -> Drill:
    return Drill(
        fault=f"{effect} on backfill of a lost bar",
        inject=_backfill_answered(effect, refusals),
        struck=_has_struck,
        seen=backfill_failed,
        detect_ms_max=OVERDUE_MS + AT_ONCE_MS,
        healed=bar_stored,
        heal_ms_max=heal_ms_max,
        bars_after=2,
    )


def _conditions(**wrong: object) -> Callable[[MarketRig], Awaitable[None]]:
    async def set_them(rig: MarketRig) -> None:
        await rig.world.sim("/sim/conditions", wrong)

    return set_them


def _clock_refused(_before: Status, now: Status) -> str:
    refusal = now["clock"]["refusal"]
    return f"clock check fails, symbols stale: {refusal}" if refusal else ""


def _symbol_refused(_before: Status, now: Status) -> str:
    told: dict[str, Any] = now["instruments"]["symbols"]["ETHUSDT"]
    if not told["refusal"]:
        return ""
    if now["instruments"]["symbols"]["BTCUSDT"]["refusal"]:
        return ""  # one symbol's fault is not to cost another
    return f"ETHUSDT alone refused: {told['refusal']}"


def _listing_read_again(before: Status, now: Status) -> str:
    """An odd name is none of ours: the list must be read, and no symbol suffer."""
    if now["instruments"]["reads"] <= before["instruments"]["reads"]:
        return ""
    if any(one["refusal"] for one in now["instruments"]["symbols"].values()):
        return ""
    return f"list read again, {now['instruments']['reads']} times, no symbol refused"


def _book_broken(before: Status, now: Status) -> str:
    was, book = (one["depth"]["books"]["BTCUSDT"] for one in (before, now))
    if not book["is_valid"]:
        return f"book invalid: {book['why']}"
    more = book.get("pu_breaks", 0) - was.get("pu_breaks", 0)
    return f"book pu_breaks +{more}" if more > 0 else ""


async def _book_heals(rig: MarketRig, before: Before) -> bool:
    return await data_flows(rig, before) and await depth_equals_venue(rig, before)


VENUE_DRILLS: Final = (
    _refused("http_503_unavailable", FILL_MS),
    _refused("http_503_internal", FILL_MS),
    _refused("http_502", FILL_MS),
    _refused("http_429", MINUTE_MS + FILL_MS, refusals=1),
    Drill(
        fault="depth pu gap",
        inject=lambda rig: rig.stream_faults(
            {"stream": "btcusdt@depth@100ms", "effect": "pu_gap", "nth": 1}
        ),
        struck=_has_struck,
        seen=_book_broken,
        detect_ms_max=AT_ONCE_MS,
        healed=_book_heals,
        heal_ms_max=RECONNECT_MS,
    ),
    Drill(
        fault="the venue's clock a day ahead",
        inject=_conditions(clock_offset_ms=DAY_MS),
        seen=_clock_refused,
        detect_ms_max=LOOK_MS + AT_ONCE_MS,
        cease=_conditions(clock_offset_ms=0),
        healed=data_flows,
        heal_ms_max=2 * LOOK_MS + 2 * AT_ONCE_MS,
    ),
    Drill(
        fault="the venue's clock a day behind",
        inject=_conditions(clock_offset_ms=-DAY_MS),
        seen=_clock_refused,
        detect_ms_max=LOOK_MS + AT_ONCE_MS,
        cease=_conditions(clock_offset_ms=0),
        healed=data_flows,
        heal_ms_max=2 * LOOK_MS + 2 * AT_ONCE_MS,
    ),
    Drill(
        fault='exchangeInfo with tickSize "0"',
        inject=_conditions(zero_tick_symbols=["ETHUSDT"]),
        seen=_symbol_refused,
        detect_ms_max=LOOK_MS + AT_ONCE_MS,
        cease=_conditions(zero_tick_symbols=[]),
        healed=data_flows,
        heal_ms_max=2 * LOOK_MS + 2 * AT_ONCE_MS,
    ),
    Drill(
        fault=f"exchangeInfo lists a symbol with a non-ASCII name ({ODD_SYMBOL})",
        inject=_conditions(odd_symbols=[ODD_SYMBOL]),
        seen=_listing_read_again,
        detect_ms_max=LOOK_MS + AT_ONCE_MS,
        cease=_conditions(odd_symbols=[]),
        healed=data_flows,
        heal_ms_max=2 * LOOK_MS + 2 * AT_ONCE_MS,
    ),
)
