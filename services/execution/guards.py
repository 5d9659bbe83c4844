"""The guards, in order. Each is a pure look-up in the folded state; all of them are evaluated.

A guard that cannot see what it needs refuses (promise P6); so does one whose figure comes from the
future by more than its age may be, because then a clock jumped and the age means nothing. Limits
exempt reduce-only exits where a refusal would trap a position; every exemption says so.
"""

from collections.abc import Callable
from decimal import Decimal

from libs.common.messages.vouching import judge_health, limit_text
from libs.common.model.money import is_reckonable, plain
from libs.common.model.order import OrderType
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from services.execution.filters import (
    check_notional,
    check_orders_max,
    check_percent_price,
    check_price,
    check_protection,
    check_quantity,
    check_status,
)
from services.execution.holds import (
    check_budget,
    check_cooldown_global,
    check_cooldown_symbol,
    check_latches,
    check_lock,
    check_rate_global,
    check_rate_symbol,
    check_safe_mode,
)
from services.execution.question import NS_PER_MS, Question, exempt, judge


def check_trading_state(question: Question) -> Verdict:
    """ACTIVE and armed lets everything through, REDUCING only exits, HALTED nothing."""
    state, exits = question.state.trading_state, question.order.reduce_only
    armed = not question.unarmed
    passed = (state is TradingState.ACTIVE and (armed or exits)) or (
        state is TradingState.REDUCING and exits
    )
    reason = Reason.REDUCE_ONLY if state is TradingState.REDUCING else Reason.TRADING_HALTED
    observed = str(state) if armed else f"{state}, not armed: {', '.join(question.unarmed)}"
    return judge("trading_state", passed, "ACTIVE, or REDUCING for exits", observed, reason)


def check_expiry(question: Question) -> Verdict:
    """The intent lives at this moment, not when it was queued."""
    left_ms = (expires_at_ns(question) - question.now_ns) // NS_PER_MS
    return judge(
        "expiry", left_ms > 0, "above 0 ms left", f"{left_ms} ms left", Reason.INTENT_EXPIRED
    )


def expires_at_ns(question: Question) -> int:
    """When the order may no longer be sent: what risk signed, or our own bound if that is sooner.

    A market order follows a price that moves, so it may live less long than a limit order.
    """
    is_market = question.order.order_type is OrderType.MARKET
    limits = question.limits
    ttl_ms = limits.intent_ttl_market_ms if is_market else limits.intent_ttl_limit_ms
    return min(question.body.expires_at_ns, question.body.intent.created_at_ns + ttl_ms * NS_PER_MS)


def check_drift(question: Question) -> Verdict:
    """The mark is still near the price the strategy decided on. Exits are exempt."""
    limit = f"{plain(question.limits.price_drift_max)} of the reference price at most"
    if question.order.reduce_only:
        return exempt("drift", limit)
    reference = question.body.intent.reference_price
    mark = question.mark
    if mark is None or not (mark.is_usable and is_reckonable(reference)):
        return judge("drift", False, limit, "no price to compare", Reason.PRICE_DRIFT)
    allowed = reference * question.limits.price_drift_max
    passed = abs(mark.price - reference) <= allowed
    observed = f"mark {plain(mark.price)}, reference {plain(reference)}"
    return judge("drift", passed, limit, observed, Reason.PRICE_DRIFT)


def check_quarantine(question: Question) -> Verdict:
    """No order of unknown outcome on the symbol: it may have become a position.

    An order recorded and not answered is one too, whichever life or replica sent it. Exits are
    exempt: reduce-only takes no new risk, and refusing it would trap the position.
    """
    if question.order.reduce_only:
        return exempt("quarantine", "no unknown order")
    unknown = [
        order.client_order_id
        for order in question.state.live_orders()
        if order.is_in_doubt
        and order.symbol == question.order.symbol
        and not question.is_own(order.intent_id)
    ]
    return judge(
        "quarantine",
        not unknown,
        "no unknown order",
        ", ".join(unknown) or "none",
        Reason.SYMBOL_QUARANTINED,
    )


