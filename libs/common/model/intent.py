"""Intents: what a strategy wants, before risk has spoken."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.model.order import OrderType, Side, TimeInForce


class Purpose(StrEnum):
    """Whether an intent takes new risk or gives some back."""

    ENTER = "ENTER"
    EXIT = "EXIT"


class Intent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wish of one strategy. Its id is derived from its cause, so it can be repeated safely.

    Attributes:
        quantity: base units; ``None`` lets risk size it (an EXIT then means the whole position).
        price: limit price; ``None`` for a market order.
        reference_price: the price the strategy decided on, to measure drift and slippage against.
        candle_id: the candle that caused it, or any other name of the cause.
        expires_at_ns: market time after which nobody may act on it.
        caused_wall_ns: wall time at which the cause was published; for latency figures only.
        good_till_ms: venue time at which a GTD order ends; ``None`` for every other.
        stop_price, target_price: where the entry's protective orders trigger.
        confidence: predicted probability between 0 and 1, where the strategy has one.
    """

    intent_id: str
    strategy_id: str
    parameter_hash: str
    symbol: str
    side: Side
    purpose: Purpose
    order_type: OrderType
    reference_price: Decimal
    candle_id: str
    created_at_ns: int
    expires_at_ns: int
    caused_wall_ns: int = 0
    model_hash: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    good_till_ms: int | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    confidence: Decimal | None = None

    @property
    def reduce_only(self) -> bool:
        """An exit may only bring the position toward zero."""
        return self.purpose is Purpose.EXIT
