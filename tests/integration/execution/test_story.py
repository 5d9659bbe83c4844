"""Reading a story back from a journal that is longer than anybody wants to read."""

from collections.abc import AsyncIterator

import pytest_asyncio

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.journal import JournalRecord, OrderNotPlaced
from libs.common.model.ids import derive_client_order_id
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import provision
from libs.common.testing.builders import S
from services.execution.story import READ_AHEAD_MAX, Storyteller

ACCOUNT = "paper"
RECORDS = 700
INTENT = "wished-for"


def record(number: int) -> bytes:
    """One record a minute; the one in the middle is about our intent."""
    mine = derive_client_order_id(ACCOUNT, INTENT if number == RECORDS // 2 else "another", 1)
    return encode(
        JournalRecord(
            account=ACCOUNT,
            number=number,
            prev_hash="",
            causation_id="",
            correlation_id="",
            ts_event_ns=number * 60 * S,
            ts_wall_ns=0,
            app_version="",
            config_hash="",
            events=(OrderNotPlaced(client_order_id=mine, evidence="a drill"),),
        )
    )


@pytest_asyncio.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    """A bus that waits: seven hundred records are synced one by one, on whatever disk there is."""
    settings = BusConfig(url=nats_server.url, publish_timeout_ms=60_000)
    bus = await Bus.connect(settings, "test", lambda: None)
    try:
        await provision(bus, ACCOUNT, settings)
        yield bus
    finally:
        await bus.close()


async def test_a_story_is_found_from_its_time_on_and_by_ids_derived_from_its_intent(
    bus: Bus,
) -> None:
    for number in range(1, RECORDS + 1):
        await bus.publish_stored(
            subjects.journal(ACCOUNT), record(number), message_id=f"record-{number}"
        )
    teller = Storyteller(bus, ACCOUNT)
    for since_ns in (0, RECORDS // 2 * 60 * S):
        (event,) = await teller.tell(INTENT, since_ns)
        assert event["journal_number"] == RECORDS // 2
        assert event["event"] == "OrderNotPlaced"
    assert await teller.tell(INTENT, RECORDS * 60 * S) == []
    assert await teller.tell("never-heard-of") == []
    newest = [one.number async for one in teller.since((RECORDS - 2 * READ_AHEAD_MAX) * 60 * S)]
    assert newest == list(range(RECORDS, RECORDS - 2 * READ_AHEAD_MAX - 1, -1))
