"""Orders over the venue's WebSocket API: one kept socket, many requests on it, each sent once.

While the socket is not open nothing is sent here, and the client takes HTTP instead. A request
that was sent and not answered, because of the time or the connection, is unknown; it is never sent
again. The socket is replaced before the venue ends it (after 24 hours), with the old one kept until
its requests are answered.
"""

import asyncio
import random

import msgspec

from libs.common.runtime.log import get_logger
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_transport import RequestParameters
from libs.common.runtime.websocket import Closed, Connect, Socket, WebSocketError, connect
from libs.common.venue.outcomes import Outcome, classify, lost, not_sent
from libs.common.venue.payloads import PayloadError
from libs.common.venue.socket_api import decode_answer, encode_request

log = get_logger(__name__)

_READ_ONLY = frozenset({"order.status"})
_SHUTDOWN = b'"serverShutdown"'


class VenueSocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the socket.

    `lifetime_ms` is an hour below the venue's 24. `settle_ms`: how long a socket that was replaced
    is kept for its answers.
    """

    heartbeat_ms: int = 10_000
    connect_timeout_ms: int = 5_000
    frame_bytes_max: int = 1 << 20
    lifetime_ms: int = 82_800_000
    settle_ms: int = 10_000
    reconnect_wait_ms: int = 200
    reconnect_wait_ms_max: int = 60_000
    in_flight_max: int = 64


class VenueSocket:
    """Implements OrderSocket. `start` begins connecting; `close` ends it.

    `answers_lost` counts requests left without an answer, `strays` answers nobody waited for
    (late ones), `unreadable` frames that were no answer.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        api_secret: Secret,
        dice: random.Random,
        limits: VenueSocketLimits | None = None,
        connect: Connect = connect,
    ) -> None:
        self.limits = limits or VenueSocketLimits()
        self._url = url
        self._api_key = api_key
        self._api_secret = api_secret
        self._dice = dice
        self._connect = connect
        self._socket: Socket | None = None
        self._ended = asyncio.Event()
        self._pending: dict[str, tuple[asyncio.Future[Outcome], Socket, str]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._number = 0
        self.answers_lost = 0
        self.strays = 0
        self.unreadable = 0

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent now."""
        return self._socket is not None and self._socket.is_open

    def start(self) -> None:
        """Connect, and stay connected until `close`."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="venue-socket")

    async def close(self) -> None:
        """Close; what was sent and not answered becomes unknown."""
        tasks = [*self._retiring, *([self._keeper] if self._keeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
            self._lose(socket, "the WebSocket API was closed")

    async def call(self, method: str, parameters: RequestParameters, timeout_ms: int) -> Outcome:
        """Sign and send one request and say what became of it. Raises only for bad parameters."""
        socket = self._socket
        if socket is None or len(self._pending) >= self.limits.in_flight_max:
            return not_sent("the WebSocket API is not connected or too much is in flight")
        self._number += 1
        request_id = f"portcullis-{self._number}"
        frame = encode_request(
            request_id, method, parameters, self._api_key, self._api_secret.reveal()
        )
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Outcome] = loop.create_future()
        try:
            socket.send_text(frame)
        except WebSocketError as error:
            return not_sent(str(error))
        self._pending[request_id] = (answered, socket, method)
        timer = loop.call_later(timeout_ms / 1_000, self._expire, answered, timeout_ms)
        try:
            return await answered
        finally:
            timer.cancel()
            self._pending.pop(request_id, None)

    def _expire(self, answered: asyncio.Future[Outcome], timeout_ms: int) -> None:
        if not answered.done():
            self.answers_lost += 1
            answered.set_result(lost(f"no answer within {timeout_ms} ms"))

    def _on_frame(self, frame: bytes) -> None:
        try:
            answer = decode_answer(frame)
        except PayloadError as error:
            self.unreadable += 1
            log.warning("venue_socket_frame_unreadable", error=str(error))
            return
        if not answer.request_id and _SHUTDOWN in frame:
            self._ended.set()  # the venue is about to end this socket: make the next one
            return
        pending = self._pending.get(answer.request_id)
        if pending is None or pending[0].done():
            self.strays += 1
            return
        answered, _, method = pending
        is_order = method not in _READ_ONLY
        answered.set_result(classify(answer.status, answer.body, answer.headers, is_order=is_order))

    def _lose(self, socket: Socket, why: str) -> None:
        for answered, sent_on, _ in list(self._pending.values()):
            if sent_on is socket and not answered.done():
                self.answers_lost += 1
                answered.set_result(lost(why))

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                await self._open()
            except WebSocketError as error:
                bound_ms = self.limits.reconnect_wait_ms << min(failures, 16)
                wait_ms = self._dice.randint(0, min(bound_ms, self.limits.reconnect_wait_ms_max))
                failures += 1
                log.warning("venue_socket_not_connected", error=str(error), wait_ms=wait_ms)
                await asyncio.sleep(wait_ms / 1_000)
                continue
            failures = 0
            try:
                async with asyncio.timeout(self.limits.lifetime_ms / 1_000):
                    await self._ended.wait()
            except TimeoutError:
                log.info("venue_socket_renewed", lifetime_ms=self.limits.lifetime_ms)

    async def _open(self) -> None:
        """Connect, and let the new socket take over from the old one."""
        ended = asyncio.Event()
        opened: list[Socket] = []

        def on_close(closed: Closed) -> None:
            ended.set()
            log.info("venue_socket_closed", code=closed.code, reason=closed.reason)
            for socket in opened:
                self._lose(socket, f"the connection ended (code {closed.code})")

        socket = await self._connect(
            self._url,
            self._on_frame,
            on_close,
            heartbeat_ms=self.limits.heartbeat_ms,
            max_frame_bytes=self.limits.frame_bytes_max,
            connect_timeout_ms=self.limits.connect_timeout_ms,
        )
        opened.append(socket)
        replaced, self._socket, self._ended = self._socket, socket, ended
        if replaced is not None and replaced.is_open:
            task = asyncio.create_task(self._retire(replaced))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retire(self, socket: Socket) -> None:
        """Close a replaced socket once its requests are answered, or after `settle_ms`."""
        try:
            async with asyncio.timeout(self.limits.settle_ms / 1_000):
                while any(sent_on is socket for _, sent_on, _ in self._pending.values()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        await socket.close()
