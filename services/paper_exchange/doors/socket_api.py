"""The WebSocket API: the exchange's endpoints as methods over one socket at `/ws-fapi/v1`.

Each request is signed on its own, over all its parameters but the signature, sorted by name and
joined as `name=value`. Answers carry an HTTP-like status and the rate limits used. Sessions
(`session.logon`, Ed25519 only) are not offered. Whether the venue's two APIs share one pool of
weight is contested; here they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from services.paper_exchange.core import ENDPOINTS, Request
from services.paper_exchange.doors.doorkeeper import (
    ORDER_COUNT_1M_HEADER,
    ORDER_COUNT_10S_HEADER,
    Doorkeeper,
)
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.faults.effects import HTML_TYPE, Told
from services.paper_exchange.faults.rules import FaultRule
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

PATH: Final = "/ws-fapi/v1"
HANDSHAKE_WEIGHT: Final = 5
PING_SECONDS: Final = 180.0
LIFE_SECONDS_MAX: Final = 86_400.0
INCOMING_BYTES_MAX: Final = 65_536
METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}


class SocketRequest(msgspec.Struct):
    """One request; fractions among the parameters are kept as the text that was sent."""

    method: str
    params: dict[str, Any] = {}
    id: int | str | None = None


_decode = msgspec.json.Decoder(SocketRequest, float_hook=str).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class SocketApi:
    """The handler of `/ws-fapi/v1`."""

    def __init__(self, desk: TradeDesk, doorkeeper: Doorkeeper) -> None:
        self._desk = desk
        self._doorkeeper = doorkeeper
        self._sockets: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get(PATH, self.handle)]

    async def close_all(self, _app: web.Application) -> None:
        """Close every socket; meant for the application's ``on_shutdown``."""
        for socket in list(self._sockets):
            await socket.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket from handshake to close."""
        address = request.remote or ""
        turned = self._doorkeeper.admit(address, self._desk.clock.now_ns())
        if turned is not None:
            return web.Response(
                body=turned.bytes(), status=turned.status, headers=turned.headers,
                content_type=turned.content_type,
            )  # fmt: skip
        self._doorkeeper.charge(address, HANDSHAKE_WEIGHT, self._desk.clock.now_ns())
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=INCOMING_BYTES_MAX, heartbeat=PING_SECONDS
        )
        await socket.prepare(request)
        is_counting = request.query.get("returnRateLimits", "true") != "false"
        self._sockets.add(socket)
        try:
            async with asyncio.timeout(LIFE_SECONDS_MAX):
                await _Conversation(
                    self._desk, self._doorkeeper, request, socket, is_counting
                ).run()
        except TimeoutError:
            await socket.close()
        finally:
            self._sockets.discard(socket)
        return socket


class _Conversation:
    """One socket's requests, answered as they come; only a struck one may overtake another."""

    def __init__(
        self,
        desk: TradeDesk,
        doorkeeper: Doorkeeper,
        request: web.Request,
        socket: web.WebSocketResponse,
        is_counting: bool,
    ) -> None:
        self._desk = desk
        self._doorkeeper = doorkeeper
        self._request = request
        self._address = request.remote or ""
        self._socket = socket
        self._is_counting = is_counting
        self._struck: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until either side closes."""
        try:
            async for message in self._socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    frame = self._answer(message.data)
                    if frame is not None:
                        await self._socket.send_frame(frame, WSMsgType.TEXT)
        finally:
            for task in self._struck:
                task.cancel()

    def _answer(self, text: str | bytes) -> bytes | None:
        """The answer to one message; None where a fault keeps it for later or for ever."""
        try:
            sent = _decode(text)
        except msgspec.DecodeError:
            return self._frame(None, _refused(RefusalError(-1135)), is_order=False)
        now_ns = self._desk.clock.now_ns()
        turned = self._doorkeeper.admit(self._address, now_ns)
        if turned is not None:
            return self._frame(sent.id, turned, is_order=False)
        found = METHODS.get(sent.method)
        if found is None or found not in ENDPOINTS:
            return self._frame(sent.id, _refused(RefusalError(-1020)), is_order=False)
        parameters = signed_parameters(sent.params)
        self._doorkeeper.charge(self._address, ENDPOINTS[found].weight_of(parameters), now_ns)
        asked = Request(*found, parameters.values.get("apiKey"), parameters, self._address)
        fault = self._desk.strike(asked)
        if fault is None:
            return self._frame(sent.id, self._desk.carry_out(asked), is_order=True)
        task = asyncio.create_task(self._suffer(sent.id, asked, fault))
        self._struck.add(task)
        task.add_done_callback(self._struck.discard)
        return None

    async def _suffer(self, request_id: int | str | None, asked: Request, fault: FaultRule) -> None:
        told = await self._desk.suffer(asked, self._address, fault)
        if told is None:
            if self._request.transport is not None:
                self._request.transport.abort()
            return
        frame = self._frame(request_id, told, is_order=True)
        if told.raw is not None:
            frame = told.raw if told.content_type == HTML_TYPE else frame[: len(frame) // 2]
        if not self._socket.closed:
            await self._socket.send_frame(frame, WSMsgType.TEXT)

    def _frame(self, request_id: int | str | None, told: Told, *, is_order: bool) -> bytes:
        answer: dict[str, object] = {"id": request_id, "status": told.status}
        answer["result" if told.status == 200 else "error"] = told.body
        if self._is_counting:
            answer["rateLimits"] = self._rate_limits(told, is_order=is_order)
        return _encode(answer)

    def _rate_limits(self, told: Told, *, is_order: bool) -> list[dict[str, object]]:
        """Orders where the request counted as one, and the weight of the minute."""
        limits = self._doorkeeper.limits
        used = self._doorkeeper.used(self._address, self._desk.clock.now_ns())
        rows = [_rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_per_minute_max, used)]
        if is_order and ORDER_COUNT_10S_HEADER in told.headers:
            for interval, number, limit, header in (
                ("SECOND", 10, limits.orders_per_10_seconds_max, ORDER_COUNT_10S_HEADER),
                ("MINUTE", 1, limits.orders_per_minute_max, ORDER_COUNT_1M_HEADER),
            ):
                count = int(told.headers[header])
                rows.append(_rate_limit("ORDERS", interval, number, limit, count))
        return rows


def signed_parameters(params: Mapping[str, object]) -> Parameters:
    """The parameters of one request, with the bytes that its signature covers.

    A JSON number stands for the text it was sent as, true and false for those words.
    """
    values = {name: _text(value) for name, value in params.items() if value is not None}
    payload = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")
    return Parameters.of_values(values, payload.encode("utf-8", "surrogatepass"))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _refused(refusal: RefusalError) -> Told:
    return Told(refusal.status, refusal.body())


def _rate_limit(kind: str, interval: str, number: int, limit: int, count: int) -> dict[str, object]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
        "count": count,
    }
