"""What the journal tells of money, row by row, as the venue's list of income tells it. Pure.

A fill is two rows, its realised profit and its commission, each known by the trade; all other rows
are known by the venue's transaction.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived, JournalRecord
from libs.common.model.money import ZERO
from libs.common.model.pnl import TOLD_BY_FILLS
from libs.common.venue.payloads import Income

NS_PER_MS = 1_000_000

RowKey = tuple[str, str, str, str]


class IncomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the wallet: received where positive.

    Attributes:
        name: the trade, or the transaction where it is none of a trade.
        at_ns: when the venue booked it, market time.
    """

    income_type: str
    symbol: str
    asset: str
    name: str
    amount: Decimal
    at_ns: int

    @property
    def key(self) -> RowKey:
        """What tells it from every other row."""
        return (self.income_type, self.symbol, self.asset, self.name)


def rows_of(answer: Iterable[Income]) -> tuple[IncomeRow, ...]:
    """The rows of the venue's list; pages may overlap, a trade may be booked in parts."""
    unique = {
        (row.income_type, row.symbol, row.asset, row.trade_id, str(row.transaction_id)): row
        for row in answer
    }
    sums: dict[RowKey, IncomeRow] = {}
    for row in unique.values():
        is_of_trade = row.income_type in TOLD_BY_FILLS and row.trade_id
        read = IncomeRow(
            income_type=row.income_type,
            symbol=row.symbol,
            asset=row.asset,
            name=row.trade_id if is_of_trade else str(row.transaction_id),
            amount=row.income,
            at_ns=row.time_ms * NS_PER_MS,
        )
        known = sums.get(read.key)
        sums[read.key] = (
            read
            if known is None
            else msgspec.structs.replace(known, amount=known.amount + read.amount)
        )
    return tuple(row for row in sums.values() if row.amount != ZERO)


class Ledger:
    """The rows that the journal tells, of the time that is compared.

    Attributes:
        since_ns: market time from which on it is complete; 0 while nothing was read.
        news_ns: when the oldest row was booked that came since the last agreement; 0: none came.
    """

    def __init__(self, asset: str, remembered_ns: int) -> None:
        self._asset = asset
        self._remembered_ns = remembered_ns
        self.rows: dict[RowKey, IncomeRow] = {}
        self.since_ns = 0
        self.news_ns = 0
        self._forgotten_ns = 0

    def fold(self, record: JournalRecord) -> None:
        """Take up one record; they come in the journal's order."""
        self.since_ns = self.since_ns or record.ts_event_ns
        for event in record.events:
            for row in self._rows_of(event):
                self.rows[row.key] = row
                self.news_ns = min(self.news_ns or row.at_ns, row.at_ns)
        self._forget(record.ts_event_ns)

    def _rows_of(self, event: object) -> tuple[IncomeRow, ...]:
        if isinstance(event, IncomeReceived):
            told = [(event.income_type, event.asset, event.transaction_id, event.amount)]
            at_ns = event.ts_income_ns
        elif isinstance(event, FillReceived):
            told = [
                ("REALIZED_PNL", self._asset, str(event.trade_id), event.venue_realized_pnl),
                ("COMMISSION", event.commission_asset, str(event.trade_id), -event.commission),
            ]
            at_ns = event.ts_trade_ns
        else:
            return ()
        return tuple(
            IncomeRow(
                income_type=income_type,
                symbol=event.symbol,
                asset=asset,
                name=name,
                amount=amount,
                at_ns=at_ns,
            )
            for income_type, asset, name, amount in told
            if amount != ZERO
        )

    def _forget(self, now_ns: int) -> None:
        """Now and then, drop what is older than is ever compared."""
        horizon_ns = now_ns - self._remembered_ns
        if horizon_ns - self._forgotten_ns < self._remembered_ns // 10:
            return
        self._forgotten_ns = horizon_ns
        self.since_ns = max(self.since_ns, horizon_ns)
        self.rows = {key: row for key, row in self.rows.items() if row.at_ns >= horizon_ns}
