"""Candles: minutes from trades, the rest from minutes."""

from decimal import Decimal

from services.paper_exchange.market.candles import CANDLES_KEPT_MAX, Candles
from services.paper_exchange.sources.event import ClosedBar, Trade

MINUTE_MS = 60_000
FIVE_MS = 5 * MINUTE_MS
START_MS = 1_700_000_100_000 // (3 * FIVE_MS) * (3 * FIVE_MS)


def _trade(number: int, price: str, quantity: str = "1", *, maker: bool = False) -> Trade:
    return Trade(0, "BTCUSDT", 0, number, Decimal(price), Decimal(quantity), maker)


def _bar(open_ms: int, interval: str = "1m") -> ClosedBar:
    values = (Decimal(10), Decimal(12), Decimal(9), Decimal(11), Decimal(100))
    return ClosedBar(0, "BTCUSDT", interval, open_ms, *values)


def test_a_minute_adds_up_its_trades() -> None:
    candles = Candles()
    candles.add_trade(_trade(1, "10", "2"), START_MS)
    candles.add_trade(_trade(2, "12"), START_MS + 1)
    candles.add_trade(_trade(3, "9", maker=True), START_MS + 59_999)
    ((interval, candle),) = candles.close_due(START_MS + MINUTE_MS)
    assert interval == "1m"
    assert (candle.open, candle.high, candle.low, candle.close) == (10, 12, 9, 9)
    assert (candle.volume, candle.quote_volume, candle.count) == (4, 41, 3)
    assert (candle.taker_buy_volume, candle.taker_buy_quote_volume) == (3, 32)
    assert (candle.first_trade_id, candle.last_trade_id) == (1, 3)


def test_nothing_closes_before_its_last_millisecond_has_passed() -> None:
    candles = Candles()
    candles.add_trade(_trade(1, "10"), START_MS)
    assert candles.close_due(START_MS + MINUTE_MS - 1) == []
    assert len(candles.close_due(START_MS + MINUTE_MS)) == 1
    assert candles.close_due(START_MS + MINUTE_MS) == []


def test_longer_candles_are_made_of_minutes_and_close_after_the_shorter() -> None:
    candles = Candles()
    closed = []
    for minute in range(5):
        at_ms = START_MS + minute * MINUTE_MS
        candles.add_trade(_trade(minute, str(10 + minute)), at_ms)
        closed += candles.close_due(at_ms + MINUTE_MS)
    assert [interval for interval, _ in closed] == ["1m", "1m", "1m", "3m", "1m", "1m", "5m"]
    five = closed[-1][1]
    assert (five.open_ms, five.open, five.high, five.close, five.volume) == (
        START_MS,
        10,
        14,
        14,
        5,
    )


def test_the_open_candle_counts_the_running_minute() -> None:
    candles = Candles()
    assert candles.open_candle("5m") is None
    candles.add_trade(_trade(1, "10"), START_MS)
    candles.close_due(START_MS + MINUTE_MS)
    assert candles.open_candle("1m") is None
    candles.add_trade(_trade(2, "15"), START_MS + MINUTE_MS)
    for _ in range(2):
        running = candles.open_candle("5m")
        assert running is not None
        assert (running.open, running.close, running.volume, running.count) == (10, 15, 2, 2)


def test_a_source_that_knows_the_candle_overrules_its_trades() -> None:
    candles = Candles()
    candles.add_trade(_trade(1, "10.5", "3"), START_MS)
    ((_, candle),) = candles.close_bar(_bar(START_MS))
    assert (candle.open, candle.high, candle.low, candle.close, candle.volume) == (
        10,
        12,
        9,
        11,
        100,
    )
    assert candles.close_due(START_MS + MINUTE_MS) == [], "it is not closed twice"
    assert candles.open_candle("5m") is not None


def test_a_longer_candle_from_the_source_closes_its_last_minute_first() -> None:
    candles = Candles()
    candles.add_trade(_trade(1, "10.5"), START_MS + 4 * MINUTE_MS)
    closed = candles.close_bar(_bar(START_MS, "5m"))
    assert [interval for interval, _ in closed] == ["1m", "5m"]
    assert closed[1][1].volume == 100
    assert "5m" not in [name for name, _ in candles.close_due(START_MS + FIVE_MS)]


def test_a_minute_told_after_its_end_closes_what_ended_with_it_at_the_next_look() -> None:
    candles = Candles()
    candles.close_due(START_MS + FIVE_MS)
    candles.close_bar(_bar(START_MS + 4 * MINUTE_MS))
    assert "5m" in [name for name, _ in candles.close_due(START_MS + FIVE_MS + 1)]


def test_only_so_many_candles_are_kept() -> None:
    candles = Candles()
    for minute in range(CANDLES_KEPT_MAX + 5):
        candles.close_bar(_bar(START_MS + minute * MINUTE_MS))
        candles.close_due(START_MS + (minute + 1) * MINUTE_MS)
    assert len(candles.closed("1m")) == CANDLES_KEPT_MAX
    assert candles.closed("1m")[0].open_ms == START_MS + 5 * MINUTE_MS
