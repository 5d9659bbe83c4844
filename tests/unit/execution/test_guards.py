"""Each guard refuses what it must, passes what it may, and says why."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from libs.common.messages.intents import approval_is_genuine
from libs.common.messages.journal import OrderBecameUnknown, OrderRecorded, TradingStateChanged
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.testing.builders import (
    APPROVAL_KEY,
    NOW_NS,
    S,
    an_approval,
    an_instrument,
    an_intent,
    an_order,
)
from services.execution.question import MarkSeen
from services.execution.state import Lock, lock_key
from tests.unit.execution.gate_cases import (
    a_balance,
    a_ready_state,
    answered,
    decide,
    fold,
    outcome_of,
    reason_of,
    recorded,
    refreshed,
)


def test_a_sound_intent_is_recorded_with_every_verdict() -> None:
    (event,) = decide(a_ready_state()).events
    assert isinstance(event, OrderRecorded)
    assert all(verdict.passed for verdict in event.verdicts)
    assert [verdict.check for verdict in event.verdicts] == [
        "consistency",
        "trading_state",
        "safe_mode",
        "latches",
        "expiry",
        "drift",
        "cooldown_global",
        "cooldown_symbol",
        "lock",
        "quarantine",
        "rate_symbol",
        "rate_global",
        "venue_budget",
        "filters_age",
        "mark_age",
        "market_health",
        "account_age",
        "margin",
        "filter_status",
        "filter_price",
        "filter_quantity",
        "filter_orders_max",
        "filter_notional",
        "filter_percent_price",
    ]
    assert event.margin_reserved == Decimal("0.020") * 60000 / 10 * Decimal("1.25")
    assert event.lock_until_ns == NOW_NS + S + 30 * S


def test_a_refusal_carries_the_verdicts_of_all_guards_not_only_the_first() -> None:
    state = fold(
        a_ready_state("1"),
        TradingStateChanged(state=TradingState.HALTED, actor="test", reason="drill"),
    )
    event = outcome_of(decide(state, now_ns=NOW_NS + 6 * S))
    failed = [verdict.reason for verdict in event.verdicts if not verdict.passed]
    assert failed[:2] == [Reason.TRADING_HALTED, Reason.INTENT_EXPIRED]
    assert Reason.MARGIN_INSUFFICIENT in failed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"now_ns": NOW_NS + 5 * S}, Reason.INTENT_EXPIRED),
        ({"unarmed": ("user_stream: down",)}, Reason.TRADING_HALTED),
        ({"mark": MarkSeen(price=Decimal(60000), at_ns=NOW_NS - 5 * S)}, Reason.INPUT_STALE),
        ({"mark": MarkSeen(price=Decimal(60000), at_ns=NOW_NS + 60 * S)}, Reason.INPUT_STALE),
    ],
)
def test_missing_late_or_stale_input_refuses(changes: dict[str, Any], reason: Reason) -> None:
    assert reason_of(decide(a_ready_state(), **changes)) is reason


@pytest.mark.parametrize("price", [None, "0", "-1", "NaN", "sNaN", "Infinity", "1E+999999999"])
def test_a_mark_that_cannot_be_reckoned_with_fails_all_that_needs_one(price: str | None) -> None:
    mark = MarkSeen(price=Decimal(price), at_ns=NOW_NS) if price is not None else None
    decision = decide(a_ready_state(), mark=mark)
    reasons = {one.check: one.reason for one in outcome_of(decision).verdicts if not one.passed}
    assert reasons["drift"] is Reason.PRICE_DRIFT
    assert reasons["mark_age"] is Reason.INPUT_STALE
    assert reason_of(decision) is Reason.PRICE_DRIFT


def test_the_balance_must_have_been_stated_within_its_age() -> None:
    state = a_ready_state()
    state.balance_at_ns = NOW_NS - 10 * S
    assert reason_of(decide(state)) is Reason.ACCOUNT_STALE


def test_a_symbol_without_filters_is_refused() -> None:
    state = a_ready_state()
    state.instruments = {}
    assert reason_of(decide(state)) is Reason.FILTERS_STALE


def test_filters_older_than_their_age_are_refused() -> None:
    state = a_ready_state()
    state.instruments_at_ns = NOW_NS - 3_601 * S
    assert reason_of(decide(state)) is Reason.FILTERS_STALE


def test_margin_is_notional_over_leverage_with_a_quarter_on_top() -> None:
    needed = Decimal("0.020") * 60000 / 10 * Decimal("1.25")
    assert reason_of(decide(a_ready_state(str(needed)))) is None
    short = needed - Decimal("0.01")
    assert reason_of(decide(a_ready_state(str(short)))) is Reason.MARGIN_INSUFFICIENT


def test_margin_reserved_by_an_unanswered_order_is_not_spent_twice() -> None:
    state = a_ready_state("200")
    fold(state, *decide(state).events)
    sell = an_intent(candle_id="other", side=Side.SELL)
    event = outcome_of(decide(state, sell))
    failed = [verdict.reason for verdict in event.verdicts if not verdict.passed]
    assert Reason.MARGIN_INSUFFICIENT in failed


def test_an_exit_needs_no_margin_no_balance_figure_and_no_arming() -> None:
    state = a_ready_state("0")
    state.balance_at_ns = 0
    exit_intent = an_intent(purpose=Purpose.EXIT, side=Side.SELL)
    decision = decide(state, an_approval(exit_intent), unarmed=("clock: off",))
    assert reason_of(decision) is None


def test_reducing_lets_exits_through_and_nothing_else() -> None:
    state = fold(
        a_ready_state(),
        TradingStateChanged(state=TradingState.REDUCING, actor="test", reason="drill"),
    )
    assert reason_of(decide(state)) is Reason.REDUCE_ONLY
    exit_intent = an_intent(purpose=Purpose.EXIT, side=Side.SELL)
    assert reason_of(decide(state, an_approval(exit_intent))) is None


def test_halted_refuses_exits_too() -> None:
    state = fold(
        a_ready_state(),
        TradingStateChanged(state=TradingState.HALTED, actor="test", reason="drill"),
    )
    exit_intent = an_intent(purpose=Purpose.EXIT, side=Side.SELL)
    assert reason_of(decide(state, an_approval(exit_intent))) is Reason.TRADING_HALTED


def test_a_lock_behind_one_that_is_over_holds_until_it_is_over_too() -> None:
    state = a_ready_state()
    behind = Lock(client_order_id="unanswered", until_ns=NOW_NS + 60 * S)
    kill = Lock(client_order_id="kill", until_ns=NOW_NS, behind=behind)
    state.locks[lock_key("BTCUSDT", Side.BUY)] = kill
    assert reason_of(decide(state, an_approval(an_intent()))) is Reason.LOCKED
    behind.until_ns = NOW_NS
    assert reason_of(decide(state, an_approval(an_intent()))) is None


def test_a_second_order_on_the_same_side_is_locked_out_until_the_first_is_answered() -> None:
    state = a_ready_state()
    first = recorded(state, an_intent())
    second = an_approval(an_intent(candle_id="next", created_at_ns=NOW_NS + 40 * S))
    assert reason_of(decide(state, second)) is Reason.LOCKED
    answered(state, first, NOW_NS + 2 * S)
    refreshed(state, NOW_NS + 40 * S)
    late = an_intent(candle_id="next", created_at_ns=NOW_NS + 40 * S, expires_at_ns=NOW_NS + 60 * S)
    assert reason_of(decide(state, late, now_ns=NOW_NS + 40 * S)) is None


def test_a_lock_ends_by_itself_after_its_time() -> None:
    state = a_ready_state()
    fold(state, *decide(state).events)
    fold(state, a_balance(at_ns=NOW_NS + 31 * S))
    later = an_intent(candle_id="next", expires_at_ns=NOW_NS + 60 * S)
    event = outcome_of(decide(state, later, now_ns=NOW_NS + 31 * S))
    lock = next(one for one in event.verdicts if one.check == "lock")
    assert lock.passed


def test_an_order_not_answered_yet_quarantines_both_sides_of_its_symbol() -> None:
    state = a_ready_state()
    fold(state, *decide(state).events)
    sell = an_approval(an_intent(candle_id="next", side=Side.SELL))
    assert reason_of(decide(state, sell)) is Reason.SYMBOL_QUARANTINED


def test_an_unknown_order_quarantines_both_sides_of_its_symbol() -> None:
    state = a_ready_state()
    (first,) = decide(state).events
    unknown = OrderBecameUnknown(client_order_id=first.client_order_id, why="silence")  # type: ignore[union-attr]
    fold(state, first, unknown)
    sell = an_approval(an_intent(candle_id="next", side=Side.SELL))
    assert reason_of(decide(state, sell)) is Reason.SYMBOL_QUARANTINED


def test_an_intent_decided_before_is_not_decided_again() -> None:
    state = a_ready_state()
    fold(state, *decide(state).events)
    assert decide(state).events == ()
    refused = a_ready_state("1")
    fold(refused, *decide(refused).events)
    assert decide(refused).events == ()


@pytest.mark.parametrize(
    ("order_changes", "instrument_changes", "reason"),
    [
        ({}, {"status": "SETTLING"}, Reason.FILTER_STATUS),
        ({"quantity": Decimal("0.0009")}, {}, Reason.FILTER_QUANTITY),
        ({"quantity": Decimal(121)}, {}, Reason.FILTER_QUANTITY),
        ({}, {"notional_min": Decimal(1201)}, Reason.FILTER_NOTIONAL),
        ({}, {"orders_max": 0}, Reason.FILTER_ORDERS_MAX),
    ],
)
def test_market_orders_that_break_a_filter_are_refused(
    order_changes: dict[str, Any], instrument_changes: dict[str, Any], reason: Reason
) -> None:
    state = a_ready_state("100000000")
    state.instruments = {"BTCUSDT": an_instrument(**instrument_changes)}
    intent = an_intent()
    approval = an_approval(intent, an_order(intent, **order_changes))
    assert reason_of(decide(state, approval)) is reason


@pytest.mark.parametrize(
    ("side", "price", "reason"),
    [
        (Side.BUY, "63000.00", None),
        (Side.BUY, "63000.10", Reason.FILTER_PERCENT_PRICE),
        (Side.SELL, "57000.00", None),
        (Side.SELL, "56999.90", Reason.FILTER_PERCENT_PRICE),
        (Side.SELL, "4529764.10", Reason.FILTER_PRICE),
    ],
)
def test_limit_prices_stay_inside_the_venue_s_band(
    side: Side, price: str, reason: Reason | None
) -> None:
    intent = an_intent(
        side=side,
        order_type=OrderType.LIMIT,
        price=Decimal(price),
        time_in_force=TimeInForce.GTC,
    )
    assert reason_of(decide(a_ready_state("1000000"), an_approval(intent))) is reason


def test_quantities_are_cut_down_to_the_step_and_prices_never_worsened() -> None:
    for side, sent in ((Side.BUY, "60000.10"), (Side.SELL, "60000.20")):
        intent = an_intent(
            side=side,
            order_type=OrderType.LIMIT,
            price=Decimal("60000.19"),
            time_in_force=TimeInForce.GTC,
        )
        order = an_order(intent, quantity=Decimal("0.0209"))
        (event,) = decide(a_ready_state(), an_approval(intent, order)).events
        assert isinstance(event, OrderRecorded)
        assert event.order.quantity == Decimal("0.020")
        assert event.order.price == Decimal(sent)


@pytest.mark.parametrize(
    "order_changes",
    [
        {"side": Side.SELL},
        {"symbol": "ETHUSDT"},
        {"reduce_only": True},
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal("Infinity")},
        {"quantity": Decimal("-0.02")},
        {"price": Decimal(60000)},
        {"time_in_force": TimeInForce.GTC},
    ],
)
def test_an_order_that_does_not_match_its_intent_is_refused(order_changes: dict[str, Any]) -> None:
    intent = an_intent()
    approval = an_approval(intent, an_order(intent, **order_changes))
    assert reason_of(decide(a_ready_state(), approval)) is Reason.INTENT_INVALID


def test_an_order_bigger_than_wished_is_refused() -> None:
    intent = an_intent(quantity=Decimal("0.010"))
    assert reason_of(decide(a_ready_state(), an_approval(intent))) is Reason.INTENT_INVALID


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "0", "-1", "1E+30", "1E-30"])
@pytest.mark.parametrize("field", ["quantity", "price", "reference_price"])
def test_a_figure_that_cannot_be_reckoned_with_is_a_refusal_and_no_accident(
    field: str, number: str
) -> None:
    intent = an_intent(
        quantity=Decimal("0.020"),
        price=Decimal(60000),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
    )
    intent = msgspec.structs.replace(intent, **{field: Decimal(number)})
    order = an_order(intent, quantity=intent.quantity, price=intent.price)
    assert reason_of(decide(a_ready_state(), an_approval(intent, order))) is Reason.INTENT_INVALID
    sound = an_order(intent, quantity=Decimal("0.020"), price=Decimal(60000))
    assert reason_of(decide(a_ready_state(), an_approval(intent, sound))) is Reason.INTENT_INVALID


def test_a_balance_from_the_future_is_no_balance_for_a_clock_went_back() -> None:
    past = MarkSeen(price=Decimal(60000), at_ns=NOW_NS)
    decision = decide(a_ready_state(), now_ns=NOW_NS - 3600 * S, mark=past)
    assert reason_of(decision) in {Reason.FILTERS_STALE, Reason.ACCOUNT_STALE, Reason.INPUT_STALE}
    failed = [one.check for one in outcome_of(decision).verdicts if not one.passed]
    assert {"mark_age", "account_age"} <= set(failed)


def test_a_code_that_is_no_ascii_is_a_forgery_and_no_accident() -> None:
    forged = msgspec.structs.replace(an_approval(), mac="é" * 64)
    assert not approval_is_genuine(APPROVAL_KEY, forged)


def test_an_unknown_order_does_not_trap_a_position_on_its_symbol() -> None:
    state = a_ready_state()
    (first,) = decide(state).events
    unknown = OrderBecameUnknown(client_order_id=first.client_order_id, why="silence")  # type: ignore[union-attr]
    fold(state, first, unknown)
    way_out = an_intent(candle_id="next", side=Side.SELL, purpose=Purpose.EXIT)
    assert reason_of(decide(state, an_approval(way_out))) is None
