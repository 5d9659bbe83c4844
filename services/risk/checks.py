"""The checks, one function each, in the order in which their reasons count. All are evaluated.

A check passes on proof only: what is not known, not a number or too old is a refusal. Limits on
how much may be held do not bind an exit, since refusing it would trap the position they are about.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from libs.common.messages.vouching import UNKNOWN, judge_health, limit_text
from libs.common.model.intent import Intent, Purpose
from libs.common.model.money import ZERO, plain
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from services.risk.config import LimitsConfig
from services.risk.facts import Facts, daily_loss, is_figure, is_number
from services.risk.sizing import notional
from services.risk.slippage import spread_bps

NS_PER_MS = 1_000_000


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged: an intent with its size and price, in the light of the facts.

    Attributes:
        quantity: base units to order; ``None`` where it could not be determined.
        price: quote currency per unit it is reckoned at; ``None`` where it is not known.
        slippage_bps: how much worse than its reference price it is expected to fill; ``None`` where
            it cannot be told.
        now_ns: market time.
    """

    limits: LimitsConfig
    facts: Facts
    intent: Intent
    quantity: Decimal | None
    price: Decimal | None
    slippage_bps: Decimal | None
    now_ns: int

    @property
    def is_exit(self) -> bool:
        """Whether it gives risk back."""
        return self.intent.purpose is Purpose.EXIT

    @property
    def notional(self) -> Decimal | None:
        """Quote currency of the order; ``None`` where quantity or price is not known."""
        if self.quantity is None or self.price is None:
            return None
        if not is_number(self.quantity) or not is_figure(self.price):
            return None
        return notional(self.quantity, self.price)


def trading_state(case: Case) -> Verdict:
    """ACTIVE and armed lets all pass, REDUCING and unarmed only exits, HALTED nothing."""
    account = case.facts.account
    if account is None:
        return _verdict("trading_state", False, Reason.ACCOUNT_STALE, "ACTIVE", UNKNOWN)
    observed = account.trading_state.value
    if account.trading_state is TradingState.HALTED:
        return _verdict("trading_state", False, Reason.TRADING_HALTED, "ACTIVE", observed)
    if case.is_exit:
        return _verdict("trading_state", True, None, "ACTIVE or REDUCING", observed)
    if not account.armed:
        observed = f"{observed}, not armed: {', '.join(account.unarmed_reasons)}"
        return _verdict("trading_state", False, Reason.TRADING_HALTED, "ACTIVE, armed", observed)
    is_active = account.trading_state is TradingState.ACTIVE
    return _verdict("trading_state", is_active, Reason.REDUCE_ONLY, "ACTIVE", observed)


def intent_expiry(case: Case) -> Verdict:
    """The intent is still wanted."""
    left_ms = (case.intent.expires_at_ns - case.now_ns) // NS_PER_MS
    is_alive = case.now_ns < case.intent.expires_at_ns
    return _verdict("intent_expiry", is_alive, Reason.INTENT_EXPIRED, "> 0 ms", f"{left_ms} ms")


def intent_lifetime(case: Case) -> Verdict:
    """It was not made in the future, and not for longer than an intent may live."""
    limits = case.limits
    ttl_ms = (case.intent.expires_at_ns - case.intent.created_at_ns) // NS_PER_MS
    lead_ms = (case.intent.created_at_ns - case.now_ns) // NS_PER_MS
    return _verdict(
        "intent_lifetime",
        ttl_ms <= limits.intent_ttl_ms_max and lead_ms <= limits.event_lead_ms_max,
        Reason.INTENT_INVALID,
        f"ttl {limits.intent_ttl_ms_max} ms, lead {limits.event_lead_ms_max} ms",
        f"ttl {ttl_ms} ms, lead {lead_ms} ms",
    )


def intent_protection(case: Case) -> Verdict:
    """A stop lies where the entry loses and a target where it gains; an exit carries neither.

    Of a limit order its own price counts, since it fills there; of a market order what the strategy
    saw, and the mark price as it is now.
    """
    intent, mark = case.intent, case.facts.marks.get(case.intent.symbol)
    prices = [intent.reference_price if intent.price is None else intent.price]
    if intent.price is None and mark is not None:
        prices.append(mark.mark_price)
    faults = dict.fromkeys(fault for price in prices for fault in intent.protection_faults(price))
    observed = "; ".join(faults) or "none wrong"
    limit = "stop and target on their sides of the price"
    return _verdict("intent_protection", not faults, Reason.INTENT_INVALID, limit, observed)


