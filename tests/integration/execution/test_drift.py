"""Drift made by hand at the venue: found within one comparison, named rightly, and made good.

Real broker, venue, feed, execution and reconciler; the test plays the account's owner and risk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.messages import subjects
from libs.common.messages.account import Discrepancy, DiscrepancyKind, ReconcileReport
from libs.common.messages.audit_events import OperatorActed, OrphanCanceled
from libs.common.messages.codec import decode
from libs.common.messages.journal import FillReceived, TradingStateChanged
from libs.common.model.ids import derive_client_algo_id
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.outcomes import Accepted, Outcome
from services.paper_exchange.demo_keys import (
    DEMO_ACCOUNT_ID,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

KIND = DiscrepancyKind
SYMBOL = "BTCUSDT"
WAIT_S = 40
BUSY_COMPARISONS = 12
ANSWERS_ASKED = 10
#: Market time; the reconciler allows an event 3 s.
LATE_NS = 4_500_000_000
#: A look needs the account to stand still until execution speaks next, which it does once a second.
PAUSE_S = 1.5
LEGS: tuple[tuple[Side, dict[str, Any]], ...] = (
    (Side.BUY, {}),
    (Side.SELL, {"order_changes": {"reduce_only": True}, "purpose": Purpose.EXIT}),
)


class Owner:
    """The owner of the account, with its own client, and an ear for reports."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.reports: list[ReconcileReport] = []
        self.client = VenueClient(
            world.venue_url,
            world.clock.now_ns,
            api_key=DEMO_TRADE_KEY,
            api_secret=Secret(DEMO_TRADE_SECRET),
        )

    async def listen(self) -> None:
        await self.world.bus.subscribe(subjects.reconcile_report("paper"), self._on_report)

    async def _on_report(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.reports.append(decode(payload, ReconcileReport))

    async def ask(self) -> ReconcileReport:
        """Ask for a comparison; returns the first report of one begun after that."""
        asked_ns = wall_ns()
        await self.world.bus.publish(subjects.reconcile_request("paper"), b"{}")
        return await self.report(
            lambda one: one.ts_published_ns - one.duration_ms * 1_000_000 >= asked_ns
        )

    async def report(self, condition: Callable[[ReconcileReport], bool]) -> ReconcileReport:
        async with asyncio.timeout(WAIT_S):
            while not (found := [one for one in self.reports if condition(one)]):
                await asyncio.sleep(0.02)
        return found[0]

    async def clean_after(self, report: ReconcileReport) -> ReconcileReport:
        return await self.report(lambda one: one.cycle > report.cycle and one.is_clean)

    async def surprise(self, kind: str, **more: str) -> None:
        """The venue, or the owner in its app, acts; the user stream does not tell of it."""
        drop = [{"event": "*", "effect": "drop"}]
        await self.world.sim("POST", "/sim/event-faults", drop)
        wish = {"account_id": DEMO_ACCOUNT_ID, "symbol": SYMBOL, "kind": kind, **more}
        answer = await self.world.sim("POST", "/sim/surprises", wish)
        assert "error" not in answer, answer
        await self.world.sim("DELETE", "/sim/event-faults")

    async def place_stop(self, name: str) -> None:
        price = await self.world.mark_price()
        wish = {
            "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010",
            "triggerPrice": str(int(price * 8 / 10)), "clientAlgoId": name, "reduceOnly": "true",
        }  # fmt: skip
        stamp = self.client.timestamp_ms()
        accepted(await self.client.place_algo_order(wish, timestamp_ms=stamp))

    async def stops(self) -> set[str]:
        return {one.client_algo_id for one in await self.client.open_algo_orders(SYMBOL)}


def accepted(outcome: Outcome) -> None:
    assert isinstance(outcome, Accepted), outcome


def found(report: ReconcileReport) -> dict[DiscrepancyKind, Discrepancy]:
    return {one.kind: one for one in report.discrepancies}


@pytest.fixture
async def owner(world: "World") -> AsyncIterator[Owner]:
    owner = Owner(world)
    await owner.listen()
    try:
        yield owner
    finally:
        await owner.client.close_connection()


async def is_armed(world: "World") -> None:
    async def armed() -> bool:
        return world.state is not None and world.state.armed

    await world.until(armed, "execution to arm again")


async def halts(world: "World") -> list[TradingStateChanged]:
    return [
        event
        for record in await world.journal()
        for event in record.events
        if isinstance(event, TradingStateChanged) and event.actor == "reconciler"
    ]


async def test_settings_changed_by_hand_are_set_back(world: "World", owner: Owner) -> None:
    accepted(await owner.client.set_leverage(SYMBOL, 7))
    report = await owner.ask()
    drift = found(report)[KIND.SETTING_DRIFT]
    assert (drift.subject, drift.ours, drift.theirs) == ("BTCUSDT leverage", "10", "7")
    assert report.remedies == ("assert-settings",)
    clean = await owner.clean_after(report)
    (setting,) = [one for one in await owner.client.symbol_settings() if one.symbol == SYMBOL]
    assert setting.leverage == 10

    hedge = {"dualSidePosition": "true"}
    accepted(await owner.client._call("post", "positionSide/dual", hedge))
    report = await owner.ask()
    assert report.cycle > clean.cycle
    assert found(report)[KIND.SETTING_DRIFT].subject == "position mode"
    await owner.clean_after(report)
    assert not (await owner.client.position_mode()).hedge_mode
    await is_armed(world)
    acted = [
        event
        for record in await world.journal()
        for event in record.events
        if isinstance(event, OperatorActed)
    ]
    assert {(one.verb, one.actor) for one in acted} == {("assert-settings", "reconciler")}


async def test_trading_by_hand_confuses_nobody_for_longer_than_one_comparison(
    world: "World", owner: Owner
) -> None:
    await owner.surprise("manual_order", side="BUY", quantity="0.010")
    report = await owner.ask()
    untracked = found(report)[KIND.UNTRACKED_POSITION]
    assert (untracked.theirs, untracked.is_confirmed) == ("0.010", True)
    await owner.clean_after(report)
    assert await halts(world) == []
    state = world.state
    assert state is not None
    assert [one.quantity for one in state.positions if one.quantity] == [Decimal("0.010")]

    await owner.surprise("manual_order", side="BUY", quantity="0.020")
    report = await owner.ask()
    assert found(report)[KIND.SIZE_MISMATCH].theirs == "0.030"
    await owner.clean_after(report)

    await owner.surprise("liquidation")
    report = await owner.ask()
    assert found(report)[KIND.PHANTOM_POSITION].ours == "0.030"
    await owner.clean_after(report)
    assert await halts(world) == []
    await is_armed(world)


async def test_a_trade_the_stream_did_not_tell_of_is_missed_even_where_positions_agree(
    world: "World", owner: Owner
) -> None:
    await owner.surprise("manual_order", side="BUY", quantity="0.010")
    await owner.surprise("manual_order", side="SELL", quantity="0.010")
    late_ns = world.clock.now_ns() + LATE_NS

    async def is_late() -> bool:
        return world.clock.now_ns() >= late_ns

    await world.until(is_late, "an event to be under way for longer than it may be")
    report = await owner.ask()
    assert found(report)[KIND.MISSED_FILL].subject == SYMBOL
    assert KIND.UNTRACKED_POSITION not in found(report)
    await owner.clean_after(report)
    fills = [
        event
        for record in await world.journal()
        for event in record.events
        if isinstance(event, FillReceived)
    ]
    assert sum(fill.quantity for fill in fills) == Decimal("0.020")


async def test_orphans_of_ours_are_canceled_and_those_of_others_left_alone(
    world: "World", owner: Owner
) -> None:
    ours = derive_client_algo_id("paper", "another life", "STOP", 1)
    await owner.place_stop("web_stop")
    await owner.place_stop(ours)
    report = await owner.ask()
    subjects_found = {one.subject: one for one in report.discrepancies}
    assert set(subjects_found) == {"web_stop", ours}
    assert subjects_found["web_stop"].is_tolerated

    async def is_gone() -> bool:
        return await owner.stops() == {"web_stop"}

    async def canceled() -> set[str]:
        return {
            event.client_id
            for record in await world.journal()
            for event in record.events
            if isinstance(event, OrphanCanceled)
        }

    await world.until(is_gone, "our orphan to be canceled")
    await world.until(canceled, "its end to be journaled, which follows the venue's word")
    assert await canceled() == {ours}
    await is_armed(world)
    await owner.ask()
    assert await owner.stops() == {"web_stop"}


async def test_who_asks_how_the_account_stands_is_not_kept_waiting(world: "World") -> None:
    waits_ns = []
    for _ in range(ANSWERS_ASKED):
        asked_ns = wall_ns()
        await world.bus.publish(subjects.account_state_request("paper"), b"{}")

        async def has_answered(asked_ns: int = asked_ns) -> bool:
            return world.state is not None and world.state.ts_published_ns >= asked_ns

        await world.until(has_answered, "execution to speak")
        waits_ns.append(wall_ns() - asked_ns)
    # By itself it speaks once a second.
    assert median(waits_ns) < 500_000_000


async def test_a_margin_type_changed_before_a_position_is_set_back_once_it_is_closed(
    world: "World", owner: Owner
) -> None:
    accepted(await owner.client.set_margin_type(SYMBOL, "ISOLATED"))
    await owner.surprise("manual_order", side="BUY", quantity="0.010")
    report = await owner.ask()
    assert found(report)[KIND.SETTING_DRIFT].subject == "BTCUSDT margin type"
    assert "assert-settings" in report.remedies

    async def is_refused() -> bool:
        state = world.state
        return state is not None and any("settings" in why for why in state.unarmed_reasons)

    await world.until(is_refused, "the venue to refuse another margin type under a position")
    await owner.surprise("manual_order", side="SELL", quantity="0.010")

    async def is_set_back() -> bool:
        rows = await owner.client.symbol_settings()
        return {one.margin_type for one in rows if one.symbol == SYMBOL} == {"CROSSED"}

    await world.until(is_set_back, "the margin type to be set back")
    assert await halts(world) == []


async def test_a_busy_run_with_late_events_raises_no_alarm(world: "World", owner: Owner) -> None:
    late = [{"event": "*", "effect": "delay", "delay_ms": 900}]
    answer = await world.sim("POST", "/sim/event-faults", late)
    assert "error" not in answer, answer
    first = await owner.ask()
    is_over, is_under_way = asyncio.Event(), asyncio.Event()

    async def trade() -> None:
        while not is_over.is_set():
            for side, changes in LEGS:
                approved = await world.approve(side, **changes)
                is_under_way.set()
                await world.wait_for(approved, FillReceived)
                await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(trade())
        for _ in range(BUSY_COMPARISONS):  # each begins while an order's events are late
            await is_under_way.wait()
            is_under_way.clear()
            await owner.ask()
        is_over.set()
    alarms = [
        (one.kind, one.subject, one.ours, one.theirs)
        for report in owner.reports
        for one in report.discrepancies
        if report.cycle > first.cycle
    ]
    assert alarms == []
    assert await halts(world) == []
