"""Profit and loss by UTC day, symbol and strategy: exact, and apart by asset.

Realised profit is the venue's own word for each fill, so that it does not depend on the order in
which fills are learned. What was paid in another asset than the profit is never added to it.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.model.money import ZERO

NS_PER_DAY = 86_400_000_000_000
#: Days that are kept apart; what is older is summed up into one row per symbol and strategy.
DAYS_KEPT = 35
#: The offset of every time zone is a whole number of these, so that any zone's day is made of them.
NS_PER_QUARTER = NS_PER_DAY // 96
#: More than the longest day there is, which has 25 hours.
QUARTERS_KEPT = 200
#: The venue's income that fills tell already, and which is therefore not counted once more.
TOLD_BY_FILLS = frozenset({"REALIZED_PNL", "COMMISSION"})


class IncomeKind(StrEnum):
    """What a change of the wallet means; TRANSFER was brought or taken, and is no profit."""

    FUNDING = "FUNDING"
    LIQUIDATION = "LIQUIDATION"
    TRANSFER = "TRANSFER"
    OTHER = "OTHER"


_KINDS = {
    "FUNDING_FEE": IncomeKind.FUNDING,
    "SPECIAL_FUNDING_FEE": IncomeKind.FUNDING,
    "INSURANCE_CLEAR": IncomeKind.LIQUIDATION,
    "TRANSFER": IncomeKind.TRANSFER,
    "INTERNAL_TRANSFER": IncomeKind.TRANSFER,
    "CROSS_COLLATERAL_TRANSFER": IncomeKind.TRANSFER,
    "STRATEGY_UMFUTURES_TRANSFER": IncomeKind.TRANSFER,
    "COIN_SWAP_DEPOSIT": IncomeKind.TRANSFER,
    "COIN_SWAP_WITHDRAW": IncomeKind.TRANSFER,
    "AUTO_EXCHANGE": IncomeKind.TRANSFER,
    "WELCOME_BONUS": IncomeKind.TRANSFER,
    "CONTEST_REWARD": IncomeKind.TRANSFER,
}

Amounts = dict[str, Decimal]


def kind_of_income(income_type: str) -> IncomeKind:
    """What one of the venue's income types means; OTHER for a word this version does not know."""
    return _KINDS.get(income_type, IncomeKind.OTHER)


class PnlRow(msgspec.Struct, kw_only=True):
    """What one strategy earned and paid in one symbol; amounts by asset.

    Attributes:
        strategy_id: empty for what was traded by hand.
        realized_pnl: quote currency, before everything else.
        commission: paid where positive.
        funding, liquidation, other: received where positive. Liquidation is what the insurance
            fund took or made good; the loss of the closing itself is in ``realized_pnl``.
    """

    symbol: str
    strategy_id: str
    fills: int = 0
    realized_pnl: Decimal = ZERO
    commission: Amounts = {}
    funding: Amounts = {}
    liquidation: Amounts = {}
    other: Amounts = {}

    def add_fill(self, fills: int, realized_pnl: Decimal, asset: str, commission: Decimal) -> None:
        """Count fills (or, negative, take them back)."""
        self.fills += fills
        self.realized_pnl += realized_pnl
        _add(self.commission, asset, commission)

    def add_income(self, kind: IncomeKind, asset: str, amount: Decimal) -> None:
        """Count what was received; a transfer is no profit and changes nothing."""
        match kind:
            case IncomeKind.FUNDING:
                _add(self.funding, asset, amount)
            case IncomeKind.LIQUIDATION:
                _add(self.liquidation, asset, amount)
            case IncomeKind.OTHER:
                _add(self.other, asset, amount)

    def merge(self, row: "PnlRow") -> None:
        """Add another row's figures to these."""
        self.fills += row.fills
        self.realized_pnl += row.realized_pnl
        for ours, theirs in zip(self._amounts(), row._amounts(), strict=True):  # noqa: SLF001
            for asset, amount in theirs.items():
                _add(ours, asset, amount)

    def net(self, asset: str) -> Decimal:
        """What is left in the quote currency; what other assets were paid is not in it."""
        return (
            self.realized_pnl
            - self.commission.get(asset, ZERO)
            + self.funding.get(asset, ZERO)
            + self.liquidation.get(asset, ZERO)
            + self.other.get(asset, ZERO)
        )

    def _amounts(self) -> tuple[Amounts, ...]:
        return (self.commission, self.funding, self.liquidation, self.other)


