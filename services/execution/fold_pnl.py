"""Folds fills and income into the book of profit and loss: whose it was, and on which day.

A fill belongs to the strategy whose order it fills. What the venue closes by force, what protects a
position, and what is paid for holding one belongs to whoever opened it; the rest was by hand.
"""

from decimal import Decimal

from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived
from libs.common.model.money import ZERO
from libs.common.model.pnl import NS_PER_DAY, kind_of_income, utc_day
from services.execution.forced import forced_kind
from services.execution.state import PROTECTION, OrderState, State, UnclaimedPnl

#: Who trades where no strategy of ours does.
BY_HAND = ""
#: Income is remembered this long after the newest row, to know it again.
INCOME_REMEMBERED_NS = 2 * NS_PER_DAY


def book_fill(state: State, event: FillReceived, held: Decimal, now_ns: int) -> None:
    """Book a fill, and remember who opened the position.

    Args:
        held: signed base units before the fill.
    """
    strategy_id = _strategy_of(state, event)
    if strategy_id is None:
        strategy_id = BY_HAND
        _remember_unclaimed(state, event, now_ns)
    if held * event.side.sign >= ZERO or event.quantity > abs(held):
        state.holders[event.symbol] = strategy_id
    row = state.pnl.row(_day(event.ts_trade_ns, now_ns), event.symbol, strategy_id)
    row.add_fill(1, event.venue_realized_pnl, event.commission_asset, event.commission)


def book_income(state: State, event: IncomeReceived, now_ns: int) -> None:
    """Book a row of the venue's list of income, once."""
    if has_income(state, event):
        return
    state.incomes[event.key] = event.ts_income_ns
    state.income_at_ns = max(state.income_at_ns, min(event.ts_income_ns, now_ns))
    oldest_ns = state.income_at_ns - INCOME_REMEMBERED_NS
    for key, at_ns in list(state.incomes.items()):
        if at_ns < oldest_ns:
            del state.incomes[key]
    holder = state.holders.get(event.symbol, BY_HAND)
    row = state.pnl.row(_day(event.ts_income_ns, now_ns), event.symbol, holder)
    row.add_income(kind_of_income(event.income_type), event.asset, event.amount)
    state.changed_at_ns = now_ns


def has_income(state: State, event: IncomeReceived) -> bool:
    """Whether the row was folded already; what is too old to be remembered counts as folded."""
    is_old = event.ts_income_ns < state.income_at_ns - INCOME_REMEMBERED_NS
    return is_old or event.key in state.incomes


def claim_pnl(state: State, order: OrderState, venue_order_id: int) -> None:
    """The fills of a venue order turn out to be those of ours: they were not by hand."""
    strategy_id = _owner(state, order)
    was_booked = _rebook(state, order.symbol, venue_order_id, strategy_id)
    if was_booked and not order.reduce_only and state.holders.get(order.symbol) == BY_HAND:
        state.holders[order.symbol] = strategy_id


def claim_stop_pnl(state: State, symbol: str, venue_order_id: int) -> None:
    """The same, for the order that a stop or target has become."""
    _rebook(state, symbol, venue_order_id, state.holders.get(symbol, BY_HAND))


def _rebook(state: State, symbol: str, venue_order_id: int, strategy_id: str) -> bool:
    booked = state.unclaimed_pnl.pop(f"{symbol}:{venue_order_id}", [])
    for item in booked:
        asset, commission = item.commission_asset, item.commission
        by_hand = state.pnl.row(item.day, symbol, BY_HAND)
        by_hand.add_fill(-item.fills, -item.realized_pnl, asset, -commission)
        ours = state.pnl.row(item.day, symbol, strategy_id)
        ours.add_fill(item.fills, item.realized_pnl, asset, commission)
    return bool(booked)


def _strategy_of(state: State, event: FillReceived) -> str | None:
    """Whose fill it is; ``None`` where no order of ours is known to have it."""
    order = state.orders.get(event.client_order_id)
    if order is not None:
        return _owner(state, order)
    if forced_kind(event.client_order_id) is not None:
        return state.holders.get(event.symbol, BY_HAND)
    if state.algo_order_of(event.symbol, event.venue_order_id, event.client_order_id) is not None:
        return state.holders.get(event.symbol, BY_HAND)
    return None


def _owner(state: State, order: OrderState) -> str:
    """The strategy of an order; what closes the unprotected serves whoever opened it."""
    strategy_id = order.intent.strategy_id
    return state.holders.get(order.symbol, BY_HAND) if strategy_id == PROTECTION else strategy_id


def _remember_unclaimed(state: State, event: FillReceived, now_ns: int) -> None:
    key = f"{event.symbol}:{event.venue_order_id}"
    booked = state.unclaimed_pnl.setdefault(key, [])
    day = _day(event.ts_trade_ns, now_ns)
    if not booked or (booked[-1].day, booked[-1].commission_asset) != (day, event.commission_asset):
        booked.append(UnclaimedPnl(day=day, commission_asset=event.commission_asset))
    booked[-1].fills += 1
    booked[-1].realized_pnl += event.venue_realized_pnl
    booked[-1].commission += event.commission


def _day(at_ns: int, now_ns: int) -> int:
    """The venue's day of it; an impossible time in the future must not move the book there."""
    return min(utc_day(at_ns), utc_day(now_ns) + 1)
