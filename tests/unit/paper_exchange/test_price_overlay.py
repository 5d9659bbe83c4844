"""A source with bent prices: the same market elsewhere, with an unbroken chain of updates."""

import random
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, pairwise

import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    Quote,
    Silence,
    SourceEvent,
    Trade,
)
from services.paper_exchange.sources.generator import GeneratorSource
from services.paper_exchange.sources.price_overlay import PriceOverlay

SYMBOL = "BTCUSDT"
S = 1_000_000_000


class BentMarket:
    """A generated market, bent from its fifth second on."""

    def __init__(self, change: str, over_ms: int = 0, liquidity: str = "100") -> None:
        source = GeneratorSource(random.Random(5), 0, [SYMBOL])
        self.start_ns = source.start_ns
        self.market = Market(select_instruments([SYMBOL]), source.start_ns)
        self.book = self.market.book(SYMBOL)
        self.overlay = PriceOverlay(self.market.instruments, self.market.book)
        self.events: Iterator[SourceEvent] = source.events()
        self.applied: list[SourceEvent] = []
        self.play_to(5)
        self.before = self.book.mid_price
        self.overlay.move(
            [SYMBOL], Decimal(change), over_ms, self.start_ns + 5 * S, Decimal(liquidity)
        )
        self.events = self.overlay.bend(self.events)

    def play_to(self, second: int) -> None:
        until_ns = self.start_ns + second * S
        for event in self.events:
            if event.ts_ns >= until_ns:
                self.events = chain((event,), self.events)
                return
            self.market.apply(event)
            self.applied.append(event)

    @property
    def change(self) -> float:
        assert self.before is not None
        assert self.book.mid_price is not None
        return float(self.book.mid_price / self.before) - 1


@pytest.mark.parametrize("change", ["-30", "-3", "0.5", "25"])
def test_prices_move_by_what_was_asked_for(change: str) -> None:
    bent = BentMarket(change)
    bent.play_to(7)
    assert bent.change == pytest.approx(float(change) / 100, abs=0.005)
    last = [event for event in bent.applied if isinstance(event, Trade)][-1]
    assert bent.book.mid_price is not None
    assert float(last.price / bent.book.mid_price) == pytest.approx(1, abs=0.001)


def test_a_move_takes_its_time() -> None:
    bent = BentMarket("-20", over_ms=10_000)
    bent.play_to(10)
    assert bent.change == pytest.approx(-0.10, abs=0.01)
    bent.play_to(20)
    assert bent.change == pytest.approx(-0.20, abs=0.01)


def test_the_chain_of_depth_updates_is_unbroken_and_quotes_never_go_back() -> None:
    bent = BentMarket("-20", over_ms=4_000)
    bent.play_to(8)
    bent.overlay.move([SYMBOL], Decimal(0), 2_000, bent.start_ns + 8 * S)
    bent.play_to(14)
    updates = [event for event in bent.applied if isinstance(event, DepthUpdate)]
    assert all(
        later.previous_update_id == earlier.final_update_id for earlier, later in pairwise(updates)
    )
    quotes = [event.update_id for event in bent.applied if isinstance(event, Quote)]
    assert quotes == sorted(quotes)
    assert bent.change == pytest.approx(0, abs=0.01)


def test_a_local_book_of_the_updates_is_the_book_of_the_market() -> None:
    bent = BentMarket("-7.5", over_ms=1_500)
    bent.play_to(9)
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    for event in bent.applied:
        if not isinstance(event, DepthSnapshot | DepthUpdate):
            continue
        for side, levels in ((bids, event.bids), (asks, event.asks)):
            for price, quantity in levels:
                side[Decimal(price)] = Decimal(quantity)
                if not Decimal(quantity):
                    del side[Decimal(price)]
    found_bids, found_asks = bent.book.snapshot(1_000)
    assert {Decimal(price): Decimal(quantity) for price, quantity in found_bids} == bids
    assert {Decimal(price): Decimal(quantity) for price, quantity in found_asks} == asks
    assert max(bids) < min(asks)


def test_every_bent_price_is_on_the_tick() -> None:
    bent = BentMarket("-33.333333")
    bent.play_to(6)
    tick = bent.market.instruments[SYMBOL].price_tick
    for event in bent.applied:
        if isinstance(event, Quote):
            assert Decimal(event.bid_price) % tick == 0
            assert Decimal(event.bid_price) < Decimal(event.ask_price)


def test_a_thin_book_holds_less() -> None:
    full, thin = BentMarket("-1"), BentMarket("-1", liquidity="10")
    for bent in (full, thin):
        bent.play_to(7)
    (_, full_quantity), (_, thin_quantity) = full.book.best_bid, thin.book.best_bid
    assert thin_quantity == pytest.approx(full_quantity / 10, rel=Decimal("0.05"))


def test_candles_known_to_the_source_are_left_out_while_prices_are_bent() -> None:
    market = Market(select_instruments([SYMBOL]), 0)
    overlay = PriceOverlay(market.instruments, market.book)
    one = Decimal(1)
    bars = [
        ClosedBar((minute + 1) * 60 * S - 1, SYMBOL, "1m", minute * 60_000, one, one, one, one, one)
        for minute in range(4)
    ]
    overlay.move([SYMBOL], Decimal(-5), 0, 60 * S)
    bent = overlay.bend(iter(bars))
    assert next(bent) == bars[0]
    overlay.move([SYMBOL], Decimal(0), 0, 150 * S)
    assert list(bent) == bars[3:]


def test_a_halted_symbol_tells_nothing_and_catches_up_when_it_trades_again() -> None:
    bent = BentMarket("0")
    bent.overlay.halt(SYMBOL, is_halted=True)
    told = len(bent.applied)
    bent.play_to(15)
    assert all(isinstance(event, Silence) for event in bent.applied[told:])
    bent.overlay.halt(SYMBOL, is_halted=False)
    bent.play_to(20)
    updates = [event for event in bent.applied if isinstance(event, DepthUpdate)]
    assert all(
        later.previous_update_id == earlier.final_update_id for earlier, later in pairwise(updates)
    )
    free = BentMarket("0")
    free.play_to(20)
    assert bent.book.snapshot(1_000) == free.book.snapshot(1_000)
