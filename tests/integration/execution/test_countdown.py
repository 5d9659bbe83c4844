"""The venue's dead man's switch on the paper exchange: it goes off once we are gone, not before."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from libs.common.messages.journal import OrderAnswered
from libs.common.model.money import plain
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.runtime.clock import sleep_market
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.outcomes import Accepted
from services.paper_exchange.demo_keys import DEMO_TRADE_KEY, DEMO_TRADE_SECRET

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

SYMBOL = "BTCUSDT"
COUNTDOWN_MS = 3_000


@pytest.fixture
async def by_hand(world: "World") -> AsyncIterator[VenueClient]:
    client = VenueClient(
        world.venue_url,
        world.clock.now_ns,
        api_key=DEMO_TRADE_KEY,
        api_secret=Secret(DEMO_TRADE_SECRET),
    )
    yield client
    await client.close_connection()


def turn_on(path: Path) -> None:
    tree = yaml.safe_load(path.read_text())
    tree["execution"]["countdown_ms"] = COUNTDOWN_MS
    tree["venue"]["request_timeout_ms"] = COUNTDOWN_MS // 2
    path.write_text(yaml.safe_dump(tree))


async def test_resting_orders_live_as_long_as_we_do_and_end_soon_after(
    world: "World", by_hand: VenueClient
) -> None:
    turn_on(world.directory / "config.yaml")
    await world.kill("execution")
    await world.restart_execution()
    price = ((await world.mark_price()) * Decimal("0.995")).quantize(Decimal(1))
    rested = await world.approve(
        Side.BUY,
        order_changes={
            "order_type": OrderType.LIMIT,
            "price": price,
            "time_in_force": TimeInForce.GTC,
        },
    )
    answered = await world.wait_for(rested, OrderAnswered)
    assert isinstance(answered, OrderAnswered)
    stop = await by_hand.place_algo_order(
        {
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.010",
            "triggerPrice": plain((price * Decimal("0.9")).quantize(Decimal(1))),
            "reduceOnly": "true",
            "clientAlgoId": "by-hand-stop-1",
        },
        timestamp_ms=by_hand.timestamp_ms(),
    )
    assert isinstance(stop, Accepted), stop
    await sleep_market(world.clock, 3 * COUNTDOWN_MS)
    assert len(await by_hand.open_orders(SYMBOL)) == 1
    await world.kill("execution")

    async def is_gone() -> bool:
        return await by_hand.open_orders(SYMBOL) == []

    await world.until(is_gone, "the venue to cancel by itself")
    # The paper exchange leaves conditional orders alone; what the real venue does is not told.
    assert len(await by_hand.open_algo_orders(SYMBOL)) == 1
