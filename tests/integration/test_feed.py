"""The feed as a process, between a real broker and a venue that a test can hurt."""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle, MarketClock, Quote
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.provisioning import provision
from tests.integration.feed_venue import FeedVenue
from tests.integration.patience import patient

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20
START_MS = 1_700_000_000_000 // 60_000 * 60_000
SYMBOL = "BTCUSDT"


async def until(condition, what):
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
    raise AssertionError(what)


class Feed:
    """One process of the feed."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.reading = asyncio.create_task(self._read())

    async def _read(self):
        while await self.process.stdout.readline():
            pass

    async def status(self):
        url = f"http://127.0.0.1:{self.port}/v1/status"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.json()

    async def is_listening(self):
        """Whether its sockets are up and it speaks; before it has started, its status says less."""
        return all([(told := await self.status()).get("is_connected"), told.get("is_leader")])

    async def end(self, number=signal.SIGTERM):
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), DEADLINE_S)
        await self.reading
        return code


class World:
    """Broker, venue, and the feeds a test starts."""

    def __init__(self, broker_url, bus, venue):
        self.broker_url, self.bus, self.venue = broker_url, bus, venue
        self.feeds = []
        self.stored = []

    async def start_feed(self, mode="paper", **settings):
        environment = {
            "PORTCULLIS_MODE": mode,
            "PATH": os.environ["PATH"],
            "PORTCULLIS_BUS__URL": self.broker_url,
            "PORTCULLIS_VENUE__REST_URL": f"http://127.0.0.1:{self.venue.port}",
            "PORTCULLIS_VENUE__STREAM_URL": f"ws://127.0.0.1:{self.venue.port}",
            "PORTCULLIS_SYMBOLS": f'["{SYMBOL}"]',
            "PORTCULLIS_CANDLE_INTERVALS": '["1s", "1m"]',
            "PORTCULLIS_FEED__HTTP_PORT": "0",
            "PORTCULLIS_FEED__BACKFILL_WAIT_MAX_MS": "200",
            **{f"PORTCULLIS_FEED__{name.upper()}": str(value) for name, value in settings.items()},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.feed", stdout=asyncio.subprocess.PIPE, cwd=ROOT,
            env=environment,
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE_S):
            while True:
                line = json.loads(await process.stdout.readline())
                if line["event"] == "http listening":
                    break
        feed = Feed(process, line["port"])
        self.feeds.append(feed)
        await until(feed.is_listening, "the feed subscribes")
        return feed

    async def candles(self, interval="1s"):
        """Every candle in the order it was stored; what was read is not read again."""
        info = await self.bus.jetstream.stream_info(subjects.MARKET_STREAM)
        for sequence in range(len(self.stored) + 1, info.state.last_seq + 1):
            message = await self.bus.read_message(subjects.MARKET_STREAM, sequence)
            self.stored.append(decode(message.data, Candle))
        return [one for one in self.stored if one.interval == interval]

    async def has_candles(self, count, interval="1s"):
        return len(await self.candles(interval)) >= count

    def expected(self, first_ms, last_ms):
        """One-second candles of all the venue's trades, recomputed the simple way."""
        rows, close = [], None
        for open_ms in range(first_ms, last_ms + 1, 1_000):
            inside = [
                (Decimal(r["price"]), Decimal(r["qty"]))
                for r in self.venue.trades[SYMBOL]
                if open_ms <= r["time"] < open_ms + 1_000
            ]
            prices = [price for price, _ in inside] or [close]
            rows.append((
                open_ms, prices[0], max(prices), min(prices), prices[-1],
                sum((quantity for _, quantity in inside), Decimal(0)), len(inside),
            ))  # fmt: skip
            close = prices[-1]
        return rows


