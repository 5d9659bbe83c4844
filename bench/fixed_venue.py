"""A venue that always says the same, as fast as a Python process can: it must not hide a client.

Over HTTP it answers any request, over `/ws-fapi/v1` any frame, with one acknowledgement of the
venue's 2026 shape, its headers or rate limits included. Nothing is checked. HTTP is written by hand
on a Protocol; the WebSocket side is picows. Runs in its own process.
"""

import asyncio
from multiprocessing.connection import Connection
from typing import cast

import msgspec
import picows
import uvloop

ACK = (
    b'{"orderId":283194212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"bench","price":"0.00"'
    b',"origQty":"0.010","executedQty":"0.000","cumQty":"0.000","timeInForce":"GTC",'
    b'"type":"MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH",'
    b'"stopPrice":"0.00","workingType":"CONTRACT_PRICE","priceProtect":false,'
    b'"origType":"MARKET","priceMatch":"NONE","selfTradePreventionMode":"EXPIRE_MAKER",'
    b'"goodTillDate":0,"updateTime":1723161255030}'
)
HTTP_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 3\r\n"
    b"X-MBX-ORDER-COUNT-10S: 1\r\nX-MBX-ORDER-COUNT-1M: 1\r\nContent-Length: %d\r\n\r\n%b"
) % (len(ACK), ACK)
RATE_LIMITS = (
    b'[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300,"count":1},'
    b'{"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":1200,"count":1}]'
)


class _Asked(msgspec.Struct):
    id: str | int


def serve(pipe: Connection) -> None:
    """Serve until the pipe says anything; the ports for HTTP and WebSocket go into it first."""
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(_Http, "127.0.0.1", 0)
    framed = await picows.ws_create_server(lambda _: _Frames(), "127.0.0.1", 0)
    pipe.send(tuple(one.sockets[0].getsockname()[1] for one in (plain, framed)))
    await loop.run_in_executor(None, pipe.recv)
    plain.close()
    framed.close()


class _Http(asyncio.Protocol):
    """Answers each request that arrived whole."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, rest = head.lower().partition(b"content-length:")
        if len(body) >= int(rest.split(b"\r\n", 1)[0] or 0):
            self._received = b""
            self._transport.write(HTTP_ANSWER)


class _Frames(picows.WSListener):
    """Answers each frame under its id."""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type is picows.WSMsgType.TEXT:
            asked = msgspec.json.decode(frame.get_payload_as_memoryview(), type=_Asked)
            transport.send(
                picows.WSMsgType.TEXT,
                b'{"id":%b,"status":200,"result":%b,"rateLimits":%b}'
                % (msgspec.json.encode(asked.id), ACK, RATE_LIMITS),
            )
