"""JetStream in memory: streams and consumers as provisioned, with the semantics we rely on.

An append's compare-and-set is judged before its message id (as the real server does); a repeated id
inside the window is acknowledged and not stored. A work queue's message is delivered again when it
is not acknowledged within `ack_wait`. Plain subscribers hear every publication, refused or not.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from nats.js.api import PubAck, RetentionPolicy

from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import AppendConflict, BusError, BusUnavailable, PublishUnknown
from libs.common.runtime.provisioning import consumer_configs, stream_configs
from sim.bus import SimBus, Subscription
from sim.loop import NS_PER_S, Handle, VirtualLoop

NS_PER_MS = 1_000_000
#: One way between a process and the broker.
LATENCY_NS = (200_000, 3 * NS_PER_MS)
#: A ghost: the publication that its sender has given up on, and that arrives all the same.
GHOST_NS = (NS_PER_S // 2, 6 * NS_PER_S)


class Stored(NamedTuple):
    """A stored message, shaped like the client's."""

    seq: int
    subject: str
    data: bytes
    at_ns: int


class Stream:
    """One stream."""

    def __init__(self, config: Any) -> None:
        self.name: str = config.name
        self.subjects: tuple[str, ...] = tuple(config.subjects)
        self.is_work_queue = config.retention is RetentionPolicy.WORK_QUEUE
        self.window_ns = int(config.duplicate_window * NS_PER_S)
        self.per_subject_max: int = config.max_msgs_per_subject
        self.messages: dict[int, Stored] = {}
        self.last_of: dict[str, int] = {}
        self.sequence = 0
        self.consumers: list[Consumer] = []
        self._ids: dict[str, tuple[int, int]] = {}

    def store(
        self, subject: str, payload: bytes, message_id: str, expected: int | None, now_ns: int
    ) -> tuple[PubAck, bool]:
        """Store, or raise AppendConflict; whether it is new is the second figure."""
        last = self.last_of.get(subject, 0)
        if expected is not None and expected != last:
            raise AppendConflict(f"{subject} moved on: wrong last sequence: {last}")
        known = self._ids.get(message_id)
        if known is not None and now_ns - known[1] < self.window_ns:
            return PubAck(stream=self.name, seq=known[0], duplicate=True), False
        self.sequence += 1
        self._ids[message_id] = (self.sequence, now_ns)
        self.messages[self.sequence] = Stored(self.sequence, subject, payload, now_ns)
        if self.per_subject_max == 1 and last:
            self.messages.pop(last, None)
        self.last_of[subject] = self.sequence
        return PubAck(stream=self.name, seq=self.sequence), True


class Consumer:
    """A durable consumer with one message in flight."""

    def __init__(
        self, broker: "Broker", stream: Stream, config: Any, note: Callable[[str], None]
    ) -> None:
        self.stream = stream
        self.filter: str = config.filter_subject
        self.waiters: list[tuple[SimBus, asyncio.Future[tuple[Stored, int]]]] = []
        self.floor = 0
        self._broker = broker
        self._ack_wait_ns = int(config.ack_wait * NS_PER_S)
        self._queue: deque[int] = deque()
        self._pending = 0
        self._is_waiting_again = False
        self._deliveries = 0
        self._timer: Handle | None = None
        self._note = note

    def offer(self, sequence: int) -> None:
        """A message that matches was stored."""
        self._queue.append(sequence)
        self.pump()

    def pump(self) -> None:
        """Deliver the next message if nothing is in flight and somebody asks."""
        broker = self._broker
        if broker.is_down or not self.waiters:
            return
        if self._pending:
            if not self._is_waiting_again:
                return
        elif self._queue:
            self._pending, self._deliveries = self._queue.popleft(), 0
        else:
            return
        reachable = [one for one in self.waiters if not one[0].is_cut]
        if not reachable:
            self._is_waiting_again = True
            return
        chosen = reachable[broker.choose(len(reachable))]
        self.waiters.remove(chosen)
        self._is_waiting_again = False
        self._deliveries += 1
        message = self.stream.messages[self._pending]
        self._restart_timer()
        broker.loop.after(broker.latency_ns(), _hand_over, chosen[1], message, self._deliveries)

    def settle(self, sequence: int, verb: str, wait_ms: int) -> None:
        """The word of a process on a message arrives."""
        if sequence != self._pending:
            return
        if verb == "progress":
            self._restart_timer()
        elif verb == "nak":
            self._stop_timer()
            self._timer = self._broker.loop.after(wait_ms * NS_PER_MS, self._deliver_again)
        else:
            self._stop_timer()
            self.floor, self._pending, self._is_waiting_again = sequence, 0, False
            if self.stream.is_work_queue:
                del self.stream.messages[sequence]
            self.pump()

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = self._broker.loop.after(self._ack_wait_ns, self._deliver_again)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deliver_again(self) -> None:
        self._timer = None
        if self._pending:
            self._is_waiting_again = True
            self._broker.redeliveries += 1
            self.pump()


