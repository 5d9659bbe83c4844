"""Our clock ran ahead for a moment: what began then lies in a future that is long in coming."""

from decimal import Decimal

from libs.common.messages.algo_events import AlgoOrderRecorded
from libs.common.messages.audit_events import OperatorActed
from libs.common.messages.journal import OrderRecorded, OrderRejected
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.verdict import Reason
from libs.common.testing.builders import NOW_NS, S
from services.execution.answers import decide_answer
from services.execution.fold import RECENT_ORDERS_MAX, REMEMBERED_MIN, forget
from services.execution.state import IntentMemory, RecentOrder, State
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
    restarted,
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


def test_what_is_forgotten_then_is_not_decided_a_second_time_now() -> None:
    """A snapshot in the leap: hours seem to have passed since each order and command."""
    state = a_ready_state()
    intent = an_entry("once")
    answered(state, recorded(state, intent), NOW_NS + S)
    fold(state, OperatorActed(actor="p", verb="reconcile", reason="r", target="", key="k1"))
    refreshed(state, NOW_NS + 2 * S)
    forget(state, NOW_NS + 7_200 * S, LIMITS.idempotency_ms)
    again = decide(restarted(state), intent, now_ns=NOW_NS + 3 * S)
    assert again.events == ()
    assert "k1" in state.operator_keys


def test_of_what_is_older_than_the_memory_only_the_newest_few_are_kept() -> None:
    state = a_ready_state()
    for number in range(REMEMBERED_MIN + 10):
        state.intents[f"{number}"] = IntentMemory(client_order_id="", decided_at_ns=number)
        state.operator_keys[f"{number}"] = number
    forget(state, NOW_NS, LIMITS.idempotency_ms)
    newest = {f"{number}" for number in range(10, REMEMBERED_MIN + 10)}
    assert state.intents.keys() == state.operator_keys.keys() == newest
