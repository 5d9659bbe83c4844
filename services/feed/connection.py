"""One connection to the venue's streams, from handshake to end; made once and thrown away.

The reader runs inside the socket's callback: it reads the frame and passes it on, and never waits.
Nearly every frame is a quote or a mark. It is decoded, compared with what its stream may say, and
kept in its symbol's slot, from which the publisher takes the newest; ``make bench-feed`` measures
what that costs.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from libs.common.runtime.clock import NS_PER_MS, monotonic_ns
from libs.common.runtime.websocket import Closed, Socket, WebSocketError, connect
from services.feed.config import FeedConfig
from services.feed.event_times import EventTimes, SocketTime
from services.feed.events import (
    DECODE_ERRORS,
    ClockEvent,
    ContractEvent,
    Frame,
    KlineUpdate,
    MarketEvent,
    MarkEvent,
    QuoteEvent,
    ShutdownEvent,
    UnreadableError,
    decode_frame,
    whole_frame,
)
from services.feed.newest import Slot
from services.feed.plan import SocketPlan, speeches
from services.feed.stream_watch import StreamWatch


class Listener:
    """What a stream tells its owner; every call happens on the loop and must not wait.

    ``judge`` says whether an event's time is believed; one that is not goes no further. ``times``
    believes at once, of quotes, marks and open bars alone, what need not be judged. ``quotes`` and
    ``marks`` keep the newest of each symbol; all else but open bars goes to ``on_frame``.
    """

    def __init__(
        self,
        on_frame: Callable[[SocketPlan, Frame], bool],
        on_unreadable: Callable[[SocketPlan, bytes, str], None],
        on_up: Callable[[SocketPlan], None],
        on_down: Callable[[SocketPlan], None],
        on_raw: Callable[[bytes, Frame], None] | None = None,
        judge: Callable[[MarketEvent, SocketTime], bool] = lambda *_: True,
        times: EventTimes | None = None,
        quotes: Mapping[str, Slot] | None = None,
        marks: Mapping[str, Slot] | None = None,
        on_open_bar: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_frame = on_frame
        self.on_unreadable = on_unreadable
        self.on_up = on_up
        self.on_down = on_down
        self.on_raw = on_raw
        self.judge = judge
        self.times = times or EventTimes(ahead_ms_max=0, behind_ms_max=0)
        self.quotes = quotes or {}
        self.marks = marks or {}
        self.on_open_bar = on_open_bar


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
        self._times = listener.times
        self._on_raw = listener.on_raw
        self.watch = watch
        self.proves_time = proves_time
        self._speeches = speeches(plan)
        self._quotes = self._slots(QuoteEvent, listener.quotes)
        self._marks = self._slots(MarkEvent, listener.marks)
        self._time = SocketTime()
        self._socket: Socket | None = None
        self._pending: set[int] = set()
        self._request_id = 0
        self._subscribed = asyncio.Event()
        self.over = asyncio.Event()
        self._is_mute = False
        self.is_live = False
        self.why = "closed"
        self.unreadable = 0
        self._heard_ns = monotonic_ns()
        self._frames_looked_at = 0
        self._asked_ns = 0
        self.told_ns = self.first_told_ns = 0
        self.source_ended = False

    def _slots(self, event: type, slots: Mapping[str, Slot]) -> dict[str, Slot]:
        """By stream, where what it tells is kept."""
        return {
            stream: slots[speech.symbol]
            for stream, speech in self._speeches.items()
            if speech.event is event and speech.symbol in slots
        }

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
        self.mute()
        if self._socket is not None:
            await self._socket.close()

    def mute(self) -> None:
        """Pass on nothing that comes from now on."""
        self._is_mute = True
        self.is_live = False
        self.over.set()

    @property
    def frames(self) -> int:
        """Messages that came."""
        return self._socket.frames if self._socket is not None else 0

    def silent_ns(self) -> int:
        """Wall time since a frame was there that was not at the look before; 0 if one is now.

        The time is noted here and not with each frame: asking for it takes a tenth of what a frame
        takes. So it may be short by the time between two looks, of which the health report takes
        one each ``health_interval_ms`` and ``check`` many.
        """
        now_ns = monotonic_ns()
        frames = self.frames
        if frames != self._frames_looked_at:
            self._frames_looked_at, self._heard_ns = frames, now_ns
        return now_ns - self._heard_ns

    def check(self) -> None:
        """Look after a quiet connection: ask whether it lives, and end one that does not say so."""
        silent_ns = self.silent_ns()
        now_ns = monotonic_ns()
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
        self.mute()
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

    def _on_frame(self, payload: bytes) -> None:
        if self._is_mute:
            return  # given up: what comes now would follow a hole
        try:
            frame = decode_frame(payload)
        except DECODE_ERRORS as error:
            self._refuse(payload, str(error))
            return
        data = frame.data
        if type(data) is QuoteEvent:
            slot = self._quotes.get(frame.stream)
        elif type(data) is MarkEvent:
            slot = self._marks.get(frame.stream)
        elif type(data) is KlineUpdate and not data.bar.is_closed:
            self._on_open_bar(payload, frame, data)
            return
        else:
            self._on_other(payload, frame)
            return
        if slot is None or data.symbol != slot.symbol:
            self._on_other(payload, frame)  # which refuses it
            return
        # Most times were believed before: asking whether this one was saves nearly every call.
        times, event_ms = self._times, data.event_ms
        if (
            times.sure_from_ms <= event_ms <= times.sure_until_ms
            or times.is_sure(event_ms)
            or self._listener.judge(data, self._time)
        ):
            self.watch.hear(frame.stream)
            if self._on_raw is not None:
                self._on_raw(payload, frame)
            slot.keep(data)

    def _on_open_bar(self, payload: bytes, frame: Frame, data: KlineUpdate) -> None:
        """An open bar says that its stream lives, and nothing else that anybody uses."""
        speech = self._speeches.get(frame.stream)
        if speech is None or data.symbol != speech.symbol or data.bar.interval != speech.interval:
            self._on_other(payload, frame)  # which refuses it
        elif self._times.is_sure(data.event_ms) or self._listener.judge(data, self._time):
            self.watch.hear(frame.stream)
            self._listener.on_open_bar()

    def _on_other(self, payload: bytes, frame: Frame) -> None:
        """Do what a frame asks for that is neither quote nor mark, or is not what it should be."""
        try:
            frame = whole_frame(frame, payload)
            self._check_speaker(frame)
        except (UnreadableError, *DECODE_ERRORS) as error:
            self._refuse(payload, str(error))
            return
        data = frame.data
        if data is None:
            self._on_answer(frame)
        elif type(data) is ShutdownEvent:
            self.end("the venue announced its shutdown")
        elif type(data) is ClockEvent:
            self._on_clock(frame, data)
        elif type(data) is ContractEvent:
            self._pass_on(frame)
        elif self._listener.judge(data, self._time):
            self.watch.hear(frame.stream)
            if self._on_raw is not None:
                self._on_raw(payload, frame)
            self._pass_on(frame)

    def _refuse(self, payload: bytes, why: str) -> None:
        self.unreadable += 1
        self._listener.on_unreadable(self.plan, payload, why)

    def _check_speaker(self, frame: Frame) -> None:
        """Refuse what a stream cannot say: another's data would be believed for ever.

        Raises:
            UnreadableError: the data is not of the stream's symbol, kind or interval.
        """
        data, speech = frame.data, self._speeches.get(frame.stream)
        if data is None or isinstance(data, ClockEvent | ShutdownEvent | ContractEvent):
            return
        if speech is None:
            raise UnreadableError(f"a stream nobody asked for: {frame.stream[:40]}")
        if not isinstance(data, speech.event) or data.symbol != speech.symbol:
            raise UnreadableError(f"{frame.stream[:40]} told of {data.symbol[:40]}")
        if isinstance(data, KlineUpdate) and data.bar.interval != speech.interval:
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
