"""What one socket of the WebSocket API is answered: requests in, frames out.

No I/O but what the trade desk does. Weight is charged as it is over HTTP.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import msgspec

from services.paper_exchange.core import ENDPOINTS, Request
from services.paper_exchange.doors.doorkeeper import (
    ORDER_COUNT_1M_HEADER,
    ORDER_COUNT_10S_HEADER,
    Doorkeeper,
)
from services.paper_exchange.doors.socket_requests import (
    METHODS,
    SocketRequest,
    SocketRequestError,
    read_request,
    signed_parameters,
)
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.exchange import NS_PER_MS
from services.paper_exchange.faults.effects import Told
from services.paper_exchange.faults.rules import FaultRule
from services.paper_exchange.market.reports import MARKET_METHODS, MarketView
from services.paper_exchange.state.endpoint import Body
from services.paper_exchange.wire.authentication import (
    ApiKey,
    check_signature,
    check_time_window,
    find_key,
)
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError
from services.paper_exchange.wire.signing import KeyType

SESSION_WEIGHT: Final = 2
SESSION_METHODS: Final = frozenset({"session.logon", "session.status", "session.logout"})

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Struck(NamedTuple):
    """A request that a fault strikes: its answer is for later, or for never."""

    request: SocketRequest
    asked: Request
    fault: FaultRule


class SocketAnswers:
    """What one socket is answered, and the session it has logged on to."""

    def __init__(
        self,
        desk: TradeDesk,
        doorkeeper: Doorkeeper,
        view: MarketView,
        address: str,
        *,
        returns_rate_limits: bool,
    ) -> None:
        self._desk = desk
        self._doorkeeper = doorkeeper
        self._view = view
        self.address = address
        self._returns_rate_limits = returns_rate_limits
        self._connected_ms = desk.clock.now_ns() // NS_PER_MS
        self._session: ApiKey | None = None
        self._authorized_ms: int | None = None

    def answer(self, message: str | bytes) -> bytes | Struck:
        """The answer to one message, or the fault that strikes it."""
        try:
            request = read_request(message)
        except SocketRequestError as error:
            return self.frame(SocketRequest(error.id, "", {}), _refused(error.refusal))
        now_ns = self._desk.clock.now_ns()
        turned = self._doorkeeper.admit(self.address, now_ns)
        if turned is not None:
            return self.frame(request, turned)
        parameters = signed_parameters(request.params)
        endpoint = METHODS.get(request.method)
        if endpoint is None:
            return self.frame(request, self._of_no_key(request.method, parameters, now_ns))
        weight = ENDPOINTS[endpoint].weight_of(parameters)
        self._doorkeeper.charge(self.address, weight, now_ns)
        asked = Request(
            *endpoint, parameters.values.get("apiKey"), parameters, self.address, self._session
        )
        fault = self._desk.strike(asked)
        if fault is not None:
            return Struck(request, asked, fault)
        return self.frame(request, self._desk.carry_out(asked))

    def frame(self, request: SocketRequest, told: Told) -> bytes:
        """The bytes of an answer."""
        answer: dict[str, object] = {"id": request.id, "status": told.status}
        answer["result" if told.status == 200 else "error"] = told.body
        if request.returns_rate_limits(self._returns_rate_limits):
            answer["rateLimits"] = self._rate_limits(told)
        return _encode(answer)

    def _of_no_key(self, method: str, parameters: Parameters, now_ns: int) -> Told:
        """Market and session methods, and those there are none of."""
        weight = SESSION_WEIGHT if method in SESSION_METHODS else 1
        market_method = MARKET_METHODS.get(method)
        try:
            if market_method is None:
                return Told(200, self._of_session(method, parameters, now_ns))
            weight = market_method.weight_of(parameters)
            return Told(200, cast("Body", market_method.report(self._view, parameters, now_ns)))
        except RefusalError as refusal:
            return _refused(refusal)
        finally:
            self._doorkeeper.charge(self.address, weight, now_ns)

    def _of_session(self, method: str, parameters: Parameters, now_ns: int) -> dict[str, object]:
        if method not in SESSION_METHODS:
            raise RefusalError(-1020)
        exchange = self._desk.exchange
        venue_ns = now_ns + exchange.conditions.clock_offset_ms * NS_PER_MS
        if method == "session.logon":
            key = find_key(exchange.keys, parameters.optional_text("apiKey"), self.address)
            check_signature(key, parameters)
            check_time_window(parameters, venue_ns, exchange.limits)
            if key.key_type is not KeyType.ED25519:
                raise RefusalError(-4056)
            self._session, self._authorized_ms = key, venue_ns // NS_PER_MS
        elif method == "session.logout":
            self._session, self._authorized_ms = None, None
        return {
            "apiKey": None if self._session is None else self._session.key,
            "authorizedSince": self._authorized_ms,
            "connectedSince": self._connected_ms,
            "returnRateLimits": self._returns_rate_limits,
            "serverTime": venue_ns // NS_PER_MS,
        }

    def _rate_limits(self, told: Told) -> list[dict[str, object]]:
        """The weight of the minute, and the orders where the request counted as one."""
        limits = self._doorkeeper.limits
        used = self._doorkeeper.used(self.address, self._desk.clock.now_ns())
        rows = [_rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_per_minute_max, used)]
        if ORDER_COUNT_10S_HEADER in told.headers:
            for interval, number, limit, header in (
                ("SECOND", 10, limits.orders_per_10_seconds_max, ORDER_COUNT_10S_HEADER),
                ("MINUTE", 1, limits.orders_per_minute_max, ORDER_COUNT_1M_HEADER),
            ):
                count = int(told.headers[header])
                rows.append(_rate_limit("ORDERS", interval, number, limit, count))
        return rows


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
