"""Which event times are believed, and what the newest of two words is."""

from decimal import Decimal

import pytest

from services.feed.core import FeedCore, Limits
from services.feed.event_times import AHEAD, BEHIND, EventTimes, SocketTime
from services.feed.events import (
    ClockEvent,
    KlineBody,
    KlineEvent,
    MarkEvent,
    QuoteEvent,
    RestMark,
    RestQuote,
)
from services.feed.inbox import Inbox, Tick
from services.feed.rest_share import RestShare

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000
MS = 1_000_000


def new_times():
    return EventTimes(10_000, 60_000)


def quote(number, ms):
    return QuoteEvent(ms, "BTCUSDT", number, "1", "1", "2", "1")


def rest_quote(ms):
    return RestQuote(ms, "BTCUSDT", 0, "3", "1", "4", "1")


def taken(core):
    return [(event.event_ms, isinstance(event, RestQuote)) for event in core.take_kept()]


@pytest.mark.parametrize(
    ("off_ms", "verdict"),
    [
        (0, ""),
        (10_000, ""),
        (10_001, AHEAD),
        (DAY_MS, AHEAD),
        (-60_000, ""),
        (-60_001, BEHIND),
        (-DAY_MS, BEHIND),
    ],
)
def test_a_time_far_from_market_time_is_not_believed(off_ms, verdict):
    times = new_times()
    assert times.judge(NOW_MS + off_ms, NOW_MS) == verdict
    assert times.offset_ms == off_ms
    assert times.newest_ms == (0 if verdict else NOW_MS + off_ms)
    assert times.refused.total() == bool(verdict)


def test_a_venue_whose_clock_is_off_is_believed_again_with_the_first_event_that_fits():
    times = new_times()
    for _ in range(5):
        assert times.judge(NOW_MS + DAY_MS, NOW_MS) == AHEAD
    assert times.judge(NOW_MS, NOW_MS) == ""
    assert (times.newest_ms, times.refused[AHEAD]) == (NOW_MS, 5)


def test_candles_go_no_further_than_our_clock_nor_far_past_what_the_venue_told():
    times = new_times()
    assert times.candle_ns(NOW_MS * MS, 2_000) == 0
    times.judge(NOW_MS + 5_000, NOW_MS)
    assert times.candle_ns(NOW_MS * MS, 2_000) == NOW_MS * MS
    assert times.candle_ns((NOW_MS + DAY_MS) * MS, 2_000) == (NOW_MS + 7_000) * MS


def test_an_old_time_is_honest_where_rest_tells_it():
    times = new_times()
    assert times.judge_rest(NOW_MS - DAY_MS, NOW_MS) == ""
    assert times.judge_rest(NOW_MS + DAY_MS, NOW_MS) == AHEAD
    assert times.judge_rest(NOW_MS + DAY_MS, None) == ""


def test_a_fast_paper_venue_may_be_ahead_of_its_last_clock_frame():
    socket = SocketTime()
    assert socket.now_ms is None
    socket.hear(ClockEvent(NOW_MS * MS, Decimal(240), None, False, {}))
    assert (socket.now_ms, socket.speed) == (NOW_MS, 240)
    times = new_times()
    assert times.judge(NOW_MS + 60_000, NOW_MS, speed=socket.speed) == ""
    assert times.judge(NOW_MS + DAY_MS, NOW_MS, speed=socket.speed) == AHEAD


def test_a_quote_of_rest_replaces_older_ones_of_the_stream_and_none_that_is_newer():
    core = FeedCore(("BTCUSDT",), ("1m",), Limits())
    core.keep(quote(7, 1_000))
    core.keep(rest_quote(999))
    core.keep(rest_quote(1_000))
    assert taken(core) == [(1_000, False)]
    core.keep(rest_quote(1_500))
    core.keep(quote(8, 1_400))
    assert taken(core) == [(1_500, True)]
    core.keep(quote(9, 1_500))
    assert taken(core) == [(1_500, False)]
    assert core.refused["quote_repeated"] == 3


