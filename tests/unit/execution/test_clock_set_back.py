"""Our clock ran ahead for a moment: what began then lies in a future that is long in coming."""

from decimal import Decimal

from libs.common.messages.algo_events import AlgoOrderRecorded
from libs.common.messages.journal import OrderRecorded, OrderRejected
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S
from services.execution.answers import decide_answer
from services.execution.fold import RECENT_ORDERS_MAX
from services.execution.state import RecentOrder, State
from tests.unit.execution.gate_cases import (
    LIMITS,
    a_ready_state,
    an_entry,
    an_exit,
    answered,
    decide,
    failed,
    fold,
    reason_of,
    recorded,
    refreshed,
)
from tests.unit.execution.protection_cases import Protected

AHEAD_MS = 3_600_000
AHEAD_NS = NOW_NS + 3_600 * S


def reject(state: State, order: OrderRecorded, now_ns: int) -> None:
    answer = OrderRejected(
        client_order_id=order.client_order_id, reason="INTERNAL", code=-1001, message=""
    )
    fold(state, *decide_answer(LIMITS, state, answer, now_ns).events, now_ns=now_ns)


def test_an_exit_that_failed_then_holds_no_exit_now() -> None:
    state = a_ready_state()
    reject(state, recorded(state, an_exit()), AHEAD_NS)
    assert state.cooldown_exits["BTCUSDT"].until_ns == AHEAD_NS + 5 * S
    now_ns = NOW_NS + 2 * S
    again = decide(refreshed(state, now_ns), an_exit("again", now_ns), now_ns=now_ns)
    assert failed(again) == set()


def test_what_fills_now_gets_its_stop_although_one_was_placed_then() -> None:
    world = Protected(target_price=None)
    world.wait(AHEAD_MS)
    world.fill("0.010")
    (stop,) = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.WORKING, algo_id=1)
    world.wait(-AHEAD_MS)
    world.fill("0.010")
    (bigger,) = world.decided(AlgoOrderRecorded)
    assert (stop.quantity, bigger.quantity) == (Decimal("0.010"), Decimal("0.020"))


def test_an_entry_exposed_since_then_is_closed_if_it_has_no_stop() -> None:
    world = Protected()
    world.wait(AHEAD_MS)
    world.filled()
    world.wait(-AHEAD_MS)
    assert len(world.closings()) == 1


def test_a_closing_that_failed_then_is_tried_again_now() -> None:
    world = Protected()
    world.wait(AHEAD_MS)
    world.filled()
    stop, *_ = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.REJECTED, code=-2021)
    (closing,) = world.closings()
    reject(world.state, closing, world.now_ns)
    world.wait(-AHEAD_MS)
    assert len(world.closings()) == 1


def test_an_exit_recorded_then_makes_no_room_for_an_entry_now() -> None:
    state = a_ready_state()
    first_ns = NOW_NS + S
    answered(state, recorded(state, an_entry("first"), now_ns=first_ns), first_ns)
    answered(state, recorded(state, an_exit("then", AHEAD_NS), now_ns=AHEAD_NS), AHEAD_NS)
    soon_ns = NOW_NS + 11 * S
    second = decide(refreshed(state, soon_ns), an_entry("second", soon_ns), now_ns=soon_ns)
    assert reason_of(second) is Reason.RATE_SYMBOL


def test_recent_orders_are_bounded_although_one_lies_in_the_future() -> None:
    state = a_ready_state()
    recorded(state, an_exit("then", AHEAD_NS), now_ns=AHEAD_NS)
    for number in range(RECENT_ORDERS_MAX + 10):
        one = RecentOrder(intent_id=f"{number}", symbol="ETHUSDT", is_exit=True, at_ns=NOW_NS)
        state.recent_orders.append(one)
    recorded(state, an_exit("now", symbol="ETHUSDT"))
    assert len(state.recent_orders) == RECENT_ORDERS_MAX
