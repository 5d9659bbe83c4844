"""Candles from trades: equal to a plain recomputation, gap-free, none twice, whatever happens."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feed.events import TradeEvent
from services.feed.trade_series import AskTrades, CandleReady, Print, TradesAnswer, TradeSeries

S = 1_000_000_000
START_MS = 1_700_000_000_000
GRACE_NS = 250_000_000


def trade(number, ms, price="100", quantity="1", execution="MARKET"):
    return TradeEvent(
        START_MS + ms, START_MS + ms, "BTCUSDT", number, Decimal(price), Decimal(quantity), False,
        execution,
    )  # fmt: skip


def printed(event):
    return Print(event.trade_id, event.trade_ms * 1_000_000, event.price, event.quantity)


def at(ms):
    return (START_MS + ms) * 1_000_000


def new_series(intervals=None):
    series = TradeSeries("BTCUSDT", intervals or {"1s": S}, GRACE_NS)
    assert series.on_connected() == []
    return series


def bars(effects, interval="1s"):
    return [e.bar for e in effects if isinstance(e, CandleReady) and e.interval == interval]


def answer(asked_id, events):
    ids = [event.trade_id for event in events]
    prints = [printed(event) for event in events if event.is_market_print]
    return TradesAnswer("BTCUSDT", asked_id, prints, min(ids, default=None), max(ids, default=None))


def recompute(events, first_open_ns, end_ns):
    """The candles between two times, computed in the most simple-minded way."""
    expected, previous = [], None
    for open_ns in range(first_open_ns, end_ns, S):
        inside = sorted(
            (e.trade_id, e.price, e.quantity)
            for e in {e.trade_id: e for e in events}.values()
            if open_ns <= e.trade_ms * 1_000_000 < open_ns + S and e.is_market_print
        )
        if inside:
            prices = [price for _, price, _ in inside]
            volume = sum(quantity for _, _, quantity in inside)
            expected.append(
                (open_ns, prices[0], max(prices), min(prices), prices[-1], volume, len(inside))
            )
            previous = prices[-1]
        elif previous is not None:
            expected.append((open_ns, previous, previous, previous, previous, 0, 0))
    return expected


def told(found):
    return [(b.open_ns, b.open, b.high, b.low, b.close, b.volume, b.trade_count) for b in found]


steps = st.lists(
    st.tuples(st.integers(0, 3_500), st.integers(1, 50), st.integers(1, 5)), min_size=1, max_size=60
)


def make_trades(made):
    events, ms = [], 0
    for number, (wait_ms, price, quantity) in enumerate(made, start=1):
        ms += wait_ms
        events.append(trade(number, ms, str(price), str(quantity)))
    return events


def test_the_very_first_trade_may_come_after_the_first_of_the_next_bar():
    first, second = make_trades([(901, 1, 1), (99, 1, 1)])
    series = new_series()
    series.on_time(at(-1_500))
    effects = [*series.on_trade(second), *series.on_trade(first), *series.on_time(at(3_000))]
    assert told(bars(effects)) == recompute([first, second], at(0), at(2_000))


@settings(max_examples=150, deadline=None)
@given(made=steps, shuffle=st.randoms(use_true_random=False), repeats=st.integers(0, 3))
def test_candles_equal_a_plain_recomputation_of_the_trades(made, shuffle, repeats):
    events = make_trades(made)
    heard = []
    for event in events:  # neighbours within the grace swap places, some come twice
        heard.append(event)
        if (
            len(heard) > 1
            and heard[-1].trade_ms - heard[-2].trade_ms < 100
            and shuffle.random() < 0.5
        ):
            heard[-1], heard[-2] = heard[-2], heard[-1]
        heard += [event] * shuffle.randint(0, repeats)
    series = new_series()
    series.on_time(at(-1_500))
    effects, asked = [], None
    for event in heard:
        effects += series.on_trade(event)
        asked = [e for e in effects if isinstance(e, AskTrades)]
        if asked and series.is_healing:  # a swap looks like a gap: REST knows better
            known = [e for e in events if asked[-1].from_id <= e.trade_id <= event.trade_id + 1]
            effects += series.on_answer(answer(asked[-1].from_id, known))
    end = events[-1].trade_ms * 1_000_000 + 5 * S
    effects += series.on_time(end)
    last_open = (end - GRACE_NS) // S * S
    assert told(bars(effects)) == recompute(events, at(-1_000), last_open)


@settings(max_examples=100, deadline=None)
@given(made=steps, cuts=st.lists(st.integers(1, 60), max_size=4), cut_length=st.integers(1, 6))
def test_lost_connections_lose_no_candle_and_repeat_none(made, cuts, cut_length):
    events = make_trades(made)
    series = new_series()
    series.on_time(at(-1_500))
    effects, position, is_up = [], 0, True
    for index, event in enumerate(events):
        if is_up and index in cuts:
            series.on_disconnected()
            is_up, position = False, index + cut_length
        if not is_up and index >= position:
            is_up = True
            for ask in series.on_connected():
                known = [e for e in events[:index] if e.trade_id >= ask.from_id]
                effects += series.on_answer(answer(ask.from_id, known))
        if is_up:
            effects += series.on_trade(event)
    if not is_up:
        for ask in series.on_connected():
            known = [e for e in events if e.trade_id >= ask.from_id]
            effects += series.on_answer(answer(ask.from_id, known))
    end = events[-1].trade_ms * 1_000_000 + 5 * S
    effects += series.on_time(end)
    assert told(bars(effects)) == recompute(events, at(-1_000), (end - GRACE_NS) // S * S)


def test_the_bar_running_at_the_start_is_not_published():
    series = new_series()
    series.on_trade(trade(1, 400))
    effects = series.on_trade(trade(2, 1_100)) + series.on_time(at(2_300))
    assert [bar.open_ns for bar in bars(effects)] == [at(1_000)]


def test_a_bar_closes_only_after_its_grace():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    assert bars(series.on_time(at(1_249))) == []
    assert len(bars(series.on_time(at(1_250)))) == 1


def test_a_bar_without_trades_repeats_the_last_close():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100, price="7"))
    flat = bars(series.on_time(at(3_300)))[1:]
    assert [(b.open, b.high, b.low, b.close, b.volume, b.trade_count) for b in flat] == [
        (7, 7, 7, 7, 0, 0)
    ] * 2


def test_no_bar_is_made_before_the_first_trade():
    series = new_series()
    series.on_time(at(-500))
    assert series.on_time(at(60_000)) == []
    effects = series.on_trade(trade(1, 90_100)) + series.on_time(at(91_300))
    assert [bar.open_ns for bar in bars(effects)] == [at(90_000)]


def test_a_late_trade_is_counted_and_changes_nothing():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_trade(trade(3, 1_300))
    series.on_answer(answer(1, [trade(1, 100), trade(3, 1_300)]))
    late = TradeEvent(START_MS + 1_400, START_MS + 200, "BTCUSDT", 2, Decimal(9), Decimal(1), True)
    assert bars(series.on_trade(late)) == []
    assert series.bars["1s"].late == 1


def test_insurance_fund_rows_and_empty_rows_do_not_count_in_candles():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100, price="5"))
    series.on_trade(trade(2, 200, price="9", execution="INSURANCE_FUND"))
    series.on_trade(trade(3, 300, price="9", quantity="0"))
    (bar,) = bars(series.on_time(at(1_300)))
    assert (bar.high, bar.trade_count) == (5, 1)


def test_a_jump_of_ids_is_a_question_and_holds_the_bar_until_the_answer():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100, price="5"))
    (ask,) = series.on_trade(trade(4, 300, price="6"))
    assert ask == AskTrades("BTCUSDT", 1)
    assert series.on_time(at(5_000)) == []
    rows = [trade(1, 100, "5"), trade(2, 150, "9"), trade(4, 300, "6")]
    found = bars(series.on_answer(answer(1, rows)))
    assert [(b.high, b.trade_count) for b in found[:1]] == [(9, 3)]
    assert len(found) == 4


def test_a_restart_goes_on_after_the_last_published_bar():
    first = new_series()
    first.on_time(at(-500))
    first.on_trade(trade(1, 100, price="5"))
    (stored,) = bars(first.on_time(at(1_300)))
    second = TradeSeries("BTCUSDT", {"1s": S}, GRACE_NS)
    second.resume("1s", stored.close_ns, stored)
    assert second.on_connected() == [AskTrades("BTCUSDT", 1)]
    assert second.on_time(at(4_000)) == []
    rows = [trade(1, 100, "5"), trade(2, 2_100, "8")]
    found = bars(second.on_answer(answer(1, rows)))
    assert [(b.open_ns, b.close) for b in found] == [(at(1_000), 5), (at(2_000), 8)]


def test_history_that_does_not_reach_back_gives_the_gap_up_and_says_so():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_disconnected()
    series.on_connected()
    effects = series.on_answer(answer(1, [trade(50, 60_500), trade(51, 61_200)]))
    effects += series.on_time(at(62_300))
    assert series.gaps.lost == 1
    assert [bar.open_ns for bar in bars(effects)] == [at(61_000)]


@pytest.mark.parametrize("length_s", [1, 600])
def test_trades_lost_for_too_long_are_grave_at_once_and_until_as_much_was_heard(length_s):
    series, limit_ns = new_series({"bar": length_s * S}), 300 * S
    for number in range(200):
        series.on_trade(trade(number, number * 10_000))
        series.on_time(at(number * 10_000), newest_id=number)
    assert not series.is_grave(at(1_990_000), limit_ns)
    series.on_disconnected()
    (ask,) = series.on_connected()
    lost_until_ms = 5_600_000
    series.on_answer(answer(ask.from_id, [trade(5_000, lost_until_ms)]))
    grave_s = []
    for number in range(400):
        ms = lost_until_ms + number * 1_000
        series.on_trade(trade(5_000 + number, ms))
        series.on_time(at(ms), newest_id=5_000 + number)
        if series.is_grave(at(ms), limit_ns):
            grave_s.append(number)
    assert grave_s == list(range(300))


def test_rest_that_lags_behind_the_stream_is_asked_again():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_disconnected()
    series.on_connected()
    series.on_trade(trade(5, 900))
    assert series.on_answer(answer(1, [trade(1, 100), trade(2, 200)])) == [AskTrades("BTCUSDT", 2)]


def test_the_end_of_the_source_makes_no_bars_after_the_last_trade():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    effects = series.on_trade(trade(2, 2_100))
    found = bars(effects + series.on_time(at(60_000), source_ended=True))
    assert [bar.open_ns for bar in found] == [at(0), at(1_000), at(2_000)]


def test_several_intervals_are_built_from_the_same_trades():
    series = new_series({"1s": S, "5s": 5 * S})
    series.on_time(at(-500))
    series.on_trade(trade(1, 100, price="5"))
    series.on_trade(trade(2, 4_900, price="6"))
    effects = series.on_time(at(5_300))
    assert len(bars(effects, "1s")) >= 1
    assert [(b.open, b.close, b.trade_count) for b in bars(effects, "5s")] == [(5, 6, 2)]


def test_a_question_starts_at_a_print_because_rest_lists_nothing_else():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_trade(trade(2, 200, execution="INSURANCE_FUND"))
    assert series.on_trade(trade(9, 300))[0] == AskTrades("BTCUSDT", 1)


def test_ids_that_rest_never_lists_do_not_hold_bars_for_ever():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_disconnected()
    asks = series.on_connected()
    series.on_trade(trade(5, 900))  # 2 to 4 were no prints
    series.on_time(at(1_300))
    found = []
    for _ in range(10):
        if not asks:
            break
        found += series.on_answer(answer(asks[0].from_id, [trade(1, 100)]))
        asks = [effect for effect in found if isinstance(effect, AskTrades)][-1:]
        asks = asks if series.is_healing else []
    assert [bar.trade_count for bar in bars(found)] == [2]


def test_time_alone_does_not_close_a_bar_whose_newest_trade_was_kept_back():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100, price="5"))
    assert series.on_time(at(1_200), newest_id=3) == []
    assert series.on_time(at(1_300), newest_id=3) == [AskTrades("BTCUSDT", 1)]
    rows = [trade(1, 100, "5"), trade(2, 500, "9"), trade(3, 900, "7")]
    (bar,) = bars(series.on_answer(answer(1, rows)))
    assert (bar.open_ns, bar.high, bar.close, bar.trade_count) == (at(0), 9, 7, 3)
    assert (series.unheard, series.gaps.found, series.gaps.filled) == (2, 1, 1)


def test_a_trade_that_rest_told_first_and_the_stream_later_counts_once():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_time(at(1_300), newest_id=2)
    series.on_answer(answer(1, [trade(1, 100), trade(2, 1_200, "9")]))
    assert series.on_trade(trade(2, 1_200, "9")) == []
    assert series.on_trade(trade(3, 1_300)) == []
    (bar,) = bars(series.on_time(at(2_300), newest_id=3))
    assert (bar.trade_count, series.gaps.found) == (2, 1)


def test_rest_that_answers_slowly_still_proves_the_time_it_was_asked_for():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_time(at(1_300), newest_id=2)
    assert series.on_time(at(1_900), newest_id=4) == []
    found = series.on_answer(answer(1, [trade(1, 100), trade(2, 700)]))
    assert [bar.trade_count for bar in bars(found)] == [2]
    assert series.on_time(at(2_300), newest_id=4) == [AskTrades("BTCUSDT", 2)]


def test_rest_that_lists_less_than_the_clock_named_closes_nothing():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_time(at(1_300), newest_id=3)
    assert bars(series.on_answer(answer(1, [trade(1, 100), trade(2, 700)]))) == []
    assert series.on_time(at(1_400), newest_id=3) == [AskTrades("BTCUSDT", 2)]


def test_trades_from_before_we_listened_are_not_asked_for():
    series = new_series()
    assert series.on_time(at(-500), newest_id=40) == []
    series.on_trade(trade(41, 100))
    assert [bar.trade_count for bar in bars(series.on_time(at(1_300), newest_id=41))] == [1]


def test_a_trade_missed_between_the_first_clock_and_the_first_trade_is_asked_for():
    series = new_series()
    series.on_time(at(-500), newest_id=40)
    assert series.on_trade(trade(42, 100)) == [AskTrades("BTCUSDT", 40)]


def test_a_stream_whose_first_trades_were_kept_back_begins_after_them():
    series = new_series()
    series.on_time(at(-500))
    assert series.on_time(at(1_500), newest_id=3) == []
    effects = series.on_trade(trade(4, 1_700)) + series.on_trade(trade(5, 2_100))
    effects += series.on_time(at(3_300), newest_id=5)
    assert [(bar.open_ns, bar.trade_count) for bar in bars(effects)] == [(at(2_000), 1)]


def test_a_stall_after_a_reconnect_is_seen_though_rest_has_answered_before():
    series = new_series()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    series.on_disconnected()
    assert series.on_connected() == [AskTrades("BTCUSDT", 1)]
    series.on_time(at(1_300), newest_id=3)
    assert bars(series.on_answer(answer(1, [trade(1, 100), trade(2, 700)]))) == []
    assert series.on_time(at(1_400), newest_id=3) == [AskTrades("BTCUSDT", 2)]
