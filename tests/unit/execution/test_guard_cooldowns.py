"""Cooldowns: what starts them, for how long, what they hold back, and what ends them."""

from decimal import Decimal

import pytest

from libs.common.messages.guard_events import (
    CooldownScope,
    CooldownStarted,
    Guard,
    GuardCleared,
    SafeModeEntered,
)
from libs.common.messages.journal import (
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRejected,
    OrderUpdated,
)
from libs.common.model.order import OrderStatus
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S
from services.execution.answers import Answer, decide_answer, decide_update
from services.execution.config import ExecutionConfig, SymbolOverrides
from services.execution.consequences import after_margin_refusal
from services.execution.core import Decision
from services.execution.state import State
from tests.unit.execution.gate_cases import (
    LIMITS,
    MS,
    a_ready_state,
    an_entry,
    an_exit,
    answered,
    decide,
    failed,
    fold,
    holds_of,
    outcome_of,
    reason_of,
    recorded,
    refreshed,
    restarted,
    verdict_of,
)

FAILED_NS = NOW_NS + 2 * S


def refused(client_order_id: str, reason: str = "FILTER", code: int = -1111) -> OrderRejected:
    return OrderRejected(client_order_id=client_order_id, reason=reason, code=code, message="no")


def hear(
    state: State,
    answer: Answer,
    at_ns: int = FAILED_NS,
    *,
    limits: ExecutionConfig = LIMITS,
    is_failure: bool = True,
) -> Decision:
    """The answer and what follows from it, folded as one record."""
    decision = decide_answer(limits, state, answer, at_ns, is_failure=is_failure)
    fold(state, *decision.events, now_ns=at_ns)
    return decision


def cooldowns(decision: Decision) -> dict[tuple[CooldownScope, str], int]:
    """Scope and symbol, and how many milliseconds after the failure it ends."""
    return {
        (event.scope, event.symbol): (event.until_ns - FAILED_NS) // MS
        for event in decision.events
        if isinstance(event, CooldownStarted)
    }


def asked(state: State, at_ns: int, symbol: str = "BTCUSDT", **more: object) -> Decision:
    """An entry at a moment at which nothing else stands in its way."""
    refreshed(state, at_ns)
    return decide(state, an_entry(f"{symbol}-{at_ns}", at_ns, symbol=symbol), now_ns=at_ns, **more)  # type: ignore[arg-type]


def test_a_failed_order_starts_a_minute_for_its_symbol_in_the_same_append() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    decision = hear(state, refused(order.client_order_id))
    assert cooldowns(decision) == {(CooldownScope.SYMBOL, "BTCUSDT"): 60_000}
    assert isinstance(decision.events[0], OrderRejected)
    assert "FILTER (-1111)" in decision.events[1].cause  # type: ignore[union-attr]


def test_the_minute_ends_at_its_very_end_and_concerns_its_symbol_alone() -> None:
    state = a_ready_state()
    hear(state, refused(recorded(state, an_entry()).client_order_id))
    until_ns = FAILED_NS + 60 * S
    last = asked(state, until_ns - 1)
    assert reason_of(last) is Reason.COOLDOWN_SYMBOL
    verdict = verdict_of(last, "cooldown_symbol")
    assert verdict.limit == "60000 ms after a failed order"
    assert verdict.observed == "0.0 s left"
    assert reason_of(asked(state, until_ns - 30 * S, "ETHUSDT")) is None
    assert reason_of(asked(state, until_ns)) is None


def test_how_long_is_left_is_told_in_seconds() -> None:
    state = a_ready_state()
    hear(state, refused(recorded(state, an_entry()).client_order_id))
    verdict = verdict_of(asked(state, FAILED_NS + 18 * S), "cooldown_symbol")
    assert verdict.observed == "42.0 s left"


def test_a_symbol_may_have_a_cooldown_of_its_own_or_none() -> None:
    for wait_ms, expected in ((7_000, {(CooldownScope.SYMBOL, "BTCUSDT"): 7_000}), (0, {})):
        limits = ExecutionConfig(
            per_symbol={"BTCUSDT": SymbolOverrides(cooldown_failed_ms=wait_ms)}
        )
        state = a_ready_state()
        order = recorded(state, an_entry(), limits=limits)
        assert cooldowns(hear(state, refused(order.client_order_id), limits=limits)) == expected


def test_an_order_proven_absent_or_never_sent_failed_too() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    absent = OrderNotPlaced(client_order_id=order.client_order_id, evidence="nothing was sent")
    assert cooldowns(hear(state, absent)) == {(CooldownScope.SYMBOL, "BTCUSDT"): 60_000}


