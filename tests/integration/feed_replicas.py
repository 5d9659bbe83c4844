"""Feeds as replicas: processes of their own, a real broker and the real paper exchange."""

import asyncio
import itertools
import signal
import time
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle, MarketClock, Quote, Trade
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.provisioning import provision
from tests.integration.patience import patient
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
    settings = patient(await broker.start())
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
