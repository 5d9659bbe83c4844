"""The fold: orders move only along the legal graph, fills count once, positions add up."""

from decimal import Decimal
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.journal import (
    FillReceived,
    JournalEvent,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderUpdated,
)
from libs.common.model.order import TRANSITIONS, OrderStatus, Side, may_follow
from libs.common.testing.builders import NOW_NS, a_record, an_intent, an_order
from services.execution.answers import Answer, decide_answer, decide_fills, decide_update
from services.execution.config import ExecutionConfig
from services.execution.core import Decision, Facts, decide_absence
from services.execution.fold import UNCLAIMED_MAX, apply, forget
from services.execution.state import State, lock_key

COID = "pc-order-1"
LIMITS = ExecutionConfig()
FACTS = Facts(
    now_ns=NOW_NS,
    venue_timestamp_ms=0,
    recv_window_ms=5000,
    mark=None,
    health=None,
    unarmed=(),
)


def heard(state: State, answer: Answer) -> Decision:
    return decide_answer(LIMITS, state, answer, NOW_NS)


def fold(state: State, *events: JournalEvent, now_ns: int = NOW_NS) -> State:
    apply(state, a_record(*events, now_ns=now_ns))
    return state


def recorded() -> OrderRecorded:
    intent = an_intent()
    return OrderRecorded(
        client_order_id=COID,
        attempt=1,
        intent=intent,
        order=an_order(intent),
        reference_price=Decimal(60000),
        margin_reserved=Decimal(150),
        timestamp_ms=NOW_NS // 1_000_000,
        recv_window_ms=5000,
        lock_until_ns=NOW_NS + 1,
        verdicts_risk=(),
        verdicts=(),
    )


def update(status: OrderStatus, cumulative: str = "0") -> OrderUpdated:
    return OrderUpdated(
        client_order_id=COID,
        venue_order_id=7,
        status=status,
        cumulative_quantity=Decimal(cumulative),
    )


def fill(trade_id: int, quantity: str = "0.010", side: Side = Side.BUY) -> FillReceived:
    return FillReceived(
        symbol="BTCUSDT",
        trade_id=trade_id,
        client_order_id=COID,
        venue_order_id=7,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(60000),
        commission=Decimal("0.3"),
        commission_asset="USDT",
        venue_realized_pnl=Decimal(0),
        is_maker=False,
        ts_trade_ns=NOW_NS,
    )


@pytest.mark.parametrize(("current", "told"), list(product(OrderStatus, OrderStatus)))
def test_only_legal_transitions_are_followed(current: OrderStatus, told: OrderStatus) -> None:
    state = fold(State(), recorded())
    state.orders[COID].status = current
    if told is OrderStatus.REJECTED:
        event: JournalEvent = OrderRejected(client_order_id=COID, reason="", code=0, message="")
    elif told is OrderStatus.NOT_PLACED:
        event = OrderNotPlaced(client_order_id=COID, evidence="")
    elif told is OrderStatus.UNKNOWN:
        event = OrderBecameUnknown(client_order_id=COID, why="")
    else:
        event = update(told)
    fold(state, event)
    assert state.orders[COID].status is (told if may_follow(current, told) else current)


def test_nothing_leaves_a_rejected_filled_or_not_placed_order() -> None:
    for status in (OrderStatus.REJECTED, OrderStatus.FILLED, OrderStatus.NOT_PLACED):
        assert TRANSITIONS[status] == frozenset()


def test_no_order_becomes_unknown_once_the_venue_has_spoken() -> None:
    for status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED):
        assert OrderStatus.UNKNOWN not in TRANSITIONS[status]


def test_an_answer_frees_the_lock_of_its_own_order_only() -> None:
    state = fold(State(), recorded())
    key = lock_key("BTCUSDT", Side.BUY)
    state.locks[key].client_order_id = "another"
    fold(state, update(OrderStatus.OPEN))
    assert state.locks[key].client_order_id == "another"


def a_kill(client_order_id: str) -> OrderRecorded:
    intent = msgspec.structs.replace(an_intent(), intent_id=client_order_id)
    return msgspec.structs.replace(recorded(), client_order_id=client_order_id, intent=intent)


def test_who_held_a_lock_holds_it_again_once_the_kill_that_took_it_is_over() -> None:
    state = fold(State(), recorded(), OrderBecameUnknown(client_order_id=COID, why="silence"))
    fold(state, a_kill("kill"))
    key = lock_key("BTCUSDT", Side.BUY)
    assert state.locks[key].client_order_id == "kill"
    fold(state, msgspec.structs.replace(update(OrderStatus.FILLED), client_order_id="kill"))
    assert state.locks[key].client_order_id == COID
    fold(state, update(OrderStatus.OPEN))
    assert key not in state.locks


def test_who_is_over_first_leaves_the_lock_to_the_kill_that_took_it() -> None:
    state = fold(State(), recorded(), a_kill("kill"))
    fold(state, update(OrderStatus.OPEN))
    key = lock_key("BTCUSDT", Side.BUY)
    assert (state.locks[key].client_order_id, state.locks[key].behind) == ("kill", None)


