"""Storms: a thousand poor intents, an order that fails for ever, a venue that bans us."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from libs.common.messages.guard_events import LatchKind, SafeModeEntered, VenueLatched
from libs.common.messages.journal import IntentRefusedByGate, OrderRecorded
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, Side
from libs.common.model.verdict import Reason
from libs.common.runtime.bus import Bus
from libs.common.testing.builders import NOW_NS, S
from tests.integration.execution.desks import (
    NOW_MS,
    SYMBOLS,
    Parameters,
    Replica,
    running_venue,
    take,
)

Make = Callable[[str], Awaitable[Replica]]


@pytest.fixture
async def make(bus: Bus) -> AsyncIterator[Make]:
    """Make the lives of one process, one after the other."""
    replicas: list[Replica] = []
    async with running_venue() as venue:

        async def a_life(name: str) -> Replica:
            replica = Replica(bus, venue, writer=name)
            replicas.append(replica)
            await replica.gate.recover()
            return replica

        yield a_life
        for replica in replicas:
            await replica.close()


async def test_a_thousand_margin_refusals_reach_no_endpoint_and_end_with_safe_mode(
    make: Make,
) -> None:
    replica = await make("w1")
    await replica.get_ready("1")
    replica.venue.answers = {"POST order": take}
    intent_ids = []
    for n in range(1_000):
        if n % 8 == 0:
            replica.at(n / 10)
            await replica.state_balance("1")
        intent = replica.an_intent(f"{n}", symbol=SYMBOLS[n % len(SYMBOLS)])
        intent_ids.append(await replica.hear(intent))
    assert replica.venue.asked == []
    refused = [one for one in await replica.events() if isinstance(one, IntentRefusedByGate)]
    assert [one.intent.intent_id for one in refused] == intent_ids
    assert refused[4].reason in (Reason.COOLDOWN_GLOBAL, Reason.MARGIN_INSUFFICIENT)
    assert {one.reason for one in refused[5:]} == {Reason.SAFE_MODE}
    entered = [one for one in await replica.events() if isinstance(one, SafeModeEntered)]
    assert [one.refusals for one in entered] == [5]
    until_s = (entered[0].until_ns - NOW_NS) / S
    assert until_s == 900
    for seconds, posted in ((until_s - 0.001, 0), (until_s, 1)):
        replica.at(seconds)
        await replica.get_ready()
        await replica.hear(replica.an_intent(f"rich at {seconds}"))
        assert len(replica.venue.posted) == posted


@pytest.mark.parametrize(
    "reply",
    [
        (400, {"code": -2010, "msg": "NEW_ORDER_REJECTED"}),
        (503, {"code": -1001, "msg": "Internal error; unable to process your request."}),
        (400, {"code": -1111, "msg": "Precision is over the maximum defined for this asset."}),
        (503, {"code": -1008, "msg": "Request throttled by system-level protection."}),
    ],
)
async def test_an_order_that_fails_for_ever_is_tried_once_a_minute_and_symbol(
    make: Make, reply: tuple[int, Any]
) -> None:
    replica = await make("w1")
    await replica.get_ready()
    replica.venue.answers = {"POST order": reply}
    sent_at: list[float] = []
    for n in range(0, 300, 2):
        replica.at(n)
        await replica.state_balance()
        count = len(replica.venue.posted)
        await replica.hear(replica.an_intent(f"{n}"))
        sent_at += [n] * (len(replica.venue.posted) - count)
    assert sent_at == [0, 60, 120, 180, 240]


async def test_an_exit_that_fails_for_ever_is_tried_ever_more_slowly(make: Make) -> None:
    replica = await make("w1")
    await replica.get_ready()
    replica.venue.answers = {"POST order": (400, {"code": -2022, "msg": "ReduceOnly rejected."})}
    sent_at: list[float] = []
    for n in range(300):
        replica.at(n)
        count = len(replica.venue.posted)
        intent = replica.an_intent(f"{n}", side=Side.SELL, purpose=Purpose.EXIT)
        await replica.hear(intent)
        sent_at += [n] * (len(replica.venue.posted) - count)
    assert sent_at == [0, 5, 15, 35, 75, 135, 195, 255]


@pytest.mark.parametrize(
    ("reply", "kind", "wait_s"),
    [
        ((418, {"code": -1003, "msg": f"Banned; IP banned until {NOW_MS + 90_000}."}),
         LatchKind.BANNED, 90),
        ((429, {"code": -1003, "msg": "Too many requests."}), LatchKind.REQUEST_LIMIT, None),
    ],
)  # fmt: skip
async def test_a_ban_is_in_the_journal_and_a_restart_sends_nothing_before_its_end(
    make: Make, reply: tuple[int, Any], kind: LatchKind, wait_s: int | None
) -> None:
    first = await make("w1")
    await first.get_ready()
    first.venue.answers = {"POST order": reply}
    order = first.order_of(await first.hear(first.an_intent("banned")))
    assert first.status(order) is OrderStatus.REJECTED
    (latched,) = [one for one in await first.events() if isinstance(one, VenueLatched)]
    wait_s = wait_s or 60 - NOW_MS // 1_000 % 60
    assert (latched.kind, (latched.until_ns - NOW_NS) // S) == (kind, wait_s)
    second = await make("w2")  # another life: it knows from the journal alone
    second.venue.answers = {"POST order": take}
    for seconds in (1, wait_s - 0.001):
        second.at(seconds)
        await second.state_balance()
        for purpose in (Purpose.ENTER, Purpose.EXIT):
            intent = second.an_intent(f"{purpose} {seconds}", symbol="ETHUSDT", purpose=purpose)
            intent_id = await second.hear(intent)
            assert second.gate.state.intents[intent_id].reason is Reason.VENUE_BANNED
    assert len(second.venue.posted) == 1
    second.at(max(wait_s, 61))
    await second.state_balance()
    intent_id = await second.hear(second.an_intent("after", symbol="ETHUSDT"))
    assert second.status(second.order_of(intent_id)) is OrderStatus.FILLED


async def test_an_overload_lets_exits_leave_and_holds_entries_back(make: Make) -> None:
    replica = await make("w1")
    await replica.get_ready()
    busy = (503, {"code": -1008, "msg": "Request throttled by system-level protection."})

    async def exempt_exits(told: Parameters) -> tuple[int, Any]:
        return await take(told) if told.get("reduceOnly") == "true" else busy

    replica.venue.answers = {"POST order": exempt_exits}
    await replica.hear(replica.an_intent("in"))
    entry = await replica.hear(replica.an_intent("more", symbol="ETHUSDT"))
    assert replica.gate.state.intents[entry].reason is Reason.VENUE_OVERLOADED
    way_out = replica.an_intent("out", symbol="ETHUSDT", side=Side.SELL, purpose=Purpose.EXIT)
    assert replica.status(replica.order_of(await replica.hear(way_out))) is OrderStatus.FILLED
    assert len([one for one in await replica.events() if isinstance(one, OrderRecorded)]) == 2
