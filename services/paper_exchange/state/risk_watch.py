"""Whose risk is to be looked at, and what was said about it: kept so that looking is cheap.

A mark price changes every second for every symbol, and most accounts hold nothing in most of them.
Therefore holders are indexed by symbol, and accounts whose money changed are collected until
somebody looks at them. Order matters to whoever replays: everything here keeps insertion order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.state.accounts import Account, Position

WarnedMargin = tuple[str, str]
"""Symbol and position side of an isolated margin; two empty texts are the cross margin."""


class Ranked(NamedTuple):
    """One position in the queue of those to deleverage; the highest score is first."""

    score: Decimal
    account: Account
    position: Position


class RiskWatch:
    """Holders by symbol, accounts to look at, and warnings that still stand.

    Attributes:
        ranks: queues of those to deleverage, by symbol and sign, for as long as `settle_risk` runs:
            a cascade would else rank everybody again for each of its liquidations.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.holders: dict[str, dict[str, None]] = {symbol: {} for symbol in symbols}
        self.unsettled: dict[str, None] = {}
        self.ranks: dict[tuple[str, int], deque[Ranked]] = {}
        self.warned: dict[str, dict[WarnedMargin, None]] = {}
        self.announced_late: dict[str, Mapping[str, object]] = {}

    def note_fill(self, account: Account, symbol: str) -> None:
        """Remember that a fill changed the position of an account, and its money."""
        account_id, positions = account.account_id, account.positions
        for side in ("BOTH", "LONG", "SHORT"):
            position = positions.get((symbol, side))
            if position is not None and position.quantity:
                self.holders[symbol][account_id] = None
                break
        else:
            self.holders[symbol].pop(account_id, None)
        self.unsettled[account_id] = None

    def take_unsettled(self) -> list[str]:
        """Take the accounts whose money or positions changed since the last call."""
        taken = list(self.unsettled)
        self.unsettled.clear()
        return taken
