"""Asks the venue for what a comparison needs, and for no more than the weight allows."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages.account import AccountState, Discrepancy, DiscrepancyKind
from libs.common.runtime.clock import NS_PER_MS
from libs.common.runtime.errors import PortcullisError
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.payloads import Income
from services.reconciler.budget import (
    INCOME_PAGE_WEIGHT,
    ORDERS_OF_ALL_WEIGHT,
    WeightBudget,
    look_weight,
)
from services.reconciler.core import HARD_FACTS
from services.reconciler.ledger import rows_of
from services.reconciler.snapshots import (
    IncomeSeen,
    SettingsSeen,
    TradeSeen,
    VenueAlgoOrderSeen,
    VenueOrderSeen,
    VenueSnapshot,
    algo_orders_of,
    orders_of,
    positions_of,
    settings_of,
    trades_of,
)

INCOME_ROWS_PER_PAGE = 1_000


class ComparisonImpossible(PortcullisError):  # noqa: N818 - what happened, not a kind of error
    """No two snapshots could be had that belong together."""


class WeightSpent(ComparisonImpossible):
    """Comparing would use more request weight than it may; there will be room again."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """How far a look goes beyond positions, balance and the orders of our symbols.

    Attributes:
        is_whole: orders of symbols that are not ours too.
        has_details: settings, and the newest trades.
        has_income: the list of income.
    """

    is_whole: bool
    has_details: bool
    has_income: bool = False

    def widened(self, other: "Scope") -> "Scope":
        """As far as both go."""
        return Scope(
            is_whole=self.is_whole or other.is_whole,
            has_details=self.has_details or other.has_details,
            has_income=self.has_income or other.has_income,
        )


def scope_of(trigger: str, found: Iterable[Discrepancy], *, is_unasked: bool = False) -> Scope:
    """How far to look: orders of symbols that are not ours cost forty times as much to ask for.

    Args:
        found: what differed the last time; it is looked for again, or it would seem to be gone.
        is_unasked: nobody but execution asked, which does so as long as it is not reconciled.
    """
    kinds = {one.kind for one in found}
    orphans = {DiscrepancyKind.ORPHAN_ORDER, DiscrepancyKind.ORPHAN_ALGO_ORDER}
    is_regular = trigger in ("start", "period")
    is_asked = trigger in ("reconnect", "demand")
    income = {DiscrepancyKind.MISSED_INCOME, DiscrepancyKind.INCOME_DRIFT}
    return Scope(
        is_whole=is_regular or bool(kinds & orphans),
        has_details=is_regular or is_asked or bool(kinds & HARD_FACTS),
        has_income=is_regular or (is_asked and not is_unasked) or bool(kinds & income),
    )


#: No further than what every look asks for.
NARROW = Scope(is_whole=False, has_details=False)


class VenueLook:
    """The reading key's view of one account."""

    def __init__(
        self,
        venue: VenueClient,
        budget: WeightBudget,
        symbols: tuple[str, ...],
        asset: str,
        *,
        trades_symbols_max: int,
        trades_per_symbol: int,
        income_pages_max: int = 1,
    ) -> None:
        self._venue = venue
        self._budget = budget
        self._symbols = symbols
        self._asset = asset
        self._trades_symbols_max = trades_symbols_max
        self._trades_per_symbol = trades_per_symbol
        self._income_pages_max = income_pages_max
        self._turn = 0
        self.last_weight = 0

    def has_room(self, per_minute_max: int, now_ns: int) -> bool:
        """Whether a comparison like the last one, of two looks, stays within so much weight."""
        return self._budget.has_room(2 * self.last_weight, per_minute_max, now_ns)

    async def look(
        self, scope: Scope, ours: AccountState, now_ns: int, income_since_ns: int = 0
    ) -> VenueSnapshot:
        """One snapshot.

        Args:
            income_since_ns: from when on income is wanted (market time); 0: it is not.

        Raises:
            VenueReadError: the venue did not answer.
            WeightSpent: this minute's weight is used up.
        """
        is_all = scope.is_whole or len(self._symbols) >= ORDERS_OF_ALL_WEIGHT
        traded = self._traded(ours) if scope.has_details else ()
        weight = look_weight(
            len(self._symbols),
            is_whole=is_all,
            has_settings=scope.has_details,
            trades_symbols=len(traded),
            income_pages=1 if income_since_ns else 0,
        )
        self.last_weight = weight
        if not self._budget.spend(weight, now_ns):
            raise WeightSpent("the request weight of this minute is used up")
        asked: tuple[str | None, ...] = (None,) if is_all else self._symbols
        (
            positions,
            (wallet_balance, income),
            orders,
            algo_orders,
            settings,
            trades,
        ) = await asyncio.gather(
            self._venue.position_risk(),
            self._money(income_since_ns, now_ns),
            self._orders(asked),
            self._algo_orders(asked),
            self._settings(scope),
            self._trades(traded),
        )
        return VenueSnapshot(
            positions=positions_of(positions),
            orders=orders,
            wallet_balance=wallet_balance,
            algo_orders=algo_orders,
            trades=trades,
            settings=settings,
            income=income,
        )

    def _traded(self, ours: AccountState) -> tuple[str, ...]:
        """Symbols to ask trades of: those in use, and of the others some more at each turn."""
        used = {position.symbol for position in ours.positions}
        used |= {order.symbol for order in ours.orders}
        used |= {order.symbol for order in ours.algo_orders}
        idle = sorted(set(self._symbols) - used)
        if idle:
            self._turn = self._turn % len(idle)
            idle = idle[self._turn :] + idle[: self._turn]
        chosen = (sorted(used) + idle)[: self._trades_symbols_max]
        self._turn += max(0, len(chosen) - len(used))
        return tuple(chosen)

    async def _orders(self, asked: Iterable[str | None]) -> tuple[VenueOrderSeen, ...]:
        lists = await asyncio.gather(*(self._venue.open_orders(symbol) for symbol in asked))
        return tuple(order for found in lists for order in orders_of(found))

    async def _algo_orders(self, asked: Iterable[str | None]) -> tuple[VenueAlgoOrderSeen, ...]:
        lists = await asyncio.gather(*(self._venue.open_algo_orders(symbol) for symbol in asked))
        return tuple(order for found in lists for order in algo_orders_of(found))

    async def _settings(self, scope: Scope) -> SettingsSeen | None:
        if not scope.has_details:
            return None
        account, symbols = await asyncio.gather(
            self._venue.account_config(), self._venue.symbol_settings()
        )
        return settings_of(account, symbols)

    async def _trades(self, symbols: Iterable[str]) -> dict[str, tuple[TradeSeen, ...]]:
        wanted = tuple(symbols)
        lists = await asyncio.gather(
            *(self._venue.user_trades(symbol, limit=self._trades_per_symbol) for symbol in wanted)
        )
        return {symbol: trades_of(found) for symbol, found in zip(wanted, lists, strict=True)}

    async def _money(
        self, income_since_ns: int, now_ns: int
    ) -> tuple[Decimal | None, IncomeSeen | None]:
        balances, income = await asyncio.gather(
            self._venue.balance(), self._income(income_since_ns, now_ns)
        )
        wallet = next((one.balance for one in balances if one.asset == self._asset), None)
        return wallet, income

    async def _income(self, since_ns: int, now_ns: int) -> IncomeSeen | None:
        """The list from a time on, page by page; what is not reached is left to the next look."""
        if not since_ns:
            return None
        start_ms = since_ns // NS_PER_MS
        until_ms = now_ns // NS_PER_MS
        rows: list[Income] = []
        for number in range(self._income_pages_max):
            if number and not self._budget.spend(INCOME_PAGE_WEIGHT, now_ns):
                break
            page = await self._venue.income(start_ms=start_ms, limit=INCOME_ROWS_PER_PAGE)
            rows += page
            last_ms = max((row.time_ms for row in page), default=start_ms)
            if len(page) < INCOME_ROWS_PER_PAGE:
                return IncomeSeen(
                    rows=rows_of(rows), since_ns=start_ns(since_ns), until_ns=until_ms * NS_PER_MS
                )
            if last_ms <= start_ms:
                break  # more rows in one millisecond than a page has: no page could tell them all
            start_ms = last_ms
        # Of the last millisecond there may be more rows than were read.
        return IncomeSeen(
            rows=rows_of(rows),
            since_ns=start_ns(since_ns),
            until_ns=(start_ms - 1) * NS_PER_MS,
        )


def start_ns(since_ns: int) -> int:
    """The venue counts whole milliseconds: the first one that lies in the window as a whole."""
    return -(-since_ns // NS_PER_MS) * NS_PER_MS
