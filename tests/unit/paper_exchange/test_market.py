"""The market: source events in, the venue's messages and what matching needs out."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market, MarketUpdate, Step, UpdateKind
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    Trade,
)

START_MS = 1_700_000_040_000
NS = 1_000_000


def _market() -> Market:
    return Market(select_instruments(["BTCUSDT"]), START_MS * NS)


def _quote(offset_ms: int, bid: str, ask: str, update_id: int = 5) -> Quote:
    ts_ms = START_MS + offset_ms
    return Quote(ts_ms * NS, "BTCUSDT", ts_ms - 1, update_id, bid, "1.000", ask, "2.000")


def _trade(offset_ms: int, number: int, price: str, *, maker: bool = False) -> Trade:
    ts_ms = START_MS + offset_ms
    return Trade(ts_ms * NS, "BTCUSDT", ts_ms - 1, number, Decimal(price), Decimal("0.010"), maker)


def _depth(
    offset_ms: int, first: int, final: int, previous: int, *bids: tuple[str, str]
) -> DepthUpdate:
    ts_ms = START_MS + offset_ms
    return DepthUpdate(ts_ms * NS, "BTCUSDT", ts_ms, first, final, previous, bids, ())


def _made(step: Step) -> dict[str, Mapping[str, object]]:
    return {
        stream: payload() if callable(payload) else payload for stream, payload in step.messages
    }


def _advance(market: Market, until_ms: int) -> list[tuple[str, Mapping[str, object]]]:
    said: list[tuple[str, Mapping[str, object]]] = []
    while market.next_due_ns <= (START_MS + until_ms) * NS:
        for step in market.advance(market.next_due_ns):
            said += _made(step).items()
    return said


def test_a_quote_says_book_ticker_in_the_order_of_2026() -> None:
    step = _market().apply(_quote(3, "61800.20", "61800.30"))
    payload = _made(step)["btcusdt@bookTicker"]
    assert list(payload) == ["e", "u", "E", "T", "s", "ps", "b", "B", "a", "A", "st"]
    assert payload["E"] == START_MS + 3
    assert payload["T"] == START_MS + 2
    assert (payload["b"], payload["A"], payload["st"]) == ("61800.20", "2.000", 1)
    assert step.update == MarketUpdate((START_MS + 3) * NS, "BTCUSDT", UpdateKind.QUOTE)


def test_a_trade_says_trade_and_tells_matching_who_was_the_maker() -> None:
    step = _market().apply(_trade(3, 9, "61800.20", maker=True))
    payload = _made(step)["btcusdt@trade"]
    assert list(payload) == ["e", "E", "T", "s", "t", "p", "q", "X", "m", "st"]
    update = step.update
    assert update is not None
    assert (update.price, update.quantity, update.is_buyer_maker) == (
        Decimal("61800.20"),
        Decimal("0.010"),
        True,
    )


def test_a_depth_update_passes_with_its_update_ids() -> None:
    payload = _made(_market().apply(_depth(1, 3, 4, 2, ("100.00", "1"))))["btcusdt@depth@0ms"]
    assert list(payload) == ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a", "st"]
    assert (payload["U"], payload["u"], payload["pu"]) == (3, 4, 2)


def test_slower_depth_streams_merge_updates_without_a_gap_in_pu() -> None:
    market = _market()
    said: list[Mapping[str, object]] = []
    for number in range(1, 40):
        offset_ms = number * 40
        said += [p for name, p in _advance(market, offset_ms) if name == "btcusdt@depth@100ms"]
        level = ("100.00", str(number))
        market.apply(_depth(offset_ms, number * 10 - 9, number * 10, number * 10 - 10, level))
    assert len(said) > 10
    for before, after in pairwise(said):
        assert after["pu"] == before["u"]
    assert said[0]["U"] == 1
    assert said[0]["b"] == (("100.00", "2"),)


def test_trades_of_one_taker_at_one_price_are_one_aggregate() -> None:
    market = _market()
    market.apply(_trade(1, 1, "100.00"))
    market.apply(_trade(2, 2, "100.00"))
    step = market.apply(_trade(3, 3, "100.10"))
    payload = _made(step)["btcusdt@aggTrade"]
    assert list(payload) == ["e", "E", "s", "a", "p", "q", "nq", "f", "l", "T", "m", "st"]
    assert (payload["f"], payload["l"], payload["q"], payload["nq"]) == (
        1,
        2,
        "0.020",
        "0.020",
    )
    later = [payload for name, payload in _advance(market, 100) if name == "btcusdt@aggTrade"]
    assert [payload["a"] for payload in later] == [2]


def test_a_trade_of_the_insurance_fund_is_in_no_aggregate() -> None:
    market = _market()
    market.apply(_trade(1, 1, "100.00"))
    forced = msgspec.structs.replace(_trade(2, 2, "90.00"), execution="INSURANCE_FUND")
    assert list(_made(market.apply(forced))) == ["btcusdt@trade"]
    market.apply(_trade(3, 3, "100.00"))
    [payload] = [payload for name, payload in _advance(market, 100) if name == "btcusdt@aggTrade"]
    assert (payload["f"], payload["l"], payload["q"]) == (1, 3, "0.020")


def test_the_mark_is_the_median_of_bid_ask_and_last_each_second() -> None:
    market = _market()
    market.apply(_quote(10, "100.00", "100.20"))
    market.apply(_trade(20, 1, "105.00"))
    said = _advance(market, 3_000)
    marks = [payload for name, payload in said if name == "btcusdt@markPrice@1s"]
    assert [payload["E"] for payload in marks] == [START_MS + n * 1_000 for n in (1, 2, 3)]
    assert list(marks[0]) == ["e", "E", "s", "p", "ap", "P", "i", "r", "T", "st"]
    assert marks[0]["p"] == "100.20000000"
    slow = [payload for name, payload in said if name == "btcusdt@markPrice"]
    assert len(slow) == 1
    assert market.book("BTCUSDT").mark_price == Decimal("100.20")


def test_there_is_a_mark_as_soon_as_there_is_a_quote() -> None:
    market = _market()
    market.apply(_quote(10, "100.00", "100.20"))
    assert market.book("BTCUSDT").mark_price == Decimal("100.10")


def test_a_mark_of_the_source_is_not_overwritten() -> None:
    market = _market()
    market.apply(MarkPrice(START_MS * NS, "BTCUSDT", Decimal(99), Decimal(98)))
    market.apply(_quote(10, "100.00", "100.20"))
    marks = [p for name, p in _advance(market, 1_000) if name == "btcusdt@markPrice@1s"]
    assert (marks[0]["p"], marks[0]["i"]) == ("99.00000000", "98.00000000")


def test_a_candle_is_announced_while_open_and_once_when_closed() -> None:
    market = _market()
    offset_ms = 60_000 - START_MS % 60_000
    market.apply(_trade(offset_ms - 900, 1, "100.00"))
    said = _advance(market, offset_ms + 5_000)
    klines = [payload["k"] for name, payload in said if name == "btcusdt@kline_1m"]
    assert [kline["x"] for kline in klines if isinstance(kline, dict)] == [False, True]
    last = klines[-1]
    assert isinstance(last, dict)
    assert list(last) == list("tTsifLochlvnxqVQB")
    assert last["T"] - last["t"] == 59_999
    assert last["v"] == "0.010"


def test_a_trade_right_after_the_minute_finds_it_closed() -> None:
    market = _market()
    offset_ms = 60_000 - START_MS % 60_000
    market.apply(_trade(offset_ms - 1, 1, "100.00"))
    step = market.apply(_trade(offset_ms, 2, "101.00"))
    assert next(name for name, _ in step.messages) == "btcusdt@kline_1m"
    assert _made(step)["btcusdt@kline_1m"]["k"]["x"] is True  # type: ignore[index]


def test_ticks_come_every_second_and_quicker_only_while_something_waits() -> None:
    market = _market()
    assert market.next_due_ns == (START_MS + 1_000) * NS
    market.apply(_trade(30, 1, "100.00"))
    assert market.next_due_ns == (START_MS + 100) * NS
    _advance(market, 1_000)
    assert market.next_due_ns == (START_MS + 2_000) * NS


def test_a_snapshot_fills_the_book_and_every_event_is_counted() -> None:
    market = _market()
    market.apply(DepthSnapshot(START_MS * NS, "BTCUSDT", 0, 7, (("99.00", "1"),), ()))
    market.apply(_quote(1, "99.00", "99.10", 8))
    market.apply(_trade(2, 1, "99.10"))
    market.apply(_depth(3, 9, 9, 8))
    assert market.book("BTCUSDT").last_price == Decimal("99.10")
    assert market.applied == {
        UpdateKind.SNAPSHOT: 1,
        UpdateKind.QUOTE: 1,
        UpdateKind.TRADE: 1,
        UpdateKind.DEPTH: 1,
    }


def test_history_is_remembered_and_not_announced() -> None:
    market = _market()
    minute_ms = START_MS // 60_000 * 60_000
    values = (Decimal(1), Decimal(2), Decimal(1), Decimal(2), Decimal(5))
    market.seed_history(
        ClosedBar(0, "BTCUSDT", "1m", minute_ms - back * 60_000, *values) for back in (2, 1)
    )
    assert len(market.symbols["BTCUSDT"].candles.closed("1m")) == 2
    assert not [name for name, _ in _advance(market, 1_000) if "btcusdt" in name]


def test_a_changed_status_is_in_the_list_of_the_venue_and_announced_once() -> None:
    listed = select_instruments(["BTCUSDT"])
    market = Market(listed, START_MS * NS)
    market.set_status("BTCUSDT", "SETTLING", delivery_date_ms=START_MS + 5_000)
    assert listed["BTCUSDT"].status == "SETTLING"
    assert market.symbols["BTCUSDT"].instrument is listed["BTCUSDT"]
    [step] = market.advance(START_MS * NS + 100 * NS)
    [(stream, payload)] = step.messages
    assert isinstance(payload, Mapping)
    assert stream == "!contractInfo"
    assert list(payload) == ["e", "E", "s", "ps", "ct", "dt", "ot", "cs", "st"]
    assert (payload["cs"], payload["dt"]) == ("SETTLING", START_MS + 5_000)
    assert market.advance(START_MS * NS + 200 * NS) == []


def test_a_status_nobody_knows_is_refused() -> None:
    market = _market()
    with pytest.raises(ValueError, match="ASLEEP"):
        market.set_status("BTCUSDT", "ASLEEP")
