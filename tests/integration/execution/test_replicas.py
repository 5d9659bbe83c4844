"""Two processes on one journal: one order each, a dead one's taken over, none sent too late."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from libs.common.messages.account import Verb
from libs.common.messages.journal import (
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.order import OrderStatus
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import SystemTime, use_time_source
from libs.common.runtime.provisioning import provision
from libs.common.testing.builders import an_approval
from services.execution.config import ExecutionConfig
from services.execution.core import decide_approval
from tests.integration.execution.desks import (
    ACCOUNT,
    GONE,
    NOW_MS,
    SYMBOLS,
    Replica,
    an_answer,
    running_venue,
    take,
)
from tests.integration.patience import patient


class PausedTime(SystemTime):
    """The clocks of this machine, and as much on top as a pause took."""

    def __init__(self) -> None:
        self.paused_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.paused_ns


@pytest.fixture
def pause() -> Any:
    """Let a process have stood still: its monotonic clock jumps."""
    source = PausedTime()
    replaced = use_time_source(source)
    yield source
    use_time_source(replaced)


Make = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def make(nats_server: Broker) -> AsyncIterator[Make]:
    """Make replicas on one journal and one venue."""
    settings = patient(nats_server.url)
    async with running_venue() as venue:
        venue.answers = {"POST order": take}
        replicas: list[Replica] = []
        buses: list[Bus] = []

        async def a_replica(name: str, limits: ExecutionConfig | None = None) -> Replica:
            bus = await Bus.connect(settings, name, lambda: None)
            await provision(bus, ACCOUNT, settings)
            replica = Replica(bus, venue, limits, writer=name)
            replicas.append(replica)
            buses.append(bus)
            await replica.gate.recover()
            return replica

        yield a_replica
        for replica in replicas:
            await replica.close()
        for bus in buses:
            await bus.close()


async def test_an_approval_that_both_take_at_once_is_one_order(make: Make) -> None:
    first, second = await make("a"), await make("b")
    await first.get_ready()
    await second.gate.catch_up()
    for n in range(5):
        approval = an_approval(first.an_intent(f"{n}", symbol=SYMBOLS[n]))
        await asyncio.gather(first.hear(approval), second.hear(approval))
    recorded = [one for one in await first.events() if isinstance(one, OrderRecorded)]
    assert len(recorded) == len(first.venue.posted) == 5
    assert len({one.intent.intent_id for one in recorded}) == 5


async def test_the_loser_of_the_race_sees_the_winner_s_order_and_refuses_its_own(
    make: Make,
) -> None:
    first, second = await make("a"), await make("b")
    await first.get_ready()
    await second.gate.catch_up()
    one, other = first.an_intent("one"), first.an_intent("other")
    await asyncio.gather(first.hear(one), second.hear(other))
    assert len(first.venue.posted) == 1
    await first.gate.catch_up()
    reasons = {memory.reason for memory in first.gate.state.intents.values()}
    assert None in reasons
    assert reasons - {None} <= {Reason.LOCKED, Reason.SYMBOL_QUARANTINED, Reason.RATE_SYMBOL}
    assert len(reasons) == 2


async def test_replicas_share_one_rate(make: Make) -> None:
    replicas = [await make("a"), await make("b")]
    await replicas[0].get_ready()
    await replicas[1].gate.catch_up()
    await asyncio.gather(
        *(
            replicas[n % 2].hear(replicas[0].an_intent(symbol, symbol=symbol))
            for n, symbol in enumerate(SYMBOLS)
        )
    )
    assert len(replicas[0].venue.posted) == 5


async def record_and_die(replica: Replica, **changes: Any) -> str:
    """Record an order and never send it, as a process that ends in between."""
    approval = an_approval(replica.an_intent("orphan", **changes))
    decision = await replica.gate.transact(
        lambda: decide_approval(
            replica.settings, replica.gate.state, approval, replica.lookout.facts("BTCUSDT")
        ),
        causation_id="c",
        correlation_id="c",
    )
    (recorded,) = decision.events
    assert isinstance(recorded, OrderRecorded)
    return recorded.client_order_id


async def test_the_order_of_a_dead_replica_is_left_alone_for_its_lease_and_then_resolved(
    make: Make,
) -> None:
    dead, heir = await make("dead"), await make("heir")
    await dead.get_ready()
    order = await record_and_die(dead)
    await heir.gate.catch_up()
    for seconds in (0, 7.9):
        heir.at(seconds)
        await heir.desk.doubt_orphans()
        await heir.desk.resolve_unknown()
        assert heir.status(order) is OrderStatus.RECORDED
        assert heir.venue.asked == []
    heir.at(8)
    await heir.desk.doubt_orphans()
    assert heir.status(order) is OrderStatus.UNKNOWN
    heir.venue.answers |= {"order": GONE, "time": (200, {"serverTime": NOW_MS + 8_001})}
    heir.at(8.001)
    await heir.desk.resolve_unknown()
    assert heir.status(order) is OrderStatus.NOT_PLACED
    assert heir.venue.posted == []


async def test_a_dead_replica_s_order_that_reached_the_venue_is_adopted_by_its_evidence(
    make: Make,
) -> None:
    dead, heir = await make("dead"), await make("heir")
    await dead.get_ready()
    order = await record_and_die(dead)
    await heir.gate.catch_up()
    heir.at(9)
    heir.venue.answers["order"] = (200, an_answer(order))
    await heir.desk.doubt_orphans()
    await heir.desk.resolve_unknown()
    assert heir.status(order) is OrderStatus.FILLED


async def test_a_restarted_process_doubts_its_predecessor_s_orders_after_the_lease_too(
    make: Make,
) -> None:
    before = await make("before")
    await before.get_ready()
    order = await record_and_die(before)
    after = await make("after")
    assert after.status(order) is OrderStatus.RECORDED
    after.at(8)
    await after.desk.doubt_orphans()
    assert isinstance((await after.events())[-1], OrderBecameUnknown)


async def test_a_replica_that_comes_back_after_its_order_was_doubted_does_not_send_it(
    make: Make,
) -> None:
    slow, quick = await make("slow"), await make("quick")
    await slow.get_ready()
    submit = slow.desk.submit

    async def stand_still(recorded: OrderRecorded) -> None:
        await quick.gate.catch_up()
        quick.at(9)
        await quick.desk.doubt_orphans()
        await slow.gate.catch_up()
        await submit(recorded)

    slow.desk.submit = stand_still  # type: ignore[method-assign,assignment]
    order = slow.order_of(await slow.hear(slow.an_intent("slow")))
    assert slow.venue.posted == []
    assert slow.status(order) in (OrderStatus.UNKNOWN, OrderStatus.NOT_PLACED)


async def test_a_process_that_stood_still_before_the_send_reads_the_halt_it_missed(
    make: Make, pause: PausedTime
) -> None:
    paused, awake = await make("paused"), await make("awake")
    await paused.get_ready()
    await awake.gate.catch_up()
    submit = paused.desk.submit

    async def stand_still(recorded: OrderRecorded) -> None:
        await awake.command(Verb.HALT, 1)
        pause.paused_ns += 251_000_000
        assert paused.gate.state.trading_state is TradingState.ACTIVE  # it has not heard
        await submit(recorded)

    paused.desk.submit = stand_still  # type: ignore[method-assign,assignment]
    order = paused.order_of(await paused.hear(paused.an_intent("paused")))
    assert paused.venue.posted == []
    assert paused.gate.state.trading_state is TradingState.HALTED
    assert paused.status(order) is OrderStatus.NOT_PLACED
    events = await paused.events()
    halted = next(n for n, one in enumerate(events) if isinstance(one, TradingStateChanged) and n)
    (ended,) = [one for one in events[halted:] if isinstance(one, OrderNotPlaced)]
    assert "TRADING_HALTED" in ended.evidence


async def test_a_process_that_stood_still_sends_where_nothing_happened_meanwhile(
    make: Make, pause: PausedTime
) -> None:
    paused = await make("paused")
    await paused.get_ready()
    submit = paused.desk.submit

    async def stand_still(recorded: OrderRecorded) -> None:
        pause.paused_ns += 10_000_000_000
        paused.vouch()  # what the feed said meanwhile is read before the journal answers
        await submit(recorded)

    paused.desk.submit = stand_still  # type: ignore[method-assign,assignment]
    order = paused.order_of(await paused.hear(paused.an_intent("paused")))
    assert paused.status(order) is OrderStatus.FILLED
    assert len(paused.venue.posted) == 1


async def test_a_process_that_stood_still_enters_nothing_on_what_the_feed_said_before(
    make: Make, pause: PausedTime
) -> None:
    paused = await make("paused")
    await paused.get_ready()
    submit = paused.desk.submit

    async def stand_still(recorded: OrderRecorded) -> None:
        pause.paused_ns += 10_000_000_000
        await submit(recorded)

    paused.desk.submit = stand_still  # type: ignore[method-assign,assignment]
    order = paused.order_of(await paused.hear(paused.an_intent("paused")))
    assert paused.venue.posted == []
    assert paused.status(order) is OrderStatus.NOT_PLACED
    (ended,) = [one for one in await paused.events() if isinstance(one, OrderNotPlaced)]
    assert "INPUT_STALE" in ended.evidence


async def test_a_process_that_stands_still_again_and_again_gives_the_order_up(
    make: Make, pause: PausedTime
) -> None:
    paused = await make("paused")
    await paused.get_ready()
    catch_up = paused.gate.catch_up

    async def slowly() -> None:
        await catch_up()
        pause.paused_ns += 300_000_000

    submit = paused.desk.submit

    async def stand_still(recorded: OrderRecorded) -> None:
        pause.paused_ns += 300_000_000
        await submit(recorded)

    paused.gate.catch_up = slowly  # type: ignore[method-assign]
    paused.desk.submit = stand_still  # type: ignore[method-assign,assignment]
    order = paused.order_of(await paused.hear(paused.an_intent("paused")))
    assert paused.venue.posted == []
    assert paused.status(order) is OrderStatus.NOT_PLACED
