"""An order as a customer asks for it, read but not judged."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.paper_exchange.state.algo_orders import AlgoOrder


@dataclass(frozen=True)
class OrderRequest:
    """An order as its parameters describe it; a MARKET order has price zero.

    Attributes:
        origin: the conditional order it is born of, which was let in when it was placed.
    """

    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    client_order_id: str | None
    self_trade_prevention: str
    good_till_ms: int
    wants_result: bool
    origin: AlgoOrder | None = None
    position_side: str = "BOTH"
    price_match: str = "NONE"

    @property
    def is_market(self) -> bool:
        """Whether it takes whatever the book shows."""
        return self.order_type == "MARKET"

    @property
    def sign(self) -> int:
        """+1 for a BUY, -1 for a SELL."""
        return 1 if self.side == "BUY" else -1
