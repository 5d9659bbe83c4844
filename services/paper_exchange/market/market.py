"""The market as pure state: books, trades, candles and mark prices, folded from source events.

`apply` takes what the source says, `advance` what the passing of market time brings (the cadences
of the streams, the end of candles, the mark prices). Both return the messages to publish and what
matching needs to know. No clock is read here: time comes in with each call and never decreases.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from services.paper_exchange.market import payloads
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.candles import INTERVALS, Candle, Candles, end_of
from services.paper_exchange.market.funding_rates import FundingRates
from services.paper_exchange.market.instruments import STATUSES, Instrument
from services.paper_exchange.market.payloads import AggregateTrade
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    SourceEvent,
    Trade,
)
from services.paper_exchange.wire.decimal_text import scaled

NS_PER_MS: Final = 1_000_000
AGGREGATE_PERIOD_NS: Final = 100 * NS_PER_MS
KLINE_PERIOD_NS: Final = 250 * NS_PER_MS
MARK_PERIOD_NS: Final = 1_000 * NS_PER_MS
SLOW_MARK_PERIOD_NS: Final = 3_000 * NS_PER_MS
DEPTH_PERIODS_NS: Final = {
    "depth@100ms": 100 * NS_PER_MS,
    "depth": 250 * NS_PER_MS,
    "depth@500ms": 500 * NS_PER_MS,
}
TRADES_KEPT_MAX: Final = 30_000
"""Trades kept per symbol for REST, and as many aggregate trades.

So many that a client of a fast market can be away for 5 s at 20 times speed and still fill its gap:
100 s of market time hold up to 12,700 trades of BTCUSDT (a volatile day in August 2024), and while
the client pages through them, within its request weight of 1,000 rows for 200 of 2,400 a minute,
as many again may come. The real venue keeps months; here each costs 0.5 kB and an aggregate half
of that, so a symbol that has filled both holds 22 MB, which one of 15 trades a second (the
generator's) does after half an hour.
"""

Message = tuple[str, Mapping[str, object] | Callable[[], Mapping[str, object]]]
"""A stream name and its payload, or how to make the payload if anybody listens.

A payload must be made before the market moves on: it describes the market as it is now.
"""


class UpdateKind(StrEnum):
    """What a `MarketUpdate` reports."""

    SNAPSHOT = "snapshot"
    DEPTH = "depth"
    QUOTE = "quote"
    TRADE = "trade"
    MARK = "mark"
    BAR = "bar"


class MarketUpdate(msgspec.Struct, frozen=True, gc=False):
    """One change of one symbol, for matching; price, quantity and maker side only for a trade.

    For a mark the price is the mark price. ``is_buyer_maker`` true means the taker sold.
    """

    ts_ns: int
    symbol: str
    kind: UpdateKind
    price: Decimal | None = None
    quantity: Decimal | None = None
    is_buyer_maker: bool | None = None


class Step(NamedTuple):
    """What one event or tick did: the change, if any, and the messages to publish, in order."""

    update: MarketUpdate | None
    messages: list[Message]


class SymbolMarket:
    """All the market knows of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book(instrument.symbol, instrument.price_precision)
        self.candles = Candles()
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT_MAX)
        self.aggregates: deque[AggregateTrade] = deque(maxlen=TRADES_KEPT_MAX)
        self.aggregate: AggregateTrade | None = None
        self.aggregate_id_next = 1
        self.has_own_mark = False
        self.depth_pending: dict[str, list[DepthUpdate]] = {kind: [] for kind in DEPTH_PERIODS_NS}
        prefix = instrument.symbol.lower()
        self.stream = {
            kind: f"{prefix}@{kind}"
            for kind in (
                "depth@0ms",
                *DEPTH_PERIODS_NS,
                "bookTicker",
                "trade",
                "aggTrade",
                "markPrice",
                "markPrice@1s",
                *(f"kline_{interval}" for interval in INTERVALS),
            )
        }

    def price_text(self, price: Decimal) -> str:
        """A price with the decimals of this symbol."""
        return scaled(price, self.instrument.price_precision)

    def quantity_text(self, quantity: Decimal) -> str:
        """A quantity with the decimals of this symbol."""
        return scaled(quantity, self.instrument.quantity_precision)

    def derive_mark(self) -> None:
        """Take the median of best bid, best ask and last price where the source has no mark."""
        book = self.book
        bid, ask = book.best_bid, book.best_ask
        if self.has_own_mark or bid is None or ask is None:
            return
        if book.last_price is None:
            book.mark_price = book.mid_price
        else:
            book.mark_price = payloads.median_of_three((bid[0], ask[0], book.last_price))
        book.index_price = book.mark_price


