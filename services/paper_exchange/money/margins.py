"""The margins that can be used up: an account's cross margin, and that of each isolated position.

Open orders play no part: what stands between a margin and liquidation is maintenance of positions.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from services.paper_exchange.state.accounts import Account, Position, PositionKey
from services.paper_exchange.state.brackets import maintenance_margin
from services.paper_exchange.state.ledger import ZERO, wallet
from services.paper_exchange.state.venue_state import VenueState

CROSS: Final[PositionKey] = ("", "")
"""The key of the cross margin, where an isolated one has symbol and position side."""


class Stake(NamedTuple):
    """One open position of a margin at its mark price; amounts in the margin asset.

    `quantity` is what the position held then, whatever becomes of it.
    """

    position: Position
    quantity: Decimal
    mark: Decimal
    unrealized: Decimal
    maintenance: Decimal

    @property
    def notional(self) -> Decimal:
        """Value at the mark price; never negative."""
        return abs(self.quantity) * self.mark

    @property
    def sign(self) -> int:
        """+1 for a long position, -1 for a short one."""
        return 1 if self.quantity > 0 else -1


class Margin(NamedTuple):
    """What backs a set of positions: one wallet and what the positions have gained or lost."""

    key: PositionKey
    wallet: Decimal
    stakes: list[Stake]

    @property
    def is_isolated(self) -> bool:
        """Whether it backs one position only."""
        return self.key != CROSS

    @property
    def balance(self) -> Decimal:
        """Wallet plus unrealized profit."""
        return self.wallet + sum((stake.unrealized for stake in self.stakes), ZERO)

    @property
    def maintenance(self) -> Decimal:
        """What the positions need so that they are not liquidated."""
        return sum((stake.maintenance for stake in self.stakes), ZERO)

    @property
    def is_used_up(self) -> bool:
        """Whether the positions are to be liquidated."""
        return self.maintenance >= self.balance

    def is_low(self, ratio: Decimal) -> bool:
        """Whether maintenance has come to this share of the balance."""
        return self.maintenance >= self.balance * ratio

    def share_of(self, stake: Stake) -> Decimal:
        """The part of the balance that stands behind one position, by its maintenance."""
        return self.balance * stake.maintenance / self.maintenance


def margins_of(state: VenueState, account: Account) -> list[Margin]:
    """The margins of an account that back a position; those without a mark price are left out."""
    margins: list[Margin] = []
    cross: list[Stake] = []
    for position in account.positions.values():
        if not position.quantity:
            continue
        mark = state.mark_of(position.symbol)
        if mark is None:
            return []
        needed = maintenance_margin(position.symbol, abs(position.quantity) * mark)
        stake = Stake(position, position.quantity, mark, position.unrealized(mark), needed)
        if account.is_isolated(position.symbol):
            purse = state.isolated_wallet_of(account, *position.key)
            margins.append(Margin(position.key, purse, [stake]))
        else:
            cross.append(stake)
    if cross:
        purse = state.ledger.balance(wallet(account.account_id))
        margins.append(Margin(CROSS, purse, cross))
    return margins


def margin_behind(state: VenueState, account: Account, position: Position) -> Margin | None:
    """The margin that backs an open position; None without a mark price."""
    for margin in margins_of(state, account):
        if any(stake.position is position for stake in margin.stakes):
            return margin
    return None
