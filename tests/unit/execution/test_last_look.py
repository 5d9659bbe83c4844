"""The last look before the bytes leave, and what keeps margin reserved after they did."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from libs.common.messages.guard_events import (
    CooldownScope,
    CooldownStarted,
    LatchKind,
    SafeModeEntered,
    VenueLatched,
)
from libs.common.messages.journal import (
    BalanceObserved,
    JournalEvent,
    OrderAnswered,
    OrderBecameUnknown,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.messages.vouching import HealthSeen
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import NOW_NS, S, a_record, an_intent, an_order
from services.execution.config import ExecutionConfig
from services.execution.core import Facts, may_send
from services.execution.fold import apply
from services.execution.question import MarkSeen
from services.execution.state import State
from sim.vouching import vouched

LIMITS = ExecutionConfig()
FACTS = Facts(
    now_ns=NOW_NS + S,
    venue_timestamp_ms=0,
    recv_window_ms=5000,
    mark=MarkSeen(price=Decimal(60000), at_ns=NOW_NS),
    health=vouched("BTCUSDT"),
    unarmed=(),
    writer="w1",
)
COID = "pc-order-1"


def recorded(**changes: Any) -> OrderRecorded:
    intent = an_intent(**changes)
    return OrderRecorded(
        client_order_id=COID,
        attempt=1,
        intent=intent,
        order=an_order(intent),
        reference_price=Decimal(60000),
        margin_reserved=Decimal(150),
        timestamp_ms=NOW_NS // 1_000_000,
        recv_window_ms=5000,
        lock_until_ns=NOW_NS + 30 * S,
        verdicts_risk=(),
        verdicts=(),
        writer="w1",
        expires_at_ns=intent.expires_at_ns,
    )


def an_exit() -> OrderRecorded:
    return recorded(purpose=Purpose.EXIT, side=Side.SELL)


def state_with(event: OrderRecorded, trading_state: TradingState = TradingState.ACTIVE) -> State:
    state = State()
    changed = TradingStateChanged(state=trading_state, actor="test", reason="drill")
    apply(state, a_record(event, changed))
    return state


def why_not(state: State, **changes: Any) -> str:
    return may_send(LIMITS, state, COID, msgspec.structs.replace(FACTS, **changes))


def test_an_order_that_waits_and_lives_may_be_sent() -> None:
    assert why_not(state_with(recorded())) == ""


def test_a_halt_between_the_record_and_the_send_stops_the_order_and_exits_too() -> None:
    for event in (recorded(), an_exit()):
        assert "TRADING_HALTED" in why_not(state_with(event, TradingState.HALTED))


def test_a_halt_that_is_on_its_way_into_the_journal_stops_it_already() -> None:
    assert "halted" in why_not(state_with(recorded()), is_closing=True)


def test_reducing_between_the_record_and_the_send_stops_entries_only() -> None:
    assert "REDUCE_ONLY" in why_not(state_with(recorded(), TradingState.REDUCING))
    assert why_not(state_with(an_exit(), TradingState.REDUCING)) == ""


def test_what_disarms_us_between_the_record_and_the_send_stops_entries_only() -> None:
    down = ("user_stream: down",)
    assert "TRADING_HALTED" in why_not(state_with(recorded()), unarmed=down)
    assert why_not(state_with(an_exit()), unarmed=down) == ""


def test_an_intent_that_expired_after_it_was_recorded_is_not_sent() -> None:
    event = recorded()
    state = state_with(event)
    assert "INTENT_EXPIRED" in why_not(state, now_ns=event.intent.expires_at_ns)
    assert why_not(state, now_ns=event.intent.expires_at_ns - 1_000_000) == ""


@pytest.mark.parametrize(("price", "sent"), [("60600", True), ("60600.01", False)])
def test_a_price_that_ran_away_after_it_was_recorded_stops_entries_only(
    price: str, sent: bool
) -> None:
    mark = MarkSeen(price=Decimal(price), at_ns=NOW_NS + S)
    assert ("PRICE_DRIFT" not in why_not(state_with(recorded()), mark=mark)) is sent
    assert why_not(state_with(an_exit()), mark=mark) == ""


@pytest.mark.parametrize(
    "unsaid", [None, HealthSeen(health=vouched("BTCUSDT").health, silence_ms=5_001)]
)
def test_a_feed_that_vouches_no_more_after_it_was_recorded_stops_entries_only(
    unsaid: HealthSeen | None,
) -> None:
    assert "INPUT_STALE" in why_not(state_with(recorded()), health=unsaid)
    assert why_not(state_with(an_exit()), health=unsaid) == ""


@pytest.mark.parametrize(
    ("hold", "reason"),
    [
        (
            CooldownStarted(
                scope=CooldownScope.SYMBOL, symbol="BTCUSDT", until_ns=NOW_NS + 9 * S, cause="c"
            ),
            "COOLDOWN_SYMBOL",
        ),
        (
            CooldownStarted(
                scope=CooldownScope.GLOBAL, symbol="", until_ns=NOW_NS + 9 * S, cause="c"
            ),
            "COOLDOWN_GLOBAL",
        ),
        (SafeModeEntered(until_ns=NOW_NS + 9 * S, refusals=5, window_ms=1), "SAFE_MODE"),
        (
            VenueLatched(kind=LatchKind.OVERLOADED, until_ns=NOW_NS + 9 * S, why="busy"),
            "VENUE_OVERLOADED",
        ),
        (
            VenueLatched(kind=LatchKind.ORDER_LIMIT, until_ns=NOW_NS + 9 * S, why="many"),
            "VENUE_BANNED",
        ),
    ],
)
def test_a_hold_that_began_after_it_was_recorded_stops_entries_only(
    hold: JournalEvent, reason: str
) -> None:
    entry, way_out = state_with(recorded()), state_with(an_exit())
    for state in (entry, way_out):
        apply(state, a_record(hold))
    assert reason in why_not(entry)
    assert why_not(way_out) == ""


@pytest.mark.parametrize("kind", [LatchKind.BANNED, LatchKind.REQUEST_LIMIT])
def test_a_ban_that_began_after_it_was_recorded_stops_exits_too(kind: LatchKind) -> None:
    latch = VenueLatched(kind=kind, until_ns=NOW_NS + 9 * S, why="418")
    for event in (recorded(), an_exit()):
        state = state_with(event)
        apply(state, a_record(latch))
        assert "VENUE_BANNED" in why_not(state)
        assert "VENUE_BANNED" in why_not(state, now_ns=NOW_NS + 4 * S)


def test_an_order_in_doubt_is_not_sent() -> None:
    state = state_with(recorded())
    apply(state, a_record(OrderBecameUnknown(client_order_id=COID, why="a restart")))
    assert why_not(state)


def test_an_order_of_another_process_or_of_nobody_is_not_sent() -> None:
    assert why_not(state_with(recorded()), writer="w2")
    assert why_not(State())


@pytest.mark.parametrize(("asked_after_s", "left"), [(-1, "150"), (0, "150"), (1, "0")])
def test_margin_stays_reserved_until_a_balance_was_asked_for_after_the_answer(
    asked_after_s: int, left: str
) -> None:
    event = recorded()
    state = state_with(event)
    balance = BalanceObserved(
        asset="USDT",
        wallet_balance=Decimal(10_000),
        available_balance=Decimal(10_000),
        observed_at_ns=NOW_NS + asked_after_s * S,
    )
    unanswered = state_with(event)
    apply(unanswered, a_record(balance))
    assert unanswered.margin_reserved() == 150
    answer = OrderAnswered(
        client_order_id=event.client_order_id,
        venue_order_id=1,
        status=OrderStatus.FILLED,
        cumulative_quantity=event.order.quantity,
    )
    apply(state, a_record(answer))
    apply(state, a_record(balance))
    assert state.margin_reserved() == Decimal(left)


def test_a_reduction_on_its_way_into_the_journal_stops_entries_and_lets_exits_through() -> None:
    assert "reduced" in why_not(state_with(recorded()), is_closing_to_entries=True)
    assert why_not(state_with(an_exit()), is_closing_to_entries=True) == ""
