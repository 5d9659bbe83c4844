"""Carries both snapshots to the comparison, and what it found to whoever must know.

A comparison is two looks at most: what differs in the first is looked at again after a moment. A
look counts only if the account did not change while the venue was being asked: the journal's
sequence before and after is the same, where "after" is a state that execution said later than the
venue's last answer.
"""

import asyncio
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import (
    AccountState,
    Command,
    Discrepancy,
    ReconcileReport,
    Verb,
)
from libs.common.messages.codec import decode, encode
from libs.common.model.ids import digest
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns, wait_until_set, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import RECONCILE_CYCLES, RECONCILE_DISCREPANCIES
from libs.common.runtime.provisioning import wait_until_provisioned
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from services.reconciler.budget import WeightBudget
from services.reconciler.config import ReconcilerConfig, StopRule
from services.reconciler.core import (
    Comparison,
    Key,
    compare,
    confirmed,
)
from services.reconciler.remedies import Wish, decide_remedies, is_tolerated, policy_of
from services.reconciler.shelf import Shelf
from services.reconciler.venue_look import ComparisonImpossible, Scope, VenueLook, scope_of

log = get_logger(__name__)

NAME = "reconciler"
DUE_LOOK_INTERVAL_S = 0.05
FAILURES_HEEDED_MIN = 2
#: As many as execution tells of.
TRADES_PER_SYMBOL = 20
#: What of execution's word is compared with the venue's.
_COMPARED = (
    "positions",
    "orders",
    "algo_orders",
    "exposures",
    "settings",
    "trades",
    "wallet_balance",
)


