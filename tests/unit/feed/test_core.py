"""What the core keeps, counts and says of its own age."""

import random
from decimal import Decimal

import pytest

from services.feed.backoff import AttemptBudget, Backoff
from services.feed.core import FeedCore, Limits
from services.feed.events import (
    ClockEvent,
    KlineEvent,
    KlineUpdate,
    MarkEvent,
    QuoteEvent,
    RestQuote,
    TradeEvent,
    UnreadableError,
    read_frame,
)
from services.feed.intervals import interval_ns
from services.feed.market_time import MarketTime
from services.feed.plan import plan_sockets
from services.feed.weight import WeightGate

MS = 1_000_000
QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":7,"E":1000,"T":999,"s":"BTCUSDT",'
    b'"ps":"BTCUSDT","b":"1.5","B":"2","a":"1.6","A":"3","st":1}}'
)
KLINE_ABOVE_ITS_HIGH = (
    b'{"data":{"e":"kline","E":1,"s":"B","k":{"t":1,"i":"1m","o":"1","h":"0.5","l":"0.4",'
    b'"c":"1","v":"1","n":1,"x":true}}}'
)


def new_core():
    return FeedCore(("BTCUSDT", "ETHUSDT"), ("1s", "1m"), Limits())


def quote(number, ms, symbol="BTCUSDT"):
    return QuoteEvent(ms, symbol, number, "1", "1", "2", "1")


def test_the_newest_quote_wins_and_every_one_is_accounted_for():
    core = new_core()
    for number in range(5):
        core.keep(quote(number, 1_000 + number))
    core.keep(quote(9, 1_000, "ETHUSDT"))
    taken = core.take_kept()
    assert sorted((event.symbol, event.update_id) for event in taken) == [
        ("BTCUSDT", 4),
        ("ETHUSDT", 9),
    ]
    assert core.received["quote"] == len(taken) + core.conflated["quote"]
    assert not core.has_kept


def say(core, event):
    core.keep(event)
    for one in core.take_kept():
        core.on_said(one)


def test_what_is_heard_and_not_said_makes_no_data_younger():
    core = new_core()
    core.keep(MarkEvent(9_500, "BTCUSDT", "1", "1"))
    core.keep(quote(1, 9_000))
    (told, _) = core.health(10_000 * MS)
    assert (told.is_stale, told.quote_age_ms, told.mark_age_ms) == (True, None, None)


def test_a_symbol_is_stale_until_quote_and_mark_are_fresh():
    core = new_core()
    assert all(one.is_stale for one in core.health(10_000 * MS))
    say(core, quote(1, 9_000))
    say(core, MarkEvent(9_500, "BTCUSDT", "1", "1"))
    fresh, missing = core.health(10_000 * MS)
    assert (fresh.is_stale, fresh.quote_age_ms, fresh.mark_age_ms) == (False, 1_000, 500)
    assert missing.is_stale
    assert core.health(19_001 * MS)[0].is_stale
    assert core.health(10_000 * MS, down={"BTCUSDT"})[0].is_stale
    assert not core.health(10_000 * MS, down={"ETHUSDT"})[0].is_stale
    assert core.health(None)[0].is_stale


def test_a_symbol_whose_quotes_come_from_rest_is_stale_until_its_stream_speaks():
    core = new_core()
    say(core, MarkEvent(9_500, "BTCUSDT", "1", "1"))
    say(core, RestQuote(9_000, "BTCUSDT", 0, "1", "1", "2", "1"))
    (told, _) = core.health(10_000 * MS)
    assert (told.is_stale, told.quote_age_ms) == (True, 1_000)
    say(core, quote(2, 9_001))
    say(core, RestQuote(9_001, "BTCUSDT", 0, "1", "1", "2", "1"))
    assert not core.health(10_000 * MS)[0].is_stale


