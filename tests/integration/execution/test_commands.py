"""Halting against a stale replica, a late redelivery and the boot: on a real broker."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import UndecodableError, encode
from libs.common.model.trading_state import TradingState
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock
from libs.common.runtime.config import BusConfig, Mode
from libs.common.runtime.provisioning import provision
from libs.common.testing.builders import NOW_NS, S
from services.execution.commands import CommandDesk
from services.execution.config import ExecutionConfig
from services.execution.gate import Gate

ACCOUNT = "paper"
MINUTE_MS = 60_000


class Replica:
    """One process's gate and command desk, without the process."""

    def __init__(self, bus: Bus, mode: Mode = Mode.LIVE) -> None:
        clock = PaperClock(lambda: 0)  # stands still
        clock.grant(NOW_NS, Decimal(1), None)
        self.gate = Gate(bus, clock, ACCOUNT, ExecutionConfig(), "hash", lambda: None)
        self.desk = CommandDesk(self.gate, clock, ACCOUNT, mode, MINUTE_MS)

    async def hear(self, verb: Verb, sequence: int, **changes: object) -> None:
        command = Command(
            **{
                "message_id": f"c-{sequence}",
                "causation_id": "c",
                "correlation_id": "c",
                "ts_event_ns": NOW_NS,
                "ts_published_ns": 0,
                "source": "test",
                "account": ACCOUNT,
                "verb": verb,
                "actor": "person",
                "reason": "drill",
                **changes,
            }  # type: ignore[arg-type]
        )
        await self.desk.hear(subjects.command(ACCOUNT, verb), encode(command), sequence)


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    settings = BusConfig(url=nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, ACCOUNT, settings)
    yield bus
    await bus.close()


async def truth(bus: Bus) -> TradingState:
    """What a replica that starts now would find."""
    replica = Replica(bus)
    await replica.gate.recover()
    return replica.gate.state.trading_state


async def test_a_halt_counts_although_the_replica_that_hears_it_missed_the_resume(
    bus: Bus,
) -> None:
    first, second = Replica(bus), Replica(bus)
    await first.hear(Verb.HALT, 1)
    await second.gate.catch_up()
    await first.hear(Verb.RESUME, 2)
    await second.hear(Verb.HALT, 3)
    assert await truth(bus) is TradingState.HALTED


async def test_a_resume_that_comes_again_after_a_halt_does_not_undo_it(bus: Bus) -> None:
    slow, quick = Replica(bus), Replica(bus)
    await quick.hear(Verb.HALT, 1)
    await slow.gate.catch_up()
    await quick.hear(Verb.RESUME, 2)
    await quick.hear(Verb.HALT, 3)
    await slow.hear(Verb.RESUME, 2)  # delivered before it stood still, handled after
    assert await truth(bus) is TradingState.HALTED
    await slow.hear(Verb.RESUME, 4)
    assert await truth(bus) is TradingState.ACTIVE


async def test_a_halt_during_boot_is_not_lifted_by_paper_arming_itself(bus: Bus) -> None:
    replica, stale = Replica(bus, Mode.PAPER), Replica(bus, Mode.PAPER)
    await replica.hear(Verb.HALT, 1)
    await replica.desk.arm_paper(tuple)
    await stale.desk.arm_paper(tuple)  # believes that nobody spoke since the boot
    assert await truth(bus) is TradingState.HALTED


async def test_paper_arms_itself_once_every_check_holds(bus: Bus) -> None:
    replica = Replica(bus, Mode.PAPER)
    await replica.desk.arm_paper(lambda: ("filters: not loaded",))
    assert replica.gate.state.trading_state is TradingState.HALTED
    await replica.desk.arm_paper(tuple)
    assert await truth(bus) is TradingState.ACTIVE


async def test_a_resume_asked_long_ago_does_not_arm_a_live_account(bus: Bus) -> None:
    replica = Replica(bus)
    with pytest.raises(UndecodableError, match="ask again"):
        await replica.hear(Verb.RESUME, 1, ts_event_ns=NOW_NS - 61 * S)
    assert await truth(bus) is TradingState.HALTED
    await replica.hear(Verb.RESUME, 2)
    await replica.hear(Verb.HALT, 3, ts_event_ns=NOW_NS - 3600 * S)  # a late halt is a halt
    assert await truth(bus) is TradingState.HALTED


async def test_a_command_for_another_account_is_refused(bus: Bus) -> None:
    with pytest.raises(UndecodableError, match="other"):
        await Replica(bus).hear(Verb.RESUME, 1, account="other")


async def test_whatever_is_said_on_the_subject_of_halting_halts(bus: Bus) -> None:
    replica = Replica(bus)
    for sequence, words in ((2, b"halt!"), (4, b'{"verb":"resume"}')):
        await replica.hear(Verb.RESUME, sequence - 1)
        with pytest.raises(UndecodableError):  # kept as a dead letter all the same
            await replica.desk.hear(subjects.command(ACCOUNT, Verb.HALT), words, sequence)
        assert await truth(bus) is TradingState.HALTED


async def test_a_resume_on_another_subject_is_refused(bus: Bus) -> None:
    replica = Replica(bus)
    with pytest.raises(UndecodableError):
        await replica.desk.hear(subjects.command(ACCOUNT, Verb.REDUCE), b"{}", 1)
    assert await truth(bus) is TradingState.HALTED
