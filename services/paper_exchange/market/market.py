"""The market as pure state: books, trades, candles and mark prices, folded from source events.

`apply` takes what the source says, `advance` what the passing of market time brings (the cadences
of the streams, the end of candles, the mark prices). Both return the messages to publish and what
matching needs to know. No clock is read here: time comes in with each call and never decreases.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

import msgspec

from services.paper_exchange.market import payloads
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.cadences import (
    AGGREGATE_PERIOD_NS,
    KLINE_PERIOD_NS,
    SECOND_NS,
    SLOW_MARK_PERIOD_NS,
    IsHeard,
    Message,
    Roundup,
    close_aggregate,
    closed_candles,
    each_second,
    flush,
)
from services.paper_exchange.market.candles import end_of
from services.paper_exchange.market.funding_rates import FundingRates
from services.paper_exchange.market.instruments import STATUSES, Instrument
from services.paper_exchange.market.payloads import AggregateTrade
from services.paper_exchange.market.symbol_market import NS_PER_MS, SymbolMarket
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    Silence,
    SourceEvent,
    Trade,
)

MARKET_EXECUTION: Final = "MARKET"
MARK_NAMES: Final = ("markPrice@1s", "markPrice")


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


class Market:
    """The market of ``instruments``; ``applied`` counts source events by kind.

    ``is_heard`` tells whether anybody listens to a stream: what costs something to say is said only
    then.
    """

    def __init__(self, instruments: dict[str, Instrument], start_ns: int) -> None:
        self.instruments = instruments
        self.symbols = {name: SymbolMarket(listed) for name, listed in instruments.items()}
        self.funding_rates = FundingRates(instruments)
        self.applied: Counter[UpdateKind] = Counter()
        self._ts_ns = start_ns
        self._is_pending = False
        self._cadence_ns = 0
        self._changed: list[Instrument] = []
        self._roundup = Roundup(list(self.symbols.values()))
        self.is_heard: IsHeard = _everything_is_heard

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
        self._changed.append(listed)
        self._is_pending = True
        return listed

    def seed_history(self, bars: Iterable[ClosedBar]) -> None:
        """Remember candles from before the start, so that clients can warm up."""
        for bar in bars:
            state = self.symbols[bar.symbol]
            state.candles.close_bar(bar)
            state.candles.close_due(end_of(bar.interval, bar.open_ms))
            state.marks.seed(bar)
            self.funding_rates.seed(bar.symbol, bar.open_ms, bar.open)

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
            case Silence():
                step = Step(None, [])
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
            return ts_ns - ts_ns % SECOND_NS + SECOND_NS
        if ts_ns >= self._cadence_ns:
            self._cadence_ns = min(_next(ts_ns, AGGREGATE_PERIOD_NS), _next(ts_ns, KLINE_PERIOD_NS))
        return self._cadence_ns

    def advance(self, ts_ns: int) -> list[Step]:
        """Let market time reach a tick (`next_due_ns`, or later when the source is silent)."""
        self._ts_ns = ts_ns
        steps = self._contract_news(ts_ns)
        is_pending = False
        is_second = ts_ns % SECOND_NS == 0
        marks: list[payloads.Payload] = []
        for state in self.symbols.values():
            messages: list[Message] = []
            update = None
            if is_second:
                ended = state.candles.close_due(ts_ns // NS_PER_MS)
                messages += closed_candles(state, ended, ts_ns)
            messages += flush(state, ts_ns, self.is_heard)
            if is_second:
                update = self._publish_mark(state, ts_ns, messages, marks)
                messages += each_second(state, ts_ns, self.is_heard)
            is_pending = is_pending or _has_pending(state)
            if messages or update is not None:
                steps.append(Step(update, messages))
        self._is_pending = is_pending
        if is_second:
            roundup = self._roundup.each_second(ts_ns, marks, self.is_heard)
            if roundup:
                steps.append(Step(None, roundup))
        return steps

    def newest_trades(self) -> dict[str, int]:
        """The id of the newest trade that REST lists of each symbol that has one."""
        found: dict[str, int] = {}
        for name, state in self.symbols.items():
            for trade in reversed(state.trades):
                if trade.execution == MARKET_EXECUTION:
                    found[name] = trade.trade_id
                    break
        return found

    def _contract_news(self, ts_ns: int) -> list[Step]:
        news: list[Message] = [
            ("!contractInfo", payloads.contract_info(listed, ts_ns)) for listed in self._changed
        ]
        self._changed.clear()
        return [Step(None, news)] if news else []

    def _publish_mark(
        self,
        state: SymbolMarket,
        ts_ns: int,
        messages: list[Message],
        marks: list[payloads.Payload],
    ) -> MarketUpdate | None:
        """Read the mark of this second, and tell it to whoever listens."""
        state.derive_mark()
        book = state.book
        mark = book.mark_price
        if mark is None:
            return None
        state.marks.add(mark, book.index_price or mark, ts_ns // NS_PER_MS)
        names = MARK_NAMES if ts_ns % SLOW_MARK_PERIOD_NS == 0 else MARK_NAMES[:1]
        heard = [name for name in map(state.stream.__getitem__, names) if self.is_heard(name)]
        is_in_array = self.is_heard("!markPrice@arr@1s") or self.is_heard("!markPrice@arr")
        if heard or is_in_array:
            payload = self.mark_price_update(state, ts_ns)
            messages += [(name, payload) for name in heard]
            marks.append(payload)
        return MarketUpdate(ts_ns, book.symbol, UpdateKind.MARK, mark)

    def mark_price_update(self, state: SymbolMarket, ts_ns: int) -> payloads.Payload:
        """The markPriceUpdate of a symbol that has a mark price."""
        book, rates = state.book, self.funding_rates
        average = state.marks.average or book.mark_price
        assert average is not None, "told once there is a mark price"
        next_ms = rates.next_funding_ms(book.symbol, ts_ns)
        return payloads.mark_price_update(book, average, rates.rate(book.symbol), next_ms, ts_ns)

    def _apply_quote(self, state: SymbolMarket, event: Quote) -> Step:
        state.book.apply_quote(
            event.update_id,
            (event.bid_price, event.bid_quantity),
            (event.ask_price, event.ask_quantity),
            event.ts_ns,
        )
        return Step(
            MarketUpdate(event.ts_ns, event.symbol, UpdateKind.QUOTE),
            [(state.stream["bookTicker"], partial(payloads.book_ticker, event))],
        )

    def _apply_depth(self, state: SymbolMarket, event: DepthUpdate) -> Step:
        state.book.apply_depth(event.final_update_id, event.bids, event.asks, event.ts_ns)
        for pending in state.depth_pending.values():
            pending.append(event)
        self._is_pending = True
        return Step(
            MarketUpdate(event.ts_ns, event.symbol, UpdateKind.DEPTH),
            [(state.stream["depth@0ms"], partial(payloads.depth_update, event))],
        )

    def _apply_trade(self, state: SymbolMarket, event: Trade) -> Step:
        self._is_pending = True
        messages: list[Message] = [
            (state.stream["trade"], partial(payloads.trade, event, state.instrument))
        ]
        if event.execution == MARKET_EXECUTION:  # no forced trade is part of an aggregate
            aggregate = state.aggregate
            if aggregate is not None and (
                aggregate.price != event.price or aggregate.is_buyer_maker != event.is_buyer_maker
            ):
                messages.insert(0, close_aggregate(state, event.ts_ns))
            _aggregate(state, event)
        state.book.last_price = event.price
        state.trades.append(event)
        ts_ms = event.ts_ns // NS_PER_MS
        messages = closed_candles(state, state.candles.close_due(ts_ms), event.ts_ns) + messages
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
        return Step(update, closed_candles(state, closed, event.ts_ns))


def _everything_is_heard(_stream: str) -> bool:
    return True


def _next(ts_ns: int, period_ns: int) -> int:
    return ts_ns - ts_ns % period_ns + period_ns


def _has_pending(state: SymbolMarket) -> bool:
    return (
        state.aggregate is not None or state.candles.is_changed or any(state.depth_pending.values())
    )


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
