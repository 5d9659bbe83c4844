"""Whether an account can afford an order, and whether its leverage allows the position."""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import notional_max
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.margin import PositionMargin, order_cost
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
    before = state.position_margin_of(account, request.symbol, request.position_side, mark)
    leverage = account.leverage_of(request.symbol)
    _check_leverage(before, request, leverage)
    if request.is_market and request.side == "BUY":
        price = (counter or mark) * (1 + state.limits.market_assuming_price_margin)
    elif request.side == "BUY":
        price = request.price
    else:
        price = max((counter or mark) if request.is_market else request.price, mark)
    cost = order_cost(
        before,
        account.position(request.symbol, request.position_side).quantity,
        leverage,
        sign=request.sign,
        quantity=request.quantity,
        price=price,
    )
    if cost <= 0:
        return
    whole = state.margin_of(account)
    if cost > (whole.withdrawable if before.is_isolated else whole.free):
        raise RefusalError(-2019)


def _check_leverage(before: PositionMargin, request: OrderRequest, leverage: int) -> None:
    """Refuse a position that, with all open orders of its direction filled, is too large."""
    waiting = before.bid_notional if request.sign > 0 else before.ask_notional
    growth = waiting + request.quantity * before.mark
    resulting = max(ZERO, request.sign * before.notional + growth)
    if resulting > abs(before.notional) and resulting > notional_max(request.symbol, leverage):
        raise RefusalError(-2027)
