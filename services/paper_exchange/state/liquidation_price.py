"""The mark price at which a position would be liquidated.

At that price what backs the position equals the maintenance margin. Both are linear in the mark
while no position of the symbol leaves its bracket, which gives section 8's formula:

    (wallet + others + sum(cumulative) - sum(cost)) / (sum(|q| * ratio) - sum(q))

over the positions of the symbol that share the wallet: one in one-way mode or under isolated
margin, LONG and SHORT together under cross margin in hedge mode. `others` is unrealized profit less
maintenance margin of the cross positions of other symbols. The brackets must be those at the price
that comes out, so the formula is repeated until they are: what is left above maintenance is a
concave function of the mark, on which these steps (Newton's) end after a few brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from services.paper_exchange.state.accounts import Account, Position, PositionKey
from services.paper_exchange.state.brackets import bracket_at, brackets_of
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.margin import AccountMargin
from services.paper_exchange.state.position_sides import HEDGE_SIDES


def liquidation_price(account: Account, key: PositionKey, whole: AccountMargin) -> Decimal:
    """The mark price at which this position would be liquidated; zero for none."""
    position, part = account.position(*key), whole.positions.get(key)
    if part is None or not position.quantity:
        return ZERO
    if part.is_isolated:
        return _price([position], part.isolated_wallet, part.mark)
    together = [account.position(position.symbol, side) for side in HEDGE_SIDES]
    parts = [whole.positions[item.key] for item in together if item.key in whole.positions]
    others = whole.cross_unrealized - sum((item.unrealized for item in parts), ZERO)
    others -= whole.cross_maintenance - sum((item.maintenance for item in parts), ZERO)
    return _price(together, whole.cross_wallet + others, part.mark)


def _price(positions: Sequence[Position], backing: Decimal, mark: Decimal) -> Decimal:
    """Where the line through the brackets at a price ends, repeated from the mark price on."""
    symbol, price = positions[0].symbol, mark
    for _ in range(2 * len(brackets_of(symbol)) + 2):
        brackets = [bracket_at(symbol, abs(item.quantity) * price) for item in positions]
        numerator, denominator = backing, ZERO
        for item, bracket in zip(positions, brackets, strict=True):
            numerator += bracket.cumulative - item.cost
            denominator += abs(item.quantity) * bracket.maintenance_ratio - item.quantity
        if not denominator:
            return ZERO
        before, price = price, max(ZERO, numerator / denominator)
        if price == before:
            break
    return price
