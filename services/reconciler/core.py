"""The comparison: two snapshots in, differences out. Pure.

An order that was recorded but not answered may or may not be at the venue yet: it is in flight and
is not compared. Whether the two snapshots belong together in time is the shell's business; that a
difference is seen twice before it counts is said here. What no second look could show otherwise (a
setting, a trade of some age) counts at once.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from libs.common.messages.account import (
    AccountState,
    AlgoOrderView,
    Discrepancy,
    DiscrepancyKind,
    OrderView,
    SettingsView,
    TradesView,
)
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.money import ZERO, plain
from libs.common.model.order import OrderStatus
from services.reconciler.income import compare_income
from services.reconciler.ledger import IncomeRow, RowKey
from services.reconciler.sights import Sight, sight_of, under_way
from services.reconciler.snapshots import (
    SettingsSeen,
    TradeSeen,
    VenueAlgoOrderSeen,
    VenueOrderSeen,
    VenueSnapshot,
)

ABSENT = "none"
IN_FLIGHT = frozenset({OrderStatus.RECORDED, OrderStatus.UNKNOWN})
ALGO_IN_FLIGHT = frozenset({AlgoStatus.RECORDED, AlgoStatus.UNKNOWN})
#: What does not lag and cannot be in flight: a setting, and a trade that was made a while ago.
HARD_FACTS = frozenset({DiscrepancyKind.SETTING_DRIFT, DiscrepancyKind.MISSED_FILL})
POSITION_MODE = "position mode"
ONE_WAY, HEDGE = "one-way", "hedge"

Key = tuple[DiscrepancyKind, str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found, and how much it looked at.

    Attributes:
        keys: what differs, as it has to be found again to be confirmed.
    """

    discrepancies: tuple[Discrepancy, ...]
    positions_compared: int
    orders_compared: int
    balances_compared: int
    algo_orders_compared: int = 0
    trades_compared: int = 0
    settings_compared: int = 0
    income_compared: int = 0
    keys: frozenset[Sight] = frozenset()


def compare(
    ours: AccountState,
    theirs: VenueSnapshot,
    *,
    asset: str,
    balance_tolerance: Decimal,
    seen_before: frozenset[Sight] = frozenset(),
    fill_lag_ns: int = 0,
    event_lag_ns: int = 0,
    naked_grace_ns: int = 0,
    every_position_needs_stop: bool = False,
    ledger: Mapping[RowKey, IncomeRow] | None = None,
    income_lag_ns: int = 0,
) -> Comparison:
    """Compare local truth with the venue's.

    Args:
        asset: the quote currency whose wallet balance is compared.
        seen_before: what earlier looks of this comparison found; found again, it is confirmed.
        fill_lag_ns: after how long a trade that we were not told of was missed (market time).
        event_lag_ns: so long an untold trade explains that a position differs (market time).
        naked_grace_ns: how long execution may take to place a stop that is owed (market time).
        every_position_needs_stop: also those that no intent of ours asked a stop for.
        ledger: what the journal tells of money; where it was not read, income is not compared.
        income_lag_ns: how long a row may be under way, to us or to the list (market time).
    """
    positions, positions_compared = _compare_positions(ours, theirs.positions)
    orders, orders_compared = _compare_orders(ours.orders, theirs.orders)
    balances, balances_compared = _compare_balance(ours, theirs, asset, balance_tolerance)
    algos, algos_compared = _compare_algo_orders(ours.algo_orders, theirs)
    trades, trades_compared = _compare_trades(
        ours.trades, theirs.trades, ours.ts_event_ns - fill_lag_ns
    )
    settings, settings_compared = _compare_settings(ours.settings, theirs.settings)
    naked = _find_naked(
        ours,
        theirs,
        unprotected_until_ns=ours.ts_event_ns - naked_grace_ns,
        is_every=every_position_needs_stop,
    )
    income, income_compared = compare_income(
        ledger or {},
        None if ledger is None else theirs.income,
        until_ns=ours.ts_event_ns - income_lag_ns,
        symbols_missed=frozenset(one.symbol for one in trades),
    )
    moving = under_way(ours.trades, theirs.trades, ours.ts_event_ns - event_lag_ns)
    found = (*positions, *orders, *algos, *trades, *naked, *balances, *settings, *income)
    sights = [sight_of(one, moving) for one in found]
    return Comparison(
        discrepancies=tuple(
            msgspec.structs.replace(
                one, is_confirmed=one.kind in HARD_FACTS or sight in seen_before
            )
            for one, sight in zip(found, sights, strict=True)
        ),
        keys=frozenset(sight for sight in sights if sight is not None),
        positions_compared=positions_compared,
        orders_compared=orders_compared,
        balances_compared=balances_compared,
        algo_orders_compared=algos_compared,
        trades_compared=trades_compared,
        settings_compared=settings_compared,
        income_compared=income_compared,
    )


