"""The HTTP door of accounts and orders: raw bytes in, the core's answer out, faults in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import msgspec
from aiohttp import web

from services.paper_exchange.authentication import Security
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.core import (
    ENDPOINTS,
    ORDER_COUNTED,
    Answer,
    Request,
    answer,
)
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.faults import Effect, FaultRule, Faults
from services.paper_exchange.hub import Hub
from services.paper_exchange.parameters import Parameters
from services.paper_exchange.request_log import LoggedRequest, RequestLog
from services.paper_exchange.request_weight import WEIGHT

_encode = msgspec.json.Encoder(decimal_format="number").encode
_UNKNOWN = {
    "code": -1000,
    "msg": "Unknown error, please check your request or try again later.",
}
_UNAVAILABLE = {"msg": "Service Unavailable."}
_NOT_EXECUTED = Answer(503, _UNAVAILABLE)
_CLIENT_IDS = ("newClientOrderId", "origClientOrderId", "clientAlgoId")


class TradeHttp:
    """Handlers for every endpoint of `core.ENDPOINTS`; what happens is counted and logged."""

    def __init__(
        self,
        exchange: Exchange,
        clock: MarketClock,
        hub: Hub,
        faults: Faults,
        log: RequestLog,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._hub = hub
        self._faults = faults
        self._log = log
        self.answered: Counter[tuple[str, str, int]] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """One route per endpoint."""
        return [web.route(method, path, self.handle) for method, path in ENDPOINTS]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or let it suffer the fault that strikes it."""
        raw_query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        parameters = Parameters(raw_query, await request.read())
        asked = Request(
            request.method, request.path, request.headers.get("X-MBX-APIKEY"), parameters
        )
        request[WEIGHT] = ENDPOINTS[asked.method, asked.path].weight_of(parameters)
        fault = self._faults.strike(f"{asked.method} {asked.path}")
        executes = fault is None or fault.effect.executes
        found = self._execute(asked) if executes else _NOT_EXECUTED
        self._write_down(asked, found, fault)
        if fault is not None:
            return await self._suffer(request, asked, found, fault)
        return self._respond(asked, found)

    def deliver_events(self) -> None:
        """Carry the user events said since the last call to whoever listens."""
        outbox = self._exchange.outbox
        if not outbox:
            return
        for listen_key, event in outbox:
            self._hub.publish_user(listen_key, event)
        outbox.clear()

    def _execute(self, asked: Request) -> Answer:
        found = answer(self._exchange, asked, self._clock.now_ns())
        self.deliver_events()
        self.answered[asked.method, asked.path, found.status] += 1
        return found

    def _respond(self, asked: Request, found: Answer) -> web.Response:
        response = web.Response(
            body=_encode(found.body), status=found.status, content_type="application/json"
        )
        account = found.account
        if account is not None and (asked.method, asked.path) in ORDER_COUNTED:
            account.counts.roll(self._clock.now_ns())
            response.headers["X-MBX-ORDER-COUNT-10S"] = str(account.counts.count_10s)
            response.headers["X-MBX-ORDER-COUNT-1M"] = str(account.counts.count_1m)
        return response

    async def _suffer(
        self, request: web.Request, asked: Request, found: Answer, fault: FaultRule
    ) -> web.StreamResponse:
        match fault.effect:
            case Effect.DELAY:
                await asyncio.sleep(fault.delay_ms / 1_000)
                return self._respond(asked, found)
            case Effect.DROP_AFTER_EXECUTION | Effect.DROP_BEFORE_EXECUTION:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=503)
            case Effect.HTTP_503_UNKNOWN | Effect.HTTP_503_UNKNOWN_NOT_EXECUTED:
                return web.json_response(_UNKNOWN, status=503)
            case Effect.HTTP_503_UNAVAILABLE:
                return web.json_response(_UNAVAILABLE, status=503)

    def _write_down(self, asked: Request, found: Answer, fault: FaultRule | None) -> None:
        if ENDPOINTS[asked.method, asked.path].security is not Security.TRADE:
            return
        if fault is not None and not fault.effect.executes:
            outcome = "not_executed"
        else:
            outcome = "accepted" if found.status == 200 else "refused"
        values = asked.parameters.values
        body = found.body if isinstance(found.body, Mapping) else {}
        order_id = body.get("orderId", body.get("algoId", 0))
        self._log.add(
            LoggedRequest(
                sequence=self._log.next_sequence,
                ts_ns=self._clock.now_ns(),
                method=asked.method,
                path=asked.path,
                account_id="" if found.account is None else found.account.account_id,
                symbol=values.get("symbol", ""),
                client_order_id=_client_id_of(values),
                outcome=outcome,
                status=found.status,
                code=found.code,
                order_id=order_id if isinstance(order_id, int) else 0,
                told="answered" if fault is None else fault.effect.value,
            )
        )


def _client_id_of(values: Mapping[str, str]) -> str:
    """The customer's own id of the order that a request is about."""
    return next((values[name] for name in _CLIENT_IDS if name in values), "")
