"""nats-py's client with a shorter way for what waits, and for what is said most often.

An order waits for two publishes that the broker acknowledges. nats-py hands a request from task to
task (a queue to the flusher, a queue to the subscription, a timeout with a task of its own), which
costs more than the broker's round trip on the same machine. `ask` writes to the connection at once
and is woken by the parser itself. `say` gathers what nobody answers, market data above all, and
writes it at the end of the loop's turn; `ask` never overtakes it. Everything else, connecting and
reconnecting above all, stays nats-py's.
"""

import asyncio
import itertools
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.transport import Transport
from nats.errors import (
    ConnectionClosedError,
    Error,
    MaxPayloadError,
    NoRespondersError,
    OutboundBufferLimitError,
)
from nats.js.api import PubAck
from nats.js.errors import APIError

from libs.common.runtime.bus_identity import BusIdentity
from libs.common.runtime.errors import AppendConflict, BusUnavailable, PublishUnknown

WRONG_LAST_SEQUENCE = 10071
_NO_RESPONDERS = b"NATS/1.0 503"
_LINE_ENDS = {ord("\r"): " ", ord("\n"): " "}


class BusClient(Client):
    """A client whose `ask` does not queue. One connection, as before."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._replies_sid = 0
        self._replies_prefix = ""
        self._numbers = itertools.count(1)
        self._said: list[bytes] = []
        self._has_to_be_proved = False

    def introduce_as(self, identity: BusIdentity) -> None:
        """Be known to the broker by an nkey; nats-py wants one more package for that."""
        self._auth_configured = True
        self._public_nkey = identity.public

    def demand_proof(self) -> None:
        """Leave a broker that offers no TLS; nats-py would go on in the clear."""
        self._has_to_be_proved = True

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._has_to_be_proved and not info.get("tls_required"):
            raise Error("the broker offers no TLS, and bus.tls_ca_file or tls:// asks for it")
        await super()._process_info(info, initial_connection)

    async def listen_for_answers(self) -> None:
        """Subscribe to the inbox of `ask`; nats-py renews that when it reconnects."""
        self._replies_prefix = self.new_inbox()
        subscription = await self.subscribe(f"{self._replies_prefix}.*", cb=_drop)
        self._replies_sid = subscription._id  # noqa: SLF001 - it has no public name
        # `ask` must not overtake it: between accounts the broker forgets whom nobody listens for.
        await self.flush()

    async def ask(
        self, subject: str, payload: bytes, headers: dict[str, str], timeout_s: float
    ) -> bytes:
        """Publish with headers and return the one answer.

        Raises errors of nats-py: OutboundBufferLimitError or ConnectionClosedError (nothing was
        sent), MaxPayloadError, NoRespondersError (nobody stores this subject); or TimeoutError (it
        may have been stored).
        """
        transport = self._check_can_send(payload)
        inbox = f"{self._replies_prefix}.{next(self._numbers)}".encode()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        self._waiting[inbox] = answered
        self._write_said()
        transport.write(_publish_frame(subject, inbox, payload, headers))
        timer = loop.call_later(timeout_s, _expire, answered)
        try:
            return await answered
        finally:
            timer.cancel()
            self._waiting.pop(inbox, None)

    def say(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publish to whoever listens, with everything else that is said in this turn of the loop.

        Raises errors of nats-py: OutboundBufferLimitError, ConnectionClosedError or
        MaxPayloadError; nothing was sent. What is said just before the connection goes is lost.
        """
        self._check_can_send(payload)
        if not self._said:
            asyncio.get_running_loop().call_soon(self._write_said)
        self._said.append(_publish_frame(subject, b"", payload, headers))

    async def leave(self) -> None:
        """Send what is pending and close. Raises whatever the transport raises."""
        try:
            if self.is_connected:
                await self.flush()
        finally:
            if not self.is_connected:  # nats-py would write it to the connection that is gone
                self._pending, self._pending_data_size = [], 0
            await self.close()

    def _check_can_send(self, payload: bytes) -> Transport:
        if self.is_closed:
            raise ConnectionClosedError
        transport = self._transport
        if not self.is_connected or transport is None:
            raise OutboundBufferLimitError
        if len(payload) > self.max_payload:
            raise MaxPayloadError
        return transport

    def _write_said(self) -> None:
        """Write what nobody answers, after what nats-py has not written yet, such as SUB."""
        said, self._said = self._said, []
        transport = self._transport
        if not said or not self.is_connected or transport is None:
            return
        if self._pending:
            said = [*self._pending, *said]
            self._pending, self._pending_data_size = [], 0
        transport.write(b"".join(said))

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        if sid != self._replies_sid:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        answered = self._waiting.get(bytes(subject))
        if answered is None or answered.done():
            return  # too late: whoever asked has given up
        if headers and bytes(headers).startswith(_NO_RESPONDERS):
            answered.set_exception(NoRespondersError())
        else:
            answered.set_result(bytes(data))


def acknowledgement(subject: str, answer: bytes) -> PubAck:
    """What the broker answered to something that is to be stored.

    Raises:
        AppendConflict: another message came first; nothing was stored.
        BusUnavailable: it refused; nothing was stored.
        PublishUnknown: the answer cannot be read.
    """
    try:
        told = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise PublishUnknown(f"an answer about {subject} that cannot be read: {error}") from error
    if "error" not in told:
        return PubAck.from_response(told)
    try:
        raise APIError.from_error(told["error"])  # which itself raises for some codes
    except APIError as refusal:
        if refusal.err_code == WRONG_LAST_SEQUENCE:
            raise AppendConflict(f"{subject} moved on: {refusal.description}") from refusal
        raise BusUnavailable(f"the broker refused {subject}: {refusal.description}") from refusal


def _publish_frame(subject: str, inbox: bytes, payload: bytes, headers: dict[str, str]) -> bytes:
    if subject.split() != [subject]:  # one word, without anything that ends a word or a line
        raise ValueError(f"no subject to publish on: {subject!r}")
    lines = "".join([_header_line(name, value) for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    sizes = b"%d %d" % (len(head), len(head) + len(payload))
    return b"HPUB %b %b %b\r\n%b%b\r\n" % (subject.encode(), inbox, sizes, head, payload)


def _header_line(name: str, value: str) -> str:
    if not value.isprintable():
        value = value.translate(_LINE_ENDS)
    return f"{name}: {value.strip()}\r\n"


def _expire(answered: asyncio.Future[bytes]) -> None:
    if not answered.done():
        answered.set_exception(TimeoutError("no answer in time"))


async def _drop(message: object) -> None:
    """Answers never come this way: `_process_msg` takes them first."""