def test_candles_of_another_world_are_noticed():
    core = new_core()
    core.trades["BTCUSDT"].on_connected()
    core.trades["BTCUSDT"].on_time(0)
    effects = core.on_trade(TradeEvent(1_500, 1_500, "BTCUSDT", 1, Decimal(1), Decimal(1), True))
    effects = core.on_time([("BTCUSDT", "trade")], 3_000 * MS)
    core.on_stored(effects[0])
    assert core.series_ahead(2_000 * MS) == []
    assert core.series_ahead(900 * MS) == ["BTCUSDT 1s"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[1,2]",
        b'{"stream":"x","data":{"e":"surprise"}}',
        b'{"stream":"x","data":{"e":"bookTicker","s":"BTCUSDT"}}',
        b'{"data":{"e":"trade","E":1,"T":1,"s":"B","t":1,"p":"NaN","q":"1","m":true}}',
        b'{"data":{"e":"trade","E":1,"T":1,"s":"B","t":1,"p":"-1","q":"1","m":true}}',
        b'{"data":{"e":"trade","E":1,"T":1,"s":"B","t":1,"p":"1","q":"9E+999999","m":true}}',
        b'{"data":{"e":"trade","E":1,"T":1,"s":"B","t":1,"p":"1E-999999","q":"1","m":true}}',
        KLINE_ABOVE_ITS_HIGH.replace(b'"h":"0.5"', b'"h":"9E+999999"'),
        KLINE_ABOVE_ITS_HIGH.replace(b'"h":"0.5"', b'"h":"2"').replace(b'"v":"1"', b'"v":"1E+19"'),
        KLINE_ABOVE_ITS_HIGH.replace(b'"h":"0.5"', b'"h":"2"').replace(b'"n":1', b'"n":-1'),
        b'{"data":{"e":"trade","E":"1","T":1,"s":"B","t":1,"p":"1","q":"1","m":true}}',
        KLINE_ABOVE_ITS_HIGH,
        b'{"data":{"e":"simClock","n":1,"v":"0","l":null,"z":false,"t":{}}}',
        b'{"stream":' * 2_000,
    ],
)
def test_what_makes_no_sense_is_unreadable_and_raises_nothing_else(payload):
    with pytest.raises(UnreadableError):
        read_frame(payload)


def test_a_frame_of_the_venue_is_read_and_unknown_fields_are_ignored():
    event = read_frame(QUOTE).data
    assert isinstance(event, QuoteEvent)
    assert (event.update_id, event.bid_price, event.event_ms) == (7, "1.5", 1_000)


def frame(now_ns, limit_ns=None, ended=False):
    return ClockEvent(now_ns, Decimal(1), limit_ns, ended, {})


def test_market_time_is_what_all_sockets_prove():
    clock = MarketTime(("public-0", "market-0"))
    clock.hear("public-0", frame(10))
    assert clock.proven() is None
    clock.hear("market-0", frame(7))
    assert clock.proven().now_ns == 7
    clock.hear("market-0", frame(12))
    assert clock.proven().now_ns == 10


def test_a_socket_that_went_away_must_speak_before_time_goes_on():
    clock = MarketTime(("public-0", "market-0"))
    clock.hear("public-0", frame(10))
    clock.hear("market-0", frame(10))
    assert clock.proven().now_ns == 10
    clock.forget("public-0")
    clock.hear("market-0", frame(20))
    assert clock.proven() is None
    clock.hear("public-0", frame(5))
    assert clock.proven() is None


def test_the_source_has_ended_only_when_every_socket_says_so():
    clock = MarketTime(("a", "b"))
    clock.hear("a", frame(10, ended=True))
    clock.hear("b", frame(10))
    assert not clock.proven().source_ended
    clock.hear("b", frame(10, ended=True))
    assert clock.proven().source_ended


def test_each_stream_goes_through_its_own_door():
    plans = plan_sockets(("BTCUSDT",), ("1s", "1m"), streams_per_socket_max=1_024, with_clock=True)
    assert {plan.route: plan.streams for plan in plans} == {
        "public": ("btcusdt@bookTicker", "btcusdt@trade", "!clock@sim"),
        "market": ("btcusdt@markPrice@1s", "btcusdt@kline_1m", "!clock@sim", "!contractInfo"),
    }
    assert {plan.route: plan.candle_streams for plan in plans} == {
        "public": (("BTCUSDT", "trade"),),
        "market": (("BTCUSDT", "1m"),),
    }


