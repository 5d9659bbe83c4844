"""The sides a position may have: BOTH in one-way mode, LONG and SHORT beside each other in hedge.

In hedge mode an order names the position it is for, so that its direction says whether it opens or
closes (`Order.is_reducing`): LONG and SELL, SHORT and BUY close, and never turn a position around.
"""

from __future__ import annotations

from typing import Final

BOTH: Final = "BOTH"
LONG: Final = "LONG"
SHORT: Final = "SHORT"

ONE_WAY_SIDES: Final = (BOTH,)
HEDGE_SIDES: Final = (BOTH, LONG, SHORT)
"""What a list of all positions of a symbol shows, in this order."""


def is_closing(position_side: str, sign: int) -> bool:
    """Whether an order (`sign` +1 BUY, -1 SELL) can do nothing but close a LONG or SHORT position.

    Always false in one-way mode, where only `reduceOnly` says so.
    """
    return sign < 0 if position_side == LONG else sign > 0 and position_side == SHORT
