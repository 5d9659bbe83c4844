"""The generator: one seed, one market, lively enough to trade on."""

import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise, takewhile

import pytest

from services.paper_exchange.market.instruments import INSTRUMENTS, UnknownSymbolError
from services.paper_exchange.sources.event import DepthUpdate, Quote, SourceEvent, Trade
from services.paper_exchange.sources.generator import HISTORY_MINUTES, GeneratorSource

START_NS = 1_700_000_012_345_678_901
SECOND_NS = 1_000_000_000


def _first_minute(source: GeneratorSource) -> Iterator[SourceEvent]:
    end_ns = source.start_ns + 60 * SECOND_NS
    return takewhile(lambda event: event.ts_ns < end_ns, source.events())


def _source(seed: int = 1, symbols: tuple[str, ...] = ("BTCUSDT", "ADAUSDT")) -> GeneratorSource:
    return GeneratorSource(random.Random(seed), START_NS, symbols)


def test_one_seed_is_one_market_and_another_seed_another() -> None:
    assert list(_first_minute(_source(1))) == list(_first_minute(_source(1)))
    assert list(_first_minute(_source(1))) != list(_first_minute(_source(2)))


def test_time_never_runs_backwards_and_starts_after_the_start() -> None:
    ts_ns = START_NS
    for event in _first_minute(_source()):
        assert event.ts_ns >= ts_ns
        ts_ns = event.ts_ns


@pytest.mark.parametrize("symbol", sorted(INSTRUMENTS))
def test_prices_and_quantities_are_on_the_grid_of_their_symbol(symbol: str) -> None:
    listed = INSTRUMENTS[symbol]
    quote: Quote | None = None
    for event in _first_minute(_source(3, (symbol,))):
        if isinstance(event, Quote):
            quote = event
            assert Decimal(event.ask_price) - Decimal(event.bid_price) == listed.price_tick
        if isinstance(event, Trade):
            assert quote is not None
            assert event.price % listed.price_tick == 0
            assert event.quantity % listed.quantity_step == 0
            assert event.quantity > 0
            hit = quote.bid_price if event.is_buyer_maker else quote.ask_price
            assert Decimal(hit) == event.price


def test_every_symbol_trades_ten_to_twenty_times_a_second() -> None:
    trades = Counter(e.symbol for e in _first_minute(_source()) if isinstance(e, Trade))
    assert all(600 <= count <= 1_200 for count in trades.values())


def test_a_minute_moves_enough_for_a_strategy_on_seconds() -> None:
    swings = []
    for seed in range(3):
        prices = [
            event.price
            for event in _first_minute(_source(seed, ("BTCUSDT",)))
            if isinstance(event, Trade) and event.symbol == "BTCUSDT"
        ]
        swings.append((max(prices) - min(prices)) / prices[0] * 10_000)
    assert sorted(swings)[1] > 5, "half of all minutes swing by more than 5 bp"


def test_a_long_run_stays_in_a_sane_range() -> None:
    source = _source(4, ("BTCUSDT",))
    end_ns = source.start_ns + 600 * SECOND_NS
    for event in takewhile(lambda event: event.ts_ns < end_ns, source.events()):
        if isinstance(event, Trade):
            assert 32_000 < event.price < 128_000


def test_update_ids_are_unbroken() -> None:
    previous = None
    for event in _first_minute(_source(1, ("BTCUSDT",))):
        if isinstance(event, DepthUpdate):
            assert previous in (None, event.previous_update_id)
            previous = event.final_update_id


def test_history_is_whole_minutes_up_to_the_one_that_runs() -> None:
    source = _source(1, ("BTCUSDT",))
    bars = list(source.history())
    assert len(bars) == HISTORY_MINUTES
    minute_ms = source.start_ns // 1_000_000 // 60_000 * 60_000
    assert bars[-1].open_ms == minute_ms - 60_000
    assert all(b.open_ms - a.open_ms == 60_000 for a, b in pairwise(bars))


def test_an_unlisted_symbol_is_refused() -> None:
    with pytest.raises(UnknownSymbolError):
        _source(1, ("NOPEUSDT",))
