"""A kill is not proven while an order of ours may yet arrive, whatever our own clock believes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from libs.common.messages.account import Verb
from libs.common.messages.audit_events import KillProven, OperatorActed
from libs.common.runtime.bus import Bus
from services.execution.config import ExecutionConfig
from services.execution.kill import KillDesk
from tests.integration.execution.desks import (
    GONE,
    NOW_MS,
    Parameters,
    Replica,
    running_venue,
)

#: Seconds after which the venue must refuse a late arrival, and its queries no longer lag.
PROVABLE_S = 5 + 3


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue, ExecutionConfig(kill_wait_ms=20_000))
        await replica.get_ready()
        venue.answers = {"order": GONE}
        yield replica
        await replica.close()


async def cancel_all(replica: Replica) -> KillProven:
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
        tasks.append(asyncio.create_task(work, name=name))

    kill = KillDesk(
        replica.gate,
        replica.desk,
        replica.client,
        replica.lookout,
        replica.clock,
        replica.settings,
        spawn,
    )
    acted = OperatorActed(
        actor="person", verb=Verb.CANCEL_ALL, reason="drill", target="", key="kill-1"
    )
    await replica.journal(acted)
    kill.begin("kill-1")
    await asyncio.gather(*tasks)
    (proven,) = [event for event in await replica.events() if isinstance(event, KillProven)]
    return proven


async def test_our_clock_s_running_ahead_proves_nothing(replica: Replica) -> None:
    replica.settings = replica.settings.model_copy(update={"kill_wait_ms": 1_000})
    order = await replica.leave_in_doubt()
    replica.at(3_600)
    replica.venue.answers["time"] = (200, {"serverTime": NOW_MS + 1_000})
    proven = await cancel_all(replica)
    assert not proven.is_complete
    assert order in proven.remaining


async def test_what_may_arrive_while_the_venue_is_asked_is_not_proven_absent(
    replica: Replica,
) -> None:
    """The list was empty while the order could still come; the time for that ended after it."""
    order = await replica.leave_in_doubt()
    venue_ms = NOW_MS + 4_000
    rounds = 0

    async def time_of_venue(_: Parameters) -> tuple[int, Any]:
        return 200, {"serverTime": venue_ms}

    async def slow_list(_: Parameters) -> tuple[int, Any]:
        nonlocal venue_ms, rounds
        rounds += 1
        venue_ms += 10_000  # the answer took its time
        replica.at((venue_ms - NOW_MS) / 1_000)
        return 200, []

    replica.venue.answers |= {"time": time_of_venue, "openOrders": slow_list}
    proven = await cancel_all(replica)
    assert (proven.is_complete, rounds) == (True, 2), order


async def test_once_nothing_can_arrive_any_more_it_is_proven(replica: Replica) -> None:
    await replica.leave_in_doubt()
    replica.at(PROVABLE_S + 1)
    replica.venue.answers["time"] = (200, {"serverTime": NOW_MS + (PROVABLE_S + 1) * 1_000})
    assert (await cancel_all(replica)).is_complete
