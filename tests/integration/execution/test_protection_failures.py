"""What goes wrong in the tasks of protection, and between a decision and the start of its task."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.messages.journal import OrderRecorded
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusUnavailable, JournalBroken
from libs.common.testing.builders import an_approval
from services.execution.changes import ChangeDesk
from services.execution.core import decide_approval
from services.execution.protection_desk import ProtectionDesk
from tests.integration.execution.desks import Replica, running_venue, take, until


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        yield replica
        await replica.close()


@pytest.fixture
def desk(replica: Replica) -> ProtectionDesk:
    one = replica
    changes = ChangeDesk(one.gate, one.client, one.desk, one.lookout)
    return ProtectionDesk(
        one.gate, one.client, one.desk, changes, one.lookout, one.clock, one.settings
    )


@pytest.mark.parametrize("error", [JournalBroken("record 7 is missing"), ZeroDivisionError()])
async def test_what_no_retry_heals_is_raised(desk: ProtectionDesk, error: Exception) -> None:
    async def fail() -> None:
        raise error

    desk._start("work", fail)
    async with asyncio.timeout(10):
        with pytest.raises(type(error)):
            await desk.run()


async def test_what_a_retry_heals_is_not(desk: ProtectionDesk) -> None:
    async def fail() -> None:
        raise BusUnavailable

    desk._start("work", fail)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await desk.run()


async def test_a_closing_that_is_about_to_be_sent_is_no_orphan(
    replica: Replica, desk: ProtectionDesk
) -> None:
    await replica.get_ready()
    replica.venue.answers["POST order"] = take
    intent = replica.an_intent("closing", side=Side.SELL, purpose=Purpose.EXIT)
    approved = an_approval(intent)
    decision = decide_approval(
        replica.settings, replica.gate.state, approved, replica.lookout.facts("BTCUSDT")
    )
    await replica.journal(*decision.events)
    (recorded,) = decision.events
    assert isinstance(recorded, OrderRecorded)
    desk._perform(recorded)
    await replica.desk.doubt_orphans()  # upkeep's turn comes before the task's
    await until(lambda: not desk.is_sending)
    assert replica.status(recorded.client_order_id) is OrderStatus.FILLED
    assert not replica.desk.sending