def told(candles):
    return [
        (c.open_ns // 1_000_000, c.open, c.high, c.low, c.close, c.volume, c.trade_count)
        for c in candles
    ]


@asynccontextmanager
async def new_world(folder):
    broker = Broker(folder / "broker")
    url = await broker.start()
    settings = patient(url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    try:
        async with FeedVenue(START_MS - 500) as venue:
            world = World(url, bus, venue)
            try:
                yield world
            finally:
                for feed in world.feeds:
                    await feed.end()
    finally:
        await bus.close()
        await broker.stop()


@pytest.fixture
async def world(tmp_path):
    async with new_world(tmp_path) as made:
        yield made


class Market:
    """Trades that go on by themselves, each different, about four a second of market time."""

    def __init__(self, venue):
        self.venue, self.number, self.ms = venue, 0, START_MS + 50

    async def go_on(self, seconds):
        end_ms = self.ms + seconds * 1_000
        while self.ms < end_ms:
            self.number += 1
            price, quantity = str(100 + self.number * 7 % 13), str(1 + self.number % 3)
            await self.venue.trade(SYMBOL, self.number, self.ms, price, quantity)
            self.ms += 170 + self.number * 37 % 300 + (2_400 if self.number % 29 == 0 else 0)
        await self.venue.clock(self.ms)


def last_whole_ms(market):
    """Open time of the last bar whose end and grace have passed."""
    return (market.ms - 250) // 1_000 * 1_000 - 1_000


async def all_candles(world, market):
    count = (last_whole_ms(market) - START_MS) // 1_000 + 1
    await until(lambda: world.has_candles(count), "every candle is stored")
    return await world.candles()


async def test_candles_quotes_and_the_clock_reach_the_bus_in_order(world):
    heard = []

    async def hear(subject, payload, headers):
        heard.append((subject, payload, headers))

    await world.bus.subscribe("market.>", hear)
    await world.bus.jetstream.stream_info(subjects.MARKET_STREAM)
    feed = await world.start_feed()
    market = Market(world.venue)
    for number in range(40):
        await world.venue.quote(SYMBOL, number, START_MS + number)
    await market.go_on(5)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))
    clock_ns = market.ms * 1_000_000

    def clocks():
        return [
            index
            for index, (subject, payload, _) in enumerate(heard)
            if subject == subjects.MARKET_CLOCK and decode(payload, MarketClock).now_ns >= clock_ns
        ]

    first_clock = (await until(clocks, "the clock arrives"))[0]
    said = [subject for subject, _, _ in heard[:first_clock]]
    assert said.count(subjects.candle("1s", SYMBOL)) == len(found)
    assert said.count(subjects.trade(SYMBOL)) == market.number
    assert all(headers["traceparent"].startswith("00-") for _, _, headers in heard)
    quotes = [decode(p, Quote) for subject, p, _ in heard if subject == subjects.quote(SYMBOL)]
    assert quotes[-1].update_id == 39
    status = await feed.status()
    assert status["received"]["quote"] == 40
    assert status["received"]["quote"] == len(quotes) + status["conflated"].get("quote", 0)
    assert status["received"]["trade"] == status["published"]["trade"] == market.number
    assert await feed.end() == 0


async def test_a_cut_connection_is_healed_by_rest_and_loses_no_candle(world):
    feed = await world.start_feed()
    market = Market(world.venue)
    for _ in range(3):
        await market.go_on(3)
        await world.venue.cut_sockets()
        await market.go_on(4)
        await until(lambda: len(world.venue.sockets) == 2, "both sockets are back")
        await until(feed.is_listening, "the feed subscribes again")
    await market.go_on(3)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))


async def test_a_bar_is_held_while_rest_refuses_and_quotes_keep_flowing(world):
    feed = await world.start_feed()
    market = Market(world.venue)
    await market.go_on(3)
    before = len(await all_candles(world, market))
    world.venue.rest_answers_503 = True
    world.venue.hidden_trades = {market.number + 2}
    await market.go_on(4)
    await until(lambda: len(world.venue.requests) >= 2, "the feed asks, and asks again")
    quotes = (await feed.status())["published"].get("quote", 0)
    await world.venue.quote(SYMBOL, 77, market.ms)

    async def quote_flows():
        return (await feed.status())["published"].get("quote", 0) > quotes

    await until(quote_flows, "a quote is published while the bar is held")
    held = await world.candles()
    assert len(held) <= before + 1
    assert (await feed.status())["is_healing"]
    world.venue.rest_answers_503 = False
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))


async def test_kill_9_and_restart_publish_every_candle_exactly_once(world):
    market = Market(world.venue)
    feed = await world.start_feed()
    await market.go_on(3)
    await until(lambda: world.has_candles(1), "the first candle is stored")
    for _ in range(3):
        going = asyncio.create_task(market.go_on(6))
        await feed.end(signal.SIGKILL)
        await going
        feed = await world.start_feed()
        await market.go_on(2)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))


