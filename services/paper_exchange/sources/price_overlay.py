"""Bends a source: prices moved by a factor, books thinned, symbols halted, whatever the source is.

A tape or a file knows no crash on demand. From the moment the overlay is asked for, every event
passes through `bend`: prices are multiplied (rounded to the tick, away from the spread), quantities
of the book scaled, and where the factor has changed the whole book is moved by one depth update of
our own, so that update ids and pu stay an unbroken chain. Candles that the source knows to be final
are left out while prices are bent: the bent trades add up to their own. A halted symbol tells
nothing; when it trades again, one update carries its book to where the source has gone meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    Levels,
    MarkPrice,
    Quote,
    Silence,
    SourceEvent,
    Trade,
)

MILLION: Final = 1_000_000
"""Factors are counted in millionths."""
NS_PER_MS: Final = 1_000_000
STEP_NS: Final = 100 * NS_PER_MS
"""How often a moving factor moves the book."""
LEVELS_MAX: Final = 100_000
FULL_PERCENT: Final = Decimal(100)


class PriceMove(NamedTuple):
    """From where to where the factor goes, in millionths, and between which market times."""

    from_millionths: int = MILLION
    to_millionths: int = MILLION
    start_ns: int = 0
    end_ns: int = 0

    def at(self, ts_ns: int) -> int:
        """The factor at a market time, on a straight line, in steps of `STEP_NS`."""
        if ts_ns >= self.end_ns:
            return self.to_millionths
        if ts_ns <= self.start_ns:
            return self.from_millionths
        gone_ns = (ts_ns - self.start_ns) // STEP_NS * STEP_NS
        change = self.to_millionths - self.from_millionths
        return self.from_millionths + change * gone_ns // (self.end_ns - self.start_ns)


@dataclass(slots=True)
class _Side:
    """One side of a book: the source's levels, and what they add up to once bent."""

    sign: int
    raw: dict[int, Decimal] = field(default_factory=dict)
    bent: dict[int, Decimal] = field(default_factory=dict)


class PriceOverlay:
    """The moves in force by symbol; `book_of` gives the market's book where a bend begins."""

    def __init__(
        self, instruments: Mapping[str, Instrument], book_of: Callable[[str], Book]
    ) -> None:
        self._instruments = instruments
        self._book_of = book_of
        self._bent: dict[str, _BentSymbol] = {}
        self._moves: dict[str, tuple[PriceMove, Decimal]] = {}
        self._halted: set[str] = set()

    def halt(self, symbol: str, *, is_halted: bool) -> None:
        """Keep the source from telling of a symbol, or let it tell again."""
        self._moves.setdefault(symbol, (PriceMove(), FULL_PERCENT))
        if is_halted:
            self._halted.add(symbol)
        else:
            self._halted.discard(symbol)

    def move(
        self,
        symbols: Iterable[str],
        change_percent: Decimal,
        over_ms: int,
        now_ns: int,
        liquidity_percent: Decimal = FULL_PERCENT,
    ) -> None:
        """Lead prices to the source's own plus `change_percent`, within `over_ms` from now.

        The books hold `liquidity_percent` of the source's quantities from now on.
        """
        target = MILLION + int(change_percent * MILLION / 100)
        for symbol in symbols:
            before, _ = self._moves.get(symbol, (PriceMove(), FULL_PERCENT))
            end_ns = now_ns + over_ms * NS_PER_MS
            self._moves[symbol] = (
                PriceMove(before.at(now_ns), max(1, target), now_ns, end_ns),
                liquidity_percent,
            )

    def bend(self, events: Iterator[SourceEvent]) -> Iterator[SourceEvent]:
        """Yield what becomes of each event, after what moves its book."""
        for event in events:
            found = self._moves.get(event.symbol)
            if found is None:
                yield event
                continue
            symbol = self._bent.get(event.symbol)
            if symbol is None:
                instrument, book = self._instruments[event.symbol], self._book_of(event.symbol)
                symbol = self._bent[event.symbol] = _BentSymbol(instrument, book)
            if event.symbol in self._halted:
                symbol.absorb(event)
                yield Silence(event.ts_ns, event.symbol)
            else:
                yield from symbol.bend(event, found[0].at(event.ts_ns), found[1])


