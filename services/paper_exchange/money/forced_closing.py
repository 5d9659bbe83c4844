"""The one way in which the venue closes a customer's position: an IOC order of its own.

Liquidation and deleveraging differ in who decides, and in the client order id that the venue gives
the order; the fills of both are CALCULATED.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum

from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Match, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState

LIQUIDATION_PREFIX = "autoclose-"
ADL_CLIENT_ORDER_ID = "adl_autoclose"


class ForcedClosing(Enum):
    """Who closes: the liquidation engine, or a counterparty's bankruptcy (auto-deleveraging)."""

    LIQUIDATION = "liquidation"
    ADL = "adl"

    @property
    def auto_close_type(self) -> str:
        """What forceOrders calls it."""
        return self.name


def place_closing(
    state: VenueState,
    account: Account,
    position: Position,
    kind: ForcedClosing,
    quantity: Decimal,
    price: Decimal,
    now_ns: int,
) -> Order:
    """Take in the order that closes `quantity` of a position at `price` or better."""
    order_id = state.next_sequence("order")
    client_order_id = ADL_CLIENT_ORDER_ID
    if kind is ForcedClosing.LIQUIDATION:
        client_order_id = f"{LIQUIDATION_PREFIX}{now_ns // NS_PER_MS}{order_id:06d}"
    order = Order(
        order_id=order_id,
        account_id=account.account_id,
        symbol=position.symbol,
        client_order_id=client_order_id,
        side="SELL" if position.quantity > 0 else "BUY",
        order_type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=price,
        reduce_only=False,
        self_trade_prevention="NONE",
        good_till_ms=0,
        created_ns=now_ns,
        updated_ns=now_ns,
        position_side=position.position_side,
        auto_close_type=kind.auto_close_type,
    )
    state.accept(account, order)
    return order


def book_closing(
    state: VenueState,
    account: Account,
    order: Order,
    matches: Iterable[Match],
    now_ns: int,
    *,
    is_free: bool = False,
) -> None:
    """Book fills of such an order; what no market took part in `is_free` of commission."""
    for match in matches:
        state.book_fill(
            account, order, match, now_ns, is_maker=False, execution="CALCULATED",
            commission_rate=ZERO if is_free else None,
        )  # fmt: skip
