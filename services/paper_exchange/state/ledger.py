"""The double-entry ledger: money moves between accounts and is never made.

Every event posts to two or more accounts, and the sum of all balances is exactly zero after every
event. Therefore a wrong fee, a forgotten funding payment or a rounding slip cannot hide: the sum of
`wallet:*` and `isolated:*` is what customers own, and every other account says where it came from.

| account | holds |
|---|---|
| `deposits` | minus everything customers brought |
| `wallet:<account>` | the cross wallet balance of a customer |
| `isolated:<account>:<symbol>:<side>` | the wallet of an open position under isolated margin |
| `position:<account>:<symbol>:<side>` | the signed cost of the open position |
| `clearing` | minus all open cost: what the rest of the market holds against it |
| `market` | minus all realized profit: what the rest of the market lost |
| `fees`, `funding`, `insurance` | what the venue collected |
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from services.paper_exchange.wire.decimal_text import MONEY_STEP

ZERO = Decimal(0)

DEPOSITS = "deposits"
CLEARING = "clearing"
MARKET = "market"
FEES = "fees"
FUNDING = "funding"
INSURANCE = "insurance"


class Posting(NamedTuple):
    """One side of an event: `amount` in the margin asset is added to `account`."""

    account: str
    amount: Decimal


class Ledger:
    """Balances by account; `post` is the only way to change one."""

    def __init__(self) -> None:
        venue_accounts = (DEPOSITS, CLEARING, MARKET, FEES, FUNDING, INSURANCE)
        self.balances: dict[str, Decimal] = dict.fromkeys(venue_accounts, ZERO)
        self.events_posted = 0

    def post(self, postings: Iterable[Posting]) -> None:
        """Add the postings of one event.

        Raises AssertionError, changing nothing, where they do not sum to zero: that is a fault of
        the exchange and never of a request.
        """
        entries = list(postings)
        total = sum((entry.amount for entry in entries), ZERO)
        assert total == 0, f"postings sum to {total}: {entries}"
        for account, amount in entries:
            self.balances[account] = self.balances.get(account, ZERO) + amount
        self.events_posted += 1

    def balance(self, account: str) -> Decimal:
        """The balance of one account; zero for one that nothing was posted to."""
        return self.balances.get(account, ZERO)

    def total(self) -> Decimal:
        """The sum of all balances: zero, or the ledger is broken."""
        return sum(self.balances.values(), ZERO)


def wallet(account_id: str) -> str:
    """Name of the account that holds a customer's cross wallet."""
    return f"wallet:{account_id}"


def isolated(account_id: str, symbol: str, position_side: str) -> str:
    """Name of the account that holds the wallet of an isolated position."""
    return f"isolated:{account_id}:{symbol}:{position_side}"


def position(account_id: str, symbol: str, position_side: str) -> str:
    """Name of the account that holds the cost of a customer's position."""
    return f"position:{account_id}:{symbol}:{position_side}"


def round_money(amount: Decimal) -> Decimal:
    """Round to 8 decimals, half to even."""
    return amount.quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN)


class PositionChange(NamedTuple):
    """What one fill does to a position."""

    quantity: Decimal
    cost: Decimal
    realized: Decimal


def apply_fill(
    quantity: Decimal, cost: Decimal, signed_fill: Decimal, price: Decimal
) -> PositionChange:
    """The money rule: a position is a signed quantity and its signed cost.

    Adding adds `signed_fill * price` to the cost. Reducing releases the proportional part of the
    cost, rounded half-even to 8 decimals (all of it when the position closes), and realizes the
    proceeds less what was released. A flip closes and then opens. Quantities are in base units,
    cost and realized profit in the margin asset.
    """
    if quantity == 0 or (quantity > 0) == (signed_fill > 0):
        return PositionChange(quantity + signed_fill, cost + signed_fill * price, ZERO)
    closing = min(abs(signed_fill), abs(quantity))
    released = cost if closing == abs(quantity) else round_money(cost * closing / abs(quantity))
    proceeds = closing * price if quantity > 0 else -closing * price
    opening = signed_fill + closing if signed_fill < 0 else signed_fill - closing
    return PositionChange(
        quantity + signed_fill, cost - released + opening * price, proceeds - released
    )


def fill_postings(
    cost_account: str,
    money_account: str,
    cost_change: Decimal,
    realized: Decimal,
    commission: Decimal,
) -> list[Posting]:
    """The postings of one fill; `commission` is positive where the customer pays it.

    `cost_account` holds the position's cost; `money_account` is the wallet that profit and
    commission are settled in.
    """
    postings = [
        Posting(cost_account, cost_change),
        Posting(CLEARING, -cost_change),
        Posting(money_account, -commission),
        Posting(FEES, commission),
    ]
    if realized:
        postings += [Posting(money_account, realized), Posting(MARKET, -realized)]
    return postings


def deposit_postings(account_id: str, amount: Decimal) -> list[Posting]:
    """The postings of a customer bringing (or, negative, taking) money."""
    return move_postings(DEPOSITS, wallet(account_id), amount)


def transfer_postings(account_id: str, to: str, amount: Decimal) -> list[Posting]:
    """The postings of a customer paying from the cross wallet (or, negative, being paid)."""
    return move_postings(wallet(account_id), to, amount)


def move_postings(source: str, target: str, amount: Decimal) -> list[Posting]:
    """The postings of money going from one ledger account to another."""
    return [Posting(source, -amount), Posting(target, amount)]
