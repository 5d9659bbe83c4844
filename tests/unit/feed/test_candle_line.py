"""What waits to be stored: exactly what follows the last stored candle, in order."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages.market import CandleOrigin
from services.feed.bars import Bar
from services.feed.candle_line import CandleLine
from services.feed.trade_series import CandleReady

ONE = Decimal(1)


def bar(n):
    return Bar(n * 10, n * 10 + 10, ONE, ONE, ONE, ONE, ONE, 1, CandleOrigin.STREAM)


def ready(n):
    return CandleReady("BTCUSDT", "1m", bar(n), f"c{n}")


def line_of(*numbers):
    line = CandleLine("BTCUSDT", "1m")
    for n in numbers:
        line.keep(ready(n))
    return line


def kept(line):
    return [one.bar.open_ns // 10 for one in line]


def test_what_another_stored_is_dropped_and_what_follows_is_kept():
    line = line_of(1, 2, 3, 4)
    line.learn(77, bar(2))
    assert (kept(line), line.sequence) == ([3, 4], 77)
    line.keep(ready(2))
    assert kept(line) == [3, 4]


def test_an_older_answer_takes_nothing_back():
    line = line_of(1, 2, 3)
    line.learn(9, bar(3))
    line.learn(7, bar(1))
    line.keep(ready(3))
    assert kept(line) == []


def test_a_candle_after_one_that_is_lost_is_kept():
    line = line_of(1, 5)
    assert kept(line) == [1, 5]


def test_a_line_whose_core_began_later_than_what_is_stored_must_join():
    line = line_of(5, 6)
    line.learn(3, bar(2))
    assert line.must_join(70)
    line.begin_anew()
    assert kept(line) == []
    assert not line.must_join(70)


def test_a_line_that_follows_what_is_stored_joins_by_itself():
    line = line_of(1, 2, 3)
    line.learn(3, bar(2))
    assert not line.must_join(40)
    assert line.is_joined


def test_a_line_that_released_nothing_joins_what_is_stored():
    line = line_of()
    line.learn(3, bar(2))
    assert line.must_join(None)


@given(st.lists(st.tuples(st.sampled_from(("own", "other", "look")), st.integers(0, 9))))
def test_two_writers_at_one_subject_store_each_candle_once_and_in_order(steps):
    stored = []
    lines = {"own": line_of(), "other": line_of()}
    released = dict.fromkeys(lines, 0)
    for who, n in steps:
        name = "own" if who == "look" else who
        line = lines[name]
        if n < 4:
            line.keep(ready(released[name]))
            released[name] += 1
        elif who == "look":
            line.learn(len(stored), stored[-1] if stored else None)
        elif line.head is not None and line.sequence == len(stored):
            stored.append(line.head.bar)
            line.on_stored(len(stored))
    assert [one.open_ns // 10 for one in stored] == list(range(len(stored)))
