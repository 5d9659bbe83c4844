"""Modifying an open limit order: new price and quantity, at the price of its place in the queue.

As documented: both values are needed, the same values are refused, a quantity that is filled
already and a post-only order that would take end the order instead.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import notional_max
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import CANCELED, SIDES, Order
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.filters import check_percent_price, check_price, check_quantity
from services.paper_exchange.trading.matching import sweep, would_take
from services.paper_exchange.trading.order_queries import find_order
from services.paper_exchange.trading.order_shapes import acknowledged_order
from services.paper_exchange.trading.placement import check_order_counts, take
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError


def modify_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """PUT /fapi/v1/order; raises the venue's refusal, which changes nothing."""
    order = find_order(exchange, account, parameters)
    side = parameters.text("side")
    quantity, price = parameters.decimal("quantity"), parameters.decimal("price")
    reduce_only = parameters.optional_boolean("reduceOnly")
    if side not in SIDES:
        raise RefusalError(-1117)
    if order is None or not order.is_open:
        raise RefusalError(-2013)
    if side != order.side:
        raise RefusalError(-1130, "side")
    if reduce_only is not None and reduce_only != order.reduce_only:
        raise RefusalError(-5047)
    instrument = exchange.instruments[order.symbol]
    _judge(exchange, account, order, quantity, price)
    check_order_counts(exchange, account, now_ns)
    _check_margin(exchange, account, order, quantity, price)
    account.counts.book(now_ns)
    order.modify_id = exchange.next_sequence("modification")
    order.amendments += 1
    _amend(exchange, account, order, quantity, price, now_ns)
    body = acknowledged_order(instrument, order)
    return {**body, "pair": order.symbol, "modifyId": order.modify_id}


def _judge(
    exchange: VenueState, account: Account, order: Order, quantity: Decimal, price: Decimal
) -> None:
    instrument = exchange.instruments[order.symbol]
    if instrument.status != "TRADING":
        raise RefusalError(-5024)
    if order.order_type != "LIMIT":
        raise RefusalError(-5025)
    check_quantity(instrument, quantity, is_market=False)
    check_price(instrument, price)
    mark = exchange.mark_of(order.symbol)
    if mark is not None:
        check_percent_price(instrument, order.side, price, mark)
    if (quantity, price) == (order.quantity, order.price):
        raise RefusalError(-5027)
    if order.amendments >= instrument.order_moves_max:
        raise RefusalError(-5026)
    if not order.reduce_only and quantity * price < instrument.notional_min:
        raise RefusalError(-5029, f"{instrument.notional_min:f}")


def _check_margin(
    exchange: VenueState, account: Account, order: Order, quantity: Decimal, price: Decimal
) -> None:
    """Raise -2027 or -2019 where the modified order would need more than there is."""
    if order.reduce_only:
        return
    held = account.position(order.symbol).quantity
    resulting = abs(held + order.sign * (quantity - order.executed))
    mark = exchange.mark_of(order.symbol) or price
    allowed = notional_max(order.symbol, account.leverage_of(order.symbol))
    if resulting > abs(held) and resulting * mark > allowed:
        raise RefusalError(-2027)
    free = exchange.margin_of(account).free
    before = order.quantity, order.price
    order.quantity, order.price = quantity, price
    free_after = exchange.margin_of(account).free
    order.quantity, order.price = before
    if free_after < ZERO and free_after < free:
        raise RefusalError(-2019)


def _amend(
    exchange: VenueState,
    account: Account,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    now_ns: int,
) -> None:
    """Change the order and send it through the book again, behind all that rest there."""
    book = exchange.books[order.symbol]
    takes = would_take(book, order.side, price)
    if quantity <= order.executed or (order.time_in_force == "GTX" and takes):
        exchange.end_order(account, order, CANCELED, now_ns)
        return
    exchange.resting[order.symbol].pop(order.order_id, None)
    order.quantity, order.price, order.updated_ns = quantity, price, now_ns
    exchange.tell_order(account, order, "AMENDMENT", now_ns)
    leaves = order.leaves
    if order.reduce_only:
        leaves = min(leaves, exchange.reducible(account, order.symbol, order.sign))
    take(exchange, account, order, sweep(book, order.side, leaves, price), now_ns)
