"""Money that leaves the venue: no more than nothing depends on."""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.ledger import deposit_postings
from services.paper_exchange.state.venue_state import VenueState


class TransferError(Exception):
    """More was asked for than may be withdrawn."""


def withdraw(state: VenueState, account: Account, amount: Decimal, now_ns: int) -> None:
    """Take `amount` out of the cross wallet; raises `TransferError` beyond what is withdrawable."""
    allowed = state.margin_of(account).withdrawable
    if amount > allowed:
        raise TransferError(f"{amount} is more than the {allowed:f} that may be withdrawn")
    state.ledger.post(deposit_postings(account.account_id, -amount))
    account.updated_ns = now_ns
    state.risk.unsettled[account.account_id] = None
    state.add_income(account, "TRANSFER", "", -amount, "TRANSFER", "", now_ns)
    state.tell_account(account, "WITHDRAW", now_ns, balance_change=-amount)
