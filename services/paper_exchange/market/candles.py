"""Candles of one symbol: minutes built from trades, everything longer built from minutes.

A candle belongs to the market time its trades were announced at, so that one is final the moment
its last millisecond has passed and no late trade can change it. A source that knows the final
candle itself overrules what its trades added up to. Minutes without trades have no candle:
reports of REST make one up as flat as the venue's where it lies between two others.
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from services.paper_exchange.sources.event import ClosedBar, Trade

MINUTE_MS: Final = 60_000
INTERVALS_MS: Final = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": 1_440 * MINUTE_MS,
    "3d": 3 * 1_440 * MINUTE_MS,
    "1w": 7 * 1_440 * MINUTE_MS,
}
"""Intervals of one length."""
SECOND: Final = "1s"
"""Only the continuous contract has candles of a second, and none are kept."""
MONTH: Final = "1M"
INTERVALS: Final = (*INTERVALS_MS, MONTH)
"""All intervals kept; the venue has no 1s on a symbol's klines."""
FIRST_MONDAY_MS: Final = 4 * 1_440 * MINUTE_MS
"""1970-01-05, from which weeks are counted."""
CANDLES_KEPT_MAX: Final = 1_500
"""Closed candles kept per interval, as many as one request may ask for."""
ZERO: Final = Decimal(0)


