"""Guards that hold until a time: safe mode, latches, cooldowns, locks, rates, the venue's budgets.

Each reads one field of the folded state. Operators see the same fields with the seconds left, and
may clear them; a restart and a replica see them too, because they are journaled.
"""

from libs.common.messages.guard_events import LatchKind
from libs.common.model.verdict import Reason, Verdict
from services.execution.config import ExecutionConfig
from services.execution.question import NS_PER_MS, Question, exempt, judge
from services.execution.state import Lock, State, lock_key

#: The latches that stop everything; the others let orders through that give risk back.
_STOP_ALL = (LatchKind.BANNED, LatchKind.REQUEST_LIMIT)


def seconds_left(until_ns: int, now_ns: int) -> str:
    """How long a hold lasts yet, as an operator reads it."""
    left_ms = -(-max(0, until_ns - now_ns) // NS_PER_MS)  # what is left, however little, is told
    return f"{left_ms / 1000:.1f} s left" if left_ms else "over"


def _hold(question: Question, check: str, until_ns: int, limit: str, reason: Reason) -> Verdict:
    passed = question.now_ns >= until_ns
    observed = "off" if passed else seconds_left(until_ns, question.now_ns)
    return judge(check, passed, limit, observed, reason)


def check_safe_mode(question: Question) -> Verdict:
    """Not too many margin refusals lately. Exits are exempt: they free margin."""
    limits = question.limits
    limit = f"{limits.safe_mode_refusals} margin refusals in {limits.safe_mode_window_ms} ms"
    if question.order.reduce_only:
        return exempt("safe_mode", limit)
    return _hold(question, "safe_mode", question.state.safe_mode_until_ns, limit, Reason.SAFE_MODE)


def check_latches(question: Question) -> Verdict:
    """The venue does not want to be left alone.

    A ban and a request limit stop exits too: any request prolongs them. An overload lets exits
    through (the venue exempts them from -1008), and so does our answer to its order limit.
    """
    held = [
        (until_ns, kind)
        for kind, until_ns in question.state.latches.items()
        if until_ns > question.now_ns and (kind in _STOP_ALL or not question.order.reduce_only)
    ]
    if not held:
        return judge("latches", True, "none", "none", Reason.VENUE_BANNED)
    until_ns, kind = max(held)
    is_overload = kind is LatchKind.OVERLOADED
    reason = Reason.VENUE_OVERLOADED if is_overload else Reason.VENUE_BANNED
    observed = f"{kind}, {seconds_left(until_ns, question.now_ns)}"
    return judge("latches", False, "none", observed, reason)


def check_cooldown_global(question: Question) -> Verdict:
    """No global cooldown after a margin refusal or a breach of the global rate. Exits exempt."""
    limits = question.limits
    limit = f"{limits.cooldown_margin_ms} ms after a margin refusal"
    if question.order.reduce_only:
        return exempt("cooldown_global", limit)
    until_ns = question.state.cooldown_global_until_ns
    return _hold(question, "cooldown_global", until_ns, limit, Reason.COOLDOWN_GLOBAL)


def check_cooldown_symbol(question: Question) -> Verdict:
    """No order of the symbol failed lately.

    An exit is held back only by exits that failed, for a time that grows with each in a row: an
    entry's failure must not trap a position, and an exit that fails for ever must not be hammered.
    """
    symbol = question.order.symbol
    if question.order.reduce_only:
        until_ns = exits_held_until_ns(question.limits, question.state, symbol, question.now_ns)
        limit = f"{question.limits.cooldown_failed_exit_ms} ms after a failed exit, growing"
    else:
        until_ns = question.state.cooldown_symbols.get(symbol, 0)
        limit = f"{question.limits.cooldown_failed_ms} ms after a failed order"
    return _hold(question, "cooldown_symbol", until_ns, limit, Reason.COOLDOWN_SYMBOL)


def exits_held_until_ns(limits: ExecutionConfig, state: State, symbol: str, now_ns: int) -> int:
    """Until when exits of a symbol are held back; 0 if they are not.

    A hold that would last longer than any was made by a clock that ran ahead: it holds nothing,
    because it would trap the position.
    """
    cooldown = state.cooldown_exits.get(symbol)
    if cooldown is None:
        return 0
    latest_ns = now_ns + limits.cooldown_failed_exit_ms_max * NS_PER_MS
    return cooldown.until_ns if cooldown.until_ns <= latest_ns else 0


def check_lock(question: Question) -> Verdict:
    """No order in flight on this symbol and side (for at most ``lock_ms``)."""
    lock = question.state.locks.get(lock_key(question.order.symbol, question.order.side))
    observed = "free" if lock is None else f"held by {lock.client_order_id}"
    while lock is not None and not _holds(question, lock):
        lock = lock.behind
    free = lock is None
    return judge("lock", free, f"{question.limits.lock_ms} ms at most", observed, Reason.LOCKED)


def _holds(question: Question, lock: Lock) -> bool:
    held_by = question.state.orders.get(lock.client_order_id)
    is_own = held_by is not None and question.is_own(held_by.intent_id)
    return lock.until_ns > question.now_ns and not is_own


def _recorded(question: Question, window_ms: int, symbol: str | None) -> int:
    """Entries recorded within the window; of this intent none counts where it is tried again."""
    since_ns = question.now_ns - window_ms * NS_PER_MS
    return sum(
        order.at_ns > since_ns
        and not order.is_exit
        and not question.is_own(order.intent_id)
        and symbol in (None, order.symbol)
        for order in question.state.recent_orders
    )


def check_rate_symbol(question: Question) -> Verdict:
    """Not too many entries of the symbol lately. Exits are exempt, and do not count."""
    limits = question.limits
    limit = f"{limits.rate_symbol_orders_max} in {limits.rate_symbol_window_ms} ms"
    if question.order.reduce_only:
        return exempt("rate_symbol", limit)
    count = _recorded(question, limits.rate_symbol_window_ms, question.order.symbol)
    passed = count < limits.rate_symbol_orders_max
    return judge("rate_symbol", passed, limit, f"{count} recorded", Reason.RATE_SYMBOL)


def check_rate_global(question: Question) -> Verdict:
    """Not too many entries lately, over all symbols. Exits are exempt, and do not count."""
    limits = question.limits
    limit = f"{limits.rate_global_orders_max} in {limits.rate_global_window_ms} ms"
    if question.order.reduce_only:
        return exempt("rate_global", limit)
    count = _recorded(question, limits.rate_global_window_ms, None)
    passed = count < limits.rate_global_orders_max
    return judge("rate_global", passed, limit, f"{count} recorded", Reason.RATE_GLOBAL)


def check_budget(question: Question) -> Verdict:
    """The venue's own limits leave room for this kind of order, as its answers told."""
    budget = question.budget
    observed = budget.refusal or budget.observed
    return judge("venue_budget", not budget.refusal, budget.limit, observed, Reason.VENUE_BUDGET)
