"""Isolated margin: what a fill moves between the cross wallet and a position's own.

- What opens brings its initial margin along: notional at the fill price over the leverage, or
  what the cross wallet has where that is less. It never goes below zero for it: what was
  affordable when it was ordered may not be any more when it fills.
- Profit and commission are settled in the isolated wallet.
- What closes takes its share of the wallet, and its profit less commission, back to the cross
  wallet, so that what stays open is backed as it was before. A loss beyond that share eats into
  what stays; nothing of it reaches the cross wallet.
- A wallet that a closed position leaves below zero is made up by the insurance fund.

The share is rounded half-even to 8 decimals, and is all of the wallet when the position closes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.state.ledger import (
    INSURANCE,
    ZERO,
    PositionChange,
    Posting,
    isolated,
    move_postings,
    round_money,
    wallet,
)


class IsolatedMove(NamedTuple):
    """Where money goes around the settling of one fill; no amount is negative.

    Attributes:
        brought: from the cross wallet to the isolated one.
        released: from the isolated wallet back to the cross one.
        insured: from the insurance fund to the isolated wallet.
    """

    brought: Decimal
    released: Decimal
    insured: Decimal


def isolated_move(
    held: Decimal,
    backing: Decimal,
    change: PositionChange,
    price: Decimal,
    leverage: int,
    commission: Decimal,
    spare: Decimal,
) -> IsolatedMove:
    """What one fill moves; `held` and `backing` are quantity and isolated wallet before it.

    `spare` is the cross wallet before it.
    """
    is_turned = held * change.quantity < 0
    stays = ZERO if is_turned else min(abs(held), abs(change.quantity))
    opened, closed = abs(change.quantity) - stays, abs(held) - stays
    needed = round_money(opened * price / leverage)
    if not closed:
        return IsolatedMove(min(needed, max(ZERO, spare)), ZERO, ZERO)
    share = backing if not stays else round_money(backing * closed / abs(held))
    # The commission of an order that turns the position around is left to what it opens.
    left = share + change.realized - (ZERO if opened else commission)
    insured = max(ZERO, -left) if not stays else ZERO
    released = max(ZERO, left)
    return IsolatedMove(min(needed, max(ZERO, spare + released)), released, insured)


def isolated_postings(
    account_id: str, symbol: str, position_side: str, move: IsolatedMove
) -> list[Posting]:
    """The postings of such a move."""
    cross, own = wallet(account_id), isolated(account_id, symbol, position_side)
    return [
        *move_postings(cross, own, move.brought),
        *move_postings(own, cross, move.released),
        *move_postings(INSURANCE, own, move.insured),
    ]