async def test_missed_minutes_come_from_rest_in_order_and_revised_ones_are_ignored(world):
    await world.start_feed()
    minutes = [START_MS + number * 60_000 for number in range(6)]
    await world.venue.kline(SYMBOL, minutes[0], "10")
    await until(lambda: world.has_candles(1, "1m"), "the first minute is stored")
    await world.venue.kline(SYMBOL, minutes[1], "11", is_told=False)
    await world.venue.kline(SYMBOL, minutes[2], "12", is_told=False)
    await world.venue.kline(SYMBOL, minutes[3], "13")
    await world.venue.kline(SYMBOL, minutes[3], "99")
    world.venue.klines[SYMBOL, "1m"].pop()
    await world.venue.kline(SYMBOL, minutes[4], "14")
    await until(lambda: world.has_candles(5, "1m"), "all five minutes are stored")
    found = await world.candles("1m")
    assert [(c.open_ns // 1_000_000, c.close) for c in found] == [
        (minute, 10 + number) for number, minute in enumerate(minutes[:5])
    ]


async def test_a_minute_nobody_told_is_asked_for_when_it_is_overdue(world):
    await world.start_feed()
    await world.venue.kline(SYMBOL, START_MS, "10")
    await until(lambda: world.has_candles(1, "1m"), "the first minute is stored")
    await world.venue.kline(SYMBOL, START_MS + 60_000, "11", is_told=False)
    await world.venue.clock(START_MS + 125_000)
    await until(lambda: world.has_candles(2, "1m"), "the minute comes from REST")


async def test_unreadable_frames_are_counted_kept_and_survived(world):
    feed = await world.start_feed()
    market = Market(world.venue)
    for text in ("garbage", "{}", '{"stream":"x","data":{"e":"new"}}', "[" * 500):
        await world.venue.garbage(text)
    data = {"e": "bookTicker", "u": 1, "E": START_MS, "s": "币安人生USDT", "b": "1", "B": "1"}
    await world.venue.tell(f"{SYMBOL.lower()}@bookTicker", {**data, "a": "1", "A": "1"})
    await world.venue.tell(
        f"{SYMBOL.lower()}@bookTicker", {**data, "s": SYMBOL, "b": "NaN", "a": "1", "A": "1"}
    )
    await market.go_on(3)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))
    status = await feed.status()
    assert status["unreadable"] == 4 * 2 + 1 + 1
    assert status["refused"] == {"quote": 1}
    reasons = [socket["last_why"] for socket in status["sockets"]]
    assert [socket["attempts"] for socket in status["sockets"]] == [1, 1], reasons
    info = await world.bus.jetstream.stream_info(subjects.DEAD_STREAM)
    assert info.state.messages >= 5


async def test_a_silent_socket_is_noticed_and_replaced(world):
    feed = await world.start_feed(silence_ms_max=600, quiet_ms_max=599)
    world.venue._beat.cancel()

    async def came_back():
        sockets = (await feed.status())["sockets"]
        return all(socket["attempts"] >= 2 for socket in sockets)

    await until(came_back, "both sockets are opened again")


async def test_a_full_inbox_closes_the_socket_and_loses_no_candle(world):
    feed = await world.start_feed(inbox_messages_max=5)
    market = Market(world.venue)
    await market.go_on(60)
    assert (await feed.status())["inbox"]["refused"] > 0
    for _ in range(3):
        await until(feed.is_listening, "the feed subscribes again")
        await market.go_on(1)
    found = await all_candles(world, market)
    assert told(found) == world.expected(START_MS, last_whole_ms(market))


async def test_what_is_recorded_plays_back_through_the_paper_exchange(world, tmp_path):
    from services.paper_exchange.sources.tape import TapeSource

    feed = await world.start_feed(record_folder=tmp_path / "tapes")
    market = Market(world.venue)
    await world.venue.quote(SYMBOL, 1, START_MS)
    await market.go_on(3)
    await all_candles(world, market)
    assert await feed.end() == 0
    (path,) = (tmp_path / "tapes").glob("*.gz")
    kinds = [type(event).__name__ for event in TapeSource([path]).events()]
    assert kinds.count("Trade") == market.number
    assert kinds.count("Quote") == 1


async def test_outside_the_paper_world_bars_close_by_our_own_clock(world):
    heard = []

    async def hear(subject, payload, headers):
        heard.append(subject)

    await world.bus.subscribe(subjects.MARKET_CLOCK, hear)
    feed = await world.start_feed(mode="testnet")
    assert not any("!clock@sim" in streams for streams in world.venue.sockets.values())
    # A series begins with the first trade after the second in which it was joined.
    for number in range(1, 6):
        await world.venue.trade(SYMBOL, number, time.time_ns() // 1_000_000, "100", "1")
        await asyncio.sleep(0.4)

    async def has_closed_three():
        await world.venue.mark(SYMBOL, time.time_ns() // 1_000_000)
        return await world.has_candles(3)

    await until(has_closed_three, "bars close without another trade")
    found = await world.candles()
    assert [c.close_ns - c.open_ns for c in found] == [1_000_000_000] * len(found)
    assert all(a.close_ns == b.open_ns for a, b in itertools.pairwise(found))
    assert found[-1].trade_count == 0
    assert heard == []
    assert await feed.end() == 0
