"""A halt against orders on their way: after its journal entry the venue takes none any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from libs.common.messages.account import Verb
from libs.common.messages.journal import (
    InstrumentsLoaded,
    LeverageAsserted,
    OrderAnswered,
    OrderNotPlaced,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.order import OrderStatus
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.testing.builders import an_instrument
from services.execution.config import ExecutionConfig
from services.execution.question import MarkSeen
from tests.integration.execution.desks import (
    SYMBOLS,
    Parameters,
    Replica,
    running_venue,
    take,
    until,
)

Make = Callable[..., Awaitable[Replica]]
MANY = tuple(f"S{n}USDT" for n in range(50))
NO_RATES = {"rate_global_orders_max": 1_000}


@pytest.fixture
async def make(bus: Bus) -> AsyncIterator[Make]:
    """Make the one process of this test, as it is to be."""
    async with running_venue() as venue:
        replicas: list[Replica] = []

        async def a_replica(limits: VenueLimits | None = None, **changes: Any) -> Replica:
            replica = Replica(bus, venue, ExecutionConfig(**NO_RATES, **changes), limits=limits)
            replicas.append(replica)
            await replica.get_ready("1000000")
            return replica

        yield a_replica
        for replica in replicas:
            await replica.close()


async def with_many_symbols(replica: Replica) -> None:
    """Filters, leverage and marks of fifty symbols."""
    await replica.journal(
        InstrumentsLoaded(
            instruments=tuple(an_instrument(symbol=symbol) for symbol in MANY),
            loaded_at_ns=replica.now_ns,
        ),
        *(LeverageAsserted(symbol=one, leverage=10, margin_type="CROSSED") for one in MANY),
    )
    mark = replica.lookout.marks["BTCUSDT"]
    for symbol in MANY:
        replica.lookout.marks[symbol] = MarkSeen(price=mark.price, at_ns=mark.at_ns)


def halted(replica: Replica) -> bool:
    return replica.gate.state.trading_state is TradingState.HALTED


async def test_a_halt_waits_for_the_answer_under_way_and_lets_nothing_else_leave(
    make: Make,
) -> None:
    replica = await make()
    answer = asyncio.Event()

    async def slowly(told: Parameters) -> tuple[int, Any]:
        await answer.wait()
        return await take(told)

    replica.venue.answers = {"POST order": slowly}
    under_way = asyncio.create_task(replica.hear(replica.an_intent("under way")))
    await until(lambda: len(replica.venue.posted) == 1)
    halting = asyncio.create_task(replica.command(Verb.HALT, 1))
    await until(lambda: bool(replica.lookout.closing))
    late = await replica.hear(replica.an_intent("late", symbol="ETHUSDT"))
    assert replica.gate.state.intents[late].reason is Reason.TRADING_HALTED
    await asyncio.sleep(0.1)
    assert not halted(replica)
    assert not halting.done()
    answer.set()
    await asyncio.gather(under_way, halting)
    assert halted(replica)
    kinds = [type(event) for event in await replica.events()]
    assert (
        kinds.index(OrderAnswered)
        < len(kinds) - 1
        == kinds.index(TradingStateChanged, kinds.index(OrderAnswered))
    )
    assert len(replica.venue.posted) == 1
    assert replica.lookout.closing == set()


async def test_an_answer_that_does_not_come_holds_a_halt_up_no_longer_than_its_bound(
    make: Make,
) -> None:
    replica = await make(halt_drain_wall_ms=150)
    answer = asyncio.Event()

    async def never(_: Parameters) -> tuple[int, Any]:
        await answer.wait()
        return 0, None

    replica.venue.answers = {"POST order": never}
    under_way = asyncio.create_task(replica.hear(replica.an_intent("under way")))
    await until(lambda: len(replica.venue.posted) == 1)
    begun_ns = wall_ns()
    await replica.command(Verb.HALT, 1)
    assert 150 <= (wall_ns() - begun_ns) / 1e6 < 2_000
    assert halted(replica)
    answer.set()
    order = replica.order_of(await under_way)
    assert replica.status(order) is OrderStatus.UNKNOWN


async def race(replica: Replica, answer_s: float, halt_after: int) -> tuple[list[int], int]:
    """Fifty intents in flight, a halt in between; when the venue took each, and the halt's time."""
    taken_at: list[int] = []

    async def after_a_while(told: Parameters) -> tuple[int, Any]:
        taken_at.append(wall_ns())
        await asyncio.sleep(answer_s)
        return await take(told)

    replica.venue.answers = {"POST order": after_a_while}
    intents = [replica.an_intent(symbol, symbol=symbol) for symbol in MANY]
    flying = [asyncio.create_task(replica.hear(intent)) for intent in intents]
    await until(lambda: len(taken_at) >= halt_after)
    await replica.command(Verb.HALT, 1)
    await asyncio.gather(*flying)
    (halt_ns,) = [
        record.ts_wall_ns
        for record in await replica.records()
        for event in record.events
        if isinstance(event, TradingStateChanged) and event.state is TradingState.HALTED
    ]
    return taken_at, halt_ns


@pytest.mark.parametrize(
    ("answer_s", "halt_after"), [(0.0, 1), (0.02, 3), (0.05, 8), (0.01, 20), (0.45, 8)]
)
async def test_of_fifty_intents_in_flight_the_venue_takes_none_after_the_halt_is_journaled(
    make: Make, answer_s: float, halt_after: int
) -> None:
    replica = await make()
    await with_many_symbols(replica)
    taken_at, halt_ns = await race(replica, answer_s, halt_after)
    assert len(taken_at) >= halt_after
    assert [at_ns for at_ns in taken_at if at_ns > halt_ns] == []
    events = await replica.events()
    recorded = {one.client_order_id for one in events if isinstance(one, OrderRecorded)}
    answered = {one.client_order_id for one in events if isinstance(one, OrderAnswered)}
    stopped = {one.client_order_id for one in events if isinstance(one, OrderNotPlaced)}
    assert len(replica.venue.posted) == len(answered)
    assert recorded == answered | stopped
    assert answered.isdisjoint(stopped)
    decided = replica.gate.state.intents
    assert len(decided) == len(MANY)
    assert {memory.reason for memory in decided.values()} <= {None, Reason.TRADING_HALTED}


async def test_an_order_that_waits_for_a_connection_does_not_leave_after_the_halt(
    make: Make,
) -> None:
    replica = await make(VenueLimits(connections_max=1), halt_drain_wall_ms=100)
    answer = asyncio.Event()

    async def slowly(told: Parameters) -> tuple[int, Any]:
        await answer.wait()
        return await take(told)

    replica.venue.answers = {"POST order": slowly}
    intents = [replica.an_intent(symbol, symbol=symbol) for symbol in SYMBOLS[:2]]
    flying = [asyncio.create_task(replica.hear(intent)) for intent in intents]
    await until(lambda: len(replica.desk.sending) == 2 and len(replica.venue.posted) == 1)
    await replica.command(Verb.HALT, 1)
    assert halted(replica)
    answer.set()
    await asyncio.gather(*flying)
    assert len(replica.venue.posted) == 1
    statuses = {order.status for order in replica.gate.state.orders.values()}
    assert statuses == {OrderStatus.FILLED, OrderStatus.NOT_PLACED}
