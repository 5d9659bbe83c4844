"""The one wrapper over nats-py: what the client gets wrong by default is set right here.

The defences, each from a measured failure of the plain client:

* nothing is buffered while disconnected (a buffered intent would be stored after it expired);
* it reconnects for ever, and a connection that is closed for good ends the process;
* no callback can raise (an exception in one kills the read loop while ``is_connected`` stays true);
* a round trip is demanded every second, and one that does not return forces a reconnect
  (``flush`` succeeds on a dead connection);
* a publish that is acknowledged takes a way without queues (``bus_client``): orders wait for it;
* messages are pulled one at a time with a short expiry (a larger batch can stall for seconds, and a
  pull that was outstanding when the broker went away never returns by itself).
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg
from nats.errors import (
    ConnectionClosedError,
    MaxPayloadError,
    NoRespondersError,
    OutboundBufferLimitError,
)
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import PubAck, RawStreamMsg
from nats.js.errors import NoStreamResponseError, NotFoundError, ServiceUnavailableError

from libs.common.runtime.bus_client import BusClient, acknowledgement
from libs.common.runtime.bus_identity import BusIdentity, load_identity
from libs.common.runtime.bus_tls import tls_context, why_refused
from libs.common.runtime.clock import monotonic_ns
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusError, BusUnavailable, PublishUnknown
from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import trace_headers

log = get_logger(__name__)

ERRORS_TOLD_MAX = 16
#: What the broker does once it could not write: it answers pings and stores nothing ever after.
_SILENT_STORE = (
    ", though the broker is there: if its log says that its volume is full or cannot be written,"
    " make room and restart it"
)
Handler = Callable[[str, bytes, dict[str, str]], Awaitable[None]]


def _without_password(url: str) -> str:
    """A broker's URL as it may be shown: what stands before the @ is secret."""
    return re.sub(r"(?<=://).*@", "***@", url)


class Delivery:
    """One message pulled from a stream; it must be settled with exactly one of its verbs."""

    def __init__(self, message: Msg, ack_timeout_s: float) -> None:
        self._message = message
        self._ack_timeout_s = ack_timeout_s
        self.subject: str = message.subject
        self.payload: bytes = message.data
        self.headers: dict[str, str] = dict(message.headers or {})
        metadata = message.metadata
        self.stream_sequence: int = metadata.sequence.stream if metadata.sequence else 0
        self.deliveries: int = metadata.num_delivered or 1

    async def ack(self) -> None:
        """Done with it for good; waits for the broker's confirmation.

        Raises:
            BusError: the broker did not confirm; the message may come again.
        """
        await self._settle(self._message.ack_sync(timeout=self._ack_timeout_s))

    async def retry_after(self, wait_ms: int) -> None:
        """Not done: deliver it again after the wait."""
        await self._settle(self._message.nak(delay=wait_ms / 1000))

    async def terminate(self) -> None:
        """Never deliver it again (its reason belongs in a dead letter first)."""
        await self._settle(self._message.term())

    async def keep_alive(self) -> None:
        """Still working on it: restart the broker's redelivery timer."""
        await self._settle(self._message.in_progress())

    async def _settle(self, verb: Awaitable[Any]) -> None:
        try:
            await verb
        except (NatsError, TimeoutError) as error:
            raise BusError(f"could not settle {self.subject}: {error!r}") from error


#: What nats-server says to whoever brings a wrong password or key.
_NOT_LET_IN = "authorization violation"