def test_an_order_we_stopped_at_the_door_did_not_fail() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    stopped = OrderNotPlaced(client_order_id=order.client_order_id, evidence="not sent: halted")
    assert hear(state, stopped, is_failure=False).events == (stopped,)


def test_an_order_of_unknown_outcome_did_not_fail_yet() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    doubt = OrderBecameUnknown(client_order_id=order.client_order_id, why="silence")
    assert hear(state, doubt).events == (doubt,)


def test_the_same_failure_told_twice_starts_nothing_more() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    hear(state, refused(order.client_order_id))
    assert hear(state, refused(order.client_order_id), FAILED_NS + 9 * S).events == ()


def test_a_margin_refusal_of_the_venue_starts_five_minutes_for_the_symbol_and_for_all() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    decision = hear(state, refused(order.client_order_id, "MARGIN_INSUFFICIENT", -2019))
    assert cooldowns(decision) == {
        (CooldownScope.SYMBOL, "BTCUSDT"): 300_000,
        (CooldownScope.GLOBAL, ""): 300_000,
    }
    assert reason_of(asked(state, FAILED_NS + 299 * S, "ETHUSDT")) is Reason.COOLDOWN_GLOBAL
    assert reason_of(asked(state, FAILED_NS + 300 * S, "ETHUSDT")) is None
    assert reason_of(asked(state, FAILED_NS + 300 * S)) is None


def test_a_margin_refusal_of_our_own_does_the_same_and_says_so_in_one_append() -> None:
    state = a_ready_state("1")
    decision = decide(state, an_entry(), now_ns=FAILED_NS)
    assert reason_of(decision) is Reason.MARGIN_INSUFFICIENT
    assert cooldowns(decision) == {
        (CooldownScope.SYMBOL, "BTCUSDT"): 300_000,
        (CooldownScope.GLOBAL, ""): 300_000,
    }
    assert {event.cause for event in holds_of(decision)} == {"margin was refused"}  # type: ignore[union-attr]


def test_a_margin_cooldown_that_runs_is_not_prolonged_by_the_next_refusal() -> None:
    state = a_ready_state("1")
    fold(state, *decide(state, an_entry("a"), now_ns=FAILED_NS).events, now_ns=FAILED_NS)
    again_ns = FAILED_NS + 5 * S
    again = decide(state, an_entry("b"), now_ns=again_ns)
    assert "margin" in {one.check for one in outcome_of(again).verdicts if not one.passed}
    assert holds_of(again) == ()
    other = decide(state, an_entry("c", symbol="ETHUSDT"), now_ns=again_ns)
    assert cooldowns(other) == {(CooldownScope.SYMBOL, "ETHUSDT"): 305_000}
    fold(state, *again.events, now_ns=again_ns)
    assert state.cooldown_global_until_ns == FAILED_NS + 300 * S


def test_a_failure_s_minute_does_not_keep_the_margin_cooldown_from_starting() -> None:
    state = a_ready_state()
    hear(state, refused(recorded(state, an_entry()).client_order_id), NOW_NS)
    assert state.cooldown_symbols == {"BTCUSDT": NOW_NS + 60 * S}
    holds = after_margin_refusal(LIMITS, state, "BTCUSDT", NOW_NS)
    until_ns = {hold.scope: hold.until_ns for hold in holds if isinstance(hold, CooldownStarted)}
    assert until_ns[CooldownScope.SYMBOL] == NOW_NS + 300 * S


def test_a_margin_that_is_short_by_a_stale_figure_starts_nothing() -> None:
    state = refreshed(a_ready_state(), NOW_NS - 60 * S, "1")
    decision = decide(state, an_entry())
    assert {"account_age", "margin"} <= failed(decision)
    assert holds_of(decision) == ()


@pytest.mark.parametrize(
    ("failures", "wait_ms"),
    [(1, 5_000), (2, 10_000), (3, 20_000), (4, 40_000), (5, 60_000), (9, 60_000)],
)
def test_an_exit_s_cooldown_doubles_with_each_failure_in_a_row(failures: int, wait_ms: int) -> None:
    state, at_ns = a_ready_state(), NOW_NS + S
    for n in range(failures):
        refreshed(state, at_ns)
        order = recorded(state, an_exit(f"{n}", at_ns), now_ns=at_ns)
        decision = hear(state, refused(order.client_order_id), at_ns)
        (cooldown,) = holds_of(decision)
        assert isinstance(cooldown, CooldownStarted)
        assert (cooldown.scope, cooldown.symbol) == (CooldownScope.EXITS, "BTCUSDT")
        held = decide(state, an_exit(f"{n} held", at_ns), now_ns=cooldown.until_ns - 1)
        assert Reason.COOLDOWN_SYMBOL in {one.reason for one in outcome_of(held).verdicts}
        waited_ms, at_ns = (cooldown.until_ns - at_ns) // MS, cooldown.until_ns
    assert waited_ms == wait_ms
    assert cooldown.failures == failures


