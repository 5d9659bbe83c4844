"""Faults of market streams: silence, closing, nonsense, wrong names, doubles and disorder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from drills.drill import Drill, Seen
from drills.market_rig import SILENCE_MS, SPEED, STREAM_SILENCE_MS, MarketRig
from drills.signs import (
    any_of,
    bar_missed,
    bar_repeated,
    bar_revised,
    bar_stored,
    data_flows,
    refused_frame,
    repeated,
    socket_down,
    stall_noticed,
)
from services.feed.binance_stream import WATCH_INTERVAL_S
from services.paper_exchange.driver import CLOCK_FRAME_SECONDS

MINUTE_MS: Final = 60_000
BAR_MS: Final = MINUTE_MS / SPEED
"""Wall time of a bar."""
AT_ONCE_MS: Final = 300
"""Wall time in which what is visible at once must be told: two services and a poll lie between."""
STALL_MS: Final = (
    STREAM_SILENCE_MS / SPEED + 2 * 1_000 * CLOCK_FRAME_SECONDS + 1_000 * WATCH_INTERVAL_S
)
"""Wall time in which a stalled stream must be seen: the silence it may keep, which is counted from
one word of the venue's clock to another, and the watchdog's poll."""
RECONNECT_MS: Final = 3_000
"""Wall time in which a new connection must have healed what an old one did."""
FILL_MS: Final = 2 * BAR_MS
"""Wall time in which a missing bar must be stored: it is overdue after 2 s of market time."""
KLINE: Final = "btcusdt@kline_1m"
ODD_SYMBOL: Final = "币安人生USDT"


def _strike(*rules: Mapping[str, object]) -> Callable[[MarketRig], Awaitable[None]]:
    async def inject(rig: MarketRig) -> None:
        await rig.stream_faults(*rules)

    return inject


async def _has_struck(rig: MarketRig) -> bool:
    return await rig.has_struck()


async def _cease(rig: MarketRig) -> None:
    await rig.stream_faults()


def _stalled(stream: str, socket: str) -> Drill:
    rule = {"stream": stream, "effect": "stall", "scope": "subscription"}
    return Drill(
        fault=f"silent stall of {stream}, its socket speaks",
        inject=_strike(rule),
        seen=stall_noticed(socket),
        detect_ms_max=STALL_MS,
        healed=data_flows,
        heal_ms_max=RECONNECT_MS,
    )


def _on_bar(fault: str, seen: Seen, heal_ms_max: float = FILL_MS, **rule: object) -> Drill:
    """A fault that strikes exactly one closed candle of the first symbol."""
    return Drill(
        fault=fault,
        inject=_strike({"stream": KLINE, "closed_only": True, "nth": 1, **rule}),
        struck=_has_struck,
        seen=seen,
        detect_ms_max=AT_ONCE_MS,
        cease=_cease,
        healed=bar_stored,
        heal_ms_max=heal_ms_max,
        bars_after=2,
    )


def _for_a_while(fault: str, seen: Seen, *rules: Mapping[str, object]) -> Drill:
    """A fault that strikes many messages until it is seen, of all data that flows."""
    return Drill(
        fault=fault,
        inject=_strike(*rules),
        struck=_has_struck,
        seen=seen,
        detect_ms_max=AT_ONCE_MS,
        cease=_cease,
        healed=data_flows,
        heal_ms_max=RECONNECT_MS,
        bars_after=2,
    )


_first_mark: Final = {"stream": "btcusdt@markPrice@1s", "nth": 1}

STREAM_DRILLS: Final = (
    _stalled("btcusdt@markPrice@1s", "market-0"),
    _stalled("ethusdt@bookTicker", "public-0"),
    Drill(
        fault="silent stall of every kline stream, bars do not come",
        inject=_strike({"stream": "*@kline_1m", "effect": "stall", "scope": "subscription"}),
        seen=bar_missed,
        detect_ms_max=BAR_MS + (2_000 / SPEED) + AT_ONCE_MS,
        healed=bar_stored,
        heal_ms_max=FILL_MS,
        bars_after=2,
    ),
    Drill(
        fault="silent stall of the whole connection",
        inject=_strike({**_first_mark, "effect": "stall", "scope": "socket"}),
        struck=_has_struck,
        seen=socket_down("market-0"),
        detect_ms_max=SILENCE_MS + AT_ONCE_MS,
        healed=data_flows,
        heal_ms_max=SILENCE_MS + RECONNECT_MS,
    ),
    Drill(
        fault="connection closed without reason",
        inject=_strike({**_first_mark, "effect": "close"}),
        struck=_has_struck,
        seen=socket_down("market-0"),
        detect_ms_max=AT_ONCE_MS,
        healed=data_flows,
        heal_ms_max=RECONNECT_MS,
    ),
    _on_bar("garbage in place of a closed candle", refused_frame, effect="garbage"),
    _on_bar("half a frame in place of a closed candle", refused_frame, effect="half_frame"),
    _for_a_while(
        "garbage among quotes, marks and trades", refused_frame,
        {"stream": "*", "effect": "garbage", "probability": 0.2, "seed": 5},
    ),
    _on_bar(
        "closed candle of a symbol nobody asked for", refused_frame,
        effect="wrong_symbol", as_symbol="XRPUSDT",
    ),
    _on_bar(
        "closed candle of another subscribed symbol", refused_frame,
        effect="wrong_symbol", as_symbol="ETHUSDT",
    ),
    _for_a_while(
        "quotes, marks and trades of another subscribed symbol", refused_frame,
        {"stream": "btcusdt@[!k]*", "effect": "wrong_symbol", "as_symbol": "ETHUSDT"},
    ),
    _for_a_while(
        f"stream data of a symbol with a non-ASCII name ({ODD_SYMBOL})", refused_frame,
        {"stream": "btcusdt@*", "effect": "wrong_symbol", "as_symbol": ODD_SYMBOL,
         "probability": 0.5},
    ),
    _on_bar("closed candle told twice", bar_repeated, effect="duplicate"),
    _for_a_while(
        "quotes, marks and trades told twice",
        any_of(repeated("trade"), repeated("quote"), repeated("mark")),
        {"stream": "*@[!k]*", "effect": "duplicate"},
    ),
    Drill(
        fault="candles reordered: one comes after the next",
        inject=_strike(
            {"stream": KLINE, "closed_only": True, "nth": 1, "effect": "delay",
             "delay_ms": MINUTE_MS + 1_000},
        ),
        struck=_has_struck,
        seen=bar_missed,
        detect_ms_max=(2_000 / SPEED) + AT_ONCE_MS,
        healed=bar_stored,
        heal_ms_max=FILL_MS,
        bars_after=3,
    ),
    _for_a_while(
        "quotes, marks and trades reordered",
        any_of(repeated("quote"), repeated("mark"), repeated("trade"), bar_missed),
        {"stream": "*@[!k]*", "effect": "reorder", "probability": 0.5, "seed": 3},
    ),
    _on_bar(
        "bar corrected after its close", bar_revised, effect="corrected_bar", delay_ms=500
    ),
)  # fmt: skip
