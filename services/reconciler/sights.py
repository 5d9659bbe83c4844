"""When a difference seen twice is the same one, and when it is an event under way. Pure.

While an account trades, something is always on its way: two looks may each find a position that
differs and yet nothing be wrong. It is the same drift only if the venue is ahead of us by the same
amount, what trades explain that were made a moment ago left out; where they explain it all, it is
not confirmed, but looked for again.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from libs.common.messages.account import Discrepancy, DiscrepancyKind, TradesView
from libs.common.model.money import ZERO, plain
from libs.common.model.order import Side
from services.reconciler.snapshots import TradeSeen

_POSITIONS = frozenset(
    {
        DiscrepancyKind.PHANTOM_POSITION,
        DiscrepancyKind.UNTRACKED_POSITION,
        DiscrepancyKind.SIZE_MISMATCH,
        DiscrepancyKind.SIDE_MISMATCH,
    }
)
POSITION = "POSITION"

Sight = tuple[str, str, str]


def sight_of(found: Discrepancy, moving: Mapping[str, Decimal]) -> Sight | None:
    """What has to be the same in two looks; ``None`` where trades under way explain it all.

    The name of a position's difference changes with what is held; by how much it differs does not,
    but for what is under way, which is another amount in each look.
    """
    if found.kind in _POSITIONS:
        drift = _gap(found) - moving.get(found.subject, ZERO)
        return (POSITION, found.subject, plain(drift)) if drift else None
    if found.kind is DiscrepancyKind.BALANCE_DRIFT:
        return (found.kind, found.subject, plain(_gap(found)))
    return (found.kind, found.subject, "")


def _gap(found: Discrepancy) -> Decimal:
    """By how much the venue is ahead of us; what is no number counts as nothing."""
    try:
        return Decimal(found.theirs) - Decimal(found.ours)
    except InvalidOperation:
        return ZERO


def under_way(
    ours: Iterable[TradesView], theirs: Mapping[str, tuple[TradeSeen, ...]], since_ns: int
) -> dict[str, Decimal]:
    """Signed base units by symbol of trades since then that we have not been told of."""
    known = {view.symbol: view for view in ours}
    sums: dict[str, Decimal] = {}
    for symbol, trades in theirs.items():
        view = known.get(symbol) or TradesView(symbol=symbol, floor_id=0, trade_ids=())
        for trade in trades:
            is_known = trade.trade_id <= view.floor_id or trade.trade_id in view.trade_ids
            if trade.at_ns > since_ns and not is_known:
                signed = trade.quantity * Side(trade.side).sign
                sums[symbol] = sums.get(symbol, ZERO) + signed
    return sums
