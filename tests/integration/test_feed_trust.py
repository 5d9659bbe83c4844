"""What the feed believes, against a broker and a venue that lies, falls silent, or goes away."""

import asyncio
import time

import aiohttp

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Mark, Quote
from tests.integration.test_feed import (
    DEADLINE_S,
    START_MS,
    SYMBOL,
    Market,
    all_candles,
    last_whole_ms,
    new_world,
    told,
    until,
    world,
)

__all__ = ["new_world", "world"]
DAY_MS = 86_400_000
STREAM = SYMBOL.lower()


async def metrics(feed):
    """Every figure the feed shows, by name with labels."""
    url = f"http://127.0.0.1:{feed.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        lines = (await answer.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(figure) for name, figure in pairs}


async def checks(feed):
    """The checks behind readiness."""
    url = f"http://127.0.0.1:{feed.port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return (await answer.json())["checks"]


async def level(feed, name):
    return (await checks(feed)).get(name, {}).get("status")


def wall_ms():
    return time.time_ns() // 1_000_000


async def hear(world, subject, kind):
    """Everything said on a subject from now on."""
    found = []

    async def take(_subject, payload, _headers):
        found.append(decode(payload, kind))

    await world.bus.subscribe(subject, take)
    await world.bus.jetstream.stream_info(subjects.MARKET_STREAM)
    return found


async def test_while_the_sockets_are_down_rest_tells_quotes_marks_and_closed_candles(world):
    quotes = await hear(world, subjects.quote(SYMBOL), Quote)
    marks = await hear(world, subjects.mark(SYMBOL), Mark)
    feed = await world.start_feed(rest_fallback_after_ms=200, rest_share_window_ms=2_000)

    async def is_over():
        return (await metrics(feed))["ws_rest_fallback_ratio"] == 0

    await world.venue.kline(SYMBOL, START_MS, "10")
    await world.venue.quote(SYMBOL, 5, START_MS + 60_000)
    await until(lambda: world.has_candles(1, "1m"), "the first minute is stored")
    # A feed that takes longer than that to connect is stood in for, too.
    await until(is_over, "the streams tell everything")
    world.venue.refuses_streams = True
    await world.venue.cut_sockets()
    rest_ms = START_MS + 125_000
    world.venue.rest_ms = rest_ms
    await world.venue.kline(SYMBOL, START_MS + 60_000, "11", is_told=False)
    await until(lambda: world.has_candles(2, "1m"), "the minute comes from REST meanwhile")
    rest_ns = rest_ms * 1_000_000

    def is_told_by_rest():
        return all(said and said[-1].ts_event_ns == rest_ns for said in (marks, quotes))

    await until(is_told_by_rest, "quote and mark come from REST, at its time")
    assert (quotes[-1].update_id, str(quotes[-1].bid_price)) == (0, "100.4")

    async def is_shown():
        return (await metrics(feed))["ws_rest_fallback_ratio"] > 0.5

    await until(is_shown, "the share of REST is shown")
    assert (await metrics(feed))['ws_connected{stream="market-0"}'] == 0
    assert (await metrics(feed))['ws_last_msg_age_seconds{stream="market-0"}'] > 0
    world.venue.refuses_streams = False
    await until(feed.is_listening, "the feed subscribes again")
    await world.venue.quote(SYMBOL, 6, rest_ms - 1)
    await world.venue.quote(SYMBOL, 7, rest_ms + 1)
    await until(lambda: quotes[-1].update_id == 7, "the newer quote of the stream is told")
    assert 6 not in [one.update_id for one in quotes]
    shown = await metrics(feed)
    assert shown['ws_reconnect_attempts_total{stream="market-0"}'] >= 1
    await until(is_over, "the window is over, and the share with it")


