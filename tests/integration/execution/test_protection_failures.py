"""A defect or a damaged journal met by a task of protection ends the service like any other's."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable, JournalBroken
from libs.common.runtime.provisioning import provision
from services.execution.changes import ChangeDesk
from services.execution.protection_desk import ProtectionDesk
from tests.integration.execution.desks import ACCOUNT, Replica, running_venue


@pytest.fixture
async def desk(nats_server: Broker) -> AsyncIterator[ProtectionDesk]:
    settings = BusConfig(url=nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, ACCOUNT, settings)
    async with running_venue() as venue:
        one = Replica(bus, venue)
        changes = ChangeDesk(one.gate, one.client, one.desk, one.lookout)
        yield ProtectionDesk(
            one.gate, one.client, one.desk, changes, one.lookout, one.clock, one.settings
        )
        await one.close()
    await bus.close()


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