def open_of(interval: str, ts_ms: int) -> int:
    """When the candle that holds a moment opens: weeks on Monday, months on the first, in UTC."""
    if interval == MONTH:
        moment = datetime.fromtimestamp(ts_ms // 1_000, UTC)
        return _month_ms(moment.year, moment.month)
    first_ms = FIRST_MONDAY_MS if interval == "1w" else 0
    return ts_ms - (ts_ms - first_ms) % INTERVALS_MS[interval]


def end_of(interval: str, open_ms: int) -> int:
    """The first moment after a candle: the one at which the next opens."""
    if interval == MONTH:
        moment = datetime.fromtimestamp(open_ms // 1_000, UTC)
        return _month_ms(moment.year + moment.month // 12, moment.month % 12 + 1)
    return open_ms + (1_000 if interval == SECOND else INTERVALS_MS[interval])


def _month_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000


class Candle:
    """One candle; quantities in the base asset, quote volumes in USDT, times in ms."""

    __slots__ = (
        "close",
        "count",
        "first_trade_id",
        "high",
        "last_trade_id",
        "low",
        "open",
        "open_ms",
        "quote_volume",
        "taker_buy_quote_volume",
        "taker_buy_volume",
        "volume",
    )

    def __init__(self, open_ms: int, price: Decimal) -> None:
        self.open_ms = open_ms
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote_volume = ZERO
        self.taker_buy_volume = self.taker_buy_quote_volume = ZERO
        self.count = 0
        self.first_trade_id = self.last_trade_id = -1

    def add_trade(self, trade: Trade) -> None:
        """Count one more trade."""
        price = trade.price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        notional = price * trade.quantity
        self.volume += trade.quantity
        self.quote_volume += notional
        if not trade.is_buyer_maker:
            self.taker_buy_volume += trade.quantity
            self.taker_buy_quote_volume += notional
        if self.count == 0:
            self.first_trade_id = trade.trade_id
        self.last_trade_id = trade.trade_id
        self.count += 1

    def add_price(self, price: Decimal) -> None:
        """Count one more reading of a price that nobody traded at, such as a mark price."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.count += 1

    def add_candle(self, later: "Candle") -> None:
        """Append a shorter candle that follows."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.taker_buy_volume += later.taker_buy_volume
        self.taker_buy_quote_volume += later.taker_buy_quote_volume
        if later.count:
            if self.count == 0:
                self.first_trade_id = later.first_trade_id
            self.last_trade_id = later.last_trade_id
            self.count += later.count

    def overrule(self, bar: ClosedBar) -> None:
        """Take prices and volume from a source that knows them to be final.

        What the source does not tell follows from the trades seen, in proportion; without any,
        takers bought half of the volume, all of it at the middle of the candle's prices.
        """
        self.open, self.high, self.low, self.close = bar.open, bar.high, bar.low, bar.close
        if self.volume == bar.volume:
            return
        if self.volume:
            share = bar.volume / self.volume
            self.quote_volume *= share
            self.taker_buy_volume *= share
            self.taker_buy_quote_volume *= share
        else:
            middle = (bar.open + bar.high + bar.low + bar.close) / 4
            self.quote_volume = bar.volume * middle
            self.taker_buy_volume = bar.volume / 2
            self.taker_buy_quote_volume = self.quote_volume / 2
        self.volume = bar.volume

    def copy(self) -> "Candle":
        """Return an independent copy."""
        twin = Candle(self.open_ms, self.open)
        twin.high = twin.low = self.open
        twin.add_candle(self)
        return twin


class Candles:
    """Closed and open candles of one symbol for every interval."""

    def __init__(self) -> None:
        self._minute: Candle | None = None
        self._partial: dict[str, Candle] = {}
        self._closed: dict[str, deque[Candle]] = {
            interval: deque(maxlen=CANDLES_KEPT_MAX) for interval in INTERVALS
        }
        self.is_changed = False
        self._next_look_ms = 0
        """No candle ends before this, because every one ends with a minute."""

    def add_trade(self, trade: Trade, ts_ms: int) -> None:
        """Count a trade announced at market time ``ts_ms``; close what is due before."""
        open_ms = ts_ms - ts_ms % MINUTE_MS
        minute = self._minute
        if minute is None:
            minute = self._minute = Candle(open_ms, trade.price)
        assert minute.open_ms == open_ms, "close_due comes before the first trade of a minute"
        minute.add_trade(trade)
        self.is_changed = True

    def add_price(self, price: Decimal, ts_ms: int) -> None:
        """Count a reading of a price at ``ts_ms``; close what is due before."""
        self.close_due(ts_ms)
        if self._minute is None:
            self._minute = Candle(ts_ms - ts_ms % MINUTE_MS, price)
        self._minute.add_price(price)

    def close_due(self, ts_ms: int) -> list[tuple[str, Candle]]:
        """Close every candle that ended at or before ``ts_ms``; shorter intervals come first."""
        if ts_ms < self._next_look_ms:
            return []
        self._next_look_ms = ts_ms - ts_ms % MINUTE_MS + MINUTE_MS
        closed: list[tuple[str, Candle]] = []
        minute = self._minute
        if minute is not None and minute.open_ms + MINUTE_MS <= ts_ms:
            self._minute = None
            closed.append(self._close("1m", minute))
            self._pass_on(minute)
        for interval, candle in list(self._partial.items()):
            if end_of(interval, candle.open_ms) <= ts_ms:
                del self._partial[interval]
                closed.append(self._close(interval, candle))
        return closed

    def close_bar(self, bar: ClosedBar) -> list[tuple[str, Candle]]:
        """Close one candle with the values the source says are final, its last minute first."""
        self._next_look_ms = 0
        closed: list[tuple[str, Candle]] = []
        if bar.interval == "1m":
            candle = self._minute
        else:
            if self._minute is not None:
                closed.append(self._close("1m", self._minute))
                self._pass_on(self._minute)
            candle = self._partial.pop(bar.interval, None)
        self._minute = None
        if candle is None or candle.open_ms != bar.open_ms:
            candle = Candle(bar.open_ms, bar.open)
        candle.overrule(bar)
        if bar.interval == "1m":
            self._pass_on(candle)
        closed.append(self._close(bar.interval, candle))
        return closed

    def open_candle(self, interval: str) -> Candle | None:
        """Return the candle still open, trades of the running minute included."""
        minute = self._minute
        if interval == "1m":
            return minute
        partial = self._partial.get(interval)
        if minute is None:
            return partial
        if partial is None:
            merged = Candle(open_of(interval, minute.open_ms), minute.open)
        else:
            merged = partial.copy()
        merged.add_candle(minute)
        return merged

    def closed(self, interval: str) -> deque[Candle]:
        """Return the closed candles kept, oldest first; do not change them."""
        return self._closed[interval]

    def recent(self, interval: str) -> Iterator[Candle]:
        """Yield the closed candles and, last, the open one."""
        yield from self._closed[interval]
        open_candle = self.open_candle(interval)
        if open_candle is not None:
            yield open_candle

    def _close(self, interval: str, candle: Candle) -> tuple[str, Candle]:
        self._closed[interval].append(candle)
        return interval, candle

    def _pass_on(self, minute: Candle) -> None:
        for interval in INTERVALS:
            if interval == "1m":
                continue
            partial = self._partial.get(interval)
            if partial is None:
                open_ms = open_of(interval, minute.open_ms)
                self._partial[interval] = partial = Candle(open_ms, minute.open)
            partial.add_candle(minute)
