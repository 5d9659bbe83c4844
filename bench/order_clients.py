"""The ways to send one signed order that are compared: ours, python-binance, aiohttp, and floors.

Each does the whole of it, from parameters to an answer that was read: build, sign, send, parse.
"""

import asyncio
import hashlib
import hmac
import json
import random
import socket
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from binance.async_client import AsyncClient

from libs.common.runtime.clock import wall_ns
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_socket import VenueSocket
from libs.common.venue.outcomes import Accepted

SYMBOL, QUANTITY = "BTCUSDT", "0.010"
RECV_WINDOW_MS = 10_000
CONNECT_WAIT_S = 5
NS_PER_MS = 1_000_000
_HEAD_END = b"\r\n\r\n"


class Target(Protocol):
    """Where orders go and with what key. `now_ms` is the venue's time."""

    url: str
    socket_url: str
    api_key: str
    secret: str
    now_ms: Callable[[], int]


class OrderClient(Protocol):
    """One way to send an order. `order` raises unless the venue accepted it."""

    async def open(self, target: Target) -> None:
        """Connect, so that no order pays for it."""

    async def order(self, client_order_id: str, side: str) -> None:
        """Send one market order and read its answer."""

    async def close(self) -> None:
        """Disconnect."""


def signed_form(target: Target, client_order_id: str, side: str) -> str:
    """The shortest way to a signed order by hand."""
    form = (
        f"symbol={SYMBOL}&side={side}&type=MARKET&quantity={QUANTITY}"
        f"&newClientOrderId={client_order_id}&recvWindow={RECV_WINDOW_MS}"
        f"&timestamp={target.now_ms()}"
    )
    digest = hmac.digest(target.secret.encode(), form.encode(), hashlib.sha256).hex()
    return f"{form}&signature={digest}"


class OurRest:
    """VenueClient.place_order, as execution calls it."""

    async def open(self, target: Target) -> None:
        """One client of ours."""
        self._target = target
        self._client = VenueClient(
            target.url,
            lambda: target.now_ms() * NS_PER_MS,
            api_key=target.api_key,
            api_secret=Secret(target.secret),
        )

    async def order(self, client_order_id: str, side: str) -> None:
        """One order by keyword parameters, as the gate builds them."""
        outcome = await self._client.place_order(
            {
                "symbol": SYMBOL,
                "side": side,
                "type": "MARKET",
                "quantity": QUANTITY,
                "newClientOrderId": client_order_id,
            },
            timestamp_ms=self._target.now_ms(),
            recv_window_ms=RECV_WINDOW_MS,
        )
        if not isinstance(outcome, Accepted):
            raise TypeError(f"not accepted: {outcome}")

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close_connection()


class OurSocket(OurRest):
    """The same call, carried by our client of the venue's WebSocket API."""

    async def open(self, target: Target) -> None:
        """One client of ours with an open socket."""
        secret = Secret(target.secret)
        self._socket = VenueSocket(
            target.socket_url, api_key=target.api_key, api_secret=secret, dice=random.Random(1)
        )
        self._socket.start()
        async with asyncio.timeout(CONNECT_WAIT_S):
            while not self._socket.is_open:
                await asyncio.sleep(0.001)
        self._target = target
        self._client = VenueClient(
            target.url,
            lambda: target.now_ms() * NS_PER_MS,
            api_key=target.api_key,
            api_secret=secret,
            order_socket=self._socket,
        )

    async def order(self, client_order_id: str, side: str) -> None:
        """As over REST, but it must not fall back to it."""
        if not self._socket.is_open:
            raise ConnectionError("the socket is not open: this would measure REST")
        await super().order(client_order_id, side)


