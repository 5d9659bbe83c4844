"""Our book of profit and loss beside the venue's own lists, to the last digit.

The venue's figures are computed here from nothing but its REST answers: its income, its trades, and
its orders, which tell whose a trade was. None of the code that folds our book is used.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from drills.pnl_market import PRICES, START_NS
from drills.pnl_world import PnlWorld
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.payloads import Income, UserTrade, VenueOrder
from services.execution.state import State

DAY_MS = 86_400_000
PAGE = 1_000
ZERO = Decimal(0)
#: Orders that end a position for whoever holds it: the venue's by force, our stops and closings.
FORCED = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "pa-", "pc-")


class Cell(NamedTuple):
    """One figure's name: a day (counted from 1970), a symbol, a strategy, a kind and an asset."""

    day: int
    symbol: str
    strategy_id: str
    kind: str
    asset: str


Sums = dict[Cell, Decimal]


class Truth(NamedTuple):
    """What the venue says: by strategy, and summed over them as its income list alone tells it."""

    by_strategy: Sums
    by_income: Sums


async def venue_truth(world: PnlWorld) -> Truth:
    """Ask the venue for everything since the start, and add it up."""
    income = await _income(world.hand)
    trades: dict[str, list[UserTrade]] = {}
    owners: dict[tuple[str, int], str] = {}
    for symbol in PRICES:
        trades[symbol] = await _trades(world.hand, symbol)
        for order in await _orders(world.hand, symbol):
            owners[(symbol, order.order_id)] = order.client_order_id
    return Truth(
        by_strategy=dict(_by_strategy(world, trades, owners, income)),
        by_income=_add(
            (Cell(row.time_ms // DAY_MS, row.symbol, "", kind, row.asset), row.income)
            for row in income
            if (kind := _KINDS.get(row.income_type))
        ),
    )


_KINDS = {
    "REALIZED_PNL": "realized",
    "COMMISSION": "commission",
    "FUNDING_FEE": "funding",
    "INSURANCE_CLEAR": "liquidation",
}


async def _income(client: VenueClient) -> list[Income]:
    found: dict[tuple[str, object, str], Income] = {}
    start_ms = START_NS // 1_000_000
    while True:
        page = await client.income(start_ms=start_ms, limit=PAGE)
        for row in page:
            found[(row.income_type, row.transaction_id, row.symbol)] = row
        last_ms = max((row.time_ms for row in page), default=start_ms)
        if len(page) < PAGE or last_ms == start_ms:
            return list(found.values())
        start_ms = last_ms


async def _orders(client: VenueClient, symbol: str) -> list[VenueOrder]:
    found: list[VenueOrder] = []
    from_id = 1
    while True:
        page = await client.all_orders(symbol, from_order_id=from_id, limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found
        from_id = max(order.order_id for order in page) + 1


async def _trades(client: VenueClient, symbol: str) -> list[UserTrade]:
    found: dict[int, UserTrade] = {}
    from_id = 0
    while True:
        page = await client.user_trades(symbol, from_id=from_id, limit=PAGE)
        found.update({trade.trade_id: trade for trade in page})
        if len(page) < PAGE:
            return [found[trade_id] for trade_id in sorted(found)]
        from_id = max(found) + 1


def _by_strategy(
    world: PnlWorld,
    trades: dict[str, list[UserTrade]],
    owners: dict[tuple[str, int], str],
    income: list[Income],
) -> Sums:
    """Walk the trades of each symbol in their order, and remember who opened what is held."""
    found: list[tuple[Cell, Decimal]] = []
    for symbol, listed in trades.items():
        held, holder = ZERO, ""
        openings: list[tuple[int, str]] = []
        for trade in listed:
            name = owners.get((symbol, trade.order_id), "")
            is_for_holder = name.startswith(FORCED) and name not in world.strategies
            whose = holder if is_for_holder else world.strategies.get(name, "")
            signed = trade.quantity if trade.side == "BUY" else -trade.quantity
            if held == 0 or held * (held + signed) < 0:
                holder = whose
                openings.append((trade.time_ms, holder))
            held += signed
            day = trade.time_ms // DAY_MS
            found.append((Cell(day, symbol, whose, "realized", "USDT"), trade.realized_pnl))
            asset = trade.commission_asset
            found.append((Cell(day, symbol, whose, "commission", asset), -trade.commission))
        for row in income:
            kind = _KINDS.get(row.income_type, "")
            if row.symbol == symbol and kind in ("funding", "liquidation"):
                whose = ([""] + [name for at, name in openings if at <= row.time_ms])[-1]
                found.append(
                    (Cell(row.time_ms // DAY_MS, symbol, whose, kind, row.asset), row.income)
                )
    return _add(found)


def our_book(state: State) -> Sums:
    """Our rows in the same terms: what was paid is below zero."""
    return _add(_our_cells(state))


def _our_cells(state: State) -> Iterator[tuple[Cell, Decimal]]:
    for day, row in state.pnl.rows():
        name = (-1 if day is None else day, row.symbol, row.strategy_id)
        yield Cell(*name, "realized", "USDT"), row.realized_pnl
        for kind, amounts, sign in (
            ("commission", row.commission, -1),
            ("funding", row.funding, 1),
            ("liquidation", row.liquidation, 1),
        ):
            for asset, amount in amounts.items():
                yield Cell(*name, kind, asset), amount * sign


def over_strategies(sums: Sums) -> Sums:
    """The same without strategies."""
    return _add((cell._replace(strategy_id=""), amount) for cell, amount in sums.items())


def differences(ours: Sums, truth: Truth) -> list[str]:
    """Every figure that is not the venue's; empty where all are."""
    pairs = (
        ("by strategy", ours, truth.by_strategy),
        ("by income", over_strategies(ours), truth.by_income),
        ("trades beside income", over_strategies(truth.by_strategy), truth.by_income),
    )
    return [
        f"{name}: {tuple(cell)}: ours {mine.get(cell, ZERO)}, the venue's {theirs.get(cell, ZERO)}"
        for name, mine, theirs in pairs
        for cell in sorted({*mine, *theirs})
        if mine.get(cell, ZERO) != theirs.get(cell, ZERO)
    ]


def _add(found: Iterable[tuple[Cell, Decimal]]) -> Sums:
    sums: defaultdict[Cell, Decimal] = defaultdict(Decimal)
    for cell, amount in found:
        sums[cell] += amount
    return {cell: amount for cell, amount in sums.items() if amount}
