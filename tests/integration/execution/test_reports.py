"""What the venue's calls leave behind for the journal, when there is too much of it."""

from collections.abc import AsyncIterator

import pytest

from libs.common.messages.audit_events import ApiErrorReported
from libs.common.messages.guard_events import LatchKind, VenueLatched
from libs.common.runtime.bus import Bus
from libs.common.runtime.venue_client import VenueReadError
from services.execution.config import ExecutionConfig
from tests.integration.execution.desks import NOW_MS, Replica, running_venue

QUEUED_MAX = 10


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue, ExecutionConfig(reports_queued_max=QUEUED_MAX))
        await replica.get_ready()
        yield replica
        await replica.close()


async def read(replica: Replica) -> None:
    with pytest.raises(VenueReadError):
        await replica.client.balance()


async def test_a_ban_is_journaled_although_there_were_too_many_errors_to_report(
    replica: Replica,
) -> None:
    """Else whoever starts next would go on asking, and prolong it."""
    replica.venue.answers["balance"] = (502, "no")
    for _ in range(QUEUED_MAX + 5):
        await read(replica)
    until_ms = NOW_MS + 600_000
    text = f"Way too many requests; IP banned until {until_ms}."
    replica.venue.answers["balance"] = (418, {"code": -1003, "msg": text})
    await read(replica)
    await replica.reports.flush(replica.gate)
    events = await replica.events()
    (latched,) = [event for event in events if isinstance(event, VenueLatched)]
    assert (latched.kind, latched.until_ns) == (LatchKind.BANNED, until_ms * 1_000_000)
    errors = [event for event in events if isinstance(event, ApiErrorReported)]
    assert len(errors) == QUEUED_MAX + 1
    assert errors[-1].reason == "REPORTS_LOST"
    count = len(events)
    await replica.reports.flush(replica.gate)
    assert len(await replica.events()) == count
