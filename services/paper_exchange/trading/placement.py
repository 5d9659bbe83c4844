"""Placing an order: read it, judge it, match it.

Reading refuses what the parameters alone show to be wrong; judging refuses what filters, position
and margin do not allow; only then does the exchange change. Nothing is changed by a refusal.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import POST_ONLY, Order
from services.paper_exchange.state.position_sides import is_closing
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.filters import (
    check_counterparty_price,
    check_notional,
    check_percent_price,
    check_price,
    check_quantity,
    take_bound,
)
from services.paper_exchange.trading.margin_check import check_margin
from services.paper_exchange.trading.matching import (
    Asker,
    best_offered_price,
    fills_at_once,
    would_take,
)
from services.paper_exchange.trading.order_reading import DEFAULT_PREVENTION, read_order
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.trading.order_shapes import acknowledged_order, tested_order
from services.paper_exchange.trading.taking import take
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError


def place_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """POST /fapi/v1/order; raises the venue's refusal."""
    check_order_counts(exchange, account, now_ns)
    body = place(exchange, account, parameters, now_ns)
    account.counts.book(now_ns)
    return body


def place(
    exchange: VenueState,
    account: Account,
    parameters: Parameters,
    now_ns: int,
    prevention: str = DEFAULT_PREVENTION,
) -> dict[str, object]:
    """Place one order, alone or of a batch, and answer; raises the venue's refusal."""
    request = read_order(exchange, account, parameters, now_ns, prevention)
    _check_admission(exchange, account, request)
    quantity = judge_order(exchange, account, request)
    order, acknowledgement = match_order(exchange, account, request, quantity, now_ns)
    is_immediate = request.is_market or request.time_in_force in ("IOC", "FOK")
    if request.wants_result and is_immediate:
        return acknowledged_order(exchange.instruments[order.symbol], order)
    return acknowledgement


def try_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """POST /fapi/v1/order/test: judged like any other, never sent to the matching engine."""
    check_order_counts(exchange, account, now_ns)
    request = read_order(exchange, account, parameters, now_ns)
    _check_admission(exchange, account, request)
    quantity = judge_order(exchange, account, request)
    order = _new_order(account, request, quantity, now_ns, order_id=0)
    return tested_order(exchange.instruments[order.symbol], order)


def judge_order(exchange: VenueState, account: Account, request: OrderRequest) -> Decimal:
    """Check filters, position and margin; return the quantity to place (reduce-only is trimmed).

    Raises the refusal of the first check that fails.
    """
    instrument = exchange.instruments[request.symbol]
    if instrument.status != "TRADING":
        raise RefusalError(-4140)
    if request.origin is None or not request.origin.close_position:
        check_quantity(instrument, request.quantity, is_market=request.is_market)
    mark = exchange.mark_of(request.symbol)
    counter = best_offered_price(exchange, request.symbol, request.side)
    if request.is_market:
        if mark is None:
            raise RefusalError(-4131)
        check_counterparty_price(instrument, request.side, counter, mark)
    else:
        check_price(instrument, request.price)
        if mark is not None:
            check_percent_price(instrument, request.side, request.price, mark)
    is_closing_leg = is_closing(request.position_side, request.sign)
    if request.reduce_only or is_closing_leg:
        reducible = exchange.reducible(account, request.symbol, request.sign, request.position_side)
        if reducible == 0 or (is_closing_leg and request.quantity > reducible):
            raise RefusalError(-2022)
        return min(request.quantity, reducible)
    reference = (mark or ZERO) if request.is_market else request.price
    check_notional(instrument, request.quantity, reference)
    check_margin(exchange, account, request, mark or request.price, counter)
    return request.quantity


def _check_admission(exchange: VenueState, account: Account, request: OrderRequest) -> None:
    """Refuse a client order id that is taken with -4116, one open order too many with -2025."""
    taken = account.open_by_client_id
    if not exchange.quirks.client_order_id_unique_among_open_only:
        is_taken = request.client_order_id in account.latest_by_client_id
    else:
        is_taken = request.client_order_id in taken
    if is_taken:
        raise RefusalError(-4116)
    instrument = exchange.instruments[request.symbol]
    if len(account.open_orders_of(request.symbol)) >= instrument.open_orders_max:
        raise RefusalError(-2025)


def check_order_counts(
    exchange: VenueState, account: Account, now_ns: int, *, orders_in_10s: int = 1
) -> None:
    """Refuse an account that has sent all the orders of its window with -1015."""
    account.counts.roll(now_ns)
    limits = exchange.limits
    if account.counts.count_10s + orders_in_10s > limits.orders_per_10_seconds_max:
        raise RefusalError(-1015, limits.orders_per_10_seconds_max, "10 SECOND")
    if account.counts.count_1m >= limits.orders_per_minute_max:
        raise RefusalError(-1015, limits.orders_per_minute_max, "1 MINUTE")


def match_order(
    exchange: VenueState, account: Account, request: OrderRequest, quantity: Decimal, now_ns: int
) -> tuple[Order, dict[str, object]]:
    """Match an order that may be placed; return it, and it as it was when it was taken in.

    Raises -5021 and -5022, which leave no trace.
    """
    symbol, side = request.symbol, request.side
    instrument = exchange.instruments[symbol]
    limit = request.price
    if request.is_market:
        limit = take_bound(instrument, side, exchange.mark_of(symbol) or ZERO)
    asker = Asker(account.account_id, request.position_side)
    if request.time_in_force == "FOK" and not fills_at_once(
        exchange, asker, symbol, side, quantity, limit
    ):
        raise RefusalError(-5021)
    if request.time_in_force in POST_ONLY and would_take(exchange, symbol, side, limit):
        raise RefusalError(-5022)
    order = _new_order(account, request, quantity, now_ns, order_id=exchange.next_sequence("order"))
    exchange.accept(account, order)
    acknowledgement = acknowledged_order(instrument, order)
    take(exchange, account, order, limit, now_ns)
    return order, acknowledgement


def _new_order(
    account: Account, request: OrderRequest, quantity: Decimal, now_ns: int, *, order_id: int
) -> Order:
    return Order(
        order_id=order_id,
        account_id=account.account_id,
        symbol=request.symbol,
        client_order_id=request.client_order_id or f"paper-{order_id}",
        side=request.side,
        order_type=request.order_type,
        time_in_force=request.time_in_force,
        quantity=quantity,
        price=request.price,
        reduce_only=request.reduce_only,
        self_trade_prevention=request.self_trade_prevention,
        good_till_ms=request.good_till_ms,
        created_ns=now_ns,
        updated_ns=now_ns,
        origin=request.origin,
        position_side=request.position_side,
        price_match=request.price_match,
    )