class PnlBook(msgspec.Struct, kw_only=True):
    """Rows by UTC day (counted from 1970, as text) and by symbol and strategy.

    Attributes:
        earlier: the sums of the days before those that are kept apart.
        quarters: the sums of the newest quarters of an hour, counted from 1970, as text.
    """

    days: dict[str, dict[str, PnlRow]] = {}
    earlier: dict[str, PnlRow] = {}
    quarters: dict[str, PnlRow] = {}

    def row(self, day: int, symbol: str, strategy_id: str) -> PnlRow:
        """The row of a day, made where there is none; of an old day, the one that sums them up."""
        if str(day) not in self.days:
            newest = max([day, *map(int, self.days)])
            if day > newest - DAYS_KEPT:
                self.days[str(day)] = {}
                self._sum_up(newest - DAYS_KEPT)
        rows = self.days.get(str(day), self.earlier)
        return _row_in(rows, symbol, strategy_id)

    def quarter(self, at_ns: int) -> PnlRow:
        """The sum of the quarter of an hour of a time; of a forgotten one, a row nobody asks for.

        What is booked for a forgotten quarter is in the row of its UTC day alone.
        """
        number = at_ns // NS_PER_QUARTER
        newest = max([number, *map(int, self.quarters)])
        for old in [old for old in self.quarters if int(old) <= newest - QUARTERS_KEPT]:
            del self.quarters[old]
        row = self.quarters.get(str(number), PnlRow(symbol="", strategy_id=""))
        if number > newest - QUARTERS_KEPT:
            self.quarters[str(number)] = row
        return row

    def since(self, start_ns: int) -> PnlRow:
        """What came from a time on, no longer ago than is kept by quarters of an hour."""
        first = start_ns // NS_PER_QUARTER
        return total_of(row for number, row in self.quarters.items() if int(number) >= first)

    def total(self, day: int) -> PnlRow:
        """One day of all symbols and strategies."""
        return total_of(self.days.get(str(day), {}).values())

    def rows(self, days_max: int = DAYS_KEPT) -> Iterator[tuple[int | None, PnlRow]]:
        """The newest days first, each with its rows; the sums of what came before have no day."""
        newest = sorted(map(int, self.days), reverse=True)
        for day in newest[:days_max]:
            for _, row in sorted(self.days[str(day)].items()):
                yield day, row
        if days_max >= DAYS_KEPT:
            for _, row in sorted(self.earlier.items()):
                yield None, row

    def _sum_up(self, until_day: int) -> None:
        for day in [day for day in self.days if int(day) <= until_day]:
            for row in self.days.pop(day).values():
                _row_in(self.earlier, row.symbol, row.strategy_id).merge(row)


def by_asset(amounts: Iterable[tuple[str, Decimal]]) -> Amounts:
    """The sums of amounts, apart by asset."""
    sums: Amounts = {}
    for asset, amount in amounts:
        _add(sums, asset, amount)
    return sums


def utc_day(at_ns: int) -> int:
    """The number of the UTC day of a time, counted from 1970."""
    return at_ns // NS_PER_DAY


def total_of(rows: Iterable[PnlRow]) -> PnlRow:
    """The sum of rows, under no name."""
    total = PnlRow(symbol="", strategy_id="")
    for row in rows:
        total.merge(row)
    return total


def _row_in(rows: dict[str, PnlRow], symbol: str, strategy_id: str) -> PnlRow:
    return rows.setdefault(
        f"{symbol}:{strategy_id}", PnlRow(symbol=symbol, strategy_id=strategy_id)
    )


def _add(amounts: Amounts, asset: str, amount: Decimal) -> None:
    if amount:
        amounts[asset] = amounts.get(asset, ZERO) + amount