def _difference(
    kind: DiscrepancyKind, subject: str, ours: str, theirs: str, symbol: str = ""
) -> Discrepancy:
    """A difference as one look shows it."""
    return Discrepancy(
        kind=kind, subject=subject, ours=ours, theirs=theirs, is_confirmed=False, symbol=symbol
    )


def _compare_positions(
    ours: AccountState, theirs: Mapping[str, Decimal]
) -> tuple[list[Discrepancy], int]:
    mine = {view.symbol: view.quantity for view in ours.positions}
    symbols = sorted(mine.keys() | theirs.keys())
    found = []
    for symbol in symbols:
        kind = position_difference(mine.get(symbol, ZERO), theirs.get(symbol, ZERO))
        if kind is not None:
            pair = (plain(mine.get(symbol, ZERO)), plain(theirs.get(symbol, ZERO)))
            found.append(_difference(kind, symbol, *pair, symbol))
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
) -> tuple[list[Discrepancy], int]:
    mine = {view.client_order_id: view for view in ours}
    yours = {order.client_order_id: order for order in theirs}
    found: list[Discrepancy] = []
    for client_order_id, view in sorted(mine.items()):
        if view.status not in IN_FLIGHT and client_order_id not in yours:
            text = f"{view.symbol} {view.side} {plain(view.quantity)} {view.status}"
            found.append(
                _difference(DiscrepancyKind.LOST_ORDER, client_order_id, text, ABSENT, view.symbol)
            )
    for client_order_id, order in sorted(yours.items()):
        known = mine.get(client_order_id)
        if known is None:
            text = f"{order.symbol} {order.side} {plain(order.quantity)}"
            found.append(
                _difference(
                    DiscrepancyKind.ORPHAN_ORDER, client_order_id, ABSENT, text, order.symbol
                )
            )
        elif known.status not in IN_FLIGHT and _is_changed(known, order):
            terms = (_terms(known.quantity, known.price), _terms(order.quantity, order.price))
            found.append(
                _difference(DiscrepancyKind.ORDER_CHANGED, client_order_id, *terms, order.symbol)
            )
    return found, len(mine.keys() | yours.keys())


def _is_changed(ours: OrderView, theirs: VenueOrderSeen) -> bool:
    """Whether price or quantity are others at the venue; an order at the market has no price."""
    is_priced = ours.price is not None
    return ours.quantity != theirs.quantity or (is_priced and ours.price != theirs.price)


def _terms(quantity: Decimal, price: Decimal | None) -> str:
    return f"{plain(quantity)} at {'market' if price is None else plain(price)}"


def _compare_algo_orders(
    ours: Iterable[AlgoOrderView], theirs: VenueSnapshot
) -> tuple[list[Discrepancy], int]:
    """Conditional orders; one that is about to end, or has triggered, may be gone already."""
    if theirs.algo_orders is None:
        return [], 0
    mine = {view.client_algo_id: view for view in ours}
    yours = {order.client_algo_id: order for order in theirs.algo_orders}
    staying = frozenset(name for name, view in mine.items() if not view.is_ending)
    found: list[Discrepancy] = []
    for client_algo_id, view in sorted(mine.items()):
        waits = view.status is AlgoStatus.WORKING and not view.is_ending
        if waits and client_algo_id not in yours:
            text = f"{view.symbol} {view.kind} {view.side} {plain(view.quantity)}"
            found.append(
                _difference(
                    DiscrepancyKind.LOST_ALGO_ORDER, client_algo_id, text, ABSENT, view.symbol
                )
            )
    for client_algo_id, order in sorted(yours.items()):
        if client_algo_id not in mine:
            text = f"{order.symbol} {order.side} {plain(order.quantity)}"
            kind = DiscrepancyKind.ORPHAN_ALGO_ORDER
            orphan = _difference(kind, client_algo_id, ABSENT, text, order.symbol)
            needed = _is_needed(order, theirs, staying)
            found.append(msgspec.structs.replace(orphan, is_needed=needed))
    return found, len(mine.keys() | yours.keys())


def _is_needed(order: VenueAlgoOrderSeen, theirs: VenueSnapshot, staying: frozenset[str]) -> bool:
    """Whether a stop guards some of a position that the stops we count on do not."""
    held = theirs.positions.get(order.symbol, ZERO)
    guarded = sum(
        (
            other.covers(order.symbol, held)
            for other in theirs.algo_orders or ()
            if other.client_algo_id in staying
        ),
        ZERO,
    )
    return held != ZERO and order.covers(order.symbol, held) > ZERO and guarded < abs(held)


