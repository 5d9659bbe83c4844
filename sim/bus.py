"""The bus of a simulated process: the interface of `runtime.Bus` over an in-memory broker.

What a process says reaches the broker after a latency drawn from dice; what the broker answers
comes back after another. A process that was killed hears nothing and can say nothing.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import PubAck

from libs.common.runtime.errors import BusError, BusUnavailable
from sim.jetstream import Message
from sim.loop import Life

if TYPE_CHECKING:
    import asyncio

    from sim.broker import Broker
    from sim.jetstream import Consumer, Stored

Handler = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
NO_HEADERS: dict[str, str] = {}


class Subscription:
    """One subscription of one process: what it has not handled yet, in order."""

    def __init__(self, bus: "SimBus", pattern: str, handler: Handler) -> None:
        self.bus = bus
        self.pattern = pattern
        self.latest_ns = 0
        self._handler = handler
        self._inbox: deque[tuple[str, bytes, dict[str, str]]] = deque()
        self._wake: asyncio.Future[None] | None = None

    def arrive(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """The network brings a message."""
        if self.bus.life.is_dead:
            return
        self._inbox.append((subject, payload, headers))
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def pump(self) -> None:
        """Hand over one message after the other, for ever; a handler that fails goes on hearing."""
        loop = self.bus.broker.loop
        while True:
            while not self._inbox:
                self._wake = loop.create_future()
                await self._wake
            subject, payload, headers = self._inbox.popleft()
            try:
                await self._handler(subject, payload, headers)
            except Exception as error:
                self.bus.broker.note(f"{self.bus.life.name}: handler of {subject} failed: {error}")


class SimDelivery:
    """One message of a durable consumer, as `runtime.Delivery`."""

    def __init__(
        self, bus: "SimBus", consumer: "Consumer", message: "Stored", deliveries: int
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self.subject = message.subject
        self.payload = message.data
        self.headers = NO_HEADERS
        self.stream_sequence = message.seq
        self.deliveries = deliveries

    async def ack(self) -> None:
        """Done with it for good; raises BusError when the broker does not confirm."""
        await self._settle("ack", 0)

    async def retry_after(self, wait_ms: int) -> None:
        """Deliver it again after the wait."""
        self._tell("nak", wait_ms)

    async def terminate(self) -> None:
        """Never deliver it again."""
        self._tell("ack", 0)

    async def keep_alive(self) -> None:
        """Restart the redelivery timer."""
        self._tell("progress", 0)

    def _tell(self, verb: str, wait_ms: int) -> None:
        broker, bus = self._bus.broker, self._bus
        if not bus.is_connected:
            raise BusError(f"could not settle {self.subject}: not connected")
        broker.loop.after(
            broker.latency_ns(), broker.settle, bus, self._consumer, self.stream_sequence,
            verb, wait_ms, None,
        )  # fmt: skip

    async def _settle(self, verb: str, wait_ms: int) -> None:
        broker, bus = self._bus.broker, self._bus
        answer = broker.loop.create_future()
        broker.ask_to_settle(bus, self._consumer, self.stream_sequence, verb, wait_ms, answer)
        await answer


class _AckFloor:
    __slots__ = ("stream_seq",)

    def __init__(self, stream_seq: int) -> None:
        self.stream_seq = stream_seq


class _ConsumerInfo:
    __slots__ = ("ack_floor",)

    def __init__(self, floor: int) -> None:
        self.ack_floor = _AckFloor(floor)


class _JetStream:
    """The few calls that services make past the wrapper."""

    def __init__(self, bus: "SimBus") -> None:
        self._bus = bus

    async def consumer_info(self, stream: str, durable: str) -> _ConsumerInfo:
        """Where a consumer stands."""
        await self._reach()
        return _ConsumerInfo(self._bus.broker.consumers[stream, durable].floor)

    async def stream_info(self, stream: str) -> str:
        """Only that it is there."""
        await self._reach()
        return self._bus.broker.streams[stream].name

    async def _reach(self) -> None:
        if not await self._bus.round_trip():
            raise NatsTimeoutError


class SimBus:
    """One process's connection."""

    def __init__(self, broker: "Broker", life: Life) -> None:
        self.broker = broker
        self.life = life
        self.rtt_last_ms = 1
        self.reconnects_total = 0
        self.is_cut = False
        self.deaf_since_ns: dict[str, int] = {}
        self._trip: asyncio.Future[bool] | None = None
        self._jetstream = _JetStream(self)

    @property
    def is_connected(self) -> bool:
        """Whether a word of ours would reach the broker."""
        return not (self.is_cut or self.broker.is_down)

    @property
    def jetstream(self) -> Any:
        """The part of the client's own interface that services use."""
        return self._jetstream

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Send to whoever listens now."""
        if self.life.is_dead:
            return
        if not self.is_connected:
            raise BusUnavailable(f"cannot publish {subject}: not connected")
        broker = self.broker
        broker.loop.after(broker.latency_ns(), broker.fan_out, subject, payload)

    async def publish_stored(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        expected_last_sequence: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> PubAck:
        """Store a message; the errors are those of `runtime.Bus`."""
        answer = self.broker.loop.create_future()
        if not self.life.is_dead:
            message = Message(
                subject, payload, message_id, expected_last_sequence, headers or NO_HEADERS
            )
            self.broker.ask_to_store(self, message, answer)
        found: PubAck = await answer
        return found

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Hear messages as they are said."""
        subscription = Subscription(self, subject, handler)
        self.broker.add_subscription(subscription)
        self.broker.loop.create_task(subscription.pump())

    async def deliveries(self, stream: str, durable: str) -> AsyncIterator[SimDelivery]:
        """Messages of a durable consumer, one at a time, for ever."""
        consumer = self.broker.consumers[stream, durable]
        while True:
            waiting = self.broker.loop.create_future()
            consumer.waiters.append((self, waiting))
            consumer.pump()
            message, count = await waiting
            yield SimDelivery(self, consumer, message, count)

    async def read_message(self, stream: str, sequence: int) -> "Stored | None":
        """The message stored under a sequence."""
        if not await self.round_trip():
            raise BusUnavailable("the broker did not answer")
        return self.broker.streams[stream].messages.get(sequence)

    async def read_last(self, stream: str, subject: str) -> "Stored | None":
        """The last message stored on a subject."""
        if not await self.round_trip():
            raise BusUnavailable("the broker did not answer")
        found = self.broker.streams[stream]
        return found.messages.get(found.last_of.get(subject, 0))

    async def pending_subjects(self, stream: str, subject: str) -> tuple[str, ...]:
        """The subjects that match and have messages stored."""
        if not await self.round_trip():
            raise BusUnavailable("the broker did not answer")
        return self.broker.subjects_of(stream, subject)

    async def round_trip(self) -> bool:
        """Ask the broker something; false if no answer comes in time.

        Questions asked while one is under way are answered together with it.
        """
        loop, broker = self.broker.loop, self.broker
        if self._trip is None or self._trip.done():
            self._trip = loop.create_future()
            is_lost = not self.is_connected or broker.strikes("bus_read_lost", self)
            wait_ns = broker.timeout_ns if is_lost else broker.latency_ns() + broker.latency_ns()
            loop.after(wait_ns, self._answer, self._trip, not is_lost)
        return await self._trip

    def _answer(self, trip: "asyncio.Future[bool]", is_answered: bool) -> None:
        if not trip.done():
            trip.set_result(is_answered and self.is_connected)

    async def close(self) -> None:
        """Leave."""
        self.broker.disconnect(self)