class Market:
    """The market of ``instruments``; ``applied`` counts source events by kind."""

    def __init__(self, instruments: dict[str, Instrument], start_ns: int) -> None:
        self.instruments = instruments
        self.symbols = {name: SymbolMarket(listed) for name, listed in instruments.items()}
        self.funding_rates = FundingRates(instruments)
        self.applied: Counter[UpdateKind] = Counter()
        self._ts_ns = start_ns
        self._is_pending = False
        self._contract_news: list[Instrument] = []

    def book(self, symbol: str) -> Book:
        """Return the book of a listed symbol; raises KeyError for another."""
        return self.symbols[symbol].book

    def set_status(
        self, symbol: str, status: str, *, delivery_date_ms: int | None = None
    ) -> Instrument:
        """Change what can be done with a symbol, and announce it (`!contractInfo`) at once.

        The new instrument takes the place of the old one in ``instruments``, which is the venue's
        own list of them. Raises KeyError for an unknown symbol, ValueError for an unknown status.
        """
        if status not in STATUSES:
            raise ValueError(f"{status!r} is not a status; known: {', '.join(sorted(STATUSES))}")
        state = self.symbols[symbol]
        listed = msgspec.structs.replace(state.instrument, status=status)
        if delivery_date_ms is not None:
            listed = msgspec.structs.replace(listed, delivery_date_ms=delivery_date_ms)
        self.instruments[symbol] = state.instrument = listed
        self._contract_news.append(listed)
        self._is_pending = True
        return listed

    def seed_history(self, bars: Iterable[ClosedBar]) -> None:
        """Remember candles from before the start, so that clients can warm up."""
        for bar in bars:
            candles = self.symbols[bar.symbol].candles
            candles.close_bar(bar)
            candles.close_due(end_of(bar.interval, bar.open_ms))

    def apply(self, event: SourceEvent) -> Step:
        """Fold one source event; everything due before it must have been advanced to."""
        self._ts_ns = event.ts_ns
        state = self.symbols[event.symbol]
        match event:
            case Quote():
                step = self._apply_quote(state, event)
            case Trade():
                step = self._apply_trade(state, event)
            case DepthUpdate():
                step = self._apply_depth(state, event)
            case DepthSnapshot():
                state.book.apply_snapshot(event.last_update_id, event.bids, event.asks, event.ts_ns)
                step = Step(MarketUpdate(event.ts_ns, event.symbol, UpdateKind.SNAPSHOT), [])
            case MarkPrice():
                state.has_own_mark = True
                state.book.mark_price = event.mark_price
                state.book.index_price = event.index_price
                update = MarketUpdate(event.ts_ns, event.symbol, UpdateKind.MARK, event.mark_price)
                step = Step(update, [])
            case ClosedBar():
                step = self._apply_bar(state, event)
        if step.update is not None:
            self.applied[step.update.kind] += 1
        if state.book.mark_price is None:
            state.derive_mark()
        return step

    @property
    def next_due_ns(self) -> int:
        """Market time of the next tick: within 100 ms while something waits, else the second."""
        ts_ns = self._ts_ns
        if not self._is_pending:
            return _next(ts_ns, MARK_PERIOD_NS)
        return min(_next(ts_ns, AGGREGATE_PERIOD_NS), _next(ts_ns, KLINE_PERIOD_NS))

    def advance(self, ts_ns: int) -> list[Step]:
        """Let market time reach a tick (`next_due_ns`, or later when the source is silent)."""
        self._ts_ns = ts_ns
        steps: list[Step] = []
        if self._contract_news:
            news = [
                ("!contractInfo", payloads.contract_info(listed, ts_ns))
                for listed in self._contract_news
            ]
            self._contract_news.clear()
            steps.append(Step(None, list(news)))
        is_pending = False
        for state in self.symbols.values():
            is_second = ts_ns % MARK_PERIOD_NS == 0
            ended = state.candles.close_due(ts_ns // NS_PER_MS) if is_second else []
            messages = _closed(state, ended, ts_ns) + _flush(state, ts_ns)
            update = _publish_mark(state, ts_ns, messages) if is_second else None
            is_pending = is_pending or _has_pending(state)
            if messages or update is not None:
                steps.append(Step(update, messages))
        self._is_pending = is_pending
        return steps

    def _apply_quote(self, state: SymbolMarket, event: Quote) -> Step:
        state.book.apply_quote(
            event.update_id,
            (event.bid_price, event.bid_quantity),
            (event.ask_price, event.ask_quantity),
            event.ts_ns,
        )
        return Step(
            MarketUpdate(event.ts_ns, event.symbol, UpdateKind.QUOTE),
            [(state.stream["bookTicker"], payloads.book_ticker(event))],
        )

    def _apply_depth(self, state: SymbolMarket, event: DepthUpdate) -> Step:
        state.book.apply_depth(event.final_update_id, event.bids, event.asks, event.ts_ns)
        for pending in state.depth_pending.values():
            pending.append(event)
        self._is_pending = True
        return Step(
            MarketUpdate(event.ts_ns, event.symbol, UpdateKind.DEPTH),
            [(state.stream["depth@0ms"], payloads.depth_update(event))],
        )

    def _apply_trade(self, state: SymbolMarket, event: Trade) -> Step:
        self._is_pending = True
        messages: list[Message] = [(state.stream["trade"], payloads.trade(event))]
        aggregate = state.aggregate
        if aggregate is not None and (
            aggregate.price != event.price or aggregate.is_buyer_maker != event.is_buyer_maker
        ):
            messages.insert(0, _close_aggregate(state, aggregate, event.ts_ns))
        _aggregate(state, event)
        state.book.last_price = event.price
        state.trades.append(event)
        ts_ms = event.ts_ns // NS_PER_MS
        messages = _closed(state, state.candles.close_due(ts_ms), event.ts_ns) + messages
        state.candles.add_trade(event, ts_ms)
        update = MarketUpdate(
            event.ts_ns,
            event.symbol,
            UpdateKind.TRADE,
            event.price,
            event.quantity,
            event.is_buyer_maker,
        )
        return Step(update, messages)

    def _apply_bar(self, state: SymbolMarket, event: ClosedBar) -> Step:
        closed = state.candles.close_bar(event)
        update = MarketUpdate(event.ts_ns, event.symbol, UpdateKind.BAR)
        return Step(update, _closed(state, closed, event.ts_ns))


def _next(ts_ns: int, period_ns: int) -> int:
    return ts_ns - ts_ns % period_ns + period_ns


def _has_pending(state: SymbolMarket) -> bool:
    return (
        state.aggregate is not None or state.candles.is_changed or any(state.depth_pending.values())
    )


def _flush(state: SymbolMarket, ts_ns: int) -> list[Message]:
    """Return what the cadences of this tick release."""
    messages: list[Message] = []
    if state.aggregate is not None and ts_ns % AGGREGATE_PERIOD_NS == 0:
        messages.append(_close_aggregate(state, state.aggregate, ts_ns))
    for kind, pending in state.depth_pending.items():
        if pending and ts_ns % DEPTH_PERIODS_NS[kind] == 0:
            messages.append((state.stream[kind], _merged_depth_maker(pending, ts_ns)))
            state.depth_pending[kind] = []
    if state.candles.is_changed and ts_ns % KLINE_PERIOD_NS == 0:
        state.candles.is_changed = False
        messages += [
            (state.stream[f"kline_{interval}"], _kline_maker(state, interval, ts_ns))
            for interval in INTERVALS
            if state.candles.has_open(interval)
        ]
    return messages


def _merged_depth_maker(updates: list[DepthUpdate], ts_ns: int) -> Callable[[], payloads.Payload]:
    return lambda: payloads.merged_depth(updates, ts_ns)


def _kline_maker(state: SymbolMarket, interval: str, ts_ns: int) -> Callable[[], payloads.Payload]:
    def make() -> payloads.Payload:
        candle = state.candles.open_candle(interval)
        assert candle is not None, "made in the tick that found it open"
        return payloads.kline(state.book.symbol, interval, candle, ts_ns, is_closed=False)

    return make


def _closed(state: SymbolMarket, closed: list[tuple[str, Candle]], ts_ns: int) -> list[Message]:
    symbol = state.book.symbol
    return [
        (
            state.stream[f"kline_{interval}"],
            payloads.kline(symbol, interval, candle, ts_ns, is_closed=True),
        )
        for interval, candle in closed
    ]


def _publish_mark(state: SymbolMarket, ts_ns: int, messages: list[Message]) -> MarketUpdate | None:
    state.derive_mark()
    mark_price = state.book.mark_price
    if mark_price is None:
        return None
    payload = payloads.mark_price_update(state.book, ts_ns)
    messages.append((state.stream["markPrice@1s"], payload))
    if ts_ns % SLOW_MARK_PERIOD_NS == 0:
        messages.append((state.stream["markPrice"], payload))
    return MarketUpdate(ts_ns, state.book.symbol, UpdateKind.MARK, mark_price)


def _aggregate(state: SymbolMarket, event: Trade) -> None:
    aggregate = state.aggregate
    if aggregate is None:
        state.aggregate = AggregateTrade(
            event.symbol,
            state.aggregate_id_next,
            event.price,
            event.quantity,
            event.trade_id,
            event.trade_id,
            event.transaction_ms,
            event.is_buyer_maker,
        )
        state.aggregate_id_next += 1
    else:
        aggregate.quantity += event.quantity
        aggregate.last_trade_id = event.trade_id


def _close_aggregate(state: SymbolMarket, aggregate: AggregateTrade, ts_ns: int) -> Message:
    state.aggregates.append(aggregate)
    state.aggregate = None
    return state.stream["aggTrade"], payloads.aggregate_trade(aggregate, ts_ns)
