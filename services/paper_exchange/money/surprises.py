"""What happens to a customer without the client, when a script says so rather than the market.

Pure functions on the state of the venue, for scripts over HTTP and for simulations: a liquidation
or deleveraging at a price of the script's choice, and the owner's hand.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.money import insurance
from services.paper_exchange.money.force_order_stream import announce
from services.paper_exchange.money.forced_closing import (
    ForcedClosing,
    book_closing,
    place_closing,
)
from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.ledger import ZERO, round_money
from services.paper_exchange.state.orders import CANCELED, Match, Order
from services.paper_exchange.state.position_sides import BOTH, LONG, SHORT
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.matching import best_counter_price
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.trading.placement import judge_order, match_order
from services.paper_exchange.wire.refusals import RefusalError

__all__ = ["ForcedClosing", "force_close", "owner_trades"]


def force_close(
    state: VenueState,
    account: Account,
    symbol: str,
    kind: ForcedClosing,
    now_ns: int,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
) -> Order:
    """Close a position, or `quantity` of it, at `price` (the best of the book where not said).

    In hedge mode the larger position. A liquidation first cancels the symbol's orders, and
    afterwards takes the liquidation fee for the insurance fund, which pays for a wallet that would
    end below zero. Raises -2022 without a position and -4131 without a price.
    """
    position = _largest_position(account, symbol)
    if position is None:
        raise RefusalError(-2022)
    side = "SELL" if position.quantity > 0 else "BUY"
    if price is None:
        price = best_counter_price(state.books[symbol], side) or state.mark_of(symbol)
    if price is None:
        raise RefusalError(-4131)
    if kind is ForcedClosing.LIQUIDATION:
        for resting in account.open_orders_of(symbol):
            state.end_order(account, resting, CANCELED, now_ns)
    held = abs(position.quantity)
    closing = held if quantity is None else min(quantity, held)
    order = place_closing(state, account, position, kind, closing, price, now_ns)
    book_closing(state, account, order, [Match(price, closing)], now_ns)
    if kind is ForcedClosing.LIQUIDATION:
        announce(state, order, now_ns)
        _take_fee(state, account, order, now_ns)
    return order


def _largest_position(account: Account, symbol: str) -> Position | None:
    held = [one for one in account.positions.values() if one.symbol == symbol and one.quantity]
    return max(held, key=lambda one: abs(one.quantity), default=None)


def _take_fee(state: VenueState, account: Account, order: Order, now_ns: int) -> None:
    """Take the liquidation fee, less what a customer without positions does not have any more."""
    fee = round_money(order.quote * state.instruments[order.symbol].liquidation_fee)
    if not account.has_position():
        fee = min(fee, max(ZERO, state.wallet_of(account)))
    insurance.take_from_wallet(state, account, order.symbol, fee, now_ns)
    insurance.clear_deficit(state, account, now_ns)


def owner_trades(
    state: VenueState,
    account: Account,
    symbol: str,
    side: str,
    quantity: Decimal,
    now_ns: int,
    *,
    price: Decimal | None = None,
) -> Order:
    """The owner places an order by hand, MARKET or (with a price) LIMIT; raises its refusal.

    In hedge mode it opens: a BUY for LONG, a SELL for SHORT.
    """
    position_side = BOTH
    if account.is_hedge_mode:
        position_side = LONG if side == "BUY" else SHORT
    request = OrderRequest(
        symbol=symbol,
        side=side,
        order_type="MARKET" if price is None else "LIMIT",
        time_in_force="GTC",
        quantity=quantity,
        price=price or ZERO,
        reduce_only=False,
        client_order_id=f"web_{state.next_sequence('owner')}",
        self_trade_prevention="EXPIRE_MAKER",
        good_till_ms=0,
        wants_result=False,
        position_side=position_side,
    )
    allowed = judge_order(state, account, request)
    order, _ = match_order(state, account, request, allowed, now_ns)
    account.counts.book(now_ns)
    return order
