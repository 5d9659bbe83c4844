"""The one way in which the venue closes a customer's position: an IOC order of its own.

Liquidation, deleveraging and settlement differ in who decides, and in the client order id that the
venue gives the order; the fills of all are CALCULATED.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import Final

from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Match, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState


class ForcedClosing(Enum):
    """Why the venue closes: used-up margin, a counterparty's bankruptcy, the contract's end."""

    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"


CALCULATED: Final = "CALCULATED"
"""What the event of a fill is called where the venue itself closes."""
AUTO_CLOSE_TYPES: Final = {
    ForcedClosing.LIQUIDATION: "LIQUIDATION",
    ForcedClosing.ADL: "ADL",
    ForcedClosing.SETTLEMENT: "",
}
"""What forceOrders calls it; it does not list settlements."""


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
    order = Order(
        order_id=order_id,
        account_id=account.account_id,
        symbol=position.symbol,
        client_order_id=_client_order_id(kind, now_ns // NS_PER_MS, order_id),
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
        auto_close_type=AUTO_CLOSE_TYPES[kind],
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
            account, order, match, now_ns, is_maker=False, execution=CALCULATED,
            commission_rate=ZERO if is_free else None,
        )  # fmt: skip


def _client_order_id(kind: ForcedClosing, now_ms: int, order_id: int) -> str:
    """The venue's own name for the order; it is 36 characters at most, like a customer's."""
    match kind:
        case ForcedClosing.LIQUIDATION:
            return f"autoclose-{now_ms}{order_id % 10**6:06d}"
        case ForcedClosing.ADL:
            return "adl_autoclose"
        case ForcedClosing.SETTLEMENT:
            return f"settlement_autoclose-{now_ms}{order_id % 100:02d}"
