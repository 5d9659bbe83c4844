"""Safe mode: five margin refusals in five minutes end entries for a quarter of an hour."""

from libs.common.messages.guard_events import Guard, GuardCleared, SafeModeEntered
from libs.common.messages.journal import OrderRejected
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S
from services.execution.answers import decide_answer
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.state import State
from tests.unit.execution.gate_cases import (
    LIMITS,
    SYMBOLS,
    a_ready_state,
    an_entry,
    an_exit,
    decide,
    failed,
    fold,
    reason_of,
    recorded,
    refreshed,
    restarted,
    verdict_of,
)

START_NS = NOW_NS + S
COOLING = ExecutionConfig(cooldown_margin_ms=0)


def refuse(
    state: State, at_ns: int, name: str, symbol: str = "BTCUSDT", **more: ExecutionConfig
) -> Decision:
    """An entry that the account cannot pay for, folded."""
    refreshed(state, at_ns, "1")
    intent = an_entry(name, at_ns, symbol=symbol)
    decision = decide(state, intent, now_ns=at_ns, **more)  # type: ignore[arg-type]
    fold(state, *decision.events, now_ns=at_ns)
    return decision


def storm(count: int, step_ns: int = S) -> tuple[State, Decision]:
    """So many margin refusals, one after the other from START_NS on."""
    state = a_ready_state()
    for n in range(count):
        decision = refuse(state, START_NS + n * step_ns, f"{n}", SYMBOLS[n % len(SYMBOLS)])
    return state, decision


def entered(decision: Decision) -> list[SafeModeEntered]:
    return [event for event in decision.events if isinstance(event, SafeModeEntered)]


def test_four_refusals_are_none_too_many() -> None:
    state, last = storm(4)
    assert entered(last) == []
    assert state.safe_mode_until_ns == 0
    assert len(state.margin_refusals) == 4


def test_the_fifth_within_the_window_enters_it_in_the_append_that_refuses() -> None:
    state, last = storm(5)
    (event,) = entered(last)
    assert event.until_ns == START_NS + 4 * S + 900 * S
    assert reason_of(last) is not None
    assert state.safe_mode_until_ns == event.until_ns
    assert state.margin_refusals == []


def test_a_refusal_that_a_cooldown_speaks_for_first_counts_as_well() -> None:
    state, last = storm(2)
    assert reason_of(last) is Reason.COOLDOWN_GLOBAL
    assert "margin" in failed(last)
    assert len(state.margin_refusals) == 2


def test_five_that_are_spread_over_more_than_the_window_are_none_too_many() -> None:
    state, last = storm(5, step_ns=75 * S)  # the first is exactly 300 s old at the fifth
    assert entered(last) == []
    assert entered(storm(5, step_ns=75 * S - 1)[1])
    assert state.safe_mode_until_ns == 0


def test_it_refuses_entries_of_every_symbol_until_its_very_end() -> None:
    state, _ = storm(5)
    until_ns = state.safe_mode_until_ns
    refreshed(state, until_ns)
    for symbol in SYMBOLS:
        before = decide(state, an_entry(symbol, until_ns, symbol=symbol), now_ns=until_ns - 1)
        assert reason_of(before) is Reason.SAFE_MODE
        after = decide(state, an_entry(symbol, until_ns, symbol=symbol), now_ns=until_ns)
        assert reason_of(after) is None


def test_its_verdict_names_the_limit_and_the_seconds_left() -> None:
    state, _ = storm(5)
    at_ns = state.safe_mode_until_ns - 42 * S
    refreshed(state, at_ns)
    verdict = verdict_of(decide(state, an_entry("x", at_ns), now_ns=at_ns), "safe_mode")
    assert verdict.limit == "5 margin refusals in 300000 ms"
    assert verdict.observed == "42.0 s left"


def test_exits_leave_while_it_lasts() -> None:
    state, _ = storm(5)
    at_ns = START_NS + 10 * S
    refreshed(state, at_ns, "0")
    assert reason_of(decide(state, an_exit("out", at_ns), now_ns=at_ns)) is None


def test_while_it_lasts_nothing_counts_and_nothing_prolongs_it() -> None:
    state, _ = storm(5)
    until_ns = state.safe_mode_until_ns
    for n in range(20):
        decision = refuse(state, START_NS + (10 + n) * S, f"during {n}")
        assert decision.events[1:] == ()
    assert state.safe_mode_until_ns == until_ns
    assert state.margin_refusals == []


def test_after_it_five_more_are_needed() -> None:
    state, _ = storm(5)
    until_ns = state.safe_mode_until_ns
    for n in range(4):
        assert entered(refuse(state, until_ns + n * S, f"again {n}")) == []
    assert entered(refuse(state, until_ns + 4 * S, "the fifth"))


def test_the_venue_s_own_refusals_count_with_ours() -> None:
    state, _ = storm(4)
    later_ns = START_NS + 4 * S
    fold(state, *(
        GuardCleared(guard=guard, key="", actor="person", reason="drill")
        for guard in (Guard.COOLDOWN_GLOBAL, Guard.COOLDOWN_SYMBOL)
    ))  # fmt: skip
    refreshed(state, later_ns)
    order = recorded(state, an_entry("venue", later_ns, symbol="LTCUSDT"), now_ns=later_ns)
    rejected = OrderRejected(
        client_order_id=order.client_order_id,
        reason="MARGIN_INSUFFICIENT",
        code=-2019,
        message="Margin is insufficient.",
    )
    decision = decide_answer(LIMITS, state, rejected, later_ns)
    assert [event.refusals for event in entered(decision)] == [5]


def test_a_refusal_for_anything_else_does_not_count() -> None:
    state = a_ready_state()
    for n in range(9):
        intent = an_entry(f"{n}", expires_at_ns=NOW_NS)
        fold(state, *decide(state, intent).events)
    assert state.margin_refusals == []


def test_it_survives_a_restart_and_ends_when_a_person_says_so() -> None:
    state = restarted(storm(5)[0])
    at_ns = START_NS + 400 * S  # the margin cooldowns are over
    refreshed(state, at_ns)
    asked = an_entry("after", at_ns)
    assert reason_of(decide(state, asked, now_ns=at_ns)) is Reason.SAFE_MODE
    cleared = GuardCleared(guard=Guard.SAFE_MODE, key="", actor="person", reason="paid in")
    fold(state, cleared, now_ns=at_ns)
    assert reason_of(decide(state, asked, now_ns=at_ns)) is None
    assert state.margin_refusals == []


def test_its_figures_are_configuration() -> None:
    limits = ExecutionConfig(safe_mode_refusals=2, safe_mode_window_ms=10_000, safe_mode_ms=60_000)
    state = a_ready_state()
    refuse(state, START_NS, "a", limits=limits)
    (event,) = entered(refuse(state, START_NS + 9 * S, "b", limits=limits))
    assert (event.refusals, event.until_ns) == (2, START_NS + 69 * S)


def test_a_thousand_refusals_in_a_row_are_a_thousand_refusals_and_no_order() -> None:
    state, entries = a_ready_state(), 0
    for n in range(1_000):
        decision = refuse(state, START_NS + n * S, f"{n}", SYMBOLS[n % 7])
        entries += len(entered(decision))
    assert state.orders == {}
    # On after 5 at second 4, off after 900 s; the next five begin at second 904.
    assert entries == 2
    assert state.safe_mode_until_ns == START_NS + (904 + 4 + 900) * S
