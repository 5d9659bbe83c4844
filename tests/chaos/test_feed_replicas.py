"""Feeds that die in turn, start together or lose their broker: one speaks, all is heard."""

import asyncio
import signal
import time

import pytest

from libs.common.messages import subjects
from libs.common.messages.market import MarketHealth
from tests.integration.feed_replicas import NS_PER_MS, SYMBOL, new_world, until
from tests.integration.test_feed_paper_exchange import end

pytestmark = pytest.mark.chaos


@pytest.fixture
async def world(tmp_path):
    async with new_world(tmp_path) as made:
        yield made


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
