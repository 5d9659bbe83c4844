"""What the venue says of the account, in one look. Pure."""

from decimal import Decimal

import msgspec

from libs.common.model.order import Side
from libs.common.venue.payloads import PositionRisk, UserTrade, VenueAlgoOrder, VenueOrder
from libs.common.venue.settings_payloads import AccountConfig, SymbolSettings
from services.reconciler.ledger import IncomeRow

#: Conditional orders that end a loss; the others take a profit, or are of a kind we do not know.
_STOP_TYPES = frozenset({"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"})


class VenueOrderSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is open at the venue; a price of 0 is none."""

    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal = Decimal(0)


class VenueAlgoOrderSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order that waits at the venue.

    Attributes:
        closes_all: it closes whatever the position is when it triggers.
    """

    client_algo_id: str
    symbol: str
    side: str
    quantity: Decimal
    is_stop: bool
    closes_all: bool = False

    def covers(self, symbol: str, held: Decimal) -> Decimal:
        """Base units of a position (signed) that it would end as a stop."""
        exit_side = Side.SELL if held > 0 else Side.BUY
        if not self.is_stop or self.symbol != symbol or self.side != exit_side:
            return Decimal(0)
        return abs(held) if self.closes_all else self.quantity


class TradeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An execution the venue tells of; ``at_ns`` is when it was matched."""

    trade_id: int
    at_ns: int
    side: str
    quantity: Decimal


class SettingsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The account's settings: leverage and margin type by symbol, and the mode of its positions."""

    symbols: dict[str, tuple[int, str]]
    is_hedge_mode: bool


class IncomeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's list of income between two times (market time, inclusive), whole."""

    rows: tuple[IncomeRow, ...]
    since_ns: int
    until_ns: int


class VenueSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of the account.

    Attributes:
        positions: signed base units by symbol; in hedge mode both sides together.
        wallet_balance: quote currency; ``None`` if the venue does not list the asset.
        algo_orders, settings: ``None`` if this look did not ask.
        trades: the newest of each symbol that was asked for, oldest first.
        income: ``None`` if this look did not ask.
    """

    positions: dict[str, Decimal]
    orders: tuple[VenueOrderSeen, ...]
    wallet_balance: Decimal | None
    algo_orders: tuple[VenueAlgoOrderSeen, ...] | None = None
    trades: dict[str, tuple[TradeSeen, ...]] = {}
    settings: SettingsSeen | None = None
    income: IncomeSeen | None = None


def positions_of(answer: list[PositionRisk]) -> dict[str, Decimal]:
    """Signed base units by symbol; what is flat is left out."""
    held: dict[str, Decimal] = {}
    for one in answer:
        held[one.symbol] = held.get(one.symbol, Decimal(0)) + one.quantity
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def orders_of(answer: list[VenueOrder]) -> tuple[VenueOrderSeen, ...]:
    """The open orders of an answer."""
    return tuple(
        VenueOrderSeen(
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=order.price,
        )
        for order in answer
    )


def algo_orders_of(answer: list[VenueAlgoOrder]) -> tuple[VenueAlgoOrderSeen, ...]:
    """The conditional orders of an answer."""
    return tuple(
        VenueAlgoOrderSeen(
            client_algo_id=order.client_algo_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            is_stop=order.order_type in _STOP_TYPES,
            closes_all=order.close_position,
        )
        for order in answer
    )


def trades_of(answer: list[UserTrade]) -> tuple[TradeSeen, ...]:
    """The executions of an answer."""
    return tuple(
        TradeSeen(
            trade_id=trade.trade_id,
            at_ns=trade.time_ms * 1_000_000,
            side=trade.side,
            quantity=trade.quantity,
        )
        for trade in answer
    )


def settings_of(account: AccountConfig, symbols: list[SymbolSettings]) -> SettingsSeen:
    """The settings of two answers."""
    return SettingsSeen(
        symbols={one.symbol: (one.leverage, one.margin_type.upper()) for one in symbols},
        is_hedge_mode=account.hedge_mode,
    )
