"""Placing a conditional order: read it, judge it, let it wait.

Filters are checked now, margin and position only when it triggers, as at the venue since
2025-12-09. The exception is `closePosition`, which needs a position to close from the start.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.instruments import TIMES_IN_FORCE
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import (
    ALGO_TYPES,
    CLOSE_TIME_IN_FORCE,
    CONTRACT_PRICE,
    LIMIT_TYPES,
    MARK_PRICE,
    PROFIT_TYPES,
    STOP_TYPES,
    TRAILING,
    AlgoOrder,
    is_reached,
)
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import SIDES
from services.paper_exchange.state.position_sides import BOTH, is_closing
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.algo_shapes import acknowledged_algo
from services.paper_exchange.trading.filters import check_price, check_quantity
from services.paper_exchange.trading.order_reading import (
    NO_PRICE_MATCH,
    instrument_of,
    read_client_id,
    read_good_till_ms,
    read_position_side,
    read_price_match,
    read_reduce_only,
    read_self_trade_prevention,
    refuse_foreign,
)
from services.paper_exchange.trading.placement import check_order_counts
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

ALGO_ID_FIRST: Final = 4_000_000_000_000_000
"""Ids of conditional orders are far from those of orders, as at the venue."""
_CALLBACK_PERCENT_MIN, _CALLBACK_PERCENT_MAX = Decimal("0.1"), Decimal(10)
_FAMILIES: Final = (STOP_TYPES, PROFIT_TYPES)


def place_algo_order(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> dict[str, object]:
    """POST /fapi/v1/algoOrder; raises the venue's refusal."""
    algo = _read(exchange, account, parameters, now_ns)
    _judge(exchange, account, algo, now_ns)
    account.counts.book(now_ns)
    exchange.accept_algo(account, algo)
    return acknowledged_algo(exchange.instruments[algo.symbol], algo)


