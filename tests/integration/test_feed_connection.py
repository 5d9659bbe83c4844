"""One connection on a venue that says little."""

import asyncio

from services.feed.config import FeedConfig
from services.feed.connection import Connection, Listener
from services.feed.plan import plan_sockets
from services.feed.stream_watch import StreamWatch
from tests.integration.feed_venue import FeedVenue

SETTINGS = FeedConfig(quiet_ms_max=100, silence_ms_max=500)
DEADLINE_S = 10


def new_connection(venue):
    plan = plan_sockets(("BTCUSDT",), ("1m",), streams_per_socket_max=9, with_clock=False)[0]
    listener = Listener(lambda *_: True, lambda *_: None, lambda _: None, lambda _: None)
    url = f"ws://127.0.0.1:{venue.port}/{plan.route}/stream"
    return Connection(plan, url, SETTINGS, listener, StreamWatch({}), proves_time=True)


async def check_until(connection, is_done):
    async with asyncio.timeout(DEADLINE_S):
        while not is_done():
            connection.check()
            await asyncio.sleep(0.02)


async def test_a_quiet_connection_is_asked_whether_it_lives_and_stays_while_it_answers():
    async with FeedVenue(1_000) as venue:
        connection = new_connection(venue)
        await connection.open()
        answered = connection.frames + 12
        await check_until(connection, lambda: connection.frames >= answered)
        assert connection.is_live
        assert not connection.over.is_set()
        await connection.close()


async def test_a_connection_that_does_not_answer_is_given_up():
    async with FeedVenue(1_000) as venue:
        connection = new_connection(venue)
        await connection.open()
        venue.is_mute = True
        await check_until(connection, connection.over.is_set)
        assert connection.why == "silent for more than 500 ms"
        await connection.close()


async def test_a_connection_whose_subscriptions_are_gone_is_given_up():
    async with FeedVenue(1_000) as venue:
        connection = new_connection(venue)
        await connection.open()
        for streams in venue.sockets.values():
            streams.clear()
        await check_until(connection, connection.over.is_set)
        assert "forgotten" in connection.why
        await connection.close()
