"""Folds fills and income into the book of profit and loss: whose it was, and on which day.

A fill belongs to the strategy whose order it fills. What the venue closes by force, what protects a
position, and what is paid for holding one belongs to whoever opened it, whoever added to it later;
the rest was by hand.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived
from libs.common.model.ids import is_ours
from libs.common.model.money import ZERO
from libs.common.model.pnl import NS_PER_DAY, NS_PER_QUARTER, kind_of_income, utc_day
from services.execution.forced import forced_kind
from services.execution.round_trips import Entry, MeasuredOrder, TripFill, slippage_bps
from services.execution.state import PROTECTION, Opening, OrderState, State, UnclaimedPnl

#: Who trades where no strategy of ours does.
BY_HAND = ""
#: Income is remembered this long after the newest row, to know it again.
INCOME_REMEMBERED_NS = 2 * NS_PER_DAY
#: No more rows than so many, but for those of one millisecond: hourly funding of 300 symbols for
#: two days, and some. What is forgotten sooner counts as folded, as all that is older.
INCOMES_REMEMBERED_MAX = 20_000
#: Changes of a symbol's holder that are remembered, for income that is learned of late.
OPENINGS_KEPT = 50


def book_fill(state: State, event: FillReceived, held: Decimal, now_ns: int) -> None:
    """Book a fill, and remember who opened the position.

    Args:
        held: signed base units before the fill.
    """
    strategy_id = _strategy_of(state, event, holder_of(state, event.symbol))
    if strategy_id is None:
        strategy_id = BY_HAND
        _remember_unclaimed(state, event, now_ns)
    signed = event.quantity * event.side.sign
    if not held or held * (held + signed) < ZERO:
        hold(state, event.symbol, strategy_id, event.ts_trade_ns, event.venue_order_id)
    row = state.pnl.row(_day(event.ts_trade_ns, now_ns), event.symbol, strategy_id)
    for one in (row, state.pnl.quarter(min(event.ts_trade_ns, now_ns))):
        one.add_fill(1, event.venue_realized_pnl, event.commission_asset, event.commission)
    order = state.orders.get(event.client_order_id)
    trip_fill = TripFill(
        symbol=event.symbol,
        held=held,
        signed=signed,
        realized_pnl=event.venue_realized_pnl,
        asset=event.commission_asset,
        commission=event.commission,
        at_ns=event.ts_trade_ns,
        entry=_entry(event.venue_order_id, strategy_id, order),
    )
    state.trade_book.book(trip_fill)


def book_income(state: State, event: IncomeReceived, now_ns: int) -> None:
    """Book a row of the venue's list of income, once."""
    if has_income(state, event):
        return
    state.incomes[event.key] = event.ts_income_ns
    newest_ns = max(state.income_at_ns, min(event.ts_income_ns, now_ns))
    is_later = newest_ns // NS_PER_QUARTER > state.income_at_ns // NS_PER_QUARTER
    state.income_at_ns = newest_ns
    if is_later or len(state.incomes) > INCOMES_REMEMBERED_MAX:
        _forget_incomes(state)
    holder = holder_of(state, event.symbol, event.ts_income_ns)
    row = state.pnl.row(_day(event.ts_income_ns, now_ns), event.symbol, holder)
    for one in (row, state.pnl.quarter(min(event.ts_income_ns, now_ns))):
        one.add_income(kind_of_income(event.income_type), event.asset, event.amount)
    state.changed_at_ns = now_ns


def has_income(state: State, event: IncomeReceived) -> bool:
    """Whether the row was folded already; what is too old to be remembered counts as folded."""
    return event.ts_income_ns < _oldest_income_ns(state) or event.key in state.incomes


def _oldest_income_ns(state: State) -> int:
    return max(state.income_floor_ns, state.income_at_ns - INCOME_REMEMBERED_NS)


def _forget_incomes(state: State) -> None:
    """Drop what is too old, and of too many rows the oldest tenth."""
    if len(state.incomes) > INCOMES_REMEMBERED_MAX:
        surplus = len(state.incomes) - INCOMES_REMEMBERED_MAX * 9 // 10
        state.income_floor_ns = max(state.income_floor_ns, sorted(state.incomes.values())[surplus])
    oldest_ns = _oldest_income_ns(state)
    for key, at_ns in list(state.incomes.items()):
        if at_ns < oldest_ns:
            del state.incomes[key]


def hold(state: State, symbol: str, strategy_id: str, at_ns: int, venue_order_id: int = 0) -> None:
    """Somebody opened a position."""
    openings = state.openings.setdefault(symbol, [])
    openings.append(Opening(since_ns=at_ns, strategy_id=strategy_id, venue_order_id=venue_order_id))
    del openings[:-OPENINGS_KEPT]


def holder_of(state: State, symbol: str, at_ns: int | None = None) -> str:
    """Who opened the position held last, or the one held at a venue time."""
    for opening in reversed(state.openings.get(symbol, [])):
        if at_ns is None or opening.since_ns <= at_ns:
            return opening.strategy_id
    return BY_HAND


