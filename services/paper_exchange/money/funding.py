"""Funding: at each funding time longs pay shorts, or shorts longs, by the rate of the symbol.

The venue's other customers are not here, so that what ours pay goes to the ledger's funding
account, and what they receive comes from it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.funding_rates import HOUR_MS
from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.ledger import FUNDING, move_postings, round_money
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState

FUNDING_FEE: Final = "FUNDING_FEE"


def next_funding_ns(state: VenueState, now_ns: int) -> int:
    """When the next funding of any symbol is due."""
    rates = state.funding_rates
    return NS_PER_MS * min(rates.next_funding_ms(symbol, now_ns) for symbol in state.instruments)


def settle_funding(state: VenueState, due_ns: int) -> None:
    """Let every open position pay or receive, on the symbols whose funding time this is."""
    due_ms = due_ns // NS_PER_MS
    for symbol, instrument in state.instruments.items():
        if due_ms % (instrument.funding_interval_hours * HOUR_MS) == 0:
            settle_symbol_funding(state, symbol, due_ns)


def settle_symbol_funding(state: VenueState, symbol: str, due_ns: int) -> None:
    """Let every open position of a symbol pay or receive; nothing happens without a mark price."""
    mark = state.mark_of(symbol)
    if mark is None:
        return
    rate = state.funding_rates.settle(symbol, due_ns // NS_PER_MS, mark)
    for account_id in list(state.risk.holders[symbol]):
        account = state.accounts[account_id]
        for position in list(account.positions.values()):
            if position.symbol == symbol and position.quantity:
                amount = round_money(-position.quantity * mark * rate)
                _pay(state, account, position, amount, due_ns)


def _pay(
    state: VenueState, account: Account, position: Position, amount: Decimal, now_ns: int
) -> None:
    """Book what one position receives (or, negative, pays)."""
    if not amount:
        return
    symbol = position.symbol
    purse = state.money_account(account, symbol, position.position_side)
    state.ledger.post(move_postings(FUNDING, purse, amount))
    position.carried += amount
    account.updated_ns = now_ns
    state.risk.unsettled[account.account_id] = None
    state.add_income(account, FUNDING_FEE, symbol, amount, FUNDING_FEE, "", now_ns)
    changed = (position,) if account.is_isolated(symbol) else ()
    state.tell_account(
        account, FUNDING_FEE, now_ns, balance_change=amount, positions=changed, symbol=symbol
    )
