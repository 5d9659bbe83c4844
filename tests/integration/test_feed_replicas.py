"""Two feeds as processes, a real broker and the real paper exchange: one speaks, none is missed."""

import asyncio
import itertools
import os
import signal
import time
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle, MarketClock, MarketHealth, Quote, Trade
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import provision
from tests.integration.test_feed_paper_exchange import end, start

SYMBOL = "BTCUSDT"
DEADLINE_S = 30
NS_PER_MS = 1_000_000
SECOND_NS = 1_000_000_000
#: Market time without a quote that a failover may cost.
GAP_MS_MAX = 3_000
#: How long two replicas are watched where nothing is to happen.
LEASE_S = 1.5


class Ear:
    """Everything said on the bus, with the moment it was heard."""

    def __init__(self):
        self.heard = []

    async def hear(self, subject, payload, headers):
        self.heard.append((time.monotonic(), subject, payload))

    def said(self, subject, kind, since=0.0):
        return [
            decode(body, kind) for at, name, body in self.heard if name == subject and at > since
        ]

    def quotes(self):
        return self.said(subjects.quote(SYMBOL), Quote)

    def clocks(self):
        return [one.now_ns for one in self.said(subjects.MARKET_CLOCK, MarketClock)]

    def check_order(self):
        """No clock, quote or print ever goes back, and no print is told twice."""
        clocks = self.clocks()
        assert clocks == sorted(clocks)
        ids = [one.update_id for one in self.quotes()]
        assert ids == sorted(ids)
        prints = [one.trade_id for one in self.said(subjects.trade(SYMBOL), Trade)]
        assert prints == sorted(set(prints))

    def widest_gap_ms(self):
        """The longest market time between two quotes."""
        times = [one.ts_event_ns for one in self.quotes()]
        return max(b - a for a, b in itertools.pairwise(times)) // NS_PER_MS