def quote_age(case: Case) -> Verdict:
    """The best bid and ask are recent by their own time, and make sense."""
    quote = case.facts.quote
    is_sound = spread_bps(quote) is not None
    event_ns = quote.ts_event_ns if quote is not None and is_sound else None
    return _age(case, "quote_age", event_ns, case.limits.quote_age_ms_max)


def mark_age(case: Case) -> Verdict:
    """The mark price is recent by its own time, and makes sense."""
    mark = case.facts.marks.get(case.intent.symbol)
    event_ns = mark.ts_event_ns if mark is not None and is_figure(mark.mark_price) else None
    return _age(case, "mark_age", event_ns, case.limits.mark_age_ms_max)


def _age(case: Case, name: str, event_ns: int | None, age_ms_max: int) -> Verdict:
    limit = f"{age_ms_max} ms"
    if event_ns is None:
        return _verdict(name, False, Reason.INPUT_STALE, limit, UNKNOWN)
    age_ms = (case.now_ns - event_ns) // NS_PER_MS
    is_fresh = -case.limits.event_lead_ms_max <= age_ms <= age_ms_max
    return _verdict(name, is_fresh, Reason.INPUT_STALE, limit, f"{age_ms} ms")


def symbol_trades(case: Case) -> Verdict:
    """The feed vouches for the symbol: its data is fresh, and the venue says that it trades.

    An exit is not held back by it: its own data is checked, and what trades is the venue's to say.
    """
    if case.is_exit:
        return _verdict("symbol_trades", True, None, "entries only", "an exit")
    silence_ms_max = case.limits.health_silence_ms_max
    reason, observed = judge_health(case.facts.health, silence_ms_max)
    return _verdict("symbol_trades", reason is None, reason, limit_text(silence_ms_max), observed)


def account_silence(case: Case) -> Verdict:
    """Execution said not long ago how the account stands."""
    limit_ms = case.limits.account_silence_ms_max
    silence_ms = None if case.facts.account is None else case.facts.account_silence_ms
    is_fresh = silence_ms is not None and 0 <= silence_ms <= limit_ms
    observed = UNKNOWN if silence_ms is None else f"{silence_ms} ms"
    return _verdict("account_silence", is_fresh, Reason.ACCOUNT_STALE, f"{limit_ms} ms", observed)


def symbol_allowed(case: Case) -> Verdict:
    """The symbol is on the list; an empty list allows none. What is held may be given back."""
    allowed = case.limits.symbols_allowed
    if case.is_exit:
        return _verdict("symbol_allowed", True, None, "entries only", case.intent.symbol)
    return _verdict(
        "symbol_allowed",
        case.intent.symbol in allowed,
        Reason.SYMBOL_NOT_ALLOWED,
        ", ".join(allowed) or "none",
        case.intent.symbol,
    )


def exit_position(case: Case) -> Verdict:
    """An exit needs a position, and closes it: it buys back a short or sells a long."""
    held = case.facts.position_quantity(case.intent.symbol)
    if not case.is_exit:
        return _verdict("exit_position", True, None, "exits only", "an entry")
    gives_back = held is not None and held * case.intent.side.sign < ZERO
    return _verdict(
        "exit_position",
        gives_back,
        Reason.POSITION_ABSENT,
        f"a position that {case.intent.side} reduces",
        _text(held),
    )


def order_size(case: Case) -> Verdict:
    """There is something to order."""
    is_some = case.quantity is not None and is_figure(case.quantity)
    return _verdict("order_size", is_some, Reason.SIZE_ZERO, "> 0", _text(case.quantity))


def order_notional(case: Case) -> Verdict:
    """One order does not take more risk than one order may."""
    limit = case.limits.order_notional_max
    value = case.notional
    is_within = case.is_exit or (value is not None and value <= limit)
    return _verdict(
        "order_notional", is_within, Reason.ORDER_NOTIONAL, _limit(case, limit), _text(value)
    )


def position_notional(case: Case) -> Verdict:
    """The position after the order is not larger than a position may be."""
    limit = case.limits.position_notional_max
    held = case.facts.position_quantity(case.intent.symbol)
    value: Decimal | None = None
    if not (held is None or case.notional is None or case.price is None or case.quantity is None):
        after = held + case.quantity * case.intent.side.sign
        value = notional(after.copy_abs(), case.price)
    is_within = case.is_exit or (value is not None and value <= limit)
    return _verdict(
        "position_notional", is_within, Reason.POSITION_NOTIONAL, _limit(case, limit), _text(value)
    )