def test_no_socket_carries_more_streams_than_the_venue_allows():
    symbols = tuple(f"S{number}USDT" for number in range(300))
    plans = plan_sockets(symbols, ("1m",), streams_per_socket_max=100, with_clock=True)
    assert max(len(plan.streams) for plan in plans) == 100
    told = [name for plan in plans for name in plan.streams if not name.startswith("!")]
    assert len(told) == len(set(told)) == 300 * 4


def test_backoff_doubles_up_to_its_cap_with_full_jitter():
    backoff = Backoff(200, 60_000, random.Random(1))
    waits = [backoff.next_ms() for _ in range(20)]
    assert all(wait <= min(60_000, 200 * 2**n) for n, wait in enumerate(waits))
    assert max(waits) > 20_000
    backoff.reset()
    assert backoff.next_ms() <= 200


def test_no_more_attempts_than_the_budget_in_any_window():
    budget = AttemptBudget(3, 1_000)
    assert [budget.wait_ns(0) for _ in range(3)] == [0, 0, 0]
    assert budget.wait_ns(400 * MS) == 600 * MS
    assert budget.wait_ns(1_000 * MS) == 0


@pytest.mark.parametrize("interval", ["1x", "", "0m", "7m", "1w", "-1m"])
def test_an_interval_that_does_not_divide_a_day_is_refused(interval):
    with pytest.raises(ValueError, match="interval"):
        interval_ns(interval)


def test_backfill_leaves_the_rest_of_the_minutes_weight_to_others():
    gate = WeightGate(1_000)
    assert gate.allows(200, 10)
    gate.hear(850, 20)
    assert not gate.allows(200, 30)
    assert gate.allows(150, 40)
    assert not gate.allows(1, 50)
    assert gate.allows(200, 60_000)


def test_the_publisher_is_woken_by_the_first_quote_and_the_first_mark_that_wait():
    woken = []
    core = FeedCore(("BTCUSDT", "ETHUSDT"), ("1m",), Limits(), on_kept=lambda: woken.append(1))
    core.keep(quote(1, 1_000))
    core.keep(quote(2, 1_001))
    core.keep(quote(2, 1_001, "ETHUSDT"))
    assert len(woken) == 1
    core.keep(MarkEvent(1_000, "BTCUSDT", "1", "1"))
    core.keep(MarkEvent(1_001, "BTCUSDT", "1", "1"))
    assert len(woken) == 2
    kept = core.take_kept()
    core.keep(quote(2, 1_001))  # a repeat is nothing to say
    assert len(woken) == 2
    core.put_back(kept)
    assert len(woken) == 4
    assert sorted(event.event_ms for event in core.take_kept()) == [1_001, 1_001, 1_001]
    core.keep(quote(3, 1_002))
    assert len(woken) == 5


def test_what_is_put_back_gives_way_to_a_newer_one_that_came_since():
    core = new_core()
    core.keep(quote(1, 1_000))
    old = core.take_kept()
    core.keep(quote(2, 1_001))
    core.put_back(old)
    assert [event.update_id for event in core.take_kept()] == [2]


def test_weight_asked_for_stays_booked_though_an_answer_came_before_it_was_counted():
    gate = WeightGate(1_000)
    assert all(gate.allows(100, 10) for _ in range(10))
    gate.hear(100, 20)  # nine requests are still on their way
    assert not gate.allows(100, 30)
    assert gate.allows(100, 60_000)


OPEN_KLINE = (
    b'{"stream":"b@kline_1m","data":{"e":"kline","E":1,"s":"B","k":{"t":0,"i":"1m","o":"1",'
    b'"h":"2","l":"0.4","c":"1","v":"1","n":1,"x":false}}}'
)


def test_of_an_open_bar_only_is_read_that_it_was_told_and_of_a_closed_one_every_figure():
    update = read_frame(OPEN_KLINE.replace(b'"o":"1"', b'"o":"NaN"')).data
    assert type(update) is KlineUpdate
    event = read_frame(OPEN_KLINE.replace(b"false", b"true")).data
    assert isinstance(event, KlineEvent)
    assert (event.symbol, event.bar.high, event.bar.trade_count) == ("B", 2, 1)
    for closed in (b'"o":"NaN"', b'"o":"one"', b'"q":"1"'):
        with pytest.raises(UnreadableError):
            read_frame(OPEN_KLINE.replace(b"false", b"true").replace(b'"o":"1"', closed))
