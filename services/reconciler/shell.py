"""Carries both snapshots to the comparison, and what it found to whoever must know."""

import asyncio
import contextlib
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import (
    ASKED_BY_ITSELF,
    AccountState,
    Command,
    Discrepancy,
    ReconcileReport,
)
from libs.common.messages.codec import encode
from libs.common.model.ids import digest
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns, wait_until_set, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import RECONCILE_CYCLES, RECONCILE_DISCREPANCIES
from libs.common.runtime.provisioning import wait_until_provisioned
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from services.reconciler.cadence import Asks, Cadence, Due
from services.reconciler.config import ReconcilerConfig
from services.reconciler.core import Comparison, Key, confirmed
from services.reconciler.pair import PairDesk, stood_still
from services.reconciler.remedies import Asked, Wish, decide_remedies, is_tolerated, policy_of
from services.reconciler.shelf import Shelf
from services.reconciler.venue_look import NARROW, ComparisonImpossible, WeightSpent, scope_of

log = get_logger(__name__)

NAME = "reconciler"
DUE_LOOK_INTERVAL_S = 0.05


class Reconciler:
    """The running service: one account, one reading key."""

    def __init__(self, context: Context[ReconcilerConfig], venue: VenueClient) -> None:
        self._context = context
        self._settings = context.settings
        self._account = context.common.account
        self._clock = context.clock
        self._bus = context.bus
        self._venue = venue
        self._asked = asyncio.Event()  # by a person, or in their name
        self._asked_softly = asyncio.Event()  # by execution, as often as it likes
        self._trigger = "demand"
        self._cycle = 0
        self._cadence = Cadence(context.settings)
        self._pair = PairDesk(
            context.bus,
            venue,
            context.clock,
            context.settings,
            account=self._account,
            symbols=context.common.symbols,
            asset=context.common.venue.quote_asset,
            on_state=self._on_state,
        )
        self._owed = NARROW
        self._previous: frozenset[Key] = frozenset()
        self._remedies = Asked()
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
        await self._pair.listen()
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

    def _on_state(self, known: AccountState | None, state: AccountState) -> None:
        if known is None:
            return
        if not stood_still(known, state):
            self._cadence.on_moved()
        # What the stream did not tell was read by REST. Whether that was all of it is to be seen.
        if state.user_stream_ups and known.user_stream_ups != state.user_stream_ups:
            self._trigger = "reconnect"
            self._asked_softly.set()

    async def _on_request(self, _: str, words: bytes, __: dict[str, str]) -> None:
        if words == ASKED_BY_ITSELF:
            self._asked_softly.set()
        else:
            self._asked.set()

    # -- when -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await wait_until_set(self._clock)
        due = Due("start", is_unasked=False)
        while True:
            self._asked.clear()
            self._asked_softly.clear()
            self._begun += 1
            await self._try_to_compare(due)
            due = await self._wait_for_next()

    async def _try_to_compare(self, due: Due) -> None:
        """One comparison; one that fails or finds something is made again soon."""
        started_ns, trigger = monotonic_ns(), due.trigger
        known = self._last.discrepancies if self._last is not None else ()
        scope = scope_of(trigger, known, is_unasked=due.is_unasked).widened(self._owed)
        self._owed = scope  # a comparison that fails is made again as it was to be
        try:
            comparison, state, in_flight = await self._pair.compare(scope)
            found = self._judge(comparison)
            wishes = decide_remedies(
                self._settings.policies,
                found,
                before=self._previous,
                trading_state=state.trading_state,
            )
            report = self._report(trigger, comparison, found, wishes, state, started_ns, in_flight)
            await self._publish(report)
            await self._ask_for(wishes, report)
        except WeightSpent as error:
            # Nothing is wrong, and whoever asks is still heeded: there will be room again.
            RECONCILE_CYCLES.labels("failed").inc()
            log.warning("comparison put off", trigger=trigger, error=str(error))
            self._cadence.on_put_off(is_unasked=due.is_unasked)
            return
        except (VenueReadError, ComparisonImpossible, BusError) as error:
            RECONCILE_CYCLES.labels("failed").inc()
            log.warning("comparison failed", trigger=trigger, error=str(error))
            if self._last is None:
                self._context.health.set("compared", Level.FAIL, str(error))
            self._cadence.on_failed()
            return
        self._owed = NARROW
        before, self._previous = self._previous, confirmed(found)
        self._cadence.on_compared(
            is_known=bool(before) and self._previous == before,
            is_settled=not in_flight and all(one.is_tolerated for one in found),
        )

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

    async def _wait_for_next(self) -> Due:
        """Wait until a comparison is due."""
        due_ns = self._clock.now_ns() + self._settings.interval_ms * NS_PER_MS
        ended_ns = monotonic_ns()
        while True:
            now_ns = self._clock.now_ns()
            asks = Asks(
                is_asked=self._asked.is_set(),
                softly=self._trigger if self._asked_softly.is_set() else "",
                is_period_over=now_ns >= due_ns,
            )
            waited_ms = (monotonic_ns() - ended_ns) // NS_PER_MS
            has_room = self._pair.venue.has_room(self._cadence.weight_share, now_ns)
            if due := self._cadence.due(asks, waited_ms=waited_ms, has_room=has_room):
                if due.trigger in ("demand", self._trigger):
                    self._trigger = "demand"  # a demand looks at all that a reconnect would
                return due
            if asks.is_asked:
                # Asked already, and not heeded yet: waiting for that would not wait at all.
                await asyncio.sleep(DUE_LOOK_INTERVAL_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), DUE_LOOK_INTERVAL_S)

    # -- telling ----------------------------------------------------------------------------------

    def _report(
        self,
        trigger: str,
        comparison: Comparison,
        found: tuple[Discrepancy, ...],
        wishes: tuple[Wish, ...],
        state: AccountState,
        started_ns: int,
        in_flight: int,
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
            income_compared=comparison.income_compared,
            in_flight=in_flight,
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
        """Ask execution for the remedies: for a repair until it is done, for a halt only once."""
        news = self._remedies.news_of(wishes)
        for number, wish in enumerate(news):
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
        self._remedies.remember(news, report.discrepancies, in_flight=report.in_flight)


def describe(discrepancies: tuple[Discrepancy, ...]) -> str:
    """Differences in one line; empty if there are none."""
    return "; ".join(
        f"{found.kind} {found.subject}: ours {found.ours}, venue {found.theirs}"
        for found in discrepancies
    )
