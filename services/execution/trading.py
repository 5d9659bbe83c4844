"""Decisions on the trading state: who changes it, and what outranks what. Pure."""

from libs.common.messages.journal import JournalEvent, TradingStateChanged
from libs.common.model.trading_state import TradingState
from services.execution.core import NOTHING, Decision
from services.execution.state import BOOT, State

_FREEDOM = {TradingState.HALTED: 0, TradingState.REDUCING: 1, TradingState.ACTIVE: 2}


def decide_trading_state(
    state: State, wanted: TradingState, actor: str, reason: str, command_sequence: int = 0
) -> Decision:
    """Record a change of the trading state: who, and why. Repeating the present one is nothing.

    A halt that a person (or the reconciler) asks for over the one we booted with is recorded: it
    is theirs to lift. A command that loosens counts only if no later one is on record.
    """
    if state.trading_state is wanted and (state.trading_actor != BOOT or actor == BOOT):
        return NOTHING
    loosens = _FREEDOM[wanted] > _FREEDOM[state.trading_state]
    if loosens and 0 < command_sequence <= state.command_sequence:
        return NOTHING
    changed = TradingStateChanged(
        state=wanted, actor=actor, reason=reason, command_sequence=command_sequence
    )
    return Decision(events=(changed,))


def decide_paper_arming(state: State, unarmed: tuple[str, ...]) -> tuple[JournalEvent, ...]:
    """Start to trade where nobody but the boot itself halted us and every arming check holds."""
    is_boot_halt = state.trading_actor == BOOT and state.trading_state is TradingState.HALTED
    if unarmed or not is_boot_halt:
        return ()
    reason = "every arming check passed"
    return (TradingStateChanged(state=TradingState.ACTIVE, actor="paper mode", reason=reason),)
