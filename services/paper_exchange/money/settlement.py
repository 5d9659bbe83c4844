"""The end of a contract: its orders are canceled and its positions closed at the mark price.

The venue's own orders are named `settlement_autoclose-`, and their fills are CALCULATED.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.money.forced_closing import (
    ForcedClosing,
    book_closing,
    place_closing,
)
from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.algo_orders import AlgoStatus
from services.paper_exchange.state.orders import CANCELED, Match
from services.paper_exchange.state.venue_state import VenueState

SETTLED_STATUSES: Final = frozenset({"SETTLING", "CLOSE"})
"""Statuses in which nobody has an order or a position any more."""


def end_all_orders(state: VenueState, symbol: str, now_ns: int) -> None:
    """Cancel every regular and conditional order of a symbol."""
    for account in state.accounts.values():
        for order in account.open_orders_of(symbol):
            state.end_order(account, order, CANCELED, now_ns)
        for algo in list(account.waiting_algos.values()):
            if algo.symbol == symbol:
                state.end_algo(account, algo, AlgoStatus.CANCELED, now_ns)


def settle_symbol(state: VenueState, symbol: str, now_ns: int) -> int:
    """Cancel all orders of a symbol and close all its positions; returns how many positions."""
    end_all_orders(state, symbol, now_ns)
    mark = state.mark_of(symbol)
    closed = 0
    for account in state.accounts.values():
        for position in list(account.positions.values()):
            if position.symbol == symbol and position.quantity and mark is not None:
                _close(state, account, position, mark, now_ns)
                closed += 1
    return closed


def _close(
    state: VenueState, account: Account, position: Position, mark: Decimal, now_ns: int
) -> None:
    quantity = abs(position.quantity)
    order = place_closing(
        state, account, position, ForcedClosing.SETTLEMENT, quantity, mark, now_ns
    )
    book_closing(state, account, order, [Match(mark, quantity)], now_ns)
