"""The WebSocket API: the exchange's endpoints as methods over one socket at `/ws-fapi/v1`.

Each request is signed on its own, or the socket is logged on once with an Ed25519 key
(`session.logon`), after which key and signature may be left out. Answers carry an HTTP-like status
and the rate limits used. Whether the venue's two APIs share one pool of weight is contested; here
they do. A socket's life of a day is counted in market time, the pace of pings in real time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.socket_answers import SocketAnswers, Struck
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.exchange import NS_PER_MS
from services.paper_exchange.faults.effects import HTML_TYPE
from services.paper_exchange.market.reports import MarketView

PATH: Final = "/ws-fapi/v1"
HANDSHAKE_WEIGHT: Final = 5
PING_SECONDS: Final = 180.0
PONG_SECONDS_MAX: Final = 600.0
PONGS_PER_SECOND_MAX: Final = 5
"""Pings and pongs that a client may send in a second."""
INCOMING_BYTES_MAX: Final = 65_536
NS_PER_SECOND: Final = 1_000_000_000


async def _for_ever() -> None:
    await asyncio.Event().wait()


class SocketHabits(NamedTuple):
    """How the venue behaves towards every socket of this door.

    `wall` is real time in ns; `live_a_day` returns when the life of a socket opened now is over.
    """

    wall: Callable[[], int]
    live_a_day: Callable[[], Awaitable[None]] = _for_ever
    ping_seconds: float = PING_SECONDS
    pong_seconds_max: float = PONG_SECONDS_MAX


class SocketApi:
    """The handler of `/ws-fapi/v1`."""

    def __init__(
        self, desk: TradeDesk, doorkeeper: Doorkeeper, view: MarketView, habits: SocketHabits
    ) -> None:
        self._desk = desk
        self._doorkeeper = doorkeeper
        self._view = view
        self._habits = habits
        self._sockets: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get(PATH, self.handle)]

    async def close_all(self, _app: web.Application) -> None:
        """Close every socket; meant for the application's ``on_shutdown``."""
        for socket in list(self._sockets):
            await socket.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket from handshake to close."""
        address = request.remote or ""
        turned = self._doorkeeper.admit(address, self._desk.clock.now_ns())
        if turned is not None:
            return web.Response(
                body=turned.bytes(), status=turned.status, headers=turned.headers,
                content_type=turned.content_type,
            )  # fmt: skip
        self._doorkeeper.charge(address, HANDSHAKE_WEIGHT, self._desk.clock.now_ns())
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=INCOMING_BYTES_MAX, autoping=False
        )
        await socket.prepare(request)
        answers = SocketAnswers(
            self._desk,
            self._doorkeeper,
            self._view,
            address,
            returns_rate_limits=request.query.get("returnRateLimits", "true") != "false",
        )
        self._sockets.add(socket)
        try:
            await _Conversation(answers, self._desk, request, socket, self._habits).run()
        finally:
            self._sockets.discard(socket)
        return socket


class _Conversation:
    """One socket's requests, answered as they come; only a struck one may overtake another."""

    def __init__(
        self,
        answers: SocketAnswers,
        desk: TradeDesk,
        request: web.Request,
        socket: web.WebSocketResponse,
        habits: SocketHabits,
    ) -> None:
        self._answers = answers
        self._desk = desk
        self._request = request
        self._socket = socket
        self._habits = habits
        self._tasks: set[asyncio.Task[None]] = set()
        self._pong_ns = habits.wall()
        self._pongs: deque[int] = deque(maxlen=PONGS_PER_SECOND_MAX)

    async def run(self) -> None:
        """Answer until either side closes."""
        for work in (self._keep_alive(), self._live_a_day()):
            self._start(work)
        try:
            async for message in self._socket:
                if message.type in (WSMsgType.PING, WSMsgType.PONG):
                    await self._beat(message)
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._talk(message.data)
        except ConnectionError:
            pass  # gone in the middle of an answer
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _talk(self, data: str | bytes) -> None:
        answer = self._answers.answer(data)
        if isinstance(answer, bytes):
            await self._socket.send_frame(answer, WSMsgType.TEXT)
        else:
            self._start(self._suffer(answer))

    async def _beat(self, message: WSMessage) -> None:
        """Answer a ping, note a pong; who sends too many of either is sent away."""
        now_ns = self._habits.wall()
        if len(self._pongs) == PONGS_PER_SECOND_MAX and now_ns - self._pongs[0] < NS_PER_SECOND:
            await self._socket.close(
                code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests"
            )
            return
        self._pongs.append(now_ns)
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        else:
            self._pong_ns = now_ns

    async def _keep_alive(self) -> None:
        """Ping at the venue's pace, and drop who has not answered for long."""
        while True:
            await asyncio.sleep(self._habits.ping_seconds)
            now_ns = self._habits.wall()
            if now_ns - self._pong_ns > self._habits.pong_seconds_max * NS_PER_SECOND:
                self._abort()
                return
            with suppress(ConnectionError):
                await self._socket.ping(str(now_ns // NS_PER_MS).encode())

    async def _live_a_day(self) -> None:
        await self._habits.live_a_day()
        await self._socket.close()

    async def _suffer(self, struck: Struck) -> None:
        told = await self._desk.suffer(struck.asked, self._answers.address, struck.fault)
        if told is None:
            self._abort()
            return
        frame = self._answers.frame(struck.request, told)
        if told.raw is not None:
            frame = told.raw if told.content_type == HTML_TYPE else frame[: len(frame) // 2]
        if not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_frame(frame, WSMsgType.TEXT)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
