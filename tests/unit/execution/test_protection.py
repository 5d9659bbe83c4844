"""Stops and targets: what an exposed entry is owed, and what ends it."""

from decimal import Decimal
from typing import Any

import pytest

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.audit_events import KillProven, OperatorActed
from libs.common.messages.guard_events import LatchKind, VenueLatched
from libs.common.messages.journal import (
    OrderAnswered,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, OrderType, Side, TimeInForce
from libs.common.model.trading_state import TradingState
from libs.common.testing.builders import an_instrument
from services.execution.fold import forget
from services.execution.protection import decide_algo_update, entries_to_tend, quantise_trigger
from services.execution.state import PROTECTION
from tests.unit.execution.gate_cases import LIMITS, an_entry, decide, reason_of, restarted
from tests.unit.execution.protection_cases import Protected

GRACE_MS = LIMITS.stop_grace_ms
RETRY_MS = LIMITS.protection_retry_ms


# -- placing -------------------------------------------------------------------------------------


def test_nothing_is_placed_before_the_first_fill() -> None:
    world = Protected()
    assert not world.decide().events
    world.told(OrderStatus.OPEN)
    assert not world.decide().events
    assert entries_to_tend(world.state) == []


def test_the_first_fill_brings_a_stop_and_a_target_over_what_was_filled() -> None:
    world = Protected()
    world.filled()
    stop, target = world.decide().events
    assert isinstance(stop, AlgoOrderRecorded)
    assert isinstance(target, AlgoOrderRecorded)
    assert (stop.kind, stop.side, stop.quantity) == (AlgoKind.STOP, Side.SELL, Decimal("0.020"))
    assert (stop.trigger_price, target.trigger_price) == (Decimal("59000.1"), Decimal("61000.0"))
    assert (stop.writer, stop.attempt) == ("w1", 1)
    assert stop.client_algo_id != target.client_algo_id
    assert not world.decide().events


def test_whichever_tells_first_of_the_fill_is_enough() -> None:
    answer, stream, query = Protected(), Protected(), Protected()
    answer.fold(
        OrderAnswered(
            client_order_id=answer.entry.client_order_id,
            venue_order_id=7,
            status=OrderStatus.FILLED,
            cumulative_quantity=Decimal("0.020"),
        )
    )
    stream.fill()
    query.told(OrderStatus.FILLED, "0.020")
    for world in (answer, stream, query):
        assert len(world.decided(AlgoOrderRecorded)) == 2


def test_an_entry_that_asks_for_a_target_alone_is_owed_no_stop() -> None:
    world = Protected(stop_price=None)
    world.filled()
    (target,) = world.decided(AlgoOrderRecorded)
    assert target.kind is AlgoKind.TARGET
    world.algo(target.client_algo_id, AlgoStatus.REJECTED, code=-1102)
    world.wait(10 * GRACE_MS)
    assert world.decided(ProtectionFailed) == []


@pytest.mark.parametrize(
    ("kind", "side", "rounded"),
    [
        (AlgoKind.STOP, Side.SELL, "100.1"),
        (AlgoKind.STOP, Side.BUY, "100.0"),
        (AlgoKind.TARGET, Side.SELL, "100.0"),
        (AlgoKind.TARGET, Side.BUY, "100.1"),
    ],
)
def test_a_trigger_is_rounded_toward_the_entry(kind: AlgoKind, side: Side, rounded: str) -> None:
    instrument: Instrument = an_instrument()
    assert quantise_trigger(kind, side, Decimal("100.05"), instrument) == Decimal(rounded)
    assert quantise_trigger(kind, side, Decimal("100.05"), None) == Decimal("100.05")


def test_a_short_is_protected_above() -> None:
    world = Protected(side=Side.SELL, stop_price=Decimal(61_000), target_price=Decimal(59_000))
    world.filled()
    stop, target = world.decided(AlgoOrderRecorded)
    assert (stop.side, target.side) == (Side.BUY, Side.BUY)


def test_a_restart_places_nothing_twice() -> None:
    world = Protected()
    world.filled()
    world.decide()
    world.state = restarted(world.state)
    assert not world.decide().events


def test_a_halt_keeps_and_places_stops() -> None:
    world = Protected()
    world.fold(TradingStateChanged(state=TradingState.HALTED, actor="test", reason="drill"))
    world.filled()
    assert len(world.decided(AlgoOrderRecorded, is_closing=True)) == 2


# -- growing -------------------------------------------------------------------------------------


def test_a_bigger_stop_comes_before_the_smaller_one_goes() -> None:
    world = Protected()
    world.told(OrderStatus.PARTIALLY_FILLED)
    world.fill("0.005")
    small, _ = world.decided(AlgoOrderRecorded)
    world.algo(small.client_algo_id, AlgoStatus.WORKING)
    world.fill("0.015")
    assert not world.decided(AlgoOrderRecorded)  # many parts in a short time make one stop
    world.wait(RETRY_MS)
    (big,) = world.decided(AlgoOrderRecorded)  # the target's fate is awaited first
    assert (big.kind, big.quantity, big.attempt) == (AlgoKind.STOP, Decimal("0.020"), 2)
    assert not world.decided(AlgoCancelRequested)
    world.algo(big.client_algo_id, AlgoStatus.WORKING)
    (ended,) = world.decided(AlgoCancelRequested)
    assert ended.client_algo_id == small.client_algo_id


def test_an_entry_that_fills_for_long_is_not_taken_for_unprotected() -> None:
    world = Protected()
    world.told(OrderStatus.PARTIALLY_FILLED)
    for _ in range(20):
        world.fill("0.001")
        world.wait(RETRY_MS)
        for event in world.decide().events:
            assert not isinstance(event, ProtectionFailed)
            if isinstance(event, AlgoOrderRecorded):
                world.wait(300)
                world.algo(event.client_algo_id, AlgoStatus.WORKING)
                world.fill("0.000001", side=Side.BUY)


# -- what goes wrong -----------------------------------------------------------------------------


def test_a_stop_that_would_trigger_at_once_closes_the_position_now() -> None:
    world = Protected()
    world.filled()
    stop, target = world.decided(AlgoOrderRecorded)
    world.algo(target.client_algo_id, AlgoStatus.WORKING)
    world.algo(stop.client_algo_id, AlgoStatus.REJECTED, code=-2021, why="would trigger")
    failed, closing = world.decide().events
    assert isinstance(failed, ProtectionFailed)
    assert failed.why == "the stop would trigger at once"
    assert isinstance(closing, OrderRecorded)
    intent, order = closing.intent, closing.order
    assert (intent.strategy_id, intent.purpose) == (PROTECTION, Purpose.EXIT)
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, Decimal("0.020"), True)
    assert order.order_type is OrderType.MARKET
    assert closing.expires_at_ns > world.now_ns


