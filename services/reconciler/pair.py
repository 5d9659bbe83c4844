"""Gets two snapshots that belong together: execution's word, and the venue's.

Execution is heard twice, before and after the venue is asked. Both times it is asked to speak, so
that the moment between is short; the pair counts only if nothing that is compared changed in it.
"""

import asyncio
from collections.abc import Callable

import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import AccountState, DiscrepancyKind
from libs.common.messages.codec import decode
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, Clock, wall_ns
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.venue_client import VenueClient
from services.reconciler.budget import WeightBudget
from services.reconciler.config import INCOME_OVERLAP_LAGS, ReconcilerConfig, StopRule
from services.reconciler.core import Comparison, compare
from services.reconciler.income import TIMES_APART_NS
from services.reconciler.journal_ear import JournalEar
from services.reconciler.ledger import Ledger
from services.reconciler.sights import Sight
from services.reconciler.snapshots import IncomeSeen
from services.reconciler.venue_look import ComparisonImpossible, Scope, VenueLook

#: As many as execution tells of.
TRADES_PER_SYMBOL = 20
#: Wall time between two glances at the clock.
LOOK_POLL_MS = 20
_INCOME = frozenset({DiscrepancyKind.MISSED_INCOME, DiscrepancyKind.INCOME_DRIFT})
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


