"""What moved positions and wallet, with its cause, as the journal tells it. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from libs.common.messages.audit_events import PositionAdopted
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived, JournalRecord
from libs.common.model.ids import is_ours
from libs.common.model.money import plain
from libs.common.model.pnl import IncomeKind, kind_of_income
from services.execution.fold_pnl import BY_HAND
from services.execution.forced import forced_kind
from services.execution.state import OrderState, State

_INCOME_CAUSES = {
    IncomeKind.FUNDING: "funding",
    IncomeKind.LIQUIDATION: "liquidation",
    IncomeKind.TRANSFER: "transfer",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes to tell; everything is told where nothing is said.

    Attributes:
        symbol: of this one only, and not of what concerns none.
        strategy_id: of this one only.
        cause: with this one only.
        since_ns, until_ns: venue times, the first included and the last not.
    """

    symbol: str = ""
    strategy_id: str = ""
    cause: str = ""
    since_ns: int = 0
    until_ns: int | None = None

    def has(self, change: dict[str, Any]) -> bool:
        """Whether a change is one of them."""
        asked = ("symbol", "strategy_id", "cause")
        is_named = all(getattr(self, name) in ("", change[name]) for name in asked)
        at_ns = change["at_ns"]
        is_within = self.since_ns <= at_ns and (self.until_ns is None or at_ns < self.until_ns)
        return is_named and is_within


ALL = Wanted()


def changes_of(
    record: JournalRecord, state: State, wanted: Wanted = ALL
) -> Iterator[dict[str, Any]]:
    """The changes that one record tells, the newest first, each with its place in the record.

    Args:
        state: knows the orders of fills that were read from a list that does not name them.
    """
    for index in range(len(record.events) - 1, -1, -1):
        event = record.events[index]
        match event:
            case FillReceived():
                told = _fill(event, state)
            case IncomeReceived():
                told = _income(event)
            case PositionAdopted():
                told = _adoption(event, state)
            case _:
                continue
        place = {"journal_number": record.number, "journal_index": index, "symbol": event.symbol}
        change = {**place, **told}
        if wanted.has(change):
            yield change


def cause_of_fill(event: FillReceived, state: State) -> str:
    """``fill`` of an order of ours, ``manual``, or why the venue closed by force.

    ``unknown`` where the trade list told of it and the order is not remembered any more.
    """
    kind = forced_kind(event.client_order_id)
    if kind is not None:
        return kind
    if event.client_order_id:
        return "fill" if is_ours(event.client_order_id) else "manual"
    if _order_of(event, state) is not None:
        return "fill"
    is_stop = state.algo_order_of(event.symbol, event.venue_order_id, "") is not None
    return "fill" if is_stop else "unknown"


def strategy_of_fill(event: FillReceived, state: State) -> str | None:
    """Whose it was, empty by hand; ``None`` where that is not known (any more).

    What was not known when it was journaled may have turned out since then.
    """
    if event.strategy_id is not None:
        return event.strategy_id
    order = _order_of(event, state)
    return None if order is None else order.intent.strategy_id


def _order_of(event: FillReceived, state: State) -> OrderState | None:
    names = (event.symbol, event.venue_order_id)
    for order in state.orders.values():
        if names == (order.symbol, order.venue_order_id):
            return order
    return None


def _fill(event: FillReceived, state: State) -> dict[str, Any]:
    return {
        "at_ns": event.ts_trade_ns,
        "cause": cause_of_fill(event, state),
        "strategy_id": strategy_of_fill(event, state),
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
        "strategy_id": event.strategy_id,
        "quantity": "0",
        "price": "",
        "amount": plain(event.amount),
        "asset": event.asset,
        "commission": {},
        "income_type": event.income_type,
        "transaction_id": event.transaction_id,
    }


def _adoption(event: PositionAdopted, state: State) -> dict[str, Any]:
    """A change that no trade explains: nobody's, at the entry price that the venue states."""
    before = event.quantity_before
    return {
        "at_ns": event.observed_at_ns,
        "cause": "adopted",
        "strategy_id": BY_HAND,
        "quantity": None if before is None else plain(event.quantity - before),
        "quantity_after": plain(event.quantity),
        "price": plain(event.entry_price) if event.quantity else "",
        "amount": "0",
        "asset": state.quote_asset,
        "commission": {},
        "actor": event.actor,
        "why": event.why,
    }
