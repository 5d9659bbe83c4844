"""Placing an order: read it, judge it, match it.

Reading refuses what the parameters alone show to be wrong; judging refuses what filters, position
and margin do not allow; only then does the exchange change. Nothing is changed by a refusal.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from services.paper_exchange.market.instruments import TIMES_IN_FORCE, Instrument
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import ALGO_TYPES
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import EXPIRED, SIDES, Match, Order
from services.paper_exchange.state.user_events import IOC_NOT_FILLED, MARKET_NOT_FILLED
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
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
    best_counter_price,
    resting_ahead,
    sweep,
    would_take,
)
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.trading.order_shapes import acknowledged_order
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

CLIENT_ORDER_ID_RANGE: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
_GOOD_TILL_MS_MAX: Final = 253_402_300_799_000
_SELF_TRADE_PREVENTION: Final = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "NONE")
_FOREIGN_TO_MARKET: Final = (
    "timeInForce",
    "price",
    "stopPrice",
    "goodTillDate",
    "activationPrice",
    "callbackRate",
)
_FOREIGN_TO_LIMIT: Final = ("stopPrice", "activationPrice", "callbackRate")


def place_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """POST /fapi/v1/order; raises the venue's refusal."""
    request = read_order(exchange, parameters, now_ns)
    _check_admission(exchange, account, request, now_ns)
    quantity = judge_order(exchange, account, request)
    order, acknowledgement = match_order(exchange, account, request, quantity, now_ns)
    account.counts.book(now_ns)
    is_immediate = request.is_market or request.time_in_force in ("IOC", "FOK")
    if request.wants_result and is_immediate:
        return acknowledged_order(exchange.instruments[order.symbol], order)
    return acknowledgement


def instrument_of(exchange: VenueState, parameters: Parameters) -> Instrument:
    """The instrument that `symbol` names; raises -1102 or -1121."""
    instrument = exchange.instruments.get(parameters.text("symbol"))
    if instrument is None:
        raise RefusalError(-1121)
    return instrument


def read_order(exchange: VenueState, parameters: Parameters, now_ns: int) -> OrderRequest:
    """Read the parameters of an order; raises what they alone are refused for."""
    instrument = instrument_of(exchange, parameters)
    side = parameters.text("side")
    if side not in SIDES:
        raise RefusalError(-1117)
    order_type = parameters.text("type")
    if order_type in ALGO_TYPES:
        raise RefusalError(-4120)
    if order_type not in ("LIMIT", "MARKET"):
        raise RefusalError(-1116)
    is_market = order_type == "MARKET"
    refuse_foreign(parameters, _FOREIGN_TO_MARKET if is_market else _FOREIGN_TO_LIMIT)
    time_in_force = "GTC" if is_market else parameters.text("timeInForce")
    if time_in_force not in TIMES_IN_FORCE:
        raise RefusalError(-1115)
    if time_in_force == "RPI":
        raise RefusalError(-1020)
    check_position_side(parameters)
    _check_modes(parameters, order_type)
    return OrderRequest(
        symbol=instrument.symbol,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        quantity=parameters.decimal("quantity"),
        price=ZERO if is_market else parameters.decimal("price"),
        reduce_only=parameters.optional_boolean("reduceOnly") or False,
        client_order_id=read_client_id(parameters, "newClientOrderId"),
        self_trade_prevention=read_self_trade_prevention(parameters),
        good_till_ms=read_good_till_ms(exchange, parameters, time_in_force, now_ns),
        wants_result=_wants_result(parameters),
    )


def refuse_foreign(parameters: Parameters, names: tuple[str, ...]) -> None:
    """Refuse parameters that this kind of order does not have with -1106."""
    for name in names:
        if parameters.values.get(name):
            raise RefusalError(-1106, name)


def check_position_side(parameters: Parameters) -> None:
    """Refuse whatever is not one-way mode with -4061 or -4060."""
    position_side = parameters.optional_text("positionSide")
    if position_side in (None, "BOTH"):
        return
    raise RefusalError(-4061 if position_side in ("LONG", "SHORT") else -4060)


def _check_modes(parameters: Parameters, order_type: str) -> None:
    """Refuse modes that plain orders do not have, and those this venue does not offer."""
    if parameters.optional_boolean("closePosition"):
        raise RefusalError(-4136, order_type, "true")
    if parameters.optional_text("priceMatch") not in (None, "NONE"):
        raise RefusalError(-5037)


def read_client_id(parameters: Parameters, name: str) -> str | None:
    """The customer's own id of an order; raises -4015 or -1100 for one that may not be."""
    client_order_id = parameters.optional_text(name)
    if client_order_id is None:
        return None
    if len(client_order_id) > 36:
        raise RefusalError(-4015)
    if _CLIENT_ORDER_ID.fullmatch(client_order_id) is None:
        raise RefusalError(-1100, name, CLIENT_ORDER_ID_RANGE)
    return client_order_id


def read_self_trade_prevention(parameters: Parameters) -> str:
    """The mode, by default EXPIRE_MAKER; raises -5039 for another."""
    mode = parameters.optional_text("selfTradePreventionMode") or "EXPIRE_MAKER"
    if mode not in _SELF_TRADE_PREVENTION:
        raise RefusalError(-5039)
    return mode


