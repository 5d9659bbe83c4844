"""Every cell of both lifecycles: what follows, what is old news, and what cannot be."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.model.algo_order import (
    ALGO_LIFECYCLE,
    ALGO_TRANSITIONS,
    AlgoEvent,
    AlgoStatus,
    algo_contradicts,
    algo_may_follow,
    parse_algo_status,
)
from libs.common.model.lifecycle import Ignored
from libs.common.model.order import (
    LIFECYCLE,
    TERMINAL,
    TRANSITIONS,
    OrderEvent,
    OrderStatus,
    contradicts,
    may_follow,
    parse_venue_status,
)

#: One row a state, one column an event, written by hand: a letter a cell.
#: u unknown, r rejected, n not placed, o open, p partly, f filled, c canceled, e expired,
#: . stale, ! impossible.
ORDERS = {
    "RECORDED": "urnopfce",
    "UNKNOWN": "urnopfce",
    "OPEN": ".!!opfce",
    "PARTIALLY_FILLED": ".!!.pfce",
    "FILLED": ".!!..f!!",
    "CANCELED": ".!!..fc!",
    "EXPIRED": ".!!..f!e",
    "REJECTED": ".r.!!!!!",
    "NOT_PLACED": "..n!!!!!",
}
#: u unknown, n not placed, w working, g triggering, t triggered, f finished, c canceled, e expired,
#: r rejected.
ALGO_ORDERS = {
    "RECORDED": "unwgtfcer",
    "UNKNOWN": "unwgtfcer",
    "WORKING": ".!wgtfcer",
    "TRIGGERING": ".!.gtfcer",
    "TRIGGERED": ".!..tfcer",
    "FINISHED": ".!...f!!!",
    "CANCELED": ".!...!c!!",
    "EXPIRED": ".!...!!e!",
    "REJECTED": ".!...!!!r",
    "NOT_PLACED": ".n!!!!!!!",
}
LETTERS = dict(zip("urnopfce", LIFECYCLE[OrderStatus.RECORDED].values(), strict=True))
ALGO_LETTERS = dict(zip("unwgtfcer", ALGO_LIFECYCLE[AlgoStatus.RECORDED].values(), strict=True))
IGNORED = {".": Ignored.STALE, "!": Ignored.IMPOSSIBLE}


@pytest.mark.parametrize(("status", "event"), list(product(OrderStatus, OrderEvent)))
def test_every_cell_of_the_order_table_is_what_was_written_by_hand(
    status: OrderStatus, event: OrderEvent
) -> None:
    letter = ORDERS[status][list(OrderEvent).index(event)]
    assert LIFECYCLE[status][event] is (LETTERS | IGNORED)[letter]


@pytest.mark.parametrize(("status", "event"), list(product(AlgoStatus, AlgoEvent)))
def test_every_cell_of_the_algo_table_is_what_was_written_by_hand(
    status: AlgoStatus, event: AlgoEvent
) -> None:
    letter = ALGO_ORDERS[status][list(AlgoEvent).index(event)]
    assert ALGO_LIFECYCLE[status][event] is (ALGO_LETTERS | IGNORED)[letter]


def test_the_letters_name_the_states_they_are_said_to() -> None:
    assert [str(LETTERS[letter]) for letter in "urnopfce"] == [
        "UNKNOWN",
        "REJECTED",
        "NOT_PLACED",
        "OPEN",
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELED",
        "EXPIRED",
    ]
    assert [str(ALGO_LETTERS[letter]) for letter in "unwgtfcer"] == [
        "UNKNOWN",
        "NOT_PLACED",
        "WORKING",
        "TRIGGERING",
        "TRIGGERED",
        "FINISHED",
        "CANCELED",
        "EXPIRED",
        "REJECTED",
    ]


def test_nobody_can_tell_that_an_order_is_only_recorded() -> None:
    for status in set(OrderStatus) - {OrderStatus.RECORDED}:
        assert contradicts(status, OrderStatus.RECORDED)
        assert not may_follow(status, OrderStatus.RECORDED)
    for algo_status in set(AlgoStatus) - {AlgoStatus.RECORDED}:
        assert algo_contradicts(algo_status, AlgoStatus.RECORDED)
        assert not algo_may_follow(algo_status, AlgoStatus.RECORDED)


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_repeat_is_harmless(status: OrderStatus) -> None:
    assert may_follow(status, status)
    assert not contradicts(status, status)


@pytest.mark.parametrize("status", list(AlgoStatus))
def test_a_repeat_of_an_algo_word_is_harmless(status: AlgoStatus) -> None:
    assert algo_may_follow(status, status)
    assert not algo_contradicts(status, status)


def test_terminal_states_lead_nowhere_but_to_a_late_last_fill() -> None:
    for status in TERMINAL:
        assert TRANSITIONS[status] <= {OrderStatus.FILLED}
    assert {status for status in OrderStatus if not TRANSITIONS[status] - {OrderStatus.FILLED}} == (
        TERMINAL
    )
    ended = {status for status in AlgoStatus if status.is_terminal}
    assert ended == {"FINISHED", "CANCELED", "EXPIRED", "REJECTED", "NOT_PLACED"}
    assert all(not ALGO_TRANSITIONS[status] for status in ended)


def run(start: OrderStatus, *told: OrderStatus) -> OrderStatus:
    for status in told:
        start = status if may_follow(start, status) else start
    return start


def test_new_after_the_fill_is_old_news() -> None:
    assert run(OrderStatus.RECORDED, OrderStatus.FILLED, OrderStatus.OPEN) is OrderStatus.FILLED
    assert not contradicts(OrderStatus.FILLED, OrderStatus.OPEN)


def test_the_last_fill_may_be_heard_after_the_cancel_and_after_the_expiry_in_match() -> None:
    expired = parse_venue_status("EXPIRED_IN_MATCH")
    assert expired is OrderStatus.EXPIRED
    for end in (OrderStatus.CANCELED, expired):
        partly = run(OrderStatus.OPEN, end, OrderStatus.PARTIALLY_FILLED)
        assert partly is end
        assert run(partly, OrderStatus.FILLED) is OrderStatus.FILLED


def test_a_fill_and_its_order_s_words_end_in_the_same_state_whatever_their_order() -> None:
    words = [parse_venue_status(word) for word in ("NEW", "PARTIALLY_FILLED", "FILLED")]
    for told in permutations(words):
        assert run(OrderStatus.RECORDED, *told) is OrderStatus.FILLED


def test_a_canceled_stop_that_still_says_new_is_the_lag_of_the_query() -> None:
    assert not algo_may_follow(AlgoStatus.CANCELED, parse_algo_status("NEW"))
    assert not algo_contradicts(AlgoStatus.CANCELED, parse_algo_status("NEW"))


@given(st.lists(st.sampled_from([s for s in OrderStatus if s is not OrderStatus.RECORDED])))
def test_no_sequence_of_words_revives_an_order_that_has_ended(told: list[OrderStatus]) -> None:
    status = OrderStatus.RECORDED
    for word in told:
        before = status
        status = run(status, word)
        if before.is_terminal:
            assert status in (before, OrderStatus.FILLED)


@given(st.lists(st.sampled_from([s for s in AlgoStatus if s is not AlgoStatus.RECORDED])))
def test_no_sequence_of_words_revives_an_algo_order_that_has_ended(told: list[AlgoStatus]) -> None:
    status = AlgoStatus.RECORDED
    for word in told:
        before = status
        status = word if algo_may_follow(status, word) else status
        assert not before.is_terminal or status is before


def test_a_word_of_the_venue_that_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="NEW_ADL"):
        parse_venue_status("NEW_ADL")
    with pytest.raises(ValueError, match="SLEEPING"):
        parse_algo_status("SLEEPING")
