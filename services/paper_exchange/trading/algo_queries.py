"""Asking for conditional orders and canceling them.

The venue's query path trails its own writes by a second or more. Here it does only where a test
asks for it (`Conditions.algo_query_lag_ms`): a young order is then not found, though the list of
open ones shows it, and a canceled one still says NEW.
"""

from __future__ import annotations

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import AlgoOrder, AlgoStatus
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.algo_shapes import canceled_algo, listed_algo, queried_algo
from services.paper_exchange.trading.order_queries import (
    in_window,
    is_retained,
    optional_symbol,
    window,
)
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError, either_missing

Body = dict[str, object]
_CANCELED_ALL = {"code": 200, "msg": "The operation of cancel all open order is done."}


def query_algo_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/algoOrder; raises -2013 for one that never was, is forgotten or too young."""
    algo = _find(account, parameters)
    lag_ns = exchange.conditions.algo_query_lag_ms * NS_PER_MS
    if algo is not None and now_ns - algo.created_ns < lag_ns:
        exchange.conditions.count("algo_query_lag")
        raise RefusalError(-2013)
    if algo is None or not is_retained(exchange, algo, now_ns):
        raise RefusalError(-2013)
    body = queried_algo(exchange.instruments[algo.symbol], algo)
    if algo.status is AlgoStatus.CANCELED and now_ns - algo.updated_ns < lag_ns:
        exchange.conditions.count("algo_query_lag")
        body["algoStatus"] = AlgoStatus.NEW
    return body


def cancel_algo_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """DELETE /fapi/v1/algoOrder; raises -2011 for one that does not wait any more."""
    algo = _find(account, parameters)
    if algo is None or not algo.is_waiting:
        raise RefusalError(-2011)
    exchange.end_algo(account, algo, AlgoStatus.CANCELED, now_ns)
    return canceled_algo(algo, code_as_string=exchange.quirks.code_as_string)


def cancel_open_algo_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """DELETE /fapi/v1/algoOpenOrders of one symbol; succeeds without any, too."""
    symbol = instrument_of(exchange, parameters).symbol
    for algo in list(account.waiting_algos.values()):
        if algo.symbol == symbol:
            exchange.end_algo(account, algo, AlgoStatus.CANCELED, now_ns)
    return dict(_CANCELED_ALL)


def list_open_algo_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/openAlgoOrders of one symbol or of all."""
    symbol = optional_symbol(exchange, parameters)
    algo_id = parameters.optional_integer("algoId")
    if parameters.optional_text("algoType") not in (None, "CONDITIONAL"):
        return []
    return [
        listed_algo(
            exchange.instruments[algo.symbol],
            algo,
            exponent_format=exchange.quirks.exponent_format,
        )
        for algo in account.waiting_algos.values()
        if symbol in (None, algo.symbol) and algo_id in (None, algo.algo_id)
    ]


def list_algo_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/allAlgoOrders of one symbol: from `algoId` on, else those of the window."""
    instrument = instrument_of(exchange, parameters)
    first_id = parameters.optional_integer("algoId")
    limit = parameters.limit(exchange.limits.list_rows_default, exchange.limits.list_rows_max)
    start_ms, end_ms, is_from_start = window(exchange, parameters, now_ns)
    chosen = (
        algo
        for algo in account.algos.values()
        if algo.symbol == instrument.symbol and is_retained(exchange, algo, now_ns)
    )
    if first_id is not None:
        rows = [algo for algo in chosen if algo.algo_id >= first_id][:limit]
    else:
        placed = in_window(chosen, lambda algo: algo.created_ns, start_ms, end_ms)
        rows = placed[:limit] if is_from_start else placed[-limit:]
    return [queried_algo(instrument, algo) for algo in rows]


def _find(account: Account, parameters: Parameters) -> AlgoOrder | None:
    algo_id = parameters.optional_integer("algoId")
    if algo_id is not None:
        return account.algos.get(algo_id)
    client_algo_id = parameters.optional_text("clientAlgoId")
    if client_algo_id is None:
        raise either_missing("clientAlgoId", "algoId")
    return account.algo_by_client_id(client_algo_id)
