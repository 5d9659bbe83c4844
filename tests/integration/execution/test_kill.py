"""Cancel-all and flatten against the paper exchange: proven by what the venue itself shows."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from libs.common.messages.account import Verb
from libs.common.messages.audit_events import KillProven, OperatorActed, PositionsObserved
from libs.common.messages.journal import FillReceived, OrderRecorded, TradingStateChanged
from libs.common.model.money import plain
from libs.common.model.order import Side
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.outcomes import Accepted
from services.execution.kill_core import KILL_STRATEGY
from services.paper_exchange.demo_keys import DEMO_TRADE_KEY, DEMO_TRADE_SECRET

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

SYMBOL = "BTCUSDT"
CANCEL_ORDERS = "DELETE /fapi/v1/allOpenOrders"


@pytest.fixture
async def by_hand(world: "World") -> AsyncIterator[VenueClient]:
    """The same account in somebody's hands: what it places is foreign to us."""
    client = VenueClient(
        world.venue_url,
        world.clock.now_ns,
        api_key=DEMO_TRADE_KEY,
        api_secret=Secret(DEMO_TRADE_SECRET),
    )
    yield client
    await client.close_connection()


async def rest_by_hand(world: "World", venue: VenueClient) -> None:
    """A limit order far below the market and a stop far below it."""
    price = (await world.mark_price()).quantize(Decimal(1))
    placed = await venue.place_order(
        {
            "symbol": SYMBOL,
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.010",
            "price": plain((price * Decimal("0.97")).quantize(Decimal(1))),
            "newClientOrderId": "by-hand-1",
        },
        timestamp_ms=venue.timestamp_ms(),
    )
    assert isinstance(placed, Accepted), placed
    placed = await venue.place_algo_order(
        {
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.010",
            "triggerPrice": plain((price * Decimal("0.9")).quantize(Decimal(1))),
            "reduceOnly": "true",
            "clientAlgoId": "by-hand-stop-1",
        },
        timestamp_ms=venue.timestamp_ms(),
    )
    assert isinstance(placed, Accepted), placed


async def proof(world: "World", key: str) -> KillProven:
    """What the journal says came of a kill."""

    async def look() -> KillProven | None:
        for record in await world.journal():
            for event in record.events:
                if isinstance(event, KillProven) and event.key == key:
                    return event
        return None

    found: list[KillProven] = []

    async def told() -> bool:
        event = await look()
        if event is not None:
            found.append(event)
        return event is not None

    await world.until(told, "the kill to end")
    return found[0]


async def test_cancel_all_cancels_whatever_rests_and_says_how_long_it_took(
    world: "World", by_hand: VenueClient
) -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    await rest_by_hand(world, by_hand)
    key = await world.command(Verb.CANCEL_ALL)
    proven = await proof(world, key)
    assert proven.is_complete, proven
    assert (proven.orders_canceled, proven.algo_orders_canceled) == (1, 1)
    assert proven.positions_closed == ()
    assert proven.took_ms >= 0
    assert await by_hand.open_orders() == []
    assert await by_hand.open_algo_orders() == []
    assert [position.symbol for position in await by_hand.position_risk()] == [SYMBOL]
    (record,) = [
        record
        for record in await world.journal()
        if any(isinstance(event, OperatorActed) for event in record.events)
    ]
    acted, changed = record.events
    assert isinstance(acted, OperatorActed)
    assert (acted.actor, acted.reason, acted.verb) == ("test", "drill", "cancel-all")
    assert isinstance(changed, TradingStateChanged)
    assert changed.state == "HALTED"


async def test_flatten_closes_what_the_venue_shows_though_halted_and_cancels_stops_last(
    world: "World", by_hand: VenueClient
) -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    await rest_by_hand(world, by_hand)
    await world.command(Verb.HALT)
    key = await world.command(Verb.FLATTEN)
    proven = await proof(world, key)
    assert proven.is_complete, proven
    assert proven.positions_closed == (SYMBOL,)
    assert await by_hand.open_orders() == []
    assert await by_hand.open_algo_orders() == []
    assert all(position.quantity == 0 for position in await by_hand.position_risk())
    events = [event for record in await world.journal() for event in record.events]
    (exit_order,) = [
        event
        for event in events
        if isinstance(event, OrderRecorded) and event.intent.strategy_id == KILL_STRATEGY
    ]
    assert exit_order.order.reduce_only
    asked = next(n for n, event in enumerate(events) if isinstance(event, OperatorActed))
    ended = next(n for n, event in enumerate(events) if isinstance(event, KillProven))
    observed = [event for event in events[asked:ended] if isinstance(event, PositionsObserved)]
    assert [position.symbol for position in observed[0].positions] == [SYMBOL]
    assert observed[-1].positions == ()
    assert world.state is not None
    assert world.state.trading_state == "HALTED"

    async def is_flat() -> bool:
        state = world.state
        return state is not None and all(not held.quantity for held in state.positions)

    await world.until(is_flat, "our own books to be flat")


async def test_a_kill_that_a_crash_interrupts_is_finished_by_the_next_life(
    world: "World", by_hand: VenueClient
) -> None:
    await rest_by_hand(world, by_hand)
    await world.sim(
        "POST", "/sim/faults", [{"endpoint": CANCEL_ORDERS, "effect": "http_503_unavailable"}]
    )
    key = await world.command(Verb.FLATTEN)

    async def struck() -> bool:
        told = await world.sim("GET", "/sim/faults")
        return any(
            rule["struck"]
            for rules in told.values()
            if rules and isinstance(rules, list)
            for rule in rules
        )

    await world.until(struck, "the first cancel to fail")
    await world.kill("execution")
    assert await by_hand.open_orders() != []
    await world.sim("DELETE", "/sim/faults")
    await world.start_service("execution")
    proven = await proof(world, key)
    assert proven.is_complete, proven
    assert await by_hand.open_orders() == []
    assert await by_hand.open_algo_orders() == []


async def test_flatten_waits_for_what_became_of_an_order_whose_answer_was_lost(
    world: "World", by_hand: VenueClient
) -> None:
    lost = [{"endpoint": "POST /fapi/v1/order", "nth": 1, "effect": "drop_after_execution"}]
    await world.sim("POST", "/sim/faults", lost)
    await world.approve(Side.BUY)
    key = await world.command(Verb.FLATTEN)
    proven = await proof(world, key)
    assert proven.is_complete, proven
    assert all(position.quantity == 0 for position in await by_hand.position_risk())


async def test_an_exit_under_way_when_we_die_is_settled_and_the_rest_closed_in_the_next_life(
    world: "World", by_hand: VenueClient
) -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    late = [{"endpoint": "POST /fapi/v1/order", "effect": "late_arrival", "delay_ms": 60_000}]
    await world.sim("POST", "/sim/faults", late)
    key = await world.command(Verb.FLATTEN)

    async def is_recorded() -> bool:
        return any(
            isinstance(event, OrderRecorded) and event.intent.strategy_id == KILL_STRATEGY
            for record in await world.journal()
            for event in record.events
        )

    await world.until(is_recorded, "the exit to be journaled")
    await world.kill("execution")
    await world.sim("DELETE", "/sim/faults")
    await world.start_service("execution")
    proven = await proof(world, key)
    assert proven.is_complete, proven
    assert all(position.quantity == 0 for position in await by_hand.position_risk())
    exits = [
        event.client_order_id
        for record in await world.journal()
        for event in record.events
        if isinstance(event, OrderRecorded) and event.intent.strategy_id == KILL_STRATEGY
    ]
    assert len(exits) == len(set(exits)) == 2
