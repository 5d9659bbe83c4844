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


class Message(NamedTuple):
    """A publication: `expected` is the compare-and-set's last sequence, None without one."""

    subject: str
    payload: bytes
    message_id: str
    expected: int | None
    headers: dict[str, str]


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

    def store(self, message: Message, now_ns: int) -> tuple[PubAck, bool]:
        """Store, or raise AppendConflict; whether it is new is the second figure."""
        subject, message_id, expected = message.subject, message.message_id, message.expected
        last = self.last_of.get(subject, 0)
        if expected is not None and expected != last:
            raise AppendConflict(f"{subject} moved on: wrong last sequence: {last}")
        known = self._ids.get(message_id)
        if known is not None and now_ns - known[1] < self.window_ns:
            return PubAck(stream=self.name, seq=known[0], duplicate=True), False
        self.sequence += 1
        self._ids[message_id] = (self.sequence, now_ns)
        self.messages[self.sequence] = Stored(self.sequence, subject, message.payload, now_ns)
        if self.per_subject_max == 1 and last:
            self.messages.pop(last, None)
        self.last_of[subject] = self.sequence
        return PubAck(stream=self.name, seq=self.sequence), True


class _Pending:
    """A message that was delivered and is not settled."""

    __slots__ = ("deliveries", "is_due", "timer")

    def __init__(self) -> None:
        self.deliveries = 0
        self.is_due = True
        self.timer: Handle | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Consumer:
    """A durable consumer that processes pull from."""

    def __init__(self, broker: "Broker", stream: Stream, config: Any) -> None:
        self.stream = stream
        self.filter: str = config.filter_subject
        self.waiters: list[tuple[SimBus, asyncio.Future[tuple[Stored, int]]]] = []
        self._broker = broker
        self._in_flight_max: int = config.max_ack_pending
        self._ack_wait_ns = int(config.ack_wait * NS_PER_S)
        self._queue: deque[int] = deque()
        self._pending: dict[int, _Pending] = {}
        self._settled_up_to = 0

    @property
    def floor(self) -> int:
        """Everything up to this stream sequence is settled."""
        return min(self._pending) - 1 if self._pending else self._settled_up_to

    def offer(self, sequence: int) -> None:
        """A message that matches was stored."""
        self._queue.append(sequence)
        self.pump()

    def pump(self) -> None:
        """Deliver what is due to those who ask."""
        broker = self._broker
        while self.waiters and not broker.is_down:
            reachable = [one for one in self.waiters if not one[0].is_cut]
            sequence = self._next_due() if reachable else 0
            if not sequence:
                return
            chosen = reachable[broker.choose(len(reachable))]
            self.waiters.remove(chosen)
            pending = self._pending[sequence]
            pending.is_due = False
            pending.deliveries += 1
            self._restart_timer(sequence, pending, self._ack_wait_ns)
            message = self.stream.messages[sequence]
            broker.loop.after(
                broker.latency_ns(), _hand_over, chosen[1], message, pending.deliveries
            )

    def _next_due(self) -> int:
        for sequence, pending in self._pending.items():
            if pending.is_due:
                return sequence
        if self._queue and len(self._pending) < self._in_flight_max:
            sequence = self._queue.popleft()
            self._pending[sequence] = _Pending()
            return sequence
        return 0

    def settle(self, sequence: int, verb: str, wait_ms: int) -> None:
        """The word of a process on a message arrives."""
        pending = self._pending.get(sequence)
        if pending is None:
            return
        if verb == "progress":
            self._restart_timer(sequence, pending, self._ack_wait_ns)
        elif verb == "nak":
            self._restart_timer(sequence, pending, wait_ms * NS_PER_MS)
        else:
            pending.stop_timer()
            del self._pending[sequence]
            self._settled_up_to = max(self._settled_up_to, sequence)
            if self.stream.is_work_queue:
                del self.stream.messages[sequence]
            self.pump()

    def _restart_timer(self, sequence: int, pending: _Pending, wait_ns: int) -> None:
        pending.stop_timer()
        pending.timer = self._broker.loop.after(wait_ns, self._deliver_again, sequence)

    def _deliver_again(self, sequence: int) -> None:
        pending = self._pending.get(sequence)
        if pending is not None:
            pending.timer, pending.is_due = None, True
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
