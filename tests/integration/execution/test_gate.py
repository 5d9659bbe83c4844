"""Two gates on one account: the loser of a race folds what won and decides again."""

import asyncio
import gzip
from decimal import Decimal

import msgspec
import pytest

from libs.common import __version__
from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.journal import FillReceived
from libs.common.model.order import Side
from libs.common.model.trading_state import TradingState
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import SystemClock
from libs.common.runtime.errors import BusUnavailable, JournalBroken
from libs.common.runtime.journal import Snapshot
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.state import IntentMemory, State
from services.execution.trading import decide_trading_state

SETTINGS = ExecutionConfig(append_attempts_max=3, snapshot_interval_records=10)


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


async def test_a_snapshot_longer_than_any_message_spares_the_replay_too(bus: Bus) -> None:
    """An hour of busy strategies is remembered: megabytes, which are few once compressed."""
    gate = a_gate(bus)
    for n in range(10):
        await change(gate, TradingState.REDUCING if n % 2 else TradingState.ACTIVE, n + 1)
    now_ns = SystemClock().now_ns()
    for n in range(20_000):
        gate.state.intents[f"intent-{n}"] = IntentMemory(client_order_id="", decided_at_ns=now_ns)
    assert len(encode(gate.state)) > 1_100_000
    await gate.save_snapshot_if_due()
    recovered = a_gate(bus)
    assert await recovered.recover() == 0
    assert recovered.state == gate.state


async def test_the_past_that_a_snapshot_skips_is_verified_all_the_same(
    bus: Bus, nats_server: Broker
) -> None:
    gate = a_gate(bus)
    for n in range(12):
        await change(gate, TradingState.REDUCING if n % 2 else TradingState.ACTIVE, n + 1)
    await gate.save_snapshot_if_due()
    sound = a_gate(bus)
    await sound.recover()
    await sound.verify_past()
    await nats_server.stop()
    (block,) = nats_server.directory.rglob("streams/JOURNAL/msgs/*.blk")
    raw = bytearray(block.read_bytes())
    raw[raw.index(b'"number":3')] ^= 1
    block.write_bytes(raw)
    await nats_server.start()
    async with asyncio.timeout(20):
        while not bus.is_connected:
            await asyncio.sleep(0.02)
    recovered = a_gate(bus)
    assert await recovered.recover() == 0  # the snapshot is sound, and so is the tail
    with pytest.raises(JournalBroken, match="the message at 3 is missing"):
        await recovered.verify_past()


async def test_a_gate_that_lost_acknowledged_records_does_not_recover(
    bus: Bus, nats_server: Broker
) -> None:
    gate = a_gate(bus)
    for n in range(6):
        await change(gate, TradingState.REDUCING if n % 2 else TradingState.ACTIVE, n + 1)
    await gate.save_head_if_due()
    await nats_server.kill()
    (block,) = nats_server.directory.rglob("streams/JOURNAL/msgs/*.blk")
    raw = bytearray(block.read_bytes())
    raw[raw.index(b'"number":3')] ^= 1
    block.write_bytes(raw)
    await nats_server.start()
    async with asyncio.timeout(20):
        while not bus.is_connected:
            await asyncio.sleep(0.02)
    with pytest.raises(JournalBroken, match="record 6 was acknowledged"):
        await a_gate(bus).recover()


async def test_a_full_journal_refuses_appends_with_its_reason_until_there_is_room(
    bus: Bus,
) -> None:
    gate = a_gate(bus)
    await change(gate, TradingState.ACTIVE, 1)
    jetstream = bus.jetstream
    info = await jetstream.stream_info("JOURNAL")
    roomy = info.config.max_bytes
    info.config.max_bytes = info.state.bytes + 10
    await jetstream.update_stream(info.config)
    with pytest.raises(BusUnavailable, match="maximum bytes exceeded"):
        await change(gate, TradingState.HALTED, 2)
    assert "maximum bytes exceeded" in gate.fault
    assert gate.state.trading_state is TradingState.ACTIVE
    info.config.max_bytes = roomy
    await jetstream.update_stream(info.config)
    await change(gate, TradingState.HALTED, 2)
    assert gate.fault == ""
    assert gate.journal.number == 2


async def test_a_snapshot_of_another_shape_is_replayed_even_where_it_would_decode(
    bus: Bus,
) -> None:
    """A state of before a change may decode, and lie: fields it does not have take defaults."""
    old = a_gate(bus)
    await change(old, TradingState.ACTIVE, 1)
    await old.journal.save_snapshot(State(), "0-of-long-ago")
    new = a_gate(bus)
    assert await new.recover() == 1
    assert new.state == old.state


async def test_a_snapshot_with_one_commission_for_all_assets_is_replayed_to_commissions_by_asset(
    bus: Bus,
) -> None:
    old = a_gate(bus)
    fill = FillReceived(
        symbol="BTCUSDT",
        trade_id=1,
        client_order_id="web",
        venue_order_id=7,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(100),
        commission=Decimal("0.002"),
        commission_asset="BNB",
        venue_realized_pnl=Decimal(0),
        is_maker=False,
        ts_trade_ns=1,
    )
    await old.transact(lambda: Decision(events=(fill,)), causation_id="c", correlation_id="c")
    before = msgspec.to_builtins(old.state, str_keys=True)
    position = before["positions"]["BTCUSDT"]
    position["commission"] = position.pop("commissions")["BNB"]
    snapshot = Snapshot(
        number=1,
        sequence=old.journal.sequence,
        head_hash=old.journal.head_hash,
        app_version=__version__,
        state=msgspec.Raw(msgspec.json.encode(before)),
    )
    await bus.publish_stored(
        subjects.snapshot("paper"), gzip.compress(encode(snapshot)), message_id="old"
    )
    new = a_gate(bus)
    assert await new.recover() == 1
    assert new.state.positions["BTCUSDT"].commissions == {"BNB": Decimal("0.002")}
    assert new.state == old.state
