"""Decisions on what the venue says: answers, updates, fills, balances, its wish to be left alone.

Pure, like core.py. A word that is old news, or that contradicts what is known to have ended,
changes nothing.
"""

import msgspec

from libs.common.messages.guard_events import VenueLatched
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import (
    BalanceObserved,
    FillReceived,
    OrderAnswered,
    OrderBecameUnknown,
    OrderForgotten,
    OrderNotPlaced,
    OrderRejected,
    OrderResigned,
    OrderUpdated,
)
from libs.common.model.order import OrderStatus, may_follow
from services.execution.config import ExecutionConfig
from services.execution.consequences import (
    Hold,
    after_failure,
    after_margin_refusal,
)
from services.execution.core import NOTHING, Decision
from services.execution.fold import VENUE_MARGIN_REASON
from services.execution.fold_pnl import has_income, holder_of, told_strategies
from services.execution.question import NS_PER_MS
from services.execution.state import OrderState, State, ended_for_nothing

Answer = OrderAnswered | OrderRejected | OrderBecameUnknown | OrderNotPlaced


def decide_answer(
    limits: ExecutionConfig,
    state: State,
    answer: Answer,
    now_ns: int,
    *,
    latch: VenueLatched | None = None,
    is_failure: bool = True,
) -> Decision:
    """Record the venue's answer to an order, and what follows from it, in one append.

    Args:
        latch: the venue wants to be left alone; recorded whatever became of the order.
        is_failure: false where we ourselves stopped the order at the door.
    """
    latches = decide_latch(state, latch).events if latch is not None else ()
    order = state.orders.get(answer.client_order_id)
    if order is None:
        return Decision(events=latches)
    if isinstance(answer, OrderAnswered):
        # Kept even when the user stream was faster: it carries the times the request took.
        return Decision(
            events=(answer, *_after_end(limits, state, order, answer, now_ns), *latches)
        )
    status = _STATUS[type(answer)]
    if order.status is status or not may_follow(order.status, status):
        return Decision(events=latches)
    if isinstance(answer, OrderBecameUnknown) or not is_failure:
        return Decision(events=(answer, *latches))
    holds = after_failure(limits, state, order, now_ns, _cause(answer))
    if _cause_is_margin(answer) and not order.reduce_only:
        holds = (*holds, *after_margin_refusal(limits, state, order.symbol, now_ns))
    return Decision(events=(answer, *holds, *latches))


_STATUS = {
    OrderRejected: OrderStatus.REJECTED,
    OrderNotPlaced: OrderStatus.NOT_PLACED,
    OrderBecameUnknown: OrderStatus.UNKNOWN,
}


def _cause_is_margin(answer: OrderRejected | OrderNotPlaced) -> bool:
    return isinstance(answer, OrderRejected) and answer.reason == VENUE_MARGIN_REASON


def _cause(answer: OrderRejected | OrderNotPlaced) -> str:
    if isinstance(answer, OrderRejected):
        return f"an order was rejected: {answer.reason} ({answer.code})"
    return "an order was not placed"


def decide_latch(state: State, latch: VenueLatched) -> Decision:
    """Record that the venue wants to be left alone, if that is news."""
    if latch.until_ns <= state.latches.get(latch.kind, 0):
        return NOTHING
    return Decision(events=(latch,))


def decide_resign(state: State, resigned: OrderResigned) -> Decision:
    """Record a new timestamp for an order whose first one the venue refused; once per order."""
    order = state.orders.get(resigned.client_order_id)
    if order is None or order.is_resigned or order.status is not OrderStatus.RECORDED:
        return NOTHING
    return Decision(events=(resigned,))


def _after_end(
    limits: ExecutionConfig,
    state: State,
    order: OrderState,
    told: OrderAnswered | OrderUpdated,
    now_ns: int,
) -> tuple[Hold, ...]:
    """The hold owed where the venue ended an order unfilled, whoever is the first to tell."""
    is_news = told.status is not order.status and may_follow(order.status, told.status)
    if not is_news or not ended_for_nothing(order, told.status, told.cumulative_quantity):
        return ()
    return after_failure(limits, state, order, now_ns, f"an order ended unfilled: {told.status}")


def decide_update(
    limits: ExecutionConfig, state: State, update: OrderUpdated, now_ns: int
) -> Decision:
    """Record what the user stream or a query says of one of our orders, if it is news."""
    order = state.orders.get(update.client_order_id)
    if order is None:
        return NOTHING
    news = (
        update.status is not order.status and may_follow(order.status, update.status)
    ) or update.cumulative_quantity > order.cumulative_quantity
    if not news:
        return NOTHING
    return Decision(events=(update, *_after_end(limits, state, order, update, now_ns)))


def decide_forgotten(state: State, forgotten: OrderForgotten) -> Decision:
    """Record the end of an order that the venue knows no more, unless its end is known."""
    order = state.orders.get(forgotten.client_order_id)
    is_open = order is not None and not order.status.is_terminal and not order.is_in_doubt
    return Decision(events=(forgotten,)) if is_open else NOTHING


def decide_fills(state: State, fills: list[FillReceived]) -> Decision:
    """Record the fills that are not in the journal yet, each with our order's id where it is ours.

    The REST trade list does not name client order ids; the venue's order id finds them.
    """
    ours = {
        order.venue_order_id: order.client_order_id
        for order in state.orders.values()
        if order.venue_order_id
    }
    fresh: dict[tuple[str, int], FillReceived] = {}
    for fill in fills:
        if state.has_trade(fill.symbol, fill.trade_id):
            continue
        named = fill.client_order_id or ours.get(fill.venue_order_id, "")
        fresh[(fill.symbol, fill.trade_id)] = msgspec.structs.replace(fill, client_order_id=named)
    return Decision(events=tuple(told_strategies(state, fresh.values())))


def decide_income(state: State, rows: list[IncomeReceived]) -> Decision:
    """Record the rows of income that are not in the journal yet."""
    fresh = {
        row.key: msgspec.structs.replace(
            row,
            strategy_id=holder_of(state, row.symbol, row.ts_income_ns) if row.symbol else None,
        )
        for row in rows
        if not has_income(state, row)
    }
    return Decision(events=tuple(fresh.values()))


def decide_balance(
    limits: ExecutionConfig, state: State, balance: BalanceObserved, now_ns: int
) -> Decision:
    """Record a statement of the balance, unless a newer one is known.

    One that is known from far in the future is none: our clock was wrong then, or it is now.
    """
    if balance.available_balance is None:
        changed = balance.wallet_balance != state.wallet_balance
        return Decision(events=(balance,)) if changed else NOTHING
    is_possible = state.balance_at_ns <= now_ns + limits.account_age_ms_max * NS_PER_MS
    if balance.observed_at_ns <= state.balance_at_ns and is_possible:
        return NOTHING
    return Decision(events=(balance,))
