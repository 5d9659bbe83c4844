"""Folds the journal into the state: what each event means, and nothing else."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.audit_events import KillProven, OperatorActed, PositionAdopted
from libs.common.messages.guard_events import (
    CooldownStarted,
    GuardCleared,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import (
    BalanceObserved,
    FillReceived,
    InstrumentsLoaded,
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderBecameUnknown,
    OrderCancelRequested,
    OrderForgotten,
    OrderModified,
    OrderModifyRequested,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderResigned,
    OrderUpdated,
    TradingStateChanged,
)
from libs.common.messages.limit_events import RiskLimitsSet
from libs.common.model.money import ZERO
from libs.common.model.order import OrderStatus, may_follow
from libs.common.model.position import Position
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from services.execution.admin_fold import KILLS, apply_adoption, apply_limits, apply_operator
from services.execution.config import RATE_WINDOW_MS_MAX
from services.execution.fold_guards import apply_guard, release_lock, take_lock
from services.execution.fold_pnl import book_fill, book_income, claim_pnl, measure
from services.execution.fold_protection import (
    apply_protection,
    claim_fill,
    is_guarded,
    restart_grace,
    watch,
)
from services.execution.state import (
    PROTECTION,
    IntentMemory,
    OrderState,
    RecentOrder,
    SeenTrades,
    State,
    ended_for_nothing,
)

#: Orders not known as ours whose fills are remembered, in case their id turns out to be.
UNCLAIMED_MAX = 500
#: Margin refusals remembered; safe mode needs far fewer.
MARGIN_REFUSALS_MAX = 100
#: Of recent orders so many are kept however long ago they seem to be, for a clock may run ahead
#: and be set back; and no more than so many, for the first may lie in a far future.
RECENT_ORDERS_KEPT, RECENT_ORDERS_MAX = 50, 10_000
#: Of intents and keys the newest so many are remembered however old they seem, as orders are.
REMEMBERED_MIN = 200
#: The venue's reason that counts toward safe mode like a refusal of our own.
VENUE_MARGIN_REASON = "MARGIN_INSUFFICIENT"
NS_PER_MS = 1_000_000

OrderOutcome = (
    OrderAnswered
    | OrderUpdated
    | OrderRejected
    | OrderNotPlaced
    | OrderForgotten
    | OrderBecameUnknown
)


def apply(state: State, record: JournalRecord) -> None:
    """Fold one record into the state."""
    for event in record.events:
        _apply_event(state, event, record.ts_event_ns)


def _apply_event(state: State, event: JournalEvent, now_ns: int) -> None:
    match event:
        case IntentRefusedByGate():
            _apply_refusal(state, event, now_ns)
        case OrderRecorded():
            _apply_recorded(state, event, now_ns)
        case (
            OrderAnswered()
            | OrderUpdated()
            | OrderRejected()
            | OrderNotPlaced()
            | OrderForgotten()
            | OrderBecameUnknown()
        ):
            _apply_outcome(state, event, now_ns)
        case OrderResigned() | OrderCancelRequested() | OrderModifyRequested() | OrderModified():
            _apply_request(state, event)
        case FillReceived():
            _apply_fill(state, event, now_ns)
        case CooldownStarted() | SafeModeEntered() | VenueLatched() | GuardCleared():
            apply_guard(state, event)
        case AlgoOrderRecorded() | AlgoOrderUpdated() | AlgoCancelRequested() | ProtectionFailed():
            apply_protection(state, event, now_ns)
        case _:
            _apply_figures(state, event, now_ns)


def _apply_figures(state: State, event: JournalEvent, now_ns: int) -> None:
    """What the venue or a person stated; what is only accounted for decides nothing."""
    match event:
        case BalanceObserved():
            _apply_balance(state, event, now_ns)
        case IncomeReceived():
            book_income(state, event, now_ns)
        case InstrumentsLoaded():
            state.instruments = {item.symbol: item for item in event.instruments}
            state.instruments_at_ns = event.loaded_at_ns
        case LeverageAsserted():
            state.leverage[event.symbol] = event.leverage
            state.margin_types[event.symbol] = event.margin_type
        case TradingStateChanged():
            state.trading_state = event.state
            state.trading_actor, state.trading_reason = event.actor, event.reason
            state.command_sequence = max(state.command_sequence, event.command_sequence)
            if event.state is TradingState.ACTIVE:  # whoever resumes has seen what a kill left
                state.kill_remains = ""
        case OperatorActed() | KillProven():
            apply_operator(state, event, now_ns)
            if event.verb in KILLS:
                restart_grace(state, now_ns)
        case PositionAdopted():
            apply_adoption(state, event, now_ns)
        case RiskLimitsSet():
            apply_limits(state, event, now_ns)


# -- intents and orders --------------------------------------------------------------------------


def _apply_refusal(state: State, event: IntentRefusedByGate, now_ns: int) -> None:
    state.intents[event.intent.intent_id] = IntentMemory(
        client_order_id="", reason=event.reason, decided_at_ns=now_ns
    )
    if is_margin_refusal(event.verdicts):
        remember_margin_refusal(state, now_ns)


def is_margin_refusal(verdicts: tuple[Verdict, ...]) -> bool:
    """Whether margin was short by a fresh figure, whatever else was wrong as well."""
    reasons = {verdict.reason for verdict in verdicts}
    return Reason.MARGIN_INSUFFICIENT in reasons and Reason.ACCOUNT_STALE not in reasons


def remember_margin_refusal(state: State, now_ns: int) -> None:
    """Count a refusal toward safe mode; while that lasts there is nothing to count."""
    if now_ns >= state.safe_mode_until_ns:
        state.margin_refusals.append(now_ns)
        del state.margin_refusals[:-MARGIN_REFUSALS_MAX]


def _apply_recorded(state: State, event: OrderRecorded, now_ns: int) -> None:
    order = event.order
    state.orders[event.client_order_id] = OrderState(
        client_order_id=event.client_order_id,
        intent=event.intent,
        order=order,
        attempt=event.attempt,
        status=OrderStatus.RECORDED,
        reference_price=event.reference_price,
        margin_reserved=event.margin_reserved,
        timestamp_ms=event.timestamp_ms,
        recv_window_ms=event.recv_window_ms,
        expires_at_ns=event.expires_at_ns,
        slippage_predicted_bps=event.slippage_predicted_bps,
        writer=event.writer,
        verdicts_risk=event.verdicts_risk,
        recorded_at_ns=now_ns,
        changed_at_ns=now_ns,
    )
    state.live_order_ids.append(event.client_order_id)
    if event.intent.strategy_id == PROTECTION:
        _count_closing(state, event.intent.candle_id)
    state.intents[event.intent.intent_id] = IntentMemory(
        client_order_id=event.client_order_id, decided_at_ns=now_ns
    )
    take_lock(state, event, now_ns)
    state.recent_orders.append(
        RecentOrder(
            intent_id=event.intent.intent_id,
            symbol=order.symbol,
            is_exit=order.reduce_only,
            at_ns=now_ns,
        )
    )
    horizon_ns = now_ns - RATE_WINDOW_MS_MAX * NS_PER_MS
    recent = state.recent_orders
    while len(recent) > RECENT_ORDERS_KEPT and recent[0].at_ns < horizon_ns:
        del recent[0]
    del recent[:-RECENT_ORDERS_MAX]
    state.changed_at_ns = now_ns


def _count_closing(state: State, entry_intent_id: str) -> None:
    """An order that closes what could not be protected names the entry as its cause."""
    for order in state.orders.values():
        if order.intent_id == entry_intent_id:
            order.closings += 1


def _apply_outcome(state: State, event: OrderOutcome, now_ns: int) -> None:
    order = state.orders.get(event.client_order_id)
    if order is None:
        return
    match event:
        case OrderAnswered() | OrderUpdated():
            _learn_venue_order_id(state, order, event.venue_order_id)
            _raise_cumulative(order, event.cumulative_quantity, now_ns)
            order.answered_at_ns = order.answered_at_ns or now_ns
            _move(state, order, event.status, now_ns)
            if order.reduce_only and not ended_for_nothing(
                order, order.status, order.cumulative_quantity
            ):
                state.cooldown_exits.pop(order.symbol, None)
        case OrderRejected():
            is_news = may_follow(order.status, OrderStatus.REJECTED)
            is_margin = event.reason == VENUE_MARGIN_REASON and not order.reduce_only
            if is_margin and is_news and order.status is not OrderStatus.REJECTED:
                remember_margin_refusal(state, now_ns)
            _end_without_trace(state, order, OrderStatus.REJECTED, now_ns)
        case OrderNotPlaced():
            _end_without_trace(state, order, OrderStatus.NOT_PLACED, now_ns)
        case OrderForgotten():
            _end_without_trace(state, order, OrderStatus.CANCELED, now_ns)
        case OrderBecameUnknown():
            _move(state, order, OrderStatus.UNKNOWN, now_ns)
    measure(state, order, now_ns)
    watch(state, order.symbol, now_ns)


def _apply_request(
    state: State,
    event: OrderResigned | OrderCancelRequested | OrderModifyRequested | OrderModified,
) -> None:
    order = state.orders.get(event.client_order_id)
    if order is None:
        return
    if isinstance(event, OrderResigned):
        order.timestamp_ms, order.is_resigned = event.timestamp_ms, True
    elif isinstance(event, OrderCancelRequested):
        order.cancel_requested = True
    elif isinstance(event, OrderModified):
        order.order = msgspec.structs.replace(
            order.order, quantity=event.quantity, price=event.price
        )


def _raise_cumulative(order: OrderState, cumulative_quantity: Decimal, now_ns: int) -> None:
    order.cumulative_quantity = max(order.cumulative_quantity, cumulative_quantity)
    if order.cumulative_quantity > ZERO and not order.first_filled_at_ns:
        order.first_filled_at_ns = now_ns


def _learn_venue_order_id(state: State, order: OrderState, venue_order_id: int) -> None:
    """Count the fills that the trade list told before we knew whose they were."""
    if venue_order_id and not order.venue_order_id:
        order.filled_quantity += state.unclaimed.pop(f"{order.symbol}:{venue_order_id}", ZERO)
        claim_pnl(state, order, venue_order_id)
    order.venue_order_id = venue_order_id or order.venue_order_id


def _move(state: State, order: OrderState, status: OrderStatus, now_ns: int) -> None:
    """Follow a legal transition; an impossible one (a stale word) changes nothing."""
    if not may_follow(order.status, status):
        return
    order.status = status
    order.changed_at_ns = now_ns
    state.changed_at_ns = now_ns
    _settle_down(state, order)
    if status is not OrderStatus.UNKNOWN:
        release_lock(state, order)


def _end_without_trace(state: State, order: OrderState, status: OrderStatus, now_ns: int) -> None:
    if may_follow(order.status, status):
        order.margin_reserved = ZERO
        _move(state, order, status, now_ns)


def _apply_fill(state: State, event: FillReceived, now_ns: int) -> None:
    if state.has_trade(event.symbol, event.trade_id):
        return
    state.trades.setdefault(event.symbol, SeenTrades()).add(event.trade_id)
    before = state.positions.get(event.symbol) or Position(symbol=event.symbol)
    state.positions[event.symbol] = before.with_fill(
        event.side, event.quantity, event.price, event.commission, event.commission_asset
    )
    book_fill(state, event, before.quantity, now_ns)
    order = state.orders.get(event.client_order_id)
    if order is not None:
        order.filled_quantity += event.quantity
        order.filled_cost += event.quantity * event.price
        _raise_cumulative(order, order.filled_quantity, now_ns)
        order.answered_at_ns = order.answered_at_ns or now_ns
        measure(state, order, now_ns)
    elif not claim_fill(state, event):
        key = f"{event.symbol}:{event.venue_order_id}"
        state.unclaimed[key] = state.unclaimed.pop(key, ZERO) + event.quantity
        if len(state.unclaimed) > UNCLAIMED_MAX:
            oldest = min(state.unclaimed, key=lambda known: int(known.rpartition(":")[2]))
            state.unclaimed_pnl.pop(oldest, None)
            del state.unclaimed[oldest]  # not the first in line: a snapshot keeps no such order
    state.changed_at_ns = now_ns
    watch(state, event.symbol, now_ns)


def _apply_balance(state: State, event: BalanceObserved, now_ns: int) -> None:
    state.quote_asset = event.asset
    if event.wallet_balance != state.wallet_balance:
        state.wallet_balance = event.wallet_balance
        state.changed_at_ns = now_ns
    if event.available_balance is None:
        return
    state.available_balance = event.available_balance
    state.balance_at_ns = event.observed_at_ns
    for order in state.live_orders():
        if order.answered_at_ns and order.answered_at_ns < event.observed_at_ns:
            order.margin_reserved = ZERO
            _settle_down(state, order)


def _settle_down(state: State, order: OrderState) -> None:
    """Guards need not look any more at an order that has ended and holds no margin."""
    is_settled = order.status.is_terminal and not order.margin_reserved
    if is_settled and order.client_order_id in state.live_order_ids:
        state.live_order_ids.remove(order.client_order_id)


def forget(state: State, now_ns: int, idempotency_ms: int) -> None:
    """Drop what ended longer ago than the idempotency memory; the journal keeps it for ever.

    What may be brought once more at any moment is what was decided last, so that is never dropped.
    """
    horizon_ns = now_ns - idempotency_ms * NS_PER_MS
    for client_order_id, order in list(state.orders.items()):
        ended = order.status.is_terminal and order.is_settled and not is_guarded(state, order)
        if ended and order.changed_at_ns < horizon_ns:
            order.margin_reserved = ZERO
            _settle_down(state, order)
            del state.orders[client_order_id]
    for client_algo_id, algo_order in list(state.algo_orders.items()):
        if algo_order.status.is_terminal and algo_order.changed_at_ns < horizon_ns:
            del state.algo_orders[client_algo_id]
    decided = [memory.decided_at_ns for memory in state.intents.values()]
    before_ns = min(horizon_ns, _oldest_kept_ns(decided))
    for intent_id, memory in list(state.intents.items()):
        gone = memory.client_order_id not in state.orders
        if gone and memory.decided_at_ns < before_ns:
            del state.intents[intent_id]
    before_ns = min(horizon_ns, _oldest_kept_ns(state.operator_keys.values()))
    for key, at_ns in list(state.operator_keys.items()):
        if at_ns < before_ns:
            del state.operator_keys[key]


def _oldest_kept_ns(times_ns: Iterable[int]) -> int:
    """When the oldest of the newest few was; 0 if there are no more than that."""
    newest = sorted(times_ns)[-REMEMBERED_MIN:]
    return newest[0] if len(newest) == REMEMBERED_MIN else 0
