"""Decides on one intent: size it, hold it against every check, approve or refuse. Pure.

``Board`` is what the decision looks at: the newest quote and mark of each symbol, the account as
execution last told it, and the entries approved here that may still be on their way.
"""

from decimal import Decimal

import msgspec

from libs.common.messages.account import AccountState
from libs.common.messages.intents import ApprovalBody
from libs.common.messages.market import Mark, MarketHealth, Quote
from libs.common.messages.vouching import FeedWords
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderRequest
from libs.common.model.risk_limits import fault_of
from libs.common.model.verdict import Reason, Verdict, first_reason
from services.risk.checks import Case, evaluate
from services.risk.config import LimitsConfig, SizingConfig
from services.risk.facts import Facts, is_figure, is_number
from services.risk.sizing import reference_price, size
from services.risk.slippage import predicted_bps


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an intent may not go on, and everything that was found."""

    reason: Reason
    verdicts: tuple[Verdict, ...]


def decide(
    limits: LimitsConfig,
    sizing: SizingConfig,
    facts: Facts,
    intent: Intent,
    *,
    account: str,
    now_ns: int,
    now_wall_ns: int,
    limits_change: int = 0,
) -> ApprovalBody | Refusal:
    """Approve or refuse an intent.

    Args:
        account: the trading account it is for.
        now_ns: market time.
        now_wall_ns: wall time, which is only written down.
        limits_change: the change that the limits are of, which is only written down.
    """
    price = reference_price(intent, facts)
    quantity = size(sizing, intent, facts)
    slippage_bps = None if quantity is None else predicted_bps(intent, quantity, facts.quote)
    verdicts = evaluate(
        Case(
            limits=limits.for_symbol(intent.symbol),
            facts=facts,
            intent=intent,
            quantity=quantity,
            price=price,
            slippage_bps=slippage_bps,
            now_ns=now_ns,
        )
    )
    reason = first_reason(verdicts)
    if reason is not None:
        return Refusal(reason=reason, verdicts=verdicts)
    # No check passes without them; if one ever did, this must stop the service, not trade.
    assert price is not None, "approved without a price"
    assert quantity is not None, "approved without a quantity"
    return ApprovalBody(
        account=account,
        intent=intent,
        order=_order(intent, quantity),
        reference_price=price,
        verdicts=verdicts,
        decided_at_ns=now_ns,
        decided_wall_ns=now_wall_ns,
        expires_at_ns=intent.expires_at_ns,
        slippage_predicted_bps=slippage_bps,
        limits_change=limits_change,
    )


def _order(intent: Intent, quantity: Decimal) -> OrderRequest:
    return OrderRequest(
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        quantity=quantity,
        price=intent.price,
        time_in_force=intent.time_in_force,
        reduce_only=intent.reduce_only,
        good_till_ms=intent.good_till_ms,
    )


class Board:
    """The newest of everything, by event time; what is older or impossible changes nothing."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self.marks: dict[str, Mark] = {}
        self.account: AccountState | None = None
        self.account_heard_ns = 0
        self.words = FeedWords()
        self._approved: dict[str, int] = {}

    def hear_quote(self, quote: Quote) -> bool:
        """Take a quote; returns whether it was believable."""
        if not (is_figure(quote.bid_price) and is_figure(quote.ask_price)):
            return False
        known = self.quotes.get(quote.symbol)
        if known is None or quote.ts_event_ns >= known.ts_event_ns:
            self.quotes[quote.symbol] = quote
        return True

    def hear_mark(self, mark: Mark) -> bool:
        """Take a mark price; returns whether it was believable."""
        if not is_figure(mark.mark_price):
            return False
        known = self.marks.get(mark.symbol)
        if known is None or mark.ts_event_ns >= known.ts_event_ns:
            self.marks[mark.symbol] = mark
        return True

    def hear_account(self, account: AccountState, heard_ns: int) -> bool:
        """Take execution's view, unless ours is newer; returns whether it was believable."""
        if not is_number(account.wallet_balance) or fault_of(account.limits.limits):
            return False
        known = self.account
        if known is None or account.journal_sequence >= known.journal_sequence:
            self.account = account
            self.account_heard_ns = heard_ns
        return True

    def hear_health(self, health: MarketHealth, heard_ns: int) -> bool:
        """Take what a feed says of its symbols; there is nothing in it that could not be."""
        self.words.hear(health, heard_ns)
        return True

    def remember(self, approved: ApprovalBody) -> None:
        """An approved entry counts as an open order until nobody may act on it any more."""
        if approved.intent.purpose is Purpose.ENTER:
            self.remember_entry(approved.intent.symbol, approved.expires_at_ns)

    def remember_entry(self, symbol: str, until_ns: int) -> None:
        """An entry may be under way in the symbol until then (market time)."""
        self._approved[symbol] = max(self._approved.get(symbol, 0), until_ns)

    def facts(self, symbol: str, *, now_ns: int, heard_now_ns: int) -> Facts:
        """What is known now.

        Args:
            now_ns: market time.
            heard_now_ns: the same clock that stamped ``hear_account`` and ``hear_health``.
        """
        self._approved = {name: ns for name, ns in self._approved.items() if ns > now_ns}
        silence_ns = heard_now_ns - self.account_heard_ns
        return Facts(
            quote=self.quotes.get(symbol),
            marks=dict(self.marks),
            account=self.account,
            account_silence_ms=None if self.account is None else silence_ns // 1_000_000,
            health=self.words.seen(symbol, heard_now_ns),
            symbols_approved=frozenset(self._approved),
        )
