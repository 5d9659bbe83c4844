"""Intents: what a strategy wants, before risk has spoken."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.model.money import is_reckonable, plain
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

    def protection_faults(self, price: Decimal) -> tuple[str, ...]:
        """What is wrong with the stop and the target of an entry made at a price; empty if nothing.

        A stop lies where the entry loses, a target where it gains; an exit carries neither. Prices
        that are no numbers are faults too.
        """
        asked = {"stop_price": self.stop_price, "target_price": self.target_price}
        given = {name: wanted for name, wanted in asked.items() if wanted is not None}
        if self.purpose is Purpose.EXIT:
            return tuple(f"an exit carries no {name}" for name in given)
        faults = []
        for name, wanted in given.items():
            sign = self.side.sign if name == "target_price" else -self.side.sign
            if not (is_reckonable(wanted) and is_reckonable(price)):
                faults.append(f"{name} or the price is no number")
            elif wanted * sign <= price * sign:
                where = "above" if sign > 0 else "below"
                faults.append(f"{name} {plain(wanted)} is not {where} {plain(price)}")
        return tuple(faults)
