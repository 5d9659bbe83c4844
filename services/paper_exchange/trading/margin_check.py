"""Whether an account can afford an order, and whether its leverage allows the position."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import notional_max
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.margin import (
    AccountMargin,
    PositionMargin,
    open_loss,
    order_cost,
)
from services.paper_exchange.state.orders import Order
from services.paper_exchange.state.position_sides import is_closing
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.wire.refusals import RefusalError


def check_margin(
    state: VenueState,
    account: Account,
    request: OrderRequest,
    mark: Decimal,
    counter: Decimal | None,
) -> None:
    """Raise -2027 where the position would outgrow its leverage, -2019 where margin is short.

    In hedge mode an order belongs to the position it names, and one that closes it needs nothing.
    Under isolated margin what it ties up must be able to leave the cross wallet, which unrealized
    profit is not.

    Assumed prices: LIMIT BUY its price, LIMIT SELL the better of price and mark, MARKET BUY the ask
    and a margin on it, MARKET SELL the better of bid and mark.
    """
    if is_closing(request.position_side, request.sign):
        return
    key = request.symbol, request.position_side
    whole = state.margin_of(account)
    before = whole.positions.get(key)
    if before is None or before.mark != mark:
        before = state.position_margin_of(account, *key, mark)
    leverage = account.leverage_of(request.symbol)
    _check_leverage(request.symbol, leverage, before, request.sign, request.quantity * mark)
    if request.is_market and request.side == "BUY":
        price = (counter or mark) * (1 + state.limits.market_assuming_price_margin)
    elif request.side == "BUY":
        price = request.price
    else:
        price = max((counter or mark) if request.is_market else request.price, mark)
    held = account.position(*key).quantity
    cost = order_cost(
        before, held, leverage, sign=request.sign, quantity=request.quantity, price=price
    )
    turned = request.quantity - abs(held)
    if before.is_isolated and held * request.sign < 0 < turned:
        # The old position gives back only what its loss leaves of its wallet.
        cost = max(cost, turned * price / leverage - max(ZERO, before.isolated_margin))
    _check_idle(whole, before, cost)


def check_amendment(
    state: VenueState, account: Account, order: Order, quantity: Decimal, price: Decimal
) -> None:
    """Raise -2027 or -2019 where an order of this new quantity and price would need too much."""
    if order.is_reducing or quantity <= order.executed:
        return
    key = order.symbol, order.position_side
    mark = state.mark_of(order.symbol) or price
    others = [other for other in account.open_orders_on(*key) if other is not order]
    amended = replace(order, quantity=quantity, price=price)
    without = state.position_margin_of(account, *key, mark, others)
    before = state.position_margin_of(account, *key, mark, [*others, order])
    after = state.position_margin_of(account, *key, mark, [*others, amended])
    if amended.leaves > order.leaves:
        leverage = account.leverage_of(order.symbol)
        _check_leverage(order.symbol, leverage, without, order.sign, amended.leaves * mark)
    held = account.position(*key).quantity
    loss_before, loss_after = (
        # A SELL is assumed to trade at the mark where that is better, so that it opens at no loss.
        open_loss(held, mark, sign=1, quantity=one.leaves, price=one.price)
        if one.sign > 0
        else ZERO
        for one in (order, amended)
    )
    cost = after.initial - before.initial + max(ZERO, loss_after - loss_before)
    _check_idle(state.margin_of(account), before, cost)


def _check_leverage(
    symbol: str, leverage: int, before: PositionMargin, sign: int, growth: Decimal
) -> None:
    """Refuse a position that, with all open orders of its direction filled, is too large."""
    waiting = before.bid_notional if sign > 0 else before.ask_notional
    resulting = max(ZERO, sign * before.notional + waiting + growth)
    if resulting > abs(before.notional) and resulting > notional_max(symbol, leverage):
        raise RefusalError(-2027)


def _check_idle(whole: AccountMargin, before: PositionMargin, cost: Decimal) -> None:
    """Refuse what would tie up more than lies idle."""
    if cost > 0 and cost > (whole.withdrawable if before.is_isolated else whole.free):
        raise RefusalError(-2019)
