"""The user data stream of a simulated venue: sockets that lose, repeat, delay and reorder."""

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from libs.common.runtime.websocket import (
    Closed,
    OnClose,
    OnFrame,
    WebSocketError,
)
from services.paper_exchange.exchange import Exchange
from sim.loop import NS_PER_S, Life, VirtualLoop

NS_PER_MS = 1_000_000
LATENCY_NS = (1 * NS_PER_MS, 40 * NS_PER_MS)
DELAY_NS = (NS_PER_S // 2, 4 * NS_PER_S)
STALL_NS = (3 * NS_PER_S, 12 * NS_PER_S)

_encode = msgspec.json.Encoder(decimal_format="number").encode


class SimSocket:
    """One open connection, seen from the client."""

    def __init__(
        self,
        sockets: "UserSockets",
        life: Life,
        listen_key: str,
        on_frame: OnFrame,
        on_close: OnClose,
    ) -> None:
        self.life = life
        self.listen_key = listen_key
        self.is_open = True
        self.is_stalled = False
        self.latest_ns = 0
        self.frames = 0
        self.callback_errors = 0
        self._sockets = sockets
        self._on_frame = on_frame
        self._on_close = on_close

    def send_text(self, text: str | bytes) -> None:
        """The only thing a user stream says: a control request, which is answered."""
        if not self.is_open:
            raise WebSocketError("the WebSocket is closed: nothing was sent")
        request = msgspec.json.decode(text)
        self._sockets.send(self, _encode({"result": [self.listen_key], "id": request["id"]}))

    async def close(self, timeout_ms: int = 1_000) -> None:
        """Close; nobody is told, since we asked for it."""
        self.is_open = False
        self._sockets.forget(self)

    def hear(self, frame: bytes) -> None:
        """A frame arrives."""
        if self.is_open and not self.is_stalled and not self.life.is_dead:
            self.frames += 1
            self._on_frame(frame)

    def end(self) -> None:
        """The connection breaks."""
        if self.is_open and not self.life.is_dead:
            self.is_open = False
            self._sockets.forget(self)
            self._on_close(Closed(code=1006, reason="", is_ours=False))


class UserSockets:
    """Every open user stream, and the way of each event to it."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: Random,
        exchange: Exchange,
        strikes: Callable[[str], bool],
        note: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._draw = dice.random
        self._exchange = exchange
        self._strikes = strikes
        self._note = note
        self._open: list[SimSocket] = []

    async def connect(
        self, life: Life, url: str, on_frame: OnFrame, on_close: OnClose
    ) -> SimSocket:
        """Open a connection for a process; raises WebSocketError."""
        done = self._loop.create_future()
        self._loop.after(self._latency_ns(), _wake, done)
        await done
        if self._strikes("stream_refused"):
            raise WebSocketError("the server refused the handshake (503)")
        listen_key = url.partition("listenKey=")[2].partition("&")[0]
        socket = SimSocket(self, life, listen_key, on_frame, on_close)
        self._open.append(socket)
        return socket

    def send(self, socket: SimSocket, frame: bytes, extra_ns: int = 0) -> None:
        """Bring a frame to a socket, behind those that are under way already."""
        at_ns = max(socket.latest_ns, self._loop.now_ns + self._latency_ns() + extra_ns)
        socket.latest_ns = at_ns
        self._bring(socket, frame, at_ns - self._loop.now_ns)

    def deliver(self) -> None:
        """Carry what the exchange has said to whoever listens."""
        outbox = self._exchange.outbox
        if not outbox:
            return
        for listen_key, event in outbox:
            frame = b""
            for socket in self._open:
                if socket.listen_key == listen_key:
                    frame = frame or _encode(event)
                    self._suffer(socket, frame)
        outbox.clear()

    def _suffer(self, socket: SimSocket, frame: bytes) -> None:
        if self._strikes("event_dropped"):
            self._note(f"event dropped: {frame[:90]!r}")
        elif self._strikes("event_repeated"):
            self.send(socket, frame)
            self.send(socket, frame, self._between(0, NS_PER_S))
        elif self._strikes("event_delayed"):
            self.send(socket, frame, self._between(*DELAY_NS))
        elif self._strikes("event_reordered"):
            self._bring(socket, frame, self._between(*DELAY_NS))
        else:
            self.send(socket, frame)

    def _bring(self, socket: SimSocket, frame: bytes, delay_ns: int) -> None:
        """Frames are read by the process: one that stands still reads them when it goes on."""
        self._loop.after(delay_ns, self._read, socket, frame)

    def _read(self, socket: SimSocket, frame: bytes) -> None:
        life = socket.life
        if life.is_paused:
            self._loop.after(50 * NS_PER_MS, self._read, socket, frame)
        else:
            socket.hear(frame)

    # -- faults ----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def close_all(self) -> None:
        """The venue ends every connection."""
        for socket in list(self._open):
            self._end(socket)

    def stall_all(self) -> None:
        """Every connection stays open and says nothing more, until it breaks."""
        for socket in self._open:
            socket.is_stalled = True
            self._loop.after(self._between(*STALL_NS), self._end, socket)

    def _end(self, socket: SimSocket) -> None:
        if socket.life.is_paused:
            self._loop.after(50 * NS_PER_MS, self._end, socket)
        else:
            socket.end()

    def forget(self, socket: SimSocket) -> None:
        """A socket is closed."""
        if socket in self._open:
            self._open.remove(socket)

    def drop_life(self, life: Life) -> None:
        """A process is gone, and its connections with it."""
        self._open = [socket for socket in self._open if socket.life is not life]

    def _latency_ns(self) -> int:
        return self._between(*LATENCY_NS)

    def _between(self, low_ns: int, high_ns: int) -> int:
        return low_ns + int((high_ns - low_ns) * self._draw())


def _wake(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
