"""What a fill costs, as a share of its notional."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class CommissionRates(NamedTuple):
    """Rates of one customer; a negative one would be a rebate."""

    maker: Decimal
    taker: Decimal
    rpi: Decimal

    def rate_of(self, *, is_maker: bool, is_rpi: bool) -> Decimal:
        """The rate of one fill: retail price improvement orders, always makers, have their own."""
        if is_maker:
            return self.rpi if is_rpi else self.maker
        return self.taker