def _read(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> AlgoOrder:
    """Read the parameters; raises what they alone are refused for."""
    if parameters.text("algoType") != "CONDITIONAL":
        raise RefusalError(-1130, "algoType")
    symbol = instrument_of(exchange, parameters).symbol
    side, order_type = parameters.text("side"), parameters.text("type")
    if side not in SIDES:
        raise RefusalError(-1117)
    if order_type not in ALGO_TYPES:
        raise RefusalError(-1116)
    position_side = read_position_side(account, parameters)
    closes_all = _close_position(parameters, order_type, position_side, side)
    is_trailing = order_type == TRAILING
    is_limit = order_type in LIMIT_TYPES
    refuse_foreign(parameters, () if is_limit else ("price",))
    refuse_foreign(
        parameters, ("triggerPrice",) if is_trailing else ("activatePrice", "callbackRate")
    )
    time_in_force = parameters.optional_text("timeInForce") or "GTC"
    if time_in_force not in (*TIMES_IN_FORCE, CLOSE_TIME_IN_FORCE) or time_in_force == "RPI":
        raise RefusalError(-1115)
    price_match = read_price_match(parameters, is_limit=is_limit)
    is_matched = price_match != NO_PRICE_MATCH
    client_algo_id = read_client_id(parameters, "clientAlgoId")
    activate_price = parameters.optional_decimal("activatePrice")
    sequence = exchange.next_sequence("algo")
    return AlgoOrder(
        algo_id=ALGO_ID_FIRST + sequence,
        account_id=account.account_id,
        symbol=symbol,
        client_algo_id=client_algo_id or f"paper-algo-{sequence}",
        side=side,
        order_type=order_type,
        time_in_force=CLOSE_TIME_IN_FORCE if closes_all else time_in_force,
        quantity=ZERO if closes_all else parameters.decimal("quantity"),
        price=parameters.decimal("price") if is_limit and not is_matched else ZERO,
        trigger_price=ZERO if is_trailing else parameters.decimal("triggerPrice"),
        working_type=_working_type(parameters),
        close_position=closes_all,
        price_protect=parameters.optional_boolean("priceProtect") or False,
        reduce_only=closes_all or read_reduce_only(account, parameters),
        self_trade_prevention=read_self_trade_prevention(parameters),
        good_till_ms=read_good_till_ms(exchange, parameters, time_in_force, now_ns),
        created_ns=now_ns,
        updated_ns=now_ns,
        activate_price=activate_price or ZERO,
        callback_percent=parameters.decimal("callbackRate") if is_trailing else ZERO,
        position_side=position_side,
        price_match=price_match,
    )


def _close_position(parameters: Parameters, order_type: str, position_side: str, side: str) -> bool:
    """Whether it is to close whatever is open; raises -4136, -4137 or -1106.

    In hedge mode only the side that closes its position side may: SELL for LONG, BUY for SHORT.
    """
    if parameters.optional_text("newOrderRespType") not in (None, "ACK", "RESULT"):
        raise RefusalError(-1136)
    if not parameters.optional_boolean("closePosition"):
        return False
    if order_type not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise RefusalError(-4136, order_type, "true")
    if parameters.optional_decimal("quantity"):
        raise RefusalError(-4137)
    if parameters.values.get("reduceOnly"):
        raise RefusalError(-1106, "reduceonly")
    if position_side != BOTH and not is_closing(position_side, 1 if side == "BUY" else -1):
        raise RefusalError(-4136, order_type, "true")
    return True


def _working_type(parameters: Parameters) -> str:
    working_type = parameters.optional_text("workingType") or CONTRACT_PRICE
    if working_type not in (CONTRACT_PRICE, MARK_PRICE):
        raise RefusalError(-4031)
    return working_type


def _judge(exchange: VenueState, account: Account, algo: AlgoOrder, now_ns: int) -> None:
    """Raise the refusal of the first check that fails."""
    instrument = exchange.instruments[algo.symbol]
    if instrument.status != "TRADING":
        raise RefusalError(-4140)
    if not algo.close_position:
        check_quantity(instrument, algo.quantity, is_market=algo.born_type == "MARKET")
    if algo.born_type == "LIMIT" and algo.price_match == NO_PRICE_MATCH:
        check_price(instrument, algo.price)
    if algo.order_type == TRAILING:
        if not _CALLBACK_PERCENT_MIN <= algo.callback_percent <= _CALLBACK_PERCENT_MAX:
            raise RefusalError(-2007)
        if algo.activate_price:
            check_price(instrument, algo.activate_price)
    elif algo.trigger_price <= 0:
        raise RefusalError(-4006)
    elif instrument.price_max and algo.trigger_price > instrument.price_max:
        raise RefusalError(-4007)
    else:
        check_price(instrument, algo.trigger_price)
    if algo.client_algo_id in account.waiting_by_client_algo_id:
        raise RefusalError(-4116)
    if len(account.waiting_algos) >= exchange.limits.algo_orders_max:
        raise RefusalError(-4045)
    check_order_counts(exchange, account, now_ns)
    _check_would_wait(exchange, algo)
    if algo.ends_with_position:
        _check_closing(exchange, account, algo)


def _check_would_wait(exchange: VenueState, algo: AlgoOrder) -> None:
    """Refuse what its price has already reached with -2021."""
    price = exchange.mark_of(algo.symbol)
    if algo.working_type == CONTRACT_PRICE:
        price = exchange.books[algo.symbol].last_price or price
    if price is None:
        return
    if algo.order_type == TRAILING:
        is_past = algo.activate_price and algo.sign * price <= algo.sign * algo.activate_price
    else:
        is_past = is_reached(algo.side, algo.order_type, algo.trigger_price, price)
    if is_past:
        raise RefusalError(-2021)


def _check_closing(exchange: VenueState, account: Account, algo: AlgoOrder) -> None:
    """Refuse a second stop or take-profit for the same position, and one without a position."""
    if not exchange.reducible(account, algo.symbol, algo.sign, algo.position_side):
        raise RefusalError(-4509)
    if not algo.close_position:
        return
    family = next(types for types in _FAMILIES if algo.order_type in types)
    for other in account.waiting_algos.values():
        is_same = (other.symbol, other.side, other.position_side) == (
            algo.symbol,
            algo.side,
            algo.position_side,
        )
        if is_same and other.close_position and other.order_type in family:
            raise RefusalError(-4130)
