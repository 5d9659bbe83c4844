"""Taking: an accepted order meets what the book offers, then expires or comes to rest.

A match between two of our accounts fills both at the maker's price. One account does not trade with
itself unless it asks to: its self-trade prevention mode says whether the taker, the maker or both
expire. As documented, the taker's mode decides, and only for orders that are GTC, IOC or GTD (a
MARKET order counts as GTC).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import (
    EXPIRED,
    EXPIRED_IN_MATCH,
    POST_ONLY,
    Match,
    Order,
)
from services.paper_exchange.state.user_events import (
    IOC_NOT_FILLED,
    IOC_SELF_TRADE,
    MARKET_NOT_FILLED,
    SELF_TRADE,
)
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.matching import (
    Offer,
    can_give,
    eat_queue,
    offers,
    resting_ahead,
)

_PREVENTING_TIMES_IN_FORCE: Final = frozenset({"GTC", "IOC", "GTD"})


def take(state: VenueState, account: Account, order: Order, limit: Decimal, now_ns: int) -> None:
    """Let an accepted order take no worse than `limit`; let its rest expire or come to rest."""
    if order.time_in_force not in POST_ONLY:
        meet_offers(state, account, order, limit, now_ns)
    if not order.is_open:
        return
    if order.order_type == "MARKET":
        state.end_order(account, order, EXPIRED, now_ns, MARKET_NOT_FILLED)
    elif order.time_in_force in ("IOC", "FOK"):
        state.end_order(account, order, EXPIRED, now_ns, IOC_NOT_FILLED)
    else:
        state.rest(order, resting_ahead(state.books[order.symbol], order.side, order.price))


def meet_offers(
    state: VenueState,
    account: Account,
    order: Order,
    limit: Decimal,
    now_ns: int,
    execution: str = "TRADE",
) -> None:
    """Let an accepted order trade with what it meets no worse than `limit`; its rest stays open.

    `execution` is what its own events call a fill: CALCULATED where the venue itself closes.
    """
    for offer in offers(state, order.symbol, order.side, limit):
        _meet(state, account, order, offer, now_ns, execution)
        if can_give(state, order) <= 0:
            break


def _meet(
    state: VenueState, account: Account, order: Order, offer: Offer, now_ns: int, execution: str
) -> None:
    """Trade with one offer as far as both are good for it, or prevent it."""
    maker = offer.maker
    if maker is None:
        quantity = min(can_give(state, order), offer.quantity)
        match = Match(offer.price, quantity)
        state.book_fill(account, order, match, now_ns, is_maker=False, execution=execution)
        eat_queue(state.resting[order.symbol].facing(order.side), offer.price, quantity)
        return
    if not maker.is_open:
        return
    if maker.account_id == order.account_id and _prevents(order):
        _expire_in_match(state, account, order, maker, now_ns)
        return
    # A maker that only reduces the taker's own position may give more after each fill.
    while (quantity := min(can_give(state, order), can_give(state, maker))) > 0:
        maker.queue_ahead = ZERO
        match = Match(maker.price, quantity, state.next_trade_id(order.symbol))
        state.book_fill(account, order, match, now_ns, is_maker=False, execution=execution)
        state.book_fill(state.accounts[maker.account_id], maker, match, now_ns, is_maker=True)


def _prevents(order: Order) -> bool:
    """Whether a taker's mode keeps its account from trading with itself."""
    return (
        order.self_trade_prevention != "NONE" and order.time_in_force in _PREVENTING_TIMES_IN_FORCE
    )


def _expire_in_match(
    state: VenueState, account: Account, order: Order, maker: Order, now_ns: int
) -> None:
    """Expire what the taker's mode names, instead of a trade of an account with itself."""
    mode = order.self_trade_prevention
    if mode in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
        state.end_order(account, maker, EXPIRED_IN_MATCH, now_ns, SELF_TRADE)
    if mode in ("EXPIRE_TAKER", "EXPIRE_BOTH") and order.is_open:
        reason = IOC_SELF_TRADE if order.time_in_force == "IOC" else SELF_TRADE
        state.end_order(account, order, EXPIRED_IN_MATCH, now_ns, reason)
