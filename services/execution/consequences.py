"""What follows from a refusal or a failure: cooldowns and safe mode, in the same append."""

from libs.common.messages.guard_events import CooldownScope, CooldownStarted, SafeModeEntered
from libs.common.model.verdict import Reason, Verdict
from services.execution.config import ExecutionConfig
from services.execution.fold import is_margin_refusal
from services.execution.question import NS_PER_MS
from services.execution.state import OrderState, State

Hold = CooldownStarted | SafeModeEntered


def after_refusal(
    limits: ExecutionConfig,
    state: State,
    symbol: str,
    verdicts: tuple[Verdict, ...],
    now_ns: int,
) -> tuple[Hold, ...]:
    """The holds that a refusal by the gate starts.

    A storm of margin refusals counts even while a cooldown refuses each of them first: it is the
    sign that strategies do not see that the account is exhausted.
    """
    holds: list[Hold] = []
    if is_margin_refusal(verdicts):
        holds += after_margin_refusal(limits, state, symbol, now_ns)
    if any(verdict.reason is Reason.RATE_GLOBAL for verdict in verdicts):
        cause, wait_ms = "the global rate was reached", limits.cooldown_global_rate_ms
        started_ns = max((hold.until_ns for hold in holds if _is_global(hold)), default=0)
        longer = _global_cooldown(state, wait_ms, now_ns, cause)
        holds += [hold for hold in longer if hold.until_ns > started_ns]
    return tuple(holds)


def after_failure(
    limits: ExecutionConfig, state: State, order: OrderState, now_ns: int, cause: str
) -> tuple[Hold, ...]:
    """The hold that a failed order starts for its symbol."""
    if order.reduce_only:
        known = state.cooldown_exits.get(order.symbol)
        failures = 1 + (known.failures if known is not None else 0)
        wait_ms = min(
            limits.cooldown_failed_exit_ms << min(failures - 1, 16),
            limits.cooldown_failed_exit_ms_max,
        )
        scope = CooldownScope.EXITS
    else:
        failures, scope = 0, CooldownScope.SYMBOL
        wait_ms = limits.for_symbol(order.symbol).cooldown_failed_ms
    if not wait_ms:
        return ()
    return (
        CooldownStarted(
            scope=scope,
            symbol=order.symbol,
            until_ns=now_ns + wait_ms * NS_PER_MS,
            cause=cause,
            failures=failures,
        ),
    )


def after_margin_refusal(
    limits: ExecutionConfig, state: State, symbol: str, now_ns: int
) -> tuple[Hold, ...]:
    """Cooldowns of the symbol and of all, and safe mode where there were too many.

    What already runs is not prolonged, so that every hold ends when it was said to end.
    """
    if now_ns < state.safe_mode_until_ns:
        return ()
    cause, wait_ms = "margin was refused", limits.cooldown_margin_ms
    holds: list[Hold] = list(_global_cooldown(state, wait_ms, now_ns, cause))
    until_ns = now_ns + wait_ms * NS_PER_MS
    held_until_ns = state.cooldown_symbols.get(symbol, 0)
    # A shorter hold, for a failure, does not keep the one for margin from starting.
    starts = state.cooldown_global_until_ns <= now_ns and held_until_ns < until_ns
    if wait_ms and (held_until_ns <= now_ns or starts):
        holds.append(
            CooldownStarted(
                scope=CooldownScope.SYMBOL, symbol=symbol, until_ns=until_ns, cause=cause
            )
        )
    since_ns = now_ns - limits.safe_mode_window_ms * NS_PER_MS
    refusals = 1 + sum(at_ns > since_ns for at_ns in state.margin_refusals)
    if refusals >= limits.safe_mode_refusals:
        holds.append(
            SafeModeEntered(
                until_ns=now_ns + limits.safe_mode_ms * NS_PER_MS,
                refusals=refusals,
                window_ms=limits.safe_mode_window_ms,
            )
        )
    return tuple(holds)


def _is_global(hold: Hold) -> bool:
    return isinstance(hold, CooldownStarted) and hold.scope is CooldownScope.GLOBAL


def _global_cooldown(
    state: State, wait_ms: int, now_ns: int, cause: str
) -> tuple[CooldownStarted, ...]:
    if not wait_ms or state.cooldown_global_until_ns > now_ns:
        return ()
    until_ns = now_ns + wait_ms * NS_PER_MS
    return (CooldownStarted(scope=CooldownScope.GLOBAL, symbol="", until_ns=until_ns, cause=cause),)
