"""The user stream's connection when what follows it fails: it goes on, and it is patient."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from libs.common.runtime.clock import SystemClock
from libs.common.runtime.config import CommonConfig, VenueConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import ThrottleKind
from libs.common.venue.outcomes import Throttled
from libs.common.venue.user_payloads import UserEvent
from services.execution.config import ExecutionConfig
from services.execution.user_stream import UserStream

BALANCE = '{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"ORDER"}}'


class LastDice(random.Random):
    """Always draws the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Door:
    """A venue of which only the user stream's door stands."""

    def __init__(self) -> None:
        self.opened = 0

    async def listen_key(self, _: web.Request) -> web.Response:
        return web.json_response({"listenKey": "k" * 64})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.opened += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_str('{"id":1,"result":[]}')
            await socket.send_str(BALANCE)
        return socket


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    door = Door()
    app = web.Application()
    app.router.add_post("/fapi/v1/listenKey", door.listen_key)
    app.router.add_get("/private/{rest:.*}", door.stream)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield door, f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def live_for(
    address: str,
    seconds: float,
    *,
    on_event: Callable[[UserEvent], Awaitable[None]],
    on_up: Callable[[], Awaitable[None]],
) -> list[str]:
    """Run a user stream for a while; returns why it went down each time."""
    now = SystemClock().now_ns
    venue = VenueClient(f"http://{address}", now, api_key="a" * 64, api_secret=Secret("b" * 64))
    downs: list[str] = []
    stream = UserStream(
        venue,
        SystemClock(),
        CommonConfig(venue=VenueConfig(rest_url=f"http://{address}", stream_url=f"ws://{address}")),
        ExecutionConfig(reconnect_wait_ms=50),
        on_event=on_event,
        on_up=on_up,
        on_down=downs.append,
        dice=LastDice(),
    )
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.run(), seconds)
    finally:
        await venue.close_connection()
    return downs


async def nothing(*_: object) -> None:
    """All is well."""


async def test_a_broker_that_is_away_costs_the_connection_and_not_the_process(
    door: tuple[Door, str],
) -> None:
    async def refuse(_: UserEvent) -> None:
        raise BusUnavailable("the broker is away")

    downs = await live_for(door[1], 1.0, on_event=refuse, on_up=nothing)
    assert len(downs) >= 2
    assert set(downs) == {"the broker is away"}


async def test_gaps_that_cannot_be_closed_are_retried_ever_more_slowly(
    door: tuple[Door, str],
) -> None:
    async def fail() -> None:
        raise BusUnavailable("the broker is away")

    await live_for(door[1], 1.2, on_event=nothing, on_up=fail)
    assert 2 <= door[0].opened <= 5  # at 0, 100, 300, 700 ms, and not every 50


async def test_a_venue_that_names_a_wait_is_left_alone_for_as_long(
    door: tuple[Door, str],
) -> None:
    async def banned() -> None:
        ban = Throttled(418, -1003, "banned", ThrottleKind.BANNED, retry_after_ms=60_000)
        raise VenueReadError("GET balance", ban)

    await live_for(door[1], 1.0, on_event=nothing, on_up=banned)
    assert door[0].opened == 1
