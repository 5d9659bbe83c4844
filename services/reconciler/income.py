"""Compares the journal's rows of money with the venue's list, to the last digit. Pure.

The two are told by different ways and at different speed: only rows of some age are compared.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from libs.common.messages.account import Discrepancy, DiscrepancyKind
from libs.common.model.money import ZERO, plain
from libs.common.model.pnl import TOLD_BY_FILLS
from services.reconciler.ledger import IncomeRow, RowKey
from services.reconciler.snapshots import IncomeSeen

#: The venue books income at a time of its own, in whole seconds for some: by so much it may lie off
#: the time that the trade tells.
TIMES_APART_NS = 1_000_000_000
#: Rows that one difference names.
NAMED_MAX = 5


def compare_income(
    ours: Mapping[RowKey, IncomeRow],
    theirs: IncomeSeen | None,
    *,
    until_ns: int,
    symbols_missed: frozenset[str] = frozenset(),
) -> tuple[list[Discrepancy], int]:
    """What differs, one difference for each kind, type, symbol and asset; and the rows compared.

    Args:
        until_ns: newer rows may be under way, on either side (market time).
        symbols_missed: symbols whose fills are known to be missing; their rows say nothing new.
    """
    if theirs is None:
        return [], 0
    listed = {row.key: row for row in theirs.rows}
    due = _due(
        ours,
        theirs.rows,
        theirs.since_ns + TIMES_APART_NS,
        min(until_ns, theirs.until_ns - TIMES_APART_NS),
    )
    found: dict[tuple[DiscrepancyKind, str, str, str], list[RowKey]] = {}
    for key in sorted(due):
        kind = _kind(ours.get(key), listed.get(key))
        is_said = key[0] in TOLD_BY_FILLS and key[1] in symbols_missed
        if kind is not None and not is_said:
            found.setdefault((kind, *key[:3]), []).append(key)
    return [
        Discrepancy(
            kind=kind,
            subject=" ".join(part for part in (income_type, symbol, asset) if part),
            ours=_told(keys, ours),
            theirs=_told(keys, listed),
            is_confirmed=False,
            symbol=symbol,
        )
        for (kind, income_type, symbol, asset), keys in found.items()
    ], len(due)


def _due(
    ours: Mapping[RowKey, IncomeRow], rows: Iterable[IncomeRow], since_ns: int, until_ns: int
) -> set[RowKey]:
    """Rows between two times, by the word of either side and against the word of none."""
    inside: set[RowKey] = set()
    outside: set[RowKey] = set()
    for told in (ours.values(), rows):
        for row in told:
            (inside if since_ns <= row.at_ns <= until_ns else outside).add(row.key)
    return inside - outside


def _kind(ours: IncomeRow | None, theirs: IncomeRow | None) -> DiscrepancyKind | None:
    if ours is None:
        return DiscrepancyKind.MISSED_INCOME
    if theirs is None or theirs.amount != ours.amount:
        return DiscrepancyKind.INCOME_DRIFT
    return None


def _told(keys: list[RowKey], rows: Mapping[RowKey, IncomeRow]) -> str:
    """The sum, and the first of the rows by name."""
    known = [rows[key] for key in keys if key in rows]
    if not known:
        return "none"
    total: Decimal = sum((row.amount for row in known), ZERO)
    named = ", ".join(f"{row.name} {plain(row.amount)}" for row in known[:NAMED_MAX])
    more = ", ..." if len(known) > NAMED_MAX else ""
    return f"{plain(total)} ({named}{more})"