def claim_pnl(state: State, order: OrderState, venue_order_id: int) -> None:
    """The fills of a venue order turn out to be those of ours: they were not by hand."""
    strategy_id = _owner(order, holder_of(state, order.symbol))
    order.filled_cost += _rebook(state, order.symbol, venue_order_id, strategy_id)
    for opening in state.openings.get(order.symbol, []):
        if opening.venue_order_id == venue_order_id:
            opening.strategy_id = strategy_id
    state.trade_book.claim(order.symbol, _entry(venue_order_id, strategy_id, order))


def measure(state: State, order: OrderState, now_ns: int) -> None:
    """Put an order that ended, and whose fills are all known, beside the price at its decision.

    Only what a strategy wanted is measured: what closes by itself was decided on no price.
    """
    is_over = order.status.is_terminal and order.is_settled and order.filled_quantity > ZERO
    if order.is_measured or not is_over or order.intent.strategy_id == PROTECTION:
        return
    order.is_measured = True
    price = order.filled_cost / order.filled_quantity
    realized = slippage_bps(order.side.sign, price, order.intent.reference_price)
    if realized is not None:
        measured = MeasuredOrder(
            strategy_id=order.intent.strategy_id,
            at_ns=now_ns,
            realized_bps=realized,
            predicted_bps=order.slippage_predicted_bps,
        )
        state.trade_book.measure(measured)


def claim_stop_pnl(state: State, symbol: str, venue_order_id: int) -> None:
    """The same, for the order that a stop or target has become."""
    _rebook(state, symbol, venue_order_id, holder_of(state, symbol))


def _entry(venue_order_id: int, strategy_id: str, order: OrderState | None) -> Entry:
    """What a round trip remembers of an order, should it open or enlarge the position."""
    stated = None if order is None or order.reduce_only else order.intent.confidence
    return Entry(venue_order_id=venue_order_id, strategy_id=strategy_id, confidence=stated)


def _rebook(state: State, symbol: str, venue_order_id: int, strategy_id: str) -> Decimal:
    """Move what was booked as by hand; returns what the fills cost (quote currency)."""
    booked = state.unclaimed_pnl.pop(f"{symbol}:{venue_order_id}", [])
    for item in booked:
        asset, commission = item.commission_asset, item.commission
        by_hand = state.pnl.row(item.day, symbol, BY_HAND)
        by_hand.add_fill(-item.fills, -item.realized_pnl, asset, -commission)
        ours = state.pnl.row(item.day, symbol, strategy_id)
        ours.add_fill(item.fills, item.realized_pnl, asset, commission)
    return sum((item.cost for item in booked), ZERO)


def told_strategies(state: State, fills: Iterable[FillReceived]) -> list[FillReceived]:
    """The fills of one record, each with whose it is, for readers that fold nothing."""
    held: dict[str, Decimal] = {}
    holders: dict[str, str] = {}
    told = []
    for fill in fills:
        symbol = fill.symbol
        before = held.setdefault(symbol, state.position_quantity(symbol))
        holder = holders.setdefault(symbol, holder_of(state, symbol))
        strategy_id = _strategy_of(state, fill, holder)
        if strategy_id is None and fill.client_order_id and not is_ours(fill.client_order_id):
            strategy_id = BY_HAND
        held[symbol] = before + fill.quantity * fill.side.sign
        if not before or before * held[symbol] < ZERO:
            holders[symbol] = strategy_id or BY_HAND
        told.append(msgspec.structs.replace(fill, strategy_id=strategy_id))
    return told


def _strategy_of(state: State, event: FillReceived, holder: str) -> str | None:
    """Whose fill it is; ``None`` where no order of ours is known to have it."""
    order = state.orders.get(event.client_order_id)
    if order is not None:
        return _owner(order, holder)
    if forced_kind(event.client_order_id) is not None:
        return holder
    if state.algo_order_of(event.symbol, event.venue_order_id, event.client_order_id) is not None:
        return holder
    return None


def _owner(order: OrderState, holder: str) -> str:
    """The strategy of an order; what closes the unprotected serves whoever opened it."""
    strategy_id = order.intent.strategy_id
    return holder if strategy_id == PROTECTION else strategy_id


def _remember_unclaimed(state: State, event: FillReceived, now_ns: int) -> None:
    key = f"{event.symbol}:{event.venue_order_id}"
    booked = state.unclaimed_pnl.setdefault(key, [])
    day = _day(event.ts_trade_ns, now_ns)
    if not booked or (booked[-1].day, booked[-1].commission_asset) != (day, event.commission_asset):
        booked.append(UnclaimedPnl(day=day, commission_asset=event.commission_asset))
    booked[-1].fills += 1
    booked[-1].realized_pnl += event.venue_realized_pnl
    booked[-1].commission += event.commission
    booked[-1].cost += event.quantity * event.price


def _day(at_ns: int, now_ns: int) -> int:
    """The venue's day of it; an impossible time in the future must not move the book there."""
    return min(utc_day(at_ns), utc_day(now_ns) + 1)
