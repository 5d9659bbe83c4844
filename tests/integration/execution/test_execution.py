"""Execution as a process: one order per intent, whatever crashes, repeats or goes unanswered."""

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import DeadLetter, Verb
from libs.common.messages.codec import decode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import (
    FillReceived,
    IntentRefusedByGate,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderUpdated,
)
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.verdict import Reason
from libs.common.runtime.journal import Journal
from services.paper_exchange.demo_keys import DEMO_TRADE_KEY, DEMO_TRADE_SECRET

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

ORDER = "POST /fapi/v1/order"


async def wait_for_dead_letter(world: "World", words: str) -> DeadLetter:
    async with asyncio.timeout(40):
        while True:
            stored = await world.bus.read_last(subjects.DEAD_STREAM, subjects.dead("execution"))
            if stored is not None and stored.data is not None:
                letter = decode(stored.data, DeadLetter)
                if words in letter.reason:
                    return letter
            await asyncio.sleep(0.02)


async def test_an_approved_intent_becomes_one_filled_order_journaled_before_it_was_sent(
    world: "World",
) -> None:
    entered = await world.approve(Side.BUY)
    answer = await world.wait_for(entered, OrderAnswered)
    assert isinstance(answer, OrderAnswered)
    assert answer.status is OrderStatus.FILLED
    fill = await world.wait_for(entered, FillReceived)
    assert isinstance(fill, FillReceived)
    assert fill.quantity <= Decimal("0.020")
    kinds = [type(event) for event in await world.events_of(entered)]
    assert kinds[0] is OrderRecorded
    (record,) = [
        record
        for record in await world.journal()
        if any(isinstance(event, OrderRecorded) for event in record.events)
    ]
    assert record.ts_wall_ns <= answer.sent_wall_ns
    assert len(await world.placements(entered)) == 1
    # The same approval again, as another message: decided before, so nothing is sent.
    await world.publish(entered, "a repeat")
    left = await world.approve(Side.SELL, purpose=Purpose.EXIT)
    await world.wait_for(left, OrderAnswered)
    assert len(await world.placements(entered)) == 1
    # An offline reader finds the chain whole.
    reader = Journal(world.bus, "paper", "reader")
    assert [record.number async for record in reader.read_tail()] == [
        record.number for record in await world.journal()
    ]
    for secret in (DEMO_TRADE_SECRET, DEMO_TRADE_KEY):
        assert secret not in world.logs()
    assert "Pap***001 (length: 64)" in world.logs()