class Reconciler:
    """The running service: one account, one reading key."""

    def __init__(self, context: Context[ReconcilerConfig], venue: VenueClient) -> None:
        self._context = context
        self._settings = context.settings
        self._account = context.common.account
        self._asset = context.common.venue.quote_asset
        self._clock = context.clock
        self._bus = context.bus
        self._venue = venue
        self._state: AccountState | None = None
        self._state_came = asyncio.Event()
        self._asked = asyncio.Event()
        self._trigger = "demand"
        self._cycle = 0
        self._failures = 0
        self._scope = Scope(is_whole=True, has_details=True)
        self._look_at_venue = VenueLook(
            venue,
            WeightBudget(context.settings.weight_per_minute_max),
            context.common.symbols,
            self._asset,
            trades_symbols_max=context.settings.trades_symbols_max,
            trades_per_symbol=TRADES_PER_SYMBOL,
        )
        self._previous: frozenset[Key] = frozenset()
        self._asked_for: frozenset[Wish] = frozenset()
        self._same_again = 0
        self._begun = self._reported_begun = 0
        self._last: ReconcileReport | None = None
        self._shelf = Shelf(context.settings.reports_kept)
        self._reported = asyncio.Condition()

    async def start(self) -> None:
        """Subscribe and begin; the first comparison is made as soon as execution speaks."""
        context = self._context
        await wait_until_provisioned(self._bus, self._account, context.common.bus)
        context.health.set("compared", Level.FAIL, "not compared yet")
        await self._shelf.load(self._bus, self._account)
        await self._bus.subscribe(subjects.account_state(self._account), self._on_state)
        await self._bus.subscribe(subjects.reconcile_request(self._account), self._on_request)
        context.spawn(self._run(), "compare")
        context.on_stop.append(self._venue.close_connection)

    def status(self) -> dict[str, Any]:
        """The body of /v1/status."""
        last = self._last
        return {
            "account": self._account,
            "cycles": self._cycle,
            "is_clean": last.is_clean if last else None,
            "trigger": last.trigger if last else None,
            "compared_at_ns": last.ts_event_ns if last else None,
            "discrepancies": msgspec.to_builtins(last.discrepancies if last else ()),
            "remedies": list(last.remedies if last else ()),
        }

    def reports(self, count: int) -> list[ReconcileReport]:
        """The newest reports, the newest first."""
        return self._shelf.newest(count)

    async def compare_now(self) -> ReconcileReport | None:
        """Compare, and return the report; ``None`` if there is none in time.

        A comparison under way began before it was asked for, so it is not the answer.
        """
        begun = self._begun
        self._asked.set()
        try:
            async with asyncio.timeout(self._settings.compare_now_wall_ms_max / 1000):
                async with self._reported:
                    await self._reported.wait_for(lambda: self._reported_begun > begun)
        except TimeoutError:
            return None
        return self._last

    async def _on_state(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        state = decode(payload, AccountState)
        known = self._state
        if known is not None and state.journal_sequence < known.journal_sequence:
            return  # a replica that has not read on would look like a discrepancy
        self._state = state
        self._state_came.set()
        # What the stream did not tell was read by REST. Whether that was all of it is to be seen.
        came_up = known is not None and known.user_stream_ups != state.user_stream_ups
        if came_up and state.user_stream_ups:
            self._trigger = "reconnect"
            self._asked.set()

    async def _on_request(self, _: str, __: bytes, ___: dict[str, str]) -> None:
        self._asked.set()

    # -- when -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await wait_until_set(self._clock)
        trigger = "start"
        while True:
            self._asked.clear()
            self._begun += 1
            is_settled = await self._try_to_compare(trigger)
            trigger = await self._wait_for_next(is_settled=is_settled)

    async def _try_to_compare(self, trigger: str) -> bool:
        """One comparison; false if it failed or found something, so that it is made again soon."""
        started_ns = monotonic_ns()
        self._scope = scope_of(trigger, self._last.discrepancies if self._last is not None else ())
        try:
            comparison, state = await self._compare_twice()
            found = self._judge(comparison)
            wishes = decide_remedies(
                self._settings.policies,
                found,
                before=self._previous,
                trading_state=state.trading_state,
            )
            report = self._report(trigger, comparison, found, wishes, state, started_ns)
            await self._publish(report)
            await self._ask_for(wishes, report)
        except (VenueReadError, ComparisonImpossible, BusError) as error:
            RECONCILE_CYCLES.labels("failed").inc()
            log.warning("comparison failed", trigger=trigger, error=str(error))
            if self._last is None:
                self._context.health.set("compared", Level.FAIL, str(error))
            self._failures += 1
            return False
        self._failures = 0
        is_known = bool(self._previous) and confirmed(found) == self._previous
        self._same_again = self._same_again + 1 if is_known else 0
        self._previous = confirmed(found)
        return all(one.is_tolerated for one in found)

    def _judge(self, comparison: Comparison) -> tuple[Discrepancy, ...]:
        """Each difference with the policy that holds for it."""
        policies = self._settings.policies
        return tuple(
            msgspec.structs.replace(
                found,
                policy=policy_of(policies, found),
                is_tolerated=is_tolerated(policies, found),
            )
            for found in comparison.discrepancies
        )

    async def _wait_for_next(self, *, is_settled: bool) -> str:
        """Wait until a comparison is due; returns why it is."""
        due_ns = self._clock.now_ns() + self._settings.interval_ms * NS_PER_MS
        retry_ns = monotonic_ns() + self._retry_wall_ms() * NS_PER_MS
        while True:
            # Who asks does not know that the venue has just told us to wait.
            if self._asked.is_set() and self._failures < FAILURES_HEEDED_MIN:
                trigger, self._trigger = self._trigger, "demand"
                return trigger
            if not is_settled and monotonic_ns() >= retry_ns:
                return "retry"
            if self._clock.now_ns() >= due_ns:
                return "period"
            if self._failures >= FAILURES_HEEDED_MIN:
                # Somebody may have asked already: waiting for that would not wait at all.
                await asyncio.sleep(DUE_LOOK_INTERVAL_S)
                continue
            try:
                await asyncio.wait_for(self._asked.wait(), DUE_LOOK_INTERVAL_S)
            except TimeoutError:
                continue

    def _retry_wall_ms(self) -> int:
        """Longer with each failure, and while the same things differ, whatever was asked for."""
        again = max(self._failures - 1, self._same_again - 1, 0)
        doubled = self._settings.retry_wall_ms << min(again, 16)
        return min(doubled, self._settings.retry_wall_ms_max)

    # -- looking ----------------------------------------------------------------------------------

    async def _compare_twice(self) -> tuple[Comparison, AccountState]:
        comparison, state = await self._look(frozenset())
        if not comparison.discrepancies:
            return comparison, state
        await asyncio.sleep(self._settings.second_look_wall_ms / 1000)
        return await self._look(comparison.keys)

    async def _look(self, seen_before: frozenset[Key]) -> tuple[Comparison, AccountState]:
        """Compare two snapshots between which the account did not change.

        Raises:
            VenueReadError: the venue did not answer.
            ComparisonImpossible: execution is silent, or the account never stood still.
        """
        for _ in range(self._settings.looks_max):
            before = await self._state_said_after(0)
            theirs = await self._look_at_venue.look(self._scope, before, self._clock.now_ns())
            after = await self._state_said_after(wall_ns())
            if _stood_still(before, after):
                comparison = compare(
                    after,
                    theirs,
                    asset=self._asset,
                    balance_tolerance=self._settings.balance_tolerance,
                    seen_before=seen_before,
                    fill_lag_ns=self._settings.fill_lag_ms * NS_PER_MS,
                    naked_grace_ns=self._settings.naked_grace_ms * NS_PER_MS,
                    every_position_needs_stop=self._settings.stops_owed is StopRule.EVERY,
                )
                return comparison, after
            await asyncio.sleep(self._settings.look_again_wall_ms / 1000)
        raise ComparisonImpossible(
            f"the account changed during each of {self._settings.looks_max} looks"
        )

    async def _state_said_after(self, published_ns: int) -> AccountState:
        """Execution's newest word, said after a wall time."""
        try:
            async with asyncio.timeout(self._settings.state_wait_wall_ms_max / 1000):
                while self._state is None or self._state.ts_published_ns < published_ns:
                    self._state_came.clear()
                    await self._state_came.wait()
        except TimeoutError:
            raise ComparisonImpossible("execution does not say how the account stands") from None
        return self._state

    # -- telling ----------------------------------------------------------------------------------

    def _report(
        self,
        trigger: str,
        comparison: Comparison,
        found: tuple[Discrepancy, ...],
        wishes: tuple[Wish, ...],
        state: AccountState,
        started_ns: int,
    ) -> ReconcileReport:
        self._cycle += 1
        said_ns = wall_ns()
        cycle_id = digest("reconcile", self._account, str(said_ns), str(self._cycle))
        return ReconcileReport(
            message_id=f"report-{cycle_id}",
            causation_id=state.message_id,
            correlation_id=f"report-{cycle_id}",
            ts_event_ns=self._clock.now_ns(),
            ts_published_ns=said_ns,
            source=NAME,
            account=self._account,
            cycle=self._cycle,
            trigger=trigger,
            is_clean=not found,
            discrepancies=found,
            positions_compared=comparison.positions_compared,
            orders_compared=comparison.orders_compared,
            balances_compared=comparison.balances_compared,
            journal_sequence=state.journal_sequence,
            duration_ms=(monotonic_ns() - started_ns) // NS_PER_MS,
            algo_orders_compared=comparison.algo_orders_compared,
            trades_compared=comparison.trades_compared,
            settings_compared=comparison.settings_compared,
            remedies=tuple(wish.text for wish in wishes),
        )

    async def _publish(self, report: ReconcileReport) -> None:
        subject = subjects.reconcile_report(self._account)
        await self._bus.publish_stored(subject, encode(report), message_id=report.message_id)
        outcome = "clean" if report.is_clean else "different"
        RECONCILE_CYCLES.labels(outcome).inc()
        RECONCILE_DISCREPANCIES.set(len(report.discrepancies))
        self._last = report
        self._shelf.add(report)
        self._reported_begun = self._begun
        async with self._reported:
            self._reported.notify_all()
        level = Level.PASS if report.is_clean else Level.WARN
        self._context.health.set("compared", level, describe(report.discrepancies))
        log.info(
            "compared",
            trigger=report.trigger,
            clean=report.is_clean,
            found=describe(report.discrepancies),
            duration_ms=report.duration_ms,
        )

    async def _ask_for(self, wishes: tuple[Wish, ...], report: ReconcileReport) -> None:
        """Ask execution for the remedies: for a repair until it is done, for a halt only once.

        A person who resumes has seen what differs.
        """
        known = {(wish.verb, wish.subjects) for wish in self._asked_for}
        for number, wish in enumerate(wishes):
            is_state = wish.verb in (Verb.HALT, Verb.REDUCE)
            if is_state and (wish.verb, wish.subjects) in known:
                continue
            message_id = f"{wish.verb}-{number}-{report.message_id}"
            command = Command(
                message_id=message_id,
                causation_id=report.message_id,
                correlation_id=report.correlation_id,
                ts_event_ns=report.ts_event_ns,
                ts_published_ns=wall_ns(),
                source=NAME,
                account=self._account,
                verb=wish.verb,
                actor=NAME,
                reason=wish.reason,
                target=wish.target,
            )
            await self._bus.publish_stored(
                subjects.command(self._account, wish.verb), encode(command), message_id=message_id
            )
            log.error("remedy asked for", what=wish.text, reason=wish.reason)
        self._asked_for = frozenset(wishes)


def describe(discrepancies: tuple[Discrepancy, ...]) -> str:
    """Differences in one line; empty if there are none."""
    return "; ".join(
        f"{found.kind} {found.subject}: ours {found.ours}, venue {found.theirs}"
        for found in discrepancies
    )


def _stood_still(before: AccountState, after: AccountState) -> bool:
    """Whether nothing that is compared changed between two words of execution.

    The journal may have moved on: a figure that is read again every few seconds is an event too.
    """
    return all(getattr(before, name) == getattr(after, name) for name in _COMPARED)
