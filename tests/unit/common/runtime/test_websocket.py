import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import WSMsgType, web

from libs.common.runtime.websocket import Closed, Socket, WebSocketError, connect, redact_url

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


class Venue:
    """A WebSocket server whose behaviour a test chooses; keeps what it heard."""

    def __init__(self) -> None:
        self.handler: Handler = self.echo
        self.heard: list[str] = []
        self.pings = 0
        self.pongs: list[bytes] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await self.handler(socket)
        return socket

    async def echo(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                self.heard.append(message.data)
                await socket.send_str(message.data)
            elif message.type == WSMsgType.PING:
                self.pings += 1
                await socket.pong(message.data)
            elif message.type == WSMsgType.PONG:
                self.pongs.append(message.data)


class Ear:
    """Collects what a socket tells."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed: list[Closed] = []
        self.errors: list[Exception] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_close(self, closed: Closed) -> None:
        self.closed.append(closed)


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def open_socket(url: str, ear: Ear, **changes: int) -> Socket:
    return await connect(
        url,
        ear.on_frame,
        ear.on_close,
        heartbeat_ms=changes.get("heartbeat_ms", 5_000),
        max_frame_bytes=changes.get("max_frame_bytes", 65_536),
        connect_timeout_ms=changes.get("connect_timeout_ms", 2_000),
        on_callback_error=ear.errors.append,
    )


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    server = Venue()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/public/stream"
    yield server
    await runner.cleanup()


async def test_text_goes_out_and_comes_back(venue: Venue) -> None:
    ear = Ear()
    socket = await open_socket(venue.url, ear)
    socket.send_text('{"method":"SUBSCRIBE"}')
    await until(lambda: ear.frames)
    assert ear.frames == [b'{"method":"SUBSCRIBE"}']
    assert socket.frames == 1
    await socket.close()
    assert not socket.is_open
    assert len(ear.closed) == 1
    assert ear.closed[0].is_ours


async def test_a_callback_that_raises_does_not_stop_the_reading(venue: Venue) -> None:
    ear = Ear()

    def explode(frame: bytes) -> None:
        ear.on_frame(frame)
        raise RuntimeError("a bug in the reader")

    socket = await connect(
        venue.url,
        explode,
        ear.on_close,
        heartbeat_ms=5_000,
        max_frame_bytes=65_536,
        connect_timeout_ms=2_000,
        on_callback_error=ear.errors.append,
    )
    for number in range(50):
        socket.send_text(str(number))
    await until(lambda: len(ear.frames) == 50)
    assert socket.is_open
    assert socket.callback_errors == 50
    assert len(ear.errors) == 50
    await socket.close()


async def test_a_ping_is_answered_with_its_payload(venue: Venue) -> None:
    async def ping(socket: web.WebSocketResponse) -> None:
        await socket.ping(b"1723161255030")
        await venue.echo(socket)

    venue.handler = ping
    socket = await open_socket(venue.url, Ear())
    await until(lambda: venue.pongs)
    assert venue.pongs == [b"1723161255030"]
    await socket.close()


async def test_fragments_are_joined(venue: Venue) -> None:
    async def fragments(socket: web.WebSocketResponse) -> None:
        writer = socket._writer
        assert writer is not None
        writer.transport.write(b"\x01\x03abc" + b"\x00\x02de" + b"\x89\x00" + b"\x80\x01f")
        await venue.echo(socket)

    venue.handler = fragments
    ear = Ear()
    socket = await open_socket(venue.url, ear)
    await until(lambda: ear.frames)
    assert ear.frames == [b"abcdef"]
    await socket.close()


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_message_over_the_limit_ends_the_connection(venue: Venue, pieces: int) -> None:
    async def flood(socket: web.WebSocketResponse) -> None:
        writer = socket._writer
        assert writer is not None
        size = 600 // pieces
        for number in range(pieces):
            last, first = number == pieces - 1, number == 0
            writer.transport.write(
                bytes([(0x80 * last) | (1 * first), 126, *size.to_bytes(2, "big")]) + b"x" * size
            )
        await venue.echo(socket)

    venue.handler = flood
    ear = Ear()
    await open_socket(venue.url, ear, max_frame_bytes=500)
    await until(lambda: ear.closed)
    assert ear.frames == []
    assert not ear.closed[0].is_ours


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4001])
async def test_a_close_of_the_peer_is_reported_once_with_its_code(venue: Venue, code: int) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.close(code=code, message=b"24 hours are over")

    venue.handler = leave
    ear = Ear()
    socket = await open_socket(venue.url, ear)
    await until(lambda: ear.closed)
    assert ear.closed == [Closed(code=code, reason="24 hours are over", is_ours=False)]
    with pytest.raises(WebSocketError):
        socket.send_text("too late")
    await socket.close()
    assert len(ear.closed) == 1


async def test_a_reset_is_reported_as_1006(venue: Venue) -> None:
    async def reset(socket: web.WebSocketResponse) -> None:
        writer = socket._writer
        assert writer is not None
        writer.transport.abort()
        await asyncio.Event().wait()

    venue.handler = reset
    ear = Ear()
    await open_socket(venue.url, ear)
    await until(lambda: ear.closed)
    assert ear.closed[0].code == 1006


async def test_a_peer_that_does_not_answer_our_ping_is_left(venue: Venue) -> None:
    async def deaf(socket: web.WebSocketResponse) -> None:
        await asyncio.Event().wait()

    venue.handler = deaf
    ear = Ear()
    await open_socket(venue.url, ear, heartbeat_ms=100)
    await until(lambda: ear.closed)
    assert ear.closed[0].code == 1006


async def test_a_quiet_peer_that_answers_pings_is_kept(venue: Venue) -> None:
    ear = Ear()
    socket = await open_socket(venue.url, ear, heartbeat_ms=500)  # also how long an answer may take
    await until(lambda: venue.pings >= 3)
    assert socket.is_open
    assert ear.closed == []
    await socket.close()


async def test_closing_a_peer_that_does_not_answer_takes_no_longer_than_asked(
    venue: Venue,
) -> None:
    async def deaf(socket: web.WebSocketResponse) -> None:
        await asyncio.Event().wait()

    venue.handler = deaf
    ear = Ear()
    socket = await open_socket(venue.url, ear)
    async with asyncio.timeout(2):
        await socket.close(timeout_ms=100)
    assert len(ear.closed) == 1


async def test_a_refused_connection_says_so_without_the_listen_key() -> None:
    url = "ws://127.0.0.1:1/private/ws?listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1"
    with pytest.raises(WebSocketError) as caught:
        await open_socket(url, Ear())
    assert "127.0.0.1:1/private/***" in str(caught.value)
    assert "pqia" not in str(caught.value)


async def test_a_server_that_never_answers_the_handshake_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(WebSocketError, match="no handshake in 100 ms"):
        await open_socket(f"ws://127.0.0.1:{port}/private/ws", Ear(), connect_timeout_ms=100)
    server.close()
    await server.wait_closed()


async def test_a_refused_handshake_names_the_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403)

    caplog.set_level(logging.DEBUG)
    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/private/ws?listenKey=pqia91"
    with pytest.raises(WebSocketError, match="403") as caught:
        await open_socket(url, Ear())
    assert "pqia91" not in str(caught.value)
    assert all(
        "pqia91" not in record.getMessage()
        for record in caplog.records
        if record.name != "aiohttp.access"
    )
    await runner.cleanup()


def test_stream_urls_are_shown_without_what_follows_the_first_segment() -> None:
    assert redact_url("wss://h/private/ws/KEY") == "wss://h/private/***"
    assert redact_url("wss://h:9/private?listenKey=KEY") == "wss://h:9/private/***"
    assert redact_url("wss://h/ws") == "wss://h/ws"