def test_an_exit_the_venue_takes_forgets_the_failures_before_it() -> None:
    state = a_ready_state()
    order = recorded(state, an_exit())
    hear(state, refused(order.client_order_id))
    later_ns = FAILED_NS + 5 * S
    taken = recorded(state, an_exit("next", later_ns), now_ns=later_ns)
    answered(state, taken, later_ns)
    assert state.cooldown_exits == {}
    again = recorded(state, an_exit("again", later_ns), now_ns=later_ns)
    decision = hear(state, refused(again.client_order_id), later_ns)
    assert decision.events[1].until_ns == later_ns + 5 * S  # type: ignore[union-attr]


def test_an_entry_s_failure_says_nothing_about_exits_and_the_other_way_round() -> None:
    state = a_ready_state()
    hear(state, refused(recorded(state, an_entry()).client_order_id))
    assert reason_of(decide(state, an_exit(), now_ns=FAILED_NS)) is None
    state = a_ready_state()
    hear(state, refused(recorded(state, an_exit()).client_order_id))
    assert reason_of(decide(state, an_entry(), now_ns=FAILED_NS)) is None


def test_an_exit_refused_for_margin_starts_no_cooldown_of_entries_and_no_count() -> None:
    state = a_ready_state()
    order = recorded(state, an_exit())
    decision = hear(state, refused(order.client_order_id, "MARGIN_INSUFFICIENT", -2019))
    assert set(cooldowns(decision)) == {(CooldownScope.EXITS, "BTCUSDT")}
    assert state.margin_refusals == []


def test_cooldowns_survive_a_snapshot_and_end_when_a_person_says_so() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    hear(state, refused(order.client_order_id, "MARGIN_INSUFFICIENT", -2019))
    state = restarted(state)
    soon_ns = FAILED_NS + S
    assert reason_of(asked(state, soon_ns, "ETHUSDT")) is Reason.COOLDOWN_GLOBAL
    cleared = GuardCleared(guard=Guard.COOLDOWN_GLOBAL, key="", actor="person", reason="known")
    fold(state, cleared, now_ns=soon_ns)
    assert reason_of(asked(state, soon_ns, "ETHUSDT")) is None
    assert Reason.COOLDOWN_SYMBOL in {
        one.reason for one in outcome_of(asked(state, soon_ns)).verdicts
    }
    cleared = GuardCleared(
        guard=Guard.COOLDOWN_SYMBOL, key="BTCUSDT", actor="person", reason="known"
    )
    fold(state, cleared, now_ns=soon_ns)
    assert state.cooldown_symbols == {}


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.EXPIRED])
def test_an_order_the_venue_took_only_to_end_it_unfilled_failed_too(status: OrderStatus) -> None:
    for make, scope in ((an_entry, CooldownScope.SYMBOL), (an_exit, CooldownScope.EXITS)):
        for by_stream in (False, True):
            state = a_ready_state()
            order = recorded(state, make())
            decision = told(state, order.client_order_id, status, by_stream=by_stream)
            assert [(key[0], key[1]) for key in cooldowns(decision)] == [(scope, "BTCUSDT")]
            again = told(state, order.client_order_id, status, by_stream=not by_stream)
            assert cooldowns(again) == {}
            assert scope is CooldownScope.SYMBOL or state.cooldown_exits


def test_an_order_that_filled_in_part_before_it_ended_did_not_fail() -> None:
    state = a_ready_state()
    order = recorded(state, an_entry())
    decision = told(state, order.client_order_id, OrderStatus.EXPIRED, filled="0.001")
    assert cooldowns(decision) == {}


def test_a_safe_mode_names_what_led_to_it() -> None:
    state = a_ready_state("1")
    for n in range(5):
        decision = decide(state, an_entry(f"{n}"))
        fold(state, *decision.events)
    (entered,) = [one for one in decision.events if isinstance(one, SafeModeEntered)]
    assert (entered.refusals, entered.window_ms) == (5, 300_000)


def told(
    state: State,
    client_order_id: str,
    status: OrderStatus,
    *,
    filled: str = "0",
    by_stream: bool = False,
) -> Decision:
    """The venue says what became of the order: in its answer, or on the user stream."""
    kind = OrderUpdated if by_stream else OrderAnswered
    word = kind(
        client_order_id=client_order_id,
        venue_order_id=7,
        status=status,
        cumulative_quantity=Decimal(filled),
    )
    if isinstance(word, OrderAnswered):
        return hear(state, word)
    decision = decide_update(LIMITS, state, word, FAILED_NS)
    fold(state, *decision.events, now_ns=FAILED_NS)
    return decision