def positions_count(case: Case) -> Verdict:
    """The entry does not open one symbol too many."""
    limit = case.limits.positions_max
    account = case.facts.account
    if account is None:
        return _verdict(
            "positions_count", case.is_exit, Reason.POSITIONS_MAX, _limit(case, limit), UNKNOWN
        )
    symbols = {position.symbol for position in account.positions if not position.quantity.is_zero()}
    symbols |= {order.symbol for order in account.orders if not order.reduce_only}
    symbols |= case.facts.symbols_approved | {case.intent.symbol}
    is_within = case.is_exit or len(symbols) <= limit
    return _verdict(
        "positions_count", is_within, Reason.POSITIONS_MAX, _limit(case, limit), str(len(symbols))
    )


def position_duplicate(case: Case) -> Verdict:
    """The entry does not repeat itself: no such position, no open order, no approval under way."""
    limit = "no position this way, no order under way"
    if case.is_exit:
        return _verdict("position_duplicate", True, None, "entries only", "an exit")
    symbol = case.intent.symbol
    account = case.facts.account
    held = case.facts.position_quantity(symbol)
    if account is None or held is None:
        return _verdict("position_duplicate", False, Reason.POSITION_DUPLICATE, limit, UNKNOWN)
    found = [f"order {order.status}" for order in account.orders if order.symbol == symbol]
    if symbol in case.facts.symbols_approved:
        found.append("approved entry")
    if held * case.intent.side.sign > ZERO:
        found.append(f"position {plain(held)}")
    observed = ", ".join(found) or "none"
    return _verdict("position_duplicate", not found, Reason.POSITION_DUPLICATE, limit, observed)


def day_loss(case: Case) -> Verdict:
    """The day has not cost too much already: fills, commission, funding and liquidation fees.

    Commission in another asset is told apart: its worth in the quote currency is not known here.
    """
    limit = case.limits.daily_loss_max
    account = case.facts.account
    loss = daily_loss(account)
    observed = _text(loss)
    if account is not None and account.pnl_day is not None:
        apart = account.pnl_day.commission_other.items()
        observed += "".join(f", and {_text(amount)} {asset} paid apart" for asset, amount in apart)
    is_within = case.is_exit or (loss is not None and loss < limit)
    return _verdict("day_loss", is_within, Reason.DAILY_LOSS, _limit(case, limit), observed)


def spread(case: Case) -> Verdict:
    """Bid and ask are not so far apart that crossing between them costs more than it may.

    An exit is not held back by it, nor by the slippage: a market that is thin is one to leave.
    """
    observed_bps, limit_bps = spread_bps(case.facts.quote), case.limits.spread_bps_max
    reason = Reason.INPUT_STALE if observed_bps is None else Reason.SPREAD
    is_within = case.is_exit or (observed_bps is not None and observed_bps <= limit_bps)
    return _verdict("spread", is_within, reason, _limit_bps(case, limit_bps), _bps(observed_bps))


def slippage(case: Case) -> Verdict:
    """The order is not expected to fill much worse than at the price its strategy decided on.

    Where that cannot be told it is refused: without a quote, or beyond every book (see
    ``services.risk.slippage``).
    """
    observed_bps, limit_bps = case.slippage_bps, case.limits.slippage_bps_max
    is_blind = spread_bps(case.facts.quote) is None
    reason = Reason.INPUT_STALE if is_blind else Reason.SLIPPAGE
    is_within = not is_blind and observed_bps is not None and observed_bps <= limit_bps
    return _verdict(
        "slippage",
        case.is_exit or is_within,
        reason,
        _limit_bps(case, limit_bps),
        _bps(observed_bps),
    )


CHECKS: tuple[Callable[[Case], Verdict], ...] = (
    trading_state,
    intent_expiry,
    intent_lifetime,
    intent_protection,
    quote_age,
    mark_age,
    symbol_trades,
    account_silence,
    symbol_allowed,
    day_loss,
    exit_position,
    position_duplicate,
    order_size,
    order_notional,
    position_notional,
    positions_count,
    spread,
    slippage,
)


def evaluate(case: Case) -> tuple[Verdict, ...]:
    """The verdict of every check, in order."""
    return tuple(check(case) for check in CHECKS)


def _verdict(check: str, passed: bool, reason: Reason | None, limit: str, observed: str) -> Verdict:
    return Verdict(
        check=check,
        passed=passed,
        limit=limit,
        observed=observed,
        reason=None if passed else reason,
    )


def _text(value: Decimal | None) -> str:
    return plain(value) if value is not None and value.is_finite() else UNKNOWN


def _limit(case: Case, limit: Decimal | int) -> str:
    return "none for an exit" if case.is_exit else str(limit)


def _bps(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{plain(value)} bps"


def _limit_bps(case: Case, limit: Decimal) -> str:
    return "none for an exit" if case.is_exit else f"{plain(limit)} bps"
