"""The insurance fund: it takes liquidation fees and bankrupt positions, and pays for deficits.

The ledger's `insurance` account holds what the fund has gained since the start; what it started
with is a limit of the venue. What the fund cannot pay any more, the rest of the market bears.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.ledger import INSURANCE, MARKET, ZERO, move_postings, wallet
from services.paper_exchange.state.venue_state import VenueState

INSURANCE_CLEAR: Final = "INSURANCE_CLEAR"


def fund_left(state: VenueState) -> Decimal:
    """What the fund can still pay."""
    return max(ZERO, state.limits.insurance_fund + state.ledger.balance(INSURANCE))


def take_from_wallet(
    state: VenueState, account: Account, symbol: str, amount: Decimal, now_ns: int
) -> None:
    """Let a customer pay the fund out of the cross wallet."""
    if amount > 0:
        state.ledger.post(move_postings(wallet(account.account_id), INSURANCE, amount))
        _tell(state, account, symbol, -amount, now_ns)


def clear_deficit(state: VenueState, account: Account, now_ns: int) -> None:
    """Bring a cross wallet that is below zero, and backs no position any more, back to zero."""
    purse = wallet(account.account_id)
    deficit = -state.ledger.balance(purse)
    if deficit <= 0 or any(
        position.quantity and not account.is_isolated(position.symbol)
        for position in account.positions.values()
    ):
        return
    from_fund = min(deficit, fund_left(state))
    if from_fund:
        state.ledger.post(move_postings(INSURANCE, purse, from_fund))
    if deficit > from_fund:
        state.ledger.post(move_postings(MARKET, purse, deficit - from_fund))
    latest = max(account.positions.values(), key=lambda p: p.updated_ns, default=None)
    _tell(state, account, "" if latest is None else latest.symbol, deficit, now_ns)


def make_up_overdraft(state: VenueState) -> None:
    """Let the rest of the market bear what the fund was made to pay beyond what it had."""
    overdraft = -(state.limits.insurance_fund + state.ledger.balance(INSURANCE))
    if overdraft > 0:
        state.ledger.post(move_postings(MARKET, INSURANCE, overdraft))


def take_over(state: VenueState, gain: Decimal) -> None:
    """Book what the fund gains (or, negative, loses) by taking a bankrupt position over."""
    if gain:
        state.ledger.post(move_postings(MARKET, INSURANCE, gain))


def _tell(state: VenueState, account: Account, symbol: str, amount: Decimal, now_ns: int) -> None:
    account.updated_ns = now_ns
    state.add_income(account, INSURANCE_CLEAR, symbol, amount, INSURANCE_CLEAR, "", now_ns)
    state.tell_account(account, INSURANCE_CLEAR, now_ns, balance_change=amount)
