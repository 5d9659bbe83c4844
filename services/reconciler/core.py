"""The comparison: two snapshots in, differences out. Pure.

An order that was recorded but not answered may or may not be at the venue yet: it is in flight and
is not compared. Whether the two snapshots belong together in time is the shell's business; that a
difference is seen twice before it counts is said here.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from libs.common.messages.account import AccountState, Discrepancy, DiscrepancyKind, OrderView
from libs.common.model.money import ZERO, plain
from libs.common.model.order import OrderStatus

ABSENT = "none"
IN_FLIGHT = frozenset({OrderStatus.RECORDED, OrderStatus.UNKNOWN})
POSITION_KINDS = frozenset(
    {
        DiscrepancyKind.PHANTOM_POSITION,
        DiscrepancyKind.UNTRACKED_POSITION,
        DiscrepancyKind.SIZE_MISMATCH,
        DiscrepancyKind.SIDE_MISMATCH,
    }
)

Key = tuple[DiscrepancyKind, str]


class VenueOrderSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is open at the venue."""

    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal


class VenueSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of the account.

    Attributes:
        positions: signed base units by symbol.
        wallet_balance: quote currency; ``None`` if the venue does not list the asset.
    """

    positions: dict[str, Decimal]
    orders: tuple[VenueOrderSeen, ...]
    wallet_balance: Decimal | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found, and how much it looked at."""

    discrepancies: tuple[Discrepancy, ...]
    positions_compared: int
    orders_compared: int
    balances_compared: int

    @property
    def keys(self) -> frozenset[Key]:
        """What differs, without the figures."""
        return frozenset((found.kind, found.subject) for found in self.discrepancies)


def compare(
    ours: AccountState,
    theirs: VenueSnapshot,
    *,
    asset: str,
    balance_tolerance: Decimal,
    seen_before: frozenset[Key] = frozenset(),
) -> Comparison:
    """Compare local truth with the venue's.

    Args:
        asset: the quote currency whose wallet balance is compared.
        seen_before: what the look before this one found; found again, it is confirmed.
    """
    positions, positions_compared = _compare_positions(ours, theirs.positions)
    orders, orders_compared = _compare_orders(ours.orders, theirs.orders)
    balances, balances_compared = _compare_balance(ours, theirs, asset, balance_tolerance)
    return Comparison(
        discrepancies=tuple(
            Discrepancy(
                kind=kind,
                subject=subject,
                ours=mine,
                theirs=yours,
                is_confirmed=(kind, subject) in seen_before,
            )
            for kind, subject, mine, yours in (*positions, *orders, *balances)
        ),
        positions_compared=positions_compared,
        orders_compared=orders_compared,
        balances_compared=balances_compared,
    )


_Found = tuple[DiscrepancyKind, str, str, str]


def _compare_positions(
    ours: AccountState, theirs: Mapping[str, Decimal]
) -> tuple[list[_Found], int]:
    mine = {view.symbol: view.quantity for view in ours.positions}
    symbols = sorted(mine.keys() | theirs.keys())
    found = []
    for symbol in symbols:
        kind = position_difference(mine.get(symbol, ZERO), theirs.get(symbol, ZERO))
        if kind is not None:
            pair = (plain(mine.get(symbol, ZERO)), plain(theirs.get(symbol, ZERO)))
            found.append((kind, symbol, *pair))
    return found, len(symbols)


def position_difference(ours: Decimal, theirs: Decimal) -> DiscrepancyKind | None:
    """How two signed quantities of one symbol differ; ``None`` if they do not."""
    if ours == theirs:
        return None
    if theirs == ZERO:
        return DiscrepancyKind.PHANTOM_POSITION
    if ours == ZERO:
        return DiscrepancyKind.UNTRACKED_POSITION
    if (ours > ZERO) != (theirs > ZERO):
        return DiscrepancyKind.SIDE_MISMATCH
    return DiscrepancyKind.SIZE_MISMATCH


def _compare_orders(
    ours: Iterable[OrderView], theirs: Iterable[VenueOrderSeen]
) -> tuple[list[_Found], int]:
    mine = {view.client_order_id: view for view in ours}
    yours = {order.client_order_id: order for order in theirs}
    found: list[_Found] = []
    for client_order_id, view in sorted(mine.items()):
        if view.status not in IN_FLIGHT and client_order_id not in yours:
            text = f"{view.symbol} {view.side} {plain(view.quantity)} {view.status}"
            found.append((DiscrepancyKind.LOST_ORDER, client_order_id, text, ABSENT))
    for client_order_id, order in sorted(yours.items()):
        if client_order_id not in mine:
            text = f"{order.symbol} {order.side} {plain(order.quantity)}"
            found.append((DiscrepancyKind.ORPHAN_ORDER, client_order_id, ABSENT, text))
    return found, len(mine.keys() | yours.keys())


def _compare_balance(
    ours: AccountState, theirs: VenueSnapshot, asset: str, tolerance: Decimal
) -> tuple[list[_Found], int]:
    if ours.balance_at_ns == 0:
        return [], 0  # execution has no figure yet, so there is nothing to be wrong
    if theirs.wallet_balance is None:
        found = (DiscrepancyKind.BALANCE_DRIFT, asset, plain(ours.wallet_balance), ABSENT)
        return ([found] if ours.wallet_balance != ZERO else []), 1
    if abs(ours.wallet_balance - theirs.wallet_balance) <= tolerance:
        return [], 1
    pair = (plain(ours.wallet_balance), plain(theirs.wallet_balance))
    return [(DiscrepancyKind.BALANCE_DRIFT, asset, *pair)], 1


def confirmed_positions(discrepancies: Iterable[Discrepancy]) -> frozenset[str]:
    """Symbols whose position differs and was seen to differ before."""
    return frozenset(
        found.subject
        for found in discrepancies
        if found.is_confirmed and found.kind in POSITION_KINDS
    )


def symbols_to_halt_for(
    previous: frozenset[str], discrepancies: Iterable[Discrepancy]
) -> tuple[str, ...]:
    """Symbols whose position was confirmed to differ in this comparison and in the one before."""
    return tuple(sorted(previous & confirmed_positions(discrepancies)))
