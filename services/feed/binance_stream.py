"""One market socket kept alive: the reader hears and hands over, a control task does the rest.

The reader runs inside the socket's callback, so it never waits: it reads the frame and passes it
on. Connecting, subscribing, watching for silence and connecting again belong to ``run`` alone.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec

from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import STREAM_CONNECTED, STREAM_RECONNECTS
from libs.common.runtime.websocket import Closed, Socket, WebSocketError, connect
from services.feed.backoff import AttemptBudget, Backoff
from services.feed.config import FeedConfig
from services.feed.events import Frame, ShutdownEvent, UnreadableError, read_frame
from services.feed.plan import SocketPlan

log = get_logger(__name__)

WATCH_INTERVAL_S = 0.25


class Listener:
    """What a stream tells its owner; every call happens on the loop and must not wait."""

    def __init__(
        self,
        on_frame: Callable[[SocketPlan, Frame], bool],
        on_unreadable: Callable[[SocketPlan, bytes, str], None],
        on_up: Callable[[SocketPlan], None],
        on_down: Callable[[SocketPlan], None],
        on_raw: Callable[[memoryview, Frame], None] | None = None,
    ) -> None:
        self.on_frame = on_frame
        self.on_unreadable = on_unreadable
        self.on_up = on_up
        self.on_down = on_down
        self.on_raw = on_raw


class MarketStream:
    """One socket of the plan. ``listener.on_frame`` returns False when it can take no more."""

    def __init__(
        self,
        plan: SocketPlan,
        venue_url: str,
        settings: FeedConfig,
        budget: AttemptBudget,
        dice: random.Random,
        listener: Listener,
    ) -> None:
        self.plan = plan
        self._url = f"{venue_url.rstrip('/')}/{plan.route}/stream"
        self._settings = settings
        self._budget = budget
        self._backoff = Backoff(settings.backoff_first_ms, settings.backoff_max_ms, dice)
        self._listener = listener
        self._pending: set[int] = set()
        self._request_id = 0
        self._subscribed = asyncio.Event()
        self._over = asyncio.Event()
        self._why = ""
        self.is_up = False
        self.attempts = 0
        self.frames = 0
        self.unreadable = 0
        self.last_frame_ns = 0

    async def run(self) -> None:
        """Keep the socket up until cancelled."""
        while True:
            await self._wait_for_budget()
            self.attempts += 1
            STREAM_RECONNECTS.labels(self.plan.name).inc()
            opened_ns = monotonic_ns()
            try:
                await self._live()
            except WebSocketError as error:
                self._why = str(error)
            if monotonic_ns() - opened_ns >= self._settings.stable_ms * NS_PER_MS:
                self._backoff.reset()
            wait_ms = self._backoff.next_ms()
            log.warning("market socket down", socket=self.plan.name, why=self._why, wait_ms=wait_ms)
            await asyncio.sleep(wait_ms / 1_000)

    async def _wait_for_budget(self) -> None:
        while wait_ns := self._budget.wait_ns(monotonic_ns()):
            log.warning("attempts used up, waiting", socket=self.plan.name, wait_ns=wait_ns)
            await asyncio.sleep(wait_ns / NS_PER_S)

    async def _live(self) -> None:
        """One connection from handshake to end."""
        settings = self._settings
        self._over.clear()
        self._subscribed.clear()
        self._pending.clear()
        self._why = "closed"
        self.last_frame_ns = monotonic_ns()
        socket = await connect(
            self._url,
            self._on_frame,
            self._on_close,
            heartbeat_ms=settings.heartbeat_ms,
            max_frame_bytes=settings.frame_bytes_max,
            connect_timeout_ms=settings.connect_timeout_ms,
        )
        try:
            await self._subscribe(socket)
            await self._watch()
        finally:
            self._over.set()
            self.is_up = False
            STREAM_CONNECTED.labels(self.plan.name).set(0)
            self._listener.on_down(self.plan)
            await socket.close()

    async def _subscribe(self, socket: Socket) -> None:
        """Ask for every stream in batches, and wait for all answers.

        Raises:
            WebSocketError: refused, or no answer within the connect timeout.
        """
        size = self._settings.streams_per_request_max
        streams = self.plan.streams
        batches = [streams[start : start + size] for start in range(0, len(streams), size)]
        requests: list[bytes] = []
        for batch in batches:
            self._request_id += 1
            self._pending.add(self._request_id)
            request = {"method": "SUBSCRIBE", "params": batch, "id": self._request_id}
            requests.append(msgspec.json.encode(request))
        for number, text in enumerate(requests):
            if number:
                await asyncio.sleep(self._settings.request_interval_ms_min / 1_000)
            socket.send_text(text)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_ms / 1_000):
                await self._subscribed.wait()
        except TimeoutError:
            raise WebSocketError(f"{self.plan.name}: no answer to SUBSCRIBE") from None
        if self._over.is_set():
            raise WebSocketError(f"{self.plan.name}: {self._why}")
        self.is_up = True
        STREAM_CONNECTED.labels(self.plan.name).set(1)
        self._listener.on_up(self.plan)
        log.info("market socket up", socket=self.plan.name, streams=len(streams))

    async def _watch(self) -> None:
        """Return when the connection is over or has been silent for too long."""
        limit_ns = self._settings.silence_ms_max * NS_PER_MS
        while not self._over.is_set():
            if monotonic_ns() - self.last_frame_ns > limit_ns:
                self._end(f"silent for more than {self._settings.silence_ms_max} ms")
                return
            try:
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await self._over.wait()
            except TimeoutError:
                continue

    def _on_frame(self, payload: memoryview) -> None:
        if self._over.is_set():
            return  # given up: what comes now would follow a hole
        self.frames += 1
        self.last_frame_ns = monotonic_ns()
        try:
            frame = read_frame(payload)
        except UnreadableError as error:
            self.unreadable += 1
            self._listener.on_unreadable(self.plan, bytes(payload), str(error))
            return
        if frame.data is None:
            self._on_answer(frame)
        elif isinstance(frame.data, ShutdownEvent):
            self._end("the venue announced its shutdown")
        else:
            if self._listener.on_raw is not None:
                self._listener.on_raw(payload, frame)
            if not self._listener.on_frame(self.plan, frame):
                self._end("we cannot keep up: the inbox is full")

    def _on_answer(self, frame: Frame) -> None:
        if frame.error is not None:
            self._end(f"the venue refused a subscription: {frame.error.get('msg', '')}")
            return
        if frame.id is not None:
            self._pending.discard(frame.id)
        if not self._pending:
            self._subscribed.set()

    def _on_close(self, closed: Closed) -> None:
        if not self._over.is_set():
            self._end(f"closed by the venue: {closed.code} {closed.reason}".strip())

    def _end(self, why: str) -> None:
        self._why = why
        self._over.set()
        self._subscribed.set()
