"""The market of a simulated world, and the feed that tells of it.

Prices are random walks on the tick. Each second the venue's books move and quotes and marks are
said; each candle interval a closed candle is stored. A frozen feed goes on moving the venue.
"""

from collections.abc import Callable
from decimal import Decimal
from random import Random

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.market import Candle, CandleOrigin, Mark, Quote
from libs.common.model.ids import candle_id
from sim.broker import Broker
from sim.loop import NS_PER_S, VirtualLoop
from sim.settings import EPOCH_NS, INTERVAL, INTERVAL_MS
from sim.venue import Venue
from sim.vouching import vouch_for

NS_PER_MS = 1_000_000
TICK_NS = 3 * NS_PER_S // 2
START_PRICES = {"BTCUSDT": 600_000, "ETHUSDT": 300_000}
TICKS = {"BTCUSDT": Decimal("0.1"), "ETHUSDT": Decimal("0.01")}
TOP_QUANTITY = {"BTCUSDT": "0.012", "ETHUSDT": "0.25"}
"""Quantity of the best level; an order may need the next."""
DEEP_QUANTITY = {"BTCUSDT": "50", "ETHUSDT": "900"}
STEP_SHARE = 0.0012
CRASH_SHARE = 0.03
CRASH_TICKS = 8
FUNDING_RATE = Decimal("0.0001")
ZERO = Decimal(0)
ONE = Decimal(1)


