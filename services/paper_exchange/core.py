"""What the exchange answers: one table of endpoints, one function that answers a request.

`answer` is pure but for the exchange it is given: market time, key and raw parameters come in,
status and body go out, user events pile up in `exchange.outbox`. Every refusal is the venue's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from services.paper_exchange.exchange import NS_PER_MS, Exchange
from services.paper_exchange.money import account_reports, account_settings
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.trading import algo_queries, order_queries
from services.paper_exchange.trading.algo_placement import place_algo_order
from services.paper_exchange.trading.modification import modify_order
from services.paper_exchange.trading.placement import place_order
from services.paper_exchange.wire.authentication import ApiKey, Security, authenticate
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

Body = Mapping[str, object] | list[dict[str, object]]
Handler = Callable[[Exchange, Account, Parameters, int], Body]


class Endpoint(NamedTuple):
    """One endpoint: its handler, what it demands of the caller, and its request weight.

    `weight` counts where the request names a symbol, `weight_without_symbol` where it does not.
    """

    handler: Handler
    security: Security
    weight: int
    weight_without_symbol: int = 0

    def weight_of(self, parameters: Parameters) -> int:
        """The request weight of one request."""
        if self.weight_without_symbol and "symbol" not in parameters:
            return self.weight_without_symbol
        return self.weight


_READ, _TRADE, _KEY = Security.USER_DATA, Security.TRADE, Security.KEY

ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("POST", "/fapi/v1/order"): Endpoint(place_order, _TRADE, 0),
    ("PUT", "/fapi/v1/order"): Endpoint(modify_order, _TRADE, 0),
    ("GET", "/fapi/v1/order"): Endpoint(order_queries.query_order, _READ, 1),
    ("DELETE", "/fapi/v1/order"): Endpoint(order_queries.cancel_order, _TRADE, 1),
    ("GET", "/fapi/v1/openOrder"): Endpoint(order_queries.query_open_order, _READ, 1),
    ("GET", "/fapi/v1/openOrders"): Endpoint(order_queries.list_open_orders, _READ, 1, 40),
    ("POST", "/fapi/v1/algoOrder"): Endpoint(place_algo_order, _TRADE, 0),
    ("GET", "/fapi/v1/algoOrder"): Endpoint(algo_queries.query_algo_order, _READ, 1),
    ("DELETE", "/fapi/v1/algoOrder"): Endpoint(algo_queries.cancel_algo_order, _TRADE, 1),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(algo_queries.list_open_algo_orders, _READ, 1, 40),
    ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(algo_queries.list_algo_orders, _READ, 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(
        algo_queries.cancel_open_algo_orders, _TRADE, 1
    ),
    ("GET", "/fapi/v1/allOrders"): Endpoint(order_queries.list_orders, _READ, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(order_queries.cancel_open_orders, _TRADE, 1),
    ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(account_settings.set_countdown, _TRADE, 10),
    ("GET", "/fapi/v1/userTrades"): Endpoint(order_queries.list_trades, _READ, 5),
    ("GET", "/fapi/v1/income"): Endpoint(order_queries.list_income, _READ, 30),
    ("GET", "/fapi/v2/account"): Endpoint(account_reports.account_v2, _READ, 5),
    ("GET", "/fapi/v3/account"): Endpoint(account_reports.account_v3, _READ, 5),
    ("GET", "/fapi/v2/balance"): Endpoint(account_reports.balances, _READ, 5),
    ("GET", "/fapi/v3/balance"): Endpoint(account_reports.balances, _READ, 5),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(account_reports.position_risk_v2, _READ, 5),
    ("GET", "/fapi/v3/positionRisk"): Endpoint(account_reports.position_risk_v3, _READ, 5),
    ("GET", "/fapi/v1/accountConfig"): Endpoint(account_reports.account_config, _READ, 5),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint(account_reports.symbol_config, _READ, 5),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint(account_reports.leverage_brackets, _READ, 1),
    ("GET", "/fapi/v1/commissionRate"): Endpoint(account_reports.commission_rate, _READ, 20),
    ("GET", "/fapi/v1/rateLimit/order"): Endpoint(account_reports.order_rate_limits, _READ, 1),
    ("POST", "/fapi/v1/leverage"): Endpoint(account_settings.change_leverage, _TRADE, 1),
    ("POST", "/fapi/v1/marginType"): Endpoint(account_settings.change_margin_type, _TRADE, 1),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(account_settings.position_mode, _READ, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(
        account_settings.change_position_mode, _TRADE, 1
    ),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(account_settings.multi_assets_mode, _READ, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(
        account_settings.change_multi_assets_mode, _TRADE, 1
    ),
    ("POST", "/fapi/v1/listenKey"): Endpoint(account_settings.start_user_stream, _KEY, 1),
    ("PUT", "/fapi/v1/listenKey"): Endpoint(account_settings.extend_user_stream, _KEY, 1),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint(account_settings.close_user_stream, _KEY, 1),
}

ORDER_COUNTED: Final = frozenset({("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder")})
"""Endpoints whose answers carry the order-count headers."""


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
    except RefusalError as refusal:
        return Answer(refusal.status, refusal.body(), account)
    return Answer(200, body, account)
