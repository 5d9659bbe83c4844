"""The user stream's connection when what follows it fails: it goes on, and it is patient."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from libs.common.runtime.broker import Broker
from libs.common.runtime.clock import Clock, PaperClock, SystemClock, wall_ns
from libs.common.runtime.config import CommonConfig, VenueConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.metrics import STREAM_AGE, STREAM_CONNECTED
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import ThrottleKind
from libs.common.venue.outcomes import Throttled
from libs.common.venue.user_payloads import UserEvent
from services.execution.config import ExecutionConfig
from services.execution.user_stream import UserStream
from tests.integration.execution.puppet_world import PuppetWorld

BALANCE = '{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"ORDER"}}'


class LastDice(random.Random):
    """Always draws the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Door:
    """A venue of which only the user stream's door stands."""

    def __init__(self) -> None:
        self.opened = 0
        self.keys_made = 0
        self.keys: list[str] = []
        self.living = ""
        self.kept_alive = 0
        self.answers_max = 1_000
        self.keepalives: list[web.Response] = []

    async def listen_key(self, _: web.Request) -> web.Response:
        """The key that lives; a new one where none does."""
        if self.keys or not self.living:
            self.keys_made += 1
            self.living = self.keys.pop(0) if self.keys else f"{self.keys_made:064}"
        return web.json_response({"listenKey": self.living})

    async def keep_alive(self, _: web.Request) -> web.Response:
        self.kept_alive += 1
        answer = self.keepalives.pop(0) if self.keepalives else web.json_response({})
        if answer.status == 400:
            self.living = ""
        return answer

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.opened += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        answers = 0
        async for message in socket:
            if answers < self.answers_max:
                answers += 1
                await socket.send_json({"id": message.json()["id"], "result": []})
                await socket.send_str(BALANCE)
        return socket


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    door = Door()
    app = web.Application()
    app.router.add_post("/fapi/v1/listenKey", door.listen_key)
    app.router.add_put("/fapi/v1/listenKey", door.keep_alive)
    app.router.add_get("/private/{rest:.*}", door.stream)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield door, f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def a_client(address: str) -> VenueClient:
    now = SystemClock().now_ns
    return VenueClient(f"http://{address}", now, api_key="a" * 64, api_secret=Secret("b" * 64))


async def nothing(*_: object) -> None:
    """All is well."""


def new_stream(
    address: str,
    venue: VenueClient,
    *,
    on_event: Callable[[UserEvent], Awaitable[None]] = nothing,
    on_up: Callable[[], Awaitable[None]] = nothing,
    on_down: Callable[[str], None] = lambda _: None,
    settings: ExecutionConfig | None = None,
    clock: Clock | None = None,
) -> UserStream:
    return UserStream(
        venue,
        clock or SystemClock(),
        CommonConfig(venue=VenueConfig(rest_url=f"http://{address}", stream_url=f"ws://{address}")),
        settings or ExecutionConfig(reconnect_wait_ms=50),
        on_event=on_event,
        on_up=on_up,
        on_down=on_down,
        dice=LastDice(),
    )


