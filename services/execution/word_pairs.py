"""Whether the user stream told both halves of a fill: the order's word and the account's.

Each fill is told twice, as ORDER_TRADE_UPDATE and as ACCOUNT_UPDATE, in either order. A half that
does not come soon was lost on a connection that looks alive. Pure: times and positions go in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Final

from libs.common.venue.user_payloads import AccountUpdate

ZERO: Final = Decimal(0)
NS_PER_MS: Final = 1_000_000
REASON_ORDER: Final = "ORDER"
SIDE_OF_ONE_WAY_MODE: Final = "BOTH"


class Missing(StrEnum):
    """The half that did not come."""

    FILL = "fill"
    ACCOUNT = "account"


class WordPairs:
    """The halves heard whose other half may still come; times are market time.

    ``position`` tells the quantity our own fills add up to.
    """

    def __init__(self, wait_ms: int, position: Callable[[str], Decimal]) -> None:
        self._wait_ns = wait_ms * NS_PER_MS
        self._position = position
        self._told: dict[str, tuple[int, Decimal]] = {}
        self._fills: dict[str, tuple[int, int]] = {}

    def hear_account(self, event: AccountUpdate, now_ns: int) -> None:
        """A position was told: fills that add up to it must be known soon."""
        if event.change.reason != REASON_ORDER:
            return
        for told in event.change.positions:
            if told.position_side == SIDE_OF_ONE_WAY_MODE:
                self._told[told.symbol] = now_ns, told.quantity
            heard = self._fills.get(told.symbol)
            if heard is not None and heard[1] <= event.transaction_ms:
                del self._fills[told.symbol]

    def hear_fill(self, symbol: str, transaction_ms: int, now_ns: int) -> None:
        """A fill was told: the account's word of it must come soon, unless it came before."""
        told = self._told.get(symbol)
        if told is None or told[1] != self._position(symbol):
            self._fills[symbol] = now_ns, transaction_ms

    def overdue(self, now_ns: int) -> list[tuple[str, Missing]]:
        """Symbols of which a half did not come in time; each is named once."""
        found: list[tuple[str, Missing]] = []
        for symbol, (heard_ns, quantity) in list(self._told.items()):
            if quantity == self._position(symbol):
                continue  # kept: the fill's word may be the one that comes first next time
            if not heard_ns <= now_ns < heard_ns + self._wait_ns:
                del self._told[symbol]
                found.append((symbol, Missing.FILL))
        for symbol, (heard_ns, _) in list(self._fills.items()):
            if not heard_ns <= now_ns < heard_ns + self._wait_ns:
                del self._fills[symbol]
                found.append((symbol, Missing.ACCOUNT))
        return found

    def forget(self) -> None:
        """The connection is new: what was told on the old one was read by REST."""
        self._told.clear()
        self._fills.clear()
