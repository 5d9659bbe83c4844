import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_socket import VenueSocket, VenueSocketLimits
from libs.common.runtime.venue_transport import VenueCall
from libs.common.testing.scripted_venue import ScriptedVenue
from libs.common.testing.venue_calls import ACK, KEY, NOW_MS, ORDER, SECRET, client_of, place
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown

Reply = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


def says(status: int, body: bytes, **more: Any) -> Reply:
    """Answer with this status and body."""

    async def reply(socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        part = "result" if status == 200 else "error"
        answer = {"id": asked["id"], "status": status, part: json.loads(body), **more}
        await socket.send_str(json.dumps(answer))

    return reply


async def silent(socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
    """Never answer."""


async def cut(socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
    """End the connection without a word."""
    assert socket._req is not None
    assert socket._req.transport is not None
    socket._req.transport.abort()


def raw(text: str) -> Reply:
    async def reply(socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await socket.send_str(text)

    return reply


class SocketVenue:
    """A WebSocket API that answers from `replies` in turn, then with `default`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.default: Reply = says(200, ACK)
        self.connections = 0
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                self.asked.append(json.loads(message.data))
                reply = self.replies.pop(0) if self.replies else self.default
                await reply(socket, self.asked[-1])
        return socket


@pytest.fixture
async def api() -> AsyncIterator[SocketVenue]:
    one, app = SocketVenue(), web.Application()
    app.router.add_get("/ws-fapi/v1", one.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws-fapi/v1"
    yield one
    await runner.cleanup()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def socket_to(url: str, **changes: int) -> VenueSocket:
    limits = VenueSocketLimits(**{"reconnect_wait_ms": 5, **changes})
    return VenueSocket(
        url, api_key=KEY, api_secret=Secret(SECRET), dice=random.Random(1), limits=limits
    )


@pytest.fixture
async def socket(api: SocketVenue) -> AsyncIterator[VenueSocket]:
    one = socket_to(api.url)
    one.start()
    await until(lambda: one.is_open)
    yield one
    await one.close()


@pytest.fixture
async def client(venue: ScriptedVenue, socket: VenueSocket) -> AsyncIterator[VenueClient]:
    async with client_of(venue.url, order_socket=socket) as one:
        yield one


async def test_orders_go_over_the_socket_and_reads_over_http(
    api: SocketVenue, venue: ScriptedVenue, client: VenueClient
) -> None:
    assert isinstance(await place(client), Accepted)
    assert isinstance(await client.cancel_order("BTCUSDT", "x"), Accepted)
    found = await client.query_order("BTCUSDT", "x")
    assert found is not None
    assert [one["method"] for one in api.asked] == ["order.place", "order.cancel", "order.status"]
    assert len({one["id"] for one in api.asked}) == 3
    assert api.asked[0]["params"]["timestamp"] == NOW_MS
    assert api.asked[0]["params"]["newClientOrderId"] == ORDER["newClientOrderId"]
    assert venue.heard == []
    await client.cancel_open_orders("BTCUSDT")
    assert [one.method for one in venue.heard] == ["DELETE"]


async def test_requests_do_not_wait_for_one_another(api: SocketVenue, client: VenueClient) -> None:
    api.replies = [silent]
    slow = asyncio.create_task(client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=200))
    await asyncio.sleep(0)
    assert isinstance(await place(client), Accepted)
    assert not slow.done()
    outcome = await slow
    assert isinstance(outcome, Unknown)
    assert "200 ms" in outcome.why


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"code":-2019,"msg":"Margin is insufficient."}', Rejected),
        (400, b'{"code":-1007,"msg":"Timeout waiting for response"}', Unknown),
        (409, b'{"code":-4999,"msg":"x"}', Rejected),
        (429, b'{"code":-1015,"msg":"Too many new orders."}', Throttled),
        (503, b'{"code":-1000,"msg":"Unknown error, please check your request"}', Unknown),
        (500, b'{"code":-2019,"msg":"x"}', Unknown),
        (200, b"{}", Unknown),
    ],
)
async def test_the_same_table_judges_both_ways(
    api: SocketVenue, client: VenueClient, status: int, body: bytes, expected: type
) -> None:
    api.replies = [says(status, body)]
    assert isinstance(await place(client), expected)


async def test_counts_of_the_socket_feed_the_same_budget(
    api: SocketVenue, client: VenueClient
) -> None:
    limit = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "count": 42}
    api.replies = [says(200, ACK, rateLimits=[limit])]
    await place(client)
    assert client.budget.describe(NOW_MS)["orders_10s"]["used"] == 42


async def test_a_ban_told_on_the_socket_stops_both_ways(
    api: SocketVenue, venue: ScriptedVenue, client: VenueClient
) -> None:
    data = {"serverTime": NOW_MS, "retryAfter": NOW_MS + 60_000}
    body = json.dumps({"code": -1003, "msg": "banned", "data": data}).encode()
    api.replies = [says(418, body)]
    first = await place(client)
    assert isinstance(first, Throttled)
    assert first.kind is ThrottleKind.BANNED
    assert first.retry_after_ms == 60_000
    assert isinstance(await client.cancel_open_orders("BTCUSDT"), Throttled)
    assert isinstance(await place(client), Throttled)
    assert len(api.asked) == 1
    assert venue.heard == []


async def test_a_lost_connection_leaves_what_was_sent_unknown_and_http_takes_over(
    api: SocketVenue, venue: ScriptedVenue, client: VenueClient, socket: VenueSocket
) -> None:
    api.replies = [silent, cut]
    outcomes = await asyncio.gather(place(client), place(client))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert venue.heard == []  # never sent again, not even the other way
    assert socket.answers_lost == 2
    assert isinstance(await place(client), Accepted)
    await until(lambda: socket.is_open)
    assert isinstance(await place(client), Accepted)
    assert api.connections == 2


async def test_an_answer_after_the_timeout_changes_nothing(
    api: SocketVenue, client: VenueClient, socket: VenueSocket
) -> None:
    async def late(ws: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await asyncio.sleep(0.1)
        await says(200, ACK)(ws, asked)

    api.replies = [late]
    outcome = await client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=20)
    assert isinstance(outcome, Unknown)
    await until(lambda: socket.strays)
    assert isinstance(await place(client), Accepted)


@pytest.mark.parametrize("text", ["<html>", '{"id":', "[]", '{"id":"other","status":200}'])
async def test_a_frame_that_answers_nothing_is_no_answer(
    api: SocketVenue, client: VenueClient, socket: VenueSocket, text: str
) -> None:
    api.replies = [raw(text)]
    outcome = await client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=50)
    assert isinstance(outcome, Unknown)
    assert socket.strays + socket.unreadable == 1


async def test_without_a_socket_http_carries_orders(venue: ScriptedVenue) -> None:
    socket = socket_to("ws://127.0.0.1:1/ws-fapi/v1")
    socket.start()
    async with client_of(venue.url, order_socket=socket) as client:
        assert isinstance(await place(client), Accepted)
    assert len(venue.heard) == 1
    outcome: Outcome = await socket.call("order.place", ORDER, 100)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.NOT_SENT


async def test_the_socket_is_replaced_before_its_life_ends_without_losing_an_answer(
    api: SocketVenue, venue: ScriptedVenue
) -> None:
    async def slow(ws: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await asyncio.sleep(0.3)
        await says(200, ACK)(ws, asked)

    socket = socket_to(api.url, lifetime_ms=100)
    socket.start()
    await until(lambda: socket.is_open)
    api.replies = [slow]
    outcome = await socket.call("order.place", {**ORDER, "timestamp": NOW_MS}, 2_000)
    assert isinstance(outcome, Accepted)
    assert api.connections >= 2
    await socket.close()


async def test_a_shutdown_that_the_venue_announces_moves_us_to_a_new_socket(
    api: SocketVenue, client: VenueClient, socket: VenueSocket
) -> None:
    api.replies = [raw('{"event":{"e":"serverShutdown","E":1}}')]
    await client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=20)
    await until(lambda: api.connections == 2 and socket.is_open)
    assert isinstance(await place(client), Accepted)


async def test_closing_leaves_what_was_sent_unknown(
    api: SocketVenue, client: VenueClient, socket: VenueSocket
) -> None:
    api.replies = [silent]
    task = asyncio.create_task(client.place_order(ORDER, timestamp_ms=NOW_MS, timeout_ms=5_000))
    await until(lambda: api.asked)
    await socket.close()
    assert isinstance(await task, Unknown)


async def test_more_in_flight_than_allowed_is_not_sent(api: SocketVenue) -> None:
    socket = socket_to(api.url, in_flight_max=1)
    socket.start()
    await until(lambda: socket.is_open)
    api.replies = [silent]
    first = asyncio.create_task(socket.call("order.place", ORDER, 100))
    await asyncio.sleep(0)
    second = await socket.call("order.place", ORDER, 100)
    assert isinstance(second, Rejected)
    assert second.reason is Reason.NOT_SENT
    assert isinstance(await first, Unknown)
    await socket.close()


async def test_the_observer_sees_calls_of_the_socket(
    venue: ScriptedVenue, socket: VenueSocket
) -> None:
    calls: list[VenueCall] = []
    async with client_of(venue.url, order_socket=socket, on_call=calls.append) as client:
        await place(client)
    assert [(call.method, call.path) for call in calls] == [("POST", "/fapi/v1/order")]
