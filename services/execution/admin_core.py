"""Decisions on what is asked of the account besides orders. Pure.

What tightens is always obeyed. What loosens counts only if nobody spoke after it. A key that was
honoured before is never honoured again.
"""

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import OperatorActed
from libs.common.messages.guard_events import Guard, GuardCleared, LatchKind
from libs.common.messages.journal import JournalEvent, TradingStateChanged
from libs.common.messages.limit_events import LimitsChange, RiskLimitsSet
from libs.common.model.ids import is_derived_id
from libs.common.model.instrument import is_symbol
from libs.common.model.risk_limits import NAMES, RiskLimits, changed, tightest
from libs.common.model.risk_limits import fault_of as limits_fault
from libs.common.model.trading_state import TradingState
from services.execution.core import NOTHING, Decision
from services.execution.state import State
from services.execution.trading import decide_trading_state

#: What a verb makes of the trading state. Flatten never loosens a halt.
WANTED = {
    Verb.HALT: TradingState.HALTED,
    Verb.REDUCE: TradingState.REDUCING,
    Verb.RESUME: TradingState.ACTIVE,
    Verb.CANCEL_ALL: TradingState.HALTED,
    Verb.FLATTEN: TradingState.REDUCING,
}
#: What makes our view, or the venue's settings, right again; none of them trades.
REPAIRS = (Verb.ADOPT, Verb.CANCEL_ORPHAN, Verb.ASSERT_SETTINGS)
#: Services may ask to tighten; what loosens is for people.
_SERVICES = ("reconciler", "risk")
#: The service at whose door people set limits.
LIMITS_DOOR = "risk"
#: Verbs that are nothing but a change of the trading state.
_STATES = (Verb.HALT, Verb.REDUCE, Verb.RESUME)
TEXT_LENGTH_MAX = 500


def key_of(command: Command) -> str:
    """What a command is remembered by; empty for a change of the trading state without a key."""
    if command.idempotency_key or command.verb in _STATES:
        return command.idempotency_key
    return command.message_id


def fault_of(command: Command) -> str:
    """Why a command cannot be obeyed whatever the state; empty if it can."""
    for name in ("actor", "reason"):
        text = getattr(command, name)
        if not text.strip() or len(text) > TEXT_LENGTH_MAX:
            return f"the {name} must be 1 to {TEXT_LENGTH_MAX} characters long"
    if len(command.idempotency_key) > TEXT_LENGTH_MAX or len(command.target) > TEXT_LENGTH_MAX:
        return f"keys and targets have at most {TEXT_LENGTH_MAX} characters"
    if command.verb is Verb.LIMITS or command.limits is not None:
        return _limits_fault(command)
    if command.verb is Verb.UNLOCK:
        return _guard_fault(command.target)
    if command.verb is Verb.CANCEL_ORPHAN:
        return _order_fault(command.target, "only an order with an id of ours may be cancelled")
    if command.verb is Verb.ADOPT and not command.target:
        return "adopt needs the symbol whose position is adopted, or SYMBOL:ID of an order"
    if command.target and command.verb not in (Verb.FLATTEN, Verb.ADOPT):
        return f"{command.verb} takes no target"
    if command.verb is Verb.ADOPT and ":" in command.target:
        return _order_fault(command.target, "only an order with an id of ours is ours to adopt")
    if command.target and not is_symbol(command.target):
        return "the symbol must be 2 to 32 capital letters, digits or underscores"
    return ""


def _limits_fault(command: Command) -> str:
    change = command.limits
    if change is None or command.verb is not Verb.LIMITS:
        return "the verb limits, and no other, says which limits to set"
    if command.target:
        return f"{command.verb} takes no target"
    unknown = [name for name in change.released if name not in NAMES]
    if unknown or not (change.limits.named() or change.released):
        return f"limits that can be set are: {', '.join(NAMES)}"
    return limits_fault(change.limits)


def _order_fault(target: str, why: str) -> str:
    symbol, _, client_id = target.partition(":")
    if not is_symbol(symbol) or not is_derived_id(client_id):
        return f"an order is named SYMBOL:ID, and {why}"
    return ""


