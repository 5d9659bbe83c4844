"""A replica that began later than the leader goes on after what the leader stored."""

from decimal import Decimal

from libs.common.messages.market import CandleOrigin
from services.feed.bars import Bar, Print
from services.feed.core import FeedCore, Limits
from services.feed.events import KlineBody, KlineEvent, TradeEvent
from services.feed.kline_series import AskKlines, KlinesAnswer
from services.feed.trade_series import AskTrades, CandleReady, TradesAnswer

MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
START_NS = 1_700_000_040_000_000_000 // MINUTE * MINUTE
START_MS = START_NS // MS
SYMBOL = "BTCUSDT"
ONE = Decimal(1)


def bar(open_ns, length_ns, last_trade_id=-1):
    return Bar(
        open_ns, open_ns + length_ns, ONE, ONE, ONE, ONE, ONE, 1, CandleOrigin.STREAM,
        last_trade_id,
    )  # fmt: skip


def kline(minute):
    open_ms = START_MS + minute * 60_000
    body = KlineBody("1m", True, open_ms, ONE, ONE, ONE, ONE, ONE, 1)
    return KlineEvent(open_ms + 60_000, SYMBOL, body)


def trade(number, ms):
    return TradeEvent(START_MS + ms, START_MS + ms, SYMBOL, number, ONE, ONE, False)


def opens(effects):
    return [one.bar.open_ns for one in effects if isinstance(one, CandleReady)]


def test_minutes_begin_anew_after_the_stored_one_and_rest_tells_what_lies_between():
    core = FeedCore((SYMBOL,), ("1m",), Limits())
    core.on_connected([(SYMBOL, "1m")])
    assert opens(core.on_kline(kline(5))) == [START_NS + 5 * MINUTE]
    stored = bar(START_NS + 2 * MINUTE, MINUTE)
    assert list(core.begin_anew(SYMBOL, "1m", {"1m": stored}, is_live=True)) == []
    (asked,) = core.on_time([(SYMBOL, "1m")], START_NS + 6 * MINUTE + 2 * SECOND)
    assert asked == AskKlines(SYMBOL, "1m", START_NS + 3 * MINUTE, START_NS + 6 * MINUTE)
    listed = [bar(START_NS + n * MINUTE, MINUTE) for n in (3, 4, 5)]
    answer = KlinesAnswer(SYMBOL, "1m", asked.start_ns, asked.end_ns, listed, True)
    assert opens(core.on_answer(answer)) == [START_NS + n * MINUTE for n in (3, 4, 5)]


def test_an_answer_that_was_asked_for_before_changes_nothing():
    core = FeedCore((SYMBOL,), ("1m",), Limits())
    core.on_connected([(SYMBOL, "1m")])
    core.on_kline(kline(5))
    (asked,) = core.on_kline(kline(8))
    stored = bar(START_NS + 2 * MINUTE, MINUTE)
    core.begin_anew(SYMBOL, "1m", {"1m": stored}, is_live=True)
    answer = KlinesAnswer(SYMBOL, "1m", asked.start_ns, asked.end_ns, [], True)
    assert list(core.on_answer(answer)) == []
    found, filled = core.gaps()[SYMBOL]
    assert found == filled == 1


def test_seconds_begin_anew_with_the_trade_that_the_stored_one_ended_with():
    core = FeedCore((SYMBOL,), ("1s",), Limits())
    core.on_connected([(SYMBOL, "trade")])
    for number, ms in ((50, 4_500), (51, 5_500), (52, 6_500)):
        core.on_trade(trade(number, ms))
    stored = bar(START_NS + SECOND, SECOND, last_trade_id=40)
    assert core.siblings(SYMBOL, "1s") == ("1s",)
    (asked,) = core.begin_anew(SYMBOL, "1s", {"1s": stored}, is_live=True)
    assert asked == AskTrades(SYMBOL, 40)
    prints = [
        Print(number, START_NS + ms * MS, ONE, ONE)
        for number, ms in ((40, 1_500), (45, 3_500), (50, 4_500), (51, 5_500), (52, 6_500))
    ]
    effects = [
        *core.on_answer(TradesAnswer(SYMBOL, 40, prints, 40, 52)),
        *core.on_time([(SYMBOL, "trade")], START_NS + 7_500 * MS),
    ]
    assert opens(effects) == [START_NS + n * SECOND for n in range(2, 7)]
