"""An instrument and its filters: what the venue will take for one symbol."""

import re
from decimal import Decimal

import msgspec

from libs.common.model.money import ZERO

#: Letters of any script: the venue lists symbols such as 币安人生USDT. Nothing that parts subjects.
SYMBOL_PATTERN = r"^\w{2,32}$"
_SYMBOL = re.compile(SYMBOL_PATTERN.strip("^$"))


def is_symbol(text: str) -> bool:
    """Whether a text may be a symbol: letters, digits and underscores, and no small letter."""
    return _SYMBOL.fullmatch(text) is not None and text == text.upper()


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one symbol, as exchangeInfo states them.

    A zero minimum, maximum or step means that the venue sets none. Prices are in quote currency,
    quantities in base units, notionals in quote currency.

    Attributes:
        price_multiplier_up: a BUY price may not exceed mark x this (PERCENT_PRICE).
        price_multiplier_down: a SELL price may not be below mark x this.
        market_take_bound: a market order fills only within mark x (1 +- this).
        orders_max: open orders allowed for the symbol and account (MAX_NUM_ORDERS).
    """

    symbol: str
    status: str
    price_precision: int
    quantity_precision: int
    price_tick: Decimal
    price_min: Decimal
    price_max: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_step: Decimal
    market_quantity_min: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    price_multiplier_up: Decimal = ZERO
    price_multiplier_down: Decimal = ZERO
    market_take_bound: Decimal = ZERO
    orders_max: int = 200

    @property
    def is_trading(self) -> bool:
        """Whether the venue says the symbol trades."""
        return self.status == "TRADING"