async def live_for(
    address: str,
    seconds: float,
    *,
    on_event: Callable[[UserEvent], Awaitable[None]],
    on_up: Callable[[], Awaitable[None]],
    settings: ExecutionConfig | None = None,
    clock: Clock | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Run a user stream for so long, or until it is over; returns why it went down each time."""
    venue = a_client(address)
    downs: list[str] = []
    stream = new_stream(
        address,
        venue,
        on_event=on_event,
        on_up=on_up,
        on_down=downs.append,
        settings=settings,
        clock=clock,
    )

    async def wait() -> None:
        while not is_over():
            await asyncio.sleep(0.02)

    running, waiting = asyncio.create_task(stream.run()), asyncio.create_task(wait())
    tasks = {running, waiting}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await venue.close_connection()
    return downs


def shown(name: str) -> float:
    """A figure of the user stream, as Prometheus is told it."""
    value = REGISTRY.get_sample_value(name, {"stream": "user"})
    assert value is not None, f"{name} has no series"
    return value


async def test_the_first_attempt_to_connect_is_no_reconnect_and_every_other_one_is(
    door: tuple[Door, str],
) -> None:
    async def fail() -> None:
        raise BusUnavailable("the broker is away")

    await live_for(door[1], 0.5, on_event=nothing, on_up=nothing)
    assert door[0].opened == 1
    before = shown("ws_reconnect_attempts_total")
    downs = await live_for(door[1], 0.6, on_event=nothing, on_up=fail)
    assert len(downs) >= 2
    made = door[0].opened - 1
    assert shown("ws_reconnect_attempts_total") - before == made - 1


async def test_a_stream_that_never_came_up_is_shown_as_down(door: tuple[Door, str]) -> None:
    STREAM_CONNECTED.clear()
    made = new_stream(door[1], a_client(door[1]))
    assert shown("ws_connected") == 0
    made.measure_age()
    assert 0 <= shown("ws_last_msg_age_seconds") < 1


async def test_the_age_of_a_quiet_account_stays_that_of_the_venues_last_answer(
    door: tuple[Door, str],
) -> None:
    settings = ExecutionConfig(stream_heartbeat_ms=500)
    venue = a_client(door[1])
    stream = new_stream(door[1], venue, settings=settings)
    ages = []
    task = asyncio.create_task(stream.run())
    try:
        for _ in range(30):
            await asyncio.sleep(0.05)
            stream.measure_age()
            ages.append(shown("ws_last_msg_age_seconds"))
    finally:
        task.cancel()
        await venue.close_connection()
    assert 0.3 < max(ages) < 1.2
    assert any(later < earlier for earlier, later in itertools.pairwise(ages))


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


def hurried() -> PaperClock:
    """A clock on which half an hour of keepalives passes in a moment."""
    clock = PaperClock()
    clock.grant(wall_ns(), Decimal(10_000), None)
    return clock


async def test_a_venue_that_answers_nothing_any_more_is_left_and_asked_anew(
    door: tuple[Door, str],
) -> None:
    door[0].answers_max = 1
    settings = ExecutionConfig(reconnect_wait_ms=50, stream_heartbeat_ms=500)
    downs = await live_for(
        door[1], 30, on_event=nothing, on_up=nothing, settings=settings,
        is_over=lambda: door[0].opened == 2,
    )  # fmt: skip
    assert downs == ["the user stream does not answer"]
    assert door[0].opened == 2


async def test_a_quiet_venue_that_answers_is_not_left(door: tuple[Door, str]) -> None:
    settings = ExecutionConfig(reconnect_wait_ms=50, stream_heartbeat_ms=500)
    downs = await live_for(door[1], 2.5, on_event=nothing, on_up=nothing, settings=settings)
    assert downs == []


async def test_a_key_that_the_venue_knows_no_more_is_replaced_at_once(
    door: tuple[Door, str],
) -> None:
    gone = {"code": -1125, "msg": "This listenKey does not exist."}
    door[0].keepalives = [web.json_response(gone, status=400)]
    settings = ExecutionConfig(reconnect_wait_ms=60_000)  # a wait would outlast the test
    downs = await live_for(
        door[1], 1.5, on_event=nothing, on_up=nothing, settings=settings, clock=hurried()
    )
    assert downs == ["the venue knows our listen key no more"]
    assert door[0].keys_made == 2


async def test_a_keepalive_that_fails_for_a_moment_costs_nothing(door: tuple[Door, str]) -> None:
    busy = {"code": -1001, "msg": "Internal error; unable to process your request."}
    door[0].keepalives = [web.json_response(busy, status=503) for _ in range(2)]
    downs = await live_for(door[1], 1.0, on_event=nothing, on_up=nothing, clock=hurried())
    assert downs == []
    assert door[0].kept_alive >= 3
    assert door[0].keys_made == 1


async def test_a_key_that_ended_before_its_stream_was_up_is_replaced(
    door: tuple[Door, str],
) -> None:
    ups = []

    async def up() -> None:
        ups.append(door[0].opened)

    door[0].keys = ["first" * 12, "second" * 10]
    downs = await live_for(door[1], 1.0, on_event=nothing, on_up=up)
    assert downs == ["the listen key ended before its stream was up"]
    assert ups == [2]


async def test_execution_shows_the_age_of_its_user_stream(nats_server: Broker) -> None:
    world = PuppetWorld(nats_server)
    try:
        await world.start()
        STREAM_AGE.clear()

        def is_shown() -> bool:
            age = REGISTRY.get_sample_value("ws_last_msg_age_seconds", {"stream": "user"})
            return age is not None

        await world.until(is_shown, "the age of the user stream to be shown")
    finally:
        await world.stop()
