"""The HTTP door of the market: carries requests to the public reports, and their bodies back."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.doors.funding_quota import FundingQuota
from services.paper_exchange.doors.request_weight import WEIGHT, json_answer
from services.paper_exchange.market.reports import MARKET_ENDPOINTS, MarketEndpoint, MarketView
from services.paper_exchange.wire.authentication import Security
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError


class MarketHttp:
    """Handlers of the public endpoints; ``is_known_key`` tells an API key that exists."""

    def __init__(
        self, view: MarketView, clock: MarketClock, is_known_key: Callable[[str], bool]
    ) -> None:
        self._view = view
        self._clock = clock
        self._is_known_key = is_known_key
        self._funding_quota = FundingQuota()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the venue's application."""
        return [
            web.route(method, path, self._handler(endpoint))
            for (method, path), endpoint in MARKET_ENDPOINTS.items()
        ]

    def _handler(
        self, endpoint: MarketEndpoint
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw_query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
            sent = Parameters(raw_query)
            now_ns = self._clock.now_ns()
            if endpoint.security is Security.KEY:
                self._check_key(request.headers.get("X-MBX-APIKEY", ""))
            if endpoint.has_own_quota:
                self._funding_quota.charge(request.remote or "", now_ns)
            request[WEIGHT] = endpoint.weight_of(sent)
            return json_answer(endpoint.report(self._view, sent, now_ns))

        return handle

    def _check_key(self, key: str) -> None:
        if not key:
            raise RefusalError(-2014)
        if not self._is_known_key(key):
            raise RefusalError(-2015)
