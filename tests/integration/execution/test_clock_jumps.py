"""Our clock ran ahead for a moment and was set back: what was noted meanwhile lies in the future.

Nothing may wait until that future has come: the next jump may have been of years.
"""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from libs.common.messages.journal import OrderUpdated
from libs.common.model.order import OrderStatus
from libs.common.runtime.bus import Bus
from tests.integration.execution.desks import Replica, an_answer, running_venue, take

AHEAD_S = 3_600.0
BALANCE = {
    "asset": "USDT",
    "balance": "10000",
    "crossWalletBalance": "10000",
    "crossUnPnl": "0",
    "availableBalance": "10000",
}


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        await replica.get_ready()
        venue.answers = {
            "POST order": take,
            "balance": (200, [BALANCE]),
            "exchangeInfo": (502, "no"),
        }
        yield replica
        await replica.close()


def jump_back(replica: Replica, seconds: float) -> None:
    """The clock of a machine may do what the paper clock never does."""
    replica.clock._latest_ns = 0
    replica.at(seconds)


async def test_the_venue_is_asked_as_often_as_before(replica: Replica) -> None:
    order = await replica.leave_in_doubt()
    replica.at(AHEAD_S)
    replica.venue.answers["order"] = (502, "no")
    await replica.upkeep.tick()
    replica.venue.answers["order"] = (200, an_answer(order))
    jump_back(replica, 10)
    await replica.upkeep.tick()
    assert replica.status(order) is OrderStatus.FILLED


async def test_a_balance_of_the_future_does_not_hold_entries_back(replica: Replica) -> None:
    replica.at(AHEAD_S)
    await replica.upkeep.tick()
    jump_back(replica, 20)
    await replica.upkeep.tick()
    entry = await replica.hear(replica.an_intent("entry"))
    memory = replica.gate.state.intents[entry]
    assert memory.reason is None


async def test_a_statement_that_is_only_a_little_older_is_still_old_news(replica: Replica) -> None:
    replica.at(2)
    await replica.state_balance("5000")
    jump_back(replica, 1)
    await replica.figures.refresh_balance()
    assert replica.venue.paths() == ["balance"]
    assert replica.gate.state.available_balance == 5_000


async def test_an_order_recorded_in_the_future_is_taken_over_all_the_same(replica: Replica) -> None:
    other = Replica(replica.bus, replica.venue, writer="w2")
    await other.gate.catch_up()
    other.desk.doubt_orphans = _nothing  # type: ignore[method-assign]
    other.at(AHEAD_S)
    with pytest.raises(AssertionError):
        await other.leave_in_doubt()
    await replica.gate.catch_up()
    assert replica.status("pc-BTCUSDT") is OrderStatus.RECORDED
    replica.at(10)
    await replica.desk.doubt_orphans()
    assert replica.status("pc-BTCUSDT") is OrderStatus.UNKNOWN
    await other.close()


async def _nothing() -> None:
    """It died before it could."""


async def test_fills_that_are_missing_since_the_future_are_fetched(replica: Replica) -> None:
    order = await replica.leave_in_doubt()
    replica.at(AHEAD_S)
    told = OrderUpdated(
        client_order_id=order,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
    )
    await replica.journal(told)
    jump_back(replica, 10)
    await replica.upkeep.tick()
    assert "userTrades" in replica.venue.paths()
