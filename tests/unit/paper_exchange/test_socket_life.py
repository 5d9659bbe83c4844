"""How long a socket of the WebSocket API lives: pings, silence, and the end of its day."""

import asyncio

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from libs.common.runtime.clock import monotonic_ns
from services.paper_exchange.config import Settings
from services.paper_exchange.doors.socket_api import PATH, SocketApi, SocketHabits
from services.paper_exchange.shell import PaperExchange, open_source


@pytest.fixture
async def serve():
    """Serves the door with these habits on a free port and gives its address."""
    runners = []

    async def start(habits):
        settings = Settings(symbols=("BTCUSDT",))
        venue = PaperExchange(settings, open_source(settings))
        door = SocketApi(venue.desk, venue.doorkeeper, venue.view, habits)
        app = web.Application()
        app.add_routes(door.routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_it_pings_and_keeps_who_answers(serve):
    url = await serve(SocketHabits(monotonic_ns, ping_seconds=0.25, pong_seconds_max=0.6))
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoping=False) as socket,
    ):
        for _ in range(4):
            message = await socket.receive(timeout=5)
            assert message.type is WSMsgType.PING
            await socket.pong(message.data)


async def test_it_drops_who_never_answers_a_ping(serve):
    url = await serve(SocketHabits(monotonic_ns, ping_seconds=0.05, pong_seconds_max=0.2))
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoping=False) as socket,
    ):
        while (await socket.receive(timeout=5)).type is WSMsgType.PING:
            pass
        assert socket.closed


async def test_it_closes_when_its_day_is_over(serve):
    is_over = asyncio.Event()

    async def live_a_day():
        await is_over.wait()

    url = await serve(SocketHabits(monotonic_ns, live_a_day))
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"id": 1, "method": "ticker.price"})
        assert (await socket.receive_json())["status"] == 200
        is_over.set()
        assert (await socket.receive(timeout=5)).type in (WSMsgType.CLOSE, WSMsgType.CLOSING)