def _compare_trades(
    ours: Iterable[TradesView], theirs: Mapping[str, tuple[TradeSeen, ...]], until_ns: int
) -> tuple[list[Discrepancy], int]:
    """Trades at the venue that the journal does not hold although their events are overdue."""
    known = {view.symbol: view for view in ours}
    found: list[Discrepancy] = []
    for symbol, trades in sorted(theirs.items()):
        view = known.get(symbol) or TradesView(symbol=symbol, floor_id=0, trade_ids=())
        missed = [
            trade
            for trade in trades
            if trade.trade_id > view.floor_id
            and trade.trade_id not in view.trade_ids
            and trade.at_ns <= until_ns
        ]
        if missed:
            told = ", ".join(
                f"{trade.trade_id} {trade.side} {plain(trade.quantity)}" for trade in missed
            )
            found.append(_difference(DiscrepancyKind.MISSED_FILL, symbol, ABSENT, told, symbol))
    return found, sum(map(len, theirs.values()))


def _compare_settings(
    ours: Iterable[SettingsView], theirs: SettingsSeen | None
) -> tuple[list[Discrepancy], int]:
    """What execution asserted against what is set; one-way mode is assumed by every order."""
    if theirs is None:
        return [], 0
    kind = DiscrepancyKind.SETTING_DRIFT
    found: list[Discrepancy] = (
        [_difference(kind, POSITION_MODE, ONE_WAY, HEDGE)] if theirs.is_hedge_mode else []
    )
    compared = 1
    for view in ours:
        seen = theirs.symbols.get(view.symbol)
        if seen is None:
            continue
        compared += 2
        leverage, margin_type = seen
        if leverage != view.leverage:
            found.append(
                _difference(
                    kind,
                    f"{view.symbol} leverage",
                    str(view.leverage),
                    str(leverage),
                    view.symbol,
                )
            )
        if margin_type != view.margin_type:
            found.append(
                _difference(
                    kind, f"{view.symbol} margin type", view.margin_type, margin_type, view.symbol
                )
            )
    return found, compared


def _find_naked(
    ours: AccountState, theirs: VenueSnapshot, *, unprotected_until_ns: int, is_every: bool
) -> list[Discrepancy]:
    """Positions at the venue that are owed more stop than waits there."""
    if theirs.algo_orders is None:
        return []
    found: list[Discrepancy] = []
    for symbol, held in sorted(theirs.positions.items()):
        if _is_being_protected(ours, symbol, unprotected_until_ns):
            continue
        owed = abs(held) if is_every else min(abs(held), _owed(ours, symbol, held))
        covered = sum((order.covers(symbol, held) for order in theirs.algo_orders), ZERO)
        if covered < owed:
            text = f"{plain(held)}, stops over {plain(covered)}"
            wanted = f"stops owed over {plain(owed)}"
            found.append(_difference(DiscrepancyKind.NAKED_POSITION, symbol, wanted, text, symbol))
    return found


def _owed(ours: AccountState, symbol: str, held: Decimal) -> Decimal:
    return sum(
        (
            one.quantity
            for one in ours.exposures
            if one.symbol == symbol and one.side.sign * held > 0
        ),
        ZERO,
    )


def _is_being_protected(ours: AccountState, symbol: str, until_ns: int) -> bool:
    """Whether a stop is on its way to the venue or has just triggered, or a way out has begun."""
    return (
        any(one.symbol == symbol and one.unprotected_since_ns > until_ns for one in ours.exposures)
        or any(
            algo.symbol == symbol and (algo.status in ALGO_IN_FLIGHT or algo.status.has_triggered)
            for algo in ours.algo_orders
        )
        or any(
            order.symbol == symbol and order.reduce_only and order.status in IN_FLIGHT
            for order in ours.orders
        )
    )


def _compare_balance(
    ours: AccountState, theirs: VenueSnapshot, asset: str, tolerance: Decimal
) -> tuple[list[Discrepancy], int]:
    if ours.balance_at_ns == 0:
        return [], 0  # execution has no figure yet, so there is nothing to be wrong
    if theirs.wallet_balance is None:
        drift = _difference(
            DiscrepancyKind.BALANCE_DRIFT, asset, plain(ours.wallet_balance), ABSENT
        )
        return ([drift] if ours.wallet_balance != ZERO else []), 1
    if abs(ours.wallet_balance - theirs.wallet_balance) <= tolerance:
        return [], 1
    pair = (plain(ours.wallet_balance), plain(theirs.wallet_balance))
    return [_difference(DiscrepancyKind.BALANCE_DRIFT, asset, *pair)], 1


def confirmed(discrepancies: Iterable[Discrepancy]) -> frozenset[Key]:
    """What differs and was seen to differ before."""
    return frozenset((one.kind, one.subject) for one in discrepancies if one.is_confirmed)
