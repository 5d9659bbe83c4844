"""Bars from trades where no clock of the venue proves that the stream was whole."""

from decimal import Decimal

from libs.common.messages.market import CandleOrigin
from services.feed.bars import Bar
from services.feed.events import TradeEvent
from services.feed.trade_series import AskTrades, CandleReady, Print, TradesAnswer, TradeSeries

S = 1_000_000_000
START_MS = 1_700_000_000_000
WAIT_NS = 2 * S


def at(ms):
    return (START_MS + ms) * 1_000_000


def trade(number, ms, price="100"):
    return TradeEvent(
        START_MS + ms, START_MS + ms, "BTCUSDT", number, Decimal(price), Decimal(1), False
    )


def answer(asked_id, events, *, is_proof=True):
    prints = [Print(e.trade_id, e.trade_ms * 1_000_000, e.price, e.quantity) for e in events]
    ids = [event.trade_id for event in events]
    return TradesAnswer("BTCUSDT", asked_id, prints, ids[0], ids[-1], is_proof)


def bars(effects):
    return [effect.bar for effect in effects if isinstance(effect, CandleReady)]


def new_series():
    series = TradeSeries("BTCUSDT", {"1s": S}, 250_000_000, proof_wait_ns=WAIT_NS)
    series.on_connected()
    series.on_time(at(-500))
    return series


def test_time_alone_releases_no_bar_and_rest_is_asked_once():
    series = new_series()
    first = trade(1, -100)
    series.on_trade(first)
    series.on_trade(trade(2, 100))
    assert series.on_time(at(3_200)) == []
    assert series.on_time(at(3_250)) == [AskTrades("BTCUSDT", 2, is_proof=True)]
    assert series.on_time(at(60_000)) == []


def test_the_next_trade_proves_what_was_before_it():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100))
    effects = series.on_trade(trade(3, 1_300)) + series.on_time(at(1_400))
    assert [(bar.open_ns, bar.trade_count) for bar in bars(effects)] == [(at(0), 1)]


def test_a_bar_never_closes_before_our_own_clock_says_that_it_may():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100))
    series.on_time(at(900))
    assert bars(series.on_trade(trade(3, 1_300))) == []
    assert len(bars(series.on_time(at(1_250)))) == 1


def test_trades_that_a_stalled_stream_kept_back_are_in_the_bar():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100))
    (ask,) = series.on_time(at(4_000))
    rows = [trade(2, 100), trade(3, 500, "120"), trade(4, 900, "90")]
    found = bars(series.on_answer(answer(ask.from_id, rows)))
    assert [(bar.open_ns, bar.high, bar.close, bar.trade_count) for bar in found] == [
        (at(0), 120, 90, 3)
    ]
    assert series.unheard == 2
    assert (series.gaps.found, series.gaps.filled) == (1, 1)
    series.on_trade(trade(3, 500, "120"))
    series.on_trade(trade(4, 900, "90"))
    assert series.on_trade(trade(5, 1_100)) == []
    assert (series.gaps.found, series.bars["1s"].late) == (1, 0)


def test_proven_silence_makes_flat_bars_and_no_gap():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100, "7"))
    (ask,) = series.on_time(at(5_300))
    found = bars(series.on_answer(answer(ask.from_id, [trade(2, 100, "7")])))
    assert [(bar.open_ns, bar.close, bar.trade_count) for bar in found] == [
        (at(0), 7, 1),
        (at(1_000), 7, 0),
        (at(2_000), 7, 0),
    ]
    assert (series.gaps.found, series.unheard) == (0, 0)


def test_a_refused_trade_holds_the_bars_until_the_next_one_shows_what_is_missing():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100))
    assert series.on_refused_trade() == []
    assert series.is_held
    effects = series.on_trade(trade(4, 1_300)) + series.on_time(at(1_400))
    assert effects == [AskTrades("BTCUSDT", 2)]
    rows = [trade(2, 100), trade(3, 600, "50"), trade(4, 1_300)]
    (bar,) = bars(series.on_answer(answer(2, rows, is_proof=False)))
    assert (bar.low, bar.trade_count) == (50, 2)
    assert (series.gaps.found, series.gaps.filled) == (1, 1)


def test_where_the_venue_proves_time_a_refused_trade_is_asked_for_at_once():
    series = TradeSeries("BTCUSDT", {"1s": S}, 250_000_000)
    series.on_connected()
    series.on_time(at(-500))
    series.on_trade(trade(1, 100))
    assert series.on_refused_trade() == [AskTrades("BTCUSDT", 1)]
    assert series.on_refused_trade() == []
    assert series.on_time(at(5_000)) == []
    known = answer(1, [trade(1, 100)], is_proof=False)
    assert series.on_answer(known) == [AskTrades("BTCUSDT", 1)]  # the second came meanwhile
    assert len(bars(series.on_answer(known))) == 4
    assert (series.gaps.found, series.gaps.filled) == (2, 2)


def test_a_jump_after_the_answer_of_a_reconnect_is_asked_for():
    series = new_series()
    last = Bar(
        at(-1_000), at(0), Decimal(1), Decimal(1), Decimal(1), Decimal(1), Decimal(1), 1,
        CandleOrigin.TRADES, 5,
    )  # fmt: skip
    series.on_disconnected()
    series.resume("1s", at(0), last)
    (ask,) = series.on_connected()
    series.on_answer(answer(ask.from_id, [trade(5, -100), trade(6, 100)], is_proof=False))
    assert series.on_trade(trade(8, 300)) == [AskTrades("BTCUSDT", 6)]


def test_candles_missing_for_too_long_are_grave_until_they_are_there():
    series = new_series()
    series.on_trade(trade(1, -100))
    series.on_trade(trade(2, 100))
    series.on_trade(trade(3, 1_300))
    assert len(bars(series.on_time(at(1_400)))) == 1
    series.on_disconnected()
    assert not series.is_grave(at(302_000), 300 * S)
    assert series.is_grave(at(302_001), 300 * S)
    series.on_connected()
    series.on_time(at(400_000))
    rows = [trade(3, 1_300), trade(4, 399_500)]
    series.on_answer(answer(3, rows, is_proof=False))
    assert not series.is_grave(at(400_000), 300 * S)
