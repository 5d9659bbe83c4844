"""Streams and durable consumers in memory, with the semantics of JetStream that we rely on."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from nats.js.api import PubAck, RetentionPolicy

from libs.common.runtime.errors import AppendConflict
from sim.loop import NS_PER_S, Handle

if TYPE_CHECKING:
    from sim.broker import Broker
    from sim.bus import SimBus

NS_PER_MS = 1_000_000


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

    def __init__(self, broker: "Broker", stream: Stream, config: Any) -> None:
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