def test_the_lock_stays_while_the_outcome_is_unknown() -> None:
    state = fold(State(), recorded(), OrderBecameUnknown(client_order_id=COID, why="silence"))
    assert lock_key("BTCUSDT", Side.BUY) in state.locks


def test_margin_is_released_when_the_order_provably_left_no_trace() -> None:
    for event in (
        OrderRejected(client_order_id=COID, reason="", code=-2019, message=""),
        OrderNotPlaced(client_order_id=COID, evidence=""),
    ):
        state = fold(State(), recorded())
        assert state.margin_reserved() == 150
        assert fold(state, event).margin_reserved() == 0


@given(st.permutations([1, 2, 3, 4] * 2))
def test_fills_count_once_in_any_order_and_number_of_repeats(order: list[int]) -> None:
    state = fold(State(), recorded())
    for trade_id in order:
        fold(state, *decide_fills(state, [fill(trade_id)]).events)
    position = state.positions["BTCUSDT"]
    assert position.quantity == Decimal("0.040")
    assert position.commissions == {"USDT": Decimal("1.2")}
    assert state.orders[COID].filled_quantity == Decimal("0.040")


def test_a_fill_from_the_trade_list_finds_our_order_by_the_venue_s_id() -> None:
    state = fold(State(), recorded(), update(OrderStatus.OPEN))
    nameless = fill(1)
    nameless = FillReceived(**{**_fields(nameless), "client_order_id": ""})
    (event,) = decide_fills(state, [nameless]).events
    assert isinstance(event, FillReceived)
    assert event.client_order_id == COID


def test_a_fill_told_before_the_venue_s_id_was_known_is_not_missed_for_ever() -> None:
    nameless = FillReceived(**{**_fields(fill(1, "0.020")), "client_order_id": ""})
    state = fold(State(), recorded(), nameless, update(OrderStatus.FILLED, "0.020"))
    order = state.orders[COID]
    assert order.filled_quantity == order.cumulative_quantity == Decimal("0.020")
    assert not state.unclaimed


def test_fills_of_strangers_are_remembered_within_a_bound() -> None:
    state = State()
    for number in range(UNCLAIMED_MAX + 10):
        changes = {"client_order_id": "by hand", "venue_order_id": 1000 + number}
        fold(state, FillReceived(**{**_fields(fill(number + 1)), **changes}))
    assert len(state.unclaimed) == UNCLAIMED_MAX


def test_which_stranger_is_forgotten_first_does_not_depend_on_a_snapshot_in_between() -> None:
    """A snapshot sorts by text, where order 1000 stands before order 999."""
    state, then = State(), 999
    for number in range(UNCLAIMED_MAX):
        changes = {"client_order_id": "by hand", "venue_order_id": then + number}
        fold(state, FillReceived(**{**_fields(fill(number + 1)), **changes}))
    again = decode_struct(encode(state), State)
    last = {"client_order_id": "by hand", "venue_order_id": then + UNCLAIMED_MAX}
    for one in (state, again):
        fold(one, FillReceived(**{**_fields(fill(UNCLAIMED_MAX + 1)), **last}))
    assert state == again
    assert "BTCUSDT:999" not in again.unclaimed


def _fields(event: FillReceived) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_stale_news_of_an_order_is_no_event() -> None:
    state = fold(State(), recorded(), update(OrderStatus.FILLED, "0.020"))
    assert decide_update(LIMITS, state, update(OrderStatus.OPEN), NOW_NS).events == ()
    again = update(OrderStatus.FILLED, "0.020")
    assert decide_update(LIMITS, state, again, NOW_NS).events == ()
    assert decide_absence(LIMITS, state, COID, "no", FACTS).events == ()
    late = OrderBecameUnknown(client_order_id=COID, why="timeout")
    assert heard(state, late).events == ()


def test_the_venue_s_answer_is_kept_even_after_the_stream_told_it() -> None:
    state = fold(State(), recorded(), update(OrderStatus.FILLED, "0.020"))
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
        sent_wall_ns=1,
        answered_wall_ns=2,
    )
    assert heard(state, answer).events == (answer,)


def test_the_state_survives_its_own_bytes() -> None:
    state = fold(State(), recorded(), update(OrderStatus.OPEN), fill(1))
    assert decode_struct(encode(state), State) == state


def test_orders_whose_fills_are_missing_are_not_forgotten() -> None:
    state = fold(State(), recorded(), update(OrderStatus.FILLED, "0.020"), fill(1))
    later = NOW_NS + 7_200 * 1_000_000_000
    forget(state, later, 3_600_000)
    assert COID in state.orders
    fold(state, fill(2))
    forget(state, later, 3_600_000)
    assert state.orders == {}
    assert len(state.intents) == 1  # the newest few are remembered however old they seem
    assert state.has_trade("BTCUSDT", 1)
