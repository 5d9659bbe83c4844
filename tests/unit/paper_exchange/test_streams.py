"""The WebSocket doors, on a real server with a real client."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from services.paper_exchange.doors import streams as streams_module
from services.paper_exchange.doors.hub import SEND_QUEUE_HIGH, Hub
from services.paper_exchange.doors.streams import STREAMS_MAX, Habits, Streams

QUOTE = {"e": "bookTicker", "s": "BTCUSDT"}
CLOCK = {"e": "simClock", "E": 1, "n": 1_000_000, "v": "1", "l": None, "z": False}


class _Venue:
    def __init__(self, hub: Hub, url: str, session: aiohttp.ClientSession) -> None:
        self.hub = hub
        self.url = url
        self.day_is_over = asyncio.Event()
        self._session = session

    @asynccontextmanager
    async def socket(self, path: str, **options: Any) -> AsyncIterator["_Socket"]:
        async with self._session.ws_connect(self.url + path, **options) as socket:
            opened = _Socket(socket)
            await self._until_attached()
            yield opened

    async def _until_attached(self) -> None:
        async with asyncio.timeout(5):
            while not self.hub.sockets:
                await asyncio.sleep(0.001)


class _Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket

    async def receive(self) -> Any:
        async with asyncio.timeout(5):
            return msgspec.json.decode(await self.raw.receive_str())

    async def ask(self, method: str, *params: object, request_id: object = 1) -> Any:
        await self.raw.send_json({"method": method, "params": list(params), "id": request_id})
        return await self.receive()

    async def is_silent(self) -> bool:
        """Ask something: were anything queued before, it would come before the answer."""
        return bool(await self.ask("GET_PROPERTY", "combined") in (_result(True), _result(False)))


def _result(value: object, request_id: object = 1) -> dict[str, object]:
    return {"result": value, "id": request_id}


@pytest.fixture
async def venue() -> AsyncIterator[_Venue]:
    async with _serve(Habits(lambda: CLOCK, time.monotonic_ns)) as venue:
        yield venue


@pytest.fixture
async def talkative() -> AsyncIterator[_Venue]:
    """A venue that explains a wrong door, and ends all days when told so."""
    day_is_over = asyncio.Event()
    habits = Habits(
        lambda: CLOCK, time.monotonic_ns, lambda: _wait(day_is_over), is_wrong_door_mute=False
    )
    async with _serve(habits) as venue:
        venue.day_is_over = day_is_over
        yield venue


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


@asynccontextmanager
async def _serve(habits: Habits) -> AsyncIterator[_Venue]:
    hub = Hub()
    streams = Streams(hub, habits)
    app = web.Application()
    app.add_routes(streams.routes())
    app.on_shutdown.append(streams.close_all)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        yield _Venue(hub, f"http://127.0.0.1:{port}", session)
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "is_combined"),
    [
        ("/public/ws/btcusdt@bookTicker", False),
        ("/public/ws/ethusdt@bookTicker/btcusdt@bookTicker", False),
        ("/ws/btcusdt@bookTicker", False),
        ("/public/stream?streams=btcusdt@bookTicker", True),
        ("/public/stream?streams=ethusdt@trade/btcusdt@bookTicker", True),
        ("/stream?streams=btcusdt@bookTicker", True),
    ],
)
async def test_a_url_names_its_streams_and_the_path_decides_the_envelope(
    venue: _Venue, path: str, is_combined: bool
) -> None:
    async with venue.socket(path) as socket:
        venue.hub.publish("btcusdt@bookTicker", QUOTE)
        expected = {"stream": "btcusdt@bookTicker", "data": QUOTE} if is_combined else QUOTE
        assert await socket.receive() == expected


@pytest.mark.parametrize("path", ["/public/ws", "/public/ws/0", "/public/stream", "/ws", "/stream"])
@pytest.mark.parametrize("request_id", [7, "a-uuid", None])
async def test_subscribing_later_is_acknowledged_with_any_kind_of_id(
    venue: _Venue, path: str, request_id: object
) -> None:
    async with venue.socket(path) as socket:
        answer = await socket.ask("SUBSCRIBE", "btcusdt@bookTicker", request_id=request_id)
        assert answer == _result(None, request_id)
        venue.hub.publish("btcusdt@bookTicker", QUOTE)
        assert QUOTE in ((await socket.receive()), (QUOTE if path.endswith("stream") else None))
        assert await socket.ask("LIST_SUBSCRIPTIONS") == _result(["btcusdt@bookTicker"])
        assert await socket.ask("UNSUBSCRIBE", "btcusdt@bookTicker") == _result(None)
        venue.hub.publish("btcusdt@bookTicker", QUOTE)
        assert await socket.is_silent()


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/public/ws", "btcusdt@kline_1m"),
        ("/public/ws", "btcusdt@markPrice@1s"),
        ("/market/ws", "btcusdt@bookTicker"),
        ("/ws", "btcusdt@aggTrade"),
        ("/private/ws", "btcusdt@trade"),
    ],
)
async def test_a_stream_at_the_wrong_door_is_acknowledged_and_silent(
    venue: _Venue, path: str, stream: str
) -> None:
    async with venue.socket(path) as socket:
        assert await socket.ask("SUBSCRIBE", stream) == _result(None)
        venue.hub.publish(stream, QUOTE)
        assert await socket.is_silent()


@pytest.mark.parametrize("path", ["/public/ws", "/market/ws"])
async def test_trades_flow_through_both_market_doors(venue: _Venue, path: str) -> None:
    async with venue.socket(path + "/btcusdt@trade") as socket:
        venue.hub.publish("btcusdt@trade", {"e": "trade"})
        assert await socket.receive() == {"e": "trade"}


async def test_properties_can_be_read_and_change_the_envelope(venue: _Venue) -> None:
    async with venue.socket("/public/ws/btcusdt@bookTicker") as socket:
        assert await socket.ask("GET_PROPERTY", "combined") == _result(False)
        assert await socket.ask("SET_PROPERTY", "combined", True) == _result(None)
        venue.hub.publish("btcusdt@bookTicker", QUOTE)
        assert await socket.receive() == {"stream": "btcusdt@bookTicker", "data": QUOTE}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{broken", 3),
        ('{"params":[],"id":1}', 2),
        ('{"method":"DANCE","params":[],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[true],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["x"],"id":1.5}', 2),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0),
    ],
)
async def test_what_is_not_a_control_message_is_refused_and_the_socket_lives(
    venue: _Venue, text: str, code: int
) -> None:
    async with venue.socket("/public/ws") as socket:
        await socket.raw.send_str(text)
        answer = await socket.receive()
        assert answer["error"]["code"] == code
        assert await socket.is_silent()


async def test_more_streams_than_allowed_are_refused(venue: _Venue) -> None:
    async with venue.socket("/public/ws") as socket:
        names = [f"s{n}@trade" for n in range(STREAMS_MAX)]
        assert await socket.ask("SUBSCRIBE", *names) == _result(None)
        answer = await socket.ask("SUBSCRIBE", "onemore@trade")
        assert answer["error"]["code"] == 2
        assert len((await socket.ask("LIST_SUBSCRIPTIONS"))["result"]) == STREAMS_MAX


async def test_more_than_ten_messages_a_second_end_the_connection(venue: _Venue) -> None:
    async with venue.socket("/public/ws") as socket:
        for _ in range(11):
            await socket.raw.send_json({"method": "LIST_SUBSCRIPTIONS", "params": [], "id": 1})
        async with asyncio.timeout(5):
            while (message := await socket.raw.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1008


async def test_a_ping_is_answered_with_its_payload(venue: _Venue) -> None:
    async with venue.socket("/public/ws", autoping=False) as socket:
        await socket.raw.ping(b"hello")
        async with asyncio.timeout(5):
            message = await socket.raw.receive()
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"hello")


@pytest.mark.parametrize(
    ("path", "is_combined"),
    [
        ("/private/ws?listenKey=KEY", False),
        ("/private/ws/KEY", False),
        ("/private/ws?listenKey=KEY&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE", False),
        ("/private/stream?listenKey=KEY&events=ORDER_TRADE_UPDATE", True),
        ("/private/stream?streams=KEY", True),
    ],
)
async def test_user_events_follow_the_listen_key(
    venue: _Venue, path: str, is_combined: bool
) -> None:
    event = {"e": "ORDER_TRADE_UPDATE", "o": {}}
    async with venue.socket(path) as socket:
        venue.hub.publish_user("KEY", event)
        expected = {"stream": "KEY", "data": event} if is_combined else event
        assert await socket.receive() == expected


async def test_the_event_filter_is_real(venue: _Venue) -> None:
    async with venue.socket("/private/ws?listenKey=KEY&events=ACCOUNT_UPDATE") as socket:
        venue.hub.publish_user("KEY", {"e": "ORDER_TRADE_UPDATE"})
        assert await socket.is_silent()
        assert await socket.ask("LIST_SUBSCRIPTIONS") == _result(["KEY@ACCOUNT_UPDATE"])


async def test_a_listen_key_can_be_subscribed_as_a_stream(venue: _Venue) -> None:
    async with venue.socket("/private/stream") as socket:
        assert await socket.ask("SUBSCRIBE", "KEY", request_id="uuid") == _result(None, "uuid")
        venue.hub.publish_user("KEY", {"e": "MARGIN_CALL"})
        assert await socket.receive() == {"stream": "KEY", "data": {"e": "MARGIN_CALL"}}
        assert await socket.ask("UNSUBSCRIBE", "KEY") == _result(None)
        venue.hub.publish_user("KEY", {"e": "MARGIN_CALL"})
        assert await socket.is_silent()


@pytest.mark.parametrize(
    "path", ["/private/ws?listenKey=bogus", "/public/ws?listenKey=KEY", "/ws/KEY", "/market/ws/KEY"]
)
async def test_a_bogus_key_or_door_is_accepted_and_silent(venue: _Venue, path: str) -> None:
    async with venue.socket(path) as socket:
        venue.hub.publish_user("KEY", {"e": "ACCOUNT_UPDATE"})
        assert await socket.is_silent()


@pytest.mark.parametrize("path", ["/market/stream", "/public/stream"])
async def test_a_new_listener_of_the_clock_is_told_the_time_after_the_ack(
    venue: _Venue, path: str
) -> None:
    async with venue.socket(path) as socket:
        assert await socket.ask("SUBSCRIBE", "!clock@sim") == _result(None)
        assert await socket.receive() == {"stream": "!clock@sim", "data": CLOCK}
    async with venue.socket(path + "?streams=!clock@sim") as socket:
        assert (await socket.receive())["data"] == CLOCK


async def test_names_joined_by_commas_break_the_handshake(venue: _Venue) -> None:
    for path in ("/public/ws/a@trade,b@trade", "/public/stream?streams=a@trade,b@trade"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            async with venue.socket(path):
                pass


async def test_one_socket_may_listen_to_two_keys_each_with_its_own_filter(venue: _Venue) -> None:
    path = "/private/stream?listenKey=ONE&events=A/B&listenKey=TWO"
    async with venue.socket(path) as socket:
        assert await socket.ask("LIST_SUBSCRIPTIONS") == _result(["ONE@A", "ONE@B", "TWO"])
        venue.hub.publish_user("ONE", {"e": "C"})
        venue.hub.publish_user("TWO", {"e": "C"})
        assert await socket.receive() == {"stream": "TWO", "data": {"e": "C"}}


async def test_parameters_may_be_null_where_none_are_needed(venue: _Venue) -> None:
    async with venue.socket("/market/ws") as socket:
        await socket.raw.send_str('{"method":"LIST_SUBSCRIPTIONS","params":null,"id":"x"}')
        assert await socket.receive() == _result([], "x")


@pytest.mark.parametrize(
    ("path", "stream", "door"),
    [
        ("/public/ws", "btcusdt@kline_1m", "/market"),
        ("/private/ws", "btcusdt@trade", "/market or /public"),
        ("/market/ws", "btcusdt@weather", "no door"),
    ],
)
async def test_a_venue_asked_to_explain_names_the_right_door(
    talkative: _Venue, path: str, stream: str, door: str
) -> None:
    async with talkative.socket(path) as socket:
        answer = await socket.ask("SUBSCRIBE", stream)
        assert answer["error"]["msg"] == f"Invalid request: {stream} flows through {door}"
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_a_listen_key_is_no_wrong_door(talkative: _Venue) -> None:
    async with talkative.socket("/private/ws") as socket:
        assert await socket.ask("SUBSCRIBE", "KEY") == _result(None)


async def test_a_socket_is_closed_when_its_day_is_over(talkative: _Venue) -> None:
    async with talkative.socket("/public/ws/btcusdt@trade") as socket:
        assert await socket.is_silent()
        talkative.day_is_over.set()
        async with asyncio.timeout(5):
            message = await socket.raw.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)


async def test_messages_leave_in_the_order_they_were_published(venue: _Venue) -> None:
    async with venue.socket("/public/ws/a@trade/b@trade") as socket:
        for number in range(200):
            venue.hub.publish("ab"[number % 2] + "@trade", {"n": number})
        assert [(await socket.receive())["n"] for _ in range(200)] == list(range(200))


async def test_a_client_that_leaves_is_forgotten(venue: _Venue) -> None:
    async with venue.socket("/public/ws/btcusdt@trade"):
        assert venue.hub.sockets == 1
    async with asyncio.timeout(5):
        while venue.hub.sockets:
            await asyncio.sleep(0.001)
    venue.hub.publish("btcusdt@trade", QUOTE)
    assert venue.hub.delivered["trade"] == 0


async def test_a_socket_closed_by_the_venue_ends_without_a_word(venue: _Venue) -> None:
    async with venue.socket("/private/ws?listenKey=KEY") as socket:
        assert venue.hub.disconnect_user("KEY") == 1
        async with asyncio.timeout(5):
            message = await socket.raw.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_the_venue_pings_and_closes_on_a_client_that_never_answers(
    venue: _Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "PING_SECONDS", 0.01)
    async with venue.socket("/public/ws", autoping=False) as socket:
        async with asyncio.timeout(5):
            message = await socket.raw.receive()
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PING, b"1")
        monkeypatch.setattr(streams_module, "PONG_SECONDS_MAX", 0)
        async with asyncio.timeout(5):
            while (message := await socket.raw.receive()).type is aiohttp.WSMsgType.PING:
                pass
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_client_that_stops_reading_is_disconnected_and_others_are_not(
    venue: _Venue,
) -> None:
    async with venue.socket("/public/ws/btcusdt@trade") as idle:
        transport = idle.raw._conn.transport  # type: ignore[union-attr]
        transport.pause_reading()
        big = {"e": "trade", "filler": "x" * 10_000}
        async with venue.socket("/public/ws/other@trade") as healthy:
            async with asyncio.timeout(20):
                while not venue.hub.slow_disconnects:
                    for _ in range(100):
                        venue.hub.publish("btcusdt@trade", big)
                    await asyncio.sleep(0)
                    if venue.hub.longest_queue() >= SEND_QUEUE_HIGH:
                        await venue.hub.wait_for_slow()
            venue.hub.publish("other@trade", {"e": "trade"})
            assert await healthy.receive() == {"e": "trade"}
        transport.resume_reading()
