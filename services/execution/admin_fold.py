"""Folds what was asked for: keys honoured, kills until they are proven, positions adopted."""

from libs.common.messages.account import Verb
from libs.common.messages.audit_events import KillProven, OperatorActed, PositionAdopted
from libs.common.messages.limit_events import LimitsInForce, RiskLimitsSet
from libs.common.model.money import ZERO, round_money
from libs.common.model.position import Position
from services.execution.fold_pnl import BY_HAND, hold
from services.execution.fold_protection import watch
from services.execution.state import PendingKill, State

#: Verbs that are only done once the venue was asked again until nothing was left.
KILLS = (Verb.CANCEL_ALL, Verb.FLATTEN)
#: Changes of limits whose keys are told, so that whoever asks again is answered.
LIMIT_KEYS_MAX = 16


def apply_operator(state: State, event: OperatorActed | KillProven, now_ns: int) -> None:
    """Fold what was asked, or what came of a kill."""
    match event:
        case OperatorActed():
            state.operator_keys[event.key] = now_ns
            if event.verb in KILLS:
                state.kills[event.key] = PendingKill(
                    verb=event.verb,
                    target=event.target,
                    actor=event.actor,
                    reason=event.reason,
                    began_at_ns=now_ns,
                )
        case KillProven():
            state.kills.pop(event.key, None)
            state.kill_remains = event.remaining


def apply_limits(state: State, event: RiskLimitsSet, now_ns: int) -> None:
    """Fold limits that a person set."""
    state.limits = LimitsInForce(
        change=event.change,
        limits=event.after,
        actor=event.actor,
        reason=event.reason,
        set_at_ns=now_ns,
        key=event.key,
        keys=(*state.limits.keys, event.key)[-LIMIT_KEYS_MAX:],
        sequence=max(state.limits.sequence, event.command_sequence),
    )


def apply_adoption(state: State, event: PositionAdopted, now_ns: int) -> None:
    """Fold a position as the venue holds it; an entry that is thereby closed is owed no stop."""
    before = state.positions.get(event.symbol) or Position(symbol=event.symbol)
    if before.quantity != event.quantity:
        state.trade_book.give_up(event.symbol)
    if before.quantity * event.quantity <= ZERO and event.quantity:
        hold(state, event.symbol, BY_HAND, now_ns)
    state.positions[event.symbol] = Position(
        symbol=event.symbol,
        quantity=event.quantity,
        cost=round_money(event.quantity * event.entry_price),
        realized_pnl=before.realized_pnl,
        commissions=before.commissions,
    )
    state.changed_at_ns = now_ns
    watch(state, event.symbol, now_ns)
