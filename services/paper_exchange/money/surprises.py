"""What happens to a customer without the client: liquidation, deleveraging, the owner's hand.

Pure functions on the state of the venue, for scripts over HTTP and for simulations. The venue's own
orders carry the client order ids that the venue gives them, and their fills are CALCULATED.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.ledger import INSURANCE, ZERO, round_money, transfer_postings
from services.paper_exchange.state.orders import CANCELED, Match, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.matching import best_counter_price
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.trading.placement import judge_order, match_order
from services.paper_exchange.wire.refusals import RefusalError


class ForcedClosing(Enum):
    """Who closes: the liquidation engine, or a counterparty's bankruptcy (auto-deleveraging)."""

    LIQUIDATION = "liquidation"
    ADL = "adl"


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

    A liquidation first cancels the symbol's orders, and afterwards takes the liquidation fee for
    the insurance fund, which pays for a wallet that would end below zero. Raises -2022 without a
    position and -4131 without a price.
    """
    held = account.position(symbol).quantity
    if not held:
        raise RefusalError(-2022)
    side = "SELL" if held > 0 else "BUY"
    if price is None:
        price = best_counter_price(state.books[symbol], side) or state.mark_of(symbol)
    if price is None:
        raise RefusalError(-4131)
    if kind is ForcedClosing.LIQUIDATION:
        for resting in account.open_orders_of(symbol):
            state.end_order(account, resting, CANCELED, now_ns)
    closing = abs(held) if quantity is None else min(quantity, abs(held))
    order = _forced_order(state, account, symbol, side, kind, closing, price, now_ns)
    state.accept(account, order)
    state.book_fill(
        account, order, Match(price, closing), now_ns, is_maker=False, execution="CALCULATED"
    )
    if kind is ForcedClosing.LIQUIDATION:
        fee = closing * price * state.instruments[symbol].liquidation_fee
        _settle_with_insurance(state, account, symbol, round_money(fee), now_ns)
    return order


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
    """The owner places an order by hand, MARKET or (with a price) LIMIT; raises its refusal."""
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
    )
    allowed = judge_order(state, account, request)
    order, _ = match_order(state, account, request, allowed, now_ns)
    account.counts.book(now_ns)
    return order


def _forced_order(
    state: VenueState,
    account: Account,
    symbol: str,
    side: str,
    kind: ForcedClosing,
    quantity: Decimal,
    price: Decimal,
    now_ns: int,
) -> Order:
    order_id = state.next_sequence("order")
    client_order_id = "adl_autoclose"
    if kind is ForcedClosing.LIQUIDATION:
        client_order_id = f"autoclose-{now_ns // NS_PER_MS}{order_id:06d}"
    return Order(
        order_id=order_id,
        account_id=account.account_id,
        symbol=symbol,
        client_order_id=client_order_id,
        side=side,
        order_type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=price,
        reduce_only=False,
        self_trade_prevention="NONE",
        good_till_ms=0,
        created_ns=now_ns,
        updated_ns=now_ns,
    )


def _settle_with_insurance(
    state: VenueState, account: Account, symbol: str, fee: Decimal, now_ns: int
) -> None:
    """Move the fee to the insurance fund, less what the wallet does not have any more."""
    left = state.wallet_of(account) - fee
    is_flat = all(not position.quantity for position in account.positions.values())
    paid = fee + left if is_flat and left < 0 else fee
    if not paid:
        return
    state.ledger.post(transfer_postings(account.account_id, INSURANCE, paid))
    state.add_income(account, "INSURANCE_CLEAR", symbol, -paid, "INSURANCE_CLEAR", "", now_ns)
    state.tell_account(account, "INSURANCE_CLEAR", now_ns, balance_change=-paid)
