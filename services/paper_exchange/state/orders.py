"""An order at the venue and its fills.

These are kept by the hundred thousand and refer to nothing that refers back: the garbage collector
is not to walk them (`gc=False`), or its pauses would grow with the history.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from services.paper_exchange.state.algo_orders import CONTRACT_PRICE, AlgoOrder
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.position_sides import BOTH, is_closing

NEW: Final = "NEW"
PARTIALLY_FILLED: Final = "PARTIALLY_FILLED"
FILLED: Final = "FILLED"
CANCELED: Final = "CANCELED"
EXPIRED: Final = "EXPIRED"
EXPIRED_IN_MATCH: Final = "EXPIRED_IN_MATCH"
"""Ended by self-trade prevention; the event that says so is still an EXPIRED one."""

OPEN_STATUSES: Final = frozenset({NEW, PARTIALLY_FILLED})
SIDES: Final = frozenset({"BUY", "SELL"})
POST_ONLY: Final = frozenset({"GTX", "RPI"})
"""Times in force of orders that never take."""


class Match(NamedTuple):
    """One execution; `trade_id` is given where both sides are ours, and both are to be told it."""

    price: Decimal
    quantity: Decimal
    trade_id: int = 0


class Amendment(NamedTuple):
    """One modification of an order; `modify_id` is the customer's own, if any.

    `number` counts those of the order, `amendment_id` all at the venue.
    """

    amendment_id: int
    time_ns: int
    price_before: Decimal
    price_after: Decimal
    quantity_before: Decimal
    quantity_after: Decimal
    number: int
    modify_id: int | None


class Order(msgspec.Struct, gc=False, eq=False):
    """One order; prices in quote currency, quantities in base units, times in ns of market time.

    Attributes:
        queue_ahead: quantity resting before this order at its price, modeled from the level's size
            when the order came to rest.
        origin: the conditional order that it was born of, if any.
        amendments: the modifications of its price or quantity, eldest first.
        modify_id: what the customer called the latest modification, if anything.
        price_match: the place in the book that the price was taken from.
        sign: +1 for a BUY, -1 for a SELL.
        is_reducing: whether it may only make a position smaller: because it was asked to, or
            because it closes one of hedge mode.
        auto_close_type: LIQUIDATION or ADL where the venue closes a position with it.
    """

    order_id: int
    account_id: str
    symbol: str
    client_order_id: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    self_trade_prevention: str
    good_till_ms: int
    created_ns: int
    updated_ns: int
    status: str = NEW
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    queue_ahead: Decimal = ZERO
    origin: AlgoOrder | None = None
    amendments: tuple[Amendment, ...] = ()
    modify_id: int | None = None
    position_side: str = BOTH
    price_match: str = "NONE"
    auto_close_type: str = ""
    sign: int = 0
    is_reducing: bool = False

    def __post_init__(self) -> None:
        self.sign = 1 if self.side == "BUY" else -1
        self.is_reducing = self.reduce_only or is_closing(self.position_side, self.sign)

    @property
    def original_type(self) -> str:
        """The type that the customer asked for: STOP_MARKET where a stop made this MARKET order."""
        return self.order_type if self.origin is None else self.origin.order_type

    @property
    def stop_price(self) -> Decimal:
        """The price that triggered it; zero for an order that nothing triggered."""
        return ZERO if self.origin is None else self.origin.trigger_price

    @property
    def working_type(self) -> str:
        """Which price triggered it."""
        return CONTRACT_PRICE if self.origin is None else self.origin.working_type

    @property
    def close_position(self) -> bool:
        """Whether it was to close whatever was open."""
        return self.origin is not None and self.origin.close_position

    @property
    def price_protect(self) -> bool:
        """Whether it was to be triggered only near the mark price."""
        return self.origin is not None and self.origin.price_protect

    @property
    def is_open(self) -> bool:
        """Whether the order may still fill."""
        return self.status in OPEN_STATUSES

    @property
    def leaves(self) -> Decimal:
        """The quantity still to be filled."""
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        """Quote per base over all fills; zero without one."""
        return self.quote / self.executed if self.executed else ZERO

    def fill(self, quantity: Decimal, price: Decimal, now_ns: int) -> None:
        """Book one fill; asserts that the order is open and not overfilled."""
        assert self.is_open, f"fill of a closed order {self.order_id}"
        assert ZERO < quantity <= self.leaves, f"overfill of order {self.order_id}"
        self.executed += quantity
        self.quote += quantity * price
        self.status = FILLED if self.executed == self.quantity else PARTIALLY_FILLED
        self.updated_ns = now_ns

    def close(self, status: str, now_ns: int) -> None:
        """End an open order as CANCELED, EXPIRED or EXPIRED_IN_MATCH."""
        assert self.is_open, f"second end of order {self.order_id}"
        self.status = status
        self.updated_ns = now_ns


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One fill of a customer's order, as userTrades lists it."""

    trade_id: int
    order_id: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    realized: Decimal
    commission: Decimal
    is_maker: bool
    time_ns: int
    position_side: str = BOTH


class Income(msgspec.Struct, frozen=True, gc=False):
    """One row of a customer's income: `amount` is signed, in the margin asset."""

    income_type: str
    symbol: str
    amount: Decimal
    info: str
    transaction_id: int
    trade_id: str
    time_ns: int