class Replicas:
    """Broker, paper exchange at speed 1, and the feeds a test starts."""

    def __init__(self, broker, bus, ear, venue_port):
        self.broker, self.bus, self.ear, self.venue_port = broker, bus, ear, venue_port
        self.feeds, self.stored = [], []

    async def start_feed(self, intervals='["1s", "1m"]'):
        feed = await start(
            "services.feed",
            "http listening",
            {
                "PORTCULLIS_BUS__URL": self.broker.url,
                "PORTCULLIS_VENUE__REST_URL": f"http://127.0.0.1:{self.venue_port}",
                "PORTCULLIS_VENUE__STREAM_URL": f"ws://127.0.0.1:{self.venue_port}",
                "PORTCULLIS_SYMBOLS": f'["{SYMBOL}"]',
                "PORTCULLIS_CANDLE_INTERVALS": intervals,
                "PORTCULLIS_FEED__HTTP_PORT": "0",
            },
        )
        self.feeds.append(feed)
        return feed

    async def ask(self, feed, path):
        url = f"http://127.0.0.1:{feed[1]}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, (
                await answer.text() if path == "/metrics" else await answer.json()
            )

    async def is_leading(self, feed):
        return (await self.ask(feed, "/v1/status"))[1].get("is_leader", False)

    async def is_following(self, feed):
        status = (await self.ask(feed, "/v1/status"))[1]
        return (
            status.get("is_connected", False)
            and not status["is_leader"]
            and bool(status["lease"]["holder"])
            and not status["questions_open"]
        )

    async def leaders(self):
        return [feed for feed in self.feeds if await self.is_leading(feed)]

    async def the_leader(self):
        """The one that leads; on a machine too busy to renew, nobody may for a moment."""
        found = []

        async def one_leads():
            found[:] = await self.leaders()
            return len(found) == 1

        await until(one_leads, "one of them leads")
        return found[0]

    async def pair(self):
        """A leader and a standby that listens."""
        leader = await self.start_feed()
        await until(lambda: self.is_leading(leader), "the first leads")
        standby = await self.start_feed()
        await until(lambda: self.is_following(standby), "the second stands by")
        await self.until_stored(2)
        return leader, standby

    async def candles(self, interval):
        """Every candle of an interval in the order stored; what was read is not read again."""
        info = await self.bus.jetstream.stream_info(subjects.MARKET_STREAM)
        for sequence in range(len(self.stored) + 1, info.state.last_seq + 1):
            message = await self.bus.read_message(subjects.MARKET_STREAM, sequence)
            self.stored.append(decode(message.data, Candle))
        return [one for one in self.stored if one.interval == interval]

    async def until_stored(self, more, interval="1s"):
        """Return once so many more candles are stored."""
        wanted = len(await self.candles(interval)) + more

        async def has():
            return len(await self.candles(interval)) >= wanted

        await until(has, f"{wanted} candles of {interval}")

    async def check_candles(self):
        """What is stored has neither hole nor repeat, and is what the venue's trades add up to."""
        candles = await self.candles("1s")
        opens = [one.open_ns for one in candles]
        assert opens == list(range(opens[0], opens[0] + len(opens) * SECOND_NS, SECOND_NS))
        trades = await self.ask_venue("/fapi/v1/trades", symbol=SYMBOL, limit=1_000)
        compared = 0
        for candle in candles:
            inside = [
                (Decimal(one["price"]), Decimal(one["qty"]))
                for one in trades
                if candle.open_ns <= one["time"] * NS_PER_MS < candle.close_ns
            ]
            if not inside or trades[0]["time"] * NS_PER_MS >= candle.open_ns:
                continue
            prices = [price for price, _ in inside]
            ohlc = (prices[0], max(prices), min(prices), prices[-1])
            assert (candle.open, candle.high, candle.low, candle.close) == ohlc
            assert candle.volume == sum(quantity for _, quantity in inside)
            assert candle.trade_count == len(inside)
            compared += 1
        assert compared > len(candles) // 2

    async def ask_venue(self, path, **query):
        url = f"http://127.0.0.1:{self.venue_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
            return await answer.json()


async def until(condition, what):
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"in {DEADLINE_S} s not so: {what}") from None


@asynccontextmanager
async def new_world(folder, speed="1"):
    broker = Broker(folder / "broker")
    settings = BusConfig(url=await broker.start())
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    ear = Ear()
    await bus.subscribe("market.>", ear.hear)
    venue, port = await start(
        "services.paper_exchange", "listening", {},
        "--port", "0", "--source", "generator", "--speed", speed,
    )  # fmt: skip
    world = Replicas(broker, bus, ear, port)
    try:
        yield world
    finally:
        for process, _ in world.feeds:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
            await end(process, signal.SIGKILL)
        await end(venue, signal.SIGKILL)
        await bus.close()
        await broker.stop()


@pytest.fixture
async def world(tmp_path):
    async with new_world(tmp_path) as made:
        yield made


async def test_when_the_leader_is_killed_the_standby_goes_on_within_three_seconds(world):
    leader, standby = await world.pair()
    await end(leader[0], signal.SIGKILL)
    world.feeds.remove(leader)
    await until(lambda: world.is_leading(standby), "the standby leads")
    await world.until_stored(2)
    world.ear.check_order()
    assert world.ear.widest_gap_ms() < GAP_MS_MAX
    await world.check_candles()


async def test_a_leader_that_slept_past_its_lease_says_nothing_more(world):
    leader, standby = await world.pair()
    os.kill(leader[0].pid, signal.SIGSTOP)
    await until(lambda: world.is_leading(standby), "the standby leads")
    await world.until_stored(2)
    os.kill(leader[0].pid, signal.SIGCONT)
    await until(lambda: world.is_following(leader), "the sleeper stands by")
    await world.until_stored(2)
    await world.the_leader()
    world.ear.check_order()
    assert world.ear.widest_gap_ms() < GAP_MS_MAX
    await world.check_candles()


