"""What could not be protected is closed, and what closes a position ends its stop and target."""

from decimal import Decimal

import pytest

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
)
from libs.common.messages.journal import (
    OrderCancelRequested,
    OrderRecorded,
    OrderRejected,
)
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.money import ZERO
from libs.common.model.order import OrderStatus, Side
from services.execution.answers import decide_answer
from services.execution.protection import entries_to_tend
from tests.unit.execution.gate_cases import LIMITS
from tests.unit.execution.protection_cases import Protected, quantity_of

GRACE_MS = LIMITS.stop_grace_ms
RETRY_MS = LIMITS.protection_retry_ms


# -- closing -------------------------------------------------------------------------------------


def fail(world: Protected) -> OrderRecorded:
    world.filled()
    stop, *_ = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.REJECTED, code=-2021)
    (closing,) = world.closings()
    return closing


def reject(world: Protected, closing: OrderRecorded) -> None:
    answer = OrderRejected(
        client_order_id=closing.client_order_id, reason="INTERNAL", code=-1001, message=""
    )
    world.fold(*decide_answer(LIMITS, world.state, answer, world.now_ns).events)


def test_there_are_never_two_closings_at_once_and_failed_ones_wait_longer_each_time() -> None:
    world = Protected()
    closing = fail(world)
    ids = {closing.client_order_id}
    waits = []
    for _ in range(6):
        assert not world.closings()
        reject(world, closing)
        held_ns = world.state.cooldown_exits["BTCUSDT"].until_ns - world.now_ns
        waits.append(held_ns // 1_000_000_000)
        assert not world.closings()
        world.wait(held_ns // 1_000_000)
        (closing,) = world.closings()
        ids.add(closing.client_order_id)
    assert waits == [5, 10, 20, 40, 60, 60]
    assert len(ids) == 7


def test_a_closing_whose_fills_are_not_known_yet_is_not_repeated() -> None:
    world = Protected()
    closing = fail(world)
    world.told(OrderStatus.FILLED, "0.020", closing.client_order_id)
    assert not world.closings()
    world.fill(side=Side.SELL, client_order_id=closing.client_order_id, venue_order_id=8)
    assert quantity_of(world.state) == ZERO
    assert not world.closings()


def test_once_closed_what_was_left_is_canceled() -> None:
    world = Protected()
    closing = fail(world)
    target = world.newest(AlgoKind.TARGET)
    world.algo(target.client_algo_id, AlgoStatus.WORKING)
    assert not world.decided(AlgoCancelRequested)
    world.fill(side=Side.SELL, client_order_id=closing.client_order_id, venue_order_id=8)
    (ended,) = world.decided(AlgoCancelRequested)
    assert ended.client_algo_id == target.client_algo_id


def test_the_rest_of_an_entry_on_its_way_out_is_canceled() -> None:
    world = Protected()
    world.told(OrderStatus.PARTIALLY_FILLED)
    world.fill("0.005")
    stop, _ = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.REJECTED, code=-2021)
    (ended,) = world.decided(OrderCancelRequested)
    assert ended.client_order_id == world.entry.client_order_id
    assert not world.decided(OrderCancelRequested)


def test_a_closing_is_no_bigger_than_what_is_held() -> None:
    world = Protected()
    world.filled()
    world.fill("0.015", side=Side.SELL, client_order_id="by-hand", venue_order_id=30)
    world.wait(GRACE_MS)
    (closing,) = world.closings()
    assert closing.order.quantity == Decimal("0.005")


# -- the end of a position -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "by", ["an-exit", "by-hand", "autoclose-1723161255030", "adl_autoclose", ""]
)
def test_whoever_closes_the_position_stop_and_target_end(by: str) -> None:
    world = Protected()
    both = set(world.protect())
    world.fill(side=Side.SELL, client_order_id=by, venue_order_id=99)
    ended = world.decided(AlgoCancelRequested)
    assert {event.client_algo_id for event in ended} == both
    assert not world.decide().events
    for client_algo_id in both:
        world.algo(client_algo_id, AlgoStatus.CANCELED)
    assert entries_to_tend(world.state) == []


def test_a_position_that_is_only_reduced_keeps_its_stop() -> None:
    world = Protected()
    world.protect()
    world.fill("0.010", side=Side.SELL, client_order_id="by-hand", venue_order_id=99)
    assert not world.decide().events


@pytest.mark.parametrize("kind", list(AlgoKind))
def test_the_sibling_of_one_that_triggered_ends_once_the_position_is_closed(
    kind: AlgoKind,
) -> None:
    world = Protected()
    stop, target = world.protect()
    hit, sibling = (stop, target) if kind is AlgoKind.STOP else (target, stop)
    world.algo(hit, AlgoStatus.TRIGGERING)
    world.algo(hit, AlgoStatus.TRIGGERED, venue_order_id=9)
    assert not world.decide().events
    world.fill(side=Side.SELL, client_order_id="whatever", venue_order_id=9, price="61000")
    world.algo(hit, AlgoStatus.FINISHED)
    (ended,) = world.decided(AlgoCancelRequested)
    assert ended.client_algo_id == sibling
    assert quantity_of(world.state) == ZERO
    assert world.state.positions["BTCUSDT"].realized_pnl == Decimal(20)
    assert world.state.algo_orders[hit].filled_quantity == Decimal("0.020")
    assert not world.state.unclaimed


def test_fills_of_a_triggered_stop_are_claimed_when_its_order_is_told_of_later() -> None:
    world = Protected()
    stop, _ = world.protect()
    world.fill(side=Side.SELL, client_order_id="", venue_order_id=9)
    assert world.state.unclaimed == {"BTCUSDT:9": Decimal("0.020")}
    world.algo(stop, AlgoStatus.TRIGGERED, venue_order_id=9)
    assert not world.state.unclaimed
    assert world.state.algo_orders[stop].filled_quantity == Decimal("0.020")


def test_an_entry_that_fills_after_it_was_stopped_out_is_protected_anew() -> None:
    world = Protected()
    world.told(OrderStatus.PARTIALLY_FILLED)
    world.fill("0.005")
    stop, target = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.WORKING)
    world.algo(target.client_algo_id, AlgoStatus.WORKING)
    world.algo(stop.client_algo_id, AlgoStatus.FINISHED, venue_order_id=9)
    world.fill("0.005", side=Side.SELL, client_order_id="", venue_order_id=9)
    assert [type(event) for event in world.decide().events] == [AlgoCancelRequested]
    world.wait(RETRY_MS)
    world.fill("0.015")
    again = world.decided(AlgoOrderRecorded)
    assert [(event.attempt, event.quantity) for event in again] == [(2, Decimal("0.015"))] * 2


def test_fills_that_are_not_known_yet_do_not_make_a_position_look_closed() -> None:
    world = Protected()
    world.told(OrderStatus.FILLED, "0.020")
    assert quantity_of(world.state) == ZERO
    assert world.order.exposure == Decimal("0.020")
    assert len(world.decided(AlgoOrderRecorded)) == 2


def test_an_entry_that_only_reduces_the_other_side_is_owed_no_stop() -> None:
    world = Protected()
    world.fill("0.050", side=Side.SELL, client_order_id="by-hand", venue_order_id=50)
    world.filled()
    assert quantity_of(world.state) == Decimal("-0.030")
    assert not world.decide().events
