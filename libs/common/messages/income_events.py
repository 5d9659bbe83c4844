"""Changes of the wallet that no fill tells: funding, liquidation fees, transfers."""

from decimal import Decimal

from libs.common.messages.event import Event


class IncomeReceived(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue's list of income has a row that is not about a fill. A repeat changes nothing.

    Attributes:
        income_type: the venue's own word for the cause.
        symbol: empty where it concerns none.
        amount: received where positive.
        transaction_id: unique by account and type.
        ts_income_ns: when the venue booked it.
        strategy_id: who held the position, empty by hand; ``None`` where it concerns none.
    """

    income_type: str
    symbol: str
    asset: str
    amount: Decimal
    transaction_id: str
    ts_income_ns: int
    strategy_id: str | None = None

    @property
    def key(self) -> str:
        """What tells it from every other row."""
        return f"{self.income_type}:{self.transaction_id}:{self.symbol}:{self.asset}"
