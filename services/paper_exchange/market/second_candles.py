"""Candles of one second, which only the continuous contract has: made of the trades still known."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from services.paper_exchange.market.candles import Candle
from services.paper_exchange.sources.event import Trade

NS_PER_MS: Final = 1_000_000
SECOND_MS: Final = 1_000


def second_candles(trades: Iterable[Trade]) -> Iterator[Candle]:
    """Yield one candle per second with trades, oldest first; trades come oldest first, too."""
    candle: Candle | None = None
    for trade in trades:
        ts_ms = trade.ts_ns // NS_PER_MS
        open_ms = ts_ms - ts_ms % SECOND_MS
        if candle is None or candle.open_ms != open_ms:
            if candle is not None:
                yield candle
            candle = Candle(open_ms, trade.price)
        candle.add_trade(trade)
    if candle is not None:
        yield candle


def second_candle(trades: Sequence[Trade], open_ms: int) -> Candle | None:
    """The candle of one of the newest seconds; None where nobody traded in it."""
    found: list[Trade] = []
    for trade in reversed(trades):
        ts_ms = trade.ts_ns // NS_PER_MS
        if ts_ms < open_ms:
            break
        if ts_ms < open_ms + SECOND_MS:
            found.append(trade)
    return next(second_candles(reversed(found)), None)