def _hand_over(
    waiting: "asyncio.Future[tuple[Stored, int]]", message: Stored, deliveries: int
) -> None:
    if not waiting.done():
        waiting.set_result((message, deliveries))


class Broker:
    """The broker of one world. `strikes(kind, bus)` asks fate about one request."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: Random,
        settings: BusConfig,
        account: str,
        strikes: Callable[[str, SimBus], bool],
        note: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.strikes = strikes
        self.note = note
        self.timeout_ns = settings.publish_timeout_ms * NS_PER_MS
        self.is_down = False
        self.is_full = False
        self.redeliveries = 0
        self.on_stored: Callable[[Stored], None] | None = None
        self._draw = dice.random
        self._subscriptions: list[Subscription] = []
        self._routes: dict[str, tuple[Stream | None, list[Subscription], list[Consumer]]] = {}
        self.streams = {config.name: Stream(config) for config in _STREAMS}
        self.consumers: dict[tuple[str, str], Consumer] = {}
        for name, config in consumer_configs(account, settings):
            stream = self.streams[name]
            consumer = Consumer(self, stream, config, note)
            stream.consumers.append(consumer)
            self.consumers[name, str(config.durable_name)] = consumer

    # -- dice ------------------------------------------------------------------------------------

    def latency_ns(self) -> int:
        """One way over the network, mostly short."""
        draw = self._draw()
        low, high = LATENCY_NS
        return low + int((high - low) * draw * draw)

    def choose(self, count: int) -> int:
        """One of so many."""
        return int(self._draw() * count)

    def between(self, low_ns: int, high_ns: int) -> int:
        """A span."""
        return low_ns + int((high_ns - low_ns) * self._draw())

    # -- storing ---------------------------------------------------------------------------------

    def ask_to_store(
        self,
        bus: SimBus,
        subject: str,
        payload: bytes,
        message_id: str,
        expected: int | None,
        answer: "asyncio.Future[PubAck]",
    ) -> None:
        """A process wants a message stored."""
        later = self.loop.after
        if not bus.is_connected:
            if self._draw() < 0.5:  # the client knows it, or does not know it yet
                later(self.latency_ns(), _fail, answer, BusUnavailable(f"cannot store {subject}"))
            else:
                later(self.timeout_ns, _fail, answer, _no_word(subject))
            return
        message = (subject, payload, message_id, expected)
        if self.strikes("publish_lost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
        elif self.strikes("publish_ghost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
            later(self.timeout_ns + self.between(*GHOST_NS), self._store_late, message)
        else:
            later(self.latency_ns(), self._arrive, bus, message, answer)

    def _arrive(
        self,
        bus: SimBus,
        message: tuple[str, bytes, str, int | None],
        answer: "asyncio.Future[PubAck]",
    ) -> None:
        subject, later = message[0], self.loop.after
        if not bus.is_connected:
            later(self.timeout_ns, _fail, answer, _no_word(subject))
            return
        if self.is_full:
            later(self.latency_ns(), _fail, answer, BusUnavailable(f"{subject}: no space left"))
            return
        try:
            found = self.store(*message)
        except AppendConflict as conflict:
            self.note(f"append to {subject} by {bus.life.name} conflicts")
            later(self.latency_ns(), _fail, answer, conflict)
            return
        if self.strikes("ack_of_publish_lost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
        elif message[3] is not None and self.strikes("publish_repeated", bus):
            # The client's own retry of an append that was stored: refused by its first attempt.
            later(self.latency_ns(), _fail, answer, AppendConflict(f"{subject} moved on"))
        else:
            later(self.latency_ns(), _answer, answer, found)

    def _store_late(self, message: tuple[str, bytes, str, int | None]) -> None:
        try:
            self.store(*message)
        except AppendConflict:
            self.note(f"the ghost on {message[0]} comes too late and is refused")

    def store(
        self, subject: str, payload: bytes, message_id: str, expected: int | None = None
    ) -> PubAck:
        """Store a message now; raises AppendConflict."""
        stream, _, consumers = self._route(subject)
        assert stream is not None, f"no stream takes {subject}"
        self.fan_out(subject, payload)
        found, is_new = stream.store(subject, payload, message_id, expected, self.loop.now_ns)
        if is_new:
            if self.on_stored is not None:
                self.on_stored(stream.messages[found.seq])
            for consumer in consumers:
                consumer.offer(found.seq)
        return found

    # -- hearing ---------------------------------------------------------------------------------

    def add_subscription(self, subscription: Subscription) -> None:
        """Somebody listens."""
        self._subscriptions.append(subscription)
        self._routes.clear()

    def disconnect(self, bus: SimBus) -> None:
        """A process is gone: nothing is sent to it any more."""
        self._subscriptions = [one for one in self._subscriptions if one.bus is not bus]
        self._routes.clear()
        for consumer in self.consumers.values():
            consumer.waiters = [one for one in consumer.waiters if one[0] is not bus]

    def fan_out(self, subject: str, payload: bytes) -> None:
        """Tell all who listen now, each after a latency of its own and in order."""
        if self.is_down:
            return
        for subscription in self._route(subject)[1]:
            if subscription.bus.is_cut:
                continue
            at_ns = max(subscription.latest_ns, self.loop.now_ns + self.latency_ns())
            subscription.latest_ns = at_ns
            self.loop.after(at_ns - self.loop.now_ns, subscription.arrive, subject, payload)

    def recover(self) -> None:
        """The broker, or a way to it, is back: deliver what waits."""
        for consumer in self.consumers.values():
            consumer.pump()

    def _route(self, subject: str) -> tuple[Stream | None, list[Subscription], list[Consumer]]:
        route = self._routes.get(subject)
        if route is None:
            stream = next(
                (
                    one
                    for one in self.streams.values()
                    if any(matches(pattern, subject) for pattern in one.subjects)
                ),
                None,
            )
            heard = [one for one in self._subscriptions if matches(one.pattern, subject)]
            consumers = [] if stream is None else [
                one for one in stream.consumers if matches(one.filter, subject)
            ]  # fmt: skip
            route = self._routes[subject] = (stream, heard, consumers)
        return route

    # -- settling --------------------------------------------------------------------------------

    def ask_to_settle(
        self,
        bus: SimBus,
        consumer: Consumer,
        sequence: int,
        verb: str,
        wait_ms: int,
        answer: "asyncio.Future[None]",
    ) -> None:
        """A process acknowledges and waits for the confirmation."""
        if not bus.is_connected or self.strikes("ack_lost", bus):
            error = BusError("could not settle: no word of the broker")
            self.loop.after(self.timeout_ns, _fail, answer, error)
            return
        self.loop.after(
            self.latency_ns(), self.settle, bus, consumer, sequence, verb, wait_ms, answer
        )

    def settle(
        self,
        bus: SimBus,
        consumer: Consumer,
        sequence: int,
        verb: str,
        wait_ms: int,
        answer: "asyncio.Future[None] | None",
    ) -> None:
        """The word arrives at the broker."""
        if not bus.is_connected:
            if answer is not None:
                self.loop.after(self.timeout_ns, _fail, answer, BusError("could not settle"))
            return
        consumer.settle(sequence, verb, wait_ms)
        if answer is not None:
            self.loop.after(self.latency_ns(), _answer, answer, None)

    def subjects_of(self, stream: str, pattern: str) -> tuple[str, ...]:
        """The subjects of a stream that match and have messages."""
        found = {one.subject for one in self.streams[stream].messages.values()}
        return tuple(sorted(subject for subject in found if matches(pattern, subject)))


_STREAMS = stream_configs()


def matches(pattern: str, subject: str) -> bool:
    """NATS's rule: ``*`` is one token, ``>`` is one or more at the end."""
    if "*" not in pattern and ">" not in pattern:
        return pattern == subject
    wanted, found = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(found) > index
        if index >= len(found) or part not in ("*", found[index]):
            return False
    return len(wanted) == len(found)


def _no_word(subject: str) -> PublishUnknown:
    return PublishUnknown(f"no acknowledgement for {subject}")


def _answer(answer: "asyncio.Future[Any]", found: object) -> None:
    if not answer.done():
        answer.set_result(found)


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
