"""Who listens to what, and the way out: one bounded queue of ready frames per socket.

Everything a socket is to receive (market data, clock frames, user events, control answers) goes
through its one queue in the order it was offered, which is what lets a clock frame prove that the
market messages before it were sent. A payload is encoded once however many listen, and not at all
when nobody does.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from services.paper_exchange.wire.stream_names import Route, kind_of, routes_of

SEND_QUEUE_MAX: Final = 20_000
"""Frames waiting for one socket; a subscriber that falls further behind is disconnected."""
SEND_QUEUE_HIGH: Final = 2_000
"""From here on the driver waits for the slowest socket instead of piling up more."""
SLOW_WAIT_SECONDS_MAX: Final = 1.0
"""How long the whole market waits for one slow socket before that socket is disconnected."""

_encode = msgspec.json.Encoder().encode
Body = Mapping[str, object] | Sequence[Mapping[str, object]]
Payload = Body | Callable[[], Body]
"""What is published, or how to make it: a costly one is made only when somebody listens."""


class Subscriber:
    """One socket's subscriptions and outgoing frames.

    ``routes`` are the doors whose data reaches it; ``is_combined`` decides the envelope.
    """

    def __init__(self, routes: Iterable[Route], *, is_combined: bool) -> None:
        self.routes = frozenset(routes)
        self.is_combined = is_combined
        self.streams: dict[str, None] = {}
        self.user_events: dict[str, frozenset[str] | None] = {}
        self.frames: deque[bytes] = deque()
        self.is_too_slow = False
        self.is_closing = False
        self.is_silent = False
        """A fault: what is queued is thrown away instead of sent, and nothing is answered."""
        self.goodbye: tuple[int, bytes] | None = None
        """Code and reason of a close frame that is still to be sent."""
        self.on_close: Callable[[], None] | None = None
        self._ready = asyncio.Event()

    def offer(self, frame: bytes) -> None:
        """Queue a frame; past `SEND_QUEUE_MAX` the subscriber is marked too slow instead."""
        if len(self.frames) >= SEND_QUEUE_MAX:
            self.give_up()
            return
        self.frames.append(frame)
        self._ready.set()

    def give_up(self) -> None:
        """Close the socket because it does not read fast enough."""
        self.is_too_slow = True
        self.close()

    def close(self) -> None:
        """Close the socket at once, without a word and without sending what is queued."""
        self.is_closing = True
        self._ready.set()
        if self.on_close is not None:
            self.on_close()

    def say_goodbye(self, code: int, reason: bytes) -> None:
        """Close the socket with a close frame, behind what is queued."""
        self.goodbye = (code, reason)
        self._ready.set()

    async def wait_ready(self) -> None:
        """Return when there is a frame to send or the socket is to be closed."""
        if not self.frames and not self.is_closing and self.goodbye is None:
            self._ready.clear()
            await self._ready.wait()


class Hub:
    """The subscription registry; all methods must run on the event loop's thread."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._listeners: dict[str, list[Subscriber]] = {}
        self._users: dict[str, list[Subscriber]] = {}
        self._drained = asyncio.Event()
        self.published: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.slow_disconnects = 0
        self.disturb: Callable[[str, bytes, Sequence[Subscriber]], None] | None = None
        """Stands between a payload and its listeners while faults are asked for."""

    def attach(self, subscriber: Subscriber) -> None:
        """Register a socket."""
        self._subscribers.add(subscriber)

    def detach(self, subscriber: Subscriber) -> None:
        """Forget a socket and all it subscribed to."""
        for stream in list(subscriber.streams):
            self.unsubscribe(subscriber, stream)
        for listen_key in list(subscriber.user_events):
            self.unsubscribe_user(subscriber, listen_key)
        self._subscribers.discard(subscriber)
        if subscriber.is_too_slow:
            self.slow_disconnects += 1
        self._drained.set()

    def subscribe(self, subscriber: Subscriber, stream: str) -> None:
        """Add a market stream; one of a class its routes do not carry stays silent, as live."""
        if stream in subscriber.streams:
            return
        subscriber.streams[stream] = None
        if subscriber.routes & routes_of(stream):
            self._listeners.setdefault(stream, []).append(subscriber)

    def unsubscribe(self, subscriber: Subscriber, stream: str) -> None:
        """Drop a market stream; one not subscribed is ignored."""
        if subscriber.streams.pop(stream, self) is not self:
            _remove(self._listeners, stream, subscriber)

    def subscribe_user(
        self, subscriber: Subscriber, listen_key: str, events: Iterable[str] | None = None
    ) -> None:
        """Add the user events of a listen key, known or not; ``events`` None means all."""
        if listen_key not in subscriber.user_events:
            self._users.setdefault(listen_key, []).append(subscriber)
        subscriber.user_events[listen_key] = None if events is None else frozenset(events)

    def unsubscribe_user(self, subscriber: Subscriber, listen_key: str) -> None:
        """Drop the user events of a listen key."""
        if subscriber.user_events.pop(listen_key, self) is not self:
            _remove(self._users, listen_key, subscriber)

    def publish(self, stream: str, payload: Payload) -> None:
        """Send ``payload`` to all who listen to ``stream``; Decimals become strings.

        Counted per kind of stream, whether anybody listens or not.
        """
        kind = kind_of(stream)
        self.published[kind] += 1
        listeners = self._listeners.get(stream)
        if listeners:
            self.delivered[kind] += len(listeners)
            raw = _encode(payload() if callable(payload) else payload)
            if self.disturb is None:
                _fan_out(listeners, stream, raw)
            else:
                self.disturb(stream, raw, listeners)

    def listeners_of(self, stream: str) -> Sequence[Subscriber]:
        """Who listens to a market stream now."""
        return self._listeners.get(stream, ())

    def send(self, subscriber: Subscriber, stream: str, payload: Mapping[str, object]) -> None:
        """Send one payload to one socket, whatever it is subscribed to."""
        _fan_out((subscriber,), stream, _encode(payload))

    def publish_user(self, listen_key: str, event: Mapping[str, object]) -> None:
        """Send a user event (its kind is ``event["e"]``) to the sockets of ``listen_key``."""
        kind = str(event["e"])
        self.published[kind] += 1
        wanted = [
            subscriber
            for subscriber in self._users.get(listen_key, ())
            if (events := subscriber.user_events[listen_key]) is None or kind in events
        ]
        if wanted:
            self.delivered[kind] += len(wanted)
            _fan_out(wanted, listen_key, _encode(event))

    def disconnect_user(self, listen_key: str) -> int:
        """Close the sockets of a listen key without a word; returns how many."""
        subscribers = list(self._users.get(listen_key, ()))
        for subscriber in subscribers:
            subscriber.close()
        return len(subscribers)

    def close_all(self) -> None:
        """Close every socket, for the end of the process."""
        for subscriber in list(self._subscribers):
            subscriber.close()

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._subscribers)

    def longest_queue(self) -> int:
        """Return the number of frames the slowest socket has still to send."""
        return max((len(subscriber.frames) for subscriber in self._subscribers), default=0)

    def note_drained(self) -> None:
        """Called by a socket's sender after it has emptied its queue."""
        self._drained.set()

    async def wait_for_slow(self) -> None:
        """Wait until no queue is long; a socket still long after the limit is given up."""
        try:
            async with asyncio.timeout(SLOW_WAIT_SECONDS_MAX):
                while self.longest_queue() >= SEND_QUEUE_HIGH:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            for subscriber in self._subscribers:
                if len(subscriber.frames) >= SEND_QUEUE_HIGH:
                    subscriber.give_up()


def envelope(stream: str, raw: bytes) -> bytes:
    """Wrap an encoded payload the way combined sockets get it."""
    return b'{"stream":' + _encode(stream) + b',"data":' + raw + b"}"


def _fan_out(listeners: Iterable[Subscriber], name: str, raw: bytes) -> None:
    combined: bytes | None = None
    for subscriber in listeners:
        if subscriber.is_combined:
            if combined is None:
                combined = envelope(name, raw)
            subscriber.offer(combined)
        else:
            subscriber.offer(raw)


def _remove(registry: dict[str, list[Subscriber]], key: str, subscriber: Subscriber) -> None:
    listeners = registry.get(key, [])
    if subscriber in listeners:
        listeners.remove(subscriber)
    if not listeners:
        registry.pop(key, None)
