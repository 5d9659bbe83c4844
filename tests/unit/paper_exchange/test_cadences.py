"""What streams say at fixed times: payloads in the venue's key order, ids without a gap."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    Trade,
)
from services.paper_exchange.wire.stream_names import Route, routes_of

START_MS = 1_700_000_040_000
NS = 1_000_000
LEVELS = 30
Said = list[tuple[str, Any]]


def _lively(symbols: Iterable[str] = ("BTCUSDT",), seconds: int = 6) -> tuple[Market, Said]:
    """A market with an update of the book every 40 ms and a trade every 320, and what it said."""
    market = Market(select_instruments(symbols), START_MS * NS)
    said: Said = []
    for symbol in symbols:
        bids = tuple((f"{100 - n * 0.1:.2f}", "1.000") for n in range(LEVELS))
        asks = tuple((f"{100.1 + n * 0.1:.2f}", "1.000") for n in range(LEVELS))
        market.apply(DepthSnapshot(START_MS * NS, symbol, START_MS, 0, bids, asks))
        market.apply(Quote(START_MS * NS, symbol, START_MS, 0, *bids[0], *asks[0]))
    for number in range(1, seconds * 25 + 1):
        ts_ms = START_MS + number * 40
        said += _advance(market, ts_ms)
        for symbol in symbols:
            level = (f"{100 - number % LEVELS * 0.1:.2f}", f"{number % 7 + 1}.000")
            update = DepthUpdate(
                ts_ms * NS, symbol, ts_ms, number * 3 - 2, number * 3, number * 3 - 3, (level,), ()
            )
            market.apply(update)
            if number % 8 == 0:
                price = Decimal("100.10") if number % 16 else Decimal("100.00")
                market.apply(
                    Trade(ts_ms * NS, symbol, ts_ms, number, price, Decimal("0.010"), False)
                )
    said += _advance(market, START_MS + seconds * 1_000)
    return market, said


def _advance(market: Market, until_ms: int) -> Said:
    said: Said = []
    while market.next_due_ns <= until_ms * NS:
        for step in market.advance(market.next_due_ns):
            said += [
                (stream, payload() if callable(payload) else payload)
                for stream, payload in step.messages
            ]
    return said


def _of(said: Said, stream: str) -> list[Any]:
    return [payload for name, payload in said if name == stream]


@pytest.mark.parametrize(
    ("stream", "period_ms"),
    [
        ("depth@100ms", 100),
        ("depth", 250),
        ("depth@250ms", 250),
        ("depth@500ms", 500),
        ("rpiDepth@500ms", 500),
        ("depth5@100ms", 100),
        ("depth10", 250),
        ("depth20@500ms", 500),
    ],
)
def test_the_book_is_told_at_its_speed_without_a_gap_in_pu(stream: str, period_ms: int) -> None:
    _, said = _lively()
    told = _of(said, f"btcusdt@{stream}")
    assert len(told) > 6_000 // period_ms - 3
    assert all(payload["E"] % period_ms == 0 for payload in told)
    assert all(
        list(payload) == ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a", "st"]
        for payload in told
    )
    assert told[0]["U"] == 1
    for before, after in pairwise(told):
        assert after["pu"] == before["u"] == after["U"] - 1


@pytest.mark.parametrize("levels", [5, 10, 20])
def test_a_partial_book_is_the_top_of_the_book(levels: int) -> None:
    market, _ = _lively()
    last = _of(_advance(market, START_MS + 6_100), f"btcusdt@depth{levels}@100ms")[-1]
    bids, asks = market.book("BTCUSDT").snapshot(levels)
    assert len(last["b"]) == len(last["a"]) == levels
    assert last["u"] == market.book("BTCUSDT").last_update_id
    assert (list(last["b"]), list(last["a"])) == (bids, asks)


@pytest.mark.parametrize(
    ("stream", "kind", "keys"),
    [
        ("btcusdt@ticker", "24hrTicker", "e E s ps p P w c Q o h l v q O C F L n st"),
        ("btcusdt@miniTicker", "24hrMiniTicker", "e E s ps c o h l v q st"),
        ("btcusdt@markPrice", "markPriceUpdate", "e E s p ap P i r T st"),
        ("btcusdt@aggTrade", "aggTrade", "e E s a p q nq f l T m st"),
        ("!bookTicker", "bookTicker", "e u E T s ps b B a A st"),
        ("btcusdt@kline_1m", "kline", "e E s k"),
        ("btcusdt_perpetual@continuousKline_1m", "continuous_kline", "e E ps ct k"),
        ("btcusdt_perpetual@continuousKline_1s", "continuous_kline", "e E ps ct k"),
    ],
)
def test_each_payload_has_the_key_order_of_the_venue(stream: str, kind: str, keys: str) -> None:
    _, said = _lively()
    payload = _of(said, stream)[0]
    assert payload["e"] == kind
    assert list(payload) == keys.split()


def test_the_inner_keys_of_candles_differ_by_the_symbol_only() -> None:
    _, said = _lively()
    kline = _of(said, "btcusdt@kline_1m")[0]["k"]
    continuous = _of(said, "btcusdt_perpetual@continuousKline_1m")[0]
    assert list(kline) == list("tTsifLochlvnxqVQB")
    assert list(continuous["k"]) == list("tTifLochlvnxqVQB")
    assert (continuous["ps"], continuous["ct"]) == ("BTCUSDT", "PERPETUAL")
    assert {key: value for key, value in kline.items() if key != "s"} == continuous["k"]


def test_candles_of_a_second_end_with_the_second() -> None:
    _, said = _lively()
    candles = [payload["k"] for payload in _of(said, "btcusdt_perpetual@continuousKline_1s")]
    closed = [candle for candle in candles if candle["x"]]
    assert [candle["t"] for candle in closed] == [START_MS + n * 1_000 for n in range(6)]
    assert all(candle["T"] - candle["t"] == 999 for candle in candles)
    assert sum(candle["n"] for candle in closed) == 18


@pytest.mark.parametrize(
    ("stream", "period_ms"),
    [
        ("!markPrice@arr@1s", 1_000),
        ("!markPrice@arr", 3_000),
        ("!ticker@arr", 1_000),
        ("!miniTicker@arr", 1_000),
    ],
)
def test_arrays_hold_every_symbol_that_changed(stream: str, period_ms: int) -> None:
    _, said = _lively(("BTCUSDT", "ETHUSDT"))
    told = _of(said, stream)
    assert len(told) == 6_000 // period_ms
    for rows in told:
        assert [row["s"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
        assert {row["E"] % period_ms for row in rows} == {0}


def test_tickers_of_symbols_without_news_are_not_in_the_array() -> None:
    market, _ = _lively(("BTCUSDT", "ETHUSDT"), seconds=2)
    ts_ms = START_MS + 2_500
    market.apply(Trade(ts_ms * NS, "ETHUSDT", ts_ms, 999, Decimal(100), Decimal(1), True))
    [rows] = _of(_advance(market, START_MS + 3_000), "!miniTicker@arr")
    assert [row["s"] for row in rows] == ["ETHUSDT"]
    assert _of(_advance(market, START_MS + 6_000), "!miniTicker@arr") == []


def test_nothing_costly_is_said_when_nobody_listens() -> None:
    market = Market(select_instruments(["BTCUSDT"]), START_MS * NS)
    market.is_heard = {"btcusdt@kline_5m", "btcusdt@depth10@500ms"}.__contains__
    market.apply(DepthUpdate((START_MS + 1) * NS, "BTCUSDT", 0, 1, 1, 0, (("100.00", "1"),), ()))
    market.apply(Trade((START_MS + 1) * NS, "BTCUSDT", 0, 1, Decimal(100), Decimal("0.010"), False))
    names = {name for name, _ in _advance(market, START_MS + 6_000)}
    assert names == {"btcusdt@kline_5m", "btcusdt@depth10@500ms", "btcusdt@aggTrade"}


def test_the_ticker_sums_up_what_is_known_of_the_last_day() -> None:
    market, said = _lively()
    ticker = _of(said, "btcusdt@ticker")[-1]
    trades = market.symbols["BTCUSDT"].trades
    assert (ticker["o"], ticker["h"], ticker["l"]) == ("100.10", "100.10", "100.00")
    assert (ticker["n"], ticker["v"]) == (len(trades), f"{len(trades) * Decimal('0.010'):.3f}")
    assert ticker["O"] == START_MS, "the window is as long as the history"
    assert ticker["C"] == ticker["E"]


def test_minutes_older_than_a_day_leave_the_ticker() -> None:
    market = Market(select_instruments(["BTCUSDT"]), START_MS * NS)
    day_minutes = 24 * 60
    market.seed_history(
        _bar(START_MS - back * 60_000, price=back) for back in range(day_minutes + 30, 0, -1)
    )
    day = market.symbols["BTCUSDT"].day.at(START_MS)
    assert day is not None
    assert (day.open, day.close) == (Decimal(day_minutes), Decimal(1))
    assert day.volume == day_minutes * 2
    later = market.symbols["BTCUSDT"].day.at(START_MS + 60_000)
    assert later is not None
    assert later.open == day_minutes - 1


def _bar(open_ms: int, price: int) -> ClosedBar:
    value = Decimal(price)
    return ClosedBar(0, "BTCUSDT", "1m", open_ms, value, value, value, value, Decimal(2))


def test_mark_index_and_premium_have_candles_of_what_passed() -> None:
    market = Market(select_instruments(["BTCUSDT"]), START_MS * NS)
    for second in range(1, 130):
        ts_ms = START_MS + second * 1_000
        index = Decimal(100)
        _advance(market, ts_ms - 1)
        market.apply(MarkPrice((ts_ms - 1) * NS, "BTCUSDT", index + second % 3, index))
    _advance(market, START_MS + 130_000)
    marks = market.symbols["BTCUSDT"].marks
    minute = marks.mark.closed("1m")[0]
    assert (minute.open_ms, minute.high, minute.low) == (START_MS, Decimal(102), Decimal(100))
    assert minute.count == 59, "the market began with the minute, its first reading a second later"
    assert marks.index.closed("1m")[0].high == Decimal(100)
    assert marks.premium.closed("1m")[0].high == Decimal("0.02")


@pytest.mark.parametrize(
    ("stream", "route"),
    [
        *((f"btcusdt@depth{text}", Route.PUBLIC) for text in ("", "5", "20@100ms", "@500ms")),
        ("btcusdt@rpiDepth@500ms", Route.PUBLIC),
        ("!bookTicker", Route.PUBLIC),
        ("btcusdt@bookTicker", Route.PUBLIC),
        ("btcusdt_perpetual@continuousKline_1m", Route.MARKET),
        ("btcusdt@kline_1M", Route.MARKET),
        ("btcusdt@ticker", Route.MARKET),
        ("!ticker@arr", Route.MARKET),
        ("!miniTicker@arr", Route.MARKET),
        ("!markPrice@arr@1s", Route.MARKET),
        ("!forceOrder@arr", Route.MARKET),
        ("btcusdt@forceOrder", Route.MARKET),
        ("!contractInfo", Route.MARKET),
    ],
)
def test_each_stream_flows_through_one_door(stream: str, route: Route) -> None:
    assert routes_of(stream) == {route}


def test_a_name_that_is_no_stream_flows_nowhere() -> None:
    assert not routes_of("btcusdt@depth7")
    assert not routes_of("btcusdt@weather")


def test_what_every_stream_says_fits_the_door_it_flows_through() -> None:
    _, said = _lively(("BTCUSDT",), seconds=12)
    for name, payload in said:
        assert routes_of(name), name
        assert isinstance(payload, Mapping | list)
