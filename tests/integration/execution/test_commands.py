"""Halting against a stale replica, a late redelivery and the boot: on a real broker."""

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import pytest

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import UndecodableError, decode_struct, encode
from libs.common.messages.guard_events import CooldownScope, CooldownStarted, GuardCleared
from libs.common.messages.journal import JournalEvent, JournalRecord
from libs.common.messages.limit_events import LimitsChange
from libs.common.model.risk_limits import RiskLimits
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock
from libs.common.runtime.config import Mode
from libs.common.runtime.venue_client import VenueClient
from libs.common.testing.builders import NOW_NS, S
from services.execution.arming import CHECKS, Arming
from services.execution.commands import HALT_FILE, CommandDesk
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.kill import KillDesk
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk

ACCOUNT = "paper"


class Replica:
    """One process's gate and command desk, without the process."""

    def __init__(self, bus: Bus, mode: Mode = Mode.LIVE) -> None:
        clock = PaperClock(lambda: 0)  # stands still
        clock.grant(NOW_NS, Decimal(1), None)
        self.gate = Gate(bus, clock, ACCOUNT, ExecutionConfig(), "hash", lambda: None)
        arming = Arming()
        for check in CHECKS:
            arming.passed(check)
        self.asked: list[str] = []
        settings = ExecutionConfig(halt_drain_wall_ms=0)
        venue = VenueClient("http://127.0.0.1:9", clock.now_ns)
        lookout = Lookout(venue, clock, arming, ACCOUNT, "test", 5_000)
        orders = OrderDesk(self.gate, venue, lookout, clock, settings)
        self.kills: list[str] = []
        kill = KillDesk(self.gate, orders, venue, lookout, clock, settings, self._spawn)
        self.arming, self.lookout = arming, lookout
        self.desk = CommandDesk(
            self.gate,
            orders,
            lookout,
            clock,
            ACCOUNT,
            mode,
            settings,
            kill=kill,
            ask_reconciler=self._ask,
            lift_latch=venue.latches.lift,
        )

    async def _ask(self) -> None:
        self.asked.append("reconcile")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        work.close()  # what a kill does is told in test_kill.py
        self.kills.append(name)

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


async def events(bus: Bus) -> list[JournalEvent]:
    """Everything in the journal."""
    last = await bus.read_last(subjects.JOURNAL_STREAM, subjects.journal(ACCOUNT))
    found: list[JournalEvent] = []
    for sequence in range(1, (last.seq or 0) + 1 if last is not None else 1):
        stored = await bus.read_message(subjects.JOURNAL_STREAM, sequence)
        assert stored is not None
        assert stored.data is not None
        found += decode_struct(stored.data, JournalRecord).events
    return found


async def test_nobody_is_obeyed_who_does_not_say_who_he_is_and_why(bus: Bus) -> None:
    replica = Replica(bus, Mode.PAPER)
    for changes in ({"actor": " "}, {"reason": ""}, {"reason": "x" * 501}):
        with pytest.raises(UndecodableError, match="characters long"):
            await replica.hear(Verb.RESUME, 1, **changes)
    assert await events(bus) == []


async def test_a_key_that_was_honoured_is_not_honoured_again_by_anybody(bus: Bus) -> None:
    first, second = Replica(bus, Mode.PAPER), Replica(bus, Mode.PAPER)
    await first.hear(Verb.RESUME, 1, idempotency_key="once")
    await first.hear(Verb.HALT, 2)
    await second.hear(Verb.RESUME, 3, idempotency_key="once")
    assert await truth(bus) is TradingState.HALTED