async def test_data_of_another_symbol_or_interval_is_not_believed(world):
    feed = await world.start_feed()
    data = {
        "e": "bookTicker", "u": 1, "E": START_MS, "s": SYMBOL,
        "b": "1", "B": "1", "a": "1", "A": "1",
    }  # fmt: skip
    await world.venue.tell(f"{STREAM}@trade", data)
    await world.venue.tell(f"{STREAM}@bookTicker", {**data, "s": "ETHUSDT"})

    async def is_counted():
        return (await feed.status())["unreadable"] == 2

    await until(is_counted, "both are counted as unreadable")
    assert "quote" not in (await feed.status())["received"]


async def test_a_quote_and_a_mark_from_the_far_future_block_nothing(world):
    quotes = await hear(world, subjects.quote(SYMBOL), Quote)
    marks = await hear(world, subjects.mark(SYMBOL), Mark)
    feed = await world.start_feed(mode="testnet")
    now_ms = wall_ms()
    await world.venue.quote(SYMBOL, 1, now_ms + DAY_MS)
    await world.venue.mark(SYMBOL, now_ms + DAY_MS)
    await world.venue.quote(SYMBOL, 2, now_ms)
    await world.venue.mark(SYMBOL, now_ms)
    await until(lambda: quotes and marks, "the sound ones are told")
    assert {one.ts_event_ns for one in (*quotes, *marks)} == {now_ms * 1_000_000}

    async def is_dropped():
        shown = await metrics(feed)
        names = ('feed_dropped_total{kind="quote_ahead"}', 'feed_dropped_total{kind="mark_ahead"}')
        return [shown.get(name) for name in names] == [1, 1]

    await until(is_dropped, "what was not believed is counted")


async def trade_for(world, seconds, off_ms=0, first=1):
    """Trades and marks twice a tenth of a second, by a venue clock that may be wrong."""
    number, end_ms = first, wall_ms() + seconds * 1_000
    while wall_ms() < end_ms:
        await world.venue.trade(SYMBOL, number, wall_ms() + off_ms, str(100 + number % 7), "1")
        await world.venue.mark(SYMBOL, wall_ms() + off_ms)
        number += 1
        await asyncio.sleep(0.2)
    return number


async def trade_until(world, feed, status, off_ms, first):
    """Trade by such a clock until the check of event times says this of it."""
    number = first
    async with asyncio.timeout(DEADLINE_S):
        while await level(feed, "event times") != status:
            number = await trade_for(world, 0.4, off_ms, number)
    return number


