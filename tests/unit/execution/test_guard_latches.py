"""Latches: what the venue asked for when it wanted to be left alone, kept over restarts."""

import pytest

from libs.common.messages.guard_events import Guard, GuardCleared, LatchKind, VenueLatched
from libs.common.messages.journal import OrderAnswered, OrderRejected
from libs.common.model.order import OrderStatus
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S
from libs.common.venue.outcome_table import ThrottleKind
from libs.common.venue.outcomes import Throttled, classify, held_back
from services.execution.answers import decide_answer, decide_latch
from services.execution.reports import read_latch
from services.execution.state import State
from tests.unit.execution.gate_cases import (
    LIMITS,
    MS,
    a_ready_state,
    an_entry,
    an_exit,
    decide,
    fold,
    reason_of,
    recorded,
    refreshed,
    restarted,
    verdict_of,
)

UNTIL_NS = NOW_NS + 60 * S


def latched(kind: LatchKind, until_ns: int = UNTIL_NS) -> State:
    return fold(a_ready_state(), VenueLatched(kind=kind, until_ns=until_ns, why="429"))


@pytest.mark.parametrize("kind", LatchKind)
def test_a_latch_holds_until_its_very_end(kind: LatchKind) -> None:
    state = refreshed(latched(kind), UNTIL_NS)
    asked = an_entry("late", UNTIL_NS)
    before = decide(state, asked, now_ns=UNTIL_NS - 1)
    overload = kind is LatchKind.OVERLOADED
    assert reason_of(before) is (Reason.VENUE_OVERLOADED if overload else Reason.VENUE_BANNED)
    assert str(kind) in verdict_of(before, "latches").observed
    assert reason_of(decide(state, asked, now_ns=UNTIL_NS)) is None


@pytest.mark.parametrize(
    ("kind", "stops_exits"),
    [
        (LatchKind.BANNED, True),
        (LatchKind.REQUEST_LIMIT, True),
        (LatchKind.ORDER_LIMIT, False),
        (LatchKind.OVERLOADED, False),
    ],
)
def test_only_what_any_request_would_prolong_stops_exits(
    kind: LatchKind, stops_exits: bool
) -> None:
    reason = reason_of(decide(latched(kind), an_exit()))
    assert reason is (Reason.VENUE_BANNED if stops_exits else None)


def test_a_latch_that_stops_all_is_found_behind_a_longer_one_that_does_not() -> None:
    state = latched(LatchKind.BANNED, NOW_NS + 2 * S)
    fold(state, VenueLatched(kind=LatchKind.OVERLOADED, until_ns=UNTIL_NS, why="-1008"))
    assert reason_of(decide(state, an_exit())) is Reason.VENUE_BANNED
    assert "BANNED" in verdict_of(decide(state, an_exit()), "latches").observed


def test_a_latch_is_never_shortened_and_one_that_says_nothing_new_is_no_event() -> None:
    state = latched(LatchKind.BANNED)
    for until_ns in (UNTIL_NS, UNTIL_NS - S):
        shorter = VenueLatched(kind=LatchKind.BANNED, until_ns=until_ns, why="again")
        assert decide_latch(state, shorter).events == ()
        fold(state, shorter)
        assert state.latches[LatchKind.BANNED] == UNTIL_NS
    longer = VenueLatched(kind=LatchKind.BANNED, until_ns=UNTIL_NS + S, why="again")
    assert decide_latch(state, longer).events == (longer,)


def test_it_is_in_the_append_of_the_answer_that_told_it_whatever_became_of_the_order() -> None:
    latch = VenueLatched(kind=LatchKind.REQUEST_LIMIT, until_ns=UNTIL_NS, why="429")
    state = a_ready_state()
    order = recorded(state, an_entry())
    rejected = OrderRejected(
        client_order_id=order.client_order_id, reason="REQUEST_LIMIT", code=-1003, message="429"
    )
    first = decide_answer(LIMITS, state, rejected, NOW_NS, latch=latch)
    assert first.events[0] == rejected
    assert first.events[-1] == latch
    fold(
        state,
        OrderAnswered(
            client_order_id=order.client_order_id,
            venue_order_id=7,
            status=OrderStatus.FILLED,
            cumulative_quantity=order.order.quantity,
        ),
    )
    assert decide_answer(LIMITS, state, rejected, NOW_NS, latch=latch).events == (latch,)


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "wait_ms"),
    [
        (429, b'{"code":-1003,"msg":"Too many requests."}', {"retry-after": "17"},
         LatchKind.REQUEST_LIMIT, 17_000),
        (429, b'{"code":-1015,"msg":"Too many new orders."}', {"retry-after": "3"},
         LatchKind.ORDER_LIMIT, 3_000),
        (418, b'{"code":-1003,"msg":"banned until 1700000123456."}', {}, LatchKind.BANNED, 123_456),
        (418, b"<html>teapot</html>", {"retry-after": "120"}, LatchKind.BANNED, 120_000),
        (418, b"", {}, LatchKind.BANNED, 120_000),
        (503, b'{"code":-1008,"msg":"Request throttled by system-level protection."}', {},
         LatchKind.OVERLOADED, 1_000),
        (400, b'{"code":-1003,"msg":"IP banned until 1700000060000. "}', {}, LatchKind.BANNED,
         60_000),
    ],
)  # fmt: skip
def test_what_the_venue_says_becomes_a_time_of_the_market(
    status: int, body: bytes, headers: dict[str, str], kind: LatchKind, wait_ms: int
) -> None:
    outcome = classify(status, body, headers, is_order=True)
    assert isinstance(outcome, Throttled)
    latch = read_latch(outcome, NOW_NS)
    assert latch is not None
    assert (latch.kind, (latch.until_ns - NOW_NS) // MS) == (kind, wait_ms)


def test_what_our_own_latch_kept_here_begins_no_latch_anew() -> None:
    kept_here = held_back(ThrottleKind.REQUEST_LIMIT, NOW_NS // MS - 4_000)
    assert read_latch(kept_here, NOW_NS) is None


def test_a_latch_survives_a_restart_and_a_person_may_end_one_kind_of_it() -> None:
    state = latched(LatchKind.BANNED)
    fold(state, VenueLatched(kind=LatchKind.OVERLOADED, until_ns=UNTIL_NS, why="-1008"))
    state = restarted(state)
    assert reason_of(decide(state, an_exit())) is Reason.VENUE_BANNED
    cleared = GuardCleared(guard=Guard.LATCH, key="BANNED", actor="person", reason="new address")
    fold(state, cleared)
    assert reason_of(decide(state, an_exit())) is None
    assert reason_of(decide(state, an_entry())) is Reason.VENUE_OVERLOADED