def read_good_till_ms(
    exchange: VenueState, parameters: Parameters, time_in_force: str, now_ns: int
) -> int:
    """When a GTD order ends, 0 for any other; raises -1106, -1102 or -5040."""
    if time_in_force != "GTD":
        if parameters.values.get("goodTillDate") not in (None, "", "0"):
            raise RefusalError(-1106, "goodTillDate")
        return 0
    good_till_ms = parameters.integer("goodTillDate") // 1_000 * 1_000
    earliest_ms = now_ns // NS_PER_MS + exchange.limits.good_till_date_ahead_ms_min
    if not earliest_ms < good_till_ms < _GOOD_TILL_MS_MAX:
        raise RefusalError(-5040)
    return good_till_ms


def _wants_result(parameters: Parameters) -> bool:
    response_type = parameters.optional_text("newOrderRespType") or "ACK"
    if response_type not in ("ACK", "RESULT"):
        raise RefusalError(-1136)
    return response_type == "RESULT"


def judge_order(exchange: VenueState, account: Account, request: OrderRequest) -> Decimal:
    """Check filters, position and margin; return the quantity to place (reduce-only is trimmed).

    Raises the refusal of the first check that fails.
    """
    instrument = exchange.instruments[request.symbol]
    if instrument.status != "TRADING":
        raise RefusalError(-4139)
    if request.origin is None or not request.origin.close_position:
        check_quantity(instrument, request.quantity, is_market=request.is_market)
    mark = exchange.mark_of(request.symbol)
    counter = best_counter_price(exchange.books[request.symbol], request.side)
    if request.is_market:
        if mark is None:
            raise RefusalError(-4131)
        check_counterparty_price(instrument, request.side, counter, mark)
    else:
        check_price(instrument, request.price)
        if mark is not None:
            check_percent_price(instrument, request.side, request.price, mark)
    if request.reduce_only:
        reducible = exchange.reducible(account, request.symbol, request.sign)
        if reducible == 0:
            raise RefusalError(-2022)
        return min(request.quantity, reducible)
    reference = (mark or ZERO) if request.is_market else request.price
    check_notional(instrument, request.quantity, reference)
    check_margin(exchange, account, request, mark or request.price, counter)
    return request.quantity


def _check_admission(
    exchange: VenueState, account: Account, request: OrderRequest, now_ns: int
) -> None:
    if request.client_order_id in account.open_by_client_id:
        raise RefusalError(-4116)
    instrument = exchange.instruments[request.symbol]
    if len(account.open_orders_of(request.symbol)) >= instrument.open_orders_max:
        raise RefusalError(-2025)
    check_order_counts(exchange, account, now_ns)


def check_order_counts(exchange: VenueState, account: Account, now_ns: int) -> None:
    """Refuse an account that has sent all the orders of its window with -1015."""
    account.counts.roll(now_ns)
    if account.counts.count_10s >= exchange.limits.orders_per_10_seconds_max:
        raise RefusalError(-1015, exchange.limits.orders_per_10_seconds_max, "10 SECOND")
    if account.counts.count_1m >= exchange.limits.orders_per_minute_max:
        raise RefusalError(-1015, exchange.limits.orders_per_minute_max, "1 MINUTE")


def match_order(
    exchange: VenueState, account: Account, request: OrderRequest, quantity: Decimal, now_ns: int
) -> tuple[Order, dict[str, object]]:
    """Match an order that may be placed; return it, and it as it was when it was taken in.

    Raises -5021 and -5022, which leave no trace.
    """
    instrument, book = exchange.instruments[request.symbol], exchange.books[request.symbol]
    limit = request.price
    if request.is_market:
        limit = take_bound(instrument, request.side, exchange.mark_of(request.symbol) or ZERO)
    matches = sweep(book, request.side, quantity, limit)
    if request.time_in_force == "FOK" and sum(m.quantity for m in matches) < quantity:
        raise RefusalError(-5021)
    if request.time_in_force == "GTX" and would_take(book, request.side, request.price):
        raise RefusalError(-5022)
    order = _new_order(exchange, account, request, quantity, now_ns)
    exchange.accept(account, order)
    acknowledgement = acknowledged_order(instrument, order)
    take(exchange, account, order, matches, now_ns)
    return order, acknowledgement


def take(
    exchange: VenueState, account: Account, order: Order, matches: list[Match], now_ns: int
) -> None:
    """Book what an order takes; let its rest expire or come to rest, as its kind demands."""
    for match in matches:
        exchange.book_fill(account, order, match, now_ns, is_maker=False)
    if order.is_open and order.order_type == "MARKET":
        exchange.end_order(account, order, EXPIRED, now_ns, MARKET_NOT_FILLED)
    elif order.is_open and order.time_in_force in ("IOC", "FOK"):
        exchange.end_order(account, order, EXPIRED, now_ns, IOC_NOT_FILLED)
    elif order.is_open:
        book = exchange.books[order.symbol]
        exchange.rest(order, resting_ahead(book, order.side, order.price))


def _new_order(
    exchange: VenueState, account: Account, request: OrderRequest, quantity: Decimal, now_ns: int
) -> Order:
    order_id = exchange.next_sequence("order")
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
    )
