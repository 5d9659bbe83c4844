"""Faults of requests that know no account: market data, `ping`, `time`.

Requests of accounts suffer at the desk, where it is decided whether they are carried out; nothing
is carried out here, so that an effect only changes the answer.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.core import ENDPOINTS, Answer
from services.paper_exchange.faults.effects import (
    DROPPED_EFFECTS,
    LATE_EFFECTS,
    NS_PER_MS,
    Effect,
    told_instead,
)
from services.paper_exchange.faults.rules import FaultRule, Faults

STRUCK_PREFIXES: Final = ("/fapi/", "/api/", "/sapi/", "/futures/")


class MarketFaults:
    """The middleware in front of market data; costs nothing where there are no rules."""

    def __init__(self, faults: Faults, clock: MarketClock) -> None:
        self._faults = faults
        self._clock = clock

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request of no account suffer the fault that strikes it, if any."""
        if not self._faults.has_rules or not request.path.startswith(STRUCK_PREFIXES):
            return await handler(request)
        if (request.method, request.path) in ENDPOINTS:
            return await handler(request)
        rule = self._faults.strike(f"{request.method} {request.path}", request.query)
        return (
            await handler(request) if rule is None else await self._suffer(request, handler, rule)
        )

    async def _suffer(
        self, request: web.Request, handler: Handler, rule: FaultRule
    ) -> web.StreamResponse:
        effect = rule.effect
        if effect in DROPPED_EFFECTS:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        if effect is Effect.DELAY:
            await asyncio.sleep(rule.delay_ms / 1_000)
        elif effect in LATE_EFFECTS:
            await self._clock.sleep_until(self._clock.now_ns() + rule.delay_ms * NS_PER_MS)
        if effect is Effect.DELAY or effect in LATE_EFFECTS:
            return await handler(request)
        if effect is Effect.TRUNCATED_JSON:
            whole = await handler(request)
            body = whole.body if isinstance(whole, web.Response) else None
            if isinstance(body, bytes):
                return web.Response(
                    body=body[: len(body) // 2],
                    status=whole.status,
                    content_type=whole.content_type,
                )
            return whole
        told = told_instead(
            effect, Answer(200, {}), self._clock.now_ns(), stay_away_ms=rule.delay_ms,
            address=request.remote or "", code=rule.code or 0,
        )  # fmt: skip
        assert told is not None, "connections are reset above"
        return web.Response(
            body=told.bytes(),
            status=told.status,
            content_type=told.content_type,
            headers=told.headers,
        )
