"""Modifying an open limit order: new price and quantity, at the price of its place in the queue.

As documented: both values are needed (a price match stands for a price), the same values are
refused, a quantity that is filled already and a post-only order that would take end the order
instead. `reduceOnly` changes nothing of the order: who sends it true, and of a reduce-only order,
need not keep to the least notional.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.orders import CANCELED, POST_ONLY, SIDES, Amendment, Order
from services.paper_exchange.state.position_sides import BOTH
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.filters import check_percent_price, check_price, check_quantity
from services.paper_exchange.trading.margin_check import check_amendment
from services.paper_exchange.trading.matching import would_take
from services.paper_exchange.trading.order_queries import find_order
from services.paper_exchange.trading.order_reading import (
    NO_PRICE_MATCH,
    instrument_of,
    read_price,
    read_price_match,
)
from services.paper_exchange.trading.order_shapes import modified_order
from services.paper_exchange.trading.placement import check_order_counts
from services.paper_exchange.trading.taking import take
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError


def modify_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """PUT /fapi/v1/order; raises the venue's refusal, which changes nothing."""
    check_order_counts(exchange, account, now_ns)
    body = modify(exchange, account, parameters, now_ns)
    account.counts.book(now_ns)
    return body


def modify(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """Modify one order, alone or of a batch, and answer; raises the venue's refusal."""
    instrument = instrument_of(exchange, parameters)
    order = find_order(exchange, account, parameters)
    side, quantity = parameters.text("side"), parameters.decimal("quantity")
    price_match = read_price_match(parameters, is_limit=True)
    if price_match == NO_PRICE_MATCH:
        parameters.decimal("price")
    is_sent_reducing = parameters.optional_boolean("reduceOnly") or False
    modify_id = parameters.optional_integer("modifyId")
    if side not in SIDES:
        raise RefusalError(-1117)
    if order is None or not order.is_open:
        raise RefusalError(-2013)
    if side != order.side:
        raise RefusalError(-1130, "side")
    if is_sent_reducing and not order.reduce_only:
        raise RefusalError(-5047)
    price = read_price(exchange.books[order.symbol], parameters, side, price_match)
    _judge(exchange, order, quantity, price, is_sent_reducing=is_sent_reducing)
    check_amendment(exchange, account, order, quantity, price)
    order.price_match, order.modify_id = price_match, modify_id
    _amend(exchange, account, order, quantity, price, now_ns)
    return modified_order(instrument, order)


def _judge(
    exchange: VenueState,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    *,
    is_sent_reducing: bool,
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
    if len(order.amendments) >= instrument.order_moves_max:
        raise RefusalError(-5026)
    if order.position_side != BOTH and order.is_reducing:
        account = exchange.accounts[order.account_id]
        held = exchange.reducible(account, order.symbol, order.sign, order.position_side)
        if quantity - order.executed > held:
            raise RefusalError(-2022)
    elif not is_sent_reducing and quantity * price < instrument.notional_min:
        raise RefusalError(-5029, f"{instrument.notional_min:f}")


def _amend(
    exchange: VenueState,
    account: Account,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    now_ns: int,
) -> None:
    """Change the order and send it through the book again, behind all that rest there."""
    is_post_only = order.time_in_force in POST_ONLY
    if quantity <= order.executed or (
        is_post_only and would_take(exchange, order.symbol, order.side, price)
    ):
        exchange.end_order(account, order, CANCELED, now_ns)
        return
    exchange.resting[order.symbol].remove(order)
    amendment = Amendment(
        amendment_id=exchange.next_sequence("amendment"),
        time_ns=now_ns,
        price_before=order.price,
        price_after=price,
        quantity_before=order.quantity,
        quantity_after=quantity,
        number=len(order.amendments) + 1,
        modify_id=order.modify_id,
    )
    order.amendments += (amendment,)
    order.quantity, order.price, order.updated_ns = quantity, price, now_ns
    exchange.tell_order(account, order, "AMENDMENT", now_ns)
    take(exchange, account, order, price, now_ns)