async def test_a_guard_is_unlocked_by_name_and_part_and_the_journal_says_by_whom(
    bus: Bus,
) -> None:
    replica = Replica(bus)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        held = CooldownStarted(
            scope=CooldownScope.SYMBOL, symbol=symbol, until_ns=NOW_NS + 60 * S, cause="a drill"
        )
        await replica.gate.transact(
            lambda held=held: Decision(events=(held,)),  # type: ignore[misc]
            causation_id="test",
            correlation_id="test",
        )
    with pytest.raises(UndecodableError, match="there are: cooldown_global"):
        await replica.hear(Verb.UNLOCK, 1, target="cooldwn")
    await replica.hear(Verb.UNLOCK, 2, target="cooldown_symbol:BTCUSDT")
    assert set(replica.gate.state.cooldown_symbols) == {"ETHUSDT"}
    (cleared,) = [event for event in await events(bus) if isinstance(event, GuardCleared)]
    assert (cleared.key, cleared.actor, cleared.reason) == ("BTCUSDT", "person", "drill")


async def test_outside_paper_a_resume_is_refused_while_an_arming_check_fails(bus: Bus) -> None:
    replica = Replica(bus)
    replica.arming.failed("clock", "700 ms off the venue's")
    with pytest.raises(UndecodableError, match="700 ms off"):
        await replica.hear(Verb.RESUME, 1)
    replica.arming.passed("clock")
    await replica.hear(Verb.RESUME, 2)
    assert await truth(bus) is TradingState.ACTIVE


async def test_nothing_is_resumed_while_the_halt_file_exists(bus: Bus) -> None:
    replica = Replica(bus, Mode.PAPER)
    replica.lookout.closing.add(HALT_FILE)
    for verb in (Verb.RESUME, Verb.REDUCE):
        with pytest.raises(UndecodableError, match="remove it first"):
            await replica.hear(verb, 1)
    await replica.desk.arm_paper(tuple)
    assert await truth(bus) is TradingState.HALTED


async def test_a_kill_halts_or_reduces_in_the_record_that_orders_it_and_never_loosens(
    bus: Bus,
) -> None:
    replica = Replica(bus, Mode.PAPER)
    await replica.hear(Verb.RESUME, 1)
    await replica.hear(Verb.FLATTEN, 2, target="BTCUSDT")
    assert replica.gate.state.trading_state is TradingState.REDUCING
    await replica.hear(Verb.CANCEL_ALL, 3)
    assert replica.gate.state.trading_state is TradingState.HALTED
    await replica.hear(Verb.FLATTEN, 4)
    assert await truth(bus) is TradingState.HALTED
    assert set(replica.gate.state.kills) == {"c-2", "c-3", "c-4"}
    assert replica.kills == ["kill-c-2", "kill-c-3", "kill-c-4"]
    with pytest.raises(UndecodableError, match="symbol must be"):
        await replica.hear(Verb.FLATTEN, 5, target="btc/usdt")


async def test_the_reconciler_is_asked_and_it_is_on_record(bus: Bus) -> None:
    replica = Replica(bus)
    await replica.hear(Verb.RECONCILE, 1)
    assert replica.asked == ["reconcile"]
    assert [getattr(event, "verb", "") for event in await events(bus)] == ["reconcile"]


async def test_limits_asked_for_long_ago_are_tightened_and_not_loosened(bus: Bus) -> None:
    desk = Replica(bus)
    long_ago = NOW_NS - 61 * S
    tight = LimitsChange(limits=RiskLimits(positions_max=1))
    await desk.hear(Verb.LIMITS, 1, limits=tight, ts_event_ns=long_ago)
    loose = LimitsChange(limits=RiskLimits(positions_max=2), may_loosen=True)
    with pytest.raises(UndecodableError, match="limits was asked 61000 ms ago, more than 60000"):
        await desk.hear(Verb.LIMITS, 2, limits=loose, ts_event_ns=long_ago)
    assert desk.gate.state.limits.limits == RiskLimits(positions_max=1)
    await desk.hear(Verb.LIMITS, 3, limits=loose)
    again = Replica(bus)
    await again.gate.recover()
    assert again.gate.state.limits.limits == RiskLimits(positions_max=2)
    assert again.gate.state.limits.change == 2
