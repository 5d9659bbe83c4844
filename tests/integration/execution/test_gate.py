"""Two gates on one account: the loser of a race folds what won and decides again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.model.trading_state import TradingState
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import SystemClock
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import provision
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.trading import decide_trading_state

SETTINGS = ExecutionConfig(append_attempts_max=3, snapshot_interval_records=10)


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    settings = BusConfig(url=nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    yield bus
    await bus.close()


def a_gate(bus: Bus) -> Gate:
    return Gate(bus, SystemClock(), "paper", SETTINGS, "hash", lambda: None)


async def change(gate: Gate, wanted: TradingState, sequence: int) -> Decision:
    return await gate.transact(
        lambda: decide_trading_state(gate.state, wanted, "test", "drill", sequence),
        causation_id="c",
        correlation_id="c",
    )


async def test_a_gate_that_fell_behind_decides_again_on_what_the_other_appended(bus: Bus) -> None:
    first, second = a_gate(bus), a_gate(bus)
    await change(first, TradingState.ACTIVE, 1)
    seen: list[TradingState] = []

    def decide() -> Decision:
        seen.append(second.state.trading_state)
        return decide_trading_state(second.state, TradingState.REDUCING, "test", "drill", 2)

    await second.transact(decide, causation_id="c", correlation_id="c")
    assert seen == [TradingState.HALTED, TradingState.ACTIVE]
    assert second.journal.number == 2
    await first.catch_up()
    assert first.state == second.state


async def test_of_gates_that_race_each_appends_once_and_all_end_alike(bus: Bus) -> None:
    gates = [a_gate(bus) for _ in range(3)]
    wishes = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)
    await asyncio.gather(
        *(change(gate, wish, n) for n, (gate, wish) in enumerate(zip(gates, wishes, strict=True)))
    )
    for gate in gates:
        await gate.catch_up()
    assert len({gate.journal.head_hash for gate in gates}) == 1
    assert gates[0].state == gates[1].state == gates[2].state


async def test_a_gate_recovers_from_snapshot_and_tail_what_it_would_from_the_whole_journal(
    bus: Bus,
) -> None:
    gate = a_gate(bus)
    for n in range(12):
        await change(gate, TradingState.REDUCING if n % 2 else TradingState.ACTIVE, n + 1)
    await gate.save_snapshot_if_due()
    await change(gate, TradingState.HALTED, 99)
    recovered = a_gate(bus)
    assert await recovered.recover() == 1
    assert recovered.state == gate.state
    assert recovered.journal.head_hash == gate.journal.head_hash
