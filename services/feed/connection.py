"""One connection to the venue's streams, from handshake to end; made once and thrown away.

The reader runs inside the socket's callback: it reads the frame and passes it on, and never waits.
On its way types are compared, because ``isinstance`` with a class of msgspec that does not fit
takes as long as a quarter of decoding a quote.
"""

import asyncio
from collections.abc import Callable

import msgspec

from libs.common.runtime.clock import NS_PER_MS, monotonic_ns
from libs.common.runtime.websocket import Closed, Socket, WebSocketError, connect
from services.feed.config import FeedConfig
from services.feed.event_times import SocketTime
from services.feed.events import (
    ClockEvent,
    ContractEvent,
    Frame,
    KlineEvent,
    MarketEvent,
    MarkEvent,
    QuoteEvent,
    ShutdownEvent,
    UnreadableError,
    read_frame,
)
from services.feed.plan import SocketPlan, speeches
from services.feed.stream_watch import StreamWatch


class Listener:
    """What a stream tells its owner; every call happens on the loop and must not wait.

    ``judge`` says whether an event's time is believed; one that is not goes no further. ``is_sure``
    believes at once, of quotes, marks and open bars alone, what need not be judged.
    """

    def __init__(
        self,
        on_frame: Callable[[SocketPlan, Frame], bool],
        on_unreadable: Callable[[SocketPlan, bytes, str], None],
        on_up: Callable[[SocketPlan], None],
        on_down: Callable[[SocketPlan], None],
        on_raw: Callable[[memoryview, Frame], None] | None = None,
        judge: Callable[[MarketEvent, SocketTime], bool] = lambda *_: True,
        is_sure: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.on_frame = on_frame
        self.on_unreadable = on_unreadable
        self.on_up = on_up
        self.on_down = on_down
        self.on_raw = on_raw
        self.judge = judge
        self.is_sure = is_sure


class Connection:
    """A socket that listens to every stream of a plan.

    Attributes:
        proves_time: whether its clock frames count; not while another connection stands before it.
        is_live: every stream is subscribed, and the end has not come.
        why: what ended it.
        told_ns: market time up to which it has told everything (paper world); 0 before.
        first_told_ns: the first such time after it was subscribed.
    """

    def __init__(
        self, plan: SocketPlan, url: str, settings: FeedConfig, listener: Listener,
        watch: StreamWatch, *, proves_time: bool,
    ) -> None:  # fmt: skip
        self.plan = plan
        self._url = url
        self._settings = settings
        self._listener = listener
        self.watch = watch
        self.proves_time = proves_time
        self._speeches = speeches(plan)
        self._time = SocketTime()
        self._socket: Socket | None = None
        self._pending: set[int] = set()
        self._request_id = 0
        self._subscribed = asyncio.Event()
        self.over = asyncio.Event()
        self.is_live = False
        self.why = "closed"
        self.frames = 0
        self.unreadable = 0
        self.opened_ns = self.last_frame_ns = monotonic_ns()
        self._asked_ns = 0
        self.told_ns = self.first_told_ns = 0
        self.source_ended = False

    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            WebSocketError: refused, or no answer in time; nothing is left open.
        """
        settings = self._settings
        self._socket = await connect(
            self._url,
            self._on_frame,
            self._on_close,
            heartbeat_ms=settings.heartbeat_ms,
            max_frame_bytes=settings.frame_bytes_max,
            connect_timeout_ms=settings.connect_timeout_ms,
        )
        try:
            await self._subscribe(self._socket)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End it; what still comes is not passed on."""
        self.over.set()
        self.is_live = False
        if self._socket is not None:
            await self._socket.close()

    def check(self) -> None:
        """Look after a quiet connection: ask whether it lives, and end one that does not say so."""
        now_ns = monotonic_ns()
        silent_ns = now_ns - self.last_frame_ns
        if silent_ns > self._settings.silence_ms_max * NS_PER_MS:
            self.end(f"silent for more than {self._settings.silence_ms_max} ms")
            return
        quiet_ns = self._settings.quiet_ms_max * NS_PER_MS
        if silent_ns > quiet_ns and now_ns - self._asked_ns > quiet_ns and self._socket is not None:
            self._asked_ns = now_ns
            try:
                self._send(self._socket, "LIST_SUBSCRIPTIONS", ())
            except WebSocketError as error:
                self.end(str(error))

    def end(self, why: str) -> None:
        """Give it up, for this reason."""
        if not self.over.is_set():
            self.why = why
        self.is_live = False
        self.over.set()
        self._subscribed.set()

    async def _subscribe(self, socket: Socket) -> None:
        size = self._settings.streams_per_request_max
        streams = self.plan.streams
        batches = [streams[start : start + size] for start in range(0, len(streams), size)]
        self._pending = set(range(1, len(batches) + 1))
        for number, batch in enumerate(batches):
            if number:
                await asyncio.sleep(self._settings.request_interval_ms_min / 1_000)
            self._send(socket, "SUBSCRIBE", batch)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_ms / 1_000):
                await self._subscribed.wait()
        except TimeoutError:
            raise WebSocketError(f"{self.plan.name}: no answer to SUBSCRIBE") from None
        if self.over.is_set():
            raise WebSocketError(f"{self.plan.name}: {self.why}")

    def _send(self, socket: Socket, method: str, streams: tuple[str, ...]) -> None:
        self._request_id += 1
        request: dict[str, object] = {"method": method, "id": self._request_id}
        if streams:
            request["params"] = streams
        socket.send_text(msgspec.json.encode(request))

    # -- the reader: nothing here waits ----------------------------------------------------------

    def _on_frame(self, payload: memoryview) -> None:
        if self.over.is_set():
            return  # given up: what comes now would follow a hole
        self.frames += 1
        self.last_frame_ns = monotonic_ns()
        try:
            frame = read_frame(payload)
            data = frame.data
            if type(data) is QuoteEvent or type(data) is MarkEvent:
                # Nearly every frame: what holds for it is asked here, and first what is cheapest.
                speech = self._speeches.get(frame.stream)
                if speech is None or speech.event is not type(data) or speech.symbol != data.symbol:
                    self._check_speaker(frame)
                listener = self._listener
                if listener.is_sure(data.event_ms) or listener.judge(data, self._time):
                    self.watch.hear(frame.stream)
                    if listener.on_raw is not None:
                        listener.on_raw(payload, frame)
                    if not listener.on_frame(self.plan, frame):
                        self._give_up()
                return
            self._check_speaker(frame)
        except UnreadableError as error:
            self.unreadable += 1
            self._listener.on_unreadable(self.plan, bytes(payload), str(error))
            return
        self._on_other(payload, frame)

    def _on_other(self, payload: memoryview, frame: Frame) -> None:
        """Do with a frame that is neither quote nor mark, and may be said, what it asks for."""
        data = frame.data
        if data is None:
            self._on_answer(frame)
        elif type(data) is ShutdownEvent:
            self.end("the venue announced its shutdown")
        elif type(data) is ClockEvent:
            self._on_clock(frame, data)
        elif type(data) is ContractEvent:
            self._pass_on(frame)
        elif (
            type(data) is KlineEvent
            and not data.bar.is_closed
            and self._listener.is_sure(data.event_ms)
        ) or self._listener.judge(data, self._time):
            self._tell(payload, frame)

    def _tell(self, payload: memoryview, frame: Frame) -> None:
        """Pass on what was read and is believed."""
        self.watch.hear(frame.stream)
        listener = self._listener
        if listener.on_raw is not None:
            listener.on_raw(payload, frame)
        self._pass_on(frame)

    def _check_speaker(self, frame: Frame) -> None:
        """Refuse what a stream cannot say: another's data would be believed for ever.

        Raises:
            UnreadableError: the data is not of the stream's symbol, kind or interval.
        """
        data, speech = frame.data, self._speeches.get(frame.stream)
        if data is None or type(data) is ClockEvent or type(data) is ShutdownEvent:
            return
        if type(data) is ContractEvent:
            return
        if speech is None:
            raise UnreadableError(f"a stream nobody asked for: {frame.stream[:40]}")
        if type(data) is not speech.event or data.symbol != speech.symbol:
            raise UnreadableError(f"{frame.stream[:40]} told of {data.symbol[:40]}")
        if type(data) is KlineEvent and data.bar.interval != speech.interval:
            raise UnreadableError(f"{frame.stream[:40]} told of {data.bar.interval[:10]}")

    def _on_clock(self, frame: Frame, clock: ClockEvent) -> None:
        self._time.hear(clock)
        self.told_ns, self.source_ended = clock.now_ns, clock.source_ended
        if self.is_live:
            self.first_told_ns = self.first_told_ns or clock.now_ns
            self.watch.mark(clock.now_ns)
        if self.proves_time:
            self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        if not self._listener.on_frame(self.plan, frame):
            self._give_up()

    def _give_up(self) -> None:
        self.end("we cannot keep up: the inbox is full")

    def _on_answer(self, frame: Frame) -> None:
        if frame.error is not None:
            self.end(f"the venue refused a request: {frame.error.get('msg', '')}")
            return
        if frame.result is not None and not set(self.plan.streams) <= set(frame.result):
            self.end("the venue has forgotten what we subscribed to")
            return
        if frame.id is not None:
            self._pending.discard(frame.id)
        if not self._pending and not self._subscribed.is_set():
            self.is_live = True
            self._subscribed.set()

    def _on_close(self, closed: Closed) -> None:
        self.end(f"closed by the venue: {closed.code} {closed.reason}".strip())
