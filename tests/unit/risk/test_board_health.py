"""What risk remembers of the feed's word on each symbol."""

from libs.common.messages.market import MarketHealth
from services.risk.core import Board


def told_health(event_ns, *symbols):
    envelope = dict.fromkeys(("message_id", "causation_id", "correlation_id", "source"), "h")
    counts = {name: {} for name in ("received", "published", "conflated")}
    return MarketHealth(
        **envelope, **counts, ts_event_ns=event_ns, ts_published_ns=1, is_connected=True,
        symbols=symbols,
    )  # fmt: skip


def known_health(board, make, heard_now_ns, symbol="BTCUSDT"):
    facts = board.facts(symbol, now_ns=make.now_ns, heard_now_ns=heard_now_ns)
    seen = facts.health
    return (None, None) if seen is None else (seen.health, seen.silence_ms)


def test_a_symbol_that_the_feed_does_not_name_any_more_is_silent_and_then_not_known(make):
    board = Board()
    board.hear_health(told_health(1, make.health()), 5_000_000)
    assert known_health(board, make, 7_000_000) == (make.health(), 2)
    board.hear_health(told_health(2), 9_000_000_000)
    assert known_health(board, make, 9_000_000_000) == (make.health(), 8_995)
    board.hear_health(told_health(3), 700_000_000_000)
    assert known_health(board, make, 700_000_000_000) == (None, None)


def test_feeds_of_different_symbols_each_vouch_for_their_own(make):
    board = Board()
    other = make.health(symbol="ETHUSDT")
    for at_ms in range(0, 3_000, 500):
        board.hear_health(told_health(at_ms, make.health()), at_ms * 1_000_000)
        board.hear_health(told_health(at_ms + 250, other), (at_ms + 250) * 1_000_000)
    assert known_health(board, make, 3_000_000_000) == (make.health(), 500)
    assert known_health(board, make, 3_000_000_000, "ETHUSDT") == (other, 250)


def test_what_a_feed_says_that_slept_does_not_replace_what_is_newer(make):
    board = Board()
    halted = make.health(status="TRADING_HALT", refusal="halted")
    board.hear_health(told_health(60, halted), 1_000_000_000)
    board.hear_health(told_health(1, make.health()), 1_100_000_000)
    assert known_health(board, make, 1_200_000_000) == (halted, 200)


def test_a_feed_whose_clock_was_set_back_is_believed_again(make):
    board = Board()
    for at_ms in range(0, 6_000, 500):
        board.hear_health(told_health(at_ms or 10**18, make.health()), at_ms * 10**6)
    assert known_health(board, make, 5_600 * 10**6) == (make.health(), 100)
