"""One order's signature recomputed from the very bytes on the wire, with the standard library."""

import asyncio
import hashlib
import hmac

import pytest
from binance import AsyncClient


class Tap:
    """A TCP relay that keeps what the client sent."""

    def __init__(self, port: int) -> None:
        self.venue_port = port
        self.sent = bytearray()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        venue_reader, venue_writer = await asyncio.open_connection("127.0.0.1", self.venue_port)
        back = asyncio.create_task(self.pump(venue_reader, writer))
        while data := await reader.read(65_536):
            self.sent += data
            venue_writer.write(data)
        venue_writer.close()
        await back

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


def signed_bytes(request: bytes) -> tuple[bytes, bytes]:
    """Split a raw HTTP request into the bytes its signature covers and the signature."""
    head, _, body = request.partition(b"\r\n\r\n")
    target = head.split(b" ", 2)[1]
    covered = target.partition(b"?")[2] + body
    payload, _, signature = covered.rpartition(b"&signature=")
    return payload, signature


@pytest.mark.parametrize("price", [None, "20000.10"])
async def test_the_signature_of_an_order_covers_exactly_the_bytes_sent(
    customer, running_venue, price
):
    tap = Tap(int(running_venue.url.rpartition(":")[2]))
    server = await asyncio.start_server(tap.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = AsyncClient(customer.account["api_key"], customer.account["secret"])
    client.FUTURES_URL = f"http://127.0.0.1:{port}/fapi"
    client.timestamp_offset = await customer.clock_offset_ms()
    kind = {"type": "MARKET"} if price is None else {
        "type": "LIMIT", "timeInForce": "GTC", "price": price,
    }  # fmt: skip
    async with server:
        placed = await client.futures_create_order(
            symbol="BTCUSDT", side="BUY", quantity="0.010", **kind
        )
        await client.close_connection()
    assert placed["symbol"] == "BTCUSDT"
    payload, signature = signed_bytes(bytes(tap.sent))
    assert b"symbol=BTCUSDT" in payload
    secret = customer.account["secret"].encode()
    assert hmac.new(secret, payload, hashlib.sha256).hexdigest().encode() == signature
    assert customer.account["secret"].encode() not in tap.sent
