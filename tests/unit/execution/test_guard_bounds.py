"""Expiry, drift, ages and margin at their very bounds, and the overrides of one symbol."""

from decimal import Decimal
from typing import Any

import pytest

from libs.common.messages.journal import BalanceObserved, InstrumentsLoaded
from libs.common.model.order import OrderType, TimeInForce
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S, an_approval, an_instrument, an_order
from services.execution.config import ExecutionConfig, SymbolOverrides
from services.execution.question import BudgetSeen, MarkSeen
from services.execution.state import State
from tests.unit.execution.gate_cases import (
    MS,
    a_balance,
    a_ready_state,
    an_entry,
    decide,
    fold,
    outcome_of,
    reason_of,
    recorded,
    verdict_of,
)

LIMIT_ORDER: dict[str, Any] = {
    "order_type": OrderType.LIMIT,
    "price": Decimal(60_000),
    "time_in_force": TimeInForce.GTC,
}


def of_symbol(**overrides: Any) -> ExecutionConfig:
    return ExecutionConfig(per_symbol={"BTCUSDT": SymbolOverrides(**overrides)})


@pytest.mark.parametrize(("changes", "ttl_ms"), [({}, 5_000), (LIMIT_ORDER, 30_000)])
def test_an_intent_lives_no_longer_than_its_kind_whatever_risk_signed(
    changes: dict[str, Any], ttl_ms: int
) -> None:
    at_ns = NOW_NS + ttl_ms * MS
    state = fold(a_ready_state(), a_balance(at_ns=at_ns))
    intent = an_entry(**changes)  # signed for a minute
    assert reason_of(decide(state, intent, now_ns=at_ns - MS)) is None
    late = decide(state, intent, now_ns=at_ns)
    assert reason_of(late) is Reason.INTENT_EXPIRED
    assert verdict_of(late, "expiry").observed == "0 ms left"


def test_an_intent_that_risk_gave_less_time_has_less() -> None:
    intent = an_entry(expires_at_ns=NOW_NS + 2 * S)
    assert reason_of(decide(a_ready_state(), intent, now_ns=NOW_NS + 2 * S - MS)) is None
    assert reason_of(decide(a_ready_state(), intent, now_ns=NOW_NS + 2 * S)) is (
        Reason.INTENT_EXPIRED
    )


def test_the_record_keeps_the_moment_after_which_it_may_not_leave() -> None:
    assert recorded(a_ready_state(), an_entry()).expires_at_ns == NOW_NS + 5 * S
    resting = recorded(a_ready_state(), an_entry(**LIMIT_ORDER))
    assert resting.expires_at_ns == NOW_NS + 30 * S


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("60600.00", None),
        ("59400.00", None),
        ("60600.01", Reason.PRICE_DRIFT),
        ("59399.99", Reason.PRICE_DRIFT),
    ],
)
def test_the_mark_may_be_one_percent_off_the_intent_s_price(
    mark: str, reason: Reason | None
) -> None:
    seen = MarkSeen(price=Decimal(mark), at_ns=NOW_NS + S)
    decision = decide(a_ready_state(), an_entry(), mark=seen)
    assert reason_of(decision) is reason
    verdict = verdict_of(decision, "drift")
    assert verdict.limit == "0.01 of the reference price at most"
    assert verdict.observed == f"mark {mark}, reference 60000.00"


def test_a_symbol_may_drift_more_or_less() -> None:
    seen = MarkSeen(price=Decimal("60120.00"), at_ns=NOW_NS + S)
    narrow, wide = of_symbol(price_drift_max="0.001"), of_symbol(price_drift_max="0.1")
    state = a_ready_state()
    assert reason_of(decide(state, an_entry(), limits=narrow, mark=seen)) is Reason.PRICE_DRIFT
    assert reason_of(decide(state, an_entry(), limits=wide, mark=seen)) is None
    other = an_entry(symbol="ETHUSDT")
    assert reason_of(decide(state, other, limits=narrow, mark=seen)) is None


@pytest.mark.parametrize(("age_ms", "passes"), [(5_000, True), (5_001, False), (-5_001, False)])
def test_a_mark_is_at_most_five_seconds_old_and_not_from_the_future(
    age_ms: int, passes: bool
) -> None:
    seen = MarkSeen(price=Decimal(60_000), at_ns=NOW_NS + S - age_ms * MS)
    verdict = verdict_of(decide(a_ready_state(), an_entry(), mark=seen), "mark_age")
    assert (verdict.passed, verdict.observed) == (passes, f"{age_ms} ms")
    assert verdict.limit == "5000 ms at most"
    own = decide(a_ready_state(), an_entry(), mark=seen, limits=of_symbol(mark_age_ms_max=9_000))
    assert verdict_of(own, "mark_age").passed


@pytest.mark.parametrize(("age_ms", "passes"), [(10_000, True), (10_001, False), (-10_001, False)])
def test_a_balance_is_at_most_ten_seconds_old_and_not_from_the_future(
    age_ms: int, passes: bool
) -> None:
    state = fold(a_ready_state(), a_balance(at_ns=NOW_NS + S - age_ms * MS))
    verdict = verdict_of(decide(state, an_entry()), "account_age")
    assert (verdict.passed, verdict.limit) == (passes, "10000 ms at most")


def test_a_balance_never_stated_is_a_refusal() -> None:
    state = a_ready_state()
    state.balance_at_ns = 0
    assert reason_of(decide(state, an_entry())) is Reason.ACCOUNT_STALE


