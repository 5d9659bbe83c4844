"""What the exchange answers: one table of endpoints, one function that answers a request.

`answer` is pure but for the exchange it is given: market time, key and raw parameters come in,
status and body go out, user events pile up in `exchange.outbox`. Every refusal is the venue's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.paper_exchange.exchange import NS_PER_MS, Exchange
from services.paper_exchange.money.endpoints import MONEY
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.endpoint import Body, Endpoints
from services.paper_exchange.trading.endpoints import TRADING
from services.paper_exchange.wire.authentication import ApiKey, authenticate
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

ENDPOINTS: Final[Endpoints] = {**TRADING, **MONEY}
"""Every endpoint that knows its caller, by method and path."""


class Request(NamedTuple):
    """One request as it came off the wire."""

    method: str
    path: str
    api_key: str | None
    parameters: Parameters


class Answer(NamedTuple):
    """HTTP status and JSON body; `account` is whose request it proved to be, if anybody's."""

    status: int
    body: Body
    account: Account | None = None

    @property
    def code(self) -> int:
        """The venue's code of a refusal, 0 for a success."""
        code = self.body.get("code", 0) if isinstance(self.body, Mapping) else 0
        return code if isinstance(code, int) and code < 0 else 0


def answer(exchange: Exchange, request: Request, now_ns: int) -> Answer:
    """Answer a request to an endpoint of `ENDPOINTS` at market time `now_ns`."""
    endpoint = ENDPOINTS[request.method, request.path]
    exchange.advance(now_ns)
    account: Account | None = None
    try:
        key: ApiKey = authenticate(
            exchange.keys,
            request.api_key,
            endpoint.security,
            request.parameters,
            now_ns + exchange.conditions.clock_offset_ms * NS_PER_MS,
            exchange.limits,
        )
        account = exchange.accounts[key.account_id]
        body = endpoint.handler(exchange, account, request.parameters, now_ns)
        exchange.settle_risk(now_ns)
    except RefusalError as refusal:
        return Answer(refusal.status, refusal.body(), account)
    return Answer(200, body, account)
