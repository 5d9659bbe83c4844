"""What moved positions and wallet, with its cause, as the journal tells it. Pure."""

from collections.abc import Iterator
from typing import Any

from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived, JournalRecord
from libs.common.model.ids import is_ours
from libs.common.model.money import plain
from libs.common.model.pnl import IncomeKind, kind_of_income
from services.execution.forced import forced_kind
from services.execution.state import State

_INCOME_CAUSES = {
    IncomeKind.FUNDING: "funding",
    IncomeKind.LIQUIDATION: "liquidation",
    IncomeKind.TRANSFER: "transfer",
}


def changes_of(record: JournalRecord, state: State, symbol: str = "") -> Iterator[dict[str, Any]]:
    """The changes that one record tells, the newest first.

    Args:
        state: knows the orders of fills that were read from a list that does not name them.
        symbol: tell of this one only; empty for all, and for what concerns none.
    """
    for event in reversed(record.events):
        if not isinstance(event, FillReceived | IncomeReceived):
            continue
        if symbol and event.symbol != symbol:
            continue
        told = _fill(event, state) if isinstance(event, FillReceived) else _income(event)
        yield {"journal_number": record.number, "symbol": event.symbol, **told}


def cause_of_fill(event: FillReceived, state: State) -> str:
    """``fill`` of an order of ours, ``manual``, or why the venue closed by force.

    ``unknown`` where the trade list told of it and the order is not remembered any more.
    """
    kind = forced_kind(event.client_order_id)
    if kind is not None:
        return kind
    if event.client_order_id:
        return "fill" if is_ours(event.client_order_id) else "manual"
    names = (event.symbol, event.venue_order_id)
    known = {(order.symbol, order.venue_order_id) for order in state.orders.values()}
    known |= {(algo.symbol, algo.venue_order_id) for algo in state.algo_orders.values()}
    return "fill" if names in known else "unknown"


def _fill(event: FillReceived, state: State) -> dict[str, Any]:
    return {
        "at_ns": event.ts_trade_ns,
        "cause": cause_of_fill(event, state),
        "quantity": plain(event.quantity * event.side.sign),
        "price": plain(event.price),
        "amount": plain(event.venue_realized_pnl),
        "asset": state.quote_asset,
        "commission": {event.commission_asset: plain(event.commission)},
        "client_order_id": event.client_order_id,
        "venue_order_id": event.venue_order_id,
        "trade_id": event.trade_id,
    }


def _income(event: IncomeReceived) -> dict[str, Any]:
    kind = kind_of_income(event.income_type)
    return {
        "at_ns": event.ts_income_ns,
        "cause": _INCOME_CAUSES.get(kind, event.income_type.lower()),
        "quantity": "0",
        "price": "",
        "amount": plain(event.amount),
        "asset": event.asset,
        "commission": {},
        "income_type": event.income_type,
        "transaction_id": event.transaction_id,
    }