def test_a_refused_stop_is_tried_again_after_a_while_and_not_for_ever() -> None:
    world = Protected(target_price=None)
    world.filled()
    attempts = []
    for _ in range(LIMITS.protection_attempts_max):
        (stop,) = world.decided(AlgoOrderRecorded)
        attempts.append(stop.client_algo_id)
        world.algo(stop.client_algo_id, AlgoStatus.REJECTED, code=-1001, why="internal")
        if len(attempts) < LIMITS.protection_attempts_max:
            assert not world.decide().events
            world.wait(RETRY_MS)
    assert len(set(attempts)) == LIMITS.protection_attempts_max
    failed, closing = world.decide().events
    assert isinstance(failed, ProtectionFailed)
    assert "3 stops came to nothing, the last: internal" in failed.why
    assert isinstance(closing, OrderRecorded)


def test_a_stop_of_unknown_fate_is_waited_for_and_closes_the_position_when_it_is_too_late() -> None:
    world = Protected(target_price=None)
    world.filled()
    (stop,) = world.decided(AlgoOrderRecorded)
    world.algo(stop.client_algo_id, AlgoStatus.UNKNOWN, why="timeout")
    world.wait(GRACE_MS - 1)
    assert not world.decide().events
    world.wait(1)
    failed, closing = world.decide().events
    assert isinstance(failed, ProtectionFailed)
    assert f"no stop was acknowledged for {GRACE_MS} ms" in failed.why
    assert isinstance(closing, OrderRecorded)


def test_a_stop_that_the_venue_does_not_list_gets_a_successor_and_ends_when_it_turns_up() -> None:
    world = Protected(target_price=None)
    world.filled()
    (lost,) = world.decided(AlgoOrderRecorded)
    world.algo(lost.client_algo_id, AlgoStatus.UNKNOWN, why="timeout")
    world.unlisted = frozenset({lost.client_algo_id})
    assert not world.decide().events
    world.wait(RETRY_MS)
    (second,) = world.decided(AlgoOrderRecorded)
    world.algo(second.client_algo_id, AlgoStatus.WORKING)
    world.unlisted = frozenset()
    assert not world.decide().events
    world.algo(lost.client_algo_id, AlgoStatus.WORKING)
    (ended,) = world.decided(AlgoCancelRequested)
    assert ended.client_algo_id == lost.client_algo_id


def test_an_acknowledgement_in_time_ends_the_wait() -> None:
    world = Protected()
    world.protect()
    world.wait(100 * GRACE_MS)
    assert not world.decide().events


