"""An open-loop client: signed orders leave on schedule, whether or not the answers come.

The latency of an order runs from the moment it was due, so a venue that stalls pays for every order
that waited, not for one. Connections are bytes by hand on a Protocol, one order at a time on each:
the client must not be what is measured.
"""

import asyncio
import hashlib
import hmac
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import cast

from libs.common.runtime.clock import monotonic_ns

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
CONNECTIONS = 16
ANSWER_WAIT_S = 10.0
TICK_S = 0.001


@dataclass
class Outcome:
    """What came of a load: latencies in ns of answered orders, statuses, what was lost."""

    latencies_ns: list[int] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    late_by_ns_max: int = 0
    unanswered: int = 0
    took_ns: int = 0


class OrderWriter:
    """Makes the bytes of one signed order after the other: buys and sells in turn, all market."""

    def __init__(self, host: str, api_key: str, secret: str, symbols: tuple[str, ...]) -> None:
        self._head = (
            f"POST /fapi/v1/order HTTP/1.1\r\nHost: {host}\r\nX-MBX-APIKEY: {api_key}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        ).encode()
        self._mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self._symbols = symbols
        self._count = 0

    def next(self, timestamp_ms: int) -> bytes:
        """The next order, stamped and signed now."""
        number = self._count
        self._count += 1
        symbol = self._symbols[number // 2 % len(self._symbols)]
        side = "SELL" if number % 2 else "BUY"
        payload = (
            f"symbol={symbol}&side={side}&type=MARKET&quantity=0.010"
            f"&newClientOrderId=load-{number}&recvWindow=60000&timestamp={timestamp_ms}"
        ).encode()
        mac = self._mac.copy()
        mac.update(payload)
        body = payload + b"&signature=" + mac.hexdigest().encode()
        return self._head + str(len(body)).encode() + b"\r\n\r\n" + body


class _Connection(asyncio.Protocol):
    """One request at a time; tells its owner when the answer is complete."""

    def __init__(self, owner: "OpenLoop") -> None:
        self._owner = owner
        self._received = b""
        self.due_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def send(self, request: bytes, due_ns: int) -> None:
        """Send a request that was due then."""
        self.due_ns = due_ns
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._received = b""
            self._owner.answered(self, int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        self._owner.lost()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


class OpenLoop:
    """Sends `per_second` orders a second for `seconds`."""

    def __init__(self, writer: OrderWriter, per_second: int, seconds: float) -> None:
        self._writer = writer
        self._gap_ns = NS_PER_SECOND // per_second
        self._orders = int(per_second * seconds)
        self._free: deque[_Connection] = deque()
        self._due: deque[int] = deque()
        self._done = asyncio.Event()
        self._timestamp_ms = 0
        self.outcome = Outcome()

    async def run(self, host: str, port: int, timestamp_ms: int) -> Outcome:
        """Send all orders; `timestamp_ms` is the venue's time now."""
        loop = asyncio.get_running_loop()
        connections: list[_Connection] = []
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(lambda: _Connection(self), host, port)
            connections.append(connection)
        self._free.extend(connections)
        began_ns = monotonic_ns()
        scheduled = 0
        while scheduled < self._orders:
            now_ns = monotonic_ns()
            self._timestamp_ms = timestamp_ms + (now_ns - began_ns) // NS_PER_MS
            reached = min(self._orders, (now_ns - began_ns) // self._gap_ns + 1)
            self._due.extend(
                began_ns + number * self._gap_ns for number in range(scheduled, reached)
            )
            scheduled = reached
            self._send_due()
            await asyncio.sleep(TICK_S)
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                await self._done.wait()
        except TimeoutError:
            self.outcome.unanswered = self._orders - len(self.outcome.latencies_ns)
        self.outcome.took_ns = monotonic_ns() - began_ns
        for connection in connections:
            connection.close()
        return self.outcome

    def answered(self, connection: _Connection, status: int) -> None:
        """Called by a connection whose answer is complete."""
        self.outcome.latencies_ns.append(monotonic_ns() - connection.due_ns)
        self.outcome.statuses[status] += 1
        self._free.append(connection)
        self._send_due()
        if len(self.outcome.latencies_ns) == self._orders:
            self._done.set()

    def lost(self) -> None:
        """Called by a connection that was closed before its time: its order stays unanswered."""

    def _send_due(self) -> None:
        while self._due and self._free:
            due_ns = self._due.popleft()
            late_ns = monotonic_ns() - due_ns
            self.outcome.late_by_ns_max = max(self.outcome.late_by_ns_max, late_ns)
            self._free.popleft().send(self._writer.next(self._timestamp_ms), due_ns)