async def test_a_venue_whose_clock_falls_a_day_off_invents_no_bar_is_seen_and_heals(world):
    feed = await world.start_feed(mode="testnet", trade_proof_wait_ms=500)
    world.venue.recent_max = 1_000
    number = await trade_for(world, 3)
    await until(lambda: world.has_candles(1), "bars close")
    for off_ms in (DAY_MS, -DAY_MS):
        number = await trade_until(world, feed, "fail", off_ms, number)
        check = (await checks(feed))["event times"]
        assert f"{off_ms // 1_000:+}"[:4] in check["output"]
        wrong = [row for row in world.venue.trades[SYMBOL] if abs(row["time"] - wall_ms()) > 60_000]
        for row in wrong:  # the venue's own books were right
            row["time"] -= off_ms
        number = await trade_for(world, 2, 0, number)
        number = await trade_until(world, feed, "pass", 0, number)
    end_ms = wall_ms() // 1_000 * 1_000
    await trade_for(world, 1, 0, number)

    async def is_complete():
        found = await world.candles()
        return found and found[-1].close_ns >= end_ms * 1_000_000 and found

    found = await until(is_complete, "candles go on")
    first_ms = found[0].open_ns // 1_000_000
    assert told(found) == world.expected(first_ms, found[-1].open_ns // 1_000_000)
    assert found[-1].close_ns <= time.time_ns()
    status = await feed.status()
    assert status["event_times"]["refused"].keys() == {"ahead", "behind"}


async def test_a_trade_stream_that_stalls_beside_speaking_ones_makes_no_short_bar(world):
    feed = await world.start_feed(mode="testnet", trade_proof_wait_ms=500)
    world.venue.recent_max = 1_000
    number = await trade_for(world, 2)
    world.venue.hidden_trades = set(range(number, number + 100))
    number = await trade_for(world, 4, 0, number)
    end_ms = wall_ms() // 1_000 * 1_000 - 1_000

    async def is_complete():
        await world.venue.mark(SYMBOL, wall_ms())
        found = await world.candles()
        return found and found[-1].close_ns >= end_ms * 1_000_000 and found

    found = await until(is_complete, "bars close by what REST proves")
    first_ms = found[0].open_ns // 1_000_000
    assert told(found) == world.expected(first_ms, found[-1].open_ns // 1_000_000)
    assert (await feed.status())["series"][f"{SYMBOL} 1s"]["unheard"] > 0


async def test_a_gap_that_lasts_too_long_makes_its_symbol_stale_until_it_is_healed(world):
    feed = await world.start_feed(gap_ms_max=5_000)
    market = Market(world.venue)
    await market.go_on(3)
    before = len(await all_candles(world, market))
    world.venue.rest_answers_503 = True
    world.venue.hidden_trades = {market.number + 2}
    await market.go_on(20)
    await world.venue.quote(SYMBOL, 77, market.ms)
    await world.venue.mark(SYMBOL, market.ms)

    async def is_alarmed():
        return await level(feed, f"gap {SYMBOL}") == "fail"

    await until(is_alarmed, "the alarm is raised")
    (health,) = (await feed.status())["symbols"]
    assert (health["is_stale"], health["quote_age_ms"] < 5_000) == (True, True)
    shown = await metrics(feed)
    assert shown[f'feed_gap_alert_total{{symbol="{SYMBOL}"}}'] == 1
    assert shown[f'feed_gap_total{{symbol="{SYMBOL}"}}'] == 1
    assert shown[f'feed_gap_filled_total{{symbol="{SYMBOL}"}}'] == 0
    assert len(await world.candles()) <= before + 1
    world.venue.rest_answers_503 = False
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))

    async def is_fresh():
        (health,) = (await feed.status())["symbols"]
        return not health["is_stale"] and await level(feed, f"gap {SYMBOL}") == "pass"

    await until(is_fresh, "the symbol is fresh again")
    shown = await metrics(feed)
    assert shown[f'feed_gap_total{{symbol="{SYMBOL}"}}'] == 1
    assert shown[f'feed_gap_filled_total{{symbol="{SYMBOL}"}}'] == 1


async def test_a_bar_corrected_after_it_was_published_is_counted_and_not_told_again(world):
    feed = await world.start_feed()
    await world.venue.kline(SYMBOL, START_MS, "10")
    await world.venue.kline(SYMBOL, START_MS, "10")
    await world.venue.kline(SYMBOL, START_MS, "99")

    async def is_counted():
        series = (await feed.status())["series"][f"{SYMBOL} 1m"]
        return (series["repeats"], series["revised"]) == (1, 1)

    await until(is_counted, "repeat and revision are counted apart")
    assert [candle.close for candle in await world.candles("1m")] == [10]


async def test_a_socket_that_hears_the_time_only_after_it_is_subscribed_is_not_replaced(world):
    world.venue.tells_time_at_once = False
    feed = await world.start_feed()
    market = Market(world.venue)

    async def knows_the_time():
        await market.go_on(1)
        return await world.has_candles(2)

    await until(knows_the_time, "bars close")
    assert [one["attempts"] for one in (await feed.status())["sockets"]] == [1, 1]


async def test_bars_hold_the_trades_that_a_stalled_stream_kept_back(world):
    feed = await world.start_feed()
    market = Market(world.venue)
    await market.go_on(3)
    world.venue.recent_max = 1_000
    world.venue.hidden_trades = set(range(market.number + 1, market.number + 100))
    await market.go_on(5)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))
    assert (await feed.status())["series"][f"{SYMBOL} 1s"]["unheard"] > 0
