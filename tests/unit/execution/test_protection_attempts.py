"""An entry that was placed at its second attempt: two orders of one intent, and one protection."""

import msgspec

from libs.common.messages.algo_events import AlgoOrderRecorded
from libs.common.messages.journal import OrderBecameUnknown, OrderNotPlaced, OrderRecorded
from libs.common.model.algo_order import AlgoStatus
from services.execution.protection import decide_protection, entries_to_tend
from tests.unit.execution.gate_cases import LIMITS, facts
from tests.unit.execution.protection_cases import Protected


def at_second_attempt() -> tuple[Protected, OrderRecorded]:
    """The first attempt was lost and is proven absent; the second is filled and protected."""
    world = Protected()
    first = world.entry
    world.fold(OrderBecameUnknown(client_order_id=first.client_order_id, why="lost"))
    second = msgspec.structs.replace(
        first, client_order_id=first.client_order_id.removesuffix("1") + "2", attempt=2
    )
    ended = OrderNotPlaced(client_order_id=first.client_order_id, evidence="absent")
    world.fold(ended, second)
    world.entry = second
    return world, first


def test_the_attempt_that_was_never_placed_ends_no_stop_of_the_one_that_was() -> None:
    world, first = at_second_attempt()
    world.protect()
    assert entries_to_tend(world.state) == [world.entry.client_order_id]
    asked = decide_protection(
        LIMITS, world.state, first.client_order_id, facts(world.now_ns), frozenset()
    )
    assert asked.events == ()
    assert world.decided(AlgoOrderRecorded) == []


def test_once_the_position_is_closed_its_stop_and_target_end_as_ever() -> None:
    world, _ = at_second_attempt()
    stop, target = world.protect()
    world.fill(side=world.entry.order.side.opposite, client_order_id="by-hand", venue_order_id=9)
    assert entries_to_tend(world.state) != []
    for client_order_id in entries_to_tend(world.state):
        decision = decide_protection(
            LIMITS, world.state, client_order_id, facts(world.now_ns), frozenset()
        )
        if decision.events:
            world.fold(*decision.events)
    algos = world.state.algo_orders
    assert [algos[one].cancel_requested for one in (stop, target)] == [True, True]
    assert algos[stop].status is AlgoStatus.WORKING
