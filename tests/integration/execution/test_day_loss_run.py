"""A day that cost too much ends entries, asks once to reduce, and the next day starts anew.

Real risk, execution, broker and venue. The day is Berlin's, which ends at 22:00 UTC in May.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drills.pnl_world import APPROVAL_KEY, PnlWorld
from libs.common.messages import subjects
from libs.common.messages.account import AccountState, Command, PnlDay, Verb
from libs.common.messages.audit_events import OperatorActed
from libs.common.messages.codec import decode, encode
from libs.common.messages.intents import IntentVerdict
from libs.common.model.order import Side
from libs.common.model.verdict import Reason, Verdict
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.service import Context
from services.execution.view import pnl_day
from services.paper_exchange.faults.rules import FaultRule
from services.risk.config import LimitsConfig, RiskConfig
from services.risk.shell import RiskShell

NS_PER_HOUR = 3_600 * 10**9
INCOME_AWAY = {"endpoint": "GET /fapi/v1/income", "effect": "http_503_internal"}
LIMIT = Decimal(50)


class DayWorld:
    """The world of the drill with risk beside it."""

    def __init__(self, world: PnlWorld, directory: Path) -> None:
        self.world = world
        self.told: AccountState | None = None
        self._key_file = directory / "approval"
        self._key_file.write_bytes(APPROVAL_KEY)
        self._key_file.chmod(0o600)
        self._risks: list[Context[RiskConfig]] = []

    async def start(self) -> None:
        await self.world.bus.subscribe(subjects.account_state("paper"), self._on_account)
        await self.start_risk()

    async def start_risk(self) -> None:
        """A new life of risk; the one before ends."""
        await self.stop()
        common = self.world.common(approval_key_file=self._key_file)
        limits = LimitsConfig(
            daily_loss_max=LIMIT,
            order_notional_max=Decimal(100_000),
            position_notional_max=Decimal(100_000),
        )
        bus = await Bus.connect(common.bus, "risk", lambda: None)
        settings = RiskConfig(limits=limits)
        context = Context("risk", common, settings, "drill", bus, clock=self.world.clock)
        self._risks.append(context)
        await RiskShell(context).start()

    async def stop(self) -> None:
        for context in self._risks:
            await context.finish()
        self._risks.clear()

    async def _on_account(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.told = decode(payload, AccountState)

    async def verdict(self, side: Side = Side.BUY) -> tuple[Reason | None, Verdict]:
        """What risk says of a small entry, and of the day in particular.

        A risk that has just begun has not heard yet of the account, nor that the symbol trades.
        """
        while True:
            reason, verdicts = await self._verdicts(side)
            is_deaf = reason is Reason.ACCOUNT_STALE or any(
                one.check == "symbol_trades" and not one.passed for one in verdicts
            )
            if not is_deaf:
                return reason, next(one for one in verdicts if one.check == "day_loss")

    async def _verdicts(self, side: Side) -> tuple[Reason | None, tuple[Verdict, ...]]:
        intent_id = await self.world.propose("alpha", "ETHUSDT", side, "0.010")

        async def look() -> Any:
            subject = subjects.intent_verdict(intent_id)
            return await self.world.bus.read_last(subjects.INTENTS_DONE_STREAM, subject)

        stored = await self.world.until(look, "a verdict")
        found = decode(stored.data, IntentVerdict)
        if found.approved is not None:
            await self.world.ended(intent_id)
            verdicts, reason = found.approved.body.verdicts, None
        else:
            assert found.refused is not None
            verdicts, reason = found.refused.verdicts, found.refused.reason
        return reason, verdicts

    def day(self) -> PnlDay:
        """The day as execution tells it to risk."""
        assert self.told is not None
        assert self.told.pnl_day is not None
        return self.told.pnl_day

    async def cost(self, more_than: str) -> None:
        await self.world.until(
            lambda: -self.day().net > Decimal(more_than), lambda: f"the day to cost: {self.day()}"
        )

    async def reductions(self) -> list[OperatorActed]:
        """Every reduction that was journaled."""
        return [
            event
            for record in await self.world.records()
            for event in record.events
            if isinstance(event, OperatorActed) and event.verb == Verb.REDUCE
        ]

    async def resume(self) -> None:
        """A person resumes."""
        command = Command(
            message_id="resume",
            causation_id="resume",
            correlation_id="resume",
            ts_event_ns=self.world.clock.now_ns(),
            ts_published_ns=0,
            source="test",
            account="paper",
            verb=Verb.RESUME,
            actor="alice",
            reason="looked at it",
        )
        subject = subjects.command("paper", Verb.RESUME)
        await self.world.bus.publish_stored(subject, encode(command), message_id="resume")
        await self.world.until(lambda: self.world.state.trading_state == "ACTIVE", "the resume")


async def test_a_day_of_commission_funding_and_losses_ends_entries_until_the_next_one(
    nats_server: Broker, tmp_path: Path
) -> None:
    world = PnlWorld(nats_server.url, zone="Europe/Berlin")
    world.venue.faults.set_rules([FaultRule.model_validate(INCOME_AWAY)])
    async with world:
        day = DayWorld(world, tmp_path)
        try:
            await day.start()
            await see_that_an_unknown_day_takes_no_entry(day)
            await see_that_all_costs_together_reach_the_limit(day)
            await see_that_only_a_person_resumes_and_the_day_stays_closed(day)
            await see_that_the_next_day_starts_anew(day)
        finally:
            await day.stop()


async def see_that_an_unknown_day_takes_no_entry(day: DayWorld) -> None:
    await day.world.until(lambda: day.told is not None, "the account")
    reason, verdict = await day.verdict()
    assert (reason, verdict.observed) == (Reason.DAILY_LOSS, "unknown")
    day.world.venue.faults.set_rules([])
    await day.world.until(lambda: day.told and day.told.pnl_day, "the day to be known")
    assert (await day.verdict())[0] is None


async def see_that_all_costs_together_reach_the_limit(day: DayWorld) -> None:
    """Commission, funding and a loss of some twenty each: only their sum is over fifty."""
    world = day.world
    await world.ended(await world.trade("alpha", "BTCUSDT", Side.BUY, "0.700"))
    await day.cost("20")
    await world.fund({"BTCUSDT": "0.0005"})
    await world.armed()
    await day.cost("40")
    assert -day.day().net < LIMIT
    assert world.state.trading_state == "ACTIVE"
    world.source.prices["BTCUSDT"] -= 30
    moved_ns = world.clock.now_ns() + 10**9
    await world.until(lambda: world.clock.now_ns() > moved_ns, "the price to move")
    await world.by_hand("BTCUSDT", Side.SELL, "0.700")
    await day.cost("50")
    await world.settled()
    await world.until(lambda: told_is_folded(day), "risk to hear of the last fill")
    found = day.day()
    assert max(found.commission, -found.funding, -found.realized_pnl) < LIMIT
    assert min(found.commission, -found.funding, -found.realized_pnl) > 0
    await world.until(lambda: world.state.trading_state == "REDUCING", "the reduction")
    reason, verdict = await day.verdict()
    assert reason is Reason.REDUCE_ONLY
    assert verdict.reason is Reason.DAILY_LOSS
    assert Decimal(verdict.observed) == -day.day().net


def told_is_folded(day: DayWorld) -> bool:
    """Whether risk was told all that execution knows."""
    now_ns = day.world.clock.now_ns()
    return pnl_day(day.world.state, now_ns, ZoneInfo("Europe/Berlin")) == day.day()


async def see_that_only_a_person_resumes_and_the_day_stays_closed(day: DayWorld) -> None:
    await day.start_risk()
    (asked,) = await day.reductions()
    assert asked.actor == "risk"
    assert "the day cost" in asked.reason
    await day.resume()
    await day.start_risk()
    heard = day.told
    await day.world.until(lambda: day.told is not heard, "a word on the account")
    reason, _ = await day.verdict()
    assert reason is Reason.DAILY_LOSS
    assert len(await day.reductions()) == 1
    assert day.world.state.trading_state == "ACTIVE"


async def see_that_the_next_day_starts_anew(day: DayWorld) -> None:
    world = day.world
    ends_ns = day.day().day_start_ns + 24 * NS_PER_HOUR
    assert ends_ns % (24 * NS_PER_HOUR) == 22 * NS_PER_HOUR
    await world.leap(ends_ns - 10**9)
    yesterday = pnl_day(world.state, ends_ns - 1, ZoneInfo("Europe/Berlin"))
    assert yesterday is not None
    assert yesterday.net < -LIMIT
    await world.until(lambda: day.day().day_start_ns == ends_ns, "the next day")
    assert day.day().net == 0
    await world.until(lambda: day.told is not None and day.told.armed, "risk to hear of arming")
    assert (await day.verdict(Side.SELL))[0] is None