class _BentSymbol:
    """One symbol from the moment it is bent; ids run on, shifted by the updates that we add."""

    def __init__(self, instrument: Instrument, book: Book) -> None:
        self._instrument = instrument
        self._precision = instrument.price_precision
        self._tick = int(instrument.price_tick.scaleb(self._precision))
        self._factor = MILLION
        self._liquidity = FULL_PERCENT
        self._shift = 0
        self._depth_id = self._raw_depth_id = book.last_update_id
        self._raw_quote_id = book.newest_update_id
        self._bent_ns = -1
        self._is_behind = False
        self._sides = (_Side(1), _Side(-1))
        for side, levels in zip(self._sides, book.snapshot(LEVELS_MAX), strict=True):
            side.raw = {self._key(price): Decimal(quantity) for price, quantity in levels}
            side.bent = dict(side.raw)
        self._best: tuple[tuple[str, str], tuple[str, str]] | None = None
        bids, asks = book.snapshot(1)
        if bids and asks:
            self._best = (bids[0], asks[0])

    def bend(self, event: SourceEvent, factor: int, liquidity: Decimal) -> Iterator[SourceEvent]:
        """What becomes of an event under this factor, after the move of the book, if any."""
        if factor != MILLION or self._factor != MILLION:
            self._bent_ns = event.ts_ns
        if factor != self._factor or liquidity != self._liquidity or self._is_behind:
            self._factor, self._liquidity, self._is_behind = factor, liquidity, False
            yield from self._move_book(event.ts_ns)
        match event:
            case DepthSnapshot():
                yield self._bend_snapshot(event)
            case DepthUpdate():
                yield self._bend_depth(event)
            case Quote():
                self._note_quote(event)
                yield self._quote(event.ts_ns, event.transaction_ms)
            case Trade():
                side = 1 if event.is_buyer_maker else -1
                price = self._price(self._bent_key(self._key(event.price), side))
                yield Trade(
                    event.ts_ns, event.symbol, event.transaction_ms, event.trade_id, price,
                    event.quantity, event.is_buyer_maker, event.execution,
                )  # fmt: skip
            case MarkPrice():
                yield MarkPrice(
                    event.ts_ns,
                    event.symbol,
                    self._scaled(event.mark_price),
                    self._scaled(event.index_price),
                )
            case ClosedBar():
                if event.open_ms * NS_PER_MS > self._bent_ns:
                    yield event
            case Silence():
                yield event

    def absorb(self, event: SourceEvent) -> None:
        """Take note of an event of a halted symbol, of which nobody is told."""
        self._is_behind = True
        self._bent_ns = event.ts_ns
        if isinstance(event, Quote):
            self._note_quote(event)
        elif isinstance(event, DepthSnapshot):
            depth_id = self._depth_id
            self._bend_snapshot(event)
            self._depth_id = depth_id
        elif isinstance(event, DepthUpdate):
            for side, levels in zip(self._sides, (event.bids, event.asks), strict=True):
                for price, quantity in levels:
                    _set(side.raw, self._key(price), Decimal(quantity))
            self._raw_depth_id = event.final_update_id

    def _move_book(self, ts_ns: int) -> Iterator[SourceEvent]:
        """The quote and the whole book at the new factor, as one update behind all before."""
        if not any(side.raw for side in self._sides):
            return
        ts_ms = ts_ns // NS_PER_MS
        self._shift += 1
        if self._best is not None:
            yield self._quote(ts_ns, ts_ms)
        changes = [self._rebuilt(side) for side in self._sides]
        previous_id, self._depth_id = self._depth_id, self._raw_depth_id + self._shift
        yield DepthUpdate(
            ts_ns, self._instrument.symbol, ts_ms, previous_id + 1, self._depth_id, previous_id,
            changes[0], changes[1],
        )  # fmt: skip

    def _rebuilt(self, side: _Side) -> Levels:
        before, side.bent = side.bent, {}
        for key, quantity in side.raw.items():
            bent_key = self._bent_key(key, side.sign)
            side.bent[bent_key] = side.bent.get(bent_key, Decimal(0)) + quantity
        gone = tuple((self._text(key), "0") for key in before if key not in side.bent)
        return gone + tuple(
            (self._text(key), self._quantity_text(total)) for key, total in side.bent.items()
        )

    def _bend_snapshot(self, event: DepthSnapshot) -> DepthSnapshot:
        levels = []
        for side, raw in zip(self._sides, (event.bids, event.asks), strict=True):
            side.raw = {self._key(price): Decimal(quantity) for price, quantity in raw}
            side.bent = {}
            levels.append(self._rebuilt(side))
        self._raw_depth_id = event.last_update_id
        self._depth_id = event.last_update_id + self._shift
        return DepthSnapshot(
            event.ts_ns, event.symbol, event.transaction_ms, self._depth_id, levels[0], levels[1]
        )

    def _bend_depth(self, event: DepthUpdate) -> DepthUpdate:
        bids, asks = (
            self._changed(side, levels)
            for side, levels in zip(self._sides, (event.bids, event.asks), strict=True)
        )
        self._raw_depth_id = event.final_update_id
        self._depth_id = event.final_update_id + self._shift
        return DepthUpdate(
            event.ts_ns, event.symbol, event.transaction_ms, event.first_update_id + self._shift,
            self._depth_id, event.previous_update_id + self._shift, bids, asks,
        )  # fmt: skip

    def _changed(self, side: _Side, levels: Levels) -> Levels:
        """Apply changes to the source's levels; returns those of the bent book."""
        touched: dict[int, None] = {}
        for price, text in levels:
            key, quantity = self._key(price), Decimal(text)
            bent_key = self._bent_key(key, side.sign)
            change = quantity - side.raw.get(key, Decimal(0))
            total = side.bent.get(bent_key, Decimal(0)) + change
            _set(side.raw, key, quantity)
            _set(side.bent, bent_key, max(Decimal(0), total))
            touched[bent_key] = None
        return tuple(
            (self._text(key), self._quantity_text(side.bent.get(key, Decimal(0))))
            for key in touched
        )

    def _note_quote(self, event: Quote) -> None:
        self._best = ((event.bid_price, event.bid_quantity), (event.ask_price, event.ask_quantity))
        self._raw_quote_id = event.update_id

    def _quote(self, ts_ns: int, transaction_ms: int) -> Quote:
        assert self._best is not None, "a quote has been seen"
        (bid, bid_quantity), (ask, ask_quantity) = self._best
        return Quote(
            ts_ns, self._instrument.symbol, transaction_ms, self._raw_quote_id + self._shift,
            self._text(self._bent_key(self._key(bid), 1)),
            self._quantity_text(Decimal(bid_quantity)),
            self._text(self._bent_key(self._key(ask), -1)),
            self._quantity_text(Decimal(ask_quantity)),
        )  # fmt: skip

    def _bent_key(self, key: int, sign: int) -> int:
        """The bent price on the tick: below for bids, above for asks, and never without a price."""
        if self._factor == MILLION:
            return key
        units = sign * (sign * key * self._factor // (MILLION * self._tick)) * self._tick
        lowest = self._tick if sign > 0 else 2 * self._tick
        return max(units, lowest)

    def _scaled(self, price: Decimal) -> Decimal:
        unit = Decimal(1).scaleb(-self._precision - 2)
        return (price * self._factor / MILLION).quantize(unit)

    def _quantity_text(self, quantity: Decimal) -> str:
        listed = self._instrument
        if self._liquidity != FULL_PERCENT and quantity:
            steps = quantity * self._liquidity / 100 // listed.quantity_step
            quantity = max(Decimal(1), steps) * listed.quantity_step
        return f"{quantity:.{listed.quantity_precision}f}"

    def _key(self, price: str | Decimal) -> int:
        return int(Decimal(price).scaleb(self._precision))

    def _price(self, key: int) -> Decimal:
        return Decimal(key).scaleb(-self._precision)

    def _text(self, key: int) -> str:
        return f"{self._price(key):.{self._precision}f}"


def _set(levels: dict[int, Decimal], key: int, quantity: Decimal) -> None:
    if quantity:
        levels[key] = quantity
    else:
        levels.pop(key, None)
