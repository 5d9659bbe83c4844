"""Reads the venue's list of income: funding, liquidation fees and transfers, which no fill tells.

The user stream says that a balance changed and why, but under cross margin not for which symbol.
So its word only makes us read the list, which is the venue's own account of it. A row may come
later than the word, and a word may be lost: hence the further attempts, and the reading now and
then.
"""

from datetime import tzinfo

from libs.common.messages.income_events import IncomeReceived
from libs.common.model.pnl import NS_PER_DAY, TOLD_BY_FILLS
from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.log import get_logger
from libs.common.venue.payloads import Income
from libs.common.venue.user_payloads import AccountUpdate
from services.execution.answers import decide_income
from services.execution.config import ExecutionConfig
from services.execution.gate import Gate
from services.execution.reads import Reads
from services.execution.trading_day import day_start_ns

log = get_logger(__name__)

#: Causes of an ACCOUNT_UPDATE that leave no row besides those of fills.
WITHOUT_INCOME = frozenset({"ORDER", "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE", "WITHDRAW_REJECT"})
ROWS_PER_PAGE = 1_000
#: Every read begins this long before the newest row known, for rows that were booked late.
OVERLAP_MS = 600_000
#: So far back where the reconciler names a row that we have not: its own window, by default.
OVERLAP_OF_MISSED_MS = 6 * 3_600_000
#: A row that was announced is asked for so often, after waits that double from the first; so are
#: the waits between reads that fail, for without any the day is not known.
ATTEMPTS_MAX = 6
ATTEMPT_WAIT_MS = 1_000


def read_income(row: Income) -> IncomeReceived | None:
    """A row as an event; ``None`` for what fills tell already."""
    if row.income_type in TOLD_BY_FILLS:
        return None
    return IncomeReceived(
        income_type=row.income_type,
        symbol=row.symbol,
        asset=row.asset,
        amount=row.income,
        transaction_id=str(row.transaction_id),
        ts_income_ns=row.time_ms * NS_PER_MS,
    )


class IncomeDesk:
    """Keeps the journal's income equal to the venue's."""

    def __init__(
        self, gate: Gate, reads: Reads, clock: Clock, settings: ExecutionConfig, zone: tzinfo
    ) -> None:
        self._gate = gate
        self._reads = reads
        self._clock = clock
        self._settings = settings
        self._zone = zone
        self._read_at_ns = 0
        self._read_until_ms = 0
        self._wanted_from_ms = 0
        self._attempts = self._failures = 0
        self._is_row_missed = False
        self.is_read = False  # in this process's life, to the end: only then is the day known

    def hear(self, event: AccountUpdate) -> None:
        """The stream said that the balance changed: its row is wanted where there will be one."""
        if event.change.reason not in WITHOUT_INCOME:
            self._wanted_from_ms = max(self._wanted_from_ms, event.transaction_ms)
            self._attempts = 0

    def suspect(self) -> None:
        """Words of the stream may have been missed: read at the next tick."""
        self._read_at_ns = 0

    def suspect_late_row(self) -> None:
        """The list has a row that we have not: it came later than every overlap."""
        self._is_row_missed = True
        self.suspect()

    async def read_if_due(self) -> None:
        """Read the list where a row was announced, and now and then in any case.

        Raises:
            VenueReadError: the venue did not answer; it is tried again at the next tick.
            BusError: it could not be journaled.
        """
        now_ns = self._clock.now_ns()
        wait_ms = self._settings.income_interval_ms
        if self._wanted_from_ms:
            wait_ms = min(wait_ms, ATTEMPT_WAIT_MS << self._attempts)
        if self._failures:
            wait_ms = min(wait_ms, ATTEMPT_WAIT_MS << self._failures)
        if abs(now_ns - self._read_at_ns) < wait_ms * NS_PER_MS:
            return
        self._read_at_ns = now_ns
        wanted_ms = self._wanted_from_ms
        self._failures = min(self._failures + 1, ATTEMPTS_MAX)
        newest_ms = await self._read(now_ns)
        self.is_read, self._failures = True, 0
        if wanted_ms != self._wanted_from_ms:  # another one was announced meanwhile
            return
        self._attempts += 1
        if newest_ms >= wanted_ms or self._attempts >= ATTEMPTS_MAX:
            if newest_ms < wanted_ms:
                log.warning("the venue lists no income that it announced", since_ms=wanted_ms)
            self._wanted_from_ms = self._attempts = 0

    async def _read(self, now_ns: int) -> int:
        """Journal what is news; returns the venue's time (ms) of the newest row of income."""
        start_ms = self._start_ms(now_ns)
        if self._is_row_missed:
            start_ms = min(start_ms, now_ns // NS_PER_MS - OVERLAP_OF_MISSED_MS)
        newest_ms = 0
        while True:
            page = await self._reads.income(start_ms=start_ms, limit=ROWS_PER_PAGE)
            rows = [row for row in map(read_income, page) if row is not None]
            await self._journal(rows)
            newest_ms = max([newest_ms, *(row.ts_income_ns // NS_PER_MS for row in rows)])
            last_ms = max((row.time_ms for row in page), default=start_ms)
            self._read_until_ms = max(self._read_until_ms, min(last_ms, now_ns // NS_PER_MS))
            if len(page) < ROWS_PER_PAGE or last_ms < start_ms:
                self._is_row_missed = False
                return newest_ms
            start_ms = last_ms if last_ms > start_ms else start_ms + 1

    def _start_ms(self, now_ns: int) -> int:
        """From what is known; of an account never read before, from the beginning of the day.

        The venue's day and the time zone's: whichever began first.
        """
        known_ms = max(self._gate.state.income_at_ns // NS_PER_MS, self._read_until_ms)
        if not known_ms:
            venue_ns = now_ns // NS_PER_DAY * NS_PER_DAY
            return min(venue_ns, day_start_ns(self._zone, now_ns)) // NS_PER_MS
        return known_ms - OVERLAP_MS

    async def _journal(self, rows: list[IncomeReceived]) -> None:
        if rows:
            await self._gate.transact(
                lambda: decide_income(self._gate.state, rows),
                causation_id="income",
                correlation_id="income",
            )
