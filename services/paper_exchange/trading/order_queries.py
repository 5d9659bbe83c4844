"""Asking for orders, canceling them, and the histories that page: orders and fills.

Retention follows the venue: an order that ended without a fill is forgotten 3 days after it was
placed, any order 90 days after. Forgotten orders answer like orders that never were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.orders import CANCELED, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.trading.order_shapes import (
    acknowledged_order,
    listed_amendment,
    listed_order,
    listed_trade,
    queried_order,
)
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError, either_missing

Row = TypeVar("Row")
_DAY_MS = 86_400_000
AMENDMENT_ROWS_DEFAULT: Final = 50
AMENDMENT_ROWS_MAX: Final = 100
_CANCELED_ALL = {"code": 200, "msg": "The operation of cancel all open order is done."}


def query_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """GET /fapi/v1/order; raises -2013 for an order that never was or is forgotten."""
    order = find_order(exchange, account, parameters)
    if order is None or not is_retained(exchange, order, now_ns):
        raise RefusalError(-2013)
    if now_ns - order.created_ns < exchange.conditions.query_lag_ms * NS_PER_MS:
        exchange.conditions.count("query_lag")
        raise RefusalError(-2013)
    return queried_order(exchange.instruments[order.symbol], order)


def query_open_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """GET /fapi/v1/openOrder; raises -2013 for an order that is not open."""
    order = find_order(exchange, account, parameters)
    if order is None or not order.is_open:
        raise RefusalError(-2013)
    return queried_order(exchange.instruments[order.symbol], order)


def cancel_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """DELETE /fapi/v1/order; raises -2011 for an order that is not open."""
    order = find_order(exchange, account, parameters)
    if order is None or not order.is_open:
        raise RefusalError(-2011)
    exchange.end_order(account, order, CANCELED, now_ns)
    return acknowledged_order(exchange.instruments[order.symbol], order)


def cancel_open_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """DELETE /fapi/v1/allOpenOrders of one symbol; succeeds without any order, too."""
    symbol = instrument_of(exchange, parameters).symbol
    for order in account.open_orders_of(symbol):
        exchange.end_order(account, order, CANCELED, now_ns)
    return dict(_CANCELED_ALL)


def list_open_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[dict[str, object]]:
    """GET /fapi/v1/openOrders of one symbol or of all."""
    symbol = optional_symbol(exchange, parameters)
    return [
        queried_order(exchange.instruments[order.symbol], order)
        for order in account.open_orders.values()
        if symbol in (None, order.symbol)
    ]


def list_orders(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[dict[str, object]]:
    """GET /fapi/v1/allOrders: from `orderId` on, else those placed in the window."""
    symbol = optional_symbol(exchange, parameters)
    first_id = parameters.optional_integer("orderId")
    limit = parameters.limit(exchange.limits.list_rows_default, exchange.limits.list_rows_max)
    start_ms, end_ms, is_from_start = window(exchange, parameters, now_ns)
    chosen = (
        order
        for order in account.orders.values()
        if symbol in (None, order.symbol) and is_retained(exchange, order, now_ns)
    )
    if first_id is not None:
        rows = [order for order in chosen if order.order_id >= first_id][:limit]
    else:
        placed = in_window(chosen, lambda order: order.created_ns, start_ms, end_ms)
        rows = placed[:limit] if is_from_start else placed[-limit:]
    return [listed_order(exchange.instruments[order.symbol], order) for order in rows]


def list_trades(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[dict[str, object]]:
    """GET /fapi/v1/userTrades of one symbol: from `fromId` on, else those of the window."""
    instrument = instrument_of(exchange, parameters)
    from_id = parameters.optional_integer("fromId")
    order_id = parameters.optional_integer("orderId")
    limit = parameters.limit(exchange.limits.list_rows_default, exchange.limits.list_rows_max)
    if from_id is not None and ("startTime" in parameters or "endTime" in parameters):
        raise RefusalError(-1128)
    start_ms, end_ms, is_from_start = window(exchange, parameters, now_ns)
    oldest_ns = now_ns - exchange.limits.order_retention_ns if exchange.quirks.retention else 0
    chosen = (
        trade
        for trade in account.trades.get(instrument.symbol, ())
        if order_id in (None, trade.order_id) and trade.time_ns >= oldest_ns
    )
    if from_id is not None:
        rows = [trade for trade in chosen if trade.trade_id >= from_id][:limit]
    elif order_id is not None and not is_from_start:
        rows = list(chosen)[-limit:]
    else:
        placed = in_window(chosen, lambda trade: trade.time_ns, start_ms, end_ms)
        rows = placed[:limit] if is_from_start else placed[-limit:]
    return [listed_trade(instrument, trade) for trade in rows]


def list_amendments(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[dict[str, object]]:
    """GET /fapi/v1/orderAmendment of one order: the modifications of 90 days, newest first.

    Raises -2013 for an order that never was or is forgotten.
    """
    instrument = instrument_of(exchange, parameters)
    order = find_order(exchange, account, parameters)
    start_ms = parameters.optional_integer("startTime")
    end_ms = parameters.optional_integer("endTime")
    limit = parameters.limit(AMENDMENT_ROWS_DEFAULT, AMENDMENT_ROWS_MAX)
    if order is None or not is_retained(exchange, order, now_ns):
        raise RefusalError(-2013)
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise RefusalError(-1023)
    oldest_ms = (now_ns - exchange.limits.order_retention_ns) // NS_PER_MS
    chosen = in_window(
        reversed(order.amendments),
        lambda amendment: amendment.time_ns,
        max(oldest_ms, start_ms or 0),
        now_ns // NS_PER_MS if end_ms is None else end_ms,
    )
    return [listed_amendment(instrument, order, amendment) for amendment in chosen[:limit]]


def find_order(exchange: VenueState, account: Account, parameters: Parameters) -> Order | None:
    """The order that `orderId` or, without it, `origClientOrderId` names; raises -1102."""
    symbol = instrument_of(exchange, parameters).symbol
    order_id = parameters.optional_integer("orderId")
    if order_id is not None:
        order = account.orders.get(order_id)
    else:
        client_order_id = parameters.optional_text("origClientOrderId")
        if client_order_id is None:
            raise either_missing("origClientOrderId", "orderId")
        order = account.order_by_client_id(client_order_id)
    return order if order is not None and order.symbol == symbol else None


def is_retained(exchange: VenueState, order: Order | AlgoOrder, now_ns: int) -> bool:
    """Whether the venue still remembers an order: any open one, others for days."""
    if not exchange.quirks.retention:
        return True
    if order.is_waiting if isinstance(order, AlgoOrder) else order.is_open:
        return True
    age_ns = now_ns - order.created_ns
    if not order.executed and age_ns > exchange.limits.unfilled_order_retention_ns:
        return False
    return age_ns <= exchange.limits.order_retention_ns


def optional_symbol(exchange: VenueState, parameters: Parameters) -> str | None:
    """The symbol of a request that need not name one; raises -1121."""
    return instrument_of(exchange, parameters).symbol if "symbol" in parameters else None


def window(exchange: VenueState, parameters: Parameters, now_ns: int) -> tuple[int, int, bool]:
    """Start and end in ms, both inclusive, and whether rows count from the start.

    At most 7 days: around whichever end was sent, else the last 7 days. Raises -1023, -4165 for a
    wider one, and -4166 for one that reaches further back than orders are remembered.
    """
    width_ms = exchange.limits.history_window_ms_max
    retention_ms = exchange.limits.order_retention_ns // NS_PER_MS
    start_ms = parameters.optional_integer("startTime")
    end_ms = parameters.optional_integer("endTime")
    if start_ms is not None and end_ms is not None:
        if start_ms > end_ms:
            raise RefusalError(-1023)
        if end_ms - start_ms > width_ms:
            raise RefusalError(-4165, width_ms // _DAY_MS)
    named_ms = end_ms if start_ms is None else start_ms
    is_old = named_ms is not None and named_ms < now_ns // NS_PER_MS - retention_ms
    if is_old and exchange.quirks.retention:
        raise RefusalError(-4166, retention_ms // _DAY_MS)
    if start_ms is not None and end_ms is not None:
        return start_ms, end_ms, True
    if start_ms is not None:
        return start_ms, start_ms + width_ms, True
    if end_ms is None:
        end_ms = now_ns // NS_PER_MS
    return end_ms - width_ms, end_ms, False


def in_window(
    rows: Iterable[Row], time_ns: Callable[[Row], int], start_ms: int, end_ms: int
) -> list[Row]:
    """The rows of a window, whose ends are inclusive."""
    return [row for row in rows if start_ms <= time_ns(row) // NS_PER_MS <= end_ms]
