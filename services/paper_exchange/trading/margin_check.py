"""Whether an account can afford an order, and whether its leverage allows the position."""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import notional_max
from services.paper_exchange.state.margin import order_cost
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

    Assumed prices: LIMIT BUY its price, LIMIT SELL the better of price and mark, MARKET BUY the ask
    and a margin on it, MARKET SELL the better of bid and mark.
    """
    position = account.position(request.symbol, request.position_side)
    leverage = account.leverage_of(request.symbol)
    resulting = abs(position.quantity + request.sign * request.quantity)
    is_growing = resulting > abs(position.quantity)
    if is_growing and resulting * mark > notional_max(request.symbol, leverage):
        raise RefusalError(-2027)
    if request.is_market and request.side == "BUY":
        price = (counter or mark) * (1 + state.limits.market_assuming_price_margin)
    elif request.side == "BUY":
        price = request.price
    else:
        price = max((counter or mark) if request.is_market else request.price, mark)
    cost = order_cost(
        position,
        account.open_orders_of(request.symbol),
        mark,
        leverage,
        sign=request.sign,
        quantity=request.quantity,
        price=price,
    )
    if cost > 0 and cost > state.margin_of(account).free:
        raise RefusalError(-2019)
