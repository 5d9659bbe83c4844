"""Two feeds as processes: one speaks, none is missed. The longer stories: tests/chaos."""

import os
import signal
import time

import pytest

from tests.integration.feed_replicas import GAP_MS_MAX, LEASE_S, new_world, until
from tests.integration.test_feed_paper_exchange import end


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


async def test_a_feed_alone_leads_at_once_and_after_a_crash_within_its_lease(world):
    feed = await world.start_feed()
    await until(lambda: world.is_leading(feed), "it leads")
    await end(feed[0], signal.SIGKILL)
    world.feeds.remove(feed)
    again = await world.start_feed()
    started_at = time.monotonic()
    await until(lambda: world.is_leading(again), "the next one leads")
    assert time.monotonic() - started_at < 2 * LEASE_S