class PairDesk:
    """Hears execution, asks the venue, reads the journal, and compares."""

    def __init__(
        self,
        bus: Bus,
        venue: VenueClient,
        clock: Clock,
        settings: ReconcilerConfig,
        *,
        account: str,
        symbols: tuple[str, ...],
        asset: str,
        on_state: Callable[[AccountState | None, AccountState], None],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._account = account
        self._asset = asset
        self._on_news = on_state
        self._state: AccountState | None = None
        self._state_came = asyncio.Event()
        ledger = Ledger(asset, 2 * settings.income_window_ms * NS_PER_MS)
        self._ear = JournalEar(bus, account, ledger, settings.journal_records_max)
        self._income_agreed_ns = 0
        self.venue = VenueLook(
            venue,
            WeightBudget(settings.weight_per_minute_max),
            symbols,
            asset,
            trades_symbols_max=settings.trades_symbols_max,
            trades_per_symbol=TRADES_PER_SYMBOL,
            income_pages_max=settings.income_pages_max,
        )

    async def listen(self) -> None:
        """Hear execution from now on.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        await self._bus.subscribe(subjects.account_state(self._account), self._on_state)

    async def _on_state(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        state = decode(payload, AccountState)
        known = self._state
        if known is not None and state.journal_sequence < known.journal_sequence:
            return  # a replica that has not read on would look like a discrepancy
        self._state = state
        self._state_came.set()
        self._on_news(known, state)

    async def compare(self, scope: Scope) -> tuple[Comparison, AccountState, int]:
        """Look until all that differs is confirmed or gone, each time when events had time to come.

        Returns what is confirmed, and how much was not when the looks were used up.

        Raises:
            VenueReadError: the venue did not answer.
            ComparisonImpossible: execution is silent, or the account never stood still.
            WeightSpent: it would take more request weight than is left.
        """
        seen: frozenset[Sight] = frozenset()
        rows = 0
        for number in range(1, self._settings.looks_sure_max + 1):
            due_ns = self._clock.now_ns() + self._settings.event_lag_ms * NS_PER_MS
            comparison, state = await self._look(scope, seen)
            rows = max(rows, comparison.income_compared)
            comparison = msgspec.structs.replace(comparison, income_compared=rows)
            sure = tuple(found for found in comparison.discrepancies if found.is_confirmed)
            doubtful = len(comparison.discrepancies) - len(sure)
            if not doubtful:
                return comparison, state, 0
            seen = seen | comparison.keys
            if not any(found.kind in _INCOME for found in comparison.discrepancies):
                scope = msgspec.structs.replace(scope, has_income=False)
            if number < self._settings.looks_sure_max:
                await self._let_events_come(due_ns)
        return msgspec.structs.replace(comparison, discrepancies=sure), state, doubtful

    async def _let_events_come(self, due_ns: int) -> None:
        """Until market time is there; where it does not flow, no longer than it would take."""
        waited_ms = self._settings.second_look_wall_ms
        await asyncio.sleep(waited_ms / 1000)
        while self._clock.now_ns() < due_ns and waited_ms < self._settings.event_lag_ms:
            await asyncio.sleep(LOOK_POLL_MS / 1000)
            waited_ms += LOOK_POLL_MS

    async def _look(
        self, scope: Scope, seen_before: frozenset[Sight]
    ) -> tuple[Comparison, AccountState]:
        settings = self._settings
        for _ in range(settings.looks_max):
            before = await self._state_said_after(0)
            since_ns = await self._income_since_ns(scope)
            theirs = await self.venue.look(scope, before, self._clock.now_ns(), since_ns)
            after = await self._state_said_after(wall_ns())
            if stood_still(before, after):
                if since_ns:
                    await self._ear.catch_up()
                comparison = compare(
                    after,
                    theirs,
                    asset=self._asset,
                    balance_tolerance=settings.balance_tolerance,
                    seen_before=seen_before,
                    fill_lag_ns=settings.fill_lag_ms * NS_PER_MS,
                    event_lag_ns=settings.event_lag_ms * NS_PER_MS,
                    naked_grace_ns=settings.naked_grace_ms * NS_PER_MS,
                    every_position_needs_stop=settings.stops_owed is StopRule.EVERY,
                    ledger=self._ear.ledger.rows if since_ns else None,
                    income_lag_ns=settings.income_lag_ms * NS_PER_MS,
                )
                if theirs.income is not None:
                    self._agree_on_income(comparison, after, theirs.income)
                return comparison, after
            await asyncio.sleep(settings.look_again_wall_ms / 1000)
        raise ComparisonImpossible(f"the account changed during each of {settings.looks_max} looks")

    async def _income_since_ns(self, scope: Scope) -> int:
        """From when on income is compared; 0: not in this look."""
        if not scope.has_income:
            return 0
        await self._ear.catch_up()
        ledger = self._ear.ledger
        if not ledger.since_ns:
            return 0
        window_ns = self._settings.income_window_ms * NS_PER_MS
        agreed_ns = min(self._income_agreed_ns, ledger.news_ns or self._income_agreed_ns)
        # What lies at either end of a list is not compared, so that lists have to overlap.
        begin_ns = agreed_ns - 2 * TIMES_APART_NS
        return max(ledger.since_ns, begin_ns, self._clock.now_ns() - window_ns)

    def _agree_on_income(
        self, comparison: Comparison, state: AccountState, read: IncomeSeen
    ) -> None:
        """What agreed need not be read again, but for a while, since a row may come late."""
        if any(found.kind in _INCOME for found in comparison.discrepancies):
            return
        settled_ns = (
            state.ts_event_ns - INCOME_OVERLAP_LAGS * self._settings.income_lag_ms * NS_PER_MS
        )
        self._income_agreed_ns = max(self._income_agreed_ns, min(settled_ns, read.until_ns))
        if self._ear.ledger.news_ns >= read.since_ns:
            self._ear.ledger.news_ns = 0

    async def _state_said_after(self, published_ns: int) -> AccountState:
        """Execution's newest word, said after a wall time."""
        try:
            async with asyncio.timeout(self._settings.state_wait_wall_ms_max / 1000):
                while self._state is None or self._state.ts_published_ns < published_ns:
                    self._state_came.clear()
                    await self._ask()
                    await self._state_came.wait()
        except TimeoutError:
            raise ComparisonImpossible("execution does not say how the account stands") from None
        return self._state

    async def _ask(self) -> None:
        """Ask execution to speak; who does not hear it speaks once a second anyway."""
        try:
            await self._bus.publish(subjects.account_state_request(self._account), b"{}")
        except BusUnavailable as error:
            raise ComparisonImpossible(f"execution cannot be asked: {error}") from error


def stood_still(before: AccountState, after: AccountState) -> bool:
    """Whether nothing that is compared changed between two words of execution.

    The journal may have moved on: a figure that is read again every few seconds is an event too.
    """
    return all(getattr(before, name) == getattr(after, name) for name in _COMPARED)