async def test_what_the_gate_must_not_pass_is_refused_or_set_aside_and_the_service_goes_on(
    world: "World",
) -> None:
    subject = subjects.intent_approved("paper", "BTCUSDT")
    await world.bus.publish_stored(subject, b"\xff{not json", message_id="garbage")
    await wait_for_dead_letter(world, "not a ApprovedIntent")
    genuine = await world.approve(life_ms=-5_000)
    refused = await world.wait_for(genuine, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.INTENT_EXPIRED
    forged = msgspec.structs.replace(genuine, mac="0" * 64)
    await world.publish(forged, "forged")
    await wait_for_dead_letter(world, "not signed by risk")
    await world.approve(account="another")
    await wait_for_dead_letter(world, "for account 'another'")
    greedy = await world.approve(order_changes={"quantity": Decimal(100)})
    refused = await world.wait_for(greedy, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.MARGIN_INSUFFICIENT
    await world.command(Verb.HALT)
    async with asyncio.timeout(40):
        while world.state is None or world.state.trading_state != "HALTED":
            await asyncio.sleep(0.02)
    halted = await world.approve()
    refused = await world.wait_for(halted, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.TRADING_HALTED
    # A person halted it: a restart of paper does not arm it again.
    await world.kill("execution")
    await world.start_service("execution")
    still = await world.approve(life_ms=60_000)
    refused = await world.wait_for(still, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.TRADING_HALTED
    await world.command(Verb.RESUME)
    async with asyncio.timeout(40):
        while world.state is None or world.state.trading_state != "ACTIVE" or not world.state.armed:
            await asyncio.sleep(0.02)
    resumed = await world.approve()
    await world.wait_for(resumed, OrderAnswered)


async def test_an_order_whose_answer_was_lost_is_found_again_and_never_sent_twice(
    world: "World",
) -> None:
    await world.sim("POST", "/sim/faults", [{"endpoint": ORDER, "effect": "drop_after_execution"}])
    entered = await world.approve(Side.BUY)
    # The user stream may tell of the fill before the sender knows that its answer is lost.
    await world.wait_for(entered, FillReceived)
    await world.wait_for(entered, OrderUpdated)
    assert len(await world.placements(entered)) == 1
    await world.sim("DELETE", "/sim/faults")
    left = await world.approve(Side.SELL, purpose=Purpose.EXIT)
    await world.wait_for(left, FillReceived)


async def test_asked_to_stop_it_waits_for_the_answer_of_an_order_under_way(world: "World") -> None:
    slow = [{"endpoint": ORDER, "effect": "delay", "delay_ms": 1_500}]
    await world.sim("POST", "/sim/faults", slow)
    entered = await world.approve(Side.BUY, life_ms=60_000)
    await world.wait_for(entered, OrderRecorded)
    stopping = asyncio.create_task(world.children["execution"].stop(5_000))

    async def is_stopping() -> bool:
        return '"event":"stopping"' in (world.directory / "execution.log").read_text()

    await world.until(is_stopping, "execution to stop taking approvals")
    late = await world.approve(Side.SELL, purpose=Purpose.EXIT, life_ms=60_000)
    await stopping
    outcomes = {type(event) for event in await world.events_of(entered)}
    assert OrderAnswered in outcomes
    assert OrderBecameUnknown not in outcomes
    assert not await world.events_of(late)  # left for whoever comes next


async def test_an_order_that_never_arrived_is_closed_only_after_it_no_longer_can(
    world: "World",
) -> None:
    await world.sim("POST", "/sim/faults", [{"endpoint": ORDER, "effect": "drop_before_execution"}])
    entered = await world.approve(Side.BUY, life_ms=7_000)
    await world.wait_for(entered, OrderBecameUnknown)
    blocked = await world.approve(Side.SELL)
    refused = await world.wait_for(blocked, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.SYMBOL_QUARANTINED
    await world.sim("DELETE", "/sim/faults")
    await world.wait_for(entered, OrderNotPlaced)
    (recorded, closed_at_ns) = (None, 0)
    for record in await world.journal():
        for event in record.events:
            if isinstance(event, OrderRecorded):
                recorded = event
            elif isinstance(event, OrderNotPlaced):
                closed_at_ns = record.ts_event_ns
    assert recorded is not None
    assert len(await world.placements(entered)) == 1  # the one that was lost
    window_ms = recorded.timestamp_ms + recorded.recv_window_ms
    assert closed_at_ns // 1_000_000 >= window_ms + 3_000


async def test_an_order_that_never_arrived_is_sent_again_once_while_its_intent_lives(
    world: "World",
) -> None:
    await world.sim("POST", "/sim/faults", [{"endpoint": ORDER, "effect": "drop_before_execution"}])
    entered = await world.approve(Side.BUY, life_ms=50_000)
    await world.wait_for(entered, OrderBecameUnknown)
    await world.sim("DELETE", "/sim/faults")
    await world.wait_for(entered, FillReceived)
    (record,) = [
        record
        for record in await world.journal()
        if any(isinstance(event, OrderNotPlaced) for event in record.events)
    ]
    ended, again = record.events
    assert isinstance(ended, OrderNotPlaced)
    assert isinstance(again, OrderRecorded)
    assert again.attempt == 2
    asked = [placed["client_order_id"] for placed in await world.placements(entered)]
    assert asked == [ended.client_order_id, again.client_order_id]
    fills = [one for one in await world.events_of(entered) if isinstance(one, FillReceived)]
    assert {fill.client_order_id for fill in fills} == {again.client_order_id}


async def test_kill_9_at_any_moment_ends_in_at_most_one_order_whose_fate_is_the_venue_s(
    world: "World",
) -> None:
    for wait_ms in (2, 10, 25, 60):
        entered = await world.approve(Side.BUY, life_ms=60_000)
        await asyncio.sleep(wait_ms / 1000)
        await world.kill("execution")
        await world.restart_execution()

        async def ended(approved: ApprovedIntent = entered) -> bool:
            last = (await world.events_of(approved) or [None])[-1]
            return isinstance(last, FillReceived | OrderNotPlaced | IntentRefusedByGate) or (
                isinstance(last, OrderAnswered | OrderUpdated) and last.status.is_terminal
            )

        await world.until(ended, "the intent to end")
        placements = await world.placements(entered)
        events = await world.events_of(entered)
        was_filled = any(isinstance(event, FillReceived) for event in events)
        assert len(placements) <= 1
        assert was_filled == bool(placements)
        if was_filled:
            left = await world.approve(Side.SELL, purpose=Purpose.EXIT)
            await world.wait_for(left, FillReceived)


async def test_two_executions_on_one_account_send_each_order_once(world: "World") -> None:
    second = await world.start_service("execution", alias="second")
    async with asyncio.timeout(40):
        assert await second.wait_for_event("user stream up") is not None, second.last_words()
    approvals = []
    for _ in range(6):
        entered = await world.approve(Side.BUY)
        await world.wait_for(entered, FillReceived)
        left = await world.approve(Side.SELL, purpose=Purpose.EXIT)
        await world.wait_for(left, FillReceived)
        approvals += [entered, left]
    for approved in approvals:
        events = await world.events_of(approved)
        assert sum(isinstance(event, OrderRecorded) for event in events) == 1
        assert len(await world.placements(approved)) == 1
