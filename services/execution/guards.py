"""The guards, in order. Each is a pure look-up in the folded state; all of them are evaluated.

A guard that cannot see what it needs refuses (promise P6); so does one whose figure comes from the
future by more than its age may be, because then a clock jumped and the age means nothing. Limits
exempt reduce-only exits where a refusal would trap a position; every exemption says so.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from libs.common.messages.intents import ApprovalBody
from libs.common.model.instrument import Instrument
from libs.common.model.money import is_reckonable, plain
from libs.common.model.order import OrderRequest, OrderStatus
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from services.execution.config import ExecutionConfig
from services.execution.filters import (
    check_notional,
    check_orders_max,
    check_percent_price,
    check_price,
    check_quantity,
    check_status,
)
from services.execution.state import State, lock_key

NS_PER_MS = 1_000_000


class MarkSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest mark price heard: quote currency, and the market time it was made."""

    price: Decimal
    at_ns: int

    @property
    def is_usable(self) -> bool:
        """Whether the price is a number that can be reckoned with."""
        return is_reckonable(self.price)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a guard may look at.

    Attributes:
        order: already made to fit the filters, where the filters are known.
        unarmed: arming checks that have not passed; empty means armed.
        leverage: what the margin is reckoned with.
    """

    limits: ExecutionConfig
    state: State
    body: ApprovalBody
    order: OrderRequest
    instrument: Instrument | None
    mark: MarkSeen | None
    unarmed: tuple[str, ...]
    leverage: int
    now_ns: int


def _verdict(check: str, passed: bool, limit: str, observed: str, reason: Reason) -> Verdict:
    return Verdict(
        check=check,
        passed=passed,
        limit=limit,
        observed=observed,
        reason=None if passed else reason,
    )


def check_trading_state(question: Question) -> Verdict:
    """ACTIVE and armed lets everything through, REDUCING only exits, HALTED nothing."""
    state, exits = question.state.trading_state, question.order.reduce_only
    armed = not question.unarmed
    passed = (state is TradingState.ACTIVE and (armed or exits)) or (
        state is TradingState.REDUCING and exits
    )
    reason = Reason.REDUCE_ONLY if state is TradingState.REDUCING else Reason.TRADING_HALTED
    observed = str(state) if armed else f"{state}, not armed: {', '.join(question.unarmed)}"
    return _verdict("trading_state", passed, "ACTIVE, or REDUCING for exits", observed, reason)


def check_expiry(question: Question) -> Verdict:
    """The intent lives at this moment, not when it was queued."""
    left_ms = (question.body.expires_at_ns - question.now_ns) // NS_PER_MS
    return _verdict(
        "expiry", left_ms > 0, "above 0 ms left", f"{left_ms} ms left", Reason.INTENT_EXPIRED
    )


def check_lock(question: Question) -> Verdict:
    """No order in flight on this symbol and side (for at most ``lock_ms``)."""
    lock = question.state.locks.get(lock_key(question.order.symbol, question.order.side))
    free = lock is None or lock.until_ns <= question.now_ns
    observed = "free" if lock is None else f"held by {lock.client_order_id}"
    return _verdict("lock", free, f"{question.limits.lock_ms} ms at most", observed, Reason.LOCKED)


def check_quarantine(question: Question) -> Verdict:
    """No order of unknown outcome on the symbol: it may have become a position.

    An order recorded and not answered is one too, whichever life or replica sent it. Exits are
    exempt: reduce-only takes no new risk, and refusing it would trap the position.
    """
    if question.order.reduce_only:
        return _verdict(
            "quarantine", True, "no unknown order", "exempt: reduce-only", Reason.SYMBOL_QUARANTINED
        )
    unknown = [
        order.client_order_id
        for order in question.state.orders.values()
        if order.symbol == question.order.symbol
        and order.status in (OrderStatus.UNKNOWN, OrderStatus.RECORDED)
    ]
    return _verdict(
        "quarantine",
        not unknown,
        "no unknown order",
        ", ".join(unknown) or "none",
        Reason.SYMBOL_QUARANTINED,
    )


def check_filters_age(question: Question) -> Verdict:
    """The venue's filters are known for the symbol and recent."""
    limit = f"{question.limits.filters_age_ms_max} ms at most"
    if question.instrument is None:
        return _verdict("filters_age", False, limit, "symbol unknown", Reason.FILTERS_STALE)
    age_ms = (question.now_ns - question.state.instruments_at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.filters_age_ms_max
    return _verdict("filters_age", passed, limit, f"{age_ms} ms", Reason.FILTERS_STALE)


def check_mark_age(question: Question) -> Verdict:
    """A mark price was heard lately: notional and percent-price are reckoned with it."""
    limit = f"{question.limits.mark_age_ms_max} ms at most"
    if question.mark is None:
        return _verdict("mark_age", False, limit, "none heard", Reason.INPUT_STALE)
    age_ms = (question.now_ns - question.mark.at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.mark_age_ms_max and question.mark.is_usable
    observed = f"{age_ms} ms" if question.mark.is_usable else f"no price: {question.mark.price}"
    return _verdict("mark_age", passed, limit, observed, Reason.INPUT_STALE)


def check_account_age(question: Question) -> Verdict:
    """The venue stated the balance lately. Exits are exempt: they free margin."""
    limit = f"{question.limits.account_age_ms_max} ms at most"
    if question.order.reduce_only:
        return _verdict("account_age", True, limit, "exempt: reduce-only", Reason.ACCOUNT_STALE)
    if question.state.balance_at_ns == 0:
        return _verdict("account_age", False, limit, "never stated", Reason.ACCOUNT_STALE)
    age_ms = (question.now_ns - question.state.balance_at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.account_age_ms_max
    return _verdict("account_age", passed, limit, f"{age_ms} ms", Reason.ACCOUNT_STALE)


def check_margin(question: Question) -> Verdict:
    """available - reserved >= notional / leverage x buffer. Exits are exempt: they free margin."""
    if question.order.reduce_only:
        return _verdict("margin", True, "", "exempt: reduce-only", Reason.MARGIN_INSUFFICIENT)
    free = question.state.available_balance - question.state.margin_reserved()
    needed = margin_needed(question)
    if needed is None:
        return _verdict("margin", False, "", "no price", Reason.MARGIN_INSUFFICIENT)
    return _verdict(
        "margin",
        free >= needed,
        f"at least {plain(needed)}",
        f"{plain(free)} free",
        Reason.MARGIN_INSUFFICIENT,
    )


def margin_needed(question: Question) -> Decimal | None:
    """notional / leverage x buffer, at the worst of limit, mark and reference price."""
    prices = [question.body.reference_price]
    if question.order.price is not None:
        prices.append(question.order.price)
    if question.mark is not None:
        prices.append(question.mark.price)
    if not all(is_reckonable(price) for price in prices):
        return None
    notional = question.order.quantity * max(prices)
    return notional / question.leverage * question.limits.margin_buffer


def check_filters(question: Question) -> tuple[Verdict, ...]:
    """The venue's own rules for the symbol, where they and a mark price are known."""
    instrument, mark = question.instrument, question.mark
    if instrument is None or mark is None or not mark.is_usable:
        return ()  # filters_age or mark_age has refused already
    symbol = question.order.symbol
    open_orders = sum(order.symbol == symbol for order in question.state.open_orders())
    return (
        check_status(instrument),
        check_price(question.order, instrument),
        check_quantity(question.order, instrument),
        check_notional(question.order, instrument, mark.price),
        check_percent_price(question.order, instrument, mark.price),
        check_orders_max(open_orders, instrument),
    )


GUARDS: tuple[Callable[[Question], Verdict], ...] = (
    check_trading_state,
    check_expiry,
    check_lock,
    check_quarantine,
    check_filters_age,
    check_mark_age,
    check_account_age,
    check_margin,
)


def evaluate(question: Question) -> tuple[Verdict, ...]:
    """What every guard found, in order."""
    return (*(guard(question) for guard in GUARDS), *check_filters(question))
