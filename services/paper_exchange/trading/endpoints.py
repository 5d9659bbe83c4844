"""The endpoints of orders: regular and conditional."""

from __future__ import annotations

from typing import Final

from services.paper_exchange.state.endpoint import Endpoint, Endpoints
from services.paper_exchange.trading import algo_queries, order_queries
from services.paper_exchange.trading.algo_placement import place_algo_order
from services.paper_exchange.trading.batches import cancel_orders, modify_orders, place_orders
from services.paper_exchange.trading.modification import modify_order
from services.paper_exchange.trading.placement import place_order, try_order
from services.paper_exchange.wire.authentication import Security

_READ, _TRADE = Security.USER_DATA, Security.TRADE

TRADING: Final[Endpoints] = {
    ("POST", "/fapi/v1/order"): Endpoint(place_order, _TRADE, 0, counts_orders=True),
    ("POST", "/fapi/v1/order/test"): Endpoint(try_order, _TRADE, 0),
    ("PUT", "/fapi/v1/order"): Endpoint(modify_order, _TRADE, 0, counts_orders=True),
    ("GET", "/fapi/v1/order"): Endpoint(order_queries.query_order, _READ, 1),
    ("DELETE", "/fapi/v1/order"): Endpoint(order_queries.cancel_order, _TRADE, 1),
    ("POST", "/fapi/v1/batchOrders"): Endpoint(place_orders, _TRADE, 5, counts_orders=True),
    ("PUT", "/fapi/v1/batchOrders"): Endpoint(modify_orders, _TRADE, 5, counts_orders=True),
    ("DELETE", "/fapi/v1/batchOrders"): Endpoint(cancel_orders, _TRADE, 1),
    ("GET", "/fapi/v1/orderAmendment"): Endpoint(order_queries.list_amendments, _READ, 1),
    ("GET", "/fapi/v1/openOrder"): Endpoint(order_queries.query_open_order, _READ, 1),
    ("GET", "/fapi/v1/openOrders"): Endpoint(order_queries.list_open_orders, _READ, 1, 40),
    ("POST", "/fapi/v1/algoOrder"): Endpoint(place_algo_order, _TRADE, 0, counts_orders=True),
    ("GET", "/fapi/v1/algoOrder"): Endpoint(algo_queries.query_algo_order, _READ, 1),
    ("DELETE", "/fapi/v1/algoOrder"): Endpoint(algo_queries.cancel_algo_order, _TRADE, 1),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(algo_queries.list_open_algo_orders, _READ, 1, 40),
    ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(algo_queries.list_algo_orders, _READ, 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(
        algo_queries.cancel_open_algo_orders, _TRADE, 1
    ),
    ("GET", "/fapi/v1/allOrders"): Endpoint(order_queries.list_orders, _READ, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(order_queries.cancel_open_orders, _TRADE, 1),
    ("GET", "/fapi/v1/userTrades"): Endpoint(order_queries.list_trades, _READ, 5),
}