class Bus:
    """A connection to NATS with JetStream. Made by ``connect``."""

    def __init__(
        self, client: BusClient, settings: BusConfig, on_closed: Callable[[], None]
    ) -> None:
        self._client = client
        self._settings = settings
        self._on_closed = on_closed
        self._watchdog: asyncio.Task[None] | None = None
        self._closing = False
        self.rtt_last_ms: int | None = None
        self.reconnects_total = 0
        self._error_told = ""
        self._errors_told: set[str] = set()
        self._is_refused = False
        self._identity: BusIdentity | None = None
        self._tls: ssl.SSLContext | None = None

    @classmethod
    async def connect(cls, settings: BusConfig, name: str, on_closed: Callable[[], None]) -> "Bus":
        """Connect, retrying with a visible wait.

        Args:
            settings: where, and every limit.
            name: who we are, as the broker's logs show it.
            on_closed: called once when the connection is closed for good; must end the process.

        Raises:
            BusUnavailable: not connected after ``connect_attempts_max`` attempts.
            ConfigError: the identity or the authority of the broker cannot be read.
        """
        bus = cls(BusClient(), settings, on_closed)
        if settings.identity_file is not None:
            bus._identity = load_identity(settings.identity_file)
        bus._tls = tls_context(settings)
        for attempt in range(1, settings.connect_attempts_max + 1):
            try:
                await bus._open(name)
            except (NatsError, OSError, TimeoutError) as error:
                log.warning(
                    "broker not reachable, waiting",
                    url=_without_password(settings.url),
                    attempt=attempt,
                    attempts_max=settings.connect_attempts_max,
                    wait_ms=settings.connect_wait_ms,
                    error=repr(error),
                )
                if bus._is_refused:
                    raise BusUnavailable(
                        f"the broker at {_without_password(settings.url)} does not let us in"
                        " (authorization violation): it does not know the password in bus.url, or"
                        " the key in bus.identity_file"
                    ) from None
                await asyncio.sleep(settings.connect_wait_ms / 1000)
            else:
                bus._watchdog = asyncio.create_task(bus._watch(), name="bus-watchdog")
                return bus
        raise BusUnavailable(
            f"no broker at {_without_password(settings.url)}"
            f" after {settings.connect_attempts_max} attempts"
            f" ({bus._error_told or 'no answer'}); start nats-server or set bus.url"
        )

    async def _open(self, name: str) -> None:
        settings = self._settings
        self._client = BusClient()
        if self._identity is not None:
            self._client.introduce_as(self._identity)
        if self._tls is not None:
            self._client.demand_proof()
        # The client retries its first connection without end and in silence: bound each attempt.
        async with asyncio.timeout(settings.connect_timeout_ms / 1000):
            await self._client.connect(
                settings.url,
                name=name,
                signature_cb=self._identity.sign if self._identity is not None else None,
                tls=self._tls,
                inbox_prefix=f"_INBOX_{name}",
                pending_size=0,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=settings.reconnect_wait_ms / 1000,  # type: ignore[arg-type]
                connect_timeout=settings.connect_timeout_ms // 1000 or 1,
                ping_interval=settings.ping_interval_ms // 1000,
                max_outstanding_pings=settings.pings_outstanding_max,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_client_closed,
            )
            await self._client.listen_for_answers()

    @property
    def is_connected(self) -> bool:
        """Whether the client believes it is connected and the last round trip returned."""
        return self._client.is_connected and self.rtt_last_ms is not None

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream calls with the configured timeout."""
        timeout_s = self._settings.publish_timeout_ms / 1000
        return self._client.jetstream(timeout=timeout_s, prefix=self._settings.api_prefix)

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Send to whoever listens now; nothing is stored.

        Raises:
            BusUnavailable: not connected.
        """
        try:
            self._client.say(subject, payload, headers or trace_headers())
        except (NatsError, OutboundBufferLimitError) as error:
            raise BusUnavailable(f"cannot publish {subject}: {error!r}") from error

    async def publish_stored(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        expected_last_sequence: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> PubAck:
        """Store a message and return the broker's acknowledgement.

        Args:
            message_id: the broker drops a second message with the same id within its window.
            expected_last_sequence: the append is refused unless this is the stream sequence of the
                last message on the subject (0: there is none).

        Raises:
            BusUnavailable: nothing was stored.
            AppendConflict: another message came first; nothing was stored.
            PublishUnknown: no acknowledgement; read back before doing it again.
        """
        all_headers = {**(headers or trace_headers()), "Nats-Msg-Id": message_id}
        if expected_last_sequence is not None:
            all_headers["Nats-Expected-Last-Subject-Sequence"] = str(expected_last_sequence)
        timeout_s = self._settings.publish_timeout_ms / 1000
        try:
            answer = await self._client.ask(subject, payload, all_headers, timeout_s)
        except (
            NoRespondersError,
            OutboundBufferLimitError,
            ConnectionClosedError,
            MaxPayloadError,
        ) as error:
            raise BusUnavailable(f"cannot store {subject}: {error!r}") from error
        except TimeoutError as error:
            told = f"no acknowledgement for {subject} in {self._settings.publish_timeout_ms} ms"
            raise PublishUnknown(told + (_SILENT_STORE if self.is_connected else "")) from error
        except (NatsError, OSError) as error:
            raise PublishUnknown(f"no acknowledgement for {subject}: {error!r}") from error
        return acknowledgement(subject, answer)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Hear messages as they are said. A handler that raises is logged and goes on hearing."""

        async def guarded(message: Msg) -> None:
            try:
                await handler(message.subject, message.data, dict(message.headers or {}))
            except Exception as error:
                log.error("handler failed", subject=message.subject, exc_info=error)

        await self._client.subscribe(subject, cb=guarded)

    async def deliveries(self, stream: str, durable: str) -> AsyncIterator[Delivery]:
        """Messages of a durable consumer, one at a time, for ever, through any outage."""
        expires_s = self._settings.fetch_expires_ms / 1000
        ack_timeout_s = self._settings.publish_timeout_ms / 1000
        subscription: JetStreamContext.PullSubscription | None = None
        while not self._closing:
            try:
                if subscription is None:
                    subscription = await self.jetstream.pull_subscribe_bind(durable, stream=stream)
                messages = await subscription.fetch(1, timeout=expires_s)
            except TimeoutError:
                continue
            except (NatsError, NoStreamResponseError, ServiceUnavailableError) as error:
                log.warning("pull failed", stream=stream, durable=durable, error=repr(error))
                await asyncio.sleep(self._settings.reconnect_wait_ms / 1000)
                continue
            for message in messages:
                yield Delivery(message, ack_timeout_s)

    async def read_message(self, stream: str, sequence: int) -> RawStreamMsg | None:
        """The message stored under a sequence, from the stream's leader; ``None`` if none is.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        return await self._read(self.jetstream.get_msg(stream, seq=sequence))

    async def read_last(self, stream: str, subject: str) -> RawStreamMsg | None:
        """The last message stored on a subject, from the stream's leader; ``None`` if none is.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        return await self._read(self.jetstream.get_last_msg(stream, subject))

    async def last_sequence(self, stream: str) -> int:
        """The sequence of the last message a stream ever stored, settled or not.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        try:
            info = await self.jetstream.stream_info(stream)
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable(f"the broker did not answer: {error!r}") from error
        return info.state.last_seq

    async def pending_subjects(self, stream: str, subject: str) -> tuple[str, ...]:
        """The subjects that match and have messages stored (in a work queue: not settled yet).

        Raises:
            BusUnavailable: the broker did not answer.
        """
        try:
            info = await self.jetstream.stream_info(stream, subjects_filter=subject)
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable(f"the broker did not answer: {error!r}") from error
        return tuple(info.state.subjects or ())

    async def _read(self, request: Awaitable[RawStreamMsg]) -> RawStreamMsg | None:
        try:
            return await request
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable(f"the broker did not answer: {error!r}") from error

    async def close(self) -> None:
        """Send what is pending and leave, within ``close_timeout_ms``; errors are only logged."""
        self._closing = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        leaving = asyncio.create_task(self._leave(), name="bus-leaving")
        # Not wait_for, which waits for the end of what it cancels: nats-py swallows that.
        if not (await asyncio.wait({leaving}, timeout=self._settings.close_timeout_ms / 1000))[0]:
            leaving.cancel()
            log.warning("broker not left in time", limit_ms=self._settings.close_timeout_ms)

    async def _leave(self) -> None:
        try:
            await self._client.leave()
        except Exception as error:  # a transport half gone raises anything; we are leaving anyway
            log.warning("the broker did not take our last words", error=repr(error))

    async def _watch(self) -> None:
        timeout_s = max(1, self._settings.rtt_timeout_ms // 1000)
        while not self._client.is_closed:  # that has ended the process; asking on would only spin
            started = monotonic_ns()
            reconnects = self.reconnects_total
            try:
                await self._client.rtt(timeout=timeout_s)
                self.rtt_last_ms = (monotonic_ns() - started) // 1_000_000
            except (
                Exception
            ) as error:  # a transport half gone raises anything; we must go on asking
                if reconnects == self.reconnects_total:  # else the ping died with the old socket
                    self.rtt_last_ms = None
                    log.warning("broker round trip failed, reconnecting", error=repr(error))
                    await self._client.force_reconnect()
                await asyncio.sleep(self._settings.reconnect_wait_ms / 1000)
                continue
            await asyncio.sleep(self._settings.rtt_interval_ms / 1000)

    async def _on_error(self, error: Exception) -> None:
        self._error_told = text = why_refused(error)
        self._is_refused |= _NOT_LET_IN in str(error).lower()
        # An absent broker is the same error five times a second, one that refuses us the same two.
        if text not in self._errors_told and len(self._errors_told) < ERRORS_TOLD_MAX:
            self._errors_told.add(text)
            log.warning("broker error", error=text)

    async def _on_disconnected(self) -> None:
        self.rtt_last_ms = None
        log.warning("broker disconnected")

    async def _on_reconnected(self) -> None:
        self.reconnects_total += 1
        self._error_told = ""
        self._errors_told.clear()
        log.info("broker reconnected")

    async def _on_client_closed(self) -> None:
        if not self._closing:
            log.error("broker connection closed for good")
            self._on_closed()
