"""A conditional (algo) order: what it waits for, and what became of it.

Until its price is reached it is no order at all: it ties up no margin, stands in no book and is
listed by no order endpoint. Then a normal order is born, which remembers it as its origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from services.paper_exchange.state.ledger import ZERO

STOP_TYPES: Final = frozenset({"STOP", "STOP_MARKET"})
PROFIT_TYPES: Final = frozenset({"TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
LIMIT_TYPES: Final = frozenset({"STOP", "TAKE_PROFIT"})
TRAILING: Final = "TRAILING_STOP_MARKET"
ALGO_TYPES: Final = STOP_TYPES | PROFIT_TYPES | {TRAILING}
"""Conditional types: since 2025-12-09 they live behind /fapi/v1/algoOrder."""

CONTRACT_PRICE: Final = "CONTRACT_PRICE"
MARK_PRICE: Final = "MARK_PRICE"
CLOSE_TIME_IN_FORCE: Final = "GTE_GTC"
"""What the venue makes of `closePosition`: good till the position ends."""


class AlgoStatus(StrEnum):
    """The life of a conditional order; all but the first three are ends.

    FINISHED: the order born of it filled or was canceled. REJECTED: the matching engine would not
    have it. EXPIRED: the venue withdrew it, because its date or its position came to an end.
    """

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


@dataclass(slots=True)
class AlgoOrder:
    """One conditional order; prices in quote currency, quantities in base units, times in ns.

    Attributes:
        callback_percent: how far a trailing stop lets the price come back, in percent.
        extreme: the best price a trailing stop has seen since it was activated; zero before.
        order_id: the order born of it; zero before.
        reject_reason: the refusal's text where the matching engine would not have it.
    """

    algo_id: int
    account_id: str
    symbol: str
    client_algo_id: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    working_type: str
    close_position: bool
    price_protect: bool
    reduce_only: bool
    self_trade_prevention: str
    good_till_ms: int
    created_ns: int
    updated_ns: int
    activate_price: Decimal = ZERO
    callback_percent: Decimal = ZERO
    extreme: Decimal = ZERO
    status: AlgoStatus = AlgoStatus.NEW
    triggered_ns: int = 0
    order_id: int = 0
    executed: Decimal = ZERO
    average_price: Decimal = ZERO
    reject_reason: str = ""
    position_side: str = "BOTH"
    price_match: str = "NONE"

    @property
    def is_waiting(self) -> bool:
        """Whether its price has not been reached yet."""
        return self.status is AlgoStatus.NEW

    @property
    def waits_for_rise(self) -> bool:
        """Whether a price at or above its trigger reaches it; meaningless for a trailing stop."""
        return (self.side == "BUY") == (self.order_type in STOP_TYPES)

    @property
    def ends_with_position(self) -> bool:
        """Whether it can only wait while there is a position to reduce."""
        return self.time_in_force == CLOSE_TIME_IN_FORCE

    @property
    def sign(self) -> int:
        """+1 for a BUY, -1 for a SELL."""
        return 1 if self.side == "BUY" else -1

    @property
    def born_type(self) -> str:
        """The type of the order that a trigger makes."""
        return "LIMIT" if self.order_type in LIMIT_TYPES else "MARKET"

    def is_reached_by(self, price: Decimal) -> bool:
        """Whether this price triggers it; a trailing stop follows the price on the way."""
        if self.order_type == TRAILING:
            return self._follow(price)
        return is_reached(self.side, self.order_type, self.trigger_price, price)

    def _follow(self, price: Decimal) -> bool:
        """Activate, follow the best price, and tell whether it has come back far enough."""
        if not self.extreme:
            is_active = not self.activate_price or self.sign * price <= (
                self.sign * self.activate_price
            )
            if not is_active:
                return False
            self.extreme = price
        best = min if self.side == "BUY" else max
        self.extreme = best(self.extreme, price)
        self.trigger_price = self.extreme * (1 + self.sign * self.callback_percent / 100)
        return self.sign * price >= self.sign * self.trigger_price and price != self.extreme


def is_reached(side: str, order_type: str, trigger: Decimal, price: Decimal) -> bool:
    """A stop waits for the price to turn against its side, a take-profit for the opposite."""
    is_rising = (side == "BUY") == (order_type in STOP_TYPES)
    return price >= trigger if is_rising else price <= trigger