def test_after_a_reconnect_ids_may_start_anew_but_time_goes_on():
    core = FeedCore(("BTCUSDT",), ("1m",), Limits())
    core.keep(quote(700, 1_000))
    core.keep(quote(699, 1_000))
    core.on_connected([])
    core.keep(quote(3, 900))
    assert taken(core) == [(1_000, False)]
    core.keep(quote(2, 1_000))
    assert [event.update_id for event in core.take_kept()] == [2]
    core.keep(quote(1, 1_000))
    assert not core.has_kept
    core.keep(quote(1, 1_001))
    assert [event.update_id for event in core.take_kept()] == [1]


def test_a_mark_of_rest_and_one_of_the_stream_are_compared_by_their_times():
    core = FeedCore(("BTCUSDT",), ("1m",), Limits())
    core.keep(RestMark(2_000, "BTCUSDT", "1", "1"))
    core.keep(MarkEvent(1_000, "BTCUSDT", "1", "1"))
    core.keep(RestMark(1_900, "BTCUSDT", "1", "1"))
    (kept,) = core.take_kept()
    assert kept.event_ms == 2_000


def test_a_bar_that_says_it_is_closed_before_its_end_is_refused():
    core = FeedCore(("BTCUSDT",), ("1m",), Limits())
    one = Decimal(1)
    body = KlineBody("1m", True, NOW_MS // 60_000 * 60_000 + DAY_MS, one, one, one, one, one, 1)
    assert core.on_kline(KlineEvent(NOW_MS, "BTCUSDT", body)) == ()
    assert core.refused["kline_ahead"] == 1


def test_the_share_of_rest_is_that_of_the_window_alone():
    share = RestShare(60_000)
    second = 1_000 * MS
    assert share.read({}, {}, 0) == 0
    assert share.read({"quote": 10, "trade": 90}, {}, second) == 0
    assert share.read({"quote": 20, "trade": 90}, {"quote": 5}, 2 * second) == 0.25
    for number in range(3, 70):
        found = share.read({"quote": 20 + number}, {"quote": 5}, number * second)
    assert found == 0


def test_of_words_that_replace_each_other_only_the_newest_waits():
    inbox = Inbox(10)
    for number in range(1_000):
        inbox.put_latest("tick", Tick(number))
    assert len(inbox) == 1
    assert inbox.take() == Tick(999)
    assert inbox.take() is None
    inbox.put_latest("tick", Tick(1))
    assert inbox.take() == Tick(1)


def test_before_the_first_look_no_time_is_sure():
    times = new_times()
    assert not times.is_sure(NOW_MS)
    assert not times.is_sure(0)


@pytest.mark.parametrize(
    ("offset_ms", "is_sure"),
    [(0, True), (10_000, True), (10_001, False), (-30_000, True), (-30_001, False)],
)
def test_a_time_is_sure_as_far_ahead_as_may_be_and_half_as_far_behind(offset_ms, is_sure):
    times = new_times()
    times.look(NOW_MS)
    assert times.is_sure(NOW_MS + offset_ms) is is_sure
    assert (times.newest_ms == NOW_MS + offset_ms) is is_sure


def test_after_our_clock_was_set_back_no_time_is_sure_that_is_far_ahead_of_it_now():
    times = new_times()
    times.look(NOW_MS + DAY_MS)
    assert times.is_sure(NOW_MS + DAY_MS)
    assert times.sure_until_ms == NOW_MS + DAY_MS
    times.look(NOW_MS)
    assert times.sure_until_ms == NOW_MS + 10_000
    assert not times.is_sure(NOW_MS + DAY_MS)


def test_what_is_sure_would_have_been_believed_however_late_within_half_of_what_may_be():
    times = new_times()
    times.look(NOW_MS)
    for late_ms in (0, 100, 30_000):
        for offset_ms in (-30_000, 0, 10_000):
            assert times.is_sure(NOW_MS + offset_ms)
            assert times.judge(NOW_MS + offset_ms, NOW_MS + late_ms) == ""


def test_a_look_says_how_far_the_newest_sure_time_is_off_and_else_keeps_what_was_judged():
    times = new_times()
    times.look(NOW_MS)
    times.is_sure(NOW_MS + 40)
    times.look(NOW_MS + 100)
    assert (times.newest_ms, times.offset_ms) == (NOW_MS + 40, -60)
    times.judge(NOW_MS + 86_400_000, NOW_MS)
    times.look(NOW_MS + 200)
    assert times.offset_ms == 86_400_000
