"""A gate without its process: a state made of journaled events, facts, and what was decided.

Shared by the tests of the guards. A state is only ever changed by folding records.
"""

from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import (
    BalanceObserved,
    InstrumentsLoaded,
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from libs.common.testing.builders import (
    NOW_NS,
    S,
    a_record,
    an_approval,
    an_instrument,
    an_intent,
)
from services.execution.config import ExecutionConfig
from services.execution.core import Decision, Facts, decide_approval
from services.execution.fold import apply
from services.execution.question import MarkSeen
from services.execution.state import State
from sim.vouching import vouched

LIMITS = ExecutionConfig()
MS = 1_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT", "XRPUSDT", "SOLUSDT", "BNBUSDT", "LTCUSDT")


def fold(state: State, *events: JournalEvent, now_ns: int = NOW_NS) -> State:
    """Fold the events as one record, through the bytes that a journal would keep."""
    raw = encode(a_record(*events, now_ns=now_ns))
    apply(state, decode_struct(raw, JournalRecord))
    return state


def restarted(state: State) -> State:
    """The state as a snapshot brings it back."""
    return decode_struct(encode(state), State)


def a_balance(available: str = "10000", at_ns: int = NOW_NS) -> BalanceObserved:
    """The venue stated the balance."""
    return BalanceObserved(
        asset="USDT",
        wallet_balance=Decimal(available),
        available_balance=Decimal(available),
        observed_at_ns=at_ns,
    )


def a_ready_state(available: str = "10000", symbols: tuple[str, ...] = SYMBOLS) -> State:
    """Active, with filters, leverage 10 and a balance, all of them a second old."""
    return fold(
        State(),
        TradingStateChanged(state=TradingState.ACTIVE, actor="test", reason="ready"),
        InstrumentsLoaded(
            instruments=tuple(an_instrument(symbol=symbol) for symbol in symbols),
            loaded_at_ns=NOW_NS,
        ),
        *(
            LeverageAsserted(symbol=symbol, leverage=10, margin_type="CROSSED")
            for symbol in symbols
        ),
        a_balance(available),
    )


def refreshed(state: State, at_ns: int, available: str = "10000") -> State:
    """The balance and the filters are as old as a moment ago, whatever the time is."""
    instruments = InstrumentsLoaded(
        instruments=tuple(state.instruments.values()), loaded_at_ns=at_ns
    )
    return fold(state, instruments, a_balance(available, at_ns), now_ns=at_ns)


def facts(now_ns: int = NOW_NS + S, **changes: Any) -> Facts:
    """All is well: the mark is as young as can be and nothing holds us back."""
    usual = Facts(
        now_ns=now_ns,
        venue_timestamp_ms=now_ns // MS,
        recv_window_ms=5_000,
        mark=MarkSeen(price=Decimal("60000.00"), at_ns=now_ns),
        health=vouched("BTCUSDT"),
        unarmed=(),
        account="paper",
        writer="w1",
    )
    return msgspec.structs.replace(usual, **changes)


def an_entry(name: str = "entry", at_ns: int = NOW_NS, **changes: Any) -> Intent:
    """A wish to enter, made at a moment."""
    lives = {"created_at_ns": at_ns, "expires_at_ns": at_ns + 60 * S}
    return an_intent(candle_id=name, **{**lives, **changes})


def an_exit(name: str = "exit", at_ns: int = NOW_NS, **changes: Any) -> Intent:
    """A wish to leave, made at a moment."""
    return an_entry(name, at_ns, **{"purpose": Purpose.EXIT, "side": Side.SELL, **changes})


def decide(
    state: State,
    approval: ApprovedIntent | Intent | None = None,
    *,
    limits: ExecutionConfig = LIMITS,
    **changes: Any,
) -> Decision:
    """What the gate decides on an approval (of an intent) when these are the facts."""
    if not isinstance(approval, ApprovedIntent):
        approval = an_approval(approval)
    return decide_approval(limits, state, approval, facts(**changes))


def outcome_of(decision: Decision) -> OrderRecorded | IntentRefusedByGate:
    """The one event that settles the intent; it is the first of the append."""
    first, *others = decision.events
    assert isinstance(first, OrderRecorded | IntentRefusedByGate)
    assert not any(isinstance(other, OrderRecorded | IntentRefusedByGate) for other in others)
    return first


def holds_of(decision: Decision) -> tuple[JournalEvent, ...]:
    """What the same append starts besides."""
    return decision.events[1:]


def reason_of(decision: Decision) -> Reason | None:
    """Why it was refused; ``None`` if it was let through."""
    event = outcome_of(decision)
    return None if isinstance(event, OrderRecorded) else event.reason


def verdict_of(decision: Decision, check: str) -> Verdict:
    """What one guard found."""
    (verdict,) = [one for one in outcome_of(decision).verdicts if one.check == check]
    return verdict


def failed(decision: Decision) -> set[str]:
    """The guards that did not let it through."""
    return {one.check for one in outcome_of(decision).verdicts if not one.passed}


def recorded(state: State, intent: Intent, **changes: Any) -> OrderRecorded:
    """Decide on an intent that passes, and fold the record."""
    decision = decide(state, intent, **changes)
    event = outcome_of(decision)
    assert isinstance(event, OrderRecorded), event
    fold(state, *decision.events, now_ns=changes.get("now_ns", NOW_NS + S))
    return event


def answered(
    state: State, order: OrderRecorded, now_ns: int, status: OrderStatus = OrderStatus.FILLED
) -> State:
    """The venue took the order."""
    answer = OrderAnswered(
        client_order_id=order.client_order_id,
        venue_order_id=7,
        status=status,
        cumulative_quantity=order.order.quantity,
    )
    return fold(state, answer, now_ns=now_ns)
