"""What the exchange answers: one table of endpoints, one function that answers a request.

`answer` is pure but for the exchange it is given: market time, key and raw parameters come in,
status and body go out, user events pile up in `exchange.outbox`. Every refusal is the venue's.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.paper_exchange.exchange import NS_PER_MS, Exchange
from services.paper_exchange.money.api_restrictions import api_restrictions
from services.paper_exchange.money.endpoints import MONEY
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.endpoint import Body, Endpoint, Endpoints
from services.paper_exchange.trading.endpoints import TRADING
from services.paper_exchange.wire.authentication import (
    ApiKey,
    Caller,
    Security,
    authenticate,
    check_time_window,
)
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError
from services.paper_exchange.wire.signing import SignedForm

ENDPOINTS: Final[Endpoints] = {
    **TRADING,
    **MONEY,
    ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(
        None, Security.USER_DATA, 1, key_report=api_restrictions
    ),
}
"""Every endpoint that knows its caller, by method and path."""


MATCHED: Final = frozenset(
    (method, path)
    for method in ("POST", "PUT")
    for path in ("/fapi/v1/order", "/fapi/v1/batchOrders")
)
"""Endpoints whose time window the matching engine checks once more when they reach it."""


class Request(NamedTuple):
    """One request as it came off the wire; `session` is the key its connection logged on with."""

    method: str
    path: str
    api_key: str | None
    parameters: Parameters
    address: str = ""
    session: ApiKey | None = None


class Answer(NamedTuple):
    """HTTP status and JSON body; `account` is whose request it proved to be, if anybody's.

    `signed_form` is what its signature covers, None where it needed none or was not let in.
    """

    status: int
    body: Body
    account: Account | None = None
    signed_form: SignedForm | None = None

    @property
    def code(self) -> int:
        """The venue's code of a refusal, 0 for a success."""
        code = self.body.get("code", 0) if isinstance(self.body, dict) else 0
        return code if isinstance(code, int) and code < 0 else 0


def answer(
    exchange: Exchange, request: Request, now_ns: int, admitted_ns: int | None = None
) -> Answer:
    """Answer a request to an endpoint of `ENDPOINTS` at market time `now_ns`.

    `admitted_ns` is when it was let in, for one that then took its time to the matching engine.
    """
    endpoint = ENDPOINTS[request.method, request.path]
    exchange.advance(now_ns)
    account: Account | None = None
    form: SignedForm | None = None
    offset_ns = exchange.conditions.clock_offset_ms * NS_PER_MS
    is_matched = admitted_ns is not None and (request.method, request.path) in MATCHED
    try:
        key, form = authenticate(
            exchange.keys,
            Caller(request.api_key, request.address, request.session),
            endpoint.security,
            request.parameters,
            (admitted_ns if admitted_ns is not None and is_matched else now_ns) + offset_ns,
            exchange.limits,
            accepts_decoded=exchange.quirks.accept_decoded_signatures,
        )
        account = exchange.accounts[key.account_id]
        if is_matched:
            _check_again(exchange, request.parameters, now_ns + offset_ns)
        body: Body
        if endpoint.handler is not None:
            body = endpoint.handler(exchange, account, request.parameters, now_ns)
            exchange.settle_risk(now_ns)
        else:
            assert endpoint.key_report is not None, "an endpoint has a handler or a key report"
            body = endpoint.key_report(key)
    except RefusalError as refusal:
        return Answer(refusal.status, refusal.body(), account, form)
    return Answer(200, body, account, form)


def _check_again(exchange: Exchange, parameters: Parameters, now_ns: int) -> None:
    """The matching engine's own check of the time window; raises -5028."""
    try:
        check_time_window(parameters, now_ns, exchange.limits)
    except RefusalError as refusal:
        raise RefusalError(-5028) from refusal
