"""The last look before the bytes leave, and what keeps margin reserved after they did."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from libs.common.messages.journal import (
    BalanceObserved,
    OrderAnswered,
    OrderBecameUnknown,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import NOW_NS, S, a_record, an_intent, an_order
from services.execution.core import Facts, may_send
from services.execution.state import State, apply

FACTS = Facts(now_ns=NOW_NS + S, venue_timestamp_ms=0, recv_window_ms=5000, mark=None, unarmed=())


def recorded(**changes: Any) -> OrderRecorded:
    intent = an_intent(**changes)
    return OrderRecorded(
        client_order_id="pc-order-1",
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
    )


def state_with(event: OrderRecorded, trading_state: TradingState = TradingState.ACTIVE) -> State:
    state = State()
    changed = TradingStateChanged(state=trading_state, actor="test", reason="drill")
    apply(state, a_record(event, changed))
    return state


def test_an_order_that_waits_and_lives_may_be_sent() -> None:
    event = recorded()
    assert may_send(state_with(event), event, FACTS) == ""


def test_a_halt_between_the_record_and_the_send_stops_the_order_and_exits_too() -> None:
    for purpose, side in ((Purpose.ENTER, Side.BUY), (Purpose.EXIT, Side.SELL)):
        event = recorded(purpose=purpose, side=side)
        assert "halted: drill" in may_send(state_with(event, TradingState.HALTED), event, FACTS)


def test_reducing_between_the_record_and_the_send_stops_entries_only() -> None:
    entry, way_out = recorded(), recorded(purpose=Purpose.EXIT, side=Side.SELL)
    assert "reduced: drill" in may_send(state_with(entry, TradingState.REDUCING), entry, FACTS)
    assert may_send(state_with(way_out, TradingState.REDUCING), way_out, FACTS) == ""


def test_an_intent_that_expired_after_it_was_recorded_is_not_sent() -> None:
    event = recorded()
    late = msgspec.structs.replace(FACTS, now_ns=event.intent.expires_at_ns)
    assert "expired" in may_send(state_with(event), event, late)


def test_an_order_in_doubt_is_not_sent() -> None:
    event = recorded()
    state = state_with(event)
    doubt = OrderBecameUnknown(client_order_id=event.client_order_id, why="a restart")
    apply(state, a_record(doubt))
    assert may_send(state, event, FACTS)


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
