"""The gate enters only where the feed vouches for the symbol: real broker, real paper exchange."""

from collections.abc import AsyncIterator

import pytest

from libs.common.messages.journal import IntentRefusedByGate
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.verdict import Reason
from libs.common.runtime.broker import Broker
from tests.integration.execution.puppet_world import SYMBOL, PuppetWorld

AGE_MS = 2_000


@pytest.fixture
async def puppet(nats_server: Broker) -> AsyncIterator[PuppetWorld]:
    world = PuppetWorld(
        nats_server,
        health_silence_ms_max=AGE_MS,
        rate_symbol_orders_max=100,
        rate_global_orders_max=100,
        lock_ms=1_000,
        arming_wait_wall_ms=0,
    )
    try:
        await world.start()
        yield world
    finally:
        await world.stop()


async def refusal_of(world: PuppetWorld, intent_id: str) -> IntentRefusedByGate:
    await world.until(
        lambda: intent_id in world.state.intents, f"{intent_id} to be decided: {world.state}"
    )
    (found,) = [
        one
        for one in await world.events()
        if isinstance(one, IntentRefusedByGate) and one.intent.intent_id == intent_id
    ]
    return found


async def test_a_feed_that_fell_silent_lets_nothing_in_and_everything_out_until_it_speaks(
    puppet: PuppetWorld,
) -> None:
    entered = await puppet.enter(stop_price=None, target_price=None)
    await puppet.until(
        lambda: (
            entered in puppet.state.intents
            and puppet.order_of(entered).status is OrderStatus.FILLED
        ),
        "the entry to fill",
    )
    puppet.is_feed_silent = True
    execution, _ = puppet.lives[-1]

    def is_held() -> bool:
        rows = execution.admin.guards()["guards"]
        return any(row["guard"] == "market_health" and row["active"] for row in rows)

    await puppet.until(is_held, "the silence to be seen")
    refused = await refusal_of(
        puppet, await puppet.enter(side=Side.SELL, stop_price=None, target_price=None)
    )
    assert refused.reason is Reason.INPUT_STALE
    (verdict,) = [one for one in refused.verdicts if not one.passed]
    assert verdict.check == "market_health"
    assert f"within {AGE_MS} ms" in verdict.limit
    assert verdict.observed.endswith("ms ago")

    left = await puppet.enter(
        purpose=Purpose.EXIT, side=Side.SELL, stop_price=None, target_price=None
    )
    await puppet.until(lambda: not puppet.state.position_quantity(SYMBOL), "the exit to fill")
    assert puppet.order_of(left).status is OrderStatus.FILLED

    puppet.is_feed_silent = False
    await puppet.until(lambda: not is_held(), "the feed to be heard again")
    again = await puppet.enter(stop_price=None, target_price=None)
    await puppet.until(lambda: again in puppet.state.intents, "the entry to be decided")
    assert puppet.state.intents[again].reason is None


async def test_a_restarted_execution_is_not_armed_before_the_feed_has_vouched_for_its_symbols(
    puppet: PuppetWorld,
) -> None:
    puppet.is_feed_silent = True
    await puppet.crash()
    execution = await puppet.launch()
    await puppet.until(
        lambda: execution.status()["unarmed"] == ["market: not checked yet"],
        f"all other checks to pass: {execution.status()}",
    )
    refused = await refusal_of(puppet, await puppet.enter(stop_price=None, target_price=None))
    assert refused.reason is Reason.TRADING_HALTED
    (verdict,) = [one for one in refused.verdicts if one.check == "market_health"]
    assert (verdict.passed, verdict.reason) == (False, Reason.INPUT_STALE)
    assert verdict.observed == "unknown"
    puppet.is_feed_silent = False
    await puppet.until(lambda: execution.status()["armed"], "execution to arm")
