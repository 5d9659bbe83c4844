"""The rolling 24-hour statistics of one symbol, from its minutes."""

from decimal import Decimal
from typing import Final, NamedTuple

from services.paper_exchange.market.candles import MINUTE_MS, ZERO
from services.paper_exchange.market.market import SymbolMarket

DAY_MS: Final = 86_400_000
HUNDRED: Final = Decimal(100)


def day_ticker(state: SymbolMarket, now_ms: int) -> dict[str, object]:
    """Return the body of GET /fapi/v1/ticker/24hr for one symbol at market time ``now_ms``."""
    day = day_of(state, now_ms)
    price, quantity = state.price_text, state.quantity_text
    return {
        "symbol": state.book.symbol,
        "priceChange": price(day.last - day.opened),
        "priceChangePercent": f"{day.percent:.3f}",
        "weightedAvgPrice": price(day.average),
        "lastPrice": price(day.last),
        "lastQty": quantity(day.last_quantity),
        "openPrice": price(day.opened),
        "highPrice": price(day.high),
        "lowPrice": price(day.low),
        "volume": quantity(day.volume),
        "quoteVolume": price(day.quote_volume),
        "openTime": day.open_ms,
        "closeTime": day.close_ms,
        "firstId": day.first_trade_id,
        "lastId": day.last_trade_id,
        "count": day.trade_count,
    }


class Day(NamedTuple):
    """Statistics of the last 24 hours, or of as much as the market has seen; times in ms."""

    opened: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    last_quantity: Decimal
    volume: Decimal
    quote_volume: Decimal
    open_ms: int
    close_ms: int
    first_trade_id: int
    last_trade_id: int
    trade_count: int

    @property
    def percent(self) -> Decimal:
        """The change of price in percent of the opening price."""
        return (self.last - self.opened) * HUNDRED / self.opened if self.opened else ZERO

    @property
    def average(self) -> Decimal:
        """The average price, each trade weighted with its quantity."""
        return self.quote_volume / self.volume if self.volume else self.last


def day_of(state: SymbolMarket, now_ms: int) -> Day:
    """Sum up the minutes of the last 24 hours before ``now_ms``; all zero where there is none.

    The window moves by whole minutes: it begins with the minute in which it would begin.
    """
    start_ms = now_ms - DAY_MS
    minutes = [
        minute for minute in state.candles.recent("1m") if minute.open_ms + MINUTE_MS > start_ms
    ]
    if not minutes:
        return Day(*(ZERO,) * 7, start_ms, now_ms, -1, -1, 0)
    traded = [minute for minute in minutes if minute.count]
    last_trade = state.trades[-1] if state.trades else None
    return Day(
        opened=minutes[0].open,
        high=max(minute.high for minute in minutes),
        low=min(minute.low for minute in minutes),
        last=minutes[-1].close,
        last_quantity=ZERO if last_trade is None else last_trade.quantity,
        volume=sum((minute.volume for minute in minutes), ZERO),
        quote_volume=sum((minute.quote_volume for minute in minutes), ZERO),
        open_ms=start_ms,
        close_ms=now_ms if last_trade is None else last_trade.transaction_ms,
        first_trade_id=traded[0].first_trade_id if traded else -1,
        last_trade_id=traded[-1].last_trade_id if traded else -1,
        trade_count=sum(minute.count for minute in minutes),
    )