def test_a_stop_that_a_stranger_cancels_is_placed_again() -> None:
    world = Protected()
    stop, _ = world.protect()
    world.wait(60_000)
    world.algo(stop, AlgoStatus.CANCELED)
    (again,) = world.decided(AlgoOrderRecorded)
    assert (again.kind, again.attempt) == (AlgoKind.STOP, 2)


def test_a_stop_that_triggered_and_closed_nothing_ends_in_a_market_order() -> None:
    world = Protected()
    stop, _ = world.protect()
    world.algo(stop, AlgoStatus.TRIGGERED, venue_order_id=9)
    assert not world.decide().events
    world.algo(stop, AlgoStatus.FINISHED)
    world.wait(GRACE_MS)
    assert [type(event) for event in world.decide().events] == [ProtectionFailed, OrderRecorded]


def test_nothing_is_sent_to_a_venue_that_has_banned_us() -> None:
    world = Protected()
    world.filled()
    ban = VenueLatched(
        kind=LatchKind.BANNED, until_ns=world.now_ns + 60_000_000_000, why="too many"
    )
    world.fold(ban)
    assert not world.decide().events
    world.wait(GRACE_MS)
    assert [type(event) for event in world.decide().events] == [ProtectionFailed]
    world.wait(60_000)
    assert len(world.closings()) == 1


# -- kills ---------------------------------------------------------------------------------------


def test_while_a_kill_lasts_nothing_is_placed_and_then_the_position_is_protected_again() -> None:
    world = Protected()
    stop, target = world.protect()
    acted = OperatorActed(actor="op", verb="cancel-all", reason="drill", target="", key="k")
    world.fold(acted)
    for client_algo_id in (stop, target):
        world.algo(client_algo_id, AlgoStatus.CANCELED)
    world.wait(10 * GRACE_MS)
    assert not world.decide().events
    proven = KillProven(
        verb="cancel-all",
        orders_canceled=0,
        algo_orders_canceled=2,
        positions_closed=(),
        took_ms=1,
        is_complete=True,
        remaining="",
        key="k",
    )
    world.fold(proven)
    assert len(world.decided(AlgoOrderRecorded)) == 2


# -- words ---------------------------------------------------------------------------------------


def test_old_news_of_a_stop_change_nothing() -> None:
    world = Protected()
    stop, _ = world.protect()
    again = AlgoOrderUpdated(client_algo_id=stop, status=AlgoStatus.WORKING, algo_id=1)
    assert not decide_algo_update(world.state, again).events
    foreign = AlgoOrderUpdated(client_algo_id="by-hand", status=AlgoStatus.WORKING)
    assert not decide_algo_update(world.state, foreign).events
    world.algo(stop, AlgoStatus.CANCELED)
    late = AlgoOrderUpdated(client_algo_id=stop, status=AlgoStatus.WORKING)
    assert not decide_algo_update(world.state, late).events


def test_an_exposed_entry_is_not_forgotten_and_a_closed_one_is() -> None:
    world = Protected()
    world.protect()
    much_later_ns = world.now_ns + 100 * 3_600 * 10**9
    forget(world.state, much_later_ns, LIMITS.idempotency_ms)
    assert world.entry.client_order_id in world.state.orders
    world.fill(side=Side.SELL, client_order_id="by-hand", venue_order_id=99)
    for algo in list(world.state.algo_orders):
        world.algo(algo, AlgoStatus.CANCELED)
    forget(world.state, much_later_ns, LIMITS.idempotency_ms)
    assert world.entry.client_order_id not in world.state.orders


# -- the door ------------------------------------------------------------------------------------


def test_nobody_outside_goes_by_the_name_of_protection() -> None:
    world = Protected()
    decision = decide(world.state, an_entry("stranger", strategy_id=PROTECTION))
    assert reason_of(decision) == "INTENT_INVALID"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_price": Decimal(60_001)},
        {"target_price": Decimal(59_999)},
        {"purpose": Purpose.EXIT, "side": Side.SELL, "stop_price": Decimal(61_000)},
    ],
)
def test_a_misplaced_stop_does_not_pass_the_gate(changes: dict[str, Any]) -> None:
    assert reason_of(decide(Protected().state, an_entry("other", **changes))) == "INTENT_INVALID"


def test_an_entry_too_big_for_one_stop_is_refused() -> None:
    limit: dict[str, Any] = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    world = Protected()
    world.state.instruments["ETHUSDT"] = an_instrument(
        symbol="ETHUSDT", market_quantity_max=Decimal("0.010")
    )
    wish = an_entry(
        "big", symbol="ETHUSDT", price=Decimal(60_000), stop_price=Decimal(59_000), **limit
    )
    assert reason_of(decide(world.state, wish)) == "FILTER_QUANTITY"
