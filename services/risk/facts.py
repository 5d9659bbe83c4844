"""What risk knows at the moment of a decision: frozen, and honest about what it does not know."""

from decimal import Decimal

import msgspec

from libs.common.messages.account import AccountState, PositionView
from libs.common.messages.market import Mark, Quote
from libs.common.messages.vouching import HealthSeen
from libs.common.model.money import ZERO

#: A figure is below 10^18 and has at most 30 decimals; whatever else a message says is no figure.
MAGNITUDE_MAX = 17
DECIMALS_MAX = 30


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision on one symbol may look at; ``None`` is not known.

    Attributes:
        marks: the newest mark price of every symbol that has one.
        account_silence_ms: wall time since ``account`` was heard.
        health: what the feed last said of the symbol, and how long ago (wall time) it was heard.
        symbols_approved: symbols with an approved entry that may still be executed.
    """

    quote: Quote | None = None
    marks: dict[str, Mark] = {}
    account: AccountState | None = None
    account_silence_ms: int | None = None
    health: HealthSeen | None = None
    symbols_approved: frozenset[str] = frozenset()

    def position(self, symbol: str) -> PositionView | None:
        """The open position in a symbol; ``None`` if there is none or the account is not known."""
        if self.account is not None:
            for position in self.account.positions:
                if position.symbol == symbol and not position.quantity.is_zero():
                    return position
        return None

    def position_quantity(self, symbol: str) -> Decimal | None:
        """Signed base units held, zero when flat; ``None`` if not known."""
        if self.account is None:
            return None
        position = self.position(symbol)
        if position is None:
            return ZERO
        return position.quantity if is_number(position.quantity) else None


def daily_loss(account: AccountState | None) -> Decimal | None:
    """What the day has cost so far, in quote currency: fills with commission, funding, fees.

    Below zero where the day has gained; ``None`` where it is not known.
    """
    day = None if account is None else account.pnl_day
    if day is None:
        return None
    parts = (day.realized_pnl, day.commission, day.funding, day.liquidation, day.other)
    return -day.net if all(map(is_number, parts)) else None


def is_number(value: Decimal | None) -> bool:
    """Whether an amount is known, a number, and of a size that sizing can compute with exactly."""
    if value is None or not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return (value.is_zero() or value.adjusted() <= MAGNITUDE_MAX) and -DECIMALS_MAX <= int(
        exponent
    ) <= MAGNITUDE_MAX


def is_figure(value: Decimal | None) -> bool:
    """Whether a price or amount is such a number, and above zero."""
    return value is not None and is_number(value) and value > ZERO
