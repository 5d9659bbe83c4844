"""What the feed shows of itself before anything has happened, and what it lost of order books."""

import random
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.metrics import STREAM_CONNECTED
from libs.common.runtime.service import Context
from services.feed.config import FeedConfig
from services.feed.events import DepthEvent
from services.feed.shell import FeedShell

SYMBOL = "ADAUSDT"
KIND = "depth@100ms"


@asynccontextmanager
async def new_feed(**settings):
    """A feed that never begins, so it needs no broker; of a name and symbol no other test has."""
    common = CommonConfig(symbols=(SYMBOL,))
    context = Context("untouched", common, FeedConfig(**settings), "", None)
    feed = FeedShell(context, random.Random(1))
    yield feed
    await feed._venue.close_connection()


def change(number):
    return DepthEvent(number, SYMBOL, number, number, number - 1, (), ())


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("feed_gap_alert_total", {"symbol": SYMBOL}),
        ("feed_gap_total", {"symbol": SYMBOL}),
        ("feed_gap_filled_total", {"symbol": SYMBOL}),
        ("dead_letters_total", {"service": "untouched"}),
        ("ws_connected", {"stream": "public-0"}),
        ("ws_connected", {"stream": "market-0"}),
    ],
)
async def test_what_has_not_happened_yet_is_shown_as_0(name, labels):
    STREAM_CONNECTED.clear()
    async with new_feed():
        assert REGISTRY.get_sample_value(name, labels) == 0


async def test_changes_that_no_book_will_see_are_counted_as_dropped():
    settings = {"depth_queue_events_max": 3, "depth_buffer_events_max": 2}
    async with new_feed(depth_streams=(KIND,), **settings) as feed:
        assert feed._report.dropped()["depth"] == 0
        depth = feed._fitness.depth
        for number in range(1, 6):
            depth.offer(f"{SYMBOL.lower()}@{KIND}", change(number))
        assert feed._report.dropped()["depth"] == 2
        for number in range(1, 4):
            depth.books[SYMBOL].on_event(change(number))
        assert feed._report.dropped()["depth"] == 3
