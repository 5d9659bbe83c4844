"""Rates: one entry per symbol in 30 s, five in all in 60 s, counted from the journal."""

import pytest

from libs.common.messages.guard_events import CooldownScope, CooldownStarted
from libs.common.messages.journal import JournalEvent, JournalRecord, OrderRecorded
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S, a_record
from services.execution.config import ExecutionConfig, SymbolOverrides
from services.execution.core import Decision
from services.execution.fold import RECENT_ORDERS_KEPT, apply
from services.execution.state import State
from tests.unit.execution.gate_cases import (
    LIMITS,
    SYMBOLS,
    a_ready_state,
    an_entry,
    an_exit,
    answered,
    decide,
    failed,
    fold,
    holds_of,
    reason_of,
    recorded,
    refreshed,
    restarted,
    verdict_of,
)

START_NS = NOW_NS + S


def enter(state: State, symbol: str, at_ns: int, limits: ExecutionConfig = LIMITS) -> OrderRecorded:
    """An entry that is let through, answered at once."""
    refreshed(state, at_ns)
    intent = an_entry(f"{symbol} {at_ns}", at_ns, symbol=symbol)
    order = recorded(state, intent, now_ns=at_ns, limits=limits)
    answered(state, order, at_ns)
    return order


def ask(
    state: State, symbol: str, at_ns: int, limits: ExecutionConfig = LIMITS, name: str = "asked"
) -> Decision:
    refreshed(state, at_ns)
    intent = an_entry(f"{name} {symbol} {at_ns}", at_ns, symbol=symbol)
    return decide(state, intent, now_ns=at_ns, limits=limits)


def test_the_second_entry_of_a_symbol_waits_thirty_seconds_to_the_nanosecond() -> None:
    state = a_ready_state()
    enter(state, "BTCUSDT", START_NS)
    early = ask(state, "BTCUSDT", START_NS + 30 * S - 1)
    assert reason_of(early) is Reason.RATE_SYMBOL
    verdict = verdict_of(early, "rate_symbol")
    assert (verdict.limit, verdict.observed) == ("1 in 30000 ms", "1 recorded")
    assert holds_of(early) == ()
    assert reason_of(ask(state, "BTCUSDT", START_NS + 30 * S)) is None
    assert reason_of(ask(state, "ETHUSDT", START_NS + S)) is None


def test_a_symbol_may_have_a_rate_of_its_own() -> None:
    own = SymbolOverrides(rate_symbol_orders_max=3, rate_symbol_window_ms=10_000)
    limits = ExecutionConfig(per_symbol={"BTCUSDT": own})
    state = a_ready_state()
    for n in range(3):
        enter(state, "BTCUSDT", START_NS + n * S, limits)
    assert reason_of(ask(state, "BTCUSDT", START_NS + 9 * S, limits)) is Reason.RATE_SYMBOL
    assert reason_of(ask(state, "BTCUSDT", START_NS + 10 * S, limits)) is None
    enter(state, "ETHUSDT", START_NS + 11 * S, limits)
    assert reason_of(ask(state, "ETHUSDT", START_NS + 12 * S, limits)) is Reason.RATE_SYMBOL


def five(state: State) -> State:
    for n, symbol in enumerate(SYMBOLS[:5]):
        enter(state, symbol, START_NS + n * S)
    return state


def test_the_sixth_entry_in_a_minute_is_refused_and_stops_all_for_five_minutes() -> None:
    state = five(a_ready_state())
    at_ns = START_NS + 60 * S - 1
    sixth = ask(state, "BNBUSDT", at_ns)
    assert reason_of(sixth) is Reason.RATE_GLOBAL
    verdict = verdict_of(sixth, "rate_global")
    assert (verdict.limit, verdict.observed) == ("5 in 60000 ms", "5 recorded")
    (cooldown,) = holds_of(sixth)
    assert isinstance(cooldown, CooldownStarted)
    assert (cooldown.scope, cooldown.until_ns) == (CooldownScope.GLOBAL, at_ns + 300 * S)
    fold(state, *sixth.events, now_ns=at_ns)
    assert reason_of(ask(state, "LTCUSDT", at_ns + 300 * S - 1)) is Reason.COOLDOWN_GLOBAL
    assert reason_of(ask(state, "LTCUSDT", at_ns + 300 * S)) is None


