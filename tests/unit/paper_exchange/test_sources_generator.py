"""The generator: one seed, one market, lively enough to trade on."""

import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise, takewhile

import pytest

from services.paper_exchange.config import Moods
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


def _moody(seconds: int, **moods: int) -> tuple[GeneratorSource, list[SourceEvent]]:
    source = GeneratorSource(random.Random(11), 0, ["BTCUSDT", "ETHUSDT"], Moods(**moods))
    end_ns = source.start_ns + seconds * 1_000_000_000
    return source, list(takewhile(lambda event: event.ts_ns < end_ns, source.events()))


def _moves(events: list[SourceEvent]) -> list[float]:
    bids = [
        float(event.bid_price)
        for event in events
        if isinstance(event, Quote) and event.symbol == "BTCUSDT"
    ]
    return [abs(later / earlier - 1) for earlier, later in pairwise(bids)]


def test_the_same_seed_and_moods_give_the_same_tape() -> None:
    moods = {"regime_seconds": 20, "jumps_per_hour": 600, "gaps_per_hour": 120}
    assert _moody(30, **moods)[1] == _moody(30, **moods)[1]


def test_regimes_change_and_differ_in_their_moves() -> None:
    source, events = _moody(240, regime_seconds=15)
    assert all(count > 0 for count in source.regimes.values())
    minutes = [_moves(list(part)) for part in batches(events, 10)]
    sizes = sorted(sum(part) / len(part) for part in minutes if part)
    assert sizes[-1] > 3 * sizes[0]


def test_jumps_and_gaps_happen_as_often_as_asked_for() -> None:
    source, events = _moody(200, jumps_per_hour=900, jump_basis_points=300)
    assert 50 <= source.jumps <= 160
    assert max(_moves(events)) > 0.01
    source, events = _moody(200, gaps_per_hour=200, gap_seconds=20)
    silences = [later.ts_ns - earlier.ts_ns for earlier, later in pairwise(events)]
    assert 3 <= source.gaps <= 40
    assert 2 * 10**9 < max(silences) <= 21 * 10**9
    updates = [event for event in events if isinstance(event, DepthUpdate)]
    for symbol in source.symbols:
        chain = [event for event in updates if event.symbol == symbol]
        assert all(b.previous_update_id == a.final_update_id for a, b in pairwise(chain))


def test_volatility_and_correlation_are_what_was_asked_for() -> None:
    calm, wild = (_moves(_moody(40, volatility_percent=size)[1]) for size in (20, 400))
    assert sum(wild) / len(wild) > 5 * sum(calm) / len(calm)
    together, apart = (_agreement(_moody(120, correlation_percent=share)[1]) for share in (100, 0))
    assert together > apart + 0.1


def _agreement(events: list[SourceEvent]) -> float:
    """How often both symbols move in the same direction."""
    prices: dict[int, dict[str, float]] = {}
    for event in events:
        if isinstance(event, Quote):
            prices.setdefault(event.ts_ns // 10**9, {})[event.symbol] = float(event.bid_price)
    both = [row for row in prices.values() if len(row) == 2]
    signs = [
        (b["BTCUSDT"] > a["BTCUSDT"]) == (b["ETHUSDT"] > a["ETHUSDT"]) for a, b in pairwise(both)
    ]
    return sum(signs) / len(signs)


def batches(events: list[SourceEvent], seconds: int) -> list[list[SourceEvent]]:
    """The events in parts of so many seconds."""
    parts: dict[int, list[SourceEvent]] = {}
    for event in events:
        parts.setdefault(event.ts_ns // (seconds * 10**9), []).append(event)
    return list(parts.values())
