"""Which silences are noticed, and when."""

from services.feed.config import FeedConfig
from services.feed.plan import ages_ms_max, plan_sockets
from services.feed.stream_watch import StreamWatch


def new_watch():
    watch = StreamWatch({"a": 10, "b": 100})
    watch.begin(1_000)
    return watch


def test_a_stream_that_was_never_heard_is_stalled_once_its_age_is_exceeded():
    watch = new_watch()
    watch.mark(1_010)
    assert watch.stalled() == []
    watch.mark(1_011)
    assert watch.stalled() == ["a"]


def test_what_was_heard_between_two_words_of_the_clock_was_heard_by_the_later():
    watch = new_watch()
    watch.hear("a")
    watch.mark(1_500)
    assert watch.stalled() == ["b"]
    assert watch.ages_ns() == {"a": 0, "b": 500}


def test_a_stream_that_a_new_connection_did_not_wake_is_given_twice_the_time_until_it_speaks():
    watch = new_watch()
    watch.mark(1_011)
    watch.forgive(watch.stalled())
    watch.mark(1_020)
    assert watch.stalled() == []
    watch.mark(1_021)
    assert watch.stalled() == ["a"]
    watch.hear("a")
    watch.mark(1_030)
    watch.mark(1_041)
    assert watch.stalled() == ["a"]


def test_every_market_stream_of_a_socket_has_an_age_and_the_clock_has_none():
    plans = plan_sockets(
        ("BTCUSDT",), ("1m",), depth_streams=("depth@100ms",), streams_per_socket_max=9,
        with_clock=True,
    )  # fmt: skip
    ages = {name: age for plan in plans for name, age in ages_ms_max(plan, FeedConfig()).items()}
    assert ages == {
        "btcusdt@bookTicker": 60_000,
        "btcusdt@trade": 300_000,
        "btcusdt@depth@100ms": 60_000,
        "btcusdt@markPrice@1s": 10_000,
        "btcusdt@kline_1m": 300_000,
    }


def test_the_age_of_a_stream_goes_on_over_a_reconnect_that_did_not_wake_it():
    watch = StreamWatch({"a": 10, "b": 10})
    watch.begin(100)
    watch.mark(150)
    watch.begin(150)
    watch.hear("a")
    watch.mark(160)
    assert watch.ages_ns() == {"a": 0, "b": 60}
    assert watch.stalled() == []


def test_a_stalled_stream_counts_as_unheard_until_it_speaks_whatever_is_tried():
    watch = StreamWatch({"a": 10, "b": 10})
    watch.begin(0)
    watch.hear("a")
    watch.mark(11)
    assert watch.unheard() == ["b"]
    watch.forgive(watch.stalled())
    watch.begin(12)
    assert watch.unheard() == ["b"]
    watch.hear("b")
    watch.mark(13)
    assert watch.unheard() == []