class Series:
    """One symbol: its price in ticks, and the candle under way."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.price = START_PRICES[symbol]
        self.crash_left = 0
        self.frozen_marks_until_ns = 0
        self.frozen_quotes_until_ns = 0
        self.doubted_until_ns = 0
        self.vouched_ns: list[int] = []
        self.last_mark_ns = 0
        self.marks: list[tuple[int, Decimal]] = []
        self.open = self.high = self.low = self.price
        self.last_candle: tuple[str, bytes, str] | None = None


class MarketFeed:
    """Moves every price and says so until told to stop."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: Random,
        symbols: tuple[str, ...],
        broker: Broker,
        venue: Venue,
        note: Callable[[str], None],
    ) -> None:
        self.series = {symbol: Series(symbol) for symbol in symbols}
        self.is_candles_on = True
        self.silent_until_ns = 0
        self._loop = loop
        self._draw = dice.random
        self._broker = broker
        self._venue = venue
        self._note = note
        self._updates = 0
        for one in self.series.values():
            self._move_book(one, EPOCH_NS)
        loop.after(TICK_NS, self._tick)

    def _tick(self) -> None:
        self._updates += 1
        now_ns = EPOCH_NS + self._loop.now_ns
        self._venue.exchange.advance(now_ns)
        for series in self.series.values():
            self._move(series)
            self._move_book(series, now_ns)
            self._say_quote(series, now_ns)
            self._say_mark(series, now_ns)
            if self._updates % (INTERVAL_MS * NS_PER_MS // TICK_NS) == 0:
                self._close_candle(series)
        self._say_health(now_ns)
        self._venue.sockets.deliver()
        self._loop.after((self._updates + 1) * TICK_NS - self._loop.now_ns, self._tick)

    def _move(self, series: Series) -> None:
        share = (self._draw() - 0.5) * 2 * STEP_SHARE
        if series.crash_left:
            series.crash_left -= 1
            share -= CRASH_SHARE
        series.price = max(1_000, series.price + int(series.price * share))
        series.high = max(series.high, series.price)
        series.low = min(series.low, series.price)

    def _move_book(self, series: Series, now_ns: int) -> None:
        symbol, price = series.symbol, series.price
        book = self._venue.books[symbol]
        bids, asks = (
            [
                (self._text(symbol, price + sign), TOP_QUANTITY[symbol]),
                (self._text(symbol, price + 4 * sign), DEEP_QUANTITY[symbol]),
            ]
            for sign in (-1, 1)
        )
        book.apply_snapshot(self._updates, bids, asks, now_ns)
        book.last_price = book.mark_price = book.index_price = price * TICKS[symbol]
        self._venue.exchange.on_book(symbol, now_ns)
        self._venue.exchange.on_mark(symbol, now_ns)

    def _text(self, symbol: str, price: int) -> str:
        return f"{price * TICKS[symbol]:f}"

    def _say_quote(self, series: Series, now_ns: int) -> None:
        if self._loop.now_ns < series.frozen_quotes_until_ns:
            return
        symbol, tick = series.symbol, TICKS[series.symbol]
        identity = f"quote-{symbol}-{self._updates}"
        quote = Quote(
            message_id=identity,
            causation_id=identity,
            correlation_id=identity,
            ts_event_ns=now_ns,
            ts_published_ns=now_ns,
            source="feed",
            symbol=symbol,
            bid_price=(series.price - 1) * tick,
            bid_quantity=ONE,
            ask_price=(series.price + 1) * tick,
            ask_quantity=ONE,
            update_id=self._updates,
        )
        self._broker.fan_out(subjects.quote(symbol), encode(quote))

    def _say_mark(self, series: Series, now_ns: int) -> None:
        if self._loop.now_ns < series.frozen_marks_until_ns:
            return
        symbol = series.symbol
        identity = f"mark-{symbol}-{self._updates}"
        price = series.price * TICKS[symbol]
        series.marks.append((now_ns, price))
        mark = Mark(
            message_id=identity,
            causation_id=identity,
            correlation_id=identity,
            ts_event_ns=now_ns,
            ts_published_ns=now_ns,
            source="feed",
            symbol=symbol,
            mark_price=price,
            index_price=price,
            funding_rate=FUNDING_RATE,
            next_funding_ns=0,
        )
        self._broker.fan_out(subjects.mark(symbol), encode(mark))

    def _say_health(self, now_ns: int) -> None:
        """The feed's word on each symbol; fresh ones are noted for the judge."""
        if self._loop.now_ns < self.silent_until_ns:
            return
        doubted = {
            name for name, one in self.series.items() if self._loop.now_ns < one.doubted_until_ns
        }
        for name, one in self.series.items():
            if name not in doubted:
                one.vouched_ns.append(now_ns)
        health = vouch_for(self.series, now_ns, doubted)
        self._broker.fan_out(subjects.MARKET_HEALTH, encode(health))

    def _close_candle(self, series: Series) -> None:
        symbol, tick = series.symbol, TICKS[series.symbol]
        span_ns = INTERVAL_MS * NS_PER_MS
        open_ns = EPOCH_NS + (self._updates * TICK_NS // span_ns - 1) * span_ns
        identity = candle_id(symbol, INTERVAL, open_ns)
        now_ns = EPOCH_NS + self._loop.now_ns
        candle = Candle(
            message_id=identity,
            causation_id=identity,
            correlation_id=identity,
            ts_event_ns=now_ns,
            ts_published_ns=now_ns,
            source="feed",
            symbol=symbol,
            interval=INTERVAL,
            open_ns=open_ns,
            close_ns=open_ns + span_ns,
            open=series.open * tick,
            high=series.high * tick,
            low=series.low * tick,
            close=series.price * tick,
            volume=ONE,
            trade_count=1,
            origin=CandleOrigin.STREAM,
        )
        series.open = series.high = series.low = series.price
        if self.is_candles_on:
            series.last_candle = (subjects.candle(INTERVAL, symbol), encode(candle), identity)
            self._broker.store(*series.last_candle)

    def repeat_candle(self, symbol: str) -> bool:
        """Say the last candle again under another id: the broker's window does not catch it."""
        last = self.series[symbol].last_candle
        if last is None:
            return False
        self._broker.store(last[0], last[1], f"{last[2]}-again-{self._updates}")
        return True