class PythonBinance:
    """python-binance's plain AsyncClient."""

    async def open(self, target: Target) -> None:
        """The library as it comes, pointed at the venue."""
        self._target = target
        self._client = AsyncClient(target.api_key, target.secret)
        self._client.FUTURES_URL = target.url + "/fapi"

    async def order(self, client_order_id: str, side: str) -> None:
        """futures_create_order; the library's clock is set to the venue's."""
        self._client.timestamp_offset = self._target.now_ms() - wall_ns() // NS_PER_MS
        answer = await self._client.futures_create_order(
            symbol=SYMBOL,
            side=side,
            type="MARKET",
            quantity=QUANTITY,
            newClientOrderId=client_order_id,
        )
        if "orderId" not in answer:
            raise TypeError(f"not accepted: {answer}")

    async def close(self) -> None:
        """Close its session."""
        await self._client.close_connection()


class BareAiohttp:
    """aiohttp.ClientSession.post and nothing of ours or of another library around it."""

    async def open(self, target: Target) -> None:
        """One session."""
        self._target = target
        self._session = aiohttp.ClientSession(headers={"X-MBX-APIKEY": target.api_key})
        self._url = target.url + "/fapi/v1/order"

    async def order(self, client_order_id: str, side: str) -> None:
        """One POST with a form."""
        form = signed_form(self._target, client_order_id, side)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self._session.post(self._url, data=form, headers=headers) as answer:
            if "orderId" not in json.loads(await answer.read()):
                raise TypeError("not accepted")

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()


def _raw_request(target: Target, client_order_id: str, side: str) -> bytes:
    form = signed_form(target, client_order_id, side)
    return (
        f"POST /fapi/v1/order HTTP/1.1\r\nHost: venue\r\nX-MBX-APIKEY: {target.api_key}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    ).encode()


def _is_complete(received: bytes) -> bool:
    """Whether an answer with a Content-Length has arrived whole."""
    head, found, body = received.partition(_HEAD_END)
    if not found:
        return False
    _, _, rest = head.lower().partition(b"content-length:")
    return len(body) >= int(rest.split(b"\r\n", 1)[0])


def _check(received: bytes) -> None:
    if "orderId" not in json.loads(received.partition(_HEAD_END)[2]):
        raise TypeError(f"not accepted: {received!r}")


class _RawProtocol(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.answered: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.answered is not None and _is_complete(self.received):
            self.answered.set_result(None)
            self.answered = None


class RawProtocol:
    """The floor of a Python client on the event loop: a Protocol and hand-written HTTP."""

    async def open(self, target: Target) -> None:
        """One connection."""
        self._target = target
        parts = urlsplit(target.url)
        loop = asyncio.get_running_loop()
        self._transport, self._protocol = await loop.create_connection(
            _RawProtocol, str(parts.hostname), int(parts.port or 80)
        )

    async def order(self, client_order_id: str, side: str) -> None:
        """Bytes out, bytes in."""
        protocol = self._protocol
        protocol.received = b""
        answered = protocol.answered = asyncio.get_running_loop().create_future()
        self._transport.write(_raw_request(self._target, client_order_id, side))
        await answered
        _check(protocol.received)

    async def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class BlockingSocket:
    """The floor of any Python client: a blocking socket and hand-written HTTP."""

    async def open(self, target: Target) -> None:
        """One connection."""
        self._target = target
        parts = urlsplit(target.url)
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def order(self, client_order_id: str, side: str) -> None:
        """Bytes out, bytes in; it blocks the loop, which has nothing else to do."""
        self._socket.sendall(_raw_request(self._target, client_order_id, side))
        received = b""
        while not _is_complete(received):
            received += self._socket.recv(65_536)
        _check(received)

    async def close(self) -> None:
        """Close the connection."""
        self._socket.close()


CLIENTS: dict[str, Callable[[], Any]] = {
    "portcullis, REST": OurRest,
    "portcullis, WebSocket API": OurSocket,
    "python-binance AsyncClient": PythonBinance,
    "bare aiohttp POST": BareAiohttp,
    "raw uvloop Protocol": RawProtocol,
    "raw blocking socket": BlockingSocket,
}