def check_filters_age(question: Question) -> Verdict:
    """The venue's filters are known for the symbol and recent. Exits may use old ones."""
    limit = f"{question.limits.filters_age_ms_max} ms at most"
    if question.instrument is None:
        return judge("filters_age", False, limit, "symbol unknown", Reason.FILTERS_STALE)
    if question.order.reduce_only:
        return exempt("filters_age", limit)
    age_ms = (question.now_ns - question.state.instruments_at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.filters_age_ms_max
    return judge("filters_age", passed, limit, f"{age_ms} ms", Reason.FILTERS_STALE)


def check_mark_age(question: Question) -> Verdict:
    """A mark price was heard lately: notional and percent-price are reckoned with it.

    Market exits are exempt: they need no price, and a silent feed must not trap a position.
    """
    limit = f"{question.limits.mark_age_ms_max} ms at most"
    if question.order.reduce_only and question.order.order_type is OrderType.MARKET:
        return exempt("mark_age", limit)
    if question.mark is None:
        return judge("mark_age", False, limit, "none heard", Reason.INPUT_STALE)
    age_ms = (question.now_ns - question.mark.at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.mark_age_ms_max and question.mark.is_usable
    observed = f"{age_ms} ms" if question.mark.is_usable else f"no price: {question.mark.price}"
    return judge("mark_age", passed, limit, observed, Reason.INPUT_STALE)


def check_market_health(question: Question) -> Verdict:
    """The feed vouches for the symbol, and did so lately: all of its data, not the mark alone.

    Risk asked the same before it approved; an approval may wait longer than a feed takes to fail.
    Exits are exempt: whatever the feed does, the position is to be left.
    """
    silence_ms_max = question.limits.health_silence_ms_max
    limit = limit_text(silence_ms_max)
    if question.order.reduce_only:
        return exempt("market_health", limit)
    reason, observed = judge_health(question.health, silence_ms_max)
    return judge("market_health", reason is None, limit, observed, reason or Reason.INPUT_STALE)


def check_account_age(question: Question) -> Verdict:
    """The venue stated the balance lately. Exits are exempt: they free margin."""
    limit = f"{question.limits.account_age_ms_max} ms at most"
    if question.order.reduce_only:
        return exempt("account_age", limit)
    if question.state.balance_at_ns == 0:
        return judge("account_age", False, limit, "never stated", Reason.ACCOUNT_STALE)
    age_ms = (question.now_ns - question.state.balance_at_ns) // NS_PER_MS
    passed = abs(age_ms) <= question.limits.account_age_ms_max
    return judge("account_age", passed, limit, f"{age_ms} ms", Reason.ACCOUNT_STALE)


def check_margin(question: Question) -> Verdict:
    """available - reserved >= notional / leverage x buffer. Exits are exempt: they free margin."""
    if question.order.reduce_only:
        return exempt("margin", "")
    reserved = sum(
        order.margin_reserved
        for order in question.state.live_orders()
        if not question.is_own(order.intent_id)
    )
    free = question.state.available_balance - reserved
    needed = margin_needed(question)
    if needed is None:
        return judge("margin", False, "", "no price", Reason.INPUT_STALE)
    return judge(
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
    """The venue's own rules for the symbol, where they are known, and those for prices too."""
    instrument, mark, order = question.instrument, question.mark, question.order
    if instrument is None:
        return ()  # filters_age has refused already
    open_orders = sum(held.symbol == order.symbol for held in question.state.open_orders())
    verdicts = (
        check_status(order, instrument),
        check_price(order, instrument),
        check_quantity(order, instrument),
        *check_protection(question.body.intent, order, instrument),
        check_orders_max(open_orders, instrument),
    )
    if mark is None or not mark.is_usable:
        return verdicts  # mark_age has refused already, or it is a market exit
    return (
        *verdicts,
        check_notional(order, instrument, mark.price),
        check_percent_price(order, instrument, mark.price),
    )


GUARDS: tuple[Callable[[Question], Verdict], ...] = (
    check_trading_state,
    check_safe_mode,
    check_latches,
    check_expiry,
    check_drift,
    check_cooldown_global,
    check_cooldown_symbol,
    check_lock,
    check_quarantine,
    check_rate_symbol,
    check_rate_global,
    check_budget,
    check_filters_age,
    check_mark_age,
    check_market_health,
    check_account_age,
    check_margin,
)


#: What may have changed between the append and the send, and then stops the order at the door.
LAST_LOOK: tuple[Callable[[Question], Verdict], ...] = (
    check_trading_state,
    check_safe_mode,
    check_latches,
    check_expiry,
    check_drift,
    check_cooldown_global,
    check_cooldown_symbol,
    check_market_health,
)


def evaluate(question: Question) -> tuple[Verdict, ...]:
    """What every guard found, in order."""
    return (*(guard(question) for guard in GUARDS), *check_filters(question))
