"""Counts request weight per minute of market time, tells every client, and refuses the greedy.

The venue counts per IP address in fixed minutes and says so in a header of every answer. Here all
clients share one address, so there is one counter. Order counts are per account and live elsewhere.
"""

from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.instruments import WEIGHT_PER_MINUTE_MAX
from services.paper_exchange.refusals import RefusalError

MINUTE_NS: Final = 60_000_000_000
NS_PER_SECOND: Final = 1_000_000_000
WEIGHT: Final = web.RequestKey("request_weight", int)
"""A handler sets ``request[WEIGHT]`` to what it cost; without it a request costs 1."""
USED_WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
COUNTED_PREFIXES: Final = ("/fapi/", "/api/")

_encode = msgspec.json.Encoder().encode


def json_answer(body: object, status: int = 200) -> web.Response:
    """Return a JSON response; Decimals become strings."""
    return web.Response(body=_encode(body), status=status, content_type="application/json")


class RequestWeight:
    """The counter of the running minute; ``weight_max`` is what one minute allows."""

    def __init__(self, clock: MarketClock, weight_max: int = WEIGHT_PER_MINUTE_MAX) -> None:
        self._clock = clock
        self._weight_max = weight_max
        self._minute = 0
        self._used = 0

    @property
    def used(self) -> int:
        """Weight used in the running minute of market time."""
        minute = self._clock.now_ns() // MINUTE_NS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        return self._used

    def charge(self, weight: int) -> int:
        """Add a request's weight; returns the sum."""
        self._used = self.used + weight
        return self._used

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse with 429 when the minute is used up, answer refusals in JSON, add the header."""
        if not request.path.startswith(COUNTED_PREFIXES):
            return await handler(request)
        if self.used >= self._weight_max:
            return self._too_many()
        try:
            response = await handler(request)
        except RefusalError as refusal:
            response = json_answer(refusal.body(), refusal.status)
        if not response.prepared:
            used = self.charge(request.get(WEIGHT, 1))
            response.headers[USED_WEIGHT_HEADER] = str(used)
        return response

    def _too_many(self) -> web.Response:
        refusal = RefusalError(-1003, self._weight_max)
        response = json_answer(refusal.body(), refusal.status)
        now_ns = self._clock.now_ns()
        left_ns = MINUTE_NS - now_ns % MINUTE_NS
        response.headers["Retry-After"] = str(-(-left_ns // NS_PER_SECOND))
        response.headers[USED_WEIGHT_HEADER] = str(self.used)
        return response
