"""Symbol filters by Decimal: make the order fit, or say which rule it breaks."""

from decimal import Decimal

import msgspec

from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent
from libs.common.model.money import ZERO, is_multiple, plain, round_down, round_up
from libs.common.model.order import OrderRequest, OrderType, Side
from libs.common.model.verdict import Reason, Verdict
from services.execution.rules import UNREADABLE


def quantise(order: OrderRequest, instrument: Instrument) -> OrderRequest:
    """The order with its quantity rounded down to the step and its price to the tick.

    A buy price is rounded down and a sell price up: never worse for us than what was approved, and
    never more than was approved.
    """
    is_market = order.order_type is OrderType.MARKET
    step = instrument.market_quantity_step if is_market else instrument.quantity_step
    price = order.price
    if price is not None:
        rounding = round_down if order.side is Side.BUY else round_up
        price = rounding(price, instrument.price_tick)
    return msgspec.structs.replace(order, quantity=round_down(order.quantity, step), price=price)


def check_status(order: OrderRequest, instrument: Instrument) -> Verdict:
    """The venue trades the symbol. An exit passes where only its new rules cannot be read."""
    passed = instrument.is_trading or (order.reduce_only and instrument.status == UNREADABLE)
    return Verdict(
        check="filter_status",
        passed=passed,
        limit="TRADING",
        observed=instrument.status,
        reason=None if passed else Reason.FILTER_STATUS,
    )


def check_quantity(order: OrderRequest, instrument: Instrument) -> Verdict:
    """LOT_SIZE or MARKET_LOT_SIZE: minimum, maximum and step (zero sets no limit)."""
    if order.order_type is OrderType.MARKET:
        low, high = instrument.market_quantity_min, instrument.market_quantity_max
        step = instrument.market_quantity_step
    else:
        low, high = instrument.quantity_min, instrument.quantity_max
        step = instrument.quantity_step
    passed = (
        order.quantity > ZERO
        and order.quantity >= low
        and (high == ZERO or order.quantity <= high)
        and is_multiple(order.quantity, step, low)
    )
    return Verdict(
        check="filter_quantity",
        passed=passed,
        limit=f"{plain(low)} to {plain(high)} in steps of {plain(step)}",
        observed=plain(order.quantity),
        reason=None if passed else Reason.FILTER_QUANTITY,
    )


def check_price(order: OrderRequest, instrument: Instrument) -> Verdict:
    """PRICE_FILTER: minimum, maximum and tick of a limit price (zero sets no limit)."""
    low, high, tick = instrument.price_min, instrument.price_max, instrument.price_tick
    limit = f"{plain(low)} to {plain(high)} in ticks of {plain(tick)}"
    if order.price is None:
        return Verdict(check="filter_price", passed=True, limit=limit, observed="market order")
    passed = (
        order.price > ZERO
        and (low == ZERO or order.price >= low)
        and (high == ZERO or order.price <= high)
        and is_multiple(order.price, tick, low)
    )
    return Verdict(
        check="filter_price",
        passed=passed,
        limit=limit,
        observed=plain(order.price),
        reason=None if passed else Reason.FILTER_PRICE,
    )


def check_notional(order: OrderRequest, instrument: Instrument, mark_price: Decimal) -> Verdict:
    """MIN_NOTIONAL: quantity x price (mark price for a market order); exits are exempt."""
    price = order.price if order.price is not None else mark_price
    notional = order.quantity * price
    passed = order.reduce_only or notional >= instrument.notional_min
    return Verdict(
        check="filter_notional",
        passed=passed,
        limit=f"at least {plain(instrument.notional_min)}"
        + (" (reduce-only is exempt)" if order.reduce_only else ""),
        observed=plain(notional),
        reason=None if passed else Reason.FILTER_NOTIONAL,
    )


def check_percent_price(
    order: OrderRequest, instrument: Instrument, mark_price: Decimal
) -> Verdict:
    """PERCENT_PRICE: a buy not above mark x up, a sell not below mark x down."""
    if order.price is None:
        return Verdict(check="filter_percent_price", passed=True, observed="market order")
    if order.side is Side.BUY:
        bound = mark_price * instrument.price_multiplier_up
        passed = bound == ZERO or order.price <= bound
        limit = f"at most {plain(bound)}"
    else:
        bound = mark_price * instrument.price_multiplier_down
        passed = order.price >= bound
        limit = f"at least {plain(bound)}"
    return Verdict(
        check="filter_percent_price",
        passed=passed,
        limit=limit,
        observed=plain(order.price),
        reason=None if passed else Reason.FILTER_PERCENT_PRICE,
    )


def check_orders_max(open_orders: int, instrument: Instrument) -> Verdict:
    """MAX_NUM_ORDERS: open orders of the symbol, this one included."""
    passed = open_orders < instrument.orders_max
    return Verdict(
        check="filter_orders_max",
        passed=passed,
        limit=f"below {instrument.orders_max}",
        observed=str(open_orders),
        reason=None if passed else Reason.FILTER_ORDERS_MAX,
    )


def check_protection(
    intent: Intent, order: OrderRequest, instrument: Instrument
) -> tuple[Verdict, ...]:
    """The venue will take the stop and target of an entry, once it has filled. None: none asked.

    Each becomes one market order of the entry's whole size, at a price PRICE_FILTER has to admit.
    """
    asked = [price for price in (intent.stop_price, intent.target_price) if price is not None]
    if not asked or order.reduce_only:
        return ()
    low, high = instrument.price_min, instrument.price_max
    most = instrument.market_quantity_max
    too_big = most != ZERO and order.quantity > most
    outside = any(price < low or (high != ZERO and price > high) for price in asked)
    reason = Reason.FILTER_QUANTITY if too_big else Reason.FILTER_PRICE if outside else None
    prices = ", ".join(plain(price) for price in asked)
    return (
        Verdict(
            check="filter_protection",
            passed=reason is None,
            limit=f"{plain(low)} to {plain(high)}, quantity at most {plain(most)} (zero: no limit)",
            observed=f"{prices}, quantity {plain(order.quantity)}",
            reason=reason,
        ),
    )