def test_the_fifth_is_let_through_and_so_is_the_sixth_once_the_first_is_a_minute_old() -> None:
    state = five(a_ready_state())
    assert reason_of(ask(state, "BNBUSDT", START_NS + 60 * S)) is None


def test_a_breach_while_its_cooldown_runs_does_not_prolong_it() -> None:
    state = five(a_ready_state())
    at_ns = START_NS + 10 * S
    fold(state, *ask(state, "BNBUSDT", at_ns).events, now_ns=at_ns)
    again = ask(state, "LTCUSDT", at_ns + S)
    assert {"rate_global", "cooldown_global"} <= failed(again)
    assert holds_of(again) == ()


def test_a_breach_and_a_margin_refusal_at_once_start_one_cooldown_of_all() -> None:
    state = five(a_ready_state())
    at_ns = START_NS + 10 * S
    refreshed(state, at_ns, "1")
    decision = decide(state, an_entry("poor", at_ns, symbol="BNBUSDT"), now_ns=at_ns)
    assert {"rate_global", "margin"} <= failed(decision)
    scopes = [event.scope for event in holds_of(decision) if isinstance(event, CooldownStarted)]
    assert sorted(scopes) == [CooldownScope.GLOBAL, CooldownScope.SYMBOL]


def test_refused_entries_and_exits_do_not_count() -> None:
    state = a_ready_state()
    for n, symbol in enumerate(SYMBOLS[:6]):
        at_ns = START_NS + n * S
        refreshed(state, at_ns)
        answered(state, recorded(state, an_exit(symbol, at_ns, symbol=symbol), now_ns=at_ns), at_ns)
        stale = an_entry(f"stale {symbol}", at_ns - 60 * S, symbol=symbol)
        fold(state, *decide(state, stale, now_ns=at_ns).events, now_ns=at_ns)
    assert reason_of(ask(state, "LTCUSDT", START_NS + 7 * S)) is None
    assert reason_of(ask(state, "BTCUSDT", START_NS + 7 * S)) is None


def test_an_order_that_failed_or_is_unknown_counts_all_the_same() -> None:
    state = a_ready_state()
    recorded(state, an_entry())
    assert "rate_symbol" in failed(decide(state, an_entry("next")))


def test_what_the_journal_s_bytes_tell_counts_for_a_restarted_process() -> None:
    state = five(a_ready_state())
    assert reason_of(ask(restarted(state), "BNBUSDT", START_NS + 10 * S)) is Reason.RATE_GLOBAL


@pytest.mark.parametrize("replicas", [2, 5])
def test_replicas_that_fold_one_journal_have_one_rate_between_them(replicas: int) -> None:
    states = [a_ready_state() for _ in range(replicas)]
    let_through = 0
    for n, symbol in enumerate(SYMBOLS):
        at_ns = START_NS + n * S
        for state in states:
            refreshed(state, at_ns)
        decision = decide(
            states[n % replicas], an_entry(symbol, at_ns, symbol=symbol), now_ns=at_ns
        )
        let_through += reason_of(decision) is None
        everyone_folds(states, decision.events, at_ns)
    assert let_through == 5
    assert all(state == states[0] for state in states)


def everyone_folds(states: list[State], events: tuple[JournalEvent, ...], at_ns: int) -> None:
    record: JournalRecord = a_record(*events, now_ns=at_ns)
    for state in states:
        apply(state, record)


def test_the_memory_of_orders_is_as_long_as_the_longest_window_and_no_longer() -> None:
    """But for a few, which a clock that ran ahead must not have made forgotten."""
    state = a_ready_state()
    for n in range(RECENT_ORDERS_KEPT + 30):
        enter(state, "BTCUSDT", START_NS + n * 60 * S)
    assert len(state.recent_orders) == RECENT_ORDERS_KEPT
    now_ns = START_NS + (RECENT_ORDERS_KEPT + 30) * 60 * S
    ample = ExecutionConfig(rate_symbol_orders_max=1_000, rate_global_orders_max=1_000)
    for n in range(2 * RECENT_ORDERS_KEPT):
        enter(state, "BTCUSDT", now_ns + n * 10 * S, ample)
    assert len(state.recent_orders) == 61
