"""Folds what holds orders back until a time, and what people clear before it."""

from libs.common.messages.guard_events import (
    CooldownScope,
    CooldownStarted,
    Guard,
    GuardCleared,
    LatchKind,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.journal import OrderRecorded
from services.execution.state import ExitCooldown, Lock, OrderState, State, lock_key


def apply_guard(
    state: State, event: CooldownStarted | SafeModeEntered | VenueLatched | GuardCleared
) -> None:
    """Fold the beginning or the end of a hold."""
    match event:
        case CooldownStarted(scope=CooldownScope.GLOBAL):
            state.cooldown_global_until_ns = max(state.cooldown_global_until_ns, event.until_ns)
            state.cooldown_global_cause = event.cause
        case CooldownStarted(scope=CooldownScope.SYMBOL):
            known_ns = state.cooldown_symbols.get(event.symbol, 0)
            state.cooldown_symbols[event.symbol] = max(known_ns, event.until_ns)
        case CooldownStarted():
            state.cooldown_exits[event.symbol] = ExitCooldown(
                until_ns=event.until_ns, failures=event.failures
            )
        case SafeModeEntered():
            state.safe_mode_until_ns = event.until_ns
            state.margin_refusals = []
        case VenueLatched():
            state.latches[event.kind] = max(state.latches.get(event.kind, 0), event.until_ns)
        case GuardCleared():
            _clear(state, event)


def take_lock(state: State, event: OrderRecorded, now_ns: int) -> None:
    """Let an order hold its symbol and side; whoever holds them still goes on behind it."""
    key = lock_key(event.order.symbol, event.order.side)
    held = state.locks.get(key)
    state.locks[key] = Lock(
        client_order_id=event.client_order_id,
        until_ns=event.lock_until_ns,
        behind=held if held is not None and held.until_ns > now_ns else None,
    )


def release_lock(state: State, order: OrderState) -> None:
    """End the lock this very order holds, never another's: one it was taken from holds again."""
    key = lock_key(order.symbol, order.side)
    left = _without(state.locks.pop(key, None), order.client_order_id)
    if left is not None:
        state.locks[key] = left


def _without(lock: Lock | None, client_order_id: str) -> Lock | None:
    if lock is None or lock.client_order_id == client_order_id:
        return None if lock is None else lock.behind
    lock.behind = _without(lock.behind, client_order_id)
    return lock


def _clear(state: State, event: GuardCleared) -> None:
    match event.guard:
        case Guard.COOLDOWN_GLOBAL:
            state.cooldown_global_until_ns, state.cooldown_global_cause = 0, ""
        case Guard.COOLDOWN_SYMBOL:
            _drop(state.cooldown_symbols, event.key)
        case Guard.COOLDOWN_EXITS:
            _drop(state.cooldown_exits, event.key)
        case Guard.SAFE_MODE:
            state.safe_mode_until_ns, state.margin_refusals = 0, []
        case Guard.LATCH:
            _drop(state.latches, LatchKind(event.key) if event.key else None)
        case Guard.LOCK:
            _drop(state.locks, event.key)


def _drop(entries: dict, key: object) -> None:  # type: ignore[type-arg]
    if key:
        entries.pop(key, None)
    else:
        entries.clear()
