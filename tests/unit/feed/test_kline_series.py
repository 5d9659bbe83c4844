"""Candles from kline streams: released in order, each once, holes filled by what REST says."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages.market import CandleOrigin
from services.feed.bars import Bar
from services.feed.config import FeedConfig
from services.feed.event_times import EventTimes
from services.feed.events import KlineBody, KlineEvent
from services.feed.kline_series import AskKlines, KlinesAnswer, KlineSeries
from services.feed.trade_series import CandleReady

MINUTE = 60_000_000_000
START_NS = 1_700_000_040_000_000_000 // MINUTE * MINUTE


def open_of(number):
    return START_NS + number * MINUTE


def kline(number, close=None, is_closed=True):
    price = Decimal(close if close is not None else 100 + number)
    body = KlineBody(
        "1m", is_closed, open_of(number) // 1_000_000, price, price, price, price, Decimal(1), 1
    )
    return KlineEvent(open_of(number + 1) // 1_000_000, "BTCUSDT", body)


def rest_bar(number):
    price = Decimal(100 + number)
    return Bar(
        open_of(number), open_of(number + 1), price, price, price, price, Decimal(1), 1,
        CandleOrigin.REST,
    )  # fmt: skip


def new_series(warmup_bars=0):
    series = KlineSeries("BTCUSDT", "1m", MINUTE, overdue_ns=2_000_000_000, warmup_bars=warmup_bars)
    series.on_connected()
    return series


def answer(ask, numbers, reaches_back=True):
    listed = [rest_bar(n) for n in numbers if ask.start_ns <= open_of(n) < ask.end_ns]
    return KlinesAnswer("BTCUSDT", "1m", ask.start_ns, ask.end_ns, listed, reaches_back)


def bars(effects):
    return [effect.bar for effect in effects if isinstance(effect, CandleReady)]


def numbers(effects):
    return [(bar.open_ns - START_NS) // MINUTE for bar in bars(effects)]


@settings(max_examples=200, deadline=None)
@given(
    heard=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    silent=st.sets(st.integers(0, 30), max_size=10),
)
def test_any_stream_of_bars_becomes_a_gap_free_one_without_repeats(heard, silent):
    series = new_series()
    effects = []
    for number in heard:
        if number in silent:
            continue
        found = series.on_kline(kline(number))
        effects += found
        for ask in [effect for effect in found if isinstance(effect, AskKlines)]:
            traded = [n for n in range(31) if n not in silent]
            effects += series.on_answer(answer(ask, traded))
    found = numbers(effects)
    if found:
        assert found == list(range(found[0], found[0] + len(found)))
        first = found[0]
        assert found[-1] == max(n for n in heard if n not in silent and n >= first)
    for number, bar in zip(found, bars(effects), strict=True):
        assert (bar.volume == 0) == (number in silent)


def test_an_open_bar_publishes_nothing():
    series = new_series()
    assert series.on_kline(kline(0, is_closed=False)) == []


def test_a_revised_bar_is_never_published_twice():
    series = new_series()
    assert numbers(series.on_kline(kline(0))) == [0]
    (revised,) = series.on_kline(kline(0, close=5))
    assert (revised.published.close, revised.told.close) == (100, 5)
    assert (series.revised, series.repeats) == (1, 0)


def test_a_bar_told_again_as_it_was_is_a_repeat_and_no_revision():
    series = new_series()
    series.on_kline(kline(0))
    assert series.on_kline(kline(0)) == []
    assert (series.revised, series.repeats) == (0, 1)


def test_a_revision_of_the_last_bar_of_an_earlier_life_is_known_as_one():
    series = new_series()
    series.resume(rest_bar(4))
    assert len(series.on_kline(kline(4, close=9))) == 1
    assert len(series.on_late_kline(kline(4, close=9))) == 1
    assert series.on_late_kline(kline(5)) == []
    assert series.revised == 2


def test_every_hole_is_found_once_and_filled_once():
    series = new_series()
    series.on_kline(kline(0))
    (ask,) = series.on_kline(kline(3))
    series.on_kline(kline(4))
    assert (series.gaps.found, series.gaps.filled) == (1, 0)
    series.on_answer(answer(ask, [1, 2]))
    assert (series.gaps.found, series.gaps.filled, series.gaps.lost) == (1, 1, 0)
    (ask,) = series.on_time(open_of(6) + 2_000_000_000)
    series.on_answer(answer(ask, [5]))
    assert (series.gaps.found, series.gaps.filled, series.gaps.open) == (2, 2, 0)


def test_a_hole_that_stays_too_long_or_is_lost_is_grave_until_as_much_is_whole():
    limit_ns = 5 * MINUTE
    series = new_series()
    series.on_kline(kline(0))
    (ask,) = series.on_kline(kline(9))
    assert series.is_grave(open_of(9), limit_ns)
    assert not series.is_grave(open_of(6), limit_ns)
    series.on_answer(answer(ask, range(1, 9)))
    assert not series.is_grave(open_of(10), limit_ns)
    (ask,) = series.on_kline(kline(20))
    series.on_answer(answer(ask, [], reaches_back=False))
    for number in range(21, 25):
        assert series.is_grave(open_of(number), limit_ns)
        series.on_kline(kline(number))
    assert not series.is_grave(open_of(25), limit_ns)


def test_while_the_stream_is_down_rest_tells_when_a_bar_is_overdue():
    series = new_series()
    series.on_kline(kline(0))
    series.on_disconnected()
    assert series.on_time(open_of(5)) == []
    (ask,) = series.on_time(open_of(2) + 2_000_000_000, is_from_rest=True)
    assert numbers(series.on_answer(answer(ask, [1]))) == [1]


def test_a_bar_that_is_overdue_is_asked_for():
    series = new_series()
    series.on_kline(kline(0))
    series.on_time(open_of(1))
    assert series.on_time(open_of(2) + 1_000_000_000) == []
    (ask,) = series.on_time(open_of(2) + 2_000_000_000)
    assert (ask.start_ns, ask.end_ns) == (open_of(1), open_of(2))
    assert numbers(series.on_answer(answer(ask, [1]))) == [1]


def test_after_a_reconnect_missed_bars_are_asked_for_at_once_but_for_one_that_just_ended():
    series = new_series()
    series.on_kline(kline(0))
    series.on_disconnected()
    assert series.on_time(open_of(9)) == []
    series.on_connected()
    (ask,) = series.on_time(open_of(4) + 1)
    assert (ask.start_ns, ask.end_ns) == (open_of(1), open_of(3))
    assert numbers(series.on_answer(answer(ask, range(1, 3)))) == [1, 2]
    assert series.on_time(open_of(4) + 1_999_999_999) == []
    (ask,) = series.on_time(open_of(4) + 2_000_000_000)
    assert (ask.start_ns, ask.end_ns) == (open_of(3), open_of(4))
    assert numbers(series.on_answer(answer(ask, [3]))) == [3]


@pytest.mark.parametrize("is_restart", [True, False])
@pytest.mark.parametrize("skew_ms", [-400, 0, 400, 4_900])
def test_no_bar_that_rest_tells_unfinished_is_published_whenever_we_connect(skew_ms, is_restart):
    """Our clock is off, and REST tells a bar whole only a while after it has ended."""
    config = FeedConfig()
    lag_ns = 500_000_000
    for offset_ms in range(-3_000, 3_001, 50):
        times = EventTimes(config.ahead_ms_max, config.behind_ms_max)
        overdue_ns = config.kline_overdue_ms * 1_000_000
        series = KlineSeries(
            "BTCUSDT", "1m", MINUTE, overdue_ns=overdue_ns, warmup_bars=0 if is_restart else 3
        )
        if is_restart:
            series.resume(rest_bar(7))
        series.on_connected()
        published = []
        for tenth in range(100):
            venue_ns = open_of(10) + offset_ms * 1_000_000 + tenth * 100_000_000
            told_ms = venue_ns // 1_000_000_000 * 1_000  # marks come once a second
            own_ns = venue_ns + skew_ms * 1_000_000
            times.judge(told_ms, own_ns // 1_000_000)
            for ask in series.on_time(times.candle_ns(own_ns, config.candle_lead_ms)):
                whole = [n for n in range(20) if open_of(n + 1) + lag_ns <= venue_ns]
                half = msgspec.structs.replace(rest_bar(len(whole)), volume=Decimal("0.5"))
                told = answer(ask, whole)
                if ask.start_ns <= half.open_ns < ask.end_ns:
                    told = msgspec.structs.replace(told, bars=[*told.bars, half])
                published += bars(series.on_answer(told))
        assert {bar.volume for bar in published} == {1}, offset_ms
        assert published[-1].close_ns >= open_of(10)


def test_bars_that_close_during_a_question_wait_for_its_answer():
    series = new_series()
    series.on_kline(kline(0))
    (ask,) = series.on_kline(kline(3))
    assert series.on_kline(kline(4)) == []
    assert numbers(series.on_answer(answer(ask, [1, 2]))) == [1, 2, 3, 4]


def test_a_gap_that_rest_cannot_reach_is_given_up_and_counted():
    series = new_series()
    series.on_kline(kline(0))
    (ask,) = series.on_kline(kline(9))
    effects = series.on_answer(answer(ask, [7, 8], reaches_back=False))
    assert numbers(effects) == [7, 8, 9]
    assert series.gaps.lost == 1


def test_warm_up_fetches_the_bars_before_the_first():
    series = new_series(warmup_bars=3)
    (ask,) = series.on_time(open_of(10) + 2_000_000_000)
    assert (ask.start_ns, ask.end_ns) == (open_of(7), open_of(10))
    assert numbers(series.on_answer(answer(ask, [8, 9]))) == [8, 9]
    assert numbers(series.on_kline(kline(10))) == [10]


def test_warm_up_at_a_venue_without_history_starts_with_the_first_live_bar():
    series = new_series(warmup_bars=3)
    (ask,) = series.on_time(open_of(10) + 2_000_000_000)
    assert series.on_answer(answer(ask, [], reaches_back=False)) == []
    assert numbers(series.on_kline(kline(10))) == [10]


def test_the_end_of_the_source_asks_for_nothing():
    series = new_series()
    series.on_kline(kline(0))
    assert series.on_time(open_of(50), source_ended=True) == []


def test_a_restart_goes_on_after_the_last_published_bar():
    series = KlineSeries("BTCUSDT", "1m", MINUTE, overdue_ns=0, warmup_bars=0)
    series.resume(rest_bar(4))
    series.on_connected()
    assert series.on_kline(kline(4)) == []
    assert numbers(series.on_kline(kline(5))) == [5]