async def test_a_leader_that_is_stopped_hands_over_at_once(world):
    leader, standby = await world.pair()
    await end(leader[0])
    world.feeds.remove(leader)
    stopped_at = time.monotonic()
    await until(lambda: world.is_leading(standby), "the standby leads")
    assert time.monotonic() - stopped_at < LEASE_S
    await world.until_stored(2)
    world.ear.check_order()
    await world.check_candles()


async def test_without_a_broker_nobody_speaks_and_afterwards_one_does(world):
    await world.pair()
    await world.broker.kill()

    async def nobody_leads():
        return not await world.leaders()

    await until(nobody_leads, "both are silent")
    await world.broker.start()
    await world.the_leader()
    await world.until_stored(2)
    await world.the_leader()
    world.ear.check_order()
    await world.check_candles()


async def test_of_two_started_at_once_exactly_one_leads_and_both_are_ready(world):
    await asyncio.gather(world.start_feed(), world.start_feed())

    async def both_are_ready():
        return all([(await world.ask(feed, "/readyz"))[0] == 200 for feed in world.feeds])

    await until(both_are_ready, "both are ready")
    await world.until_stored(2)
    leader = await world.the_leader()
    (standby,) = (feed for feed in world.feeds if feed is not leader)
    checks = (await world.ask(standby, "/readyz"))[1]["checks"]
    assert checks["lease"]["output"].startswith("standby; ")
    assert "feed_is_leader 0.0" in (await world.ask(standby, "/metrics"))[1]

    async def says_it_leads():
        return "feed_is_leader 1.0" in (await world.ask(leader, "/metrics"))[1]

    await until(says_it_leads, "the leader's metric is 1")
    since = time.monotonic()
    await world.until_stored(2)
    said = (await world.ask(leader, "/v1/status"))[1]["published"]
    health = world.ear.said(subjects.MARKET_HEALTH, MarketHealth, since)
    assert all(one.published["clock"] <= said["clock"] for one in health)
    assert [one.published["clock"] for one in health] == sorted(
        one.published["clock"] for one in health
    )
    world.ear.check_order()
    await end(leader[0], signal.SIGKILL)
    world.feeds.remove(leader)
    await until(lambda: world.is_leading(standby), "the other goes on")
    await world.until_stored(2)
    await world.check_candles()


async def test_a_feed_alone_leads_at_once_and_after_a_crash_within_its_lease(world):
    feed = await world.start_feed()
    await until(lambda: world.is_leading(feed), "it leads")
    await end(feed[0], signal.SIGKILL)
    world.feeds.remove(feed)
    again = await world.start_feed()
    started_at = time.monotonic()
    await until(lambda: world.is_leading(again), "the next one leads")
    assert time.monotonic() - started_at < 2 * LEASE_S


async def test_minutes_equal_the_venues_klines_though_leaders_die_in_turn(tmp_path):
    async with new_world(tmp_path, speed="240") as world:
        for _ in range(2):
            await asyncio.gather(*(world.start_feed('["1m"]') for _ in range(2 - len(world.feeds))))
            await world.until_stored(4, "1m")
            leader = await world.the_leader()
            await end(leader[0], signal.SIGKILL)
            world.feeds.remove(leader)
        await world.until_stored(5, "1m")
        candles = await world.candles("1m")
        rows = await world.ask_venue(
            "/fapi/v1/klines", symbol=SYMBOL, interval="1m",
            startTime=candles[0].open_ns // NS_PER_MS, endTime=candles[-1].open_ns // NS_PER_MS,
        )  # fmt: skip
        assert [
            [c.open_ns // NS_PER_MS, *map(str, (c.open, c.high, c.low, c.close, c.volume))]
            for c in candles
        ] == [row[:6] for row in rows]
        world.ear.check_order()
