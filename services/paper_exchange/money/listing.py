"""Which symbols and positions a report lists, and the texts of what several reports say."""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account, PositionKey
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.margin import AccountMargin, PositionMargin
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.wire.decimal_text import figure, money, scaled
from services.paper_exchange.wire.parameters import Parameters

Body = dict[str, object]
_NOTHING = PositionMargin(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


def chosen_symbols(exchange: VenueState, parameters: Parameters) -> list[str]:
    """The symbol that the request names, else every symbol; raises -1121."""
    if "symbol" in parameters:
        return [instrument_of(exchange, parameters).symbol]
    return list(exchange.instruments)


def every_position(
    exchange: VenueState, account: Account, parameters: Parameters
) -> list[PositionKey]:
    """Open or not: BOTH of each chosen symbol, in hedge mode also LONG and SHORT."""
    return [
        (symbol, side)
        for symbol in chosen_symbols(exchange, parameters)
        for side in account.position_sides
    ]


def live_positions(
    exchange: VenueState, parameters: Parameters, margin: AccountMargin
) -> list[PositionKey]:
    """Those of the chosen symbols that are open or have an open order."""
    symbols = set(chosen_symbols(exchange, parameters))
    return [key for key in margin.positions if key[0] in symbols]


def part_of(margin: AccountMargin, key: PositionKey) -> PositionMargin:
    """The figures of a position; all zero for one without quantity and orders."""
    return margin.positions.get(key, _NOTHING)


def quantity_text(exchange: VenueState, symbol: str, quantity: Decimal) -> str:
    """A quantity with the decimals of its symbol."""
    return scaled(quantity, exchange.instruments[symbol].quantity_precision)


def figure_or_zero(value: Decimal) -> str:
    """A derived figure, `0` for none."""
    return figure(value) if value else "0"


def money_or_zero(value: Decimal) -> str:
    """An amount of the ledger, `0` for none."""
    return money(value) if value else "0"