def _guard_fault(target: str) -> str:
    name, _, key = target.partition(":")
    if name not in list(Guard):
        return f"no guard {name!r} can be unlocked; there are: {', '.join(Guard)}"
    if Guard(name) is Guard.LATCH and key and key not in list(LatchKind):
        return f"no latch {key!r}; there are: {', '.join(LatchKind)}"
    return ""


def decide_command(state: State, command: Command, sequence: int) -> Decision:
    """Record what is asked, and who asks, in one append. Nothing if it was honoured before.

    Args:
        sequence: the command's place in its stream; 0 if it did not come through it.
    """
    key = key_of(command)
    if key and key in state.operator_keys:
        return NOTHING
    change = _change(state, command, sequence)
    if change is None:
        return NOTHING
    events: list[JournalEvent] = [*change]
    if command.verb is Verb.UNLOCK and holds(state, command.target):
        name, _, part = command.target.partition(":")
        events.append(
            GuardCleared(guard=Guard(name), key=part, actor=command.actor, reason=command.reason)
        )
    if command.limits is not None:
        events.append(_set_limits(state, command, command.limits, sequence))
    if key:
        acted = OperatorActed(
            actor=command.actor,
            verb=command.verb,
            reason=command.reason,
            target=command.target,
            key=key,
        )
        events.insert(0, acted)
    return Decision(events=tuple(events))


def limits_after(state: State, command: Command, sequence: int) -> RiskLimits:
    """What people have set once a command is obeyed; what comes late can only tighten.

    Risk passes on what people ask for at its door, and whether they may loosen: somebody else's
    tightening may have come between its look and this. Any other service can only tighten.
    """
    before, change = state.limits.limits, command.limits
    if change is None:
        return before
    is_late = bool(sequence) and sequence <= state.limits.sequence
    is_service = command.source in _SERVICES and command.source != LIMITS_DOOR
    if is_late or is_service or not change.may_loosen:
        return tightest(before, change.limits)
    return changed(before, change.limits, change.released)


def _set_limits(
    state: State, command: Command, change: LimitsChange, sequence: int
) -> RiskLimitsSet:
    return RiskLimitsSet(
        actor=command.actor,
        reason=command.reason,
        key=key_of(command),
        before=state.limits.limits,
        after=limits_after(state, command, sequence),
        file=change.file,
        risk_config_hash=change.config_hash,
        change=state.limits.change + 1,
        command_sequence=sequence,
    )


def _change(state: State, command: Command, sequence: int) -> tuple[JournalEvent, ...] | None:
    """The change of the trading state; ``None`` if a later command has spoken."""
    wanted = WANTED.get(command.verb)
    if wanted is None or (
        command.verb is Verb.FLATTEN and state.trading_state is not TradingState.ACTIVE
    ):
        return ()
    if command.source in _SERVICES and _loosens(state, wanted):
        return None
    events = decide_trading_state(state, wanted, command.actor, command.reason, sequence).events
    if events:
        return events
    if state.trading_state is not wanted:
        return None
    if sequence <= state.command_sequence:
        return ()
    # It is so already. That it was asked again outranks whatever was asked before and comes late.
    again = TradingStateChanged(
        state=wanted, actor=command.actor, reason=command.reason, command_sequence=sequence
    )
    return (again,) if command.idempotency_key else ()


def _loosens(state: State, wanted: TradingState) -> bool:
    """Whether it lets more through than now; over the halt of a boot nobody has spoken yet."""
    return wanted is TradingState.ACTIVE or (
        wanted is TradingState.REDUCING and state.trading_state is TradingState.HALTED
    )


def holds(state: State, target: str) -> bool:
    """Whether a guard holds anything that could be cleared."""
    name, _, key = target.partition(":")
    match Guard(name):
        case Guard.COOLDOWN_GLOBAL:
            return state.cooldown_global_until_ns > 0
        case Guard.SAFE_MODE:
            return state.safe_mode_until_ns > 0 or bool(state.margin_refusals)
        case Guard.COOLDOWN_SYMBOL:
            return _has(set(state.cooldown_symbols), key)
        case Guard.COOLDOWN_EXITS:
            return _has(set(state.cooldown_exits), key)
        case Guard.LATCH:
            return _has({str(kind) for kind in state.latches}, key)
        case Guard.LOCK:
            return _has(set(state.locks), key)


def _has(keys: set[str], key: str) -> bool:
    return key in keys if key else bool(keys)