@pytest.mark.parametrize(("age_s", "passes"), [(3_600, True), (3_601, False), (-3_601, False)])
def test_filters_are_at_most_an_hour_old_and_not_from_the_future(age_s: int, passes: bool) -> None:
    loaded = InstrumentsLoaded(instruments=(an_instrument(),), loaded_at_ns=NOW_NS + S - age_s * S)
    verdict = verdict_of(decide(fold(a_ready_state(), loaded), an_entry()), "filters_age")
    assert (verdict.passed, verdict.limit) == (passes, "3600000 ms at most")


@pytest.mark.parametrize(("available", "reason"), [("150", None), ("149.99", True)])
def test_margin_counts_to_the_cent_and_tells_both_figures(available: str, reason: object) -> None:
    decision = decide(a_ready_state(available), an_entry())
    verdict = verdict_of(decision, "margin")
    assert verdict.passed is (reason is None)
    assert Decimal(verdict.limit.removeprefix("at least ")) == 150
    assert verdict.observed == f"{available} free"


def test_margin_is_reckoned_at_the_worst_of_limit_mark_and_reference() -> None:
    state = a_ready_state("150")
    dearer = MarkSeen(price=Decimal("60000.10"), at_ns=NOW_NS + S)
    assert reason_of(decide(state, an_entry(), mark=dearer)) is Reason.MARGIN_INSUFFICIENT
    limit = an_entry(**{**LIMIT_ORDER, "price": Decimal("60000.10")})
    assert reason_of(decide(state, limit)) is Reason.MARGIN_INSUFFICIENT
    cheaper = MarkSeen(price=Decimal("59900.00"), at_ns=NOW_NS + S)
    held = recorded(state, an_entry(), mark=cheaper)
    assert held.margin_reserved == 150


def test_a_symbol_may_have_a_margin_buffer_of_its_own() -> None:
    wider = of_symbol(margin_buffer="2")
    decision = decide(a_ready_state("239.99"), an_entry(), limits=wider)
    assert reason_of(decision) is Reason.MARGIN_INSUFFICIENT
    assert reason_of(decide(a_ready_state("240"), an_entry(), limits=wider)) is None


def test_leverage_is_what_the_venue_confirmed_and_one_where_it_did_not() -> None:
    state = a_ready_state("1499")
    state.leverage = {}
    assert reason_of(decide(state, an_entry())) is Reason.MARGIN_INSUFFICIENT


def test_a_lock_lasts_thirty_seconds_or_what_its_symbol_has() -> None:
    for limits, lock_ns in ((ExecutionConfig(), 30 * S), (of_symbol(lock_ms=3_000), 3 * S)):
        state = a_ready_state()
        order = recorded(state, an_entry(), limits=limits)
        until_ns = NOW_NS + S + lock_ns
        assert order.lock_until_ns == until_ns
        for at_ns, free in ((until_ns - 1, False), (until_ns, True)):
            verdict = verdict_of(
                decide(state, an_entry("next", at_ns), limits=limits, now_ns=at_ns), "lock"
            )
            assert verdict.passed is free
            assert verdict.limit == f"{limits.for_symbol('BTCUSDT').lock_ms} ms at most"
            assert order.client_order_id in verdict.observed


def test_a_lock_is_of_one_symbol_and_one_side() -> None:
    state = a_ready_state()
    recorded(state, an_entry())
    assert verdict_of(decide(state, an_entry("e", symbol="ETHUSDT")), "lock").passed


def test_the_venue_s_budget_is_told_with_its_figures_for_the_kind_of_order() -> None:
    entry = BudgetSeen(refusal="used 2161 of 2400", limit="below 2160", observed="2161")
    decision = decide(a_ready_state(), an_entry(), budget_entry=entry)
    assert reason_of(decision) is Reason.VENUE_BUDGET
    verdict = verdict_of(decision, "venue_budget")
    assert (verdict.limit, verdict.observed) == ("below 2160", "used 2161 of 2400")
    room = BudgetSeen(limit="below 2160", observed="12")
    decision = decide(a_ready_state(), an_entry(), budget_entry=room)
    assert verdict_of(decision, "venue_budget").observed == "12"


def test_all_guards_speak_even_where_the_first_of_them_fails() -> None:
    sound = [one.check for one in outcome_of(decide(a_ready_state(), an_entry())).verdicts]
    nothing_known = decide(
        State(), an_entry(), unarmed=("journal: not checked",), mark=None, now_ns=NOW_NS + 60 * S
    )
    told = [one.check for one in outcome_of(nothing_known).verdicts]
    assert told == sound[: sound.index("filter_status")]
    stale = fold(
        a_ready_state(),
        BalanceObserved(
            asset="USDT",
            wallet_balance=Decimal(0),
            available_balance=Decimal(0),
            observed_at_ns=NOW_NS + 1,
        ),
    )
    state = stale
    refused = decide(state, an_entry(), unarmed=("clock: off",), now_ns=NOW_NS + 60 * S)
    assert [one.check for one in outcome_of(refused).verdicts] == sound


def test_an_order_of_no_size_that_fits_is_refused_by_the_filter_not_by_an_accident() -> None:
    intent = an_entry()
    tiny = an_approval(intent, an_order(intent, quantity=Decimal("0.0001")))
    assert reason_of(decide(a_ready_state(), tiny)) is Reason.FILTER_QUANTITY
