"""The broker in memory: streams and consumers as provisioned, behind a network that loses things.

An append's compare-and-set is judged before its message id (as the real server does); a repeated id
inside the window is acknowledged and not stored. A work queue's message is delivered again when it
is not acknowledged within `ack_wait`. Plain subscribers hear every publication, refused or not.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from nats.js.api import PubAck

from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import AppendConflict, BusError, BusUnavailable, PublishUnknown
from libs.common.runtime.provisioning import consumer_configs, stream_configs
from sim.bus import NO_HEADERS, SimBus, Subscription
from sim.jetstream import NS_PER_MS, Consumer, Message, Stored, Stream, matches
from sim.loop import NS_PER_S, VirtualLoop

#: One way between a process and the broker.
LATENCY_NS = (200_000, 3 * NS_PER_MS)
#: A ghost: the publication that its sender has given up on, and that arrives all the same.
GHOST_NS = (NS_PER_S // 2, 6 * NS_PER_S)


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
            consumer = Consumer(self, stream, config)
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

    def ask_to_store(self, bus: SimBus, message: Message, answer: "asyncio.Future[PubAck]") -> None:
        """A process wants a message stored."""
        later, subject = self.loop.after, message.subject
        if not bus.is_connected:
            if self._draw() < 0.5:  # the client knows it, or does not know it yet
                later(self.latency_ns(), _fail, answer, BusUnavailable(f"cannot store {subject}"))
            else:
                later(self.timeout_ns, _fail, answer, _no_word(subject))
        elif self.strikes("publish_lost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
        elif self.strikes("publish_ghost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
            later(self.timeout_ns + self.between(*GHOST_NS), self._store_late, message)
        else:
            later(self.latency_ns(), self._arrive, bus, message, answer)

    def _arrive(self, bus: SimBus, message: Message, answer: "asyncio.Future[PubAck]") -> None:
        subject, later = message.subject, self.loop.after
        if not bus.is_connected:
            later(self.timeout_ns, _fail, answer, _no_word(subject))
            return
        if self.is_full:
            later(self.latency_ns(), _fail, answer, BusUnavailable(f"{subject}: no space left"))
            return
        try:
            found = self.take(message)
        except AppendConflict as conflict:
            self.note(f"append to {subject} by {bus.life.name} conflicts")
            later(self.latency_ns(), _fail, answer, conflict)
            return
        if self.strikes("ack_of_publish_lost", bus):
            later(self.timeout_ns, _fail, answer, _no_word(subject))
        elif message.expected is not None and self.strikes("publish_repeated", bus):
            # The client's own retry of an append that was stored: refused by its first attempt.
            later(self.latency_ns(), _fail, answer, AppendConflict(f"{subject} moved on"))
        else:
            later(self.latency_ns(), _answer, answer, found)

    def _store_late(self, message: Message) -> None:
        if not self.can_store:
            return
        try:
            self.take(message)
        except AppendConflict:
            self.note(f"the ghost on {message.subject} comes too late and is refused")

    def store(self, subject: str, payload: bytes, message_id: str) -> None:
        """Store what the world itself says."""
        self.take(Message(subject, payload, message_id, None, NO_HEADERS))

    def take(self, message: Message) -> PubAck:
        """Tell whoever listens, and store; raises AppendConflict."""
        stream, _, consumers = self._route(message.subject)
        assert stream is not None, f"no stream takes {message.subject}"
        self.fan_out(message.subject, message.payload, message.headers)
        found, is_new = stream.store(message, self.loop.now_ns)
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

    def fan_out(self, subject: str, payload: bytes, headers: dict[str, str] = NO_HEADERS) -> None:
        """Tell all who listen now, each after a latency of its own and in order."""
        if self.is_down:
            return
        for subscription in self._route(subject)[1]:
            bus = subscription.bus
            if bus.is_cut or subject.startswith(tuple(bus.deaf_since_ns)):
                continue
            at_ns = max(subscription.latest_ns, self.loop.now_ns + self.latency_ns())
            subscription.latest_ns = at_ns
            self.loop.after(
                at_ns - self.loop.now_ns, subscription.arrive, subject, payload, headers
            )

    @property
    def can_store(self) -> bool:
        """Whether a message said at the broker itself would be kept."""
        return not (self.is_down or self.is_full)

    def come_back(self) -> None:
        """The broker is up again."""
        self.is_down = False
        self.recover()

    def recover(self) -> None:
        """A way to the broker is back: deliver what waits."""
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


def _no_word(subject: str) -> PublishUnknown:
    return PublishUnknown(f"no acknowledgement for {subject}")


def _answer(answer: "asyncio.Future[Any]", found: object) -> None:
    if not answer.done():
        answer.set_result(found)


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
