"""The end of a contract: its orders are canceled and its positions closed at the mark price.

The venue's own orders are named `settlement_autoclose-`, and their fills are CALCULATED.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.algo_orders import AlgoStatus
from services.paper_exchange.state.orders import CANCELED, Match, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState

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
    order_id = state.next_sequence("order")
    quantity = abs(position.quantity)
    order = Order(
        order_id=order_id,
        account_id=account.account_id,
        symbol=position.symbol,
        client_order_id=f"settlement_autoclose-{now_ns // NS_PER_MS}{order_id:06d}"[:36],
        side="SELL" if position.quantity > 0 else "BUY",
        order_type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=mark,
        reduce_only=False,
        self_trade_prevention="NONE",
        good_till_ms=0,
        created_ns=now_ns,
        updated_ns=now_ns,
        position_side=position.position_side,
    )
    state.accept(account, order)
    state.book_fill(
        account, order, Match(mark, quantity), now_ns, is_maker=False, execution="CALCULATED"
    )
