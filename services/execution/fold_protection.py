"""Folds stops and targets, and what the fills mean to them: who is owed a stop, and since when.

An entry is exposed by what it filled, until the position was seen flat after those fills. The
position is one per symbol, so that whatever closes it (an exit, a stop, a person, a liquidation)
ends the exposure of every entry of that side.
"""

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.journal import FillReceived
from libs.common.model.algo_order import AlgoKind, AlgoStatus, algo_may_follow
from libs.common.model.money import ZERO
from services.execution.fold_pnl import claim_stop_pnl
from services.execution.state import AlgoOrderState, OrderState, State

ProtectionEvent = AlgoOrderRecorded | AlgoOrderUpdated | AlgoCancelRequested | ProtectionFailed


def apply_protection(state: State, event: ProtectionEvent, now_ns: int) -> None:
    """Fold one event of a stop or target."""
    match event:
        case AlgoOrderRecorded():
            _apply_recorded(state, event, now_ns)
        case AlgoOrderUpdated():
            _apply_update(state, event, now_ns)
        case AlgoCancelRequested():
            _apply_cancel_request(state, event, now_ns)
        case ProtectionFailed():
            for order in state.orders.values():
                if order.intent_id == event.intent_id and order.exposure > ZERO:
                    order.protection_failed = True
    state.changed_at_ns = now_ns


def _apply_recorded(state: State, event: AlgoOrderRecorded, now_ns: int) -> None:
    state.algo_orders[event.client_algo_id] = AlgoOrderState(
        client_algo_id=event.client_algo_id,
        intent_id=event.intent_id,
        kind=event.kind,
        symbol=event.symbol,
        side=event.side,
        quantity=event.quantity,
        trigger_price=event.trigger_price,
        attempt=event.attempt,
        timestamp_ms=event.timestamp_ms,
        recv_window_ms=event.recv_window_ms,
        writer=event.writer,
        recorded_at_ns=now_ns,
        changed_at_ns=now_ns,
    )
    for order in state.orders.values():
        if order.intent_id == event.intent_id and event.kind is AlgoKind.STOP:
            order.stop_attempts = max(order.stop_attempts, event.attempt)
        elif order.intent_id == event.intent_id:
            order.target_attempts = max(order.target_attempts, event.attempt)


def _apply_update(state: State, event: AlgoOrderUpdated, now_ns: int) -> None:
    algo = state.algo_orders.get(event.client_algo_id)
    if algo is None:
        return
    algo.algo_id = event.algo_id or algo.algo_id
    if event.venue_order_id and not algo.venue_order_id:
        algo.venue_order_id = event.venue_order_id
        born = f"{algo.symbol}:{event.venue_order_id}"
        algo.filled_quantity += state.unclaimed.pop(born, ZERO)
        claim_stop_pnl(state, algo.symbol, event.venue_order_id)
    if algo.status is event.status or not algo_may_follow(algo.status, event.status):
        return
    algo.status, algo.changed_at_ns = event.status, now_ns
    algo.code, algo.why = event.code, event.why
    if event.status is AlgoStatus.CANCELED and state.kills and not algo.cancel_requested_at_ns:
        algo.cancel_requested_at_ns = now_ns  # the kill canceled it: no failure of its placing
    if event.status is AlgoStatus.WORKING and algo.kind is AlgoKind.STOP:
        _covered_up_to(state, algo)
    watch(state, algo.symbol, now_ns)


def _covered_up_to(state: State, algo: AlgoOrderState) -> None:
    """What the stop does not cover was filled after it was recorded, so it is owed since then."""
    for order in state.orders.values():
        if order.intent_id == algo.intent_id and order.unprotected_since_ns:
            order.unprotected_since_ns = max(order.unprotected_since_ns, algo.recorded_at_ns)


def _apply_cancel_request(state: State, event: AlgoCancelRequested, now_ns: int) -> None:
    algo = state.algo_orders.get(event.client_algo_id)
    if algo is not None and not algo.cancel_requested_at_ns:
        algo.cancel_requested_at_ns = now_ns
        watch(state, algo.symbol, now_ns)


def claim_fill(state: State, event: FillReceived) -> bool:
    """Count a fill of the order that a stop or target became; false if it is of no such order."""
    algo = state.algo_order_of(event.symbol, event.venue_order_id, event.client_order_id)
    if algo is None:
        return False
    algo.filled_quantity += event.quantity
    return True


def watch(state: State, symbol: str, now_ns: int) -> None:
    """See which entries of a symbol are exposed, and since when without an acknowledged stop."""
    held = state.position_quantity(symbol)
    for order in state.orders.values():
        if order.symbol != symbol or order.exposure <= ZERO or not order.wants_protection:
            continue
        if order.is_settled and held * order.side.sign <= ZERO:
            _end_exposure(state, order)
            continue
        if order.intent.stop_price is None:
            continue
        covered = max(
            (
                algo.quantity
                for algo in state.algo_orders.values()
                if algo.intent_id == order.intent_id
                and algo.kind is AlgoKind.STOP
                and algo.is_working
            ),
            default=ZERO,
        )
        if covered >= order.exposure:
            order.unprotected_since_ns = 0
        else:
            order.unprotected_since_ns = order.unprotected_since_ns or now_ns


def _end_exposure(state: State, order: OrderState) -> None:
    """The position is flat (or on the other side) after all of the entry's fills."""
    order.closed_quantity = order.cumulative_quantity
    order.unprotected_since_ns = 0
    order.protection_failed = False
    for algo in state.algo_orders_of(order.intent_id):
        algo.is_spent = True


def restart_grace(state: State, now_ns: int) -> None:
    """A kill begins or is proven: while it lasts no stop is placed, so the time starts anew."""
    for order in state.orders.values():
        if order.unprotected_since_ns:
            order.unprotected_since_ns = now_ns


def is_guarded(state: State, order: OrderState) -> bool:
    """Whether an entry must not be forgotten: it is exposed, or a stop or target of it lives."""
    if not order.wants_protection:
        return False
    return order.exposure > ZERO or any(
        not algo.status.is_terminal for algo in state.algo_orders_of(order.intent_id)
    )
