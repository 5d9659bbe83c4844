"""The HTTP door of accounts and orders: raw bytes in, what the desk tells out."""

from __future__ import annotations

from aiohttp import web

from services.paper_exchange.core import ENDPOINTS, Request
from services.paper_exchange.doors.request_weight import WEIGHT
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.wire.parameters import Parameters


class TradeHttp:
    """Handlers for every endpoint of `core.ENDPOINTS`."""

    def __init__(self, desk: TradeDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """One route per endpoint."""
        return [web.route(method, path, self.handle) for method, path in ENDPOINTS]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or let it suffer the fault that strikes it."""
        raw_query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        parameters = Parameters(raw_query, await request.read())
        asked = Request(
            request.method,
            request.path,
            request.headers.get("X-MBX-APIKEY"),
            parameters,
            request.remote or "",
        )
        request[WEIGHT] = ENDPOINTS[asked.method, asked.path].weight_of(parameters)
        told = await self._desk.serve(asked, request.remote or "")
        if told is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        return web.Response(
            body=told.bytes(),
            status=told.status,
            content_type=told.content_type,
            headers=told.headers,
        )
